"""Floating-point units: against MMA-Sim, against the rule in exact fractions, and at the edges of number systems."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from hwsim.numerics import matrix_loops
from hwsim.numerics.codec import decode, encode
from hwsim.numerics.matrix import mma
from hwsim.numerics.unit import FusedUnit
from hwsim.numerics.unit_catalog import units
from tests.numerics import mmasim_oracle
from tests.oracles import need_module

NAN = 0x7FFFFFFF


def bits(x: np.ndarray) -> np.ndarray:
    return x.view(np.uint16 if x.dtype == np.float16 else np.uint32)


def run(name: str, values: list[np.ndarray]) -> np.ndarray:
    a, b, c, *scales = values
    return mma(a, b, c, name, **dict(zip(("a_scale", "b_scale"), scales, strict=False)))


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    with np.load(mmasim_oracle.VECTORS) as file:
        return {key: file[key] for key in file.files}


def test_recorded_answers_of_mmasim(vectors: dict[str, np.ndarray]) -> None:
    wrong = {}
    for name in mmasim_oracle.judged():
        values = [vectors[f"{name}:{part}"] for part in ("a", "b", "c", "sa", "sb") if f"{name}:{part}" in vectors]
        wrong[name] = int((~mmasim_oracle.same(units[name], run(name, values), vectors[f"{name}:d"])).sum())
    assert len(wrong) >= 240
    assert not any(wrong.values()), {name: count for name, count in wrong.items() if count}


@pytest.mark.skipif("HWSIM_MMASIM" not in os.environ, reason="set HWSIM_MMASIM to a number of rows, e.g. 64")
def test_fresh_answers_of_mmasim() -> None:
    """Random bits anew at every run, all instructions; 320 rows make 102,400 outputs for each."""
    need_module("mmasim", "pip install mmasim torch")
    rows, seed = int(os.environ["HWSIM_MMASIM"]), np.random.SeedSequence().entropy
    wrong = {
        f"{name} K={k}": mmasim_oracle.compare(name, operation, k, rows, np.random.default_rng(seed))
        for name in mmasim_oracle.judged()
        for operation, k in mmasim_oracle.instructions(name)
    }
    assert not any(wrong.values()), {"seed": seed, **{name: count for name, count in wrong.items() if count}}


def exponent(x: Fraction, least: int) -> int:
    """floor(log2 |x|), not below ``least``."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    e -= abs(x) < Fraction(2) ** e
    return max(e, least)


def cut(x: Fraction, lsb: int) -> Fraction:
    return Fraction(math.trunc(x / Fraction(2) ** lsb)) * Fraction(2) ** lsb


def fused_dot(unit: FusedUnit, a: list[float], b: list[float], c: float, least: tuple[int, int]) -> Fraction:
    """The published rule for finite operands, step by step, in exact fractions."""
    acc = Fraction(c)
    for k0 in range(0, len(a), unit.products):
        pairs = [
            (Fraction(x), Fraction(y))
            for x, y in zip(a[k0 : k0 + unit.products], b[k0 : k0 + unit.products], strict=True)
        ]
        terms = [(x * y, exponent(x, least[0]) + exponent(y, least[1])) for x, y in pairs if x and y]
        terms += [(acc, exponent(acc, -126))] if acc else []
        top = max([e for _, e in terms] + [unit.floor_exponent])
        total = sum((cut(x, top - unit.fraction_bits) for x, _ in terms), Fraction(0))
        mantissa = 13 if unit.rounding == "rz_e8m13" else 23
        acc = cut(total, exponent(total, -126) - mantissa) if total else total
    return acc


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("nvidia.volta.mma.f16", -14),
        ("nvidia.ampere.mma.f16", -14),
        ("nvidia.hopper.wgmma.f16", -14),
        ("nvidia.hopper.wgmma.e4m3", -6),
        ("nvidia.ada.mma.e5m2", -14),
    ],
)
def test_the_rule_in_fractions(name: str, least: int) -> None:
    unit = units[name]
    assert isinstance(unit, FusedUnit)
    rng = np.random.default_rng(11)
    spread = np.exp2(rng.integers(-12, 6, (2, 6, 50)))
    a, b = (encode(x.astype(np.float32), unit.a_format) for x in rng.standard_normal((2, 6, 50)) * spread)
    c = (rng.standard_normal((6, 6)) * np.exp2(rng.integers(-20, 12, (6, 6)))).astype(np.float32)
    c[0] = 0.0
    d = mma(a, b, c, unit)
    x, y = (decode(codes, unit.a_format).tolist() for codes in (a, b))
    want = [[float(fused_dot(unit, x[m], y[n], float(c[m, n]), (least, least))) for n in range(6)] for m in range(6)]
    assert d.tolist() == want


