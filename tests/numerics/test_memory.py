"""What the hot paths allocate, and inputs of every size and shape."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from hwsim.numerics import codec, decode, encode, encode_scaled, pack, quantize_tensor, threads, unpack
from hwsim.numerics.chance import random_bits
from hwsim.numerics.fused import quantize_packed

SIDE = 4096
SLACK = 1 << 20  # one small table, buffers of the threads, Python's own objects


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    """64 MB."""
    return (random_bits((SIDE, SIDE), seed=1) / np.float32(2.0**30) - 2).astype(np.float32)


def beyond_result(call: Callable[[], object]) -> int:
    """Peak bytes of a call, less what its result holds."""
    result = call()  # compiles, and opens the threads
    sizes = (
        [result.nbytes]
        if isinstance(result, np.ndarray)
        else [v.nbytes for v in vars(result).values() if hasattr(v, "nbytes")]
    )
    del result
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] - sum(sizes)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["fp4_e2m1", "fp8_e4m3fn", "fp8_e5m2", "int4", "int8", "bf16", "nf4", "fp8_hif8"])
def test_encode_and_decode_allocate_their_result(x, name):
    assert beyond_result(lambda: encode(x, name)) < SLACK
    codes = encode(x, name)
    assert beyond_result(lambda: decode(codes, name)) < SLACK
    assert beyond_result(lambda: encode_scaled(x, np.float32(0.5), None, name)) < SLACK


@pytest.mark.parametrize("kind", [np.float64, np.float16, "transposed", "strided"])
def test_other_inputs_pass_through_a_small_buffer(x, kind):
    source = x[: SIDE // 4]
    source = (
        {"transposed": source.T, "strided": source[:, ::2]}.get(kind) if isinstance(kind, str) else source.astype(kind)
    )
    assert beyond_result(lambda: encode(source, "fp8_e4m3fn", rounding="nearest_away")) < 16 * codec._SLAB


@pytest.mark.parametrize("name", ["fp4_e2m1", "fp6_e2m3", "int2"])
def test_pack_and_unpack_allocate_their_result(x, name):
    codes = encode(x, name)
    raw = pack(codes, name)
    assert beyond_result(lambda: pack(codes, name)) < SLACK
    assert beyond_result(lambda: unpack(raw, name, codes.shape)) < SLACK


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "mxfp8_e4m3", "int8"])
def test_quantize_allocates_its_result_and_little_a_block(x, name):
    scales = 4 * x.size // 16
    assert beyond_result(lambda: quantize_tensor(x, name)) < scales + SLACK
    if name in ("mxfp4", "nvfp4"):
        assert beyond_result(lambda: quantize_packed(x, name)) < SLACK
    q = quantize_tensor(x, name)
    assert beyond_result(q.dequantize) < 4 * scales + SLACK


@pytest.mark.parametrize("slab", [1, 7, 64])
def test_slabs_do_not_change_codes(monkeypatch, slab):
    x = np.random.default_rng(2).standard_normal((13, 5, 6))
    random = random_bits(x.shape, seed=3)
    for source in (x.astype(np.float16), x.T, x[::2, :, ::3], x.astype(np.float32).T):
        bits = np.ascontiguousarray(random.reshape(-1)[: source.size].reshape(source.shape))
        options = {"rounding": "stochastic", "random_bits": bits}
        expected, chance = encode(source, "fp8_e5m2"), encode(source, "fp8_e5m2", **options)
        with monkeypatch.context() as patch:
            patch.setattr(codec, "_SLAB", slab)
            np.testing.assert_array_equal(encode(source, "fp8_e5m2"), expected)
            np.testing.assert_array_equal(encode(source, "fp8_e5m2", **options), chance)
        copied = np.ascontiguousarray(source)
        np.testing.assert_array_equal(encode(copied, "fp8_e5m2"), expected)


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "hif4", "mx6", "q4_k", "int4_g32"])
def test_threads_do_not_change_blocks(monkeypatch, name):
    x = random_bits((600, 512), seed=4).view(np.int32).astype(np.float32) / np.float32(2.0**31)
    parallel = quantize_tensor(x, name)
    real = parallel.dequantize()
    monkeypatch.setattr(threads, "_SERIAL_ELEMENTS", 1 << 40)
    assert quantize_tensor(x, name).equals(parallel)
    np.testing.assert_array_equal(parallel.dequantize(), real)


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "hif4", "mx9", "q8_0", "int4_g128"])
def test_empty_blocks(name):
    q = quantize_tensor(np.zeros((0, 256), np.float32), name)
    assert q.shape == (0, 256)
    assert q.dequantize().shape == (0, 256)


@pytest.mark.slow
def test_more_than_two_to_the_31_codes():
    """Within 6 GB: 2^31 + 40 codes packed and back, with something to find at the far end."""
    count = (1 << 31) + 40
    codes = np.zeros(count, np.uint8)
    codes[-3:] = 5, 9, 14
    raw = pack(codes, "fp4_e2m1")
    assert raw.size == count // 2
    assert raw[-2:].tolist() == [0x50, 0xE9]
    del codes
    back = unpack(raw, "fp4_e2m1", count)
    assert back[-3:].tolist() == [5, 9, 14]
