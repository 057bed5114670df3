"""The multipliers of rtl/: which formats each takes. Widths and values follow from the formats' entries in numerics.

A product is a signed fixed-point number: an integer times 2**lsb_exponent, so that adding products adds integers.
``python -m hwsim.verify.emit`` writes the Verilog of every entry but those marked by hand, and ``rtl/mul.v``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Multiplier:
    """One multiplier, ``rtl/mul_<name>.v``.

    Attributes:
        name: value of the parameter MUL.
        a_format, b_format: element formats of its operands.
        by_hand: the module is written by hand; else it is emitted.
    """

    name: str
    a_format: str
    b_format: str
    by_hand: bool = False

    @property
    def a_bits(self) -> int:
        """Width of a code of ``a``."""
        return _bits(self.a_format)

    @property
    def b_bits(self) -> int:
        """Width of a code of ``b``."""
        return _bits(self.b_format)

    @property
    def lsb_exponent(self) -> int:
        """A product counts in units of 2**lsb_exponent."""
        return fixed_point(self.a_format)[1] + fixed_point(self.b_format)[1]

    @property
    def product_bits(self) -> int:
        """Width of the signed product: what it needs, and no less than both operands together."""
        a, b = (fixed_point(name)[0] for name in (self.a_format, self.b_format))
        ends = [int(x) * int(y) for x in (a.min(), a.max()) for y in (b.min(), b.max())]
        needed = max((end if end >= 0 else ~end).bit_length() + 1 for end in ends)
        return max(needed, self.a_bits + self.b_bits)

    @property
    def special(self) -> bool:
        """An operand can be an infinity or NaN: its product is 0, and the module's output ``special`` is high."""
        return not (is_finite(self.a_format).all() and is_finite(self.b_format).all())


MULTIPLIERS: Mapping[str, Multiplier] = {
    entry.name: entry
    for entry in (
        Multiplier("int4", "int4", "int4", by_hand=True),
        Multiplier("int4_sm", "int4_sm", "int4_sm", by_hand=True),
        Multiplier("uint4", "uint4", "uint4"),
        Multiplier("uint4_int4", "uint4", "int4"),
        Multiplier("int8", "int8", "int8"),
        Multiplier("int8_int4", "int8", "int4"),
        Multiplier("uint8_int4", "uint8", "int4"),
        Multiplier("int8_ternary", "int8", "ternary"),
        Multiplier("int2", "int2", "int2"),
        Multiplier("ternary", "ternary", "ternary"),
        Multiplier("binary", "binary", "binary"),
        Multiplier("e2m1", "fp4_e2m1", "fp4_e2m1"),
        Multiplier("e4m3", "fp8_e4m3fn", "fp8_e4m3fn"),
        Multiplier("e5m2", "fp8_e5m2", "fp8_e5m2"),
    )
}


@cache
def fixed_point(fmt: str) -> tuple[NDArray[np.int64], int]:
    """Each code of a format as an integer, int64 [2**bits], and the exponent of its unit; infinities and NaN are 0."""
    from hwsim.numerics import decode_table

    table = np.where(is_finite(fmt), decode_table(fmt), 0).astype(np.float64)
    exponent = min(_lowest_bit(abs(float(value))) for value in table if value)
    return np.ldexp(table, -exponent).astype(np.int64), exponent


def is_finite(fmt: str) -> NDArray[np.bool_]:
    """Which codes of a format are numbers, bool [2**bits]."""
    from hwsim.numerics import decode_table

    finite: NDArray[np.bool_] = np.isfinite(decode_table(fmt))
    return finite


def _lowest_bit(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return (numerator & -numerator).bit_length() - denominator.bit_length()


def _bits(fmt: str) -> int:
    from hwsim.numerics import decode_table

    return int(decode_table(fmt).size).bit_length() - 1
