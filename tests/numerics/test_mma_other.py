"""Units with no oracle but their definition: bits, fixed-point registers, FP64 chains; and the fine print of CDNA."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from hwsim.numerics.codec import decode, encode
from hwsim.numerics.matrix import mma
from hwsim.numerics.unit import FlushedTreeUnit, KulischUnit
from hwsim.numerics.unit_catalog import units


@pytest.mark.parametrize("k", [1, 63, 64, 200])
def test_counting_bits(k: int) -> None:
    rng = np.random.default_rng(k)
    a, b = (rng.integers(0, 2, (rows, k), np.uint8) for rows in (300, 270))
    c = rng.integers(-1000, 1000, (300, 270)).astype(np.int32)
    wide, other = a.astype(np.int64), b.astype(np.int64)
    both = wide @ other.T
    either = wide.sum(1)[:, None] + other.sum(1) - 2 * both
    assert np.array_equal(mma(a, b, c, "nvidia.ampere.mma.b1_and"), c + both)
    assert np.array_equal(mma(a, b, c, "nvidia.ampere.mma.b1_xor"), c + either)
    assert np.array_equal(mma(a, b, c, "generic.binary.xnor"), c + (2 * wide - 1) @ (2 * other - 1).T)


def test_a_count_wraps() -> None:
    one = np.ones((1, 1), np.uint8)
    top = np.full((1, 1), 2**31 - 1, np.int32)
    assert mma(one, one, top, "nvidia.ampere.mma.b1_and")[0, 0] == -(2**31)


@pytest.mark.parametrize("fmt", ["fp4_e2m1", "fp6_e3m2", "fp8_e4m3fn", "fp8_e5m2", "fp16", "bf16", "fp32"])
def test_a_register_of_full_width_is_exact(fmt: str) -> None:
    rng = np.random.default_rng(3)
    spread = np.exp2(rng.integers(-6, 3, (2, 8, 40)))
    a, b = (encode(x.astype(np.float32), fmt) for x in rng.standard_normal((2, 8, 40)) * spread)
    assert np.array_equal(mma(a, b, None, f"generic.{fmt}.kulisch"), mma(a, b, None, f"generic.{fmt}.exact"))


def test_a_register_cuts_c_and_wraps() -> None:
    unit = units["generic.fp4_e2m1.kulisch"]
    assert isinstance(unit, KulischUnit)
    assert unit.lowest_exponent == -2
    one = encode(np.ones((1, 1), np.float32), "fp4_e2m1")
    for c, want in ((0.3, 1.25), (-0.3, 0.5), (2.0**20 + 0.125, 2.0**20 + 1)):
        assert mma(one, one, np.full((1, 1), c, np.float32), unit)[0, 0] == want
    narrow = replace(unit, register_bits=8)  # -32 .. 31.75
    assert mma(one, one, np.full((1, 1), 31.0, np.float32), narrow)[0, 0] == -32.0
    assert mma(one, one, np.full((1, 1), -32.0, np.float32), narrow)[0, 0] == -31.0
    assert mma(one, one, np.full((1, 1), 131.0, np.float32), narrow)[0, 0] == 4.0
    assert mma(one, one, np.full((1, 1), math.inf, np.float32), narrow)[0, 0] == math.inf


def test_fp64_chain_rounds_once_a_step() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((2, 5, 20)) * np.exp2(rng.integers(-30, 30, (2, 5, 20)))
    c = rng.standard_normal((5, 5))
    d = mma(x.view(np.uint64), y.view(np.uint64), c, "amd.cdna3.mfma.f64")
    assert d.dtype == np.float64
    for m in range(5):
        for n in range(5):
            acc = float(c[m, n])
            for k in range(20):  # a Fraction becomes a float by one rounding to nearest even
                acc = float(Fraction(acc) + Fraction(float(x[m, k])) * Fraction(float(y[n, k])))
            assert d[m, n] == acc


def test_cdna2_flushes_what_cdna3_keeps() -> None:
    tiny = np.array([[0x0001, 0, 0, 0]], np.uint16)  # 2**-24, subnormal in FP16
    one = np.array([[0x3C00, 0, 0, 0]], np.uint16)
    for arch, want in (("cdna1", 2.0**-24), ("cdna2", 0.0), ("cdna3", 2.0**-24)):
        assert mma(tiny, one, None, f"amd.{arch}.mfma.f16")[0, 0] == want
    start = np.full((1, 1), -(2.0**-130), np.float32)
    nothing = np.zeros((1, 4), np.uint16)
    for arch, want in (("cdna1", start[0, 0]), ("cdna2", 0.0), ("cdna3", start[0, 0])):
        assert mma(nothing, one, start, f"amd.{arch}.mfma.f16")[0, 0] == want


def test_cdna3_floors_where_nvidia_truncates() -> None:
    """A negative product far below c costs CDNA3's c its last bit; others drop it, or round it away."""
    a = encode(np.array([[-(2.0**-14)]], np.float32), "fp16")
    b = encode(np.array([[2.0**-14]], np.float32), "fp16")
    one = np.ones((1, 1), np.float32)
    assert mma(a, b, one, "amd.cdna3.mfma.f16")[0, 0] == 1.0  # 1 - 2**-28: rounded to nearest at the end
    tie = np.full((1, 1), 1.0 + 2.0**-23, np.float32)
    half = encode(np.array([[2.0**-12]], np.float32), "fp16")
    assert mma(half, half, tie, "amd.cdna1.mfma.f16")[0, 0] == 1.0 + 2.0**-22  # a tie, to even
    assert mma(half, half, tie, "nvidia.hopper.mma.f16")[0, 0] == 1.0 + 2.0**-23  # cut off
    small = np.full((1, 1), -(2.0**-60), np.float32)
    ones = encode(np.ones((1, 1), np.float32), "fp16")
    below = mma(ones, ones, small, "amd.cdna3.mfma.f16")[0, 0]
    assert below == np.float32(1.0 - 2.0**-24)  # c was floored to -2**-24
    assert mma(ones, ones, small, "amd.cdna1.mfma.f16")[0, 0] == 1.0
    fnuz = encode(np.ones((1, 1), np.float32), "fp8_e4m3fnuz")
    assert mma(fnuz, fnuz, small, "amd.cdna3.mfma.fp8")[0, 0] == 1.0  # its FP8 unit drops such a c


