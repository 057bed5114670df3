"""reports/training.md and its curves, from what ``bench.qat`` measured: ``python -m bench.qat_report``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from bench.qat_plot import draw
from hwsim.errors import DataError
from hwsim.io import atomic

REPORTS = Path(__file__).parent.parent / "reports"
RESULTS = REPORTS / "training.json"
Row = Mapping[str, Any]

HEAD = """# Training for low bits

Figures are top-1 on the chip `hwsim-int4-ws16` (`hwsim.emulate`, bit for bit), 2,000 test digits that no choice was
made on. `python -m bench.qat PART --out reports/training.json` measures a part (one thread of torch, seeds 0, 1 and 2;
a run that the file holds is not made again), `python -m bench.qat_report` writes this page. One digit is 0.05 points;
the 95 % interval of a figure near 98.7 % is about +-0.5 points. Another processor's sums in torch round otherwise,
which moves a figure as another seed would. [docs/training.md](../docs/training.md) says what the words mean.
"""

BARS = """
## What training wins back (`bars`)

MNIST CNN, float32 99.20 %. Scales learned (LSQ), binary ones the mean magnitude; AdamW, rate 0.001, 2 epochs of the
8,000 training digits (binary: 3). The gentle course has rate 0.0001, shifted and turned digits, and half the loss from
the float network's answers.
"""

BARS_AFTER = """
Spread: sample standard deviation. At W4A4 nothing is lost that training could win back: post-training already equals
float, and two fast epochs on the bare digits cost a little of what the float network had learned from jittered ones;
the gentle course does not. In each run, accuracy in torch and on the chip were the same number.
"""

EQUALITY = """
## Does torch compute what the chip computes? (`equality`)

Three trained networks, four formats: INT4 and INT2 in INT4 on `hwsim-int4-ws16`, FP8 E4M3 on `nvidia-h100`, NVFP4 on
`nvidia-b200`; 256 digits, 20 pictures for ResNet8. Codes are of all stored values and all weights.

- chip's values: differing codes where the chip's values stand in for torch's (`sums: chip`). Values agree by
  construction; the count shows that nothing is lost on the way (names, pooling, chunks, block scales), and that the
  weights' codes in torch are those exported.
- one layer: torch sums one layer on what the chip stored before it.
- all in torch: torch computes everything (`sums: torch`).
- outputs: float32 outputs that differ in any bit, with the chip's values; then after more steps on the chip's values.
"""

EQUALITY_AFTER = """
Plain torch computes the integer chip's codes without exception here. It does not compute a tensor core's: FP8 sums are
truncated there, and NVFP4 scales each input by its own largest number where torch scales a batch. For those, train with
`sums: chip`. The networks learned for two epochs of 256 digits; ResNet8 for eight of its 20 pictures from the float
network's answers, which shows that codes agree and nothing of accuracy.
"""

CURVES = """
## Gradient scaling and 16-bit sums at W2 (`curves`, `resnet8`)

INT2 weights, 2 epochs; plain is the straight-through estimator with learned scales; micro-batches are a quarter of a
batch, and their gradients are summed in the format named. Against plain: mean and spread of the differences seed by
seed.
"""

RESNET = """
The same courses for ResNet8 at W2A4, where much is left to win (below: how its networks are trained and judged). Share
of 500 crops on which the chip answers as the float network does, in percent.
"""

CONCLUSION = """
Neither helps. On digits the differences are below the spread of seeds, at 98.8 % of a 99.2 % float network. On ResNet8,
with much left to win, gradient scaling answers worse in each of the three seeds, and sums in 16 bits do as sums in FP32
within the spread: they cost nothing, which is what they are for, and they win nothing.
"""

WAYS = """
## Estimators and scales (`table`)

One epoch, seed 0, W2A4; activations learn by LSQ where not said otherwise. A difference below 0.5 points is noise.
"""

DISTILLED = """
## ResNet8 (`resnet8`)

