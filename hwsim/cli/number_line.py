"""Text drawings of a format of at most 8 bits: where its values lie, and what each code means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwsim.numerics import Format

WIDTH = 96
LINEAR = 64
"""Formats with at most so many values are drawn on a linear axis; others by values a power of two."""


def _finite(entry: Format) -> list[float]:
    from hwsim.numerics import decode_table

    return sorted({float(value) for value in decode_table(entry) if math.isfinite(value)})


def number_line(entry: Format) -> str:
    """The values on an axis: a mark a value, labels where they fit; wide formats as values a power of two."""
    values = _finite(entry)
    return _line(values) if len(values) <= LINEAR else _density(values)


def _line(values: list[float]) -> str:
    low, high = values[0], values[-1]
    span = (high - low) or 1.0
    place = {value: round((value - low) / span * (WIDTH - 1)) for value in values}
    axis, labels = ["-"] * WIDTH, [" "] * (WIDTH + 8)
    for value in values:
        axis[place[value]] = "|"
    # Ends and zero are labelled first; the others where there is room.
    first = [low, high, *(value for value in values if value == 0)]
    for value in [*first, *sorted(values, key=abs, reverse=True)]:
        text = f"{value:g}"
        start = max(0, place[value] - (len(text) - 1) // 2)
        around = labels[max(0, start - 1) : start + len(text) + 1]
        if all(cell == " " for cell in around):
            labels[start : start + len(text)] = text
    return "".join(axis) + "\n" + "".join(labels).rstrip()


def _density(values: list[float]) -> str:
    """How many positive values lie in each power of two: what precision is left where."""
    counts: dict[int, int] = {}
    for value in values:
        if value > 0:
            exponent = math.frexp(value)[1] - 1
            counts[exponent] = counts.get(exponent, 0) + 1
    rows = list(counts.items())
    merged: list[tuple[int, int, int]] = []
    for exponent, count in rows:
        if merged and merged[-1][2] == count and merged[-1][1] == exponent - 1:
            merged[-1] = (merged[-1][0], exponent, count)
        else:
            merged.append((exponent, exponent, count))
    lines = ["positive values in each power of two:"]
    for first, last, count in merged:
        span = f"[2^{first}, 2^{first + 1})" if first == last else f"[2^{first}, 2^{last + 1})"
        each = "" if first == last else " in each"
        lines.append(f"  {span:<16} {'#' * min(count, 64)} {count}{each}")
    return "\n".join(lines)


def code_table(entry: Format) -> str:
    """The value of every code: one a line with its bits up to 4 bits, else a grid of eight columns."""
    from hwsim.numerics import decode_table

    values = [_text(float(value)) for value in decode_table(entry)]
    digits = -(-entry.bits // 4)
    if entry.bits <= 4:
        columns = 4 if len(values) >= 8 else 1
        height = len(values) // columns
        width = max(map(len, values))
        cells = [f"0x{code:0{digits}X} {code:0{entry.bits}b} {text:>{width}}" for code, text in enumerate(values)]
        return "\n".join("    ".join(cells[row + height * at] for at in range(columns)) for row in range(height))
    width = max(map(len, values))
    lines = ["code  " + "  ".join(f"{'+' + str(low):>{width}}" for low in range(8))]
    for start in range(0, len(values), 8):
        lines.append(f"0x{start:0{digits}X}  " + "  ".join(f"{text:>{width}}" for text in values[start : start + 8]))
    return "\n".join(lines)


def _text(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if value == 0:
        return "-0" if math.copysign(1.0, value) < 0 else "0"
    return f"{value:.6g}"
