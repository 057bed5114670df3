"""A comparison as one self-contained HTML page: no network, light and dark, for a desk, a phone and paper."""

from __future__ import annotations

from typing import Any

from hwsim.report import bars, figures
from hwsim.report.document import SCHEMA, dumps
from hwsim.report.model import KINDS, SUBJECTS, Comparison, TargetResult
from hwsim.report.page import KIND_WORDS, page_of, render
from hwsim.report.svg import PALETTE, swatch
from hwsim.report.timeline import timeline
from hwsim.report.words import limit_sentences, verdicts

METRIC_WORDS = {
    "accuracy": "Accuracy",
    "score": "Score",
    "energy": "Energy an inference",
    "latency": "Latency",
    "throughput": "Throughput",
}

SUBJECT_OF = {
    "accuracy": "arithmetic",
    "score": "arithmetic",
    "energy": "energy",
    "latency": "timing",
    "throughput": "timing",
}
"""What evidence each metric rests on."""


def render_html(comparison: Comparison) -> str:
    """The page. The same comparison always gives the same bytes; names are escaped wherever they come from."""
    page = page_of(comparison, "report", "this comparison", dumps(comparison), SCHEMA)
    return render("report.html.j2", page, comparison=comparison, **_context(comparison))


def _context(comparison: Comparison) -> dict[str, Any]:
    results = comparison.results
    components = bars.components_of(comparison)
    axes = figures.roof_axes(results)
    measured = any(result.accuracy for result in results)
    metric = next((result.score.metric for result in results if result.score), "")
    words = {**METRIC_WORDS, "score": metric[:1].upper() + metric[1:]}
    planes = (
        [figures.accuracy_plane(comparison, "energy"), figures.accuracy_plane(comparison, "latency")]
        if measured
        else [figures.cost_plane(comparison)]
    )
    return {
        "targets": [
            {
                "index": index,
                "hue": index % PALETTE,
                "label": label,
                "result": result,
                "swatch": swatch(index),
                "evidence": {subject: result.evidence(subject) for subject in SUBJECTS},
                "roof": figures.roofline(result, index, axes),
                "energy": bars.layer_energy(result, index, components),
                "time": bars.time_shares(result, index),
                "line": timeline(result, index),
                "use": bars.utilisation(result, index),
                "summary": _summary(result),
                "layers": _layer_rows(result),
            }
            for index, (label, result) in enumerate(zip(figures.labels_of(results), results, strict=True))
        ],
        "words": verdicts(comparison),
        "limits": limit_sentences(comparison),
        "proofs": {metric: [r.evidence(subject) for r in results] for metric, subject in SUBJECT_OF.items()},
        "metric_words": words,
        "strips": {metric: strip for metric in words if (strip := bars.metric_strip(comparison, metric))},
        "planes": planes,
        "measured": measured,
        "metric": metric,
        "components": [(name, bars.component_class(name)) for name in components],
        "energy_shares": bars.energy_shares(comparison, components),
        "more_rows": any(len(result.estimate.rows) > bars.MAX_ROWS for result in results),
        "max_rows": bars.MAX_ROWS,
        "kinds": [(kind, KIND_WORDS[kind]) for kind in KINDS],
        "swatches": [swatch(index) for index in range(len(results))],
    }


def _summary(result: TargetResult) -> dict[str, Any]:
    """Totals that the comparison table shows beside the headline's."""
    estimate = result.estimate
    products = [row for row in estimate.rows if row.macs]
    busy = sum(row.seconds for row in products)
    peak = estimate.peak_macs_per_s * estimate.seconds
    return {
        "watts": estimate.watts,
        "macs": estimate.macs / estimate.batch,
        "pj_per_mac": estimate.joules * 1e12 / estimate.macs if estimate.macs else None,
        "use": estimate.macs / peak if peak > 0 else None,
        "matrix_share": busy / estimate.seconds if estimate.seconds > 0 else None,
        "dram_bytes": sum(row.dram_bytes for row in estimate.rows) / estimate.batch,
    }


def _layer_rows(result: TargetResult) -> list[dict[str, Any]]:
    estimate = result.estimate
    total_pj = sum(row.total_pj for row in estimate.rows)
    return [
        {
            "number": number,
            "row": row,
            "size": f"{row.m}×{row.k}×{row.n}" + (f" ×{row.groups}" if row.groups > 1 else "") if row.macs else "",
            "time_share": row.seconds / estimate.seconds if estimate.seconds > 0 else None,
            "joules": row.total_pj * 1e-12 / estimate.batch,
            "energy_share": row.total_pj / total_pj if total_pj > 0 else None,
        }
        for number, row in enumerate(estimate.rows, 1)
    ]
