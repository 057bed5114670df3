"""Codes to values and back, for one element format: `encode`, `decode` and the tables behind them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import FormatError
from hwsim.numerics.catalog import formats
from hwsim.numerics.format import Format, IntegerLayout, TableLayout


def element_format(fmt: str | Format) -> Format:
    """The element `Format` of that name (a `Format` passes through).

    Raises:
        FormatError: unknown name, or a block format, which has no codes of its own.
    """
    if isinstance(fmt, Format):
        return fmt
    entry = formats[fmt]
    if not isinstance(entry, Format):
        raise FormatError(
            f"{entry.name!r} is a block format and has no codes of its own",
            hint=f"its element is {entry.element!r}; quantize_tensor takes {entry.name!r}",
        )
    return entry


def _value(fmt: Format, code: int) -> float:
    layout = fmt.layout
    if isinstance(layout, TableLayout):
        return layout.values[code]
    if isinstance(layout, IntegerLayout):
        value = layout.integer(code, fmt.bits)
        if code == fmt.negative_zero_code:
            return -0.0
        return value / (1 << layout.fraction_bits)
    code &= (1 << (fmt.bits - layout.padding)) - 1
    negative = layout.signed and bool(code >> layout.magnitude_bits)
    magnitude = code & ((1 << layout.magnitude_bits) - 1)
    if layout.nan == "negative_zero" and negative and magnitude == 0:
        return float("nan")
    if magnitude > layout.max_code:
        infinite = layout.infinity and magnitude == layout.infinity_code
        value = float("inf") if infinite else float("nan")
    else:
        value = float(layout.magnitude(magnitude))
    return -value if negative else value


@lru_cache(maxsize=128)
def _table(fmt_name: str | Format) -> NDArray[np.float32]:
    fmt = element_format(fmt_name)
    if fmt.bits > 8:
        raise FormatError(
            f"decode_table is for formats of at most 8 bits; {fmt.name!r} has {fmt.bits}", hint="use decode"
        )
    table = np.array([_value(fmt, code) for code in range(1 << fmt.bits)], dtype=np.float32)
    table.setflags(write=False)
    return table


def decode_table(fmt: str | Format) -> NDArray[np.float32]:
    """Value of every code, float32 [2**bits], read-only; NaN where the code is NaN, -0.0 where it is -0.

    Raises:
        FormatError: unknown format, a block format, or more than 8 bits.
    """
    return _table(element_format(fmt).name if isinstance(fmt, str) else fmt)


def int_table(fmt: str | Format) -> NDArray[np.int32]:
    """Integer of every code, int32 [2**bits], for integer-valued formats of at most 8 bits (-0 is 0).

    Raises:
        FormatError: unknown format, more than 8 bits, or a format whose values are not integers.
    """
    entry = element_format(fmt)
    if not entry.is_integer:
        raise FormatError(f"int_table is for integer formats; {entry.name!r} is not one", hint="use decode_table")
    return np.asarray(decode_table(fmt), dtype=np.int32)
