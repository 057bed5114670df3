"""Which Verilog realises which matrix unit: pure data. Widths follow from the multipliers' formats.

To prove another unit on the array: add its multiplier to ``hwsim.verify.multipliers`` (``python -m hwsim.verify.emit``
writes its Verilog) and a line to ``RTL_UNITS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.errors import DataError, UnitError, unknown
from hwsim.verify.multipliers import MULTIPLIERS, fixed_point

if TYPE_CHECKING:
    from hwsim.numerics.unit import ScaledFusedUnit


@dataclass(frozen=True)
class RtlUnit:
    """How a matrix unit is built from rtl/.

    Attributes:
        name: the unit's name; where ``hwsim.numerics.units`` has it, ``hwsim.mma`` is the golden model, else the golden
            is the sum of the multiplier's exact products, in units of its ``lsb_exponent``, kept to ``acc_bits``.
        multiplier: value of the parameter MUL: an entry of ``hwsim.verify.multipliers``.
        saturate: sums stop at the ends of the accumulator; else they wrap.
        acc_bits: width of a sum (ACC_W).
        pe, array, harness: names of the top modules.
        scaled: the unit takes block scales: ``array`` is ``array_ws_scaled``, its rows are one block, sums are FP32.
    """

    name: str
    multiplier: str
    saturate: bool = False
    acc_bits: int = 32
    pe: str = "pe_ws"
    array: str = "array_ws"
    harness: str = "tb_array_ws"
    scaled: bool = False

    @property
    def block(self) -> int | None:
        """Rows that the array must have; None: any."""
        return scaled_unit(self.name).block_size if self.scaled else None


RTL_UNITS: Mapping[str, RtlUnit] = {
    unit.name: unit
    for unit in (
        RtlUnit("hwsim.rtl.int4", "int4"),
        RtlUnit("hwsim.rtl.int4_sat", "int4", saturate=True),
        RtlUnit("hwsim.rtl.int4_sm", "int4_sm"),
        RtlUnit("hwsim.rtl.int4_sm_sat", "int4_sm", saturate=True),
        RtlUnit("hwsim.rtl.uint4", "uint4"),
        RtlUnit("hwsim.rtl.uint4_int4", "uint4_int4"),
        RtlUnit("hwsim.rtl.int8", "int8"),
        RtlUnit("hwsim.rtl.int8_int4", "int8_int4"),
        RtlUnit("hwsim.rtl.uint8_int4", "uint8_int4"),
        RtlUnit("hwsim.rtl.int8_ternary", "int8_ternary"),
        RtlUnit("hwsim.rtl.int2", "int2"),
        RtlUnit("hwsim.rtl.ternary", "ternary"),
        RtlUnit("hwsim.rtl.binary", "binary"),
        RtlUnit("hwsim.rtl.e2m1", "e2m1"),
        RtlUnit("hwsim.rtl.e4m3", "e4m3", acc_bits=48),
        RtlUnit("hwsim.rtl.nvfp4", "e2m1", array="array_ws_scaled", scaled=True),
        RtlUnit("hwsim.rtl.mxfp4", "e2m1", array="array_ws_scaled", scaled=True),
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
    """Verilog parameters of the processing element; operand and product widths come from the formats."""
    multiplier = MULTIPLIERS[unit.multiplier]
    return {
        "MUL": unit.multiplier,
        "A_W": multiplier.a_bits,
        "W_W": multiplier.b_bits,
        "P_W": multiplier.product_bits,
        "ACC_W": unit.acc_bits,
        "SATURATE": int(unit.saturate),
    }


def array_parameters(unit: RtlUnit, rows: int, cols: int) -> dict[str, int | str]:
    """Verilog parameters of the array: ROWS, COLS, those of its processing elements and of its scales.

    Raises:
        DataError: a unit with block scales, and rows that are not one block.
    """
    shape = {"ROWS": rows, "COLS": cols}
    if not unit.scaled:
        return {**shape, **pe_parameters(unit)}
    if rows != unit.block:
        raise DataError(f"an array of {unit.name} has {unit.block} rows, one block; found {rows}")
    own = pe_parameters(unit)
    return {**shape, **{name: own[name] for name in ("MUL", "A_W", "W_W", "P_W")}, **scale_parameters(unit.name)}


def scaled_unit(name: str) -> ScaledFusedUnit:
    """The golden unit of an array with block scales."""
    from hwsim.numerics import units
    from hwsim.numerics.unit import ScaledFusedUnit

    found = units[name]
    assert isinstance(found, ScaledFusedUnit)
    return found


def scale_parameters(name: str) -> dict[str, int | str]:
    """Parameters of ``scale_add`` for a unit with block scales, from its entry and its scales' format."""
    from hwsim.numerics import formats
    from hwsim.numerics.format import FloatLayout, Format

    unit = scaled_unit(name)
    scale = formats[unit.scale_format]
    assert isinstance(scale, Format)
    assert isinstance(scale.layout, FloatLayout)
    return {
        "LSB": -fixed_point(unit.a_format)[1] - fixed_point(unit.b_format)[1],
        "F": unit.fraction_bits,
        "FLOOR": unit.floor_exponent,
        "SE": scale.layout.exponent_bits,
        "SM": scale.layout.mantissa_bits,
    }
