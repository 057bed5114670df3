"""The sentences of a page: which target wins on what, by how much, and no more than the numbers carry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from hwsim.report.figures import labels_of
from hwsim.report.humanise import count, percent, points, short_percent, si, significant, size, times
from hwsim.report.model import UNITS, Comparison, TargetResult

if TYPE_CHECKING:
    from hwsim.perf.result import Constraint

NEAR = 1.02
"""Costs closer than this ratio are called equal: no model here is better than that."""


def verdict(comparison: Comparison, metric: str) -> str:
    """One sentence on ``accuracy``, ``score``, ``latency``, ``throughput`` or ``energy``; empty where no target has
    it."""
    if metric == "accuracy":
        return _accuracy(comparison)
    if metric == "score":
        return _score(comparison)
    batches = {result.estimate.batch for result in comparison.results}
    return _cost(comparison, metric) + (" Batches differ." if metric == "latency" and len(batches) > 1 else "")


def left_range(results: Iterable[TargetResult]) -> Iterator[str]:
    """A sentence for each target whose vector operations make numbers that their format does not hold."""
    for result in results:
        products = {tile.layer for tile in result.trace}
        rows = [row for row in result.health if row.saturated and row.layer not in products]
        if rows:
            yield (
                f"{result.target.name}: {sum(row.saturated for row in rows):,} results of vector operations are past "
                f"the largest number of their format and become infinite, first after {rows[0].layer!r}; a chip that "
                "runs the network operation by operation in that format has them, too."
            )


def verdicts(comparison: Comparison) -> dict[str, str]:
    """Metric -> sentence, for the metrics that the comparison has."""
    found = {metric: verdict(comparison, metric) for metric in ("accuracy", "score", "energy", "latency", "throughput")}
    return {metric: text for metric, text in found.items() if text}


def limit_text(limit: Constraint) -> str:
    """What was found of what is allowed, and what is left or by how much it misses."""
    show = size if limit.unit == "B" else partial(si, unit=limit.unit)
    found, most = show(limit.found), show(limit.limit)
    if limit.meets:
        return f"{found} of {most}, {short_percent(1 - limit.ratio)} left"
    return f"{found}, {significant(limit.ratio)} times the {most} allowed"


def limit_sentences(comparison: Comparison) -> list[str]:
    """Limits that a target misses, one by one; else that all are met, where some target's file states one.

    A memory that is large enough needs no mention.
    """
    pairs = [
        (label, limit)
        for label, result in zip(labels_of(comparison.results), comparison.results, strict=True)
        for limit in result.estimate.constraints
    ]
    missed = [
        f"{label} {'has too little memory' if limit.name == 'memory' else f'misses its {limit.name} limit'}: "
        f"{limit_text(limit)}."
        for label, limit in pairs
        if not limit.meets
    ]
    if missed or all(limit.name == "memory" for _, limit in pairs):
        return missed
    return ["All limits on power, latency and memory are met."]


def _accuracy(comparison: Comparison) -> str:
    known = [
        (label, r.accuracy)
        for label, r in zip(labels_of(comparison.results), comparison.results, strict=True)
        if r.accuracy
    ]
    if not known:
        return ""
    ranked = sorted(known, key=lambda pair: -pair[1].value)
    name, best = ranked[0]
    if len(known) == 1:
        change = "" if best.baseline is None else f", {points(best.value - best.baseline)} against fp32"
        return f"{name} answers {percent(best.value)} right{change}."
    low = best.interval[0]
    inside = [label for label, accuracy in ranked[1:] if accuracy.value >= low]
    lead = points(best.value - ranked[1][1].value).lstrip("+")
    if best.value == ranked[-1][1].value:
        return f"All answer {percent(best.value)} right."
    if len(inside) == len(ranked) - 1:
        spread = points(best.value - ranked[-1][1].value).lstrip("+")
        return f"No clear winner: all lie within {spread}, inside the 95% interval of {count(best.n)} inputs."
    if inside:
        others = inside[0] if len(inside) == 1 else f"{len(inside)} others"
        return (
            f"{name} leads with {percent(best.value)}, but {others} lies inside its 95% interval."
            if len(inside) == 1
            else (f"{name} leads with {percent(best.value)}, but {others} lie inside its 95% interval.")
        )
    return f"{name} is the most accurate: {percent(best.value)}, {lead} above {ranked[1][0]}."


def _score(comparison: Comparison) -> str:
    """Which target comes off best by a metric that is no share of right answers; no interval is known for those."""
    known = [
        (label, r.score) for label, r in zip(labels_of(comparison.results), comparison.results, strict=True) if r.score
    ]
    if not known:
        return ""
    name, best = (min if known[0][1].lower_is_better else max)(known, key=lambda pair: pair[1].measured)
    base = "" if best.float32 is None else f"; fp32 has {significant(best.float32, 4)}"
    value = significant(best.measured, 4)
    if len(known) == 1:
        return f"{name} reaches a {best.metric} of {value}{base}."
    if all(score.measured == best.measured for _, score in known):
        return f"All reach a {best.metric} of {value}{base}."
    word = "lowest" if best.lower_is_better else "highest"
    return f"{name} has the {word} {best.metric}: {value}{base}."


def _cost(comparison: Comparison, metric: str) -> str:
    unit = UNITS[metric]
    numbers = [result.measure(metric) for result in comparison.results]
    pairs = list(zip(labels_of(comparison.results), numbers, strict=True))
    more = metric == "throughput"
    ranked = sorted(pairs, key=lambda pair: -pair[1] if more else pair[1])
    name, best = ranked[0]
    verb = {"latency": "answers first", "throughput": "does the most", "energy": "spends the least"}[metric]
    if len(ranked) == 1:
        verb = {"latency": "answers", "throughput": "does", "energy": "spends"}[metric]
        tail = {
            "latency": f"in {si(best, unit)}",
            "throughput": f"{si(best, unit)}",
            "energy": f"{si(best, unit)} an inference",
        }
        return f"{name} {verb} {tail[metric]}."
    second, next_best = ranked[1]
    ratio = _ratio(best, next_best)
    if ratio is None:
        return f"{name} {verb}: {si(best, unit)}."
    if ratio < NEAR:
        return f"{_listed(_tied(ranked, best))} are level at {si(best, unit)}."
    word = {"latency": "sooner than", "throughput": "as many as", "energy": "less than"}[metric]
    return f"{name} {verb}: {si(best, unit)}, {times(ratio)} {word} {second}."


def _tied(ranked: Sequence[tuple[str, float]], best: float) -> list[str]:
    return [name for name, value in ranked if (_ratio(best, value) or NEAR) < NEAR or value == best]


def _ratio(a: float, b: float) -> float | None:
    low, high = sorted((a, b))
    if high == 0:
        return 1.0
    return high / low if low > 0 else None


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
