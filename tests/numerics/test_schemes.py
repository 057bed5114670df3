"""Formulas of their own (linear, Cambricon, Ascend, bitsandbytes), vendors' containers, and random bits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hwsim.errors import FormatError
from hwsim.numerics import decode, encode, quantize_tensor, random_bits, threads
from hwsim.numerics.schemes import ascend, bitsandbytes, cambricon, from_bitsandbytes, linear
from hwsim.numerics.vendor import from_ascend, from_awq, from_gptq, to_ascend, to_awq, to_gptq


@pytest.fixture
def weight() -> np.ndarray:
    return np.random.default_rng(5).standard_normal((32, 256)).astype(np.float32)


# Formulas -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bits", [2, 4, 8, 12])
def test_linear_is_its_formula(bits):
    rng = np.random.default_rng(bits)
    x = np.concatenate([rng.standard_normal(500) * 4, np.arange(-20, 20) * 0.125])
    scale, zero = 0.25, -1.5
    exact = [(Fraction(v) - Fraction(zero)) / Fraction(scale) + Fraction(1, 2) for v in x.tolist()]
    expected = [min(max(e.numerator // e.denominator, 0), (1 << bits) - 1) for e in exact]
    codes = linear(x, scale, zero, bits)
    assert codes.dtype == (np.uint8 if bits <= 8 else np.uint16)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(linear(x.reshape(2, -1), np.full((2, 1), scale), zero, bits).reshape(-1), expected)


def test_linear_refuses():
    for arguments in (([1.0], 0.0, 0.0, 4), ([np.nan], 1.0, 0.0, 4), ([1.0], 1.0, np.inf, 4), ([1.0], 1.0, 0.0, 17)):
        with pytest.raises(FormatError, match="linear"):
            linear(*arguments)


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("mode", ["position", "scale", "offset"])
def test_cambricon(bits, mode):
    x = np.random.default_rng(6).standard_normal(1000).astype(np.float32) * 3 + (2 if mode == "offset" else 0)
    q = cambricon(x, bits, mode=mode)
    top = (1 << (bits - 1)) - 1
    assert q.codes.min() >= -top - 1
    assert q.codes.max() <= top
    step = 2.0**q.position / q.scale
    assert np.abs(q.dequantize() - x).max() <= step * (1.01 if mode != "scale" else 0.501)
    amax = float(np.abs(x).max())
    if mode != "offset":
        assert q.offset == 0
        assert q.position == int(np.floor(np.log2(amax))) - (bits - 2)
    if mode == "scale":
        assert q.scale == np.float32(2.0**q.position * top / amax)
        assert np.abs(q.codes).max() == top


def test_cambricon_rounds_ties_away_and_clamps_first():
    q = cambricon(np.float32([0.5, -0.5, 1.5, -1.5, 127.0]), 8, mode="position")
    assert (q.position, q.codes.tolist()) == (0, [1, -1, 2, -2, 127])
    assert cambricon(np.float32([127.9, 0]), 8, mode="position").codes.tolist() == [127, 0]
    assert encode([0.5, -2.5, 9.0], "int4", profile="cambricon").tolist() == [1, 13, 7]
    assert cambricon(np.zeros(3), 4).dequantize().tolist() == [0, 0, 0]
    with pytest.raises(FormatError, match="bits must be one of"):
        cambricon([1.0], 5)
    with pytest.raises(FormatError, match="did you mean 'scale'"):
        cambricon([1.0], 8, mode="scales")


def test_ascend_adds_its_offset():
    x = np.float32([0.0, 1.0, -1.0, 100.0, 0.26])
    assert decode(ascend(x, 2.0, 3.0), "int8").tolist() == [3, 5, 1, 127, 4]
    assert decode(ascend(x, 2.0, 0.5, bits=4), "int4").tolist() == [0, 2, -2, 7, 1]
    with pytest.raises(FormatError, match="bits must be 4 or 8"):
        ascend(x, 1.0, bits=2)


@pytest.mark.parametrize("fmt", ["nf4", "fp4_bnb"])
@pytest.mark.parametrize("shape", [(8, 64), (100,), (7, 13), (0,)])
def test_bitsandbytes_round_trip(fmt, shape):
    x = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
    raw, absmax = bitsandbytes(x, fmt)
    assert raw.size == -(-x.size // 2)
    assert absmax.shape == (-(-x.size // 64),)
    back = from_bitsandbytes(raw, absmax, fmt, shape)
    assert back.shape == shape
    again, same = bitsandbytes(back, fmt)
    np.testing.assert_array_equal(same, absmax)
    np.testing.assert_array_equal(from_bitsandbytes(again, same, fmt, shape), back)


def test_bitsandbytes_refuses():
    with pytest.raises(FormatError, match=r"unknown bitsandbytes format 'nf5' .did you mean 'nf4'"):
        bitsandbytes([1.0], "nf5")
    with pytest.raises(FormatError, match="absmax must have shape"):
        from_bitsandbytes(np.zeros(32, np.uint8), np.zeros(2), "nf4", (64,))
    assert bitsandbytes(np.zeros(64), "nf4")[0].tolist() == [0x77] * 32


# Containers -----------------------------------------------------------------------------------------------------------
def test_gptq_words(weight):
    """As AutoGPTQ packs: eight inputs an int32 from the low nibble up, zero points less one."""
    q = quantize_tensor(weight, "uint4", axis=1, block_size=64, symmetric=False, scale_format="fp16")
    held = to_gptq(q)
    assert {k: v.shape for k, v in held.items()} == {"qweight": (32, 32), "qzeros": (4, 4), "scales": (4, 32)}
    codes = q.codes.T.astype(np.uint32)
    words = np.zeros((32, 32), np.uint32)
    for j in range(8):
        words |= codes[j::8] << np.uint32(4 * j)
    np.testing.assert_array_equal(held["qweight"].view(np.uint32), words)
    zeros = (q.zero_point.T - 1).astype(np.uint32) & 15
    packed = sum((zeros[:, j::8] << np.uint32(4 * j) for j in range(8)), np.zeros((4, 4), np.uint32))
    np.testing.assert_array_equal(held["qzeros"].view(np.uint32), packed)
    assert from_gptq(**held).equals(q)


def test_awq_words(weight):
    """As AutoAWQ packs: along outputs, nibble i of a word holds output 0 2 4 6 1 3 5 7 [i]."""
    q = quantize_tensor(weight, "uint4", axis=1, block_size=64, symmetric=False, scale_format="fp16")
    held = to_awq(q)
    codes = q.codes.T.astype(np.uint32)
    words = np.zeros((256, 4), np.uint32)
    for i, place in enumerate((0, 2, 4, 6, 1, 3, 5, 7)):
        words |= codes[:, place::8] << np.uint32(4 * i)
    np.testing.assert_array_equal(held["qweight"].view(np.uint32), words)
    assert held["qzeros"].shape == (4, 4)
    assert from_awq(**held).equals(q)


def test_ascend_offsets_are_negated_zero_points(weight):
    q = quantize_tensor(weight, "int4", axis=1, block_size=32, symmetric=False, scale_format="fp16")
    held = to_ascend(q)
    code = decode(q.codes, "int4").T
    offset = np.repeat(held["antiquant_offset"].astype(np.float32), 32, axis=0)
    scale = np.repeat(held["antiquant_scale"].astype(np.float32), 32, axis=0)
    np.testing.assert_array_equal((code + offset) * scale, q.dequantize().T)
    assert from_ascend(**held).equals(q)


def test_containers_refuse(weight):
    q = quantize_tensor(weight, "uint4", axis=1, block_size=64)
    with pytest.raises(FormatError, match="expected a int4 weight"):
        to_ascend(q)
    with pytest.raises(FormatError, match="expected outputs and inputs in eights"):
        to_gptq(quantize_tensor(weight[:30], "uint4", axis=1, block_size=64))
    high = quantize_tensor(weight + 9, "int4", axis=1, block_size=64, symmetric=False)
    with pytest.raises(FormatError, match="expected a uint4 weight"):
        to_awq(high)


# Random bits ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("seed", "words"),
    [
        (0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),  # Random123 kat_vectors: counter 0, key 0
        (0x299F31D0A4093822, None),
    ],
)
def test_philox(seed, words):
    """The known answer, and ten rounds worked in Python's integers."""
    bits = random_bits(40, seed)
    if words:
        assert tuple(bits[:4].tolist()) == words
    for counter in range(10):
        c, k = [counter, 0, 0, 0], [seed & 0xFFFFFFFF, seed >> 32]
        for _ in range(10):
            p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(q >> 32) ^ c[1] ^ k[0], q & 0xFFFFFFFF, (p >> 32) ^ c[3] ^ k[1], p & 0xFFFFFFFF]
            k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
        assert bits[4 * counter : 4 * counter + 4].tolist() == c


def test_random_bits_do_not_depend_on_threads_or_pieces(monkeypatch):
    whole = random_bits((1000, 300), seed=11)
    monkeypatch.setattr(threads, "_SERIAL_ELEMENTS", 1 << 40)
    np.testing.assert_array_equal(random_bits((1000, 300), seed=11), whole)
    for start, count in ((0, 7), (5, 1), (13, 100), (299_990, 10)):
        np.testing.assert_array_equal(random_bits(count, 11, start=start), whole.reshape(-1)[start : start + count])
    assert random_bits(0, 1).shape == (0,)
    assert random_bits((), 1).shape == ()
    for seed, start in ((-1, 0), (1 << 64, 0), (1, -1)):
        with pytest.raises(FormatError, match="random_bits"):
            random_bits(4, seed, start=start)


def test_stochastic_rounding_is_unbiased():
    x = np.full(1 << 16, 1.1, np.float32)
    mean = decode(encode(x, "fp4_e2m1", rounding="stochastic", random_bits=random_bits(x.shape, 5)), "fp4_e2m1").mean()
    assert abs(mean - 1.1) < 4 * 0.5 / np.sqrt(x.size)
