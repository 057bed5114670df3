"""What mnist-cnn withstands on six chips: attacks, bad light, strangers, flipped bits; the tables of
reports/robustness.md.

    python -m bench.robust_training --out trained         # networks that learned to withstand; three seeds
    python -m bench.robustness measure --out robustness --trained trained [--share 0.2] [--jobs 2] [NAME ...]
    python -m bench.robustness write --out robustness     # reports/robustness.md

``measure`` makes one JSON file a job; a job whose file is there is not run again. ``python -m bench.robustness jobs``
lists them. Digits are spread evenly over the 2,000 test digits; seed 0. Answers are the emulator's, bit for bit.
``--share`` takes so much of each table's digits: a fifth takes about ten minutes of one core, all of them an hour.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import platform
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import hwsim
from hwsim.io import Dataset, atomic
from hwsim.quant import quantize, recipe_for
from hwsim.report.stress import stress_dict
from hwsim.robust import CORRUPTIONS, STRANGERS, Attack, Faults, attack, emulate_with_faults, fault_study, flip_study
from hwsim.robust.attacks import victim, whole_victim
from hwsim.robust.study import answers, interval
from hwsim.stressing import stress

MODEL = "mnist-cnn"
TRAINED_FOR = "hwsim-int4-ws16"
CHIPS = (
    "hwsim-int4-ws16",
    "hwsim-int4-sm16",
    "hwsim-uint4-ws16",
    "ascend-910b4",
    "nvidia-h100",
    "hwsim-nvfp4-ws16",
)
FOURS = CHIPS[:3]
"""Whose weights have four bits of one integer each."""
HARDER = ("hwsim-int4-ws16", "nvidia-h100")
"""Attacked at every strength, and by Square."""
EPSILONS = (0.05, 0.1, 0.2)
RATES = (1e-3, 3e-3, 1e-2)
REPEATS = 8
KINDS = ("plain", "adversarial", "exposure", "energy")
SEEDS = (0, 1, 2)


def attacked(kind: str, epsilon: float, share: float) -> dict[str, Any]:
    """The float network and chips, each attacked, tested on all; every chip at the middle strength."""
    how = Attack(kind, epsilon, {"fgsm": 1, "pgd": 40, "square": 100}[kind])
    chips = CHIPS if kind == "fgsm" or (kind, epsilon) == ("pgd", EPSILONS[1]) else HARDER
    return stress_dict(stress(MODEL, list(chips), attacks=[how], limit=round(500 * share)))


def light(chip: str, share: float) -> dict[str, Any]:
    """Corruptions and strangers on one chip, float beside it."""
    limit = round(1000 * share)
    return stress_dict(stress(MODEL, chip, corruptions=list(CORRUPTIONS), others=list(STRANGERS), limit=limit))


def faults(chip: str, share: float) -> dict[str, Any]:
    """Accuracy under bit flips by place and rate; on four-bit chips by bit of a weight too."""
    digits = round(500 * share)
    data, held = hwsim.load_data(MODEL).spread(digits), (hwsim.quantize(MODEL, chip), hwsim.load_target(chip))
    rows = fault_study([held], data, rates=RATES, repeats=REPEATS)
    bits = [(bit,) for bit in range(4)]
    each = fault_study([held], data, rates=(0.03,), places=("weights",), bits=bits, repeats=REPEATS)
    return {"rows": [asdict(row) for row in rows], "bits": [asdict(row) for row in each] if chip in FOURS else []}


def flips(share: float) -> dict[str, Any]:
    """Every single flip of what 2,000 digits store; then 100 million flips through whole networks. Its own time."""
    wanted, data = 100_000_000 * share, hwsim.load_data(MODEL).spread(round(2000 * share)).inputs
    chips = [(hwsim.quantize(MODEL, name), hwsim.load_target(name)) for name in CHIPS]
    for graph, chip in chips:
        hwsim.emulate(graph, chip, data[:2])  # compile before the clock starts
    begun, load = time.perf_counter(), os.getloadavg()[0]
    every = [asdict(row) for graph, chip in chips for row in flip_study(graph, chip, data)]
    first = time.perf_counter() - begun
    rows, begun = [], time.perf_counter()
    for graph, chip in chips:
        clean = answers(hwsim.emulate(graph, chip, data).output)
        shares, count, more = [], 0, 0
        # Where a run has room for few flips, four runs say enough; the others make up for it.
        while len(shares) < 4 or (count < wanted / (len(chips) - 1) and more > wanted / 200):
            run, more = emulate_with_faults(graph, chip, data, Faults("activations", 0.01, seed=len(shares)))
            shares.append(float(np.mean(answers(run.output) == clean)))
            count += more
        mean, low, high = interval(shares)
        rows.append({"target": chip.name, "flips": count, "runs": len(shares), "stay": mean, "low": low, "high": high})
    return {
        "every": every,
        "every_s": first,
        "through": rows,
        "through_s": time.perf_counter() - begun,
        "digits": len(data),
        "processor": processor(),
        "threads": int(os.environ.get("NUMBA_NUM_THREADS", os.cpu_count() or 1)),
        "load": [load, os.getloadavg()[0]],
    }


def processor() -> str:
    """Its maker's name for it."""
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def withstands(kind: str, seed: int, trained: Path, share: float) -> dict[str, Any]:
    """A trained network (or ``ptq``: none) on its chip: clean, attacked, in bad light, among strangers.

    Other strengths and Square are for the first seed alone.
    """
    if kind == "ptq":
        model: Any = hwsim.quantize(MODEL, TRAINED_FOR)
    else:
        model = trained / f"{kind}-seed{seed}" / "model.qir"
    hard = kind in ("ptq", "plain", "adversarial")
    whole = hwsim.load_data(MODEL)
    attacks = [Attack("pgd", 0.1, 40)] if hard else []
    found = stress_dict(stress(model, TRAINED_FOR, whole, attacks=attacks, limit=round(2000 * share), seed=seed))
    others = [Attack("pgd", epsilon, 40) for epsilon in (0.05, 0.2)] + [Attack("square", 0.1, 100)]
    part = stress(
        model,
        TRAINED_FOR,
        whole,
        attacks=others if hard and seed == 0 else [],
        corruptions=list(CORRUPTIONS) if hard else (),
        others=list(STRANGERS),
        limit=round(500 * share),
        seed=seed,
    )
    moved = from_float(model, share) if hard and seed == 0 else {}
    return {"kind": kind, "seed": seed, "whole": found, "part": stress_dict(part), **moved}


