"""The simulator's own failures are errors with one line; what the design answers is not."""

from __future__ import annotations

from pathlib import Path

import pytest

import hwsim
from hwsim.errors import ToolError
from hwsim.io.cache import cache_dir
from hwsim.verify import verify_rtl
from hwsim.verify.simulator import Design, build, need_simulator, simulate
from hwsim.verify.sources import rtl_sources
from tests.oracles import need_tool


def pe() -> Design:
    return Design.of("pe_ws", rtl_sources(), {"ACC_W": 16})


def test_missing_simulator_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ToolError, match=r"iverilog is missing \(install it with: sudo apt-get install iverilog\)"
    ) as caught:
        verify_rtl(tiles=1, rows=2, cols=2)
    assert caught.value.exit_status == 3


def test_missing_libpython_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")
    monkeypatch.setattr("find_libpython.find_libpython", lambda: None)
    with pytest.raises(ToolError, match=r"shared library of Python .* sudo apt-get install libpython3"):
        need_simulator("icarus")


def test_unknown_simulator_names_the_nearest() -> None:
    with pytest.raises(ToolError, match=r"unknown simulator 'icarsu' \(did you mean 'icarus'\?\)"):
        verify_rtl(sim="icarsu")


def test_verilog_that_does_not_compile_is_quoted(tmp_path: Path) -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")
    bad = tmp_path / "mine.v"
    bad.write_text("module mul_int4 (input a);\n    assign = ;\nendmodule\n")
    with pytest.raises(ToolError, match=r"iverilog does not accept the Verilog: .*mine\.v:2: .*error"):
        verify_rtl(tiles=1, rows=2, cols=2, sources=[bad])


def test_a_bench_that_fails_is_an_error_not_a_pass(tmp_path: Path) -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")
    with pytest.raises(ToolError, match=r"the simulation failed: .*job\.json"):
        simulate("icarus", pe(), "replay", tmp_path)


def test_a_bench_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")
    with pytest.raises(ToolError, match="the simulation failed"):
        simulate("icarus", pe(), "nothing_here", tmp_path)


def test_builds_are_kept_by_content_outside_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")
    monkeypatch.setenv("HWSIM_CACHE", str(tmp_path / "cache"))  # of its own: other processes build in the shared one
    first = build("icarus", pe())
    made = (first / "sim.vvp").stat().st_mtime_ns
    assert (build("icarus", pe()) / "sim.vvp").stat().st_mtime_ns == made
    assert build("icarus", Design.of("pe_ws", rtl_sources(), {"ACC_W": 17})) != first
    edited = tmp_path / "mul_int4.v"
    edited.write_text(next(p for p in rtl_sources() if p.name == "mul_int4.v").read_text() + "\n// edited\n")
    assert build("icarus", Design.of("pe_ws", rtl_sources([edited]), {"ACC_W": 16})) != first
    assert first.is_relative_to(cache_dir())
    assert not first.is_relative_to(Path(hwsim.__path__[0]))
    assert list((cache_dir() / "sim").glob(".building-*")) == []


def test_variables_meant_for_cocotb_do_not_reach_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")
    monkeypatch.setenv("COCOTB_TEST_FILTER", "no such test")
    monkeypatch.setenv("COCOTB_TESTCASE", "no_such_test")
    monkeypatch.setenv("WAVES", "1")
    assert verify_rtl(tiles=1, rows=2, cols=2, checks=["random_tiles"]).passed


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HWSIM_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.delenv("HWSIM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "hwsim"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "hwsim"
