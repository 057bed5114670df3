"""Tables as text that others open: CSV for a spreadsheet, Markdown for a pull request. Names in them are only names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV (RFC 4180, lines that end with a newline); a text that a spreadsheet would run gets a quote before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_inert(cell) for cell in head])
    writer.writerows([_inert(cell) for cell in row] for row in rows)
    return out.getvalue()


def _inert(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> list[str]:
    """Lines of a table; ``align`` has an ``r`` for each column whose cells stand at the right."""
    rule = ["---:" if side == "r" else "---" for side in align.ljust(len(head), "l")]
    cells = [[markdown(cell) for cell in row] for row in (head, *rows)]
    return [f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:])]


def markdown(text: str) -> str:
    """Text that Markdown and the HTML inside it leave alone, in one line."""
    flat = text.replace("\u202f", "\u00a0")
    for sign, instead in (("\n", " "), ("\r", " "), ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        flat = flat.replace(sign, instead)
    for sign in "\\`*_[]|#":
        flat = flat.replace(sign, f"\\{sign}")
    return flat
