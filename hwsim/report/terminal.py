"""The same numbers for a terminal, through rich (imported only when a table is printed)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from hwsim.perf.result import COMPONENTS, Constraint, Estimate, LayerEstimate
from hwsim.report.attribution import Attribution, Swap, sentences
from hwsim.report.change import Change
from hwsim.report.figures import labels_of
from hwsim.report.humanise import (
    THIN,
    count,
    decibels,
    per_second,
    percent,
    points,
    short_percent,
    si,
    signed_percent,
    significant,
    size,
)
from hwsim.report.model import SUBJECTS, Comparison, TargetResult
from hwsim.report.svg import shorten
from hwsim.report.words import left_range, limit_text, verdicts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_DOTS = {"silicon": "●", "rtl": "◕", "published": "◑", "derived": "◔", "assumed": "○"}


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of text; the higher ``spare``, the sooner a narrow terminal does without it (0: never)."""

    head: str
    cells: tuple[Text, ...]
    left: bool = False
    spare: int = 0

    @property
    def width(self) -> int:
        return max(len(self.head), *(cell.cell_len for cell in self.cells)) if self.cells else len(self.head)


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print a row a target, the weakest evidence behind each number, and the headline's sentences."""
    from rich.padding import Padding
    from rich.text import Text

    console = console or _console()
    results = comparison.results
    columns = [_Column("target", tuple(Text(label) for label in labels_of(results)), left=True)]
    if any(result.accuracy for result in results):
        columns += _accuracy_columns(results)
    columns += _score_columns(results)
    for head, unit, subject in (("latency", "s", "timing"), ("throughput", "/s", "timing"), ("energy", "J", "energy")):
        columns.append(_Column(head, tuple(_proved(si(r.measure(head), unit), r, subject) for r in results)))
    _print_table(comparison.title, columns, console)
    for sentence in verdicts(comparison).values():
        console.print(Padding(Text(_plain(sentence)), (0, 0, 0, 2)))
    for sentence in left_range(results):
        console.print(Padding(Text(_plain(sentence), style="yellow"), (0, 0, 0, 2)))
    used = {proof.kind for result in results for subject in SUBJECTS if (proof := result.evidence(subject))}
    if used:
        legend = "  ".join(f"{dot} {kind}" for kind, dot in _DOTS.items() if kind in used)
        console.print(Text(f"  {legend}", style="dim"))


def print_estimate(estimate: Estimate, console: Console | None = None, *, limit: int | None = None) -> None:
    """Print a row an operation and the totals of one estimate. Repeated operations, alike in all but their names, share
    a row with their sums, under the first one's name; ``limit`` keeps the longest rows. In execution order."""
    from rich.text import Text

    console = console or _console()
    found = _repeated(estimate.rows)
    order = sorted(range(len(found)), key=lambda index: (-found[index][0].seconds, index))
    shown = [found[index] for index in (sorted(order[:limit]) if limit is not None else range(len(found)))]
    rows, times = [row for row, _ in shown], [count(number) for _, number in shown]
    total_pj = sum(row.total_pj for row in estimate.rows)
    whole_s = estimate.seconds

    def column(head: str, text: Callable[[LayerEstimate], str], *, left: bool = False, spare: int = 0) -> _Column:
        return _Column(head, tuple(Text(_plain(text(row))) for row in rows), left, spare)

    columns = [
        column("layer", lambda row: row.name, left=True),
        column("op", lambda row: row.op, left=True, spare=2),
        *([_Column("times", tuple(map(Text, times)))] if any(number > 1 for _, number in found) else ()),
        column("MACs", lambda row: count(row.macs) if row.macs else "–", spare=4),
        column("cycles", lambda row: count(row.cycles), spare=5),
        column("time", lambda row: si(row.seconds, "s")),
        column("of time", lambda row: short_percent(row.seconds / whole_s if whole_s > 0 else None), spare=1),
        column("of peak", lambda row: short_percent(row.utilisation) if row.macs else "–"),
        column("bound", lambda row: row.bound, left=True, spare=3),
        column("DRAM", lambda row: size(row.dram_bytes), spare=6),
        column("energy", lambda row: si(row.total_pj * 1e-12, "J")),
        column("of energy", lambda row: short_percent(row.total_pj / total_pj if total_pj > 0 else None), spare=7),
    ]
    title = f"{estimate.workload} on {estimate.target}, {estimate.precision}, batch {count(estimate.batch)}"
    _print_table(title, columns, console)
    if hidden := len(estimate.rows) - sum(number for _, number in shown):
        console.print(Text(f"  and {hidden} shorter operations", style="dim"))
    for name, value, subject in _totals(estimate):
        line = Text(f"  {name:<11} {_plain(value)}")
        kind = estimate.evidence.get(subject)
        if kind:
            line.append(f"  {_DOTS.get(kind, '')} {kind}", style="dim")
        console.print(line)


