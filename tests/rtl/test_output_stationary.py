"""The output-stationary array: planted bugs are told with their operands; impossible shapes stop elaboration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hwsim.errors import ToolError
from hwsim.verify import verify_rtl
from hwsim.verify.simulator import Design, build
from hwsim.verify.sources import rtl_dir, rtl_sources
from tests.oracles import need_tool


@pytest.fixture(autouse=True)
def _icarus() -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")


@pytest.mark.parametrize(
    ("check", "module", "right", "wrong", "message"),
    [
        (
            "output_stationary",
            "array_os",
            "ROWS + COLS - 2), .WIDTH(1)",
            "ROWS + COLS - 3), .WIDTH(1)",
            r"cycle \d+: expected no result row",
        ),
        (
            "output_stationary",
            "pe_os",
            "first_in ? {ACC_W{1'b0}} : sum",
            "sum",
            r"c=0, a=\[.*\] x w=\[.*\]: expected -?\d+, got ",
        ),
        (
            "output_stationary",
            "accumulator",
            "if (enable) sum <= psum + product",
            "sum <= psum + product",
            r"expected -?\d+, got -?\d+",
        ),
        (
            "output_stationary",
            "pe_os",
            "w_out     <= w_in",
            "w_out     <= {w_in[0], w_in[W_W-1:1]}",
            r"expected -?\d+, got -?\d+",
        ),
        (
            "output_stationary_reset",
            "array_os",
            "rst ? {ROWS{1'b0}} : next[ROWS:1]",
            "next[ROWS:1]",
            r"cycle \d+: expected no result row",
        ),
        (
            "output_stationary_pe",
            "pe_os",
            "valid_out <= valid_in & ~rst",
            "valid_out <= valid_in",
            r"cycle \d+: rst .*valid_out: expected 0, got 1",
        ),
        (
            "output_stationary_pe",
            "pe_os",
            "first_out <= first_in",
            "first_out <= first_in & ~drain",
            r"first_out: expected 1, got 0",
        ),
    ],
    ids=[
        "off-by-one drain",
        "sums never start anew",
        "sums move in gaps",
        "weights turned on their way",
        "drains after a reset",
        "valid after a reset",
        "a mark lost in a drain",
    ],
)
def test_planted_bug_is_found(check: str, module: str, right: str, wrong: str, message: str, tmp_path: Path) -> None:
    text = (rtl_dir() / f"{module}.v").read_text(encoding="utf-8")
    assert text.count(right) == 1
    bad = tmp_path / "bad.v"
    bad.write_text(text.replace(right, wrong), encoding="utf-8")
    report = verify_rtl(tiles=3, rows=3, cols=2, m=4, checks=[check], sources=[bad], waves_dir=tmp_path / "waves")
    (row,) = report.rows
    assert not report.passed
    assert row.first_mismatch is not None
    assert re.search(message, row.first_mismatch), row.first_mismatch
    assert row.wave_file is not None


@pytest.mark.parametrize("parameters", [{"ROWS": 0}, {"COLS": 0}])
def test_impossible_shapes_stop_elaboration(parameters: dict[str, int | str]) -> None:
    with pytest.raises(ToolError, match="array_os_needs_ROWS_COLS_of_1_or_more"):
        build("icarus", Design.of("array_os", rtl_sources(), parameters))