def from_float(model: Any, share: float) -> dict[str, Any]:
    """How a network answers to what was made against the float network."""
    data, graph, chip = hwsim.load_data(MODEL).spread(round(500 * share)), hwsim.load_model(MODEL), TRAINED_FOR
    target = hwsim.load_target(chip)
    rule = recipe_for(target)
    first = quantize(graph, rule, hwsim.zoo.data(MODEL, "calib").inputs)
    held = hwsim.load_model(model) if isinstance(model, Path) else model
    made = attack(whole_victim(graph, first, rule), data.inputs, _labels(data), Attack("pgd", 0.1, 40))
    right = answers(victim(held, target, rule).scores(made)) == data.labels
    return {"from_float": {"right": int(right.sum()), "n": len(data)}}


def _labels(data: Dataset) -> Any:
    assert data.labels is not None
    return data.labels


def jobs(trained: Path, share: float) -> dict[str, Callable[[], dict[str, Any]]]:
    """Name -> job."""
    found: dict[str, Callable[[], dict[str, Any]]] = {"flips": partial(flips, share)}
    found["trained-ptq-seed0"] = partial(withstands, "ptq", 0, trained, share)
    for kind in KINDS:
        found |= {f"trained-{kind}-seed{seed}": partial(withstands, kind, seed, trained, share) for seed in SEEDS}
    found |= {f"light-{chip}": partial(light, chip, share) for chip in CHIPS}
    found |= {f"faults-{chip}": partial(faults, chip, share) for chip in CHIPS}
    for kind in ("pgd", "fgsm"):
        found |= {f"attack-{kind}-{epsilon:g}": partial(attacked, kind, epsilon, share) for epsilon in EPSILONS}
    found["attack-square-0.1"] = partial(attacked, "square", 0.1, share)
    return found


def run(name: str, trained: Path, out: Path, share: float) -> str:
    """Do one job; a line about it."""
    path = out / f"{name}.json"
    if path.exists():
        return f"{name}: there already"
    begun = time.perf_counter()
    found = {"share": share, **jobs(trained, share)[name]()}
    atomic.write(path, (json.dumps(found, indent=1) + "\n").encode(), hwsim.HwsimError)
    return f"{name}: {time.perf_counter() - begun:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "write", "jobs"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="jobs; * stands for any letters")
    parser.add_argument("--out", type=Path, default=Path("robustness"))
    parser.add_argument("--trained", type=Path, default=Path("trained"))
    parser.add_argument("--share", type=float, default=1.0, help="of the digits of each table, 0.02 to 1")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_intermixed_args()
    if not 0.02 <= options.share <= 1:
        parser.error(f"--share: expected 0.02 to 1, found {options.share}")
    known = list(jobs(options.trained, options.share))
    wanted = [n for n in known if not options.names or any(fnmatch.fnmatch(n, given) for given in options.names)]
    if options.what == "jobs":
        print("\n".join(known))
    elif options.what == "write":
        from bench.robustness_report import write

        try:
            print(write(options.out))
        except hwsim.HwsimError as error:
            raise SystemExit(f"robustness: {error}") from None
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
            for line in pool.map(partial(run, trained=options.trained, out=options.out, share=options.share), wanted):
                print(line, flush=True)


if __name__ == "__main__":
    main()
