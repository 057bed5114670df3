"""Write a comparison to a file, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from hwsim.errors import DataError, unknown
from hwsim.report.document import dumps
from hwsim.report.model import Comparison


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
    path = Path(path)
    render = _RENDERERS.get(path.suffix.lower())
    if render is None:
        raise unknown(DataError, "report format", path.suffix or path.name, SUFFIXES, where=str(path))
    write_text(path, render(comparison))
    return path


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 beside ``path`` and move it there; folders on the way are made.

    Raises:
        DataError: the file cannot be written; nothing is left behind.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", where=str(path)) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
