"""Results -> a self-contained HTML page, JSON, CSV, Markdown, and tables for a terminal.

``Comparison`` is what a page shows; ``target_result`` makes its parts from a target, an estimate and a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.report.attribution import WHY_SCHEMA, Attribution, Measure, Swap
    from hwsim.report.build import summarise, target_result
    from hwsim.report.change import Change, compare_runs
    from hwsim.report.change_page import change_dict, change_json, render_change
    from hwsim.report.document import SCHEMA, dumps, from_json, read, to_json
    from hwsim.report.html import render_html
    from hwsim.report.model import (
        Accuracy,
        Comparison,
        Declared,
        Evidence,
        HealthRow,
        Score,
        TargetResult,
        TargetSummary,
        TileRow,
        wilson,
    )
    from hwsim.report.robustness import render_robustness
    from hwsim.report.stress import Stress, stress_csv, stress_dict, stress_json, stress_markdown
    from hwsim.report.terminal import print_change, print_comparison, print_estimate, print_why
    from hwsim.report.text import render_csv, render_markdown
    from hwsim.report.why import render_why, why_dict, why_json
    from hwsim.report.write import (
        SUFFIXES,
        write_change,
        write_points,
        write_report,
        write_robustness,
        write_why,
    )

_HOMES = {
    **dict.fromkeys(("WHY_SCHEMA", "Attribution", "Measure", "Swap"), "attribution"),
    **dict.fromkeys(("summarise", "target_result"), "build"),
    **dict.fromkeys(("Change", "compare_runs"), "change"),
    **dict.fromkeys(("change_dict", "change_json", "render_change"), "change_page"),
    **dict.fromkeys(("SCHEMA", "dumps", "from_json", "read", "to_json"), "document"),
    **dict.fromkeys(("render_html",), "html"),
    **dict.fromkeys(
        (
            *("Accuracy", "Comparison", "Declared", "Evidence", "HealthRow"),
            *("Score", "TargetResult", "TargetSummary", "TileRow", "wilson"),
        ),
        "model",
    ),
    **dict.fromkeys(("print_change", "print_comparison", "print_estimate", "print_why"), "terminal"),
    **dict.fromkeys(("render_csv", "render_markdown"), "text"),
    **dict.fromkeys(("render_why", "why_dict", "why_json"), "why"),
    "render_robustness": "robustness",
    **dict.fromkeys(("Stress", "stress_csv", "stress_dict", "stress_json", "stress_markdown"), "stress"),
    **dict.fromkeys(
        ("SUFFIXES", "write_change", "write_points", "write_report", "write_robustness", "write_why"), "write"
    ),
}

__all__ = [
    "SCHEMA",
    "SUFFIXES",
    "WHY_SCHEMA",
    "Accuracy",
    "Attribution",
    "Change",
    "Comparison",
    "Declared",
    "Evidence",
    "HealthRow",
    "Measure",
    "Score",
    "Stress",
    "Swap",
    "TargetResult",
    "TargetSummary",
    "TileRow",
    "change_dict",
    "change_json",
    "compare_runs",
    "dumps",
    "from_json",
    "print_change",
    "print_comparison",
    "print_estimate",
    "print_why",
    "read",
    "render_change",
    "render_csv",
    "render_html",
    "render_markdown",
    "render_robustness",
    "render_why",
    "stress_csv",
    "stress_dict",
    "stress_json",
    "stress_markdown",
    "summarise",
    "target_result",
    "to_json",
    "why_dict",
    "why_json",
    "wilson",
    "write_change",
    "write_points",
    "write_report",
    "write_robustness",
    "write_why",
]


def __getattr__(name: str) -> Any:
    """Load jinja2 and rich only when something is rendered (PEP 562)."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"hwsim.report.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'hwsim.report' has no attribute {name!r}")
