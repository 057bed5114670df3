"""reports/robustness.md from what ``python -m bench.robustness measure`` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.robustness import CHIPS, EPSILONS, FOURS, KINDS, MODEL, RATES, REPEATS, SEEDS, TRAINED_FOR, jobs
from hwsim.errors import DataError
from hwsim.io import atomic
from hwsim.report.model import wilson
from hwsim.robust import CORRUPTIONS, STRANGERS
from hwsim.robust.faults import PLACES
from hwsim.robust.study import interval

REPORT = Path(__file__).parent.parent / "reports" / "robustness.md"
ENCODINGS = {
    "hwsim-int4-ws16": "INT4, two's complement",
    "hwsim-int4-sm16": "INT4, sign and magnitude",
    "hwsim-uint4-ws16": "INT4, offset binary; UINT4 activations",
    "ascend-910b4": "INT4, two's complement, saturating sums",
    "nvidia-h100": "FP8 E4M3, float sums",
    "hwsim-nvfp4-ws16": "NVFP4: E2M1 in blocks of 16",
}
HARD = {"ptq": "quantized", "plain": "trained plainly", "adversarial": "trained on attacks"}
"""Networks that are attacked, and how they are called."""
Found = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Jobs:
    """What was measured, by job.

    Raises:
        DataError: a job has not been done.
    """

    folder: Path

    def __call__(self, name: str) -> Found:
        path = self.folder / f"{name}.json"
        if not path.exists():
            raise DataError("has not been measured", where=str(path), hint=f"python -m bench.robustness measure {name}")
        found: Found = json.loads(path.read_text())
        return found

    def has(self, name: str) -> bool:
        """Whether a job has been done."""
        return (self.folder / f"{name}.json").exists()

    def seeds(self, kind: str) -> tuple[int, ...]:
        """Those that networks of a kind were measured for."""
        return tuple(seed for seed in SEEDS if self.has(f"trained-{kind}-seed{seed}"))

    def chips(self, table: str) -> tuple[str, ...]:
        """Those that the table was measured for."""
        return tuple(chip for chip in CHIPS if self.has(f"{table}-{chip}"))


def write(folder: Path) -> Path:
    """Write the report.

    Raises:
        DataError: a job has not been done.
    """

    job = Jobs(folder)
    taken = job("flips")["share"]
    option = "" if taken == 1 else f" --share {taken:g}"
    text = [
        f"# What {MODEL} withstands, chip by chip\n",
        "    hwsim zoo get mnist-cnn --training",
        "    python -m bench.robust_training --out trained",
        f"    python -m bench.robustness measure --out robustness --trained trained{option}",
        "    python -m bench.robustness write --out robustness\n",
        "Every answer is the emulator's, bit for bit. Accuracy is in %; in brackets its 95 % interval: Wilson's over "
        "inputs, or Student's t over seeds or draws where that is said, cut at 0 and 100. Digits are spread evenly "
        "over the 2,000 test digits, on which nothing was chosen; seed 0 where no other is named. How it is done: "
        "[docs/robustness.md](../docs/robustness.md).\n",
        *_trained(job),
        *_attacks(job),
        *(_transfer(job) if job.has("attack-pgd-0.1") else ()),
        *_corruptions(job),
        *_strangers(job),
        *_flips(job),
        *(_faults(job) if job.chips("faults") else ()),
        *(_bits(job) if set(FOURS) & set(job.chips("faults")) else ()),
    ]
    left = [name for name in jobs(Path(), taken) if not job.has(name)]
    if left:
        text += ["## Not measured\n", "`measure` has not done these jobs: " + ", ".join(left) + ".\n"]
    atomic.write(REPORT, ("\n".join(text) + "\n").encode(), DataError)
    return REPORT


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table, and the empty line after it."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    return [*lines, ""]


def share(right: int, n: int) -> str:
    low, high = wilson(right, n)
    return f"{100 * right / n:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def over(values: Sequence[float], scale: float = 100, digits: int = 1) -> str:
    """Mean and interval over seeds, of shares."""
    if len(values) < 2:
        return f"{scale * values[0]:.{digits}f}"
    mean, low, high = (scale * min(1.0, max(0.0, value)) for value in interval(values))
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _trained(job: Jobs) -> list[str]:
    """Bar: adversarial training against plain networks."""
    known = [kind for kind in HARD if job.seeds(kind)]
    if not known:
        return []
    first = job(f"trained-{known[0]}-seed{job.seeds(known[0])[0]}")
    whole, part = first["whole"]["n"], first["part"]["n"]
    text = [
        "## Learning to withstand: W4A4 on the INT4 array\n",
        "*quantized* is the shipped network, quantized after training; the others learned from 8,000 digits by "
        "bench/recipes/*-w4a4.yaml, three seeds each (the interval is over seeds). PGD: L-infinity, 40 steps of 2.5 "
        f"epsilon / 40 from a random start, through the chip's own numbers; clean and epsilon 0.1 on {whole:,} digits. "
        f"The other columns are seed 0 alone, on {part:,} digits. Square sees scores only (100 steps); the last column "
        "is PGD 0.1 made against the float network: were gradients masked, these two would break what PGD does not.\n",
    ]
    rows = []
    for kind in known:
        held = [job(f"trained-{kind}-seed{seed}") for seed in job.seeds(kind)]
        cells = [str(len(held)), over([h["whole"]["columns"][0]["right"] / h["whole"]["n"] for h in held])]
        cells.append(over([_attacked(h["whole"], "pgd", 0.1) / h["whole"]["n"] for h in held]))
        rows.append([HARD[kind], *cells, *(_first_seed(held[0]) if held[0]["seed"] == 0 else ["–"] * 4)])
    head = ["network", "seeds", "clean", "**PGD 0.1**", "PGD 0.05", "PGD 0.2", "Square 0.1", "PGD 0.1 of float32"]
    text += table(head, rows)
    text.append(f"Corruptions, {part:,} digits, mean over seeds and severities 1 to 5 (severity 5 alone):\n")
    rows = []
    for kind in known:
        found = [job(f"trained-{kind}-seed{seed}")["part"] for seed in job.seeds(kind)]
        cells = []
        for corruption in CORRUPTIONS:
            each = [[r["right"] / h["n"] for r in h["corruptions"] if r["kind"] == corruption] for h in found]
            mean = sum(sum(levels) / len(levels) for levels in each) / len(each)
            worst = sum(levels[-1] for levels in each) / len(each)
            cells.append(f"{100 * mean:.1f} ({100 * worst:.1f})")
        rows.append([HARD[kind], *cells])
    return text + table(["network", *(name.replace("_", " ") for name in CORRUPTIONS)], rows)


def _first_seed(held: Found) -> list[str]:
    """Other strengths, Square, and what was made against the float network."""
    part, moved = held["part"], held["from_float"]
    kinds = (("pgd", 0.05), ("pgd", 0.2), ("square", 0.1))
    own = [share(_attacked(part, kind, epsilon), part["n"]) for kind, epsilon in kinds]
    return [*own, share(moved["right"], moved["n"])]


def _attacked(held: Found, kind: str, epsilon: float) -> int:
    """Right answers under an attack."""
    return int(next(r["right"] for r in held["attacks"] if r["kind"] == kind and r["epsilon"] == epsilon))


def _attacks(job: Jobs) -> list[str]:
    strengths = [(kind, epsilon) for kind in ("fgsm", "pgd") for epsilon in EPSILONS]
    done = [each for each in (*strengths, ("square", 0.1)) if job.has(f"attack-{each[0]}-{each[1]:g}")]
    if not done:
        return []
    first = max((job(f"attack-{kind}-{epsilon:g}") for kind, epsilon in done), key=lambda found: len(found["columns"]))
    names = [column["name"] for column in first["columns"]]
    text = [
        "## Attacks on the shipped network\n",
        f"Each chip attacked through its own numbers (gradients straight through, scores the emulator's); {first['n']} "
        "digits; PGD 40 steps, Square 100. All chips meet PGD at epsilon 0.1.\n",
    ]
    rows = [["none", *(share(column["right"], first["n"]) for column in first["columns"])]]
    for kind, epsilon in done:
        held = job(f"attack-{kind}-{epsilon:g}")
        own = {r["tested"]: r["right"] for r in held["attacks"] if r["tested"] == r["crafted"]}
        cells = (share(own[name], held["n"]) if name in own else "–" for name in names)
        rows.append([f"{kind} {epsilon:g}", *cells])
    return text + table(["attack", *names], rows)


def _transfer(job: Jobs) -> list[str]:
    held = job("attack-pgd-0.1")
    names = [column["name"] for column in held["columns"]]
    found = {(r["crafted"], r["tested"]): r["right"] for r in held["attacks"]}
    text = [
        "### Transfer\n",
        f"PGD, epsilon 0.1, {held['n']} digits: made against the row, tested on the column. Float to chip is the first "
        "row, chip to float the first column.\n",
    ]
    rows = [[made, *(f"{100 * found[made, name] / held['n']:.1f}" for name in names)] for made in names]
    return text + table(["made against", *names], rows)


def _corruptions(job: Jobs) -> list[str]:
    chips = job.chips("light")
    held = {chip: job(f"light-{chip}") for chip in chips}
    n = held[chips[0]]["n"]
    text = [
        "## Bad light\n",
        f"Float beside each chip, {n:,} digits, the same corrupted ones for all; the 95 % intervals of "
        f"{share(n // 2, n)} and {share(round(0.95 * n), n)} say how wide.\n",
    ]
    rows = []
    for kind in CORRUPTIONS:
        for at in range(5):
            each = {}
            for found in held.values():
                mine = [r for r in found["corruptions"] if r["kind"] == kind and r["severity"] == at + 1]
                each |= {row["tested"]: row for row in mine}
            row = each["float32"]
            cells = [f"{100 * each[name]['right'] / n:.1f}" for name in ("float32", *chips)]
            rows.append([f"{kind.replace('_', ' ')} {at + 1} ({row['strength']:g} {row['unit']})", *cells])
    return text + table(["corruption, severity", "float32", *chips], rows)


def _strangers(job: Jobs) -> list[str]:
    chips = job.chips("light")
    held = {chip: job(f"light-{chip}") for chip in chips}
    n = held[chips[0]]["n"]
    names = ("float32", *chips)
    text = ["## Strangers, before and after quantization\n"]
    text.append(
        f"Area under the ROC curve of the network's own scores, {n:,} digits against as many strangers; 0.5 is a coin, "
        "less means that the network is surer of strangers than of digits. In brackets the 95 % interval (bootstrap).\n"
    )
    text += [f"- *{name}*: {meaning}" for name, meaning in held[chips[0]]["made_of"].items()]
    text.append("")
    rows = []
    for kind in STRANGERS:
        for score in ("msp", "energy"):
            found = {
                row["tested"]: row
                for chip in chips
                for row in held[chip]["strangers"]
                if (row["kind"], row["score"]) == (kind, score)
            }
            cells = [f"{found[m]['auroc']:.3f} ({found[m]['low']:.3f} to {found[m]['high']:.3f})" for m in names]
            rows.append([f"{kind}, {score}", *cells])
    text += table(["strangers, score", *names], rows)
    learned_by = [kind for kind in ("plain", *KINDS[2:], "adversarial") if job.seeds(kind)]
    if not learned_by:
        return text
    few = job(f"trained-{learned_by[0]}-seed{job.seeds(learned_by[0])[0]}")["part"]["n"]
    text += [
        "### Learning to know strangers\n",
        f"W4A4 on {TRAINED_FOR}, three seeds (interval over seeds), {few:,} digits. *exposure* draws answers to "
        "strangers towards no class, *energy* holds energies apart; both learn from shuffled and overlaid training "
        "digits and coarse noise, never from letters, photographs or negatives.\n",
    ]
    rows = []
    for kind in STRANGERS:
        for score in ("msp", "energy"):
            cells = []
            for learned in learned_by:
                parts = [job(f"trained-{learned}-seed{seed}")["part"]["strangers"] for seed in job.seeds(learned)]
                areas = [r["auroc"] for p in parts for r in p if (r["kind"], r["score"]) == (kind, score)]
                cells.append(over(areas, 1, 3))
            rows.append([f"{kind}, {score}", *cells])
    return text + table(["strangers, score", *(HARD.get(kind, kind) for kind in learned_by)], rows)


def _flips(job: Jobs) -> list[str]:
    held = job("flips")
    through, every = held["through"], held["every"]
    flipped, tried = sum(r["flips"] for r in through), sum(r["trials"] for r in every if r["bit"] is None)
    seconds = held["every_s"] + held["through_s"]
    load = " and ".join(f"{value:.1f}" for value in held["load"])
    text = ["## Bit flips\n", f"### {tried + flipped:,} flips in {seconds:.0f} s\n"]
    text.append(
        f"On {held['threads']} threads of {held['processor']}, load {load} at the start and the end, compiled before.\n"
    )
    text.append(
        f"**Every single flip** ({tried:,} trials, {held['every_s']:.0f} s). A trial is one bit of one stored code "
        f"that flips alone: all bits of all weights, and of all activations of {held['digits']:,} digits, are tried. "
        "What is recorded is how far the number that is read moves, over the root mean square of its tensor (95 % "
        "interval over digits; weights are all there are). NaN: flips that are read as NaN, not counted in the "
        "change.\n"
    )
    for place in ("weights", "activations"):
        rows = [r for r in every if r["place"] == place and r["bit"] is None]
        text += [f"{place.capitalize()}, least harm first:\n"]
        text += table(
            ["encoding", "flips tried", "change", "95 % interval", "largest", "NaN, %"],
            [
                [
                    ENCODINGS[r["target"]],
                    f"{r['trials']:,}",
                    f"{r['moved']:.3f}",
                    f"{r['low']:.3f} to {r['high']:.3f}",
                    f"{r['worst']:.1f}",
                    f"{100 * r['lost']:.2f}",
                ]
                for r in sorted(rows, key=lambda r: r["moved"])
            ],
        )
    text.append(
        f"**Through the whole network** ({flipped:,} flips, {held['through_s']:.0f} s). Each bit of each stored "
        f"activation flips with probability 0.01 while {held['digits']:,} digits run; how many answers stay, with its "
        "interval over runs (Student's t). Many flips meet in one digit here: a trial is a run.\n"
    )
    rows = sorted(through, key=lambda r: -r["stay"])
    text += table(
        ["encoding", "flips", "runs", "answers that stay, %", "95 % interval"],
        [
            [
                ENCODINGS[r["target"]],
                f"{r['flips']:,}",
                str(r["runs"]),
                f"{100 * r['stay']:.2f}",
                f"{100 * max(0.0, r['low']):.2f} to {100 * min(1.0, r['high']):.2f}",
            ]
            for r in rows
        ],
    )
    return text


def _faults(job: Jobs) -> list[str]:
    chips = job.chips("faults")
    rows = [row for chip in chips for row in job(f"faults-{chip}")["rows"]]
    text = [
        "### Accuracy by place and rate\n",
        f"{rows[0]['n']} digits, {REPEATS} draws of the faults (interval over draws), the same seeds for all chips; "
        "least harm at the highest rate first. Weights flip once a draw, the rest anew for each digit. An accumulator "
        "has 32 bits, so that its sums meet more flips; NVFP4's is left out: block scales of NaN are not defined. A "
        "score of NaN is a wrong answer: one weight of FP8 that flips to NaN silences a network for good. Offset "
        "binary is two's complement with its top bit turned: a flip moves the number as far, and their rows agree.\n",
    ]
    for place in PLACES:
        mine = {chip: [r for r in rows if r["target"] == chip and r["place"] == place] for chip in chips}
        order = sorted((chip for chip in chips if mine[chip]), key=lambda chip: -mine[chip][-1]["accuracy"])
        lines = [
            [ENCODINGS[chip], f"{100 * mine[chip][0]['clean']:.1f}", *(_interval(row) for row in mine[chip])]
            for chip in order
        ]
        text += [f"{place.capitalize()}:\n"]
        text += table(["encoding", "no faults", *(f"rate {rate:g}" for rate in RATES)], lines)
    return text


def _bits(job: Jobs) -> list[str]:
    text = ["### Which bit of a weight\n", "Each bit alone, rate 0.03; the same digits and draws.\n"]
    lines = [
        [ENCODINGS[chip], *(_interval(row) for row in job(f"faults-{chip}")["bits"])]
        for chip in FOURS
        if chip in job.chips("faults")
    ]
    return text + table(["encoding", "bit 0", "bit 1", "bit 2", "bit 3 (sign)"], lines)


def _interval(row: Found) -> str:
    low, high = max(0.0, row["low"]), min(1.0, row["high"])
    return f"{100 * row['accuracy']:.1f} ({100 * low:.1f} to {100 * high:.1f})"