def test_exact_steps_are_chained() -> None:
    rng = np.random.default_rng(9)
    a, b = (encode(rng.standard_normal((6, 64)).astype(np.float32), "fp16") for _ in "ab")
    x, y = (decode(codes, "fp16") for codes in (a, b))
    d = mma(a, b, None, "ascend.cube.f16")
    for m in range(6):
        for n in range(6):
            acc = Fraction(0)
            for k0 in range(0, 64, 16):
                acc += sum(Fraction(float(x[m, k])) * Fraction(float(y[n, k])) for k in range(k0, k0 + 16))
                ulp = Fraction(2) ** (math.frexp(float(acc))[1] - 24)
                acc = round(acc / ulp) * ulp
            assert Fraction(float(d[m, n])) == acc


def test_trees_of_one_instruction() -> None:
    """(p0 + p1) + (p2 + p3), each in FP32, and then c."""
    unit = units["amd.cdna2.mfma.bf16_1k"]
    assert isinstance(unit, FlushedTreeUnit)
    values = np.array([[1.0, 2.0**-24, 2.0**-24, 2.0**-25]], np.float32)
    a, ones = encode(values, "bf16"), encode(np.ones((1, 4), np.float32), "bf16")
    assert mma(a, ones, None, unit)[0, 0] == np.float32(1.0) + np.float32(2.0**-24 + 2.0**-25)
    pairs = replace(unit, products=2)
    assert mma(a, ones, None, pairs)[0, 0] == np.float32(np.float32(1.0) + np.float32(2.0**-24 + 2.0**-25))


