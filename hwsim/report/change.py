"""What changed from one run to another, as plain frozen values, and the sentences that say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hwsim.perf.result import LayerEstimate
from hwsim.report.humanise import count, decibels, per_second, percent, points, si, significant, times
from hwsim.report.model import Comparison, TargetResult

CHANGE_SCHEMA = "hwsim.change/1"

LEVEL = 1e-9
"""Relative differences below this are the arithmetic's own."""


@dataclass(frozen=True, slots=True)
class Number:
    """One figure of a target or layer before and after.

    Attributes:
        name: what it is; ``unit`` as in the source (empty for shares and counts).
        before, after: None where a run does not have it.
        better: ``min``, ``max``, or empty where neither way is good.
    """

    name: str
    unit: str
    before: float | None
    after: float | None
    better: str = "min"

    @property
    def same(self) -> bool:
        if self.before is None or self.after is None:
            return self.before is self.after
        return self.before == self.after or abs(self.after - self.before) <= LEVEL * abs(self.before)

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or empty."""
        if self.same or not self.better or self.before is None or self.after is None:
            return ""
        return "better" if (self.after < self.before) == (self.better == "min") else "worse"

    def text(self, value: float | None) -> str:
        """``before`` or ``after`` for people."""
        if value is None:
            return "–"
        if self.name in ("accuracy", "agreement"):
            return percent(value)
        if self.unit == "dB":
            return decibels(value)
        if self.unit == "/s":
            return per_second(value)
        if self.unit:
            return si(value, self.unit)
        return count(round(value)) if value == round(value) and self.better != "" else significant(value, 4)

    @property
    def change(self) -> str:
        """The difference in points or decibels, or the ratio; ``same`` where there is none."""
        if self.before is None or self.after is None:
            return "–" if self.same else "gone" if self.after is None else "new"
        if self.same:
            return "same"
        if self.name in ("accuracy", "agreement"):
            return points(self.after - self.before)
        if self.unit == "dB":
            return f"{'+' if self.after > self.before else ''}{decibels(self.after - self.before)}"
        low, high = sorted((abs(self.before), abs(self.after)))
        if low == 0 or self.before * self.after < 0:
            return f"{'+' if self.after > self.before else ''}{significant(self.after - self.before)}"
        share = self.after / self.before - 1
        if high / low >= 2:
            return f"{times(high / low)} {'more' if share > 0 else 'less'}"
        digits = 2 if abs(share) < 0.01 else 1
        return f"{'+' if share > 0 else ''}{percent(share, digits)}".replace("-", "\u2212")


@dataclass(frozen=True, slots=True)
class LayerChange:
    """One operation before and after; its numbers are time, energy, cycles, DRAM bytes and SQNR."""

    name: str
    op: str
    numbers: tuple[Number, ...]

    @property
    def same(self) -> bool:
        return all(number.same for number in self.numbers)


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that is not the same; empty text where a run does not have it."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class TargetChange:
    """One target in both runs.

    Attributes:
        label: its name, or both names where one took the other's place.
        before, after: what the runs have of it.
        numbers: accuracy or score, latency, throughput, energy, power.
        layers: in the order of the later run, those that are gone at the end.
        moved: True where the accuracies' 95% intervals do not overlap.
    """

    label: str
    before: TargetResult
    after: TargetResult
    numbers: tuple[Number, ...]
    layers: tuple[LayerChange, ...]
    moved: bool


@dataclass(frozen=True, slots=True)
class Change:
    """Two runs and how they differ.

    Attributes:
        before, after: the runs.
        targets: those that both have.
        gone, new: labels of targets that one run alone has.
        settings: what was read, asked and used that differs: network, data, command, versions, hashes, numbers of the
            targets' files.
    """

    before: Comparison
    after: Comparison
    targets: tuple[TargetChange, ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]
    settings: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Every number is; settings may differ."""
        numbers = all(number.same for target in self.targets for number in target.numbers)
        return numbers and all(layer.same for t in self.targets for layer in t.layers) and not (self.gone or self.new)


def compare_runs(before: Comparison, after: Comparison) -> Change:
    """How ``after`` differs from ``before``.

    Targets are paired by name and precision, then by name; one that is left over in each run makes a pair too.
    """
    pairs, gone, new = _paired(list(before.results), list(after.results))
    targets = tuple(_target(*pair) for pair in pairs)
    settings = [*_runs(before, after)]
    for old, fresh in pairs:
        settings += _settings(old, fresh)
    return Change(
        before, after, targets, tuple(map(_label, gone)), tuple(map(_label, new)), tuple(s for s in settings if s)
    )


def change_sentences(change: Change) -> tuple[str, ...]:
    """What changed for each target, and no more than the numbers carry."""
    said = []
    for target in change.targets:
        parts = []
        for number in target.numbers:
            if number.name in ("agreement", "power") or number.same:
                continue
            luck = "" if number.name != "accuracy" or target.moved else ", inside the 95% intervals"
            parts.append(f"{number.name} {number.text(number.before)} to {number.text(number.after)}{luck}")
        said.append(f"{target.label}: {'; '.join(parts) if parts else 'no number changed'}.")
    said += [f"{label} is gone." for label in change.gone] + [f"{label} is new." for label in change.new]
    return tuple(said)