The zoo has 20 labelled CIFAR-10 images and no training data, so accuracy by training cannot be had honestly. `resnet8`
distils the float network on 2,000 crops of 15 unlabelled ImageNet pictures for three epochs, and measures on the chip
how often the answers are the float network's on 500 crops of 5 other pictures, and how many of the 20 images are right
({right} in float).
"""


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; columns after the first are numbers."""
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def by_name(rows: Iterable[Row], *, part: str) -> dict[str, list[Row]]:
    """Runs of a part by their name, in the order of the file and of seeds."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["part"] == part:
            found.setdefault(row["name"], []).append(row)
    return {name: sorted(held, key=lambda row: int(row["seed"])) for name, held in found.items()}


def percents(rows: Iterable[Row], key: str = "chip") -> list[float]:
    return [100 * float(row[key]) for row in rows]


def spread(values: list[float]) -> str:
    return f"{stdev(values):.2f}" if len(values) > 1 else ""


def listed(values: Iterable[float], digits: int = 2) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


def bars(runs: Mapping[str, list[Row]]) -> str:
    least = {"W2A4": (97.5, "at least 97.5"), "binary weights, A4": (96.0, "at least 96")}
    rows = []
    for name, held in runs.items():
        values = percents(held)
        bar, words = least.get(name, (99.0, "float within 0.2"))
        missed = bar - round(fmean(values), 2)
        rows.append(
            (
                name.replace("slow, jitter, teacher", "gentle course"),
                f"{100 * held[0]['before']:.2f}",
                listed(values),
                f"{fmean(values):.2f}",
                spread(values),
                f"{words}: " + ("met" if missed <= 0 else f"missed by {missed:.2f}"),
            )
        )
    return table(("storage", "post-training (mse)", "trained, by seed", "mean", "spread", "bar"), rows)


def courses(runs: Mapping[str, list[Row]], key: str, digits: int) -> str:
    """A row a course, against the plain one."""
    plain = percents(next(held for name, held in runs.items() if name.endswith("plain")), key)
    rows = []
    for name, held in runs.items():
        values = percents(held, key)
        gains = [mine - other for mine, other in zip(values, plain, strict=True)]
        against = "" if name.endswith("plain") else f"{fmean(gains):+.2f} ({spread(gains)})"
        rows.append(
            (
                name.removeprefix("W2A4, "),
                listed(values, digits),
                f"{fmean(values):.2f}",
                against,
                f"{fmean(row['cpu_s'] for row in held):.0f}",
            )
        )
    return table(("course", "by seed", "mean", "against plain (spread)", "CPU s"), rows)


def equality(rows: Iterable[Row]) -> str:
    return table(
        ("network", "format", "codes", "chip's values", "one layer", "all in torch", "outputs"),
        (
            (
                row["model"],
                row["format"],
                f"{row['codes']:,}",
                f"{row['exact']:,}",
                f"{row['layer']:,}",
                f"{row['whole']:,}",
                f"{row['outputs_exact']}, {row['trained_exactly']} of {row['outputs']:,}",
            )
            for row in rows
            if row["part"] == "equality"
        ),
    )


def page(held: Mapping[str, Row]) -> str:
    """The report's text."""
    runs = list(held.values())
    small = by_name(runs, part="resnet8")
    four = small["W4A4"]
    low = {name: rows for name, rows in small.items() if name != "W4A4"}
    distilled = table(
        ("storage, seed", "agreement before, %", "after, %", "right of 20 before", "after", "CPU s"),
        (
            (
                f"W4A4, seed {row['seed']}",
                f"{100 * row['agreement_before']:.1f}",
                f"{100 * row['agreement_after']:.1f}",
                row["right_before"],
                row["right_after"],
                f"{row['cpu_s']:.0f}",
            )
            for row in four
        ),
    )
    ways = table(
        ("way", "on the chip, %", "CPU s"),
        (
            (name.removeprefix("W2A4: "), f"{100 * rows[0]['chip']:.2f}", f"{rows[0]['cpu_s']:.0f}")
            for name, rows in by_name(runs, part="table").items()
        ),
    )
    parts = [HEAD, BARS, bars(by_name(runs, part="bars")), BARS_AFTER, EQUALITY, equality(runs), EQUALITY_AFTER]
    parts += [CURVES, courses(by_name(runs, part="curves"), "chip", 2), "\n![Accuracy by step](training.svg)\n"]
    parts += [RESNET, courses(low, "agreement_after", 1), CONCLUSION, WAYS, ways]
    parts += [DISTILLED.format(right=four[0]["float_right"]), distilled]
    return "\n".join(parts) + "\n"


def main() -> int:
    """Write both files."""
    held = json.loads(RESULTS.read_text())
    atomic.write(REPORTS / "training.md", page(held).encode(), DataError)
    atomic.write(REPORTS / "training.svg", draw(held).encode(), DataError)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
