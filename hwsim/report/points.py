"""The page of a design space: its points as planes, what nothing beats, limits, failures. Takes plain values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from markupsafe import Markup

from hwsim.report.figures import Figure, staircase
from hwsim.report.humanise import count, percent, si, significant
from hwsim.report.page import Page, render
from hwsim.report.scale import Axis, linear_axis, log_axis, share_axis, tick_number, tick_si
from hwsim.report.svg import PALETTE, Plane, marker, num, pct, picture, point, swatch

HEIGHT = 260.0
DRAWN = 1500
"""Points that a plane shows besides the best, at most; evenly chosen in the order of the search."""
PLANES = 6
"""Pairs of objectives that are drawn, at most."""
SHARES = ("accuracy", "accuracy_loss", "agreement", "utilisation")
"""Numbers that are shares of 1."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """What a point is judged by: name, unit (empty for shares and counts), ``min`` or ``max``, a line of text."""

    name: str
    unit: str
    better: str
    text: str = ""

    def show(self, value: float | None) -> str:
        """A value for people."""
        if value is None:
            return "–"
        if self.name in SHARES:
            return percent(value)
        if self.unit in ("s", "J", "W", "B", "/s", "J s"):
            return si(value, self.unit)
        return count(int(value)) if value == round(value) else significant(value, 4)


@dataclass(frozen=True, slots=True)
class Spot:
    """One point: its choices and numbers (None where it failed), the task that it belongs to, and how it fared."""

    choices: Mapping[str, str]
    values: Mapping[str, float] | None
    task: str = ""
    feasible: bool = True
    best: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound on one gauge; None where there is none on that side."""

    gauge: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Points:
    """A design space that was tried.

    Attributes:
        name, description: of the sweep.
        gauges: name -> gauge, for every number that points have.
        objectives: names of gauges that the best are judged by.
        spots: all points, in the order of the search.
        document, schema: the result as JSON, whose hash stands on the page.
        spec: what was asked, as text.
        command, versions: what makes it again.
    """

    name: str
    description: str
    gauges: Mapping[str, Gauge]
    objectives: tuple[str, ...]
    limits: tuple[Limit, ...]
    spots: tuple[Spot, ...]
    document: str
    schema: str
    spec: str = ""
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def best(self) -> list[Spot]:
        """The points that nothing beats, task by task, the best first by the first objective."""
        first = self.gauges[self.objectives[0]]
        sign = 1.0 if first.better == "min" else -1.0
        found = [spot for spot in self.spots if spot.best and spot.values is not None]
        return sorted(found, key=lambda spot: (spot.task, sign * (spot.values or {})[first.name]))

    @property
    def failed(self) -> list[Spot]:
        """The points without numbers."""
        return [spot for spot in self.spots if spot.values is None]

    @cached_property
    def varying(self) -> list[str]:
        """Dimensions in which points that have numbers differ."""
        known = [spot for spot in self.spots if spot.values is not None]
        return [name for name in _dimensions(self) if len({spot.choices.get(name) for spot in known}) > 1]

    @cached_property
    def tasks(self) -> list[str]:
        """What is asked of points; those of different tasks are not held against each other."""
        return list(dict.fromkeys(spot.task for spot in self.spots))


def render_points(points: Points) -> str:
    """The page; equal values give equal bytes."""
    page = Page(
        kind="sweep",
        title=points.name,
        meta=(("points", count(len(points.spots))), ("objectives", ", ".join(points.objectives))),
        document=points.document,
        what="this result",
        schema=points.schema,
        command=points.command,
        facts=(("versions", ", ".join(f"{name} {version}" for name, version in points.versions.items())),),
        version=points.versions.get("hwsim", ""),
    )
    best, tasks = points.best, points.tasks
    varying = points.varying or _dimensions(points)[:1]
    pairs = list(itertools.combinations(points.objectives, 2))[:PLANES]
    return render(
        "points.html.j2",
        page,
        points=points,
        sentences=_sentences(points),
        planes=[_plane(points, x, y, f"plane-{index}") for index, (x, y) in enumerate(pairs)],
        best=best,
        gauges=[gauge for gauge in points.gauges.values() if any(s.values and gauge.name in s.values for s in best)],
        dimensions=[(name, _short(name, varying)) for name in varying],
        bounded=any(limit.gauge in points.objectives for limit in points.limits),
        tasks=[(swatch(index), task) for index, task in enumerate(tasks)] if len(tasks) > 1 else [],
        swatches={task: swatch(index) for index, task in enumerate(tasks)},
        limits=[_limit(points, limit) for limit in points.limits],
        failures=points.failed,
    )


