"""The figures with two axes: accuracy against cost, and a roofline for each target."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hwsim.perf.result import LayerEstimate
from hwsim.report.humanise import percent, short_percent, si, significant
from hwsim.report.model import Comparison, TargetResult
from hwsim.report.scale import Axis, log_axis, share_axis, tick_number, tick_si
from hwsim.report.svg import Label, Placed, Plane, marker, num, pct, picture, place_labels, point, shorten

HEIGHT = 250.0
ROOF_HEIGHT = 220.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawn panel.

    ``svg`` is empty when there is nothing to draw; ``note`` says what could not be drawn; ``labelled`` is False when
    the marks stand too close for names beside them, and the page needs a key.
    """

    svg: Markup
    note: str = ""
    labelled: bool = True


def labels_of(results: Sequence[TargetResult]) -> list[str]:
    """A short name for each target; with its precision where the name alone is not unique."""
    names = [result.target.name for result in results]
    return [
        f"{result.target.name} {result.target.precision}" if names.count(result.target.name) > 1 else result.target.name
        for result in results
    ]


def short_layer(name: str, op: str) -> str:
    """A layer's name without what exporters repeat: ``/layer1/layer1.0/conv1/Conv`` reads ``layer1.0/conv1``."""
    parts = [part for part in name.split("/") if part] or [name]
    if len(parts) > 1 and parts[-1] == op:
        parts.pop()
    kept = [part for part, after in zip(parts, [*parts[1:], ""], strict=True) if not after.startswith(f"{part}.")]
    return "/".join(kept) or name


def front(points: Sequence[tuple[float, float]], *, more_is_better: bool) -> list[int]:
    """Indices of the points that no other beats in both: x small and y large (or small), in the order of x."""
    sign = 1.0 if more_is_better else -1.0
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -sign * points[index][1], index))
    kept: list[int] = []
    for index in order:
        if not kept or sign * points[index][1] > sign * points[kept[-1]][1]:
            kept.append(index)
    return kept


def accuracy_plane(comparison: Comparison, cost: str) -> Figure:
    """Accuracy with its 95% interval against energy or latency, the float32 baseline, and the best at each cost."""
    results = comparison.results
    names = labels_of(results)
    costs = [result.energy_j if cost == "energy" else result.latency_s for result in results]
    drawn = [i for i, result in enumerate(results) if result.accuracy is not None and costs[i] > 0]
    missing = [names[i] for i in range(len(results)) if i not in drawn]
    if not drawn:
        return Figure(Markup(""), _missing(missing, cost))
    shares: list[float] = []
    for i in drawn:
        accuracy = results[i].accuracy
        assert accuracy is not None
        shares += [*accuracy.interval, *([] if accuracy.baseline is None else [accuracy.baseline])]
    unit, word = ("J", "energy an inference") if cost == "energy" else ("s", "latency of a batch")
    pad = max(0.002, 0.08 * (max(shares) - min(shares)))
    plane = Plane(
        log_axis([costs[i] for i in drawn], tick_si(unit), labels=4),
        share_axis(min(shares) - pad, max(shares) + pad),
        HEIGHT,
    )
    parts = [plane.frame(word, f"{_metric(comparison)}, %"), _baselines(comparison, plane)]
    where = [(plane.x.at(costs[i]), plane.py(_value(results[i]))) for i in drawn]
    best = front([(costs[i], _value(results[i])) for i in drawn], more_is_better=True)
    steps = staircase([(costs[drawn[j]], _value(results[drawn[j]])) for j in best])
    parts.append(plane.path(steps, "front") if steps else Markup(""))
    lines = [*segments(plane, steps), *((0.0, plane.py(b), 1.0, plane.py(b)) for b in _baseline_values(comparison))]
    for i, (x, y) in zip(drawn, where, strict=True):
        accuracy = results[i].accuracy
        assert accuracy is not None
        low, high = accuracy.interval
        whisker = Markup('<line class="whisker t{}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            i % 8, pct(x), pct(x), num(plane.py(high)), num(plane.py(low))
        )
        hover = (
            f"{results[i].target.title}: {percent(accuracy.value)} (95% {percent(low)} to {percent(high)}), "
            f"{si(costs[i], unit)}"
        )
        parts += [whisker, point(x, y, marker(i), hover)]
        lines.append((x, plane.py(high), x, plane.py(low)))
    labels = [Label(x, y, shorten(names[i])) for i, (x, y) in zip(drawn, where, strict=True)]
    placed = place_labels(labels, [(x, y, 7.0) for x, y in where], HEIGHT, lines=lines)
    labelled = _legible(placed, len(labels))
    parts += [item.draw() for item in placed if labelled]
    described = "; ".join(f"{names[i]} {percent(_value(results[i]))} at {si(costs[i], unit)}" for i in drawn)
    title = f"{_metric(comparison)} against {word}"
    svg = picture(f"plane-{cost}", title, f"{title}: {described}.", HEIGHT, Markup("").join(parts), kind="xy")
    return Figure(svg, _missing(missing, cost), labelled)


