"""A comparison as one self-contained HTML page: no network, light and dark, for a desk, a phone and paper."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hwsim.report import bars, figures, humanise
from hwsim.report.document import SCHEMA, dumps
from hwsim.report.model import KINDS, SUBJECTS, Comparison, Evidence, TargetResult
from hwsim.report.svg import PALETTE, swatch
from hwsim.report.words import verdicts

if TYPE_CHECKING:
    import jinja2

_TEMPLATES = Path(__file__).parent / "templates"

KIND_WORDS = {
    "silicon": "measured on the chip itself",
    "rtl": "measured in simulation of the circuit's source",
    "published": "stated by the maker or in print",
    "derived": "computed from numbers of the kinds above",
    "assumed": "our own assumption",
}

METRIC_WORDS = {
    "accuracy": "Accuracy",
    "score": "Score",
    "energy": "Energy an inference",
    "latency": "Latency",
    "throughput": "Throughput",
}


def render_html(comparison: Comparison) -> str:
    """The page. The same comparison always gives the same bytes; names are escaped wherever they come from."""
    style, script = _text("report.css"), _text("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page: str = (
        _environment()
        .get_template("report.html.j2")
        .render(
            comparison=comparison,
            style=Markup(style),
            script=Markup(script),
            policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
            schema=SCHEMA,
            fingerprint=hashlib.sha256(dumps(comparison).encode()).hexdigest(),
            **_context(comparison),
        )
    )
    return page


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
                "use": bars.utilisation(result, index),
                "summary": _summary(result),
                "layers": _layer_rows(result),
            }
            for index, (label, result) in enumerate(zip(figures.labels_of(results), results, strict=True))
        ],
        "words": verdicts(comparison),
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


def evidence_chip(evidence: Evidence | None) -> Markup:
    """A label with the kind of evidence; its source on hover."""
    if evidence is None:
        return Markup('<span class="ev ev-none" title="nobody stated what this rests on">unstated</span>')
    hover = f"{evidence.kind}: {evidence.source or KIND_WORDS[evidence.kind]}"
    return Markup('<span class="ev ev-{}" title="{}">{}</span>').format(evidence.kind, hover, evidence.kind)


def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        si=humanise.si,
        size=humanise.size,
        rate=humanise.per_second,
        percent=humanise.percent,
        short_percent=humanise.short_percent,
        points=humanise.points,
        count=humanise.count,
        decibels=humanise.decibels,
        significant=humanise.significant,
        chip=evidence_chip,
    )
    return environment
