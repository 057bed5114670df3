"""A comparison as Markdown, for a pull request or a README, and as CSV, for a spreadsheet: a row a layer and target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hwsim.io.tables import csv_text, markdown, markdown_table
from hwsim.report.bars import components_of
from hwsim.report.figures import labels_of
from hwsim.report.humanise import count, decibels, per_second, percent, points, si, significant
from hwsim.report.model import Comparison, Evidence, TargetResult
from hwsim.report.words import verdicts

_LAYER_FIELDS = (
    *(
        "name",
        "op",
        "engine",
        "m",
        "n",
        "k",
        "groups",
        "macs",
        "operations",
        "cycles",
        "compute_cycles",
        "stall_cycles",
    ),
    *("seconds", "utilisation", "bound", "dram_bytes", "sram_bytes"),
)


def render_csv(comparison: Comparison) -> str:
    """Every layer of every target, in the units of ``LayerEstimate`` (whole batch); one column an energy component."""
    components = components_of(comparison)
    head = ["target", "precision", "batch", "metric", "answer", "answer_fp32"]
    return csv_text(
        [*head, *_LAYER_FIELDS, *(f"energy_pj.{name}" for name in components)], _cells(comparison, components)
    )


def _cells(comparison: Comparison, components: Sequence[str]) -> Iterator[tuple[object, ...]]:
    for result in comparison.results:
        for row in result.estimate.rows:
            cells = [getattr(row, name) for name in _LAYER_FIELDS]
            energy = [row.energy_pj.get(name, 0.0) for name in components]
            first = [result.target.name, result.target.precision, result.estimate.batch, *_answer(result)]
            yield (*first, *cells, *energy)


def _answer(result: TargetResult) -> tuple[str, object, object]:
    """Metric, the chip's and the float network's; empty where nothing was measured."""
    if result.score is not None:
        return result.score.metric, result.score.measured, result.score.float32
    if result.accuracy is not None:
        return result.accuracy.metric, result.accuracy.value, result.accuracy.baseline
    return "", None, None


def render_markdown(comparison: Comparison) -> str:
    """The headline, the table of targets, numeric health and what reproduces it."""
    lines = [f"# {markdown(comparison.title)}", ""]
    data = f"{comparison.data}, n = {count(comparison.n)}" if comparison.n else comparison.data
    lines += [f"Network {markdown(comparison.model)}; data {markdown(data)}; made {markdown(comparison.created)}.", ""]
    lines += [f"- {markdown(sentence)}" for sentence in verdicts(comparison).values()]
    head = [
        "target",
        "accuracy" if not any(result.score for result in comparison.results) else "score",
        "95% interval",
        "against fp32",
        "latency",
        "throughput",
        "energy an inference",
        "evidence",
    ]
    lines += [
        "",
        *markdown_table(head, [_target(label, result) for label, result in _named(comparison)], "lrrrrrrl"),
    ]
    if any(result.health for result in comparison.results):
        head = ["target", "layer", "values", "saturated", "clipped", "zeros", "negative zeros", "SQNR"]
        rows = [
            [
                label,
                row.layer,
                *map(count, (row.elements, row.saturated, row.clipped, row.zeros, row.negative_zeros)),
                decibels(row.sqnr_db),
            ]
            for label, result in _named(comparison)
            for row in result.health
        ]
        lines += ["", "## Numeric health", "", *markdown_table(head, rows, "llrrrrrr")]
    lines += ["", "## Reproduce", ""]
    if comparison.command:
        lines += [f"    {' '.join(comparison.command.split())}", ""]
    lines.append(f"- seed {comparison.seed}")
    lines += [f"- {markdown(name)} {markdown(version)}" for name, version in comparison.versions.items()]
    lines += [f"- {markdown(name)}: {markdown(digest)}" for name, digest in comparison.hashes.items()]
    lines += ["", *(markdown(note) for note in comparison.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _named(comparison: Comparison) -> list[tuple[str, TargetResult]]:
    return list(zip(labels_of(comparison.results), comparison.results, strict=True))


def _target(label: str, result: TargetResult) -> list[str]:
    accuracy, score = result.accuracy, result.score
    if score is not None:
        base = "–" if score.float32 is None else f"fp32 {significant(score.float32, 4)}"
        share = [f"{score.metric} {significant(score.measured, 4)}", "–", base]
    elif accuracy is None:
        share = ["–", "–", "–"]
    else:
        low, high = accuracy.interval
        change = "–" if accuracy.baseline is None else points(accuracy.value - accuracy.baseline)
        share = [f"{percent(accuracy.value)} of {count(accuracy.n)}", f"{percent(low)} to {percent(high)}", change]
    speed = [si(result.latency_s, "s"), per_second(result.estimate.inferences_per_s), si(result.energy_j, "J")]
    proofs = ", ".join(
        f"{subject} {_kind(result.evidence(subject))}"
        for subject in ("arithmetic", "timing", "energy")
        if result.evidence(subject)
    )
    return [label, *share, *speed, proofs]


def _kind(evidence: Evidence | None) -> str:
    return evidence.kind if evidence else "unstated"
