"""Formats that are a list of values, as data."""

from __future__ import annotations

import struct
from math import inf, nan, sqrt
from typing import Final

from hwsim.numerics.catalog_sources import BNB, GGML, HIF8, READ, STRICT
from hwsim.numerics.format import Format, Profile, Source, TableLayout, by_name


def _float32(*numbers: float) -> tuple[float, ...]:
    """Thresholds that a source compares in float32."""
    return struct.unpack(f"{len(numbers)}f", struct.pack(f"{len(numbers)}f", *numbers))


def _hif8(code: int) -> float:
    """Value of a HiF8 code: sign, a prefix (dot) that says how many exponent bits follow, exponent, mantissa."""
    sign = -1.0 if code & 0x80 else 1.0
    magnitude = code & 0x7F
    if magnitude == 0:
        return nan if code else 0.0
    if magnitude == 0x6F:
        return sign * inf
    if magnitude < 8:  # dot 0000: powers of two below the normal numbers
        return sign * 2.0 ** (magnitude - 23)
    widths = {0b11: (4, 2), 0b10: (3, 2), 0b01: (2, 2)}
    width, dot = widths.get(magnitude >> 5, (1, 3) if magnitude >= 16 else (0, 4))
    mantissa_bits = 7 - dot - width
    exponent = 0
    if width:  # sign bit, then a magnitude whose leading 1 is not stored
        field = magnitude >> mantissa_bits & ((1 << width) - 1)
        half = 1 << (width - 1)
        exponent = half + (field & (half - 1))
        exponent = -exponent if field & half else exponent
    mantissa = magnitude & ((1 << mantissa_bits) - 1)
    return sign * (1 + mantissa / (1 << mantissa_bits)) * 2.0**exponent


_LOG4 = (0.0, *(2.0**power for power in range(-6, 1)))
_APOT4 = tuple(a + b for a in (0.0, 1 / 16, 1 / 4, 1 / 2) for b in (0.0, 1 / 8))  # bits: two for a, one for b

TABLES: Final = (
    Format(
        "nf4",
        "NF4: quantiles of a normal distribution in -1..1",
        4,
        TableLayout(
            (
                -1.0,
                -0.6961928009986877,
                -0.5250730514526367,
                -0.39491748809814453,
                -0.28444138169288635,
                -0.18477343022823334,
                -0.09105003625154495,
                0.0,
                0.07958029955625534,
                0.16093020141124725,
                0.24611230194568634,
                0.33791524171829224,
                0.44070982933044434,
                0.5626170039176941,
                0.7229568362236023,
                1.0,
            ),
            _float32(
                -0.8480964004993439,
                -0.6106329262256622,
                -0.4599952697753906,
                -0.33967943489551544,
                -0.23460740596055984,
                -0.13791173323988914,
                -0.045525018125772476,
                0.03979014977812767,
                0.1202552504837513,
                0.2035212516784668,
                0.2920137718319893,
                0.3893125355243683,
                0.5016634166240692,
                0.6427869200706482,
                0.8614784181118011,
            ),
        ),
        BNB,
        by_name((STRICT, Profile("bitsandbytes", "NaN fails every comparison: code 0", nan=(0, 0)))),
        note="packed high nibble first",
    ),
    Format(
        "fp4_bnb",
        "FP4 of bitsandbytes: 0 .0052083 .1667 .25 .3333 .5 .6667 1, signed",
        4,
        TableLayout(
            (
                0.0,
                0.005208333333,
                0.66666667,
                1.0,
                0.33333333,
                0.5,
                0.16666667,
                0.25,
                -0.0,
                -0.005208333333,
                -0.66666667,
                -1.0,
                -0.33333333,
                -0.5,
                -0.16666667,
                -0.25,
            ),
            _float32(0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333),
            symmetric=True,
        ),
        BNB,
        by_name(
            (
                Profile(
                    "bitsandbytes",
                    "the sign is x < 0, so -0 becomes +0 and negative underflow -0; NaN fails every comparison: 0",
                    nan=(0, 0),
                    negative_zero_input="positive_zero",
                ),
                STRICT,
            )
        ),
        "keep",
        note="not E2M1; packed high nibble first; its threshold .0859375 is not a midpoint",
    ),
    Format(
        "fp8_hif8",
        "HiF8 (Ascend): tapered, 3 mantissa bits near 1 and none near 2^-22, max 2^15",
        8,
        TableLayout(
            tuple(_hif8(code) for code in range(256)), symmetric=True, ties="upper", overflows_at=1.25 * 2.0**15
        ),
        HIF8,
        by_name(
            (
                Profile("hif8", "overflow becomes infinity; NaN is 0x80", "nearest_away", "inf", nan=(0x80, 0x80)),
                Profile("saturating", "Ascend's saturating mode: NaN becomes 0", "nearest_away", nan=(0, 0)),
            )
        ),
        note="one zero; a prefix code of 2 to 4 bits says how many exponent bits follow",
    ),
    Format(
        "log4",
        "logarithmic: +-2^k for k = -6 .. 0, and a code of its own for zero",
        4,
        TableLayout(
            (*_LOG4, *(-value for value in _LOG4)),
            tuple(2.0**power / sqrt(2) for power in range(-6, 1)),
            symmetric=True,
        ),
        Source("Miyashita et al., Convolutional Neural Networks using Logarithmic Data Representation", "3.1", READ),
        by_name((STRICT, Profile("zero", "NaN becomes 0", nan=(0, 0)))),
        "keep",
        note="nearest in the exponent, not in the value: neighbours meet at 2^k * sqrt(2), zero and 2^-6 at 2^-6.5",
    ),
    Format(
        "apot4",
        "additive powers of two: a + b, a of 0 1/16 1/4 1/2 and b of 0 1/8, signed",
        4,
        TableLayout((*_APOT4, *(-value for value in _APOT4)), symmetric=True, ties="upper"),
        Source("Li et al., Additive Powers-of-Two Quantization (ICLR 2020)", "equation 5, 3 bits and a sign", READ),
        by_name((STRICT, Profile("zero", "NaN becomes 0", nan=(0, 0)))),
        "keep",
        note="0 .0625 .125 .1875 .25 .375 .5 .625 before scaling; code: sign, two bits for a, one for b",
    ),
    Format(
        "nl4",
        "element of GGML's IQ4_NL: 16 integers, denser near zero, -127 .. 113",
        4,
        TableLayout((-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113), ties="upper"),
        GGML,
        by_name((STRICT,)),
        note="no exact zero",
    ),
)
