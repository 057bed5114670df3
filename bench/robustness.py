"""What mnist-cnn withstands on six chips: attacks, bad light, strangers, flipped bits; the tables of
reports/robustness.md.

    python -m bench.robust_training --out trained         # networks that learned to withstand; three seeds
    python -m bench.robustness measure --out robustness --trained trained [--jobs 2] [NAME ...]
    python -m bench.robustness write --out robustness     # reports/robustness.md

``measure`` makes one JSON file a job; a job whose file is there is not run again. ``python -m bench.robustness jobs``
lists them. Digits are spread evenly over the 2,000 test digits; seed 0. Answers are the emulator's, bit for bit.
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
from hwsim.stressing import spread, stress

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
SQUARED = ("hwsim-int4-ws16", "nvidia-h100")
EPSILONS = (0.05, 0.1, 0.2)
RATES = (1e-3, 3e-3, 1e-2)
REPEATS = 8
KINDS = ("plain", "adversarial", "exposure", "energy")
SEEDS = (0, 1, 2)


def attacked(kind: str, epsilon: float) -> dict[str, Any]:
    """Every chip and the float network, each attacked, tested on all."""
    how = Attack(kind, epsilon, {"fgsm": 1, "pgd": 40, "square": 200}[kind])
    chips = SQUARED if kind == "square" else CHIPS
    return stress_dict(stress(MODEL, list(chips), attacks=[how], limit=200 if kind == "square" else 500))


def light(chip: str) -> dict[str, Any]:
    """Corruptions and strangers on one chip, float beside it."""
    return stress_dict(stress(MODEL, chip, corruptions=list(CORRUPTIONS), others=list(STRANGERS), limit=1000))


def faults(chip: str, digits: int = 500) -> dict[str, Any]:
    """Accuracy under bit flips by place and rate; on four-bit chips by bit of a weight too."""
    data, held = spread(hwsim.load_data(MODEL), digits), (hwsim.quantize(MODEL, chip), hwsim.load_target(chip))
    rows = fault_study([held], data, rates=RATES, repeats=REPEATS)
    bits = [(bit,) for bit in range(4)]
    each = fault_study([held], data, rates=(0.03,), places=("weights",), bits=bits, repeats=REPEATS)
    return {"rows": [asdict(row) for row in rows], "bits": [asdict(row) for row in each] if chip in FOURS else []}


def flips(wanted: int = 100_000_000, digits: int = 2000) -> dict[str, Any]:
    """Every single flip of what 2,000 digits store; then ``wanted`` flips through whole networks. Its own time."""
    data = hwsim.load_data(MODEL).inputs[:digits]
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


def withstands(kind: str, seed: int, trained: Path) -> dict[str, Any]:
    """A trained network (or ``ptq``: none) on its chip: clean, attacked, in bad light, among strangers."""
    if kind == "ptq":
        model: Any = hwsim.quantize(MODEL, TRAINED_FOR)
    else:
        model = trained / f"{kind}-seed{seed}" / "model.qir"
    hard = kind in ("ptq", "plain", "adversarial")
    whole = hwsim.load_data(MODEL)
    attacks = [Attack("pgd", 0.1, 40)] if hard else []
    found = stress_dict(stress(model, TRAINED_FOR, whole, attacks=attacks, seed=seed))
    small = [Attack("pgd", epsilon, 40) for epsilon in (0.05, 0.2)] + [Attack("square", 0.1, 200)]
    others = stress(
        model,
        TRAINED_FOR,
        whole,
        attacks=small if hard else [],
        corruptions=list(CORRUPTIONS) if hard else (),
        others=list(STRANGERS),
        limit=500,
        seed=seed,
    )
    return {"kind": kind, "seed": seed, "whole": found, "part": stress_dict(others), **moved(model, hard, seed)}


def moved(model: Any, hard: bool, seed: int) -> dict[str, Any]:
    """How a network answers to what was made against the float network."""
    if not hard:
        return {}
    data, graph, chip = spread(hwsim.load_data(MODEL), 500), hwsim.load_model(MODEL), hwsim.load_target(TRAINED_FOR)
    rule = recipe_for(chip)
    first = quantize(graph, rule, hwsim.zoo.data(MODEL, "calib").inputs)
    held = model if not isinstance(model, Path) else hwsim.load_model(model)
    made = attack(whole_victim(graph, first, rule), data.inputs, _labels(data), Attack("pgd", 0.1, 40, seed))
    right = victim(held, chip, rule).scores(made).argmax(1) == data.labels
    return {"from_float": {"right": int(right.sum()), "n": len(data)}}


def _labels(data: Dataset) -> Any:
    assert data.labels is not None
    return data.labels


def jobs(trained: Path) -> dict[str, Callable[[], dict[str, Any]]]:
    """Name -> job."""
    found: dict[str, Callable[[], dict[str, Any]]] = {}
    for epsilon in EPSILONS:
        found |= {f"attack-{kind}-{epsilon:g}": partial(attacked, kind, epsilon) for kind in ("pgd", "fgsm")}
    found |= {f"attack-square-{epsilon:g}": partial(attacked, "square", epsilon) for epsilon in EPSILONS[1:]}
    found |= {f"light-{chip}": partial(light, chip) for chip in reversed(CHIPS)}
    found |= {f"faults-{chip}": partial(faults, chip) for chip in reversed(CHIPS)}
    found["trained-ptq-seed0"] = partial(withstands, "ptq", 0, trained)
    for kind in KINDS:
        found |= {f"trained-{kind}-seed{seed}": partial(withstands, kind, seed, trained) for seed in SEEDS}
    found["flips"] = flips
    return found


def run(name: str, trained: Path, out: Path) -> str:
    """Do one job; a line about it."""
    path = out / f"{name}.json"
    if path.exists():
        return f"{name}: there already"
    begun = time.perf_counter()
    found = jobs(trained)[name]()
    atomic.write(path, (json.dumps(found, indent=1) + "\n").encode(), hwsim.HwsimError)
    return f"{name}: {time.perf_counter() - begun:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "write", "jobs"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="jobs; * stands for any letters")
    parser.add_argument("--out", type=Path, default=Path("robustness"))
    parser.add_argument("--trained", type=Path, default=Path("trained"))
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_intermixed_args()
    known = list(jobs(options.trained))
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
            for line in pool.map(partial(run, trained=options.trained, out=options.out), wanted):
                print(line, flush=True)


if __name__ == "__main__":
    main()
