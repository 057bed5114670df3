"""The outlier picture: what a tensor holds, the densities fitted to it, and where each rule ends its range."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

import hwsim.report
from hwsim.report.scale import Axis, linear_axis
from hwsim.report.svg import Plane, num, pct

WIDTH, HEIGHT, LEFT, TOP = 900, 300, 60, 76
DECADES = 6
RULE_STEP = 17.0
"""Pixels from one rule's label to the next, under the axis."""


def draw(
    title: str,
    edges: NDArray[Any],
    density: NDArray[Any],
    curves: Sequence[tuple[str, NDArray[Any], NDArray[Any]]],
    ends: Mapping[str, float],
) -> str:
    """A file of its own in the report's colours, dark where the reader's screen is.

    Args:
        title: above the plot.
        edges, density: a histogram, its density a bin.
        curves: (name, x, density).
        ends: rule -> upper end of its range.
    """
    peak = float(density.max())
    right = max(float(edges[-1]), *ends.values())
    x = linear_axis(float(edges[0]), right, lambda value, decimals: f"{value:.{decimals}f}", labels=8)
    y = Axis(
        peak * 10.0**-DECADES,
        peak * 2,
        True,
        tuple(
            (float((DECADES - d) / (DECADES + np.log10(2))), "1" if not d else f"1e-{d}")
            for d in range(0, DECADES + 1, 2)
        ),
    )
    plane = Plane(x, y, HEIGHT)
    parts = [plane.frame("value", "density, of the peak")]
    for low, high, value in zip(edges[:-1], edges[1:], density, strict=True):
        if value > 0:
            wide, top = plane.x.at(float(high)) - plane.x.at(float(low)), plane.py(float(value))
            parts.append(
                Markup('<rect class="bar soft t0" x="{}" y="{}" width="{}" height="{}"/>').format(
                    pct(plane.x.at(float(low))), num(top), pct(max(wide * 0.9, 0.001)), num(HEIGHT - top)
                )
            )
    for at, (name, xs, ys) in enumerate(curves, start=1):
        seen = [(float(a), max(float(b), y.low)) for a, b in zip(xs, ys, strict=True)]
        parts.append(Markup('<g class="t{}">{}</g>').format(at, plane.path(seen, "roof")))
        parts.append(
            Markup('<text class="label t{} named" x="100%" y="{}" text-anchor="end">{}</text>').format(
                at, 12 + 16 * at, name
            )
        )
    for at, (rule, end) in enumerate(sorted(ends.items(), key=lambda item: item[1])):
        place, foot = pct(plane.x.at(end)), HEIGHT + 44 + RULE_STEP * at
        kind = "end strong" if rule in ("minmax", "multistage") else "end"
        parts.append(Markup('<line class="{}" x1="{}" x2="{}" y1="0" y2="{}"/>').format(kind, place, place, num(foot)))
        side, shift = ("end", -5) if plane.x.at(end) > 0.2 else ("start", 5)
        parts.append(
            Markup('<text class="label" x="{}" dx="{}" y="{}" text-anchor="{}">{}</text>').format(
                place, shift, num(foot), side, f"{rule} {end:.3g}"
            )
        )
    return alone(title, Markup("").join(parts), TOP + HEIGHT + 60 + int(RULE_STEP * len(ends)))


def alone(title: str, body: Markup, height: int, hues: int = 3) -> str:
    """The figure with the part of the report's style sheet that it needs, and so many of its colours."""
    sheet = (Path(hwsim.report.__file__).parent / "templates" / "report.css").read_text()
    head = sheet[: sheet.index("* { box-sizing")]
    rules = [line for line in sheet.splitlines() if re.match(r"svg |\.(grid|axis|roof|bar|t\d|front|mark)\b", line)]
    own = [
        "svg { overflow: visible; } .page { fill: var(--paper); } .heading { font-size: 14px !important; }",
        ".end { stroke: var(--ink3); stroke-dasharray: 3 3; } .strong { stroke: var(--ink); stroke-dasharray: none; }",
        *(f".t{i} {{ --hue: var(--t{i}); }}" for i in range(hues)),
        "svg .named { fill: var(--hue); }",
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img"><title>{escape(title)}</title><style>\n{head}' + "\n".join([*rules, *own]) + "\n</style>\n"
        f'<rect class="page" width="{WIDTH}" height="{height}"/>'
        f'<text class="label heading" x="{LEFT}" y="28">{escape(title)}</text>\n'
        f'<svg x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - 24}" height="{HEIGHT}" overflow="visible">'
        f"{body}</svg></svg>\n"
    )
