"""The catalog of units with Verilog agrees with the catalog of units."""

from __future__ import annotations

import pytest

from hwsim.errors import UnitError
from hwsim.numerics import units
from hwsim.verify import RTL_UNITS
from hwsim.verify.catalog import array_parameters, rtl_unit


def test_every_entry_is_a_unit_and_every_unit_that_claims_rtl_is_here() -> None:
    claimed = {name for name in units if units[name].evidence == "rtl"}
    assert claimed == set(RTL_UNITS)


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
    with pytest.raises(UnitError, match=r"unknown RTL unit 'hwsim\.rtl\.int5' \(did you mean 'hwsim\.rtl\.int4'\?\)"):
        rtl_unit("hwsim.rtl.int5")
