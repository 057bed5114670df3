"""Which Verilog realises which matrix unit: pure data. Widths and overflow follow from the unit's entry in numerics.

To prove another unit on the array: write its multiplier ``rtl/mul_<format>.v``, give ``rtl/mul.v`` a branch for it, and
add a line to ``RTL_UNITS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwsim.errors import UnitError, unknown


@dataclass(frozen=True)
class RtlUnit:
    """How a unit of ``hwsim.numerics.units`` is built from rtl/.

    Attributes:
        name: the unit's name in ``hwsim.numerics.units``.
        multiplier: value of the parameter MUL: which multiplier the processing element holds.
        product_bits: width of that multiplier's signed product (P_W).
        pe, array, harness: names of the top modules.
    """

    name: str
    multiplier: str
    product_bits: int
    pe: str = "pe_ws"
    array: str = "array_ws"
    harness: str = "tb_array_ws"


RTL_UNITS: Mapping[str, RtlUnit] = {
    unit.name: unit
    for unit in (
        RtlUnit(name="hwsim.rtl.int4", multiplier="int4", product_bits=8),
        RtlUnit(name="hwsim.rtl.int4_sat", multiplier="int4", product_bits=8),
        RtlUnit(name="hwsim.rtl.int4_sm", multiplier="int4_sm", product_bits=8),
        RtlUnit(name="hwsim.rtl.int4_sm_sat", multiplier="int4_sm", product_bits=8),
    )
}


def rtl_unit(name: str) -> RtlUnit:
    """The entry of a unit that has Verilog.

    Raises:
        UnitError: no Verilog realises ``name``; the message names the nearest unit that has some.
    """
    entry = RTL_UNITS.get(name)
    if entry is None:
        raise unknown(UnitError, "RTL unit", name, RTL_UNITS)
    return entry


def pe_parameters(unit: RtlUnit) -> dict[str, int | str]:
    """Verilog parameters of the processing element; operand widths, ACC_W and SATURATE come from numerics."""
    from hwsim.numerics import decode_table, units

    arithmetic = units[unit.name]
    return {
        "MUL": unit.multiplier,
        "A_W": decode_table(arithmetic.a_format).size.bit_length() - 1,
        "W_W": decode_table(arithmetic.b_format).size.bit_length() - 1,
        "P_W": unit.product_bits,
        "ACC_W": arithmetic.accumulator_dtype.itemsize * 8,
        "SATURATE": int(getattr(arithmetic, "overflow", "wrap") == "saturate"),
    }


def array_parameters(unit: RtlUnit, rows: int, cols: int) -> dict[str, int | str]:
    """Verilog parameters of the array: those of its processing elements, ROWS and COLS."""
    return {"ROWS": rows, "COLS": cols, **pe_parameters(unit)}
