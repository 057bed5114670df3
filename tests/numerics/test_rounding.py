"""Rounding and overflow of every format against exact fractions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.errors import FormatError
from hwsim.numerics import Format, decode, encode, formats
from hwsim.numerics.format import IntegerLayout, TableLayout
from tests.numerics.reference import critical_points, encode_exact, finite_codes, random_floats

MODES = ("nearest_even", "nearest_away", "toward_zero", "up", "down")
NARROW = [
    name
    for name, entry in formats.items()
    if isinstance(entry, Format) and entry.bits <= 8 and name not in ("binary", "e8m0", "e6m2")
]
TABLES = tuple(name for name in NARROW if isinstance(formats[name].layout, TableLayout))


def canonical(codes: np.ndarray, name: str) -> np.ndarray:
    """-0 as +0, which the reference does not tell apart."""
    entry = formats[name]
    return np.where(codes == (entry.negative_zero_code or -1), 0, codes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", NARROW)
def test_midpoints_and_their_neighbours(name, rounding, dtype):
    entry = formats[name]
    x = critical_points(entry, dtype)
    expected = [encode_exact(value, entry, rounding) for value in x.tolist()]
    got = encode(x, name, rounding=rounding, overflow="saturate")
    np.testing.assert_array_equal(canonical(got, name), expected)


@pytest.mark.parametrize("name", NARROW)
def test_stochastic_at_midpoints(name):
    entry = formats[name]
    x = critical_points(entry, np.float64)
    rng = np.random.default_rng(3)
    extremes = np.array([0, 2**32 - 1, 2**31, 2**31 - 1], np.uint32)
    random = np.concatenate([np.resize(extremes, x.size // 2), rng.integers(0, 2**32, x.size - x.size // 2, np.uint32)])
    expected = [encode_exact(v, entry, "stochastic", int(r)) for v, r in zip(x.tolist(), random.tolist(), strict=True)]
    got = canonical(encode(x, name, rounding="stochastic", overflow="saturate", random_bits=random), name)
    differ = np.count_nonzero(got != expected)
    assert differ <= (1 if name in TABLES else 0)  # the table kernel divides: one unit of 2^-32 apart at most


@pytest.mark.parametrize("rounding", [*MODES, "stochastic"])
@pytest.mark.parametrize("name", TABLES)
def test_tables_between_their_thresholds(name, rounding):
    entry = formats[name]
    rng = np.random.default_rng(4)
    limits = np.array(entry.layout.thresholds or [1.0])
    near = np.concatenate([limits, np.nextafter(limits, 9), np.nextafter(limits, -9)])
    x = np.concatenate([near, -near, rng.uniform(-1.2, 1.2, 500) * entry.max_value])
    random = rng.integers(0, 2**32, x.size, np.uint32)
    options = {"random_bits": random} if rounding == "stochastic" else {}
    expected = [encode_exact(v, entry, rounding, int(r)) for v, r in zip(x.tolist(), random.tolist(), strict=True)]
    got = canonical(encode(x, name, rounding=rounding, overflow="saturate", **options), name)
    assert np.count_nonzero(got != expected) <= (1 if rounding == "stochastic" else 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", ["e8m0", "e6m2"])
def test_scales_without_zero(name, rounding, dtype):
    """Below the least value there is only the least value."""
    entry = formats[name]
    x = critical_points(entry, dtype)
    x = np.concatenate([x[x > 0], np.array([entry.min_value / 2, entry.min_value / 4], dtype)])
    expected = [encode_exact(value, entry, rounding) for value in x.tolist()]
    np.testing.assert_array_equal(encode(x, name, rounding=rounding), expected)


def test_hif8_overflows_at_a_quarter_above_its_maximum():
    edge = 1.25 * 2.0**15
    for dtype in (np.float32, np.float64):
        x = np.array([np.nextafter(dtype(edge), dtype(0)), edge, np.inf, np.nan, -edge, -np.nan], dtype)
        assert encode(x, "fp8_hif8").tolist() == [0x6E, 0x6F, 0x6F, 0x80, 0xEF, 0x80]
        assert encode(x, "fp8_hif8", profile="saturating").tolist() == [0x6E, 0x6E, 0x6E, 0, 0xEE, 0]
        assert encode(dtype([1e9, np.inf]), "fp8_hif8", rounding="toward_zero").tolist() == [0x6E, 0x6F]
    assert encode([2.0**-23, -(2.0**-23), 2.0**-24, -0.0], "fp8_hif8").tolist() == [1, 0x81, 0, 0]


def test_nf4_thresholds_are_midpoints_rounded_to_float32():
    values, codes = finite_codes(formats["nf4"])
    for low, high, code in zip(values, values[1:], codes, strict=False):
        middle = np.float32(float((low + high) / 2))
        assert encode(middle, "nf4") == code
        assert encode(np.nextafter(middle, np.float32(2)), "nf4") == code + 1


def test_fp4_bnb_follows_bitsandbytes_thresholds():
    x = np.float32([0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333])
    assert encode(x, "fp4_bnb").tolist() == [0, 1, 6, 7, 4, 5, 2]
    assert encode(np.nextafter(x, np.float32(2)), "fp4_bnb").tolist() == [1, 6, 7, 4, 5, 2, 3]
    assert encode(-x, "fp4_bnb").tolist() == [8, 9, 14, 15, 12, 13, 10]
    assert encode([-0.0, -1e-9, np.nan], "fp4_bnb").tolist() == [0, 8, 0]


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(NARROW),
    rounding=st.sampled_from((*MODES, "stochastic")),
    x=st.one_of(st.floats(width=64, allow_nan=False, allow_infinity=False), st.floats(-600, 600)),
    random=st.integers(0, 2**32 - 1),
)
def test_any_float64_rounds_once(name, rounding, x, random):
    entry = formats[name]
    options = {"random_bits": np.full((), random, np.uint32)} if rounding == "stochastic" else {}
    got = encode(np.float64(x), name, rounding=rounding, overflow="saturate", **options)
    assert canonical(got, name) == encode_exact(x, entry, rounding, random)


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(["int4", "uint4", "int8", "uint8", "int2", "int4_offset", "int32"]), x=st.floats(-1e300, 1e300)
)
def test_wrapping_is_arithmetic_modulo_the_code_count(name, x):
    entry = formats[name]
    layout = entry.layout
    assert isinstance(layout, IntegerLayout)
    offset = 1 << (entry.bits - 1) if layout.kind == "offset_binary" else 0
    assert int(encode(np.float64(x), name, overflow="wrap")) == (round(x) + offset) % (1 << entry.bits)


@pytest.mark.parametrize("name", ["fp8_e4m3fn", "fp8_e5m2", "fp8_e4m3fnuz", "fp16", "bf16"])
def test_overflow_beyond_half_a_step(name):
    """Nearest: up to half a step above the maximum rounds to it. The tie goes to the even neighbour."""
    entry = formats[name]
    top = entry.max_value
    step = top - float(decode(np.asarray(int(encode(top, name)) - 1), name))
    past = "nan" if "e4m3" in name else "inf"
    special = encode(np.inf, name, overflow=past)
    below, tie = np.nextafter(top + step / 2, 0), top + step / 2
    tie_is_even = int(encode(top, name)) % 2 == 0
    assert encode(below, name, overflow=past) == encode(top, name)
    assert (encode(tie, name, overflow=past) == encode(top, name)) == tie_is_even
    assert encode(np.nextafter(tie, np.inf), name, overflow=past) == special
    assert encode(1e300, name, overflow=past, rounding="toward_zero") == encode(top, name)
    assert encode(1e300, name, overflow=past, rounding="down") == encode(top, name)
    assert encode(1e300, name, overflow=past, rounding="up") == special
    assert encode(np.inf, name, overflow=past, rounding="toward_zero") == special
    assert decode(encode(-1e300, name, overflow=past, rounding="up"), name) == -top
    with pytest.raises(FormatError, match="holds values outside"):
        encode(1e300, name, overflow="error")
    assert encode(below, name, overflow="error") == encode(top, name)


def test_integers_refuse_what_they_cannot_hold():
    assert encode([-8.5, 7.49], "int4", overflow="error").tolist() == [8, 7]
    with pytest.raises(FormatError, match=r"outside -8\.\.7"):
        encode([7.5000001], "int4", overflow="error")
    with pytest.raises(FormatError, match="x holds NaN"):
        encode([np.nan], "int4")
    assert encode([np.nan, np.inf, -np.inf], "int4", profile="ascend").tolist() == [0, 7, 8]
    assert encode([0.49999997], "int4", rounding="nearest_away").tolist() == [0]  # floor(x + .5) would give 1
    assert encode(np.float32([0.49999997]), "int4", rounding="nearest_away").tolist() == [0]


def test_negative_zero_policies_of_sign_magnitude():
    x = [-0.0, -0.25, 0.0, -1.0]
    assert encode(x, "int4_sm").tolist() == [8, 8, 0, 9]
    assert encode(x, "int4_sm", negative_zero="canonicalise").tolist() == [0, 0, 0, 9]
    with pytest.raises(FormatError, match="negative zero, which policy 'trap'"):
        encode(x, "int4_sm", negative_zero="trap")
    assert np.signbit(decode(np.array([8]), "int4_sm")).all()
    assert not np.signbit(decode(np.array([8]), "int4_sm", negative_zero="canonicalise")).any()
    with pytest.raises(FormatError, match="negative zero"):
        decode(np.array([1, 8]), "int4_sm", negative_zero="trap")
    assert decode(np.array([1, 0]), "int4_sm", negative_zero="trap").tolist() == [1, 0]


def test_profiles_of_e2m1():
    nan, tiny = np.float32([np.nan, -np.nan]), np.float32([-1e-30, -0.0, 1e-30])
    assert encode(nan, "fp4_e2m1", profile="nvidia").tolist() == [7, 7]
    assert encode(nan, "fp4_e2m1", profile="ml_dtypes").tolist() == [8, 0]
    for profile in ("ocp", "gfloat"):
        with pytest.raises(FormatError, match="x holds NaN"):
            encode(nan, "fp4_e2m1", profile=profile)
    assert encode(tiny, "fp4_e2m1").tolist() == [8, 8, 0]
    assert encode(tiny, "fp4_e2m1", profile="quark").tolist() == [0, 0, 0]
    assert encode(tiny, "fp4_e2m1", profile="compressed_tensors").tolist() == [8, 0, 0]
    assert encode(tiny, "fp4_e2m1", negative_zero="canonicalise").tolist() == [0, 0, 0]
    with pytest.raises(FormatError, match="negative zero"):
        encode(tiny, "fp4_e2m1", negative_zero="trap")
    with pytest.raises(FormatError, match="outside -6"):
        encode([7.5], "fp4_e2m1", profile="gfloat")


def test_e8m0_profiles():
    x = np.float32([1.0, 1.5, 3.0, 0.75])
    assert encode(x, "e8m0").tolist() == [127, 128, 128, 126]  # ties to the even code
    assert encode(x, "e8m0", profile="ml_dtypes").tolist() == [127, 128, 129, 127]
    assert encode(x, "e8m0", profile="nvidia").tolist() == [127, 128, 129, 127]
    assert encode(x, "e8m0", rounding="toward_zero").tolist() == [127, 127, 128, 126]
    for bad, what in ((0.0, "zero"), (-1.0, "negative")):
        with pytest.raises(FormatError, match=what):
            encode(bad, "e8m0")
    assert encode([0.0, -2.0, np.nan, np.inf], "e8m0", profile="nvidia").tolist() == [0, 128, 255, 254]
    assert encode([0.0, -2.0, np.nan, np.inf], "e8m0", profile="ml_dtypes").tolist() == [255] * 4


def test_unsigned_float_scales():
    assert encode([-1.0, -0.0, -1e-9, 448.0, 1e9], "ue4m3").tolist() == [0, 0, 0, 0x7E, 0x7E]
    with pytest.raises(FormatError, match="negative"):
        encode([-1.0], "ue4m3", profile="strict")
    with pytest.raises(FormatError, match="outside"):
        encode([-1.0], "ue4m3", overflow="error")


def test_binary_and_ternary():
    assert encode([-2.0, -1e-30, -0.0, 0.0, 3.0], "binary").tolist() == [0, 0, 1, 1, 1]
    random = np.array([0, 2**31 - 1, 2**31, 2**32 - 1], np.uint32)
    assert encode(np.zeros(4), "binary", rounding="stochastic", random_bits=random).tolist() == [0, 0, 1, 1]
    assert encode([-9, -0.5, 0.5, 0.6, 9], "ternary").tolist() == [3, 0, 0, 1, 1]


@pytest.mark.parametrize("name", ["bf16", "tf32", "fp16"])
def test_wide_formats_against_fractions(name):
    entry = formats[name]
    x = random_floats(np.float64, 2000, 11)
    x = x[np.isfinite(x) & (np.abs(x) <= entry.max_value)]
    for rounding in MODES:
        values = decode(encode(x, name, rounding=rounding), name).astype(np.float64)
        up = decode(encode(x, name, rounding="up"), name).astype(np.float64)
        down = decode(encode(x, name, rounding="down"), name).astype(np.float64)
        assert (down <= x).all()
        assert (up >= x).all()
        assert ((values == up) | (values == down)).all()
        if rounding.startswith("nearest"):
            assert (np.abs(values - x) <= np.minimum(up - x, x - down)).all()


@pytest.mark.parametrize("name", ["fp4_e2m1", "fp8_e4m3fn", "int8"])
def test_stochastic_rounding_is_unbiased(name):
    rng = np.random.default_rng(5)
    x = np.full(200_000, 1.1, np.float32)
    random = rng.integers(0, 2**32, x.size, np.uint32)
    mean = decode(encode(x, name, rounding="stochastic", random_bits=random), name).mean()
    assert abs(mean - 1.1) < 0.003


def test_input_types():
    half = np.float16([0.5, -3.0, np.inf])
    assert encode(half, "fp4_e2m1").tolist() == [1, 13, 7]
    assert encode(np.int64([-9, 3]), "int4").tolist() == [8, 3]
    assert encode([True, False], "int4").tolist() == [1, 0]
    with pytest.raises(FormatError, match=r"beyond 2\*\*53"):
        encode(np.int64([2**53 + 1, 2**62 + 1]), "int32")
    with pytest.raises(FormatError, match="real numbers"):
        encode(np.array([1 + 2j]), "int4")
    with pytest.raises(FormatError, match="real numbers"):
        encode(np.array(["1"]), "int4")


def test_nan_payload_follows_the_policy():
    x = np.array([0x7FC01234, 0xFFC12345, 0x7F81E000], np.uint32).view(np.float32)
    assert encode(x, "fp32").tolist() == x.view(np.uint32).tolist()
    assert encode(x, "bf16").tolist() == [0x7FC0, 0xFFC0, 0x7FC0]
    assert encode(x, "bf16", profile="nvidia").tolist() == [0x7FFF] * 3
    assert encode(x, "fp16").tolist() == [0x7E00, 0xFE09, 0x7E0F]
    assert encode(x, "tf32", profile="nvidia").tolist() == [bits >> 13 for bits in x.view(np.uint32).tolist()]


@pytest.mark.parametrize("codes", [[16], [-1], [0.5], ["a"]])
def test_decode_refuses_codes_out_of_range(codes):
    with pytest.raises(FormatError, match="codes of 'int4' must be"):
        decode(codes, "int4")
