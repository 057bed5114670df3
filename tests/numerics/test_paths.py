"""The float32 shortcuts equal the general kernel; results do not depend on shape, order in memory or threads."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.numerics import Format, decode, encode, encode_scaled, formats, threads
from hwsim.numerics.codec import general
from hwsim.numerics.geometry import runs
from hwsim.numerics.plan import plan
from tests.numerics.reference import critical_points, random_floats

ELEMENTS = [name for name, entry in formats.items() if isinstance(entry, Format)]


def through_general(x: np.ndarray, name: str, profile: str) -> np.ndarray:
    entry = formats[name]
    out = np.empty(x.shape, entry.code_dtype)
    chosen = plan(entry, None, None, profile, None)
    general(x, np.ones(1, x.dtype), None, np.zeros(1, np.uint32), out, runs(x.shape, None, None), chosen)
    return out


@pytest.mark.parametrize("name", [n for n in ELEMENTS if plan(formats[n], None, None, None, None).fast])
def test_shortcut_equals_general(name):
    entry = formats[name]
    x = random_floats(np.float32, 100_000, 41)
    if entry.bits <= 8:
        x = np.concatenate([x, critical_points(entry, np.float32)])
    for profile in entry.profiles.values():
        if plan(entry, None, None, profile.name, None).fast is None or profile.nan == "truncate":
            continue
        inputs = x[~np.isnan(x)] if profile.nan == "error" else x
        if profile.overflow == "error":
            inputs = inputs[np.abs(inputs) <= entry.max_value]
        np.testing.assert_array_equal(
            encode(inputs, name, profile=profile.name),
            through_general(inputs, name, profile.name),
            err_msg=profile.name,
        )


@pytest.mark.parametrize("name", ["int4", "uint8", "fp4_e2m1", "fp8_e4m3fn", "fp16", "nf4"])
@pytest.mark.parametrize(
    ("axis", "block"), [(None, None), (0, None), (1, None), (2, None), (-1, 8), (2, 5), (1, 4), (0, 2), (1, 1)]
)
def test_scaled_geometry(name, axis, block):
    """Against the scale spread out by numpy, for contiguous and strided input."""
    rng = np.random.default_rng(43)
    shape = (3, 10, 23)
    x = rng.standard_normal(shape).astype(np.float32)
    if axis is None:
        scale = np.float32(0.3)
        spread = np.full(shape, scale)
    elif block is None:
        scale = rng.uniform(0.1, 1, shape[axis]).astype(np.float32)
        spread = np.broadcast_to(scale.reshape([-1 if d == axis else 1 for d in range(3)]), shape)
    else:
        blocks = list(shape)
        blocks[axis] = -(-shape[axis] // block)
        scale = rng.uniform(0.1, 1, blocks).astype(np.float32)
        spread = np.take(np.repeat(scale, block, axis=axis), np.arange(shape[axis]), axis=axis)
    expected = encode((x / spread).astype(np.float32), name)
    np.testing.assert_array_equal(encode_scaled(x, scale, None, name, axis=axis, block_size=block), expected)
    strided = np.asfortranarray(x)
    np.testing.assert_array_equal(encode_scaled(strided, scale, None, name, axis=axis, block_size=block), expected)
    wide = encode_scaled(x.astype(np.float64), scale, None, name, axis=axis, block_size=block)
    np.testing.assert_array_equal(wide, encode(x.astype(np.float64) / spread.astype(np.float64), name))
    if name in ("int4", "uint8"):
        zeros = rng.integers(-3, 4, np.shape(scale))
        shifted = encode_scaled(x, scale, zeros, name, axis=axis, block_size=block)
        far = np.zeros(shape) + (
            zeros
            if axis is None
            else zeros.reshape([-1 if d == axis else 1 for d in range(3)])
            if block is None
            else np.take(np.repeat(zeros, block, axis=axis), np.arange(shape[axis]), axis=axis)
        )
        q = np.clip(np.rint((x / spread).astype(np.float32)) + far, formats[name].min_value, formats[name].max_value)
        np.testing.assert_array_equal(decode(shifted, name), q)


@pytest.mark.parametrize("name", ["fp4_e2m1", "fp8_e5m2", "int8", "bf16", "nf4", "ue4m3"])
def test_threads_do_not_change_results(name, monkeypatch):
    x = random_floats(np.float32, 1 << 19, 47)
    x = np.where(np.isnan(x), np.float32(1), x)
    parallel = encode(x, name)
    values = decode(parallel, name)
    random = np.random.default_rng(1).integers(0, 2**32, x.size, np.uint32)
    stochastic = encode(x, name, rounding="stochastic", random_bits=random)
    monkeypatch.setattr(threads, "_SERIAL_ELEMENTS", 1 << 40)
    np.testing.assert_array_equal(encode(x, name), parallel)
    np.testing.assert_array_equal(decode(parallel, name), values)
    np.testing.assert_array_equal(encode(x, name, rounding="stochastic", random_bits=random), stochastic)


@pytest.mark.parametrize("name", ELEMENTS)
def test_empty_scalar_and_strided(name):
    for shape in ((0,), (3, 0), (0, 4)):
        codes = encode(np.zeros(shape, np.float32), name)
        assert codes.shape == shape
        assert codes.dtype == formats[name].code_dtype
        assert decode(codes, name).shape == shape
    scalar = encode(1.0, name)
    assert scalar.shape == ()
    assert decode(scalar, name).shape == ()
    x = np.linspace(0.25, 2, 60, dtype=np.float32).reshape(6, 10)
    np.testing.assert_array_equal(encode(x[::2, ::-3], name), encode(x, name)[::2, ::-3])
    np.testing.assert_array_equal(encode(x.T, name), encode(x, name).T)
    assert decode(encode(x, name)[::2], name).shape == (3, 10)
