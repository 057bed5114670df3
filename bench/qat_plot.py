"""The curves of reports/training.md: mean accuracy of three seeds by step, in the report's colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from bench.calibration_plot import TOP, alone
from hwsim.report.learning import HEIGHT, score_curves


def draw(held: Mapping[str, Mapping[str, Any]]) -> str:
    """A file of its own."""
    found: dict[str, list[list[list[float]]]] = {}
    for run in held.values():
        if run["part"] == "curves":
            found.setdefault(run["name"], []).append(run["curve"])
    curves = []
    for name, seeds in found.items():
        rows = zip(*seeds, strict=True)
        curves.append((name, [(int(same[0][0]), sum(row[2] for row in same) / len(same)) for same in rows]))
    body = Markup('<g class="xy">{}</g>').format(score_curves(curves, "curves"))
    names = Markup("").join(
        Markup('<text class="label t{} named" x="{}%" y="{}">{}</text>').format(
            at, 33 * (at % 3), int(HEIGHT) + 52 + 18 * (at // 3), name
        )
        for at, (name, _) in enumerate(curves)
    )
    return alone(
        "MNIST CNN, INT2 weights: accuracy in torch by step, mean of the seeds", body + names, int(TOP + HEIGHT + 90)
    )