def _dimensions(points: Points) -> list[str]:
    return list(dict.fromkeys(name for spot in points.spots for name in spot.choices))


def _sentences(points: Points) -> list[str]:
    total, failed = len(points.spots), len(points.failed)
    feasible = sum(spot.feasible for spot in points.spots if spot.values is not None)
    best = points.best
    kept = f"{count(len(best))} of {count(total)} points"
    said = [f"{kept} {'is' if len(best) == 1 else 'are'} best: no other is as good in every objective."]
    if points.limits:
        said.append(f"{count(feasible)} meet every limit, {count(total - failed - feasible)} do not.")
    if failed:
        said.append(f"{count(failed)} failed.")
    if not best:
        return [f"None of {count(total)} points meets every limit." if total else "There are no points.", *said[2:]]
    if len(points.tasks) == 1:
        for name in points.objectives:
            gauge = points.gauges[name]
            choose: Callable[..., Spot] = min if gauge.better == "min" else max
            top = choose(best, key=lambda spot, name=name: (spot.values or {})[name])
            word = "lowest" if gauge.better == "min" else "highest"
            said.append(f"The {word} {name} is {gauge.show((top.values or {})[name])}: {_words(points, top)}.")
    return said


def _short(name: str, names: Sequence[str]) -> str:
    """The last part of a target field's path, where no other dimension has the same."""
    last = name.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in names) == 1 else name


def _words(points: Points, spot: Spot) -> str:
    """The choices of a point that differ among points."""
    names = [name for name in points.varying if name in spot.choices]
    return ", ".join(f"{_short(name, names)} {spot.choices[name]}" for name in names)


def _limit(points: Points, limit: Limit) -> dict[str, str]:
    gauge = points.gauges[limit.gauge]
    known = [spot.values[gauge.name] for spot in points.spots if spot.values and gauge.name in spot.values]
    met = sum(_inside(value, limit) for value in known)
    return {
        "name": gauge.name,
        "text": gauge.text,
        "low": gauge.show(limit.low),
        "high": gauge.show(limit.high),
        "met": f"{count(met)} of {count(len(known))}",
    }


def _inside(value: float, limit: Limit) -> bool:
    return (limit.low is None or value >= limit.low) and (limit.high is None or value <= limit.high)


def _axis(gauge: Gauge, values: Sequence[float], *, labels: int) -> Axis:
    """Logarithmic for times, energies and other amounts above zero; linear for shares and what may be negative."""
    if gauge.name in SHARES and min(values) >= 0:
        pad = max(0.002, 0.08 * (max(values) - min(values)))
        return share_axis(min(values) - pad, max(values) + pad, labels=labels)
    if min(values) > 0:
        tick = tick_si(gauge.unit) if gauge.unit else tick_number
        return log_axis(values, tick, labels=labels)
    pad = 0.08 * (max(values) - min(values)) or 1.0
    text: Callable[[float, int], str] = lambda value, decimals: f"{value:.{decimals}f}"  # noqa: E731
    return linear_axis(min(values) - pad, max(values) + pad, text, labels=labels)


