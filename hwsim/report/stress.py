"""What a network came to under attack, in bad light, among strangers, with flipped bits; as JSON, CSV and Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property

from hwsim.io.tables import csv_text, markdown, markdown_table
from hwsim.report.document import as_text
from hwsim.report.humanise import count, percent
from hwsim.report.model import wilson
from hwsim.robust import FaultRow, FlipRow

SCHEMA = "hwsim.robust/1"


@dataclass(frozen=True, slots=True)
class Column:
    """The float network, or the network on one target.

    Attributes:
        name: ``float32`` or the target's. title: for people.
        weights, activations: storage formats.
        right: right answers on the inputs as they are.
    """

    name: str
    title: str
    weights: str
    activations: str
    right: int


@dataclass(frozen=True, slots=True)
class AttackRow:
    """Right answers of ``tested`` on inputs that were made against ``crafted`` (names of columns)."""

    kind: str
    epsilon: float
    steps: int
    crafted: str
    tested: str
    right: int


@dataclass(frozen=True, slots=True)
class CorruptionRow:
    """Right answers of a column under one corruption; severity 1 to 5, and its strength in its unit."""

    kind: str
    severity: int
    strength: float
    unit: str
    tested: str
    right: int


@dataclass(frozen=True, slots=True)
class StrangerRow:
    """How well a column's score tells strangers from its own data: area under the ROC curve, 95 % interval."""

    kind: str
    score: str
    tested: str
    auroc: float
    low: float
    high: float


@dataclass(frozen=True)
class Stress:
    """A network, float beside each target, under what is not clean.

    Attributes:
        model, title, data: for people.
        n: inputs, of every number but those of faults, which state their own.
        columns: float network first, where there is one.
        attacks, corruptions, strangers, faults, flips: the tables; one that was not asked for is empty.
        made_of: name of a set of strangers -> what it is.
    """

    model: str
    title: str
    data: str
    n: int
    columns: tuple[Column, ...]
    attacks: tuple[AttackRow, ...]
    corruptions: tuple[CorruptionRow, ...]
    strangers: tuple[StrangerRow, ...]
    faults: tuple[FaultRow, ...]
    flips: tuple[FlipRow, ...]
    made_of: Mapping[str, str]
    seed: int
    created: str
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def titles(self) -> dict[str, str]:
        """Name of a column -> its title."""
        return {column.name: column.title for column in self.columns}

    def strengths(self, kind: str) -> list[tuple[float, int]]:
        """Of an attack: every (epsilon, steps), weakest first."""
        return sorted({(row.epsilon, row.steps) for row in self.attacks if row.kind == kind})

    def direct(self, kind: str, name: str) -> list[AttackRow]:
        """Of an attack: the rows that were made against the column that they are tested on, weakest first."""
        mine = [row for row in self.attacks if row.kind == kind and row.crafted == row.tested == name]
        return sorted(mine, key=lambda row: row.epsilon)

    def light(self, kind: str, name: str) -> list[CorruptionRow]:
        """Of a corruption: a column's rows, weakest first."""
        mine = [row for row in self.corruptions if row.kind == kind and row.tested == name]
        return sorted(mine, key=lambda row: row.severity)


def kinds(rows: Sequence[AttackRow | CorruptionRow | StrangerRow]) -> list[str]:
    """Names that rows have, in their order."""
    return list(dict.fromkeys(row.kind for row in rows))


def stress_dict(stress: Stress) -> dict[str, object]:
    """The result as plain values."""
    return {"schema": SCHEMA, **asdict(stress)}


def stress_json(stress: Stress) -> str:
    """The result as JSON."""
    return as_text(stress_dict(stress))


def stress_csv(stress: Stress) -> str:
    """A row a number: what was done, how strongly, against whom, who was tested, the share and its 95 % interval."""
    head = ["section", "kind", "strength", "unit", "crafted_on", "tested_on", "measure", "value", "low", "high", "n"]
    return csv_text(head, _lines(stress))


