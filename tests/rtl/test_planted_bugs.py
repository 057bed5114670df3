"""One bug in each class of module, planted by changing one place of ours: ``verify_rtl`` finds and tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwsim.verify import verify_rtl
from hwsim.verify.sources import rtl_dir
from tests.oracles import need_module, need_tool

BUGS = {
    # class: module, what stands there, what is planted, unit, check, what the message must hold
    "dropped carry of a rounding": (
        "round_float",
        "{field, {DM{1'b0}}} + kept + up",
        "({field, {DM{1'b0}}} + kept) ^ up",
        "nvidia.hopper.mma.f16_f16acc",
        "random",
        (": d: expected ", "c="),
    ),
    "dropped carry of a sum": (
        "accumulator",
        "sum <= psum + product;",
        "sum <= {psum[ACC_W-1:8] + {(ACC_W-8){product[P_W-1]}}, psum[7:0] + product[7:0]};",
        "hwsim.rtl.int4",
        "corner_tiles",
        ("tile ", "c=", " x w=", "expected "),
    ),
    "wrong sign of zero": (
        "requantizer",
        "assign code = {q[63], size[OUT_W-2:0]};",
        "assign code = {clamped[ACC_W-1], size[OUT_W-2:0]};",
        "requantizer_int4_sm",
        "ties",
        ("acc=-", "expected 0 (0x0), got -0 (0x8)"),
    ),
    "off-by-one drain of an array": (
        "array_os",
        ".CYCLES(ROWS + COLS - 2)",
        ".CYCLES(ROWS + COLS - 1)",
        "hwsim.rtl.int4",
        "output_stationary",
        ("cycle ", "expected a result row, got none"),
    ),
    "off-by-one drain of a tile": (
        "tile_controller",
        "valid_out && flying == 1",
        "valid_out && flying <= 2",
        "mac_tile_axis",
        "packets",
        ("packets 0", "expected "),
    ),
    "swapped nibble of a decompressor": (
        "sparse_2to4",
        "first == k ? kept[2*g*W+:W] : second == k ? kept[(2*g+1)*W+:W]",
        "first == k ? kept[(2*g+1)*W+:W] : second == k ? kept[2*g*W+:W]",
        "sparse_2to4",
        "random",
        ("kept=[", "place=[", "dense[", "expected ", "got "),
    ),
    "swapped nibble of a stream": (
        "mac_tile_axis",
        ".a_row    (s_axis_a_tdata[0+:ROWS*A_W]),\n                .psum_in",
        ".a_row    ({s_axis_a_tdata[ROWS*A_W-1:2*A_W], s_axis_a_tdata[0+:A_W], s_axis_a_tdata[A_W+:A_W]}),\n"
        "                .psum_in",
        "mac_tile_axis",
        "reloads",
        ("tile 0, row ", " x w=[", "expected ", "got "),
    ),
    "missing saturation of a code": (
        "requantizer",
        "moved > most ? most : moved",
        "moved",
        "requantizer_int4",
        "random",
        ("acc=", "multiplier=", "expected 7 (0x7)"),
    ),
    "missing saturation of a sum": (
        "accumulator",
        "fits ? wide[ACC_W-1:0]",
        "1'b1 ? wide[ACC_W-1:0]",
        "mac_tile_axis",
        "operands",
        ("expected ", "got "),
    ),
    "a NaN scale that is a number": (
        "scale_add",
        "is_nan = is_nan | &x | &y;",
        "is_nan = is_nan | &x;",
        "hwsim.rtl.nvfp4",
        "corner_tiles",
        (" x [nan]", "expected nan (0x7FFFFFFF)"),
    ),
    "a zero point with the wrong sign": (
        "zero_point",
        "- offset * sum",
        "+ offset * sum",
        "zero_point",
        "corners",
        ("za=-16", "start[0]: expected "),
    ),
}
SIMULATED = {"nvidia.hopper.mma.f16_f16acc": "verilator", "hwsim.rtl.nvfp4": "verilator"}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_and_told(bug: str, tmp_path: Path) -> None:
    module, ours, planted, unit, check, said = BUGS[bug]
    sim = SIMULATED.get(unit, "icarus")
    if sim == "verilator":
        need_module("verilator")
        need_tool("g++", "sudo apt-get install g++")
    else:
        need_tool("iverilog", "sudo apt-get install iverilog")
    if unit.startswith("mac_tile_axis"):
        need_module("cocotbext.axi", "pip install cocotbext-axi")
        need_module("cocotb_coverage", "pip install cocotb-coverage")
    text = (rtl_dir() / f"{module}.v").read_text(encoding="utf-8")
    assert text.count(ours) == 1
    mine = tmp_path / f"my_{module}.v"
    mine.write_text(text.replace(ours, planted), encoding="utf-8")
    shape = {"cols": 2, "m": 2} if unit == "hwsim.rtl.nvfp4" else {"rows": 3, "cols": 3, "m": 4}
    if unit.startswith(("requantizer", "sparse", "zero", "mac", "nvidia")):
        shape = {}
    report = verify_rtl(unit, sim=sim, tiles=30, checks=[check], sources=[mine], waves_dir=tmp_path, **shape)
    (row,) = report.rows
    assert not report.passed
    assert row.mismatches + row.cycle_mismatches > 0
    assert row.first_mismatch is not None
    for part in said:
        assert part in row.first_mismatch, row.first_mismatch
    assert row.wave_file is not None
    assert Path(row.wave_file).stat().st_size > 100
