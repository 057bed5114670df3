"""The figures with a row a layer or a target: names as text, bars as SVG that stretches with the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hwsim.perf.result import COMPONENTS, LayerEstimate
from hwsim.report.figures import labels_of, short_layer
from hwsim.report.humanise import percent, short_percent, si, significant
from hwsim.report.model import UNITS, Comparison, TargetResult
from hwsim.report.scale import Axis, linear_axis, log_axis, share_axis, tick_si
from hwsim.report.svg import marker, num, pct, picture, point

ROW = 22.0
"""Pixels a row; the style sheet has the same number."""

MAX_ROWS = 24
"""Rows a panel shows; the smaller layers beyond it are added up in one last row."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A panel of rows: ``names`` and ``values``, one a row, beside ``svg``; ``hovers`` are the names in full."""

    names: tuple[str, ...]
    hovers: tuple[str, ...]
    values: tuple[str, ...]
    svg: Markup


@dataclass(frozen=True, slots=True)
class Strip:
    """One metric of the headline: a row a target on a common scale.

    ``ends`` are the texts of the scale's two ends, ``best`` the indices of the winners (none where
    accuracies do not differ).
    """

    rows: Rows
    ends: tuple[str, str]
    best: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    short: str
    name: str
    rows: tuple[LayerEstimate, ...]

    @property
    def single(self) -> bool:
        """Whether it is one layer; the sum of the small ones gets a value but no bar, or it would dwarf the others."""
        return len(self.rows) == 1

    @property
    def seconds(self) -> float:
        return sum(row.seconds for row in self.rows)

    def energy(self, component: str) -> float:
        return sum(row.energy_pj.get(component, 0.0) for row in self.rows)

    @property
    def total_pj(self) -> float:
        return sum(row.total_pj for row in self.rows)

    @property
    def utilisation(self) -> float | None:
        """Of the matrix unit, weighted by time; None for vector operations."""
        seconds = sum(row.seconds for row in self.rows if row.macs)
        return sum(row.utilisation * row.seconds for row in self.rows if row.macs) / seconds if seconds > 0 else None


def components_of(comparison: Comparison) -> tuple[str, ...]:
    """Energy components that appear, the known ones first and in their order."""
    found = {name for result in comparison.results for name, value in result.estimate.energy_pj.items() if value > 0}
    found |= {
        name
        for result in comparison.results
        for row in result.estimate.rows
        for name, value in row.energy_pj.items()
        if value > 0
    }
    return (*(name for name in COMPONENTS if name in found), *sorted(found - set(COMPONENTS)))


def component_class(name: str) -> str:
    """CSS class of an energy component's colour."""
    return f"c{COMPONENTS.index(name)}" if name in COMPONENTS else "c6"


def energy_shares(comparison: Comparison, components: Sequence[str]) -> Rows:
    """Each target's energy by component, as shares of its own total; totals at the right."""
    bars, names, values = [], [], []
    for position, (result, name) in enumerate(zip(comparison.results, labels_of(comparison.results), strict=True)):
        parts = [(c, result.estimate.energy_pj.get(c, 0.0)) for c in components]
        total = sum(value for _, value in parts)
        bars.append(_stack(position, parts, total, result.target.title, result.estimate.batch))
        names.append(name)
        values.append(si(result.energy_j, "J"))
    described = "; ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
    svg = bar_picture(
        "energy-shares",
        "Energy an inference by component",
        f"Shares of each target's total: {described}.",
        len(names),
        bars,
    )
    return Rows(tuple(names), tuple(names), tuple(values), svg)


def layer_energy(result: TargetResult, index: int, components: Sequence[str]) -> Rows:
    """One target's energy a layer and inference, stacked by component, on the target's own scale."""
    groups = _groups(result, lambda row: row.total_pj)
    largest = max((group.total_pj for group in groups if group.single), default=0.0)
    batch = result.estimate.batch
    bars = [
        _stack(position, [(c, group.energy(c)) for c in components], largest, group.name, batch)
        for position, group in enumerate(groups)
        if group.single
    ]
    values = tuple(si(group.total_pj * 1e-12 / batch, "J") for group in groups)
    title = f"Energy of each layer on {result.target.title}"
    top = max((group for group in groups if group.single), key=lambda group: group.total_pj, default=None)
    described = (
        f"{len(groups)} rows; the most is {top.name} with {si(top.total_pj * 1e-12 / batch, 'J')}."
        if top
        else "No layers."
    )
    return Rows(*_names(groups), values, bar_picture(f"layers-{index}", title, described, len(groups), bars))


