"""Packing layouts: known bytes, round trips, and sizes that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.errors import FormatError
from hwsim.numerics import Format, formats, pack, unpack
from hwsim.numerics.packing import LAYOUTS, packed_bytes

ELEMENTS = [name for name, entry in formats.items() if isinstance(entry, Format)]


def random_codes(name: str, shape: int | tuple[int, ...], seed: int = 0) -> np.ndarray:
    entry = formats[name]
    return np.random.default_rng(seed).integers(0, 1 << entry.bits, shape, dtype=np.uint64).astype(entry.code_dtype)


def bit_stream(codes: np.ndarray, width: int, high_first: bool) -> list[int]:
    """The same by strings of bits."""
    if high_first:
        text = "".join(format(code, f"0{width}b") for code in codes.tolist())
        text += "0" * (-len(text) % 8)
        return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]
    text = "".join(format(code, f"0{width}b")[::-1] for code in codes.tolist())
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8][::-1], 2) for i in range(0, len(text), 8)]


def test_known_bytes():
    codes = np.arange(8, dtype=np.uint8)
    assert pack(codes, "int4").tolist() == [0x10, 0x32, 0x54, 0x76]
    assert pack(codes, "nf4", "high_first").tolist() == [0x01, 0x23, 0x45, 0x67]
    assert pack(np.full(64, 7), "nf4", "high_first").tolist() == [0x77] * 32  # a zero block of bitsandbytes
    assert pack(codes, "uint4", "gptq").view("<u4").tolist() == [0x76543210]
    assert pack(codes, "int4", "ascend").view("<u4").tolist() == [0x76543210]
    # AWQ: code k sits in nibble 0 4 1 5 2 6 3 7 [k]
    word = int(pack(codes, "uint4", "awq").view("<u4")[0])
    assert [word >> 4 * place & 15 for place in (0, 4, 1, 5, 2, 6, 3, 7)] == list(range(8))
    block = np.arange(32) % 16
    assert pack(block, "int4_offset", "ggml").tolist() == [0x11 * j for j in range(16)]
    assert pack([0x21, 0x03, 0x3F, 0x00], "fp6_e3m2").tolist() == [0x21 | 0xC0, 0x00 | 0xF0, 0x03]
    assert pack([0x1234], "bf16").tolist() == [0x34, 0x12]
    assert pack([0x7F], "tf32").size == 4


@pytest.mark.parametrize("name", ["fp4_e2m1", "uint4", "int4"])
def test_low_first_is_what_onnx_packs(name):
    from tests.oracles import need_module

    need_module("onnx")
    from onnx import TensorProto, helper

    codes = random_codes(name, 33)
    signed = codes.astype(np.int8)
    values = np.where((name == "int4") & (signed > 7), signed - 16, signed)
    if name == "fp4_e2m1":
        from hwsim.numerics import decode

        values = decode(codes, name)
    kind = {"fp4_e2m1": TensorProto.FLOAT4E2M1, "uint4": TensorProto.UINT4, "int4": TensorProto.INT4}[name]
    tensor = helper.make_tensor("t", kind, [33], values)
    stored = tensor.raw_data or bytes(int(v) & 255 for v in tensor.int32_data)
    assert pack(codes, name).tobytes() == stored


@pytest.mark.parametrize("layout", ["low_first", "high_first"])
@pytest.mark.parametrize("name", [n for n in ELEMENTS if formats[n].storage_bits < 8])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 7, 8, 9, 31, 64, 1001])
def test_bit_streams(name, layout, count):
    codes = random_codes(name, count, seed=count)
    raw = pack(codes, name, layout)
    assert raw.tolist() == bit_stream(codes, formats[name].bits, layout == "high_first")
    np.testing.assert_array_equal(unpack(raw, name, count, layout=layout), codes)


@pytest.mark.parametrize("name", ELEMENTS)
def test_every_layout_round_trips_or_says_why(name):
    for layout, entry in LAYOUTS.items():
        codes = random_codes(name, (4, 64))
        if entry.bits and entry.bits != formats[name].storage_bits:
            with pytest.raises(FormatError, match="packs 4-bit codes"):
                pack(codes, name, layout)
            continue
        raw = pack(codes, name, layout)
        assert raw.dtype == np.uint8
        assert raw.size == packed_bytes(256, name, layout)
        back = unpack(raw, name, (4, 64), layout=layout)
        assert back.dtype == formats[name].code_dtype
        np.testing.assert_array_equal(back, codes)


@settings(max_examples=50, deadline=None)
@given(count=st.integers(0, 300_000), name=st.sampled_from(["int4", "fp6_e2m3", "int2", "binary"]))
def test_large_and_odd_counts(count, name):
    codes = random_codes(name, count, seed=count)
    np.testing.assert_array_equal(unpack(pack(codes, name), name, count), codes)


def test_non_contiguous_and_scalar_codes():
    codes = random_codes("int4", (6, 10))[::2, ::3]
    np.testing.assert_array_equal(unpack(pack(codes, "int4"), "int4", codes.shape), codes)
    assert unpack(pack(np.uint8(5), "int4"), "int4", ()) == 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pack([1, 2, 3], "int4", "awq"), "packs 8 codes at a time; 3 is not a multiple"),
        (lambda: pack([1] * 16, "int4", "ggml"), "packs 32 codes at a time"),
        (lambda: pack([1], "int4", "lowfirst"), "unknown packing layout 'lowfirst' .did you mean 'low_first'"),
        (lambda: pack([16], "int4"), r"must be in 0\.\.15, found 16\.\.16"),
        (lambda: pack([-1], "int4"), r"must be in 0\.\.15"),
        (lambda: unpack(np.zeros(3, np.uint8), "int4", 7), r"shape \(7,\) of 'int4' takes 4 bytes, found 3"),
        (lambda: unpack(np.zeros(1, np.uint32), "int4", 8), "must be uint8"),
    ],
)
def test_errors(call, message):
    with pytest.raises(FormatError, match=message):
        call()