def _label(result: TargetResult) -> str:
    return f"{result.target.name} {result.target.precision}"


Pair = tuple[TargetResult, TargetResult]


def _paired(
    old: list[TargetResult], fresh: list[TargetResult]
) -> tuple[list[Pair], list[TargetResult], list[TargetResult]]:
    pairs: list[Pair] = []
    for key in (lambda r: (r.target.name, r.target.precision), lambda r: (r.target.name, "")):
        for result in list(fresh):
            match = [other for other in old if key(other) == key(result)]
            if len(match) == 1:
                pairs.append((match[0], result))
                old.remove(match[0])
                fresh.remove(result)
    if len(old) == len(fresh) == 1:
        pairs.append((old.pop(), fresh.pop()))
    return pairs, old, fresh


def _target(old: TargetResult, fresh: TargetResult) -> TargetChange:
    label = old.target.name if old.target.name == fresh.target.name else f"{old.target.name} → {fresh.target.name}"
    numbers: list[Number] = []
    moved = False
    a, b = old.accuracy, fresh.accuracy
    if a is not None and b is not None:
        moved = a.interval[1] < b.interval[0] or b.interval[1] < a.interval[0]
    if a is not None or b is not None:
        better = "max" if moved else ""
        values = [None if each is None else each.value for each in (a, b)]
        agreements = [None if each is None else each.agreement for each in (a, b)]
        numbers.append(Number("accuracy", "", values[0], values[1], better))
        numbers.append(Number("agreement", "", agreements[0], agreements[1], better))
    scores = [score for score in (old.score, fresh.score) if score is not None]
    if scores:
        values = [None if each is None else each.measured for each in (old.score, fresh.score)]
        numbers.append(
            Number(scores[-1].metric, "", values[0], values[1], "min" if scores[-1].lower_is_better else "max")
        )
    numbers += [
        Number("latency", "s", old.latency_s, fresh.latency_s),
        Number("throughput", "/s", old.measure("throughput"), fresh.measure("throughput"), "max"),
        Number("energy", "J", old.energy_j, fresh.energy_j),
        Number("power", "W", old.estimate.watts, fresh.estimate.watts),
    ]
    return TargetChange(label, old, fresh, tuple(numbers), tuple(_layers(old, fresh)), moved)


def _layers(old: TargetResult, fresh: TargetResult) -> Iterator[LayerChange]:
    rows = [{row.name: row for row in result.estimate.rows} for result in (old, fresh)]
    health = [{row.layer: row.sqnr_db for row in result.health} for result in (old, fresh)]
    batches = old.estimate.batch, fresh.estimate.batch
    for name in (*rows[1], *(name for name in rows[0] if name not in rows[1])):
        a, b = rows[0].get(name), rows[1].get(name)
        known = b or a
        assert known is not None
        energy = [None if row is None else row.total_pj * 1e-12 / n for row, n in zip((a, b), batches, strict=True)]
        yield LayerChange(
            name,
            known.op,
            (
                Number("time", "s", _of(a, "seconds"), _of(b, "seconds")),
                Number("energy", "J", energy[0], energy[1]),
                Number("cycles", "", _of(a, "cycles"), _of(b, "cycles")),
                Number("DRAM", "B", _of(a, "dram_bytes"), _of(b, "dram_bytes")),
                Number("SQNR", "dB", health[0].get(name), health[1].get(name), "max"),
            ),
        )


def _of(row: LayerEstimate | None, field: str) -> float | None:
    return None if row is None else float(getattr(row, field))


def _runs(before: Comparison, after: Comparison) -> Iterator[Difference]:
    for name in ("model", "data", "n", "seed", "command", "created"):
        yield from _differ(name, str(getattr(before, name)), str(getattr(after, name)))
    yield from _maps("", before.versions, after.versions)
    yield from _maps("", before.hashes, after.hashes)
    yield from _differ("notes", " ".join(before.notes), " ".join(after.notes))


def _settings(old: TargetResult, fresh: TargetResult) -> Iterator[Difference]:
    label = fresh.target.name
    for name in ("name", "precision", "unit", "weights", "activations"):
        yield from _differ(f"{label}: {name}", getattr(old.target, name), getattr(fresh.target, name))
    yield from _differ(f"{label}: batch", str(old.estimate.batch), str(fresh.estimate.batch))
    tables = [
        {item.path: f"{item.value:.6g} ({item.kind})" for item in result.target.numbers} for result in (old, fresh)
    ]
    yield from _maps(f"{label}: ", *tables)


def _maps(prefix: str, old: Mapping[str, str], fresh: Mapping[str, str]) -> Iterator[Difference]:
    for name in dict.fromkeys((*old, *fresh)):
        yield from _differ(f"{prefix}{name}", old.get(name, ""), fresh.get(name, ""))


def _differ(name: str, old: str, fresh: str) -> Iterator[Difference]:
    if old != fresh:
        yield Difference(name, old, fresh)
