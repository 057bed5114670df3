"""gfloat (Graphcore), scalar and array paths: every mode, with and without saturation.

Quirks: gfloat raises where a format has no NaN or no room and saturation is off (profile ``gfloat`` refuses too);
its scalar path adds 0.5 to the cut-off part, so TiesToAway takes the last float64 below a midpoint for the midpoint;
its stochastic modes round the cut-off part to a given number of bits, ours truncates it to 32.
"""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.errors import FormatError
from hwsim.numerics import decode, encode, formats
from tests.numerics.reference import critical_points, random_floats
from tests.oracles import need_module

gfloat = need_module("gfloat")
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered in ldexp:RuntimeWarning")
from gfloat import formats as theirs  # noqa: E402

PAIRS = {
    "fp4_e2m1": theirs.format_info_ocp_e2m1,
    "fp6_e2m3": theirs.format_info_ocp_e2m3,
    "fp6_e3m2": theirs.format_info_ocp_e3m2,
    "fp8_e4m3fn": theirs.format_info_ocp_e4m3,
    "fp8_e5m2": theirs.format_info_ocp_e5m2,
    "int8_mx": theirs.format_info_ocp_int8,
    "e8m0": theirs.format_info_ocp_e8m0,
    "fp16": theirs.format_info_binary16,
    "bf16": theirs.format_info_bfloat16,
}
MODES = {
    "nearest_even": gfloat.RoundMode.TiesToEven,
    "nearest_away": gfloat.RoundMode.TiesToAway,
    "toward_zero": gfloat.RoundMode.TowardZero,
    "up": gfloat.RoundMode.TowardPositive,
    "down": gfloat.RoundMode.TowardNegative,
}
NARROW = [name for name in PAIRS if formats[name].bits <= 8 and name not in ("e8m0", "int8_mx")]


def same(mine: np.ndarray, reference: np.ndarray) -> None:
    mine, reference = mine.astype(np.float64), reference.astype(np.float64)
    nan = np.isnan(reference)
    np.testing.assert_array_equal(np.isnan(mine), nan)
    np.testing.assert_array_equal(mine[~nan].view(np.uint64), reference[~nan].view(np.uint64))


@pytest.mark.parametrize("name", [n for n in PAIRS if formats[n].bits <= 8])
def test_decode_every_code(name):
    codes = np.arange(256 >> (8 - formats[name].bits), dtype=np.uint8)
    same(decode(codes, name), gfloat.decode_ndarray(PAIRS[name], codes))


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", NARROW)
def test_scalar_path_at_midpoints(name, rounding):
    x = critical_points(formats[name], np.float64)
    x = np.concatenate([x, [0.0, -0.0, 1e-300, -1e-300, 1e300, -1e300, np.inf, -np.inf]])
    if rounding == "nearest_away":
        with np.errstate(over="ignore"):
            x = x.astype(np.float32).astype(np.float64)  # the quirk needs float64 neighbours
    reference = [gfloat.round_float(PAIRS[name], v, MODES[rounding], sat=True) for v in x.tolist()]
    same(decode(encode(x, name, rounding=rounding, overflow="saturate"), name), np.array(reference))


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", ["fp8_e4m3fn", "fp8_e5m2", "fp16", "bf16"])
def test_array_path_without_saturation(name, rounding):
    x = random_floats(np.float64, 20_000, 23)
    overflow = "inf" if formats[name].has_infinity else "nan"
    reference = gfloat.round_ndarray(PAIRS[name], x, MODES[rounding], sat=False)
    same(decode(encode(x, name, rounding=rounding, overflow=overflow), name), reference)


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", NARROW)
def test_array_path_with_saturation(name, rounding):
    x = random_floats(np.float64, 20_000, 29)
    x = x[~np.isnan(x)]
    reference = gfloat.round_ndarray(PAIRS[name], x, MODES[rounding], sat=True)
    same(decode(encode(x, name, rounding=rounding, overflow="saturate"), name), reference)


@pytest.mark.slow
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", NARROW)
def test_array_path_on_millions(name, rounding):
    for dtype in (np.float32, np.float64):
        x = random_floats(dtype, 4_000_000, 37)
        x = x[~np.isnan(x)]
        reference = gfloat.round_ndarray(PAIRS[name], x.astype(np.float64), MODES[rounding], sat=True)
        same(decode(encode(x, name, rounding=rounding, overflow="saturate"), name), reference)


@pytest.mark.parametrize("rounding", ["nearest_even", "up", "down", "toward_zero"])
def test_e8m0_in_range(rounding):
    x = np.abs(random_floats(np.float64, 4000, 31))
    x = x[(x >= 2.0**-127) & (x <= 2.0**127)]
    reference = [gfloat.round_float(PAIRS["e8m0"], v, MODES[rounding]) for v in x.tolist()]
    same(decode(encode(x, "e8m0", rounding=rounding), "e8m0"), np.array(reference))


def test_quirk_refusals_are_errors_on_both_sides():
    for x, message in ((np.nan, "NaN"), (100.0, "outside"), (np.inf, "outside")):
        with pytest.raises(ValueError, match=r"No (Infs or )?NaN"):
            gfloat.round_float(PAIRS["fp4_e2m1"], x)
        with pytest.raises(FormatError, match=message):
            encode(x, "fp4_e2m1", profile="gfloat")


def test_quirk_scalar_ties_to_away_just_below_a_midpoint():
    x = float(np.nextafter(0.25, 0))
    assert gfloat.round_float(PAIRS["fp4_e2m1"], x, gfloat.RoundMode.TiesToAway) == 0.5
    assert encode(x, "fp4_e2m1", rounding="nearest_away") == 0
