"""The page of what a network withstands: accuracy under attacks, corruptions and faults, float beside each target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hwsim.report.humanise import count, percent, points
from hwsim.report.model import wilson
from hwsim.report.page import page_of, render
from hwsim.report.scale import Axis, linear_axis, log_axis, share_axis, tick_number
from hwsim.report.stress import SCHEMA, Stress, kinds, stress_json
from hwsim.report.svg import Plane, marker, num, pct, picture, point, swatch

HEIGHT = 220.0
WORDS = {
    "fgsm": "One step along the sign of the gradient.",
    "pgd": "Steps along the sign of the gradient, from a random start.",
    "square": "Random squares, kept where they help; it sees scores only.",
    "motion_blur": "A straight move during exposure, in any direction.",
    "defocus": "Each point becomes a disc.",
    "low_light": "Shot noise of few photons, and read noise.",
    "contrast": "Differences from the mean shrink.",
    "jpeg": "Encoded and decoded at low quality.",
    "weights": "Flipped once, as a memory that is loaded once.",
    "activations": "Flipped anew for each input, in all that is stored.",
    "accumulators": "Each sum once, when it is complete.",
}


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: who it is of (its place among the columns), and (x, share, low, high, hover)."""

    at: int
    rows: tuple[tuple[float, float, float, float, str], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure: name, what it is, picture."""

    name: str
    text: str
    svg: Markup


def render_robustness(stress: Stress) -> str:
    """The page; equal values give equal bytes."""
    page = page_of(stress, "robustness", "this result", stress_json(stress), SCHEMA)
    places = {column.name: at for at, column in enumerate(stress.columns)}
    return render(
        "robustness.html.j2",
        page,
        stress=stress,
        sentences=_sentences(stress),
        swatches={name: swatch(at) for name, at in places.items()},
        wilson=lambda right: wilson(right, stress.n),
        attacks=[_attack(stress, kind) for kind in kinds(stress.attacks)],
        corruptions=[_corruption(stress, kind) for kind in kinds(stress.corruptions)],
        faults=[_fault(stress, place, places) for place in dict.fromkeys(row.place for row in stress.faults)],
        attack_kinds=kinds(stress.attacks),
        corruption_kinds=kinds(stress.corruptions),
        stranger_kinds=kinds(stress.strangers),
        scores=list(dict.fromkeys(row.score for row in stress.strangers)),
    )


def _sentences(stress: Stress) -> list[str]:
    """What a reader takes away: the worst of each table."""
    n = stress.n
    clean = {column.name: column.right for column in stress.columns}
    answers = ", ".join(f"{percent(column.right / n)} on {column.title}" for column in stress.columns)
    found = [f"As they are, of {count(n)} answers right: {answers}."]
    direct = [row for row in stress.attacks if row.crafted == row.tested]
    if direct:
        worst = min(direct, key=lambda row: row.right)
        found.append(
            f"The hardest attack, {worst.kind} with ε = {worst.epsilon:g}, leaves {stress.titles[worst.tested]} "
            f"{percent(worst.right / n)}."
        )
    if stress.corruptions:
        dark = max(stress.corruptions, key=lambda row: clean[row.tested] - row.right)
        lost = points((dark.right - clean[dark.tested]) / n)
        found.append(
            f"The corruption that costs most is {dark.kind.replace('_', ' ')} at severity {dark.severity}, "
            f"{lost} on {stress.titles[dark.tested]}."
        )
    if stress.strangers:
        blind = min(stress.strangers, key=lambda row: row.auroc)
        found.append(
            f"The strangers that are missed most are {blind.kind}, by {blind.score} on {stress.titles[blind.tested]}: "
            f"area under the ROC curve {blind.auroc:.3f}."
        )
    if stress.faults:
        harm = max(stress.faults, key=lambda row: row.harm)
        found.append(
            f"Flipped bits cost most in the {harm.place} of {stress.titles[harm.target]}: at a rate of {harm.rate:g}, "
            f"{percent(harm.accuracy)} are right."
        )
    return found


def _attack(stress: Stress, kind: str) -> Panel:
    curves = []
    for at, column in enumerate(stress.columns):
        rows = [(0.0, column.right), *((row.epsilon, row.right) for row in stress.direct(kind, column.name))]
        curves.append(_shares(at, column.title, rows, stress.n, lambda x: f"ε = {x:g}"))
    most = max(epsilon for epsilon, _ in stress.strengths(kind))
    x = linear_axis(0, most, lambda value, decimals: f"{value:.{decimals}f}", labels=4)
    return _panel(f"attack-{kind}", kind, curves, x, "ε, share of the span")


def _corruption(stress: Stress, kind: str) -> Panel:
    curves = []
    for at, column in enumerate(stress.columns):
        rows = [(0.0, column.right), *((float(r.severity), r.right) for r in stress.light(kind, column.name))]
        curves.append(_shares(at, column.title, rows, stress.n, lambda x: f"severity {x:.0f}"))
    x = linear_axis(0, 5, lambda value, _: f"{value:.0f}", labels=5)
    return _panel(f"corruption-{kind}", kind, curves, x, "severity")


def _fault(stress: Stress, place: str, places: dict[str, int]) -> Panel:
    curves = []
    for name, at in places.items():
        mine = sorted((row for row in stress.faults if (row.place, row.target) == (place, name)), key=lambda r: r.rate)
        if not mine:
            continue
        title = stress.titles[name]
        rows = [
            (r.rate, r.accuracy, max(0.0, r.low), min(1.0, r.high), f"{title}, rate {r.rate:g}: {percent(r.accuracy)}")
            for r in mine
        ]
        curves.append(Curve(at, tuple(rows)))
    x = log_axis([row[0] for curve in curves for row in curve.rows], tick_number, labels=4)
    return _panel(f"fault-{place}", place, curves, x, "probability that a bit flips")


def _shares(at: int, title: str, rows: Sequence[tuple[float, int]], n: int, where: Callable[[float], str]) -> Curve:
    return Curve(
        at, tuple((x, right / n, *wilson(right, n), f"{title}, {where(x)}: {percent(right / n)}") for x, right in rows)
    )


def _panel(ident: str, name: str, curves: Sequence[Curve], x: Axis, x_title: str) -> Panel:
    plane = Plane(x, share_axis(0, 1), HEIGHT)
    parts = [plane.frame(x_title, "accuracy, %")]
    for curve in curves:
        line = plane.path([row[:2] for row in curve.rows], "roof") if len(curve.rows) > 1 else Markup("")
        drawn = [Markup("{}{}").format(_whisker(plane, *row[:4]), _dot(plane, curve.at, row)) for row in curve.rows]
        parts.append(Markup('<g class="t{}">{}{}</g>').format(curve.at % 8, line, Markup("").join(drawn)))
    words = name.replace("_", " ")
    spoken = "; ".join(row[4] for curve in curves for row in curve.rows[-1:])
    svg = picture(
        ident, f"Accuracy under {words}", f"At the strongest: {spoken}", HEIGHT, Markup("").join(parts), kind="xy"
    )
    return Panel(words, WORDS.get(name, ""), svg)


def _dot(plane: Plane, at: int, row: tuple[float, float, float, float, str]) -> Markup:
    return point(plane.x.at(row[0]), plane.py(row[1]), marker(at, scale=0.7), row[4])


def _whisker(plane: Plane, x: float, _: float, low: float, high: float) -> Markup:
    """The 95 % interval."""
    return Markup('<line class="whisker" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
        pct(plane.x.at(x)), num(plane.py(low)), num(plane.py(high))
    )