def _lines(stress: Stress) -> Iterator[tuple[object, ...]]:
    n = stress.n

    def share(right: int) -> tuple[object, ...]:
        return ("accuracy", right / n, *wilson(right, n), n)

    for column in stress.columns:
        yield ("clean", "", "", "", "", column.name, *share(column.right))
    for row in stress.attacks:
        yield ("attack", row.kind, row.epsilon, "share of the span", row.crafted, row.tested, *share(row.right))
    for light in stress.corruptions:
        yield ("corruption", light.kind, light.severity, "severity", "", light.tested, *share(light.right))
    for other in stress.strangers:
        what = f"AUROC of {other.score}"
        yield ("strangers", other.kind, "", "", "", other.tested, what, other.auroc, other.low, other.high, n)
    for fault in stress.faults:
        measured = (fault.accuracy, fault.low, fault.high, fault.repeats * fault.n)
        yield ("faults", fault.place, fault.rate, "flips a bit", "", fault.target, "accuracy", *measured)
    for flip in stress.flips:
        which = "all bits" if flip.bit is None else f"bit {flip.bit}"
        numbers = (flip.moved, flip.low, flip.high, flip.trials)
        yield ("every flip", flip.place, which, "", "", flip.target, "change over root mean square", *numbers)


def stress_markdown(stress: Stress) -> str:
    """The tables, for a pull request or a README."""
    names = [column.name for column in stress.columns]
    text = [f"# {markdown(stress.title)}\n", f"{markdown(stress.data)}, n = {count(stress.n)}. Accuracy in %.\n"]
    text += markdown_table(["", *names], [["as they are", *(_percent(c.right, stress.n) for c in stress.columns)]])
    for kind in kinds(stress.attacks):
        text.append(f"\n## Attack: {markdown(kind)}\n\nRows: made against; columns: tested on.\n")
        rows = []
        for epsilon, steps in stress.strengths(kind):
            found = {(r.crafted, r.tested): r.right for r in stress.attacks if (r.kind, r.epsilon) == (kind, epsilon)}
            for made in dict.fromkeys(made for made, _ in found):
                cells = [_percent(found[made, name], stress.n) for name in names]
                rows.append([f"{epsilon:g}, {steps} steps, {made}", *cells])
        text += markdown_table(["epsilon, made against", *names], rows)
    if stress.corruptions:
        text.append("\n## Corruptions\n")
        rows = []
        for kind in kinds(stress.corruptions):
            first = stress.light(kind, names[0])
            for at, row in enumerate(first):
                cells = [_percent(stress.light(kind, name)[at].right, stress.n) for name in names]
                rows.append([f"{kind} {row.severity} ({row.strength:g} {row.unit})", *cells])
        text += markdown_table(["severity", *names], rows)
    if stress.strangers:
        text.append("\n## Strangers\n\nArea under the ROC curve, with its 95 % interval; 0.5 is a coin.\n")
        rows = []
        for kind in kinds(stress.strangers):
            for score in dict.fromkeys(row.score for row in stress.strangers):
                held = {r.tested: r for r in stress.strangers if (r.kind, r.score) == (kind, score)}
                cells = [f"{held[n].auroc:.3f} ({held[n].low:.3f} to {held[n].high:.3f})" for n in names]
                rows.append([f"{kind}, {score}", *cells])
        text += markdown_table(["strangers, score", *names], rows)
    if stress.faults:
        text.append("\n## Bit flips\n")
        rows = [
            [f"{row.target}, {row.place}", f"{row.rate:g}", f"{row.flips:,}", _interval(row)] for row in stress.faults
        ]
        text += markdown_table(["where", "rate", "flips", "accuracy (95 % interval)"], rows)
    if stress.flips:
        text.append(
            "\n## Every single flip\n\nChange of the number that is read, over the tensor's root mean square.\n"
        )
        rows = [
            [
                f"{r.target}, {r.place}, {r.format}",
                "all" if r.bit is None else str(r.bit),
                f"{r.trials:,}",
                f"{r.moved:.3f} ({r.low:.3f} to {r.high:.3f})",
                f"{r.worst:.1f}",
            ]
            for r in stress.flips
        ]
        text += markdown_table(["where", "bit", "flips", "change (95 % interval)", "largest"], rows)
    if stress.command:
        text.append(f"\n    {' '.join(stress.command.split())}")
    text += [f"\n{markdown(note)}" for note in stress.notes]
    return "\n".join(text) + "\n"


def _percent(right: int, n: int) -> str:
    return f"{100 * right / n:.2f}"


def _interval(row: FaultRow) -> str:
    return f"{percent(row.accuracy)} ({percent(row.low)} to {percent(row.high)})"