def cost_plane(comparison: Comparison) -> Figure:
    """Latency against energy, for comparisons without accuracy."""
    results, names = comparison.results, labels_of(comparison.results)
    drawn = [i for i, result in enumerate(results) if result.energy_j > 0 and result.latency_s > 0]
    missing = [names[i] for i in range(len(results)) if i not in drawn]
    if not drawn:
        return Figure(Markup(""), _missing(missing, "energy or latency"))
    plane = Plane(
        log_axis([results[i].energy_j for i in drawn], tick_si("J"), labels=4),
        log_axis([results[i].latency_s for i in drawn], tick_si("s")),
        HEIGHT,
    )
    pairs = [(results[i].energy_j, results[i].latency_s) for i in drawn]
    where = [(plane.x.at(energy), plane.py(latency)) for energy, latency in pairs]
    best = front(pairs, more_is_better=False)
    steps = staircase([pairs[j] for j in best])
    parts = [
        plane.frame("energy an inference", "latency of a batch"),
        plane.path(steps, "front") if steps else Markup(""),
    ]
    for i, (x, y), (energy, latency) in zip(drawn, where, pairs, strict=True):
        parts.append(point(x, y, marker(i), f"{results[i].target.title}: {si(latency, 's')}, {si(energy, 'J')}"))
    labels = [Label(x, y, shorten(names[i])) for i, (x, y) in zip(drawn, where, strict=True)]
    placed = place_labels(labels, [(x, y, 7.0) for x, y in where], HEIGHT, lines=segments(plane, steps))
    labelled = _legible(placed, len(labels))
    parts += [item.draw() for item in placed if labelled]
    title = "latency against energy an inference"
    described = "; ".join(
        f"{names[i]} {si(results[i].latency_s, 's')} at {si(results[i].energy_j, 'J')}" for i in drawn
    )
    svg = picture("plane-cost", title, f"{title}: {described}.", HEIGHT, Markup("").join(parts), kind="xy")
    return Figure(svg, _missing(missing, "energy or latency"), labelled)


def _legible(placed: Sequence[Placed], wanted: int) -> bool:
    """Every label has a place; among many marks, few of them across a line."""
    return len(placed) == wanted and (wanted <= 4 or sum(item.across for item in placed) < 2)


def _missing(names: Sequence[str], cost: str) -> str:
    return f"Not drawn, no accuracy or no {cost} above zero: {', '.join(names)}." if names else ""


def _metric(comparison: Comparison) -> str:
    return next((result.accuracy.metric for result in comparison.results if result.accuracy), "accuracy")


def _value(result: TargetResult) -> float:
    return result.accuracy.value if result.accuracy else 0.0


def _baseline_values(comparison: Comparison) -> list[float]:
    return sorted(
        {r.accuracy.baseline for r in comparison.results if r.accuracy is not None and r.accuracy.baseline is not None}
    )