def _plane(points: Points, x_name: str, y_name: str, ident: str) -> Figure:
    """Two objectives: every point, the best of each task as marks, and steps along what no other beats in these two."""
    gx, gy = points.gauges[x_name], points.gauges[y_name]
    known = [
        spot
        for spot in points.spots
        if spot.values and all(math.isfinite(spot.values.get(name, math.nan)) for name in (x_name, y_name))
    ]
    title = f"{y_name} against {x_name}"
    if not known:
        return Figure(Markup(""), f"{title}: no point has both.")

    def at(spot: Spot) -> tuple[float, float]:
        values = spot.values or {}
        return values[x_name], values[y_name]

    bounds = [limit for limit in points.limits if limit.gauge in (x_name, y_name)]
    spread = {name: [at(spot)[place] for spot in known] for place, name in enumerate((x_name, y_name))}
    plane = Plane(_axis(gx, spread[x_name], labels=4), _axis(gy, spread[y_name], labels=5), HEIGHT)
    unit = {True: ", %", False: ""}
    parts = [plane.frame(f"{x_name}{unit[x_name in SHARES]}", f"{y_name}{unit[y_name in SHARES]}")]
    parts += [_bound(plane, limit, limit.gauge == x_name, spread[limit.gauge]) for limit in bounds]
    hue = {task: index % PALETTE for index, task in enumerate(points.tasks)}
    others = [spot for spot in known if not spot.best]
    step = max(1, math.ceil(len(others) / DRAWN))
    for spot in others[::step]:
        kind = f"other t{hue[spot.task]}" if spot.feasible else "other hollow"
        dot = Markup('<circle class="{}" r="2.6"/>').format(kind)
        parts.append(_point(points, plane, spot, at(spot), gx, gy, dot))
    best = [spot for spot in known if spot.best]
    for task in points.tasks:
        mine = [spot for spot in best if spot.task == task]
        front = _front([at(spot) for spot in mine], gx.better, gy.better)
        steps = staircase(front)
        if steps:
            parts.append(plane.path(steps, f"stairs t{hue[task]}"))
    for spot in best:
        parts.append(_point(points, plane, spot, at(spot), gx, gy, marker(hue[spot.task], scale=0.8)))
    described = f"{len(known)} points, {len(best)} of them beaten by none"
    svg = picture(ident, title, f"{title}: {described}.", HEIGHT, Markup("").join(parts), kind="xy")
    note = f"One in {step} of the beaten points is drawn." if step > 1 else ""
    return Figure(svg, note)


def _point(
    points: Points, plane: Plane, spot: Spot, place: tuple[float, float], gx: Gauge, gy: Gauge, mark: Markup
) -> Markup:
    hover = f"{_words(points, spot)}: {gx.name} {gx.show(place[0])}, {gy.name} {gy.show(place[1])}"
    return point(plane.x.at(place[0]), plane.py(place[1]), mark, hover if spot.feasible else f"{hover}; misses a limit")


def _bound(plane: Plane, limit: Limit, upright: bool, values: Sequence[float]) -> Markup:
    """A dashed line at each side of a limit that lies inside the plane."""
    parts = []
    for value in (limit.low, limit.high):
        axis = plane.x if upright else plane.y
        if value is None or not axis.low < value < axis.high:
            continue
        if upright:
            line = Markup('<line class="limit" x1="{0}" x2="{0}" y1="0" y2="{1}"/>')
            parts.append(line.format(pct(axis.at(value)), num(plane.height)))
        else:
            line = Markup('<line class="limit" x1="0" x2="100%" y1="{0}" y2="{0}"/>')
            parts.append(line.format(num(plane.py(value))))
    return Markup("").join(parts)


def _front(pairs: Sequence[tuple[float, float]], better_x: str, better_y: str) -> list[tuple[float, float]]:
    """The pairs that no other beats in both, from the best x on."""
    sx, sy = (1.0 if side == "min" else -1.0 for side in (better_x, better_y))
    kept: list[tuple[float, float]] = []
    for x, y in sorted(set(pairs), key=lambda pair: (sx * pair[0], sy * pair[1])):
        if not kept or sy * y < sy * kept[-1][1]:
            kept.append((x, y))
    return kept
