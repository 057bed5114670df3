"""The catalog of units with Verilog agrees with the catalog of units."""

from __future__ import annotations

import pytest

from hwsim.errors import DataError, UnitError
from hwsim.numerics import units
from hwsim.numerics.unit import IntegerUnit, ScaledFusedUnit
from hwsim.verify import RTL_UNITS
from hwsim.verify.catalog import array_parameters, rtl_unit
from hwsim.verify.multipliers import MULTIPLIERS


def test_every_unit_that_claims_rtl_has_it() -> None:
    claimed = {name for name in units if units[name].evidence == "rtl"}
    assert claimed
    assert claimed <= set(RTL_UNITS)


@pytest.mark.parametrize("name", sorted(set(RTL_UNITS) & set(units)))
def test_an_entry_says_what_its_unit_says(name: str) -> None:
    entry, unit = RTL_UNITS[name], units[name]
    multiplier = MULTIPLIERS[entry.multiplier]
    if entry.scaled:
        assert isinstance(unit, ScaledFusedUnit)
        assert (multiplier.a_format, multiplier.b_format) == (unit.a_format, unit.b_format)
        assert entry.block == unit.block_size == unit.group == unit.products
        return
    assert isinstance(unit, IntegerUnit)
    assert (multiplier.a_format, multiplier.b_format) == (unit.a_format, unit.b_format)
    assert entry.saturate == (unit.overflow == "saturate")
    assert entry.acc_bits == 8 * unit.accumulator_dtype.itemsize
    assert multiplier.lsb_exponent == 0


def test_parameters_follow_from_the_unit() -> None:
    assert array_parameters(rtl_unit("hwsim.rtl.int4"), 8, 4) == {
        "ROWS": 8,
        "COLS": 4,
        "MUL": "int4",
        "A_W": 4,
        "W_W": 4,
        "P_W": 8,
        "ACC_W": 32,
        "SATURATE": 0,
    }
    assert array_parameters(rtl_unit("hwsim.rtl.int4_sat"), 8, 4)["SATURATE"] == 1
    assert array_parameters(rtl_unit("hwsim.rtl.int4_sm"), 8, 4)["MUL"] == "int4_sm"


def test_a_unit_without_verilog_is_refused_by_name() -> None:
    with pytest.raises(UnitError, match=r"unknown RTL unit 'hwsim\.rtl\.e2m2' \(did you mean 'hwsim\.rtl\.e2m1'\?\)"):
        rtl_unit("hwsim.rtl.e2m2")


def test_scales_follow_from_their_format() -> None:
    nv, mx = (array_parameters(rtl_unit(f"hwsim.rtl.{name}"), rows, 4) for name, rows in (("nvfp4", 16), ("mxfp4", 32)))
    assert (nv["SE"], nv["SM"], nv["LSB"], nv["F"]) == (4, 3, 2, 25)
    assert (mx["SE"], mx["SM"], mx["ROWS"]) == (8, 0, 32)
    with pytest.raises(DataError, match=r"an array of hwsim\.rtl\.nvfp4 has 16 rows, one block; found 8"):
        array_parameters(rtl_unit("hwsim.rtl.nvfp4"), 8, 4)
