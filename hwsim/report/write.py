"""Write what a report shows to a file, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.errors import DataError, unknown
from hwsim.io import atomic
from hwsim.report.attribution import Attribution
from hwsim.report.change import Change
from hwsim.report.document import dumps
from hwsim.report.model import Comparison

if TYPE_CHECKING:
    from hwsim.report.points import Points
    from hwsim.report.stress import Stress


def _html(comparison: Comparison) -> str:
    from hwsim.report.html import render_html

    return render_html(comparison)


def _markdown(comparison: Comparison) -> str:
    from hwsim.report.text import render_markdown

    return render_markdown(comparison)


def _csv(comparison: Comparison) -> str:
    from hwsim.report.text import render_csv

    return render_csv(comparison)


_RENDERERS: dict[str, Callable[[Comparison], str]] = {
    ".html": _html,
    ".json": dumps,
    ".csv": _csv,
    ".md": _markdown,
}

SUFFIXES = tuple(_RENDERERS)
"""What ``write_report`` can write."""


def write_report(comparison: Comparison, path: str | Path) -> Path:
    """Write ``comparison`` as its suffix says: .html, .json, .csv, .md. An old file stays until the new is whole.

    Raises:
        DataError: an unknown suffix, or the file cannot be written.
    """
    return write_as(_RENDERERS, comparison, path)


def write_why(why: Attribution, path: str | Path) -> Path:
    """Write an attribution as its suffix says: .html or .json.

    Raises:
        DataError: an unknown suffix, or the file cannot be written.
    """
    from hwsim.report.why import render_why, why_json

    return write_as({".html": render_why, ".json": why_json}, why, path)


def write_change(change: Change, path: str | Path) -> Path:
    """Write what changed between two runs as the suffix says: .html or .json.

    Raises:
        DataError: an unknown suffix, or the file cannot be written.
    """
    from hwsim.report.change_page import change_json, render_change

    return write_as({".html": render_change, ".json": change_json}, change, path)


def write_points(points: Points, path: str | Path) -> Path:
    """Write the page of a design space: .html.

    Raises:
        DataError: an unknown suffix, or the file cannot be written.
    """
    from hwsim.report.points import render_points

    return write_as({".html": render_points}, points, path)


def write_robustness(stress: Stress, path: str | Path) -> Path:
    """Write what a network withstands as the suffix says: .html, .json, .csv or .md.

    Raises:
        DataError: an unknown suffix, or the file cannot be written.
    """
    from hwsim.report.robustness import render_robustness
    from hwsim.report.stress import stress_csv, stress_json, stress_markdown

    renderers = {".html": render_robustness, ".json": stress_json, ".csv": stress_csv, ".md": stress_markdown}
    return write_as(renderers, stress, path)


def write_as(renderers: Mapping[str, Callable[[Any], str]], value: Any, path: str | Path) -> Path:
    """Write ``value`` as the renderer of the path's suffix has it.

    Raises:
        DataError: an unknown suffix, or the file cannot be written.
    """
    path = Path(path)
    render = renderers.get(path.suffix.lower())
    if render is None:
        raise unknown(DataError, "report format", path.suffix or path.name, renderers, where=str(path))
    atomic.write(path, render(value).encode(), DataError)
    return path
