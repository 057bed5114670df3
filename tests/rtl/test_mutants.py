"""Planted bugs: each must be found, by the check that looks for it, with a message that says what went wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hwsim.verify import verify_rtl
from hwsim.verify.sources import rtl_dir
from tests.oracles import need_tool

MUTANTS = Path(__file__).parent / "mutants"
PAIR = r"c=-?\d+, a=(-?\d+) \(0x(.)\) x w=(-?\d+) \(0x(.)\): expected (-?\d+), got (-?\d+)"
TILE = r"c=-?\d+, a=\[[-\d ]+\] x w=\[[-\d ]+\]: expected -?\d+, got "


@pytest.fixture(autouse=True)
def _icarus() -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")


@pytest.mark.parametrize(
    ("mutant", "unit", "check", "message"),
    [
        ("mul_int4_wrong_sign", "hwsim.rtl.int4", "pe_exhaustive", PAIR),
        ("mul_int4_unsigned_weight", "hwsim.rtl.int4", "random_tiles", TILE + r"-?\d+$"),
        ("mul_int4_sm_negative_zero", "hwsim.rtl.int4_sm", "pe_exhaustive", PAIR),
        ("accumulator_dropped_carry", "hwsim.rtl.int4", "k_chain", TILE + r"-?\d+$"),
        ("accumulator_never_saturates", "hwsim.rtl.int4_sat", "corner_tiles", TILE + r"-?\d+$"),
        (
            "delay_short_lane",
            "hwsim.rtl.int4",
            "random_tiles",
            r"\d+ of 16 result rows came within \d+ cycles; .*" + TILE,
        ),
        ("delay_late", "hwsim.rtl.int4", "random_tiles", r"fold 0: expected 14 cycles, got 16$"),
        ("pe_ws_survives_reset", "hwsim.rtl.int4", "reset", r"cycle \d+"),
        (
            "pe_ws_loses_rows",
            "hwsim.rtl.int4",
            "corner_tiles",
            r"\d+ of 200 result rows came within \d+ cycles; .*" + TILE,
        ),
    ],
)
def test_planted_bug_is_found(mutant: str, unit: str, check: str, message: str, tmp_path: Path) -> None:
    report = verify_rtl(
        unit, tiles=4, rows=4, cols=4, m=4, sources=[MUTANTS / f"{mutant}.v"], checks=[check], waves_dir=tmp_path
    )
    (row,) = report.rows
    assert not report.passed
    assert row.mismatches + row.cycle_mismatches > 0
    assert row.first_mismatch is not None
    assert re.search(message, row.first_mismatch), row.first_mismatch
    assert row.wave_file is not None
    wave = Path(row.wave_file)
    assert wave.parent == tmp_path
    assert wave.suffix == ".fst"
    assert wave.stat().st_size > 100


def test_message_names_the_operands_of_the_bug() -> None:
    report = verify_rtl(
        rows=2, cols=2, checks=["pe_exhaustive"], sources=[MUTANTS / "mul_int4_wrong_sign.v"], waves="never"
    )
    (row,) = report.rows
    assert row.first_mismatch is not None
    assert "c=0, a=-8 (0x8) x w=-8 (0x8): expected 64, got -64" in row.first_mismatch
    assert row.mismatches == 12  # one operand pair, with each of the twelve sums
    assert row.wave_file is None


def test_right_answers_at_the_wrong_time_are_a_failure(tmp_path: Path) -> None:
    report = verify_rtl(
        tiles=3, rows=4, cols=4, m=4, checks=["random_tiles"], sources=[MUTANTS / "delay_late.v"], waves_dir=tmp_path
    )
    (row,) = report.rows
    assert (row.mismatches, row.cycles_compared, row.cycle_mismatches) == (0, 3, 3)
    assert not report.passed


def test_the_same_file_without_a_bug_passes(tmp_path: Path) -> None:
    for name in ("mul_int4.v", "accumulator.v", "delay.v", "pe_ws.v"):
        copy = tmp_path / f"my_{name}"
        copy.write_text((rtl_dir() / name).read_text(encoding="utf-8"), encoding="utf-8")
    checks = ["random_tiles", "reset"]
    report = verify_rtl(tiles=4, rows=4, cols=4, m=4, sources=sorted(tmp_path.glob("*.v")), checks=checks)
    assert report.passed, report.first_mismatch