def time_shares(result: TargetResult, index: int) -> Rows:
    """One target's share of time a layer, in the target's colour; vector operations lighter."""
    groups = _groups(result, lambda row: row.seconds)
    total = sum(group.seconds for group in groups)
    largest = max((group.seconds for group in groups if group.single), default=0.0)
    bars = []
    for position, group in enumerate(groups):
        if not group.single:
            continue
        share = group.seconds / total if total > 0 else 0.0
        width = group.seconds / largest if largest > 0 else 0.0
        vector = not any(row.macs for row in group.rows)
        bars.append(
            bar(
                position,
                0.0,
                width,
                f"t{index % 8}{' soft' if vector else ''}",
                f"{group.name}: {percent(share, 1)}, {si(group.seconds, 's')}",
            )
        )
    values = tuple(short_percent(group.seconds / total if total > 0 else None) for group in groups)
    top = max((group for group in groups if group.single), key=lambda group: group.seconds, default=None)
    described = f"{len(groups)} rows; the longest is {top.name} with {si(top.seconds, 's')}." if top else "No layers."
    title = f"Share of time of each layer on {result.target.title}"
    return Rows(*_names(groups), values, bar_picture(f"time-{index}", title, described, len(groups), bars))


def utilisation(result: TargetResult, index: int) -> Rows:
    """Useful MACs over the peak's while each row of ``time_shares`` runs; the track is 100%; none for vector work."""
    groups = _groups(result, lambda row: row.seconds)
    bars, values = [], []
    for position, group in enumerate(groups):
        share = group.utilisation
        values.append(short_percent(share))
        if share is None or not group.single:
            continue
        bounds = ", ".join(sorted({row.bound for row in group.rows if row.macs}))
        bars.append(
            Markup('<rect class="track" x="0" y="{}" width="1000" height="12"/>').format(num(ROW * position + 5))
        )
        bars.append(
            bar(position, 0.0, share, f"t{index % 8}", f"{group.name}: {percent(share, 1)} of peak, {bounds} bound")
        )
    title = f"Utilisation of the matrix unit on {result.target.title}"
    described = "; ".join(f"{group.name} {value}" for group, value in zip(groups, values, strict=True) if value != "–")
    svg = bar_picture(f"use-{index}", title, f"{described or 'No matrix layers'}.", len(groups), bars)
    return Rows(*_names(groups), tuple(values), svg)


def metric_strip(comparison: Comparison, metric: str) -> Strip | None:
    """Targets on one scale for ``accuracy``, ``score``, ``latency``, ``throughput`` or ``energy``; None where no target
    has it."""
    results = comparison.results
    names = tuple(labels_of(results))
    if metric == "accuracy":
        return _accuracy_strip(results, names)
    if metric == "score":
        return _score_strip(results, names)
    unit = UNITS[metric]
    numbers = [result.measure(metric) for result in results]
    axis = log_axis(numbers, tick_si(unit), pad=1.15)
    body = [_rules(axis, len(names))]
    for i, value in enumerate(numbers):
        # A logarithmic scale has no zero: such a mark stands hollow at the left end.
        hover = f"{results[i].target.title}: {si(value, unit)}"
        body.append(point(axis.at(value), ROW * i + ROW / 2, marker(i, hollow=value <= 0), hover))
    wanted = max(numbers) if metric == "throughput" else min(numbers)
    best = tuple(i for i, value in enumerate(numbers) if value == wanted)
    values = tuple(si(value, unit) for value in numbers)
    described = "; ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
    svg = picture(
        f"strip-{metric}",
        metric,
        f"{described}. Logarithmic scale.",
        ROW * len(names),
        Markup("").join(body),
        kind="strip",
    )
    ends = (si(axis.low, unit, 1), si(axis.high, unit, 1)) if max(numbers) > 0 else (si(0, unit), "")
    return Strip(Rows(names, names, values, svg), ends, best)