def _repeated(rows: Sequence[LayerEstimate]) -> list[tuple[LayerEstimate, int]]:
    """Rows that are alike in all but their names as one, with their sums; and how many they are."""
    groups: dict[tuple[object, ...], list[LayerEstimate]] = {}
    for row in rows:
        sizes = row.op, row.engine, row.m, row.n, row.k, row.groups, row.operations, row.bound
        groups.setdefault((*sizes, row.seconds, row.dram_bytes, row.total_pj), []).append(row)
    sums = ("macs", "cycles", "seconds", "dram_bytes")
    out = []
    for first, *others in groups.values():
        total = {name: getattr(first, name) * (1 + len(others)) for name in sums}
        energy = {part: pj * (1 + len(others)) for part, pj in first.energy_pj.items()}
        out.append((replace(first, **total, energy_pj=energy) if others else first, 1 + len(others)))
    return out


def print_why(why: Attribution, console: Console | None = None) -> None:
    """Print a row a cause and a row a layer, and the sentences."""
    from rich.padding import Padding
    from rich.text import Text

    console = console or _console()
    for head, swaps in (("cause", why.causes), ("layer", why.layers)):

        def column(name: str, text: Callable[[Swap], str], swaps: Sequence[Swap] = swaps, **how: Any) -> _Column:
            return _Column(name, tuple(Text(_plain(text(swap))) for swap in swaps), **how)

        columns = [
            column(head, lambda swap: swap.name, left=True),
            column("alone", lambda swap: decibels(swap.alone.sqnr_db)),
            column("of the noise", lambda swap: short_percent(why.share(swap.alone.noise))),
            column("without it", lambda swap: decibels(swap.without.sqnr_db)),
            column("takes away", lambda swap: signed_percent(why.taken_away(swap))),
        ]
        if why.metric:
            columns.append(column(f"{why.metric} without", lambda swap: why.score_text(swap.without.score), spare=1))
        columns.append(column("what", lambda swap: swap.text, left=True, spare=2))
        _print_table(why.title if head == "cause" else "", columns, console)
    for sentence in sentences(why):
        console.print(Padding(Text(_plain(sentence)), (0, 0, 0, 2)))


def print_change(change: Change, console: Console | None = None) -> None:
    """Print each target's numbers before and after, the layers that changed the most, and the settings that differ."""
    from rich.text import Text

    console = console or _console()
    numbers = [(target.label, number) for target in change.targets for number in target.numbers]
    texts = {
        "target": [label for label, _ in numbers],
        "number": [number.name for _, number in numbers],
        "before": [number.text(number.before) for _, number in numbers],
        "after": [number.text(number.after) for _, number in numbers],
        "change": [number.change for _, number in numbers],
        "": [number.verdict for _, number in numbers],
    }
    columns = [
        _Column(head, tuple(Text(_plain(cell)) for cell in cells), left=head in ("target", "number", ""))
        for head, cells in texts.items()
    ]
    _print_table(f"What changed: {change.after.title}", columns, console)
    for target in change.targets:
        layers = sum(not layer.same for layer in target.layers)
        if layers:
            console.print(Text(f"  {target.label}: {layers} of {len(target.layers)} layers changed", style="dim"))
    for label in change.gone:
        console.print(Text(f"  {label}: gone"))
    for label in change.new:
        console.print(Text(f"  {label}: new"))
    for setting in change.settings:
        before, after = (shorten(text, 60) if text else "–" for text in (setting.before, setting.after))
        console.print(Text(f"  {setting.name}: {before} → {after}", style="dim"))
    if change.same:
        console.print(Text("  Every number is the same."))


