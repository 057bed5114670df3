"""How results show themselves in a notebook: a small table, self-contained, with names escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

_CELL = "text-align:{};padding:.15em .7em;border:0;border-top:1px solid #8884"
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def html_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """A table whose first column is to the left and whose others are to the right.

    Args:
        title: above it; ``notes`` are lines below it.
        head: names of the columns; ``rows`` have a text for each.
    """
    sides = ["left", *["right"] * (len(head) - 1)]

    def line(tag: str, cells: Sequence[str]) -> str:
        drawn = (
            f'<{tag} style="{_CELL.format(side)}">{escape(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr>{''.join(drawn)}</tr>"

    body = "".join(line("td", row) for row in rows)
    said = "".join(f'<div style="opacity:.75;font-size:.9em">{escape(note)}</div>' for note in notes)
    return (
        f'<div><div style="font-weight:600">{escape(title)}</div><table style="border-collapse:collapse;'
        f'font-variant-numeric:tabular-nums"><thead>{line("th", head)}</thead><tbody>{body}</tbody></table>{said}</div>'
    )


def amount(value: float, unit: str) -> str:
    """Three digits with an SI prefix.

    Example:
        >>> amount(1.234e-6, "J"), amount(0, "s"), amount(55_000.0, "/s")
        ('1.23 µJ', '0 s', '55 k/s')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    for scale, prefix in _PREFIXES:
        if abs(value) >= scale * 0.9995:
            return f"{value / scale:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"
