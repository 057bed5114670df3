"""Formats that are a list of values, as data."""

from __future__ import annotations

from typing import Final

from hwsim.numerics.catalog_sources import BNB, STRICT
from hwsim.numerics.format import Format, Profile, TableLayout, by_name

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
            (
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
            (0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333),
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
)