def _totals(estimate: Estimate) -> list[tuple[str, str, str]]:
    """Name, value and subject of evidence of each total."""
    latency = f"{si(estimate.seconds, 's')} ({count(estimate.cycles)} cycles at {si(estimate.clock_hz, 'Hz')})"
    energy = f"{si(estimate.joules / estimate.batch, 'J')} an inference"
    if estimate.batch > 1:
        energy = f"{si(estimate.joules, 'J')} a batch, {energy}"
    if estimate.joules_high > estimate.joules_low:
        ends = (si(end / estimate.batch, "J") for end in (estimate.joules_low, estimate.joules_high))
        energy += f", {' to '.join(ends)} by the bands of its prices"
    return [
        ("latency", latency, "timing"),
        ("throughput", per_second(estimate.inferences_per_s), "timing"),
        ("energy", energy, "energy"),
        ("  of it", _parts(estimate), ""),
        ("mean power", si(estimate.watts, "W"), "energy"),
        *((limit.name, _met(limit), "") for limit in estimate.constraints),
    ]


def _met(limit: Constraint) -> str:
    """``meets`` or ``misses``, and by how much."""
    word = "meets" if limit.meets else "does not fit" if limit.name == "memory" else "misses"
    return f"{word}: {limit_text(limit)}"


def _print_table(title: str, columns: list[_Column], console: Console) -> None:
    """Print as many columns as fit; the first keeps at least 12 characters and folds."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    kept = list(columns)
    while sum(column.width + 3 for column in kept) > console.width and any(column.spare for column in kept):
        kept.remove(max(kept, key=lambda column: column.spare))
    table = Table(
        title=Text(_plain(title)) if title else None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
        padding=(0, 1),
    )
    for index, column in enumerate(kept):
        justify: Literal["left", "right"] = "left" if column.left else "right"
        least = min(12, column.width) if index == 0 else None
        table.add_column(column.head, justify=justify, no_wrap=index > 0, overflow="fold", min_width=least)
    for cells in zip(*(column.cells for column in kept), strict=True):
        table.add_row(*cells)
    console.print(table)


def _score_columns(results: Sequence[TargetResult]) -> list[_Column]:
    from rich.text import Text

    names = {result.score.metric: None for result in results if result.score}
    columns = []
    for name in names:
        found = [result.score if result.score and result.score.metric == name else None for result in results]
        cells = [
            _proved(significant(score.measured, 4), result, "arithmetic") if score else Text("–")
            for score, result in zip(found, results, strict=True)
        ]
        base = [score.float32 if score else None for score in found]
        plain = [Text(_plain("–" if value is None else significant(value, 4))) for value in base]
        columns += [_Column(name, tuple(cells)), _Column("fp32", tuple(plain), spare=1)]
    return columns


def _accuracy_columns(results: Sequence[TargetResult]) -> list[_Column]:
    from rich.text import Text

    shares, spans, changes = [], [], []
    for result in results:
        accuracy = result.accuracy
        shares.append(_proved(percent(accuracy.value), result, "arithmetic") if accuracy else Text("–"))
        low, high = accuracy.interval if accuracy else (None, None)
        spans.append(Text(_plain(f"{percent(low)} to {percent(high)}" if accuracy else "–")))
        change = accuracy.value - accuracy.baseline if accuracy and accuracy.baseline is not None else None
        changes.append(Text(_plain(points(change))))
    return [
        _Column("accuracy", tuple(shares)),
        _Column("95% interval", tuple(spans), spare=2),
        _Column("vs fp32", tuple(changes), spare=1),
    ]


def _parts(estimate: Estimate) -> str:
    total = sum(estimate.energy_pj.values())
    if total <= 0:
        return "nothing"
    names = [
        *(name for name in COMPONENTS if name in estimate.energy_pj),
        *sorted(set(estimate.energy_pj) - set(COMPONENTS)),
    ]
    return ", ".join(
        f"{name} {short_percent(estimate.energy_pj[name] / total)}" for name in names if estimate.energy_pj[name] > 0
    )


def _console() -> Console:
    from rich.console import Console

    return Console()


def _proved(value: str, result: TargetResult, subject: str) -> Text:
    from rich.text import Text

    proof = result.evidence(subject)
    text = Text(_plain(value))
    text.append(f" {_DOTS[proof.kind]}" if proof else "  ", style="dim")
    return text


def _plain(text: str) -> str:
    """Ordinary spaces for narrow ones, which terminals measure differently."""
    return text.replace(THIN, " ")
