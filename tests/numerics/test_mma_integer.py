"""Integer units against plain Python integers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.numerics import matrix_loops
from hwsim.numerics.matrix import mma
from hwsim.numerics.unit import IntegerUnit
from hwsim.numerics.unit_catalog import units

LOW, HIGH = -(2**31), 2**31 - 1

# What a code means, written here once more on purpose.
MEANING: dict[str, Callable[[int], int]] = {
    "int4": lambda code: code - 16 if code > 7 else code,
    "uint4": lambda code: code,
    "int4_sm": lambda code: -(code - 8) if code > 7 else code,
    "int4_sym": lambda code: code - 16 if code > 7 else code,
    "int4_offset": lambda code: code - 8,
    "int8": lambda code: code - 256 if code > 127 else code,
    "uint8": lambda code: code,
}
FOUR_BITS = [name for name in MEANING if "4" in name]


def unit(a: str, b: str, overflow: str = "wrap", products: int = 1) -> IntegerUnit:
    base = units["hwsim.rtl.int4"]
    assert isinstance(base, IntegerUnit)
    return replace(base, name=f"test.{a}.{b}", a_format=a, b_format=b, overflow=overflow, products=products)


def reference(u: IntegerUnit, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> list[list[int]]:
    out = []
    for m in range(a.shape[0]):
        row = []
        for n in range(b.shape[0]):
            acc = int(c[m, n])
            for k0 in range(0, a.shape[1], u.products):
                for k in range(k0, min(k0 + u.products, a.shape[1])):
                    acc += MEANING[u.a_format](int(a[m, k])) * MEANING[u.b_format](int(b[n, k]))
                acc = min(max(acc, LOW), HIGH) if u.overflow == "saturate" else (acc - LOW) % 2**32 + LOW
            row.append(acc)
        out.append(row)
    return out


@pytest.mark.parametrize("a_format", FOUR_BITS)
@pytest.mark.parametrize("b_format", FOUR_BITS)
def test_all_pairs_of_four_bit_operands(a_format: str, b_format: str) -> None:
    codes = np.arange(16, dtype=np.uint8)[:, None]
    d = mma(codes, codes, None, unit(a_format, b_format))
    assert d.dtype == np.int32
    want = [[MEANING[a_format](i) * MEANING[b_format](j) for j in range(16)] for i in range(16)]
    assert d.tolist() == want


@pytest.mark.parametrize("name", ["hwsim.rtl.int8", "nvidia.hopper.mma.s8", "nvidia.hopper.mma.u8", "ascend.cube.int8"])
def test_all_pairs_of_eight_bit_operands(name: str) -> None:
    meaning = MEANING[units[name].a_format]
    codes = np.arange(256, dtype=np.uint8)[:, None]
    values = np.array([meaning(i) for i in range(256)])
    assert np.array_equal(mma(codes, codes, None, name), np.outer(values, values))


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("products", [1, 3, 32])
@pytest.mark.parametrize("formats", [("int4", "int4"), ("int8", "int8"), ("uint8", "int4"), ("int4_sm", "int4_sm")])
def test_overflow_in_the_order_of_the_chain(formats: tuple[str, str], products: int, overflow: str) -> None:
    rng = np.random.default_rng(5)
    u = unit(*formats, overflow=overflow, products=products)
    tops = [1 << (8 if "8" in fmt else 4) for fmt in formats]
    a, b = (rng.integers(0, top, (7, 70)).astype(np.uint8) for top in tops)
    edges = np.array([LOW, HIGH, LOW + 50, HIGH - 50, 0])
    c = rng.choice(edges, (7, 7)).astype(np.int32)
    d = mma(a, b, c, u)
    assert d.tolist() == reference(u, a, b, c)
    if overflow == "saturate" and products == 1:
        whole = np.clip(c + mma(a, b, None, u).astype(np.int64), LOW, HIGH)
        assert (whole != d).any(), "the case must tell the chain from one clamp at the end"


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(0, 40)] * 3),
    name=st.sampled_from(["hwsim.rtl.int4", "hwsim.rtl.int4_sat", "hwsim.rtl.int8", "ascend.cube.int8"]),
    seed=st.integers(0, 2**32 - 1),
    with_c=st.booleans(),
)
def test_random_shapes(shape: tuple[int, int, int], name: str, seed: int, with_c: bool) -> None:
    rng = np.random.default_rng(seed)
    m, n, k = shape
    meaning = np.vectorize(MEANING[units[name].a_format], otypes=[np.int64])
    top = 256 if "int8" in name else 16
    a, b = (rng.integers(0, top, (rows, k)).astype(np.uint8) for rows in (m, n))
    c = rng.integers(-(2**20), 2**20, (m, n)).astype(np.int32) if with_c else None
    want = meaning(a) @ meaning(b).T + (0 if c is None else c)
    d = mma(a, b, c, name)
    assert d.shape == (m, n)
    assert np.array_equal(d, want)


def test_long_sums_stay_exact_where_float32_would_not() -> None:
    k = 5000
    full = np.full((2, k), 255, np.uint8)
    assert mma(full, full, None, "nvidia.hopper.mma.u8").tolist() == [[k * 255 * 255] * 2] * 2
    odd = full.copy()
    odd[:, -1] = 1
    assert mma(odd, full, None, "nvidia.hopper.mma.u8")[0, 0] == (k - 1) * 255 * 255 + 255
    deep = np.full((1, 40000), 255, np.uint8)
    assert mma(deep, deep, None, "nvidia.hopper.mma.u8")[0, 0] == (40000 * 255 * 255 - LOW) % 2**32 + LOW
    assert mma(deep, deep, None, "nvidia.hopper.mma.u8_sat")[0, 0] == HIGH


def test_batches_broadcast() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(0, 16, (3, 1, 5, 9)).astype(np.uint8)
    b = rng.integers(0, 16, (4, 6, 9)).astype(np.uint8)
    d = mma(a, b, None, "hwsim.rtl.int4")
    assert d.shape == (3, 4, 5, 6)
    for i in range(3):
        for j in range(4):
            assert np.array_equal(d[i, j], mma(a[i, 0], b[j], None, "hwsim.rtl.int4"))
    shared = mma(a, b[:1], np.zeros((3, 1, 5, 6), np.int32), "hwsim.rtl.int4")
    assert np.array_equal(shared[2, 0], mma(a[2, 0], b[0], None, "hwsim.rtl.int4"))


def test_strided_operands_and_c_is_not_changed() -> None:
    rng = np.random.default_rng(2)
    a = rng.integers(0, 16, (12, 10)).astype(np.uint8)
    c = np.full((5, 6), 7, np.int32)
    d = mma(a[::2].T[:5], a[1::2].T[:6], c, "hwsim.rtl.int4")
    again = mma(np.ascontiguousarray(a[::2].T[:5]), np.ascontiguousarray(a[1::2].T[:6]), c.copy(), "hwsim.rtl.int4")
    assert np.array_equal(d, again)
    assert (c == 7).all()


@pytest.mark.parametrize("parts", [1, 3])
def test_threads_do_not_change_results(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.integers(0, 256, (67, 300)).astype(np.uint8) for _ in "ab")
    c = rng.choice([LOW, HIGH], (67, 67)).astype(np.int32)
    want = mma(a, b, c, "ascend.cube.int8")

    def split(kernel: Callable[[int, int], int], items: int, elements: int) -> int:
        edges = [items * i // parts for i in range(parts + 1)]
        for first, last in reversed(list(itertools.pairwise(edges))):
            kernel(first, last)
        return 0

    monkeypatch.setattr(matrix_loops, "split", split)
    assert np.array_equal(mma(a, b, c, "ascend.cube.int8"), want)