def test_callers_arrays_of_any_kind_share_one_loop() -> None:
    """Read-only, strided and broadcast operands give the same answers, and compile nothing anew."""
    from hwsim.numerics import _kernels_mma

    rng = np.random.default_rng(2)
    a, b = (encode(rng.standard_normal((4, 12, 40)).astype(np.float32), "fp8_e4m3fn") for _ in "ab")
    want = mma(a, b, None, "nvidia.hopper.wgmma.e4m3")
    frozen = a.copy()
    frozen.flags.writeable = False
    assert np.array_equal(mma(frozen, b, None, "nvidia.hopper.wgmma.e4m3"), want)
    strided = np.repeat(a, 2, axis=2)[:, :, ::2]
    assert np.array_equal(mma(strided, b, None, "nvidia.hopper.wgmma.e4m3"), want)
    once = np.broadcast_to(a[:1], a.shape)
    assert np.array_equal(
        mma(once, b, None, "nvidia.hopper.wgmma.e4m3"), mma(a[:1], b, None, "nvidia.hopper.wgmma.e4m3")
    )
    assert len(_kernels_mma.fused_matmul.signatures) == 1


def test_a_negative_sum_that_underflows_keeps_its_sign_on_amd_only() -> None:
    tiny = np.array([[0x0080]], np.uint16)  # 2**-126 in BF16; its square is far below FP32
    for name, sign in (("amd.cdna1", True), ("amd.cdna3", True), ("nvidia.hopper", False)):
        unit = f"{name}.{'mma' if 'nvidia' in name else 'mfma'}.bf16"
        assert bool(np.signbit(mma(tiny, tiny | 0x8000, None, unit)[0, 0])) == sign
        assert not np.signbit(mma(tiny * 0, tiny | 0x8000, None, unit)[0, 0])  # an exact zero is +0


@pytest.mark.parametrize(
    "name",
    [
        "nvidia.hopper.wgmma.e4m3",
        "nvidia.hopper.wgmma.tf32",
        "amd.cdna3.mfma.f16",
        "amd.cdna2.mfma.f16",
        "ascend.cube.f16",
    ],
)
def test_no_operand_is_decoded_as_a_whole(name: str) -> None:
    """Beyond d, less is allocated than one operand takes in float32."""
    rng = np.random.default_rng(1)
    unit = units[name]
    a, b = (encode(rng.standard_normal((64, 20000)).astype(np.float32), unit.a_format) for _ in "ab")
    mma(a[:, :64], b[:, :64], None, name)  # compiled, tables made
    tracemalloc.start()
    mma(a, b, None, name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000 < 4 * a.size  # scratch of two threads


def test_integers_become_float32_block_by_block() -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.integers(0, 256, (16, 400_000), np.uint8) for _ in "ab")
    mma(a[:, :64], b[:, :64], None, "nvidia.hopper.mma.u8")
    tracemalloc.start()
    d = mma(a, b, None, "nvidia.hopper.mma.u8")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000 < a.size
    want = a.astype(np.int64) @ b.astype(np.int64).T
    assert np.array_equal(d, (want + 2**31) % 2**32 - 2**31)


@pytest.mark.parametrize("name", ["nvidia.hopper.mma.u8", "nvidia.hopper.mma.u8_s8", "nvidia.hopper.mma.s8_u8"])
@pytest.mark.parametrize("shape", [(3, 2100, 5), (600, 1030, 2100)])
def test_blocks_and_offsets_leave_integers_exact(name: str, shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    rng = np.random.default_rng(k)
    a, b = rng.integers(0, 256, (m, k), np.uint8), rng.integers(0, 256, (n, k), np.uint8)
    x, y = (
        decode(codes, fmt).astype(np.float64) for codes, fmt in ((a, units[name].a_format), (b, units[name].b_format))
    )
    c = rng.integers(-(2**31), 2**31, (m, n)).astype(np.int32)
    want = (x @ y.T).astype(np.int64) + c  # exact: below 2**53
    assert np.array_equal(mma(a, b, c, name), (want + 2**31) % 2**32 - 2**31)