HALF_ONE, HALF_INF, HALF_NAN = 0x3C00, 0x7C00, 0x7E01


@pytest.mark.parametrize("name", ["nvidia.hopper.wgmma.f16", "nvidia.hopper.mma.f16_f16acc", "generic.fp16.exact"])
@pytest.mark.parametrize(
    ("a", "b", "c", "want"),
    [
        ((HALF_NAN, 0), (0, 0), 0.0, math.nan),
        ((HALF_INF, 0), (0, 0), 0.0, math.nan),
        ((HALF_INF, 0), (HALF_ONE, 0), 1.0, math.inf),
        ((HALF_INF, 0), (HALF_ONE | 0x8000, 0), 1.0, -math.inf),
        ((HALF_INF, HALF_INF), (HALF_ONE, HALF_ONE | 0x8000), 0.0, math.nan),
        ((HALF_INF, 0), (HALF_ONE, 0), -math.inf, math.nan),
        ((HALF_ONE, 0), (HALF_ONE, 0), -math.inf, -math.inf),
        ((HALF_ONE, 0), (HALF_ONE, 0), math.nan, math.nan),
        ((HALF_ONE, HALF_ONE), (HALF_ONE, HALF_ONE | 0x8000), 0.0, 0.0),
        ((0x8000, 0), (HALF_ONE, 0), -0.0, 0.0),
        ((0x0001, 0), (HALF_ONE, 0), 0.0, 2.0**-24),
    ],
)
def test_special_values(name: str, a: tuple[int, int], b: tuple[int, int], c: float, want: float) -> None:
    start = np.full((1, 1), c, units[name].accumulator_dtype)
    d = mma(np.array([a], np.uint16), np.array([b], np.uint16), start, name)
    if math.isnan(want):
        assert bits(d)[0, 0] == units[name].nan
    else:
        assert bits(d)[0, 0] == bits(np.array(want, d.dtype))


def test_a_special_operand_touches_only_its_own_row_and_column() -> None:
    rng = np.random.default_rng(4)
    a, b = (encode(rng.standard_normal((70, 40)).astype(np.float32), "fp8_e4m3fn") for _ in "ab")
    clean = mma(a, b, None, "nvidia.hopper.wgmma.e4m3")
    a[3, 5] = 0x7F
    b[66, 39] = 0xFF
    d = mma(a, b, None, "nvidia.hopper.wgmma.e4m3")
    assert (bits(d[3]) == NAN).all()
    assert (bits(d[:, 66]) == NAN).all()
    rest = np.delete(np.delete(d, 3, 0), 66, 1)
    assert np.array_equal(bits(rest), bits(np.delete(np.delete(clean, 3, 0), 66, 1)))


def test_overflow_is_infinite_and_underflow_is_cut() -> None:
    top = np.full((1, 16), 0x7F7F, np.uint16)
    assert mma(top, top, None, "nvidia.hopper.wgmma.bf16")[0, 0] == np.inf
    assert mma(top, top | 0x8000, None, "nvidia.hopper.wgmma.bf16")[0, 0] == -np.inf
    tiny = np.array([[0x0001]], np.uint16)  # 2**-133, squared far below the floor exponent
    d = mma(tiny, tiny | 0x8000, None, "nvidia.hopper.wgmma.bf16")
    assert bits(d)[0, 0] == 0
    ones = np.full((1, 1), 0x3F80, np.uint16)
    assert mma(tiny, ones, None, "nvidia.hopper.wgmma.bf16")[0, 0] == 2.0**-133


def test_k_chains_instructions_and_is_padded_with_zeros() -> None:
    rng = np.random.default_rng(6)
    for name in ("nvidia.hopper.wgmma.e4m3", "nvidia.hopper.mma.e4m3_e5m2", "nvidia.turing.mma.f16_f16acc"):
        unit = units[name]
        assert isinstance(unit, FusedUnit)
        step = unit.instruction_products
        a, b = (
            encode(rng.standard_normal((9, 2 * step + 3)).astype(np.float32), fmt)
            for fmt in (unit.a_format, unit.b_format)
        )
        c = rng.standard_normal((9, 9)).astype(unit.accumulator_dtype)
        d = c
        for k in range(0, a.shape[1], step):
            d = mma(a[:, k : k + step], b[:, k : k + step], d, unit)
        pad = np.zeros((9, step - 3), a.dtype)
        padded = mma(np.hstack([a, pad]), np.hstack([b, pad]), c, unit)
        assert np.array_equal(bits(mma(a, b, c, unit)), bits(d))
        assert np.array_equal(bits(padded), bits(d))


