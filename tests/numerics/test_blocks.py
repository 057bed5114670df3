"""Block formats against their definitions, worked in fractions or by the packages that define them."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from hwsim.errors import FormatError
from hwsim.numerics import BlockFormat, decode, encode, formats, quantize_tensor
from hwsim.numerics import quantize as quantize_module
from hwsim.numerics.fused import quantize_packed
from tests.numerics.reference import random_floats
from tests.oracles import need_module

MX = [n for n, e in formats.items() if isinstance(e, BlockFormat) and e.rule == "power_of_two"]


def blocks(count: int, size: int, seed: int) -> np.ndarray:
    """Blocks over the whole float32 range, with zero blocks, -0 and powers of two among them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, size)) * np.exp2(rng.integers(-145, 120, (count, 1)))
    x = x.astype(np.float32)
    x[0] = 0
    x[1] = -0.0
    x[2] = 2.0**-149
    x[3] = np.float32(3.4e38)
    x[4 : count // 2] *= rng.integers(0, 2, (count // 2 - 4, size))
    x[count // 2 :: 7, 0] = np.exp2(rng.integers(-100, 100, x[count // 2 :: 7].shape[0]))
    return x


def log2_floor(x: Fraction) -> int:
    power = x.numerator.bit_length() - x.denominator.bit_length()
    return power if Fraction(2) ** power <= x else power - 1


def mx_exponent(amax: float, name: str, mode: str) -> int:
    """Block exponent from the definition, in exact arithmetic but for RCEIL's float32 quotient."""
    entry = formats[formats[name].element]
    if amax == 0:
        return -127
    exact = Fraction(amax)
    emax = log2_floor(Fraction(entry.max_value))
    low = log2_floor(exact)
    if mode == "ceil":
        low += exact != Fraction(2) ** low
    elif mode == "even":
        kept = 6 if entry.name == "int8_mx" else entry.layout.mantissa_bits
        step = Fraction(2) ** (low - kept)
        low = log2_floor(math.floor(exact / step + Fraction(1, 2)) * step)
    elif mode == "rceil":
        quotient = Fraction(float(np.float32(amax) / np.float32(entry.max_value)))
        if quotient == 0:
            return -127
        low = log2_floor(quotient)
        return max(-127, min(127, low + (quotient != Fraction(2) ** low)))
    return max(-127, min(127, low - emax))


@pytest.mark.parametrize("mode", ["floor", "even", "rceil", "ceil"])
@pytest.mark.parametrize("name", MX)
def test_mx_scales_and_elements(name, mode):
    x = blocks(300, 32, 51)
    q = quantize_tensor(x, name, mode=mode)
    assert q.scale.shape == (300, 1)
    assert q.scale_format == "e8m0"
    assert q.block_format == name
    expected = [mx_exponent(float(v), name, mode) for v in np.abs(x).max(axis=1)]
    np.testing.assert_array_equal(encode(q.scale[:, 0], "e8m0").astype(int) - 127, expected)
    exact = x.astype(np.float64) / q.scale.astype(np.float64)
    np.testing.assert_array_equal(q.codes, encode(exact, q.format))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(q.dequantize(), (decode(q.codes, q.format) * q.scale).astype(np.float32))


@pytest.mark.parametrize("name", ["mxfp4", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e4m3", "mxfp8_e5m2"])
def test_rceil_and_floor_differ_as_declared(name):
    """RCEIL never saturates; FLOOR saturates where the top of the block lies above the element's maximum."""
    x = blocks(300, 32, 53)[4:]
    x = x[np.abs(x).max(axis=1) > 2.0**-110]
    top = formats[name].element
    rceil = quantize_tensor(x, name, mode="rceil")
    assert (np.abs(x) / rceil.scale <= np.float32(formats[top].max_value) * (1 + 2.0**-23)).all()
    floor = quantize_tensor(x, name, mode="floor")
    assert (floor.scale <= rceil.scale).all()
    assert (floor.scale < rceil.scale).any()


@pytest.mark.parametrize("mode", ["floor"])
@pytest.mark.parametrize("name", ["mxfp4", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e4m3", "mxfp8_e5m2"])
def test_mx_against_gfloat(name, mode):
    gfloat = need_module("gfloat")
    from gfloat import formats as theirs

    info = {
        "mxfp4": theirs.format_info_mxfp4_e2m1,
        "mxfp6_e2m3": theirs.format_info_mxfp6_e2m3,
        "mxfp6_e3m2": theirs.format_info_mxfp6_e3m2,
        "mxfp8_e4m3": theirs.format_info_mxfp8_e4m3,
        "mxfp8_e5m2": theirs.format_info_mxfp8_e5m2,
    }[name]
    x = blocks(60, 32, 57)
    x = x[np.abs(x).max(axis=1) > 2.0**-100]
    q = quantize_tensor(x, name, mode=mode)
    for row, scale, codes in zip(x, q.scale[:, 0], q.codes, strict=True):
        assert scale == gfloat.compute_scale_amax(info.etype.emax, row.astype(np.float64))
        reference = [
            gfloat.round_float(info.etype, float(v) / float(scale), gfloat.RoundMode.TiesToEven, sat=True) for v in row
        ]
        np.testing.assert_array_equal(decode(codes, q.format), np.array(reference, np.float32))


def nvfp4(x: np.ndarray, *, reciprocal: bool, floor: float) -> tuple[np.ndarray, np.ndarray, np.float32]:
    """The recipe step by step in float32, with ml_dtypes for the two encodings."""
    ml_dtypes = need_module("ml_dtypes")
    f = np.float32
    tensor = np.abs(x).max() / f(448 * 6)
    tiles = x.reshape(-1, 16)
    wanted = np.abs(tiles).max(axis=1) / f(6) / tensor
    scale = np.clip(wanted, f(floor), f(448)).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
    if reciprocal:
        y = tiles * ((f(1) / tensor) / scale)[:, None]
    else:
        y = tiles / (tensor * scale)[:, None]
    return y.astype(ml_dtypes.float4_e2m1fn).view(np.uint8).reshape(x.shape), scale, tensor


@pytest.mark.parametrize(("mode", "floor"), [("divide", 2.0**-6), ("reciprocal", 2.0**-6), ("divide", 0.0)])
def test_nvfp4_recipe(mode, floor):
    rng = np.random.default_rng(59)
    x = (rng.standard_normal((64, 256)) * np.exp2(rng.uniform(-8, 0, (64, 1)))).astype(np.float32)
    x[0, :16] = 0 if floor else x[0, :16]
    codes, scale, tensor = nvfp4(x, reciprocal=mode == "reciprocal", floor=floor)
    q = quantize_tensor(x, "nvfp4", mode=mode, block_scale_floor=floor)
    assert q.tensor_scale == tensor
    np.testing.assert_array_equal(q.scale.reshape(-1), scale)
    np.testing.assert_array_equal(q.codes, codes)
    np.testing.assert_array_equal(q.dequantize(), decode(codes, "fp4_e2m1") * np.repeat(q.scale * tensor, 16, axis=1))


def test_nvfp4_orders_differ():
    """The reason why the order is a parameter: at midpoints the two roundings part."""
    x = np.random.default_rng(61).standard_normal((256, 1024)).astype(np.float32)
    divide = quantize_tensor(x, "nvfp4")
    middle = np.resize(np.float32([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0]), x.shape)
    inner = np.abs(x) < np.repeat(divide.scale * divide.tensor_scale, 16, axis=1) * 5  # keep every block's largest
    x = np.where(inner, middle * np.repeat(divide.scale * divide.tensor_scale, 16, axis=1), x)
    divide, reciprocal = quantize_tensor(x, "nvfp4"), quantize_tensor(x, "nvfp4", mode="reciprocal")
    assert divide.scale.tobytes() == reciprocal.scale.tobytes()
    assert np.count_nonzero(divide.codes != reciprocal.codes) > 100


def test_nvfp4_zero_blocks_and_given_scale():
    x = np.zeros((2, 32), np.float32)
    x[0, :16] = 6.0
    x[1, 16:] = -1e-9  # rounds to a zero block scale
    for mode in ("divide", "reciprocal"):
        q = quantize_tensor(x, "nvfp4", mode=mode)
        assert q.scale.tolist() == [[448, 0], [0, 0]]
        assert np.isfinite(q.dequantize()).all()
        assert (q.dequantize()[0, :16] == np.float32(6)).all()
        assert np.signbit(q.dequantize()[1, 16:]).all()
    given = quantize_tensor(x, "nvfp4", tensor_scale=2.0)
    assert given.tensor_scale == 2
    assert given.scale[0, 0] == 0.5
    assert (quantize_tensor(np.zeros((1, 16)), "nvfp4").dequantize() == 0).all()
    with pytest.raises(FormatError, match="exceeds float32"):
        quantize_tensor(np.full((1, 16), 1e-40, np.float32), "nvfp4", mode="reciprocal")


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "int4_g32"])
def test_any_axis_and_short_last_block(name):
    x = np.random.default_rng(67).standard_normal((40, 70)).astype(np.float32)
    size = formats[name].block_size
    along = quantize_tensor(x, name)
    assert along.scale.shape == (40, -(-70 // size))
    across = quantize_tensor(np.ascontiguousarray(x.T), name, axis=0)
    np.testing.assert_array_equal(across.codes, along.codes.T)
    np.testing.assert_array_equal(across.scale, along.scale.T)
    np.testing.assert_array_equal(across.dequantize(), along.dequantize().T)
    given = quantize_tensor(
        x, name, scale=along.scale, **({"tensor_scale": float(along.tensor_scale)} if name == "nvfp4" else {})
    )
    assert given.equals(along)


def test_groupwise_int4():
    x = np.random.default_rng(71).standard_normal((8, 256)).astype(np.float32)
    q = quantize_tensor(x, "int4_g128")
    assert q.scale.shape == (8, 2)
    assert (q.format, q.scale_format, q.block_size) == ("int4", "fp16", 128)
    amax = np.abs(x).reshape(8, 2, 128).max(axis=2)
    np.testing.assert_array_equal(q.scale, (amax / np.float32(7)).astype(np.float16).astype(np.float32))
    asymmetric = quantize_tensor(x, "int4_g32", symmetric=False)
    assert asymmetric.zero_point is not None
    assert asymmetric.nbytes_packed == 8 * 128 + 64 * 2 + 32
    assert np.abs(asymmetric.dequantize() - x).max() < np.abs(quantize_tensor(x, "int4").dequantize() - x).max()


def test_directed_rounding_sees_what_float32_division_would_lose():
    x = np.zeros((1, 32), np.float32)
    x[0, 0], x[0, 1] = 2.0**126, 2.0**-149
    q = quantize_tensor(x, "mxfp4", rounding="up")
    assert q.codes[0, :2].tolist() == [6, 1]


def test_blocks_refuse_non_finite_data():
    x = random_floats(np.float32, 640, 73)[:640].reshape(-1, 32)
    with pytest.raises(FormatError, match="NaN or infinity"):
        quantize_tensor(x, "mxfp4")
    q = quantize_tensor(x, "mxfp8_e4m3")  # E4M3 holds NaN: finite values decide the scale
    nan = np.isnan(x)
    np.testing.assert_array_equal(np.isnan(q.dequantize()), nan)


@pytest.mark.parametrize("name", ["mxfp4", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e4m3", "mxfp8_e5m2", "nvfp4"])
def test_one_pass_equals_the_steps(name, monkeypatch):
    """The kernel that finds scales and codes at once, packed or not, against the general path."""
    rng = np.random.default_rng(77)
    ordinary = rng.standard_normal((300, 512)).astype(np.float32)
    for mode in formats[name].modes:
        for x in (ordinary, blocks(600, 64, 3) if name != "nvfp4" else ordinary * np.float32(1e-9)):
            fast = quantize_tensor(x, name, mode=mode)
            packed = quantize_packed(x, name, mode=mode)
            with monkeypatch.context() as patch:
                patch.setattr(quantize_module, "one_pass", lambda *_: None)
                slow = quantize_tensor(x, name, mode=mode)
            assert fast.equals(slow)
            assert packed.unpack().equals(slow)
            np.testing.assert_array_equal(packed.dequantize(), slow.dequantize())
            assert packed.nbytes == slow.nbytes_packed


def test_packed_refusals():
    with pytest.raises(FormatError, match=r"does not pack beside its scales .one of: mxfp4"):
        quantize_packed(np.zeros((2, 32)), "q4_0")
    with pytest.raises(FormatError, match="expected whole blocks of 32"):
        quantize_packed(np.zeros((2, 31)), "mxfp4")
    with pytest.raises(FormatError, match="NaN or infinity"):
        quantize_packed(np.full((2, 32), np.nan, np.float32), "mxfp4")
    x = np.full((1, 32), np.nan, np.float32)
    x[0, 1] = 4
    assert quantize_packed(x, "mxfp4", profile="nvidia").unpack().codes[0, :3].tolist() == [7, 6, 7]


# Scales inside scales -------------------------------------------------------------------------------------------------
def hif4(block: np.ndarray) -> tuple[float, list[int], list[int], list[float]]:
    """One block of 64 by its definition, every step in the precision that it names."""

    def bf16(y: float) -> float:
        return float(decode(encode(np.float32(y), "bf16"), "bf16"))

    f = np.float32
    wanted = min(max(bf16(f(np.abs(block).max()) * f(bf16(1 / 7))), 2.0**-48), 49152.0)
    scale = float(decode(encode(wanted, "e6m2"), "e6m2"))
    r = f(bf16(1 / scale))
    e8 = [int(f(np.abs(block[i : i + 8]).max()) * r >= 4) for i in range(0, 64, 8)]
    e16 = [int(f(np.abs(block[i : i + 4]).max()) * r / 2 ** e8[i // 8] >= 2) for i in range(0, 64, 4)]
    q = [
        math.copysign(min(math.floor(abs(f(v) * r) / 2 ** (e8[i // 8] + e16[i // 4]) * 4 + 0.5) / 4, 1.75), v)
        for i, v in enumerate(block.tolist())
    ]
    return scale, e8, e16, q


def test_hif4_by_its_definition():
    x = blocks(120, 64, 79)[4:]
    x = np.clip(x, -3e5, 3e5)
    q = quantize_tensor(x, "hif4")
    assert q.scale.shape == (len(x), 16)
    assert q.nbytes_packed * 8 == 4.5 * x.size
    for row, block in enumerate(x):
        scale, e8, e16, values = hif4(block)
        assert decode(q.fields["scale"][row, 0], "e6m2") == scale
        assert q.fields["double8"][row].tolist() == e8
        assert q.fields["double4"][row].tolist() == e16
        np.testing.assert_array_equal(decode(q.codes[row], "fp4_e1m2"), np.array(values, np.float32))
        step = np.repeat([scale * 2.0 ** (e8[i // 2] + e16[i]) for i in range(16)], 4)
        np.testing.assert_array_equal(q.dequantize()[row], (np.array(values) * step).astype(np.float32))


@pytest.mark.parametrize(("name", "bits"), [("mx9", 8), ("mx6", 5), ("mx4", 3)])
def test_micro_exponents_by_their_definition(name, bits):
    x = blocks(200, 16, 83)
    q = quantize_tensor(x, name)
    assert q.nbytes_packed * 8 == int(name[2:]) * x.size
    for row, block in enumerate(x.tolist()):
        powers = [log2_floor(Fraction(abs(v))) if abs(v) >= 2.0**-126 else -127 for v in block]
        for pair in range(8):
            shift = max(powers[2 * pair : 2 * pair + 2]) < max(powers)
            step = Fraction(2) ** (max(powers) - shift - bits + 2)
            for i in (2 * pair, 2 * pair + 1):
                whole = min(round(abs(Fraction(block[i])) / step) if powers[i] > -127 else 0, (1 << (bits - 1)) - 1)
                got = decode(q.codes[row, i], q.format)
                assert got == math.copysign(whole, block[i])
                assert np.signbit(got) == (math.copysign(1, block[i]) < 0)
                assert q.scale[row, pair] == np.float32(float(step))


@pytest.mark.parametrize("name", ["hif4", "mx9", "q4_1"])
def test_levels_along_any_axis(name):
    x = np.random.default_rng(89).standard_normal((6, 256)).astype(np.float32)
    along, across = quantize_tensor(x, name), quantize_tensor(np.ascontiguousarray(x.T), name, axis=0)
    np.testing.assert_array_equal(across.codes, along.codes.T)
    np.testing.assert_array_equal(across.dequantize(), along.dequantize().T)
    if name != "q4_1":  # a short last block is filled with zeros
        short = quantize_tensor(x[:, :70], name)
        full = quantize_tensor(np.pad(x[:, :70], ((0, 0), (0, 58))), name)
        np.testing.assert_array_equal(short.dequantize(), full.dequantize()[:, :70])
