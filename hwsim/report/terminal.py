"""The same numbers for a terminal, through rich (imported only when a table is printed)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwsim.perf.result import COMPONENTS, Estimate
from hwsim.report.humanise import count, per_second, percent, points, short_percent, si, size
from hwsim.report.model import Comparison, TargetResult
from hwsim.report.words import verdicts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_DOTS = {"silicon": "●", "rtl": "◕", "published": "◑", "derived": "◔", "assumed": "○"}


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print a row a target, the weakest evidence behind each number, and the headline's sentences."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from hwsim.report.figures import labels_of

    console = console or _console()
    table = Table(title=Text(comparison.title), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("target", overflow="fold")
    measured = any(result.accuracy for result in comparison.results)
    heads = [*(("accuracy", "95% interval", "vs fp32") if measured else ()), "latency", "throughput", "energy"]
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for label, result in zip(labels_of(comparison.results), comparison.results, strict=True):
        table.add_row(Text(label), *(_accuracy(result) if measured else ()), *_costs(result))
    console.print(table)
    for sentence in verdicts(comparison).values():
        console.print(Text(f"  {sentence}"))
    used = {
        proof.kind for r in comparison.results for s in ("arithmetic", "timing", "energy") if (proof := r.evidence(s))
    }
    if used:
        console.print(
            Text("  " + "  ".join(f"{dot} {kind}" for kind, dot in _DOTS.items() if kind in used), style="dim")
        )


def print_estimate(estimate: Estimate, console: Console | None = None, *, limit: int | None = None) -> None:
    """Print a row an operation (the ``limit`` longest, in execution order) and the totals of one estimate."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = console or _console()
    title = f"{estimate.workload} on {estimate.target}, {estimate.precision}, batch {count(estimate.batch)}"
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("layer", overflow="fold")
    table.add_column("op", no_wrap=True)
    for head in ("MACs", "cycles", "time", "of time", "of peak", "bound", "DRAM", "energy", "of energy"):
        table.add_column(head, justify="left" if head == "bound" else "right", no_wrap=True)
    total_pj = sum(row.total_pj for row in estimate.rows)
    order = sorted(range(len(estimate.rows)), key=lambda index: (-estimate.rows[index].seconds, index))
    shown = sorted(order[:limit]) if limit is not None else range(len(estimate.rows))
    for index in shown:
        row = estimate.rows[index]
        table.add_row(
            Text(row.name),
            Text(row.op),
            count(row.macs) if row.macs else "–",
            count(row.cycles),
            si(row.seconds, "s"),
            short_percent(row.seconds / estimate.seconds if estimate.seconds > 0 else None),
            short_percent(row.utilisation) if row.macs else "–",
            Text(row.bound),
            size(row.dram_bytes),
            si(row.total_pj * 1e-12, "J"),
            short_percent(row.total_pj / total_pj if total_pj > 0 else None),
        )
    console.print(table)
    if limit is not None and limit < len(estimate.rows):
        console.print(Text(f"  and {len(estimate.rows) - limit} shorter operations", style="dim"))
    proof = estimate.evidence
    for name, value, subject in (
        (
            "latency",
            f"{si(estimate.seconds, 's')} ({count(estimate.cycles)} cycles at {si(estimate.clock_hz, 'Hz')})",
            "timing",
        ),
        ("throughput", per_second(estimate.inferences_per_s), "timing"),
        (
            "energy",
            f"{si(estimate.joules, 'J')} a batch, {si(estimate.joules / estimate.batch, 'J')} an inference",
            "energy",
        ),
        ("  of it", _parts(estimate), ""),
        ("mean power", si(estimate.watts, "W"), "energy"),
    ):
        line = Text(f"  {name:<11} {value}")
        if subject in proof:
            line.append(f"  {_DOTS.get(proof[subject], '')} {proof[subject]}", style="dim")
        console.print(line)


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


def _accuracy(result: TargetResult) -> tuple[str | Text, ...]:
    accuracy = result.accuracy
    if accuracy is None:
        return "–", "–", "–"
    low, high = accuracy.interval
    change = "–" if accuracy.baseline is None else points(accuracy.value - accuracy.baseline)
    return _proved(percent(accuracy.value), result, "arithmetic"), f"{percent(low)} – {percent(high)}", change


def _costs(result: TargetResult) -> tuple[str | Text, ...]:
    return (
        _proved(si(result.latency_s, "s"), result, "timing"),
        _proved(per_second(result.estimate.inferences_per_s), result, "timing"),
        _proved(si(result.energy_j, "J"), result, "energy"),
    )


def _proved(value: str, result: TargetResult, subject: str) -> Text:
    from rich.text import Text

    proof = result.evidence(subject)
    text = Text(value)
    text.append(f" {_DOTS[proof.kind]}" if proof else "  ", style="dim")
    return text
