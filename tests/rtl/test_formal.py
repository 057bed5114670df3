"""Proofs for every input; and that each kind of proof fails on a planted bug, and says how."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hwsim.errors import ToolError, UnitError
from hwsim.verify.formal import product_table, prove_array, prove_element, prove_multiplier, small_multipliers
from hwsim.verify.multipliers import MULTIPLIERS
from hwsim.verify.sources import rtl_dir
from tests.oracles import need_module

MUTANTS = Path(__file__).parent / "mutants"
ELEMENTS = ["int4", "int4_sat", "int4_sm", "int4_sm_sat", "uint4", "uint4_int4", "int2", "ternary", "binary", "e2m1"]


@pytest.fixture(autouse=True)
def _yosys() -> None:
    need_module("pyosys")


def edited(module: str, right: str, wrong: str, folder: Path) -> Path:
    text = (rtl_dir() / f"{module}.v").read_text(encoding="utf-8")
    assert text.count(right) == 1
    bad = folder / f"{module}.v"
    bad.write_text(text.replace(right, wrong), encoding="utf-8")
    return bad


def test_tables_hold_known_products() -> None:
    text = product_table(MULTIPLIERS["e2m1"])
    assert "8'd119: {p} = {9'd144};" in text  # 6 x 6 = 36, in quarters
    assert "8'd247: {p} = {9'd368};" in text  # -6 x 6 = -36: 512 - 144
    assert len(re.findall(r"8'd\d+: ", product_table(MULTIPLIERS["int4"]))) == 256


@pytest.mark.parametrize("name", small_multipliers())
def test_multiplier_equals_its_table(name: str) -> None:
    proof = prove_multiplier(name)
    assert proof.holds, proof.counterexample


def test_a_wrong_product_is_told_with_its_operands() -> None:
    proof = prove_multiplier("int4", sources=[MUTANTS / "mul_int4_wrong_sign.v"])
    assert not proof.holds
    assert proof.counterexample is not None
    # the one pair that this multiplier gets wrong
    assert "in_a=0x8, in_b=0x8" in proof.counterexample
    assert "gate_p=0xc0, gold_p=0x40" in proof.counterexample


@pytest.mark.parametrize("top", ["pe_ws", "pe_os"])
@pytest.mark.parametrize("unit", ELEMENTS)
def test_element_equals_its_description(unit: str, top: str) -> None:
    proof = prove_element(f"hwsim.rtl.{unit}", top)
    assert proof.holds, proof.counterexample


@pytest.mark.parametrize(
    ("unit", "top", "bug", "told"),
    [
        ("hwsim.rtl.int4", "pe_ws", "pe_ws_loses_rows", "(psum_out|valid_out)"),
        ("hwsim.rtl.int4", "pe_ws", "pe_ws_survives_reset", "valid_out"),
        ("hwsim.rtl.int4_sat", "pe_os", "accumulator_never_saturates", "sum"),
        ("hwsim.rtl.int4_sm", "pe_ws", "mul_int4_sm_negative_zero", "product"),
    ],
)
def test_a_wrong_element_is_told_with_its_register(unit: str, top: str, bug: str, told: str) -> None:
    proof = prove_element(unit, top, sources=[MUTANTS / f"{bug}.v"])
    assert not proof.holds
    assert proof.counterexample is not None
    assert re.search(rf"\b{told}\b", proof.counterexample)


@pytest.mark.parametrize(("unit", "top"), [("int4", "array_ws"), ("int4_sat", "array_ws"), ("int4", "array_os")])
def test_2x2_array_is_a_dot_product(unit: str, top: str) -> None:
    proof = prove_array(f"hwsim.rtl.{unit}", top)
    assert proof.holds, proof.counterexample


@pytest.mark.parametrize(
    "bug", ["delay_late", "pe_ws_survives_reset", "accumulator_never_saturates", "pe_ws_loses_rows"]
)
def test_a_wrong_weight_stationary_array_is_told_with_its_cycle(bug: str) -> None:
    proof = prove_array("hwsim.rtl.int4_sat", sources=[MUTANTS / f"{bug}.v"])
    assert not proof.holds
    assert re.search(r"row in cycle \d", proof.counterexample or "")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (".CYCLES(ROWS + COLS - 2), .WIDTH(1)", ".CYCLES(ROWS + COLS - 3), .WIDTH(1)"),
        ("drain = |leaving;", "drain = |leaving[ROWS-1:1];"),
        ("delay #(.CYCLES(c), .WIDTH(W_W))", "delay #(.CYCLES(0), .WIDTH(W_W))"),
    ],
    ids=["drains early", "loses a row", "no skew"],
)
def test_a_wrong_output_stationary_array_is_told_with_its_cycle(right: str, wrong: str, tmp_path: Path) -> None:
    proof = prove_array("hwsim.rtl.int4", "array_os", sources=[edited("array_os", right, wrong, tmp_path)])
    assert not proof.holds
    assert re.search(r"row in cycle \d", proof.counterexample or "")


@pytest.mark.slow
@pytest.mark.parametrize("top", ["array_ws", "array_os"])
@pytest.mark.parametrize("unit", ["int4", "int4_sat", "int4_sm", "e2m1"])
def test_2x2_arrays_of_other_units(unit: str, top: str) -> None:
    proof = prove_array(f"hwsim.rtl.{unit}", top)
    assert proof.holds, proof.counterexample


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["int4", "e2m1"])
def test_4x4_array_is_a_dot_product(unit: str) -> None:
    proof = prove_array(f"hwsim.rtl.{unit}", rows=4, cols=4)
    assert proof.holds, proof.counterexample


def test_wide_multipliers_and_broken_verilog_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match="proofs take multipliers of 8 operand bits"):
        prove_multiplier("int8")
    bad = tmp_path / "mul_int4.v"
    bad.write_text("module mul_int4 (input [3:0] a, b, output signed [7:0] p);\nassign p = a *;\nendmodule\n")
    with pytest.raises(ToolError, match=r"mul_int4.v:2: ERROR: syntax error"):
        prove_multiplier("int4", sources=[bad])


def test_a_table_is_signed_and_complete() -> None:
    for name in small_multipliers():
        entry = MULTIPLIERS[name]
        found = [int(value) for value in re.findall(r"= \{\d+'d(\d+)\}", product_table(entry))]
        assert len(found) == 1 << (entry.a_bits + entry.b_bits)
        assert max(found) < 1 << entry.product_bits
        assert np.count_nonzero(np.array(found) >= 1 << (entry.product_bits - 1)) > 0 or name == "uint4"