def test_hopper_fp8_mma_adds_c_last() -> None:
    """A sum of 1.5 units in the last place of c is rounded to 2 of them; a fused step would cut it off."""
    a = np.zeros((1, 32), np.uint8)
    b = a.copy()
    a[0, :2] = 0x01, 0x01  # 2**-9 each
    b[0, :2] = 0x10, 0x08  # 2**-5 and 2**-6: the sum is 3 * 2**-15
    big = np.full((1, 1), 2.0**9, np.float32)  # its last bit is 2**-14
    assert mma(a, b, big, "nvidia.hopper.mma.e4m3")[0, 0] == 2.0**9 + 2.0**-13
    assert mma(a, b, big, "nvidia.hopper.wgmma.e4m3")[0, 0] == 2.0**9


@pytest.mark.parametrize("kind", ["fma_chain", "exact"])
def test_generic_units(kind: str) -> None:
    rng = np.random.default_rng(8)
    scale = np.exp2(rng.integers(-40, 40, (2, 5, 30)))
    x, y = (rng.standard_normal((2, 5, 30)) * scale).astype(np.float32)
    c = rng.standard_normal((5, 5)).astype(np.float32)
    d = mma(x.view(np.uint32), y.view(np.uint32), c, f"generic.fp32.{kind}")
    for m, n in itertools.product(range(5), repeat=2):
        acc = Fraction(float(c[m, n]))
        for k in range(30):
            acc += Fraction(float(x[m, k])) * Fraction(float(y[n, k]))
            if kind == "fma_chain":
                acc = nearest_fp32(acc)
        assert Fraction(float(d[m, n])) == nearest_fp32(acc), (m, n)


def nearest_fp32(x: Fraction) -> Fraction:
    if x == 0:
        return x
    ulp = Fraction(2) ** (exponent(x, -126) - 23)
    return round(x / ulp) * ulp  # Python rounds a Fraction to nearest, ties to even


def test_exact_unit_survives_what_float64_loses() -> None:
    values = np.array([[2.0**100, 1.0, -(2.0**100), 2.0**-100]], np.float32)
    ones = np.ones((1, 4), np.float32)
    d = mma(values.view(np.uint32), ones.view(np.uint32), None, "generic.fp32.exact")
    assert d[0, 0] == 1.0
    tie = np.array([[1.0, 2.0**-24, -(2.0**-149)]], np.float32)
    assert mma(tie.view(np.uint32), ones[:, :3].view(np.uint32), None, "generic.fp32.exact")[0, 0] == 1.0
    tie[0, 2] *= -1
    assert mma(tie.view(np.uint32), ones[:, :3].view(np.uint32), None, "generic.fp32.exact")[0, 0] == 1.0 + 2.0**-23


@pytest.mark.parametrize("name", ["nvidia.hopper.wgmma.e4m3", "nvidia.hopper.mma.f16_f16acc"])
def test_threads_and_tiles_do_not_change_results(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    rng = np.random.default_rng(9)
    unit = units[name]
    a, b = (encode(rng.standard_normal((rows, 100)).astype(np.float32), unit.a_format) for rows in (150, 270))
    want = mma(a, b, None, name)

    def one_tile_at_a_time(kernel: Callable[[int, int], int], items: int, elements: int) -> int:
        for i in reversed(range(items)):
            kernel(i, i + 1)
        return 0

    monkeypatch.setattr(matrix_loops, "split", one_tile_at_a_time)
    assert np.array_equal(bits(mma(a, b, None, name)), bits(want))
    for rows in (slice(0, 1), slice(64, 65), slice(140, 150)):
        assert np.array_equal(bits(mma(a[rows], b[:130], None, name)), bits(want[rows, :130]))
    stack = mma(np.stack([a, a[::-1]]), np.stack([b, b]), None, name)
    assert np.array_equal(bits(stack[1, ::-1]), bits(want))
