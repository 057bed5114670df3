"""quantize_tensor and QTensor: min-max scales, zero points, given scales, edge cases, refusals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hwsim.errors import FormatError
from hwsim.numerics import Format, QTensor, decode, encode, formats, int_table, quantize_tensor

INTEGERS = ("int4", "int4_sym", "uint4", "int4_offset", "int8", "uint8", "int2")
SCALABLE = [n for n, e in formats.items() if isinstance(e, Format) and e.bits <= 8 and n not in ("e8m0", "ue4m3")]


def spread(q: QTensor, values: np.ndarray) -> np.ndarray:
    """A scale-shaped array at every element."""
    if q.axis is None:
        return np.broadcast_to(values, q.shape)
    if q.block_size is None:
        return np.broadcast_to(values.reshape([-1 if d == q.axis else 1 for d in range(len(q.shape))]), q.shape)
    wide = np.repeat(values, q.block_size, axis=q.axis)
    return np.take(wide, np.arange(q.shape[q.axis]), axis=q.axis)


def real(q: QTensor) -> np.ndarray:
    """Dequantized by numpy alone."""
    scale = q.scale if q.tensor_scale is None else q.scale * q.tensor_scale
    zero = np.float32(0) if q.zero_point is None else spread(q, q.zero_point).astype(np.float32)
    return ((decode(q.codes, q.format).astype(np.float32) - zero) * spread(q, scale)).astype(np.float32)


GEOMETRIES = ((None, None), (0, None), (1, None), (-1, 7), (0, 3), (-1, 64))


@pytest.mark.parametrize(("axis", "block"), GEOMETRIES)
@pytest.mark.parametrize("name", SCALABLE)
def test_symmetric(name, axis, block):
    x = np.random.default_rng(1).standard_normal((9, 40)).astype(np.float32)
    entry = formats[name]
    if not entry.signed:
        x = np.abs(x)
    q = quantize_tensor(x, name, axis=axis, block_size=block)
    assert q.shape == x.shape
    assert q.zero_point is None
    assert q.scale.dtype == np.float32
    back = q.dequantize()
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, real(q))
    np.testing.assert_array_equal(q.codes, encode((x / spread(q, q.scale)).astype(np.float32), name))
    amax = np.abs(x).max() if axis is None else None
    if amax is not None:
        assert q.scale == np.float32(amax / np.float32(entry.max_value))
        assert np.abs(back).max() == pytest.approx(amax, rel=1e-6)


@pytest.mark.parametrize(("axis", "block"), GEOMETRIES)
@pytest.mark.parametrize("name", INTEGERS)
def test_asymmetric(name, axis, block):
    x = (np.random.default_rng(2).standard_normal((9, 40)) + 1).astype(np.float32)
    entry = formats[name]
    q = quantize_tensor(x, name, axis=axis, block_size=block, symmetric=False)
    np.testing.assert_array_equal(q.dequantize(), real(q))
    assert q.zero_point is not None
    assert q.zero_point.dtype == np.int32
    assert (q.zero_point >= entry.min_value).all()
    assert (q.zero_point <= entry.max_value).all()
    assert (
        np.abs(q.dequantize() - x) <= spread(q, q.scale) * 1.0001
    ).all()  # half a step, and half of the zero point's
    zero = quantize_tensor(np.zeros_like(x), name, axis=axis, block_size=block, scale=q.scale, zero_point=q.zero_point)
    assert (zero.dequantize() == 0).all()


def test_per_channel_and_group_shapes():
    x = np.zeros((4, 6, 10), np.float32)
    assert quantize_tensor(x, "int4").scale.shape == ()
    assert quantize_tensor(x, "int4", axis=1).scale.shape == (6,)
    assert quantize_tensor(x, "int4", axis=-1, block_size=4).scale.shape == (4, 6, 3)
    assert quantize_tensor(x, "int4", axis=1, block_size=4).scale.shape == (4, 2, 10)
    assert quantize_tensor(x, "int4", axis=-1, block_size=4).axis == 2


@settings(max_examples=150, deadline=None)
@given(
    x=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=0, max_dims=3, max_side=9),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**100), max_value=2.0**100),
    ),
    name=st.sampled_from(INTEGERS),
    symmetric=st.booleans(),
)
def test_any_finite_tensor_quantizes_within_half_a_step(x, name, symmetric):
    entry = formats[name]
    if symmetric and not entry.signed:
        x = np.abs(x)
    q = quantize_tensor(x, name, symmetric=symmetric)
    assert np.isfinite(q.scale)
    assert q.scale > 0
    step = float(q.scale) * (1.0 if symmetric else 2.0)
    error = np.abs(q.dequantize().astype(np.float64) - x)
    slack = 1e-6 * np.abs(x).astype(np.float64).max(initial=0) + 2.0**-149
    assert (error <= step / 2 + slack).all()


@settings(max_examples=100, deadline=None)
@given(
    x=hnp.arrays(np.float32, (5, 12), elements=st.floats(-50, 50, width=32)),
    scale=st.floats(2.0**-10, 2.0**10, width=32),
    zero=st.integers(0, 15),
)
def test_awq_formula(x, scale, zero):
    """uint4 with a zero point: q = clip(round(x / s) + z, 0, 15); real = (q - z) * s."""
    q = quantize_tensor(x, "uint4", scale=scale, zero_point=np.int32(zero))
    expected = np.clip(np.rint(x / np.float32(scale)) + zero, 0, 15)
    np.testing.assert_array_equal(q.codes, expected)
    np.testing.assert_array_equal(q.dequantize(), ((expected - zero) * np.float32(scale)).astype(np.float32))


@pytest.mark.parametrize("name", ["int4", "fp8_e4m3fn", "uint4", "nf4"])
@pytest.mark.parametrize("tiny", [2.0**-149, 3 * 2.0**-149, 2.0**-140, 2.0**-127])
def test_subnormal_data_keep_a_usable_scale(name, tiny):
    x = np.full(5, tiny, np.float32)
    q = quantize_tensor(x, name)
    assert 0 < q.scale < np.inf
    assert np.isfinite(q.dequantize()).all()
    assert np.abs(q.dequantize() - x).max() <= tiny


def test_all_zero_and_empty_data_get_scale_one():
    for x in (np.zeros((3, 4), np.float32), np.zeros((0, 4), np.float32)):
        assert quantize_tensor(x, "int4").scale == 1
        assert (quantize_tensor(x, "int8", symmetric=False).scale == 1).all()
    assert quantize_tensor(np.zeros((2, 0), np.float32), "int4", axis=0).scale.tolist() == [1, 1]
    q = quantize_tensor(np.zeros((2, 5), np.float32), "fp4_e2m1", axis=1, block_size=2)
    assert (q.scale == 1).all()
    assert (q.dequantize() == 0).all()


def test_large_data():
    x = np.full(4, np.finfo(np.float32).max, np.float32)
    np.testing.assert_allclose(quantize_tensor(x, "int8").dequantize(), x, rtol=1e-6)
    both = np.array([-3e38, 3e38], np.float32)  # max - min exceeds float32
    np.testing.assert_allclose(quantize_tensor(both, "int8", symmetric=False).dequantize(), both, rtol=1e-2)
    with pytest.raises(FormatError, match="exceeds float32"):
        quantize_tensor(np.array([1e300]), "int8")


def test_non_finite_data():
    x = np.array([1.0, np.nan, -2.0, np.inf], np.float32)
    for name in ("int4", "fp4_e2m1"):
        with pytest.raises(FormatError, match="holds NaN or infinity, so no scale"):
            quantize_tensor(x, name)
    q = quantize_tensor(x, "int4", profile="ascend")
    assert int_table("int4")[q.codes].tolist() == [3, 0, -7, 7]  # 1 / fl(2 / 7) is just below 3.5
    with pytest.raises(FormatError, match="x holds NaN, which profile 'strict' refuses"):
        quantize_tensor(x, "int4", scale=1.0)
    q = quantize_tensor(x, "fp8_e4m3fn")
    assert np.isnan(q.dequantize()).tolist() == [False, True, False, False]


def test_special_values_survive():
    q = quantize_tensor(np.array([-0.0, 0.0, -1.0], np.float32), "fp8_e5m2", scale=1.0, overflow="inf")
    assert np.signbit(q.dequantize()).tolist() == [True, False, True]
    q = quantize_tensor(np.array([np.inf, -np.inf], np.float32), "fp8_e5m2", scale=1.0, overflow="inf")
    assert q.dequantize().tolist() == [np.inf, -np.inf]
    q = quantize_tensor(np.array([-0.0], np.float32), "int4_sm", scale=1.0)
    assert np.signbit(q.dequantize()).all()


def test_scale_format_rounds_before_use():
    x = np.random.default_rng(3).standard_normal((4, 64)).astype(np.float32)
    q = quantize_tensor(x, "int4", axis=1, block_size=16, scale_format="fp16")
    np.testing.assert_array_equal(q.scale, q.scale.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(q.codes, encode(x / spread(q, q.scale), "int4"))
    assert q.nbytes_packed == 128 + 16 * 2
    tiny = quantize_tensor(np.full((1, 4), 1e-9, np.float32), "int4", scale_format="fp16")
    assert tiny.scale == np.float32(2.0**-24)
    with pytest.raises(FormatError, match="exceeds 'fp16'"):
        quantize_tensor(np.full(2, 1e9, np.float32), "int4", scale_format="fp16")


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("int4", {}, 50 + 4),
        ("int4", {"axis": 0}, 50 + 40),
        ("uint4", {"axis": 0, "symmetric": False}, 50 + 40 + 5),
        ("int8", {"axis": 1, "block_size": 4, "scale_format": "fp16"}, 100 + 60),
        ("fp6_e2m3", {}, 75 + 4),
        ("tf32", {}, 400 + 4),
        ("mxfp4", {}, 50 + 10),
        ("nvfp4", {}, 50 + 10 + 4),
    ],
)
def test_bytes(name, options, expected):
    x = np.random.default_rng(0).standard_normal((10, 10)).astype(np.float32)
    assert quantize_tensor(x, name, **options).nbytes_packed == expected


def test_stochastic_quantization_is_reproducible():
    x = np.random.default_rng(4).standard_normal((16, 64)).astype(np.float32)
    random = np.random.default_rng(5).integers(0, 2**32, x.shape, np.uint32)
    q = quantize_tensor(x, "int4", axis=0, rounding="stochastic", random_bits=random)
    again = quantize_tensor(x, "int4", axis=0, rounding="stochastic", random_bits=random)
    assert q.equals(again)
    assert not q.equals(quantize_tensor(x, "int4", axis=0))
    with pytest.raises(FormatError, match="random_bits must be uint32 of shape"):
        quantize_tensor(x, "int4", rounding="stochastic", random_bits=random[0])


def test_equality_sees_every_field():
    x = np.random.default_rng(6).standard_normal((4, 8)).astype(np.float32)
    q = quantize_tensor(x, "uint4", axis=1, block_size=4, symmetric=False)
    assert q.equals(dataclasses.replace(q))
    assert not q.equals(dataclasses.replace(q, scale=np.nextafter(q.scale, np.float32(9))))
    assert not q.equals(dataclasses.replace(q, codes=q.codes ^ 1))
    assert not q.equals(dataclasses.replace(q, zero_point=None))
    assert not q.equals(dataclasses.replace(q, zero_point=q.zero_point + 1))
    assert not q.equals(dataclasses.replace(q, format="int4_offset"))
    assert not q.equals(dataclasses.replace(q, scale_format="fp16"))
    assert not q.equals(dataclasses.replace(q, tensor_scale=np.float32(2)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        q.format = "int4"


CODES = np.zeros((4, 6), np.uint8)
ONE = np.float32(1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "int5"}, "unknown format 'int5'"),
        ({"format": "mxfp4"}, "is a block format"),
        ({"codes": CODES + 16}, "must be in 0..15"),
        ({"codes": CODES.astype(np.float32)}, "must be integers"),
        ({"scale": np.ones(4, np.float32)}, r"scale must have shape \(\), found \(4,\)"),
        ({"axis": 0}, r"scale must have shape \(4,\)"),
        ({"axis": 2, "scale": np.ones(6)}, "axis 2 is out of range"),
        ({"block_size": 4}, "block_size needs an axis"),
        ({"scale": np.float32(np.inf)}, "scales must be finite"),
        ({"scale": np.float32(np.nan)}, "scales must be finite"),
        ({"zero_point": np.zeros(3, np.int32)}, "zero_point must be integers of shape"),
        ({"zero_point": np.float32(0)}, "zero_point must be integers"),
        ({"format": "fp4_e2m1", "zero_point": np.int32(0)}, "takes no zero point"),
        ({"tensor_scale": np.float32(np.inf)}, "tensor_scale must be one finite number"),
        ({"scale_format": "fp17"}, "unknown format 'fp17'"),
    ],
)
def test_qtensor_refuses(fields, message):
    with pytest.raises(FormatError, match=message):
        QTensor(**{"codes": CODES, "format": "int4", "scale": ONE, **fields})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("int4", {"scale": [1.0, 2.0]}, r"scale must have shape \(\)"),
        ("int4", {"scale": 0.0}, "finite and not zero"),
        ("int4", {"scale": np.nan}, "finite and not zero"),
        ("int4", {"zero_point": 1}, "without its scale"),
        ("int4", {"scale": 1.0, "zero_point": 1.5}, "zero_point must be integers"),
        ("int4", {"block_size": 4}, "block_size needs an axis"),
        ("int4", {"axis": 5}, "axis 5 is out of range"),
        ("int4", {"axis": 0, "block_size": 0}, "at least 1"),
        ("int4", {"mode": "floor"}, "mode 'floor' is for block formats"),
        ("int4", {"tensor_scale": 1.0}, "two-level block formats"),
        ("fp4_e2m1", {"symmetric": False}, "takes a zero point"),
        ("int4_sm", {"symmetric": False}, "takes a zero point"),
        ("mxfp4", {"block_size": 16}, "has blocks of 32"),
        ("mxfp4", {"mode": "flor"}, "unknown mode 'flor' .did you mean 'floor'"),
        ("mxfp4", {"symmetric": False}, "takes no zero point"),
        ("mxfp4", {"scale": np.full((2, 1), 3.0)}, "positive values of 'e8m0'"),
        ("nvfp4", {"tensor_scale": 0.0}, "above 0"),
    ],
)
def test_quantize_refuses(name, options, message):
    with pytest.raises(FormatError, match=message):
        quantize_tensor(np.ones((2, 8), np.float32), name, **options)