def _baselines(comparison: Comparison, plane: Plane) -> Markup:
    values, parts = _baseline_values(comparison), []
    for value in values:
        y = plane.py(value)
        parts.append(Markup('<line class="baseline" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(num(y)))
    if values:
        text = "fp32 " + " / ".join(percent(value) for value in values)
        parts.append(Markup('<text class="axis-title" x="100%" y="-12" text-anchor="end">╌ {}</text>').format(text))
    return Markup("").join(parts)


def staircase(corners: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The front as steps: what can be had at each cost. Nothing for a single corner."""
    if len(corners) < 2:
        return []
    steps = [corners[0]]
    for (_, y0), (x1, y1) in itertools.pairwise(corners):
        steps += [(x1, y0), (x1, y1)]
    return steps


def segments(plane: Plane, steps: Sequence[tuple[float, float]]) -> list[tuple[float, float, float, float]]:
    places = [(plane.x.at(x), plane.py(y)) for x, y in steps]
    return [(*a, *b) for a, b in itertools.pairwise(places)]


def roof_axes(results: Sequence[TargetResult]) -> tuple[Axis, Axis]:
    """Axes that all rooflines of a page share, so that panels can be compared."""
    intensity, rate = [], []
    for result in results:
        estimate = result.estimate
        if estimate.dram_bytes_per_s > 0 and estimate.peak_macs_per_s > 0:
            ridge = estimate.peak_macs_per_s / estimate.dram_bytes_per_s
            intensity += [ridge / 4, ridge * 4]
            rate.append(estimate.peak_macs_per_s)
        for row in _products(result):
            rate.append(row.macs / row.seconds)
            if row.dram_bytes > 0:
                intensity.append(row.macs / row.dram_bytes)
    return log_axis(intensity, tick_number, labels=4), log_axis(rate, lambda value: si(value, "", 1), labels=5, pad=1.8)


def roofline(result: TargetResult, index: int, axes: tuple[Axis, Axis]) -> Figure:
    """Matrix layers of one target under its ceilings: memory bandwidth (slope) and peak rate (flat); area is time."""
    estimate, rows = result.estimate, _products(result)
    plane = Plane(axes[0], axes[1], ROOF_HEIGHT)
    peak, bandwidth = estimate.peak_macs_per_s, estimate.dram_bytes_per_s
    parts = [plane.frame("MAC per DRAM byte", "MAC/s")]
    left, right, bottom = plane.x.low, plane.x.high, plane.y.low
    if peak > 0 and bandwidth > 0:
        ridge = peak / bandwidth
        start = max(left, bottom / bandwidth)
        roof = [
            (start, start * bandwidth),
            *([(ridge, peak)] if start < ridge < right else []),
            (right, min(peak, right * bandwidth)),
        ]
        area = [(start, bottom), *roof, (right, bottom)]
        parts += [plane.path(area, f"under t{index % 8}", closed=True), plane.path(roof, f"roof t{index % 8}")]
        parts.append(
            Markup('<line class="ridge" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
                pct(plane.x.at(ridge)), num(plane.py(peak)), num(ROOF_HEIGHT)
            )
        )
    total = sum(row.seconds for row in rows)
    dots: list[tuple[float, float, float]] = []
    for row in rows:
        resident = row.dram_bytes == 0
        x = 1.0 if resident else plane.x.at(row.macs / row.dram_bytes)
        y = plane.py(row.macs / row.seconds)
        radius = 3.0 + 6.0 * (row.seconds / total) ** 0.5 if total > 0 else 3.0
        dots.append((x, y, radius))
    labels: list[Label] = []
    for row, (x, y, radius) in sorted(zip(rows, dots, strict=True), key=lambda pair: -pair[0].seconds):
        kind = "dot hollow" if row.dram_bytes == 0 else "dot"
        bytes_text = (
            "no DRAM traffic" if row.dram_bytes == 0 else f"{significant(row.macs / row.dram_bytes)} MAC per DRAM byte"
        )
        hover = (
            f"{row.name}: {si(row.macs / row.seconds, 'MAC/s')}, {bytes_text}, "
            f"{short_percent(row.utilisation)} of peak, {row.bound} bound"
        )
        dot = Markup('<circle class="{} t{}" r="{}"/>').format(kind, index % 8, num(radius))
        parts.append(point(x, y, dot, hover))
        if len(labels) < 4:
            labels.append(Label(x, y, shorten(short_layer(row.name, row.op), 15), radius, "label small"))
    top = plane.py(peak)
    flat = [(plane.x.at(peak / bandwidth), top, 1.0, top)] if peak > 0 and bandwidth > 0 else []
    parts += [item.draw() for item in place_labels(labels, dots, ROOF_HEIGHT, lines=flat)]
    ceilings = f"peak {si(peak, 'MAC/s')}, memory {si(bandwidth, 'B/s')}"
    title = f"Roofline of {result.target.title}"
    description = f"{ceilings}; {len(rows)} matrix layers as points."
    svg = picture(f"roof-{index}", title, description, ROOF_HEIGHT, Markup("").join(parts), kind="xy")
    edge = sum(1 for row in rows if row.dram_bytes == 0)
    note = f"{ceilings}" + (f"; {edge} layers without DRAM traffic stand hollow at the right edge" if edge else "")
    return Figure(svg, note)


def _products(result: TargetResult) -> list[LayerEstimate]:
    return [row for row in result.estimate.rows if row.macs > 0 and row.seconds > 0]