def _accuracy_strip(results: Sequence[TargetResult], names: tuple[str, ...]) -> Strip | None:
    known = [result.accuracy for result in results if result.accuracy is not None]
    if not known:
        return None
    spread = [bound for accuracy in known for bound in accuracy.interval]
    spread += [accuracy.baseline for accuracy in known if accuracy.baseline is not None]
    axis = share_axis(min(spread) - 1e-4, max(spread) + 1e-4)
    body = [_rules(axis, len(names))]
    for i, result in enumerate(results):
        accuracy = result.accuracy
        if accuracy is None:
            continue
        y, (low, high) = ROW * i + ROW / 2, accuracy.interval
        body.append(
            Markup('<line class="whisker t{}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                i % 8, pct(axis.at(low)), pct(axis.at(high)), num(y), num(y)
            )
        )
        if accuracy.baseline is not None:
            x = pct(axis.at(accuracy.baseline))
            body.append(
                Markup('<line class="baseline" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(x, x, num(y - 9), num(y + 9))
            )
        hover = f"{result.target.title}: {percent(accuracy.value)}, 95% {percent(low)} to {percent(high)}"
        body.append(point(axis.at(accuracy.value), y, marker(i), hover))
    top = max(known, key=lambda accuracy: accuracy.value)
    apart = all(accuracy is top or accuracy.value < top.interval[0] for accuracy in known)
    best = tuple(i for i, result in enumerate(results) if apart and result.accuracy is top)
    values = tuple(percent(r.accuracy.value if r.accuracy else None) for r in results)
    described = "; ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
    svg = picture("strip-accuracy", "accuracy", f"{described}.", ROW * len(names), Markup("").join(body), kind="strip")
    return Strip(Rows(names, names, values, svg), (percent(axis.low, 1), percent(axis.high, 1)), best)


def _score_strip(results: Sequence[TargetResult], names: tuple[str, ...]) -> Strip | None:
    """A perplexity, a correlation: each target's mark, and a line where the float network stands."""
    known = [result.score for result in results if result.score is not None]
    if not known:
        return None
    first = known[0]
    spread = [n for score in known for n in (score.measured, score.float32) if n is not None]
    room = 0.1 * (max(spread) - min(spread)) or 0.1 * abs(max(spread)) or 1.0
    axis = linear_axis(min(spread) - room, max(spread) + room, lambda value, decimals: f"{value:.{decimals}f}")
    body = [_rules(axis, len(names))]
    for i, result in enumerate(results):
        score = result.score
        if score is None:
            continue
        y = ROW * i + ROW / 2
        if score.float32 is not None:
            x = pct(axis.at(score.float32))
            body.append(
                Markup('<line class="baseline" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(x, x, num(y - 9), num(y + 9))
            )
        hover = f"{result.target.title}: {score.metric} {significant(score.measured, 4)}"
        body.append(point(axis.at(score.measured), y, marker(i), hover))
    top = (min if first.lower_is_better else max)(score.measured for score in known)
    best = tuple(i for i, r in enumerate(results) if r.score is not None and r.score.measured == top)
    values = tuple("–" if r.score is None else significant(r.score.measured, 4) for r in results)
    described = "; ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
    svg = picture("strip-score", first.metric, f"{described}.", ROW * len(names), Markup("").join(body), kind="strip")
    return Strip(Rows(names, names, values, svg), (significant(axis.low, 3), significant(axis.high, 3)), best)


def _rules(axis: Axis, rows: int) -> Markup:
    parts = [
        Markup('<line class="grid" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(pct(place), num(ROW * rows))
        for place, _ in axis.ticks
    ]
    for i in range(rows):
        parts.append(Markup('<line class="rule" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(num(ROW * i + ROW / 2)))
    return Markup("").join(parts)


def _groups(result: TargetResult, weight: Callable[[LayerEstimate], float]) -> list[_Group]:
    """Rows to show, in execution order; the lightest beyond ``MAX_ROWS`` in one group at the end."""
    rows = result.estimate.rows
    short = [short_layer(row.name, row.op) for row in rows]
    short = [text if short.count(text) == 1 else row.name for text, row in zip(short, rows, strict=True)]
    if len(rows) <= MAX_ROWS:
        return [_Group(text, row.name, (row,)) for text, row in zip(short, rows, strict=True)]
    order = sorted(range(len(rows)), key=lambda index: (-weight(rows[index]), index))
    kept = set(order[: MAX_ROWS - 1])
    rest = tuple(row for index, row in enumerate(rows) if index not in kept)
    shown = [_Group(short[index], row.name, (row,)) for index, row in enumerate(rows) if index in kept]
    total = f"{len(rest)} smaller"
    return [*shown, _Group(total, f"{total} layers together", rest)]


def _names(groups: Sequence[_Group]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(group.short for group in groups), tuple(group.name for group in groups)


def _stack(position: int, parts: Sequence[tuple[str, float]], full: float, name: str, batch: int) -> Markup:
    """Segments of one row whose full width is ``full``."""
    if full <= 0:
        return Markup("")
    total, at, drawn = sum(value for _, value in parts), 0.0, []
    for component, value in parts:
        if value > 0:
            hover = f"{name}, {component}: {si(value * 1e-12 / batch, 'J')}, {percent(value / total, 1)}"
            drawn.append(bar(position, at / full, value / full, component_class(component), hover))
            at += value
    return Markup("").join(drawn)


def bar(position: int, start: float, width: float, kind: str, hover: str) -> Markup:
    """A bar from ``start`` over ``width`` (0..1 of the width); one that is not nothing stays visible."""
    if width <= 0:
        return Markup("")
    return Markup('<rect class="bar {}" x="{}" y="{}" width="{}" height="12"><title>{}</title></rect>').format(
        kind, num(1000 * start), num(ROW * position + 5), num(max(1.5, 1000 * width)), hover
    )


def signed_rows(
    ident: str,
    title: str,
    names: Sequence[str],
    numbers: Sequence[float | None],
    texts: Sequence[str],
    *,
    kind: str,
    least: float = 0.0,
) -> Rows:
    """A bar a row from a common zero, to the left where the number is negative; none where it is None.

    Args:
        names, numbers, texts: of the rows; texts stand at the right and in the bars' hover texts.
        kind: CSS class of the bars' colour; negative ones are paler.
        least: the scale reaches at least to here.
    """
    known = [number for number in numbers if number is not None and math.isfinite(number)]
    low, high = min(0.0, *known, 0.0), max(least, *known, 0.0)
    full = high - low or 1.0
    drawn = []
    for position, (name, number, text) in enumerate(zip(names, numbers, texts, strict=True)):
        if number is None or number == 0:
            continue
        held = min(max(number, low), high)
        start, width = (min(held, 0.0) - low) / full, abs(held) / full
        drawn.append(bar(position, start, width, f"{kind}{' soft' if held < 0 else ''}", f"{name}: {text}"))
    if low < 0:
        x = num(1000 * -low / full)
        line = Markup('<line class="axis" vector-effect="non-scaling-stroke" x1="{0}" x2="{0}" y1="0" y2="{1}"/>')
        drawn.append(line.format(x, num(ROW * len(names))))
    described = "; ".join(f"{name} {text}" for name, text in zip(names, texts, strict=True)) or "Nothing"
    return Rows(tuple(names), tuple(names), tuple(texts), bar_picture(ident, title, f"{described}.", len(names), drawn))


def bar_picture(ident: str, title: str, description: str, rows: int, bars: Sequence[Markup]) -> Markup:
    """Bars as one picture whose width is whatever the page gives."""
    height = ROW * rows
    view = f' viewBox="0 0 1000 {num(height)}" preserveAspectRatio="none"'
    return picture(ident, title, description, height, Markup("").join(bars), view=view, kind="bars")
