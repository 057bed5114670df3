"""``hwsim units``: the catalog of matrix units, and one unit in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hwsim.cli.common import emit_json, facts, json_option, table

if TYPE_CHECKING:
    from hwsim.numerics import MatrixUnit

ARITHMETIC = {
    "IntegerUnit": "exact integer products, added to an INT32 accumulator in the order of k",
    "FusedUnit": "truncated fused dot product: aligned to the largest exponent, cut, added exactly, rounded once",
    "ScaledFusedUnit": "truncated fused dot product of block-scaled operands",
    "TwoStageUnit": "products cut against the largest of them, then their sum floored against c, rounded to nearest",
    "FlushedTreeUnit": "small trees of FP32 additions, chained; subnormal operands and results become zero",
    "FmaChainUnit": "one fused multiply-add for each k in turn",
    "ExactUnit": "exact sums of c and products, each rounded once",
    "KulischUnit": "exact products in a fixed-point register, read once",
    "PopcountUnit": "one-bit operands, combined and counted into an INT32 accumulator",
}
COMMON = ("name", "a_format", "b_format", "accumulator", "evidence", "source", "note")


@click.command(
    "units",
    short_help="Matrix units.",
    epilog="Example: hwsim units nvidia.hopper.wgmma.e4m3",
)
@click.argument("name", metavar="[UNIT]", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List every matrix unit, or show one: operands, accumulator, how its sums are formed, evidence and source."""
    from hwsim.numerics import units

    if name is None:
        if as_json:
            emit_json("hwsim.units/1", {"units": [describe(units[known]) for known in units]})
            return
        rows = [(u.name, u.a_format, u.b_format, u.accumulator, u.evidence) for u in (units[known] for known in units)]
        click.echo(table(("unit", "a", "b", "accumulator", "evidence"), rows))
        return
    unit = units[name]
    if as_json:
        emit_json("hwsim.unit/1", describe(unit))
        return
    numbers = [(key.replace("_", " "), str(value)) for key, value in _numbers(unit).items() if value is not None]
    if unit.nan is not None:
        numbers += [("nan", f"0x{unit.nan:X}")]
    click.echo(
        facts(
            (
                (unit.name, f"{unit.a_format} x {unit.b_format} -> {unit.accumulator}"),
                ("arithmetic", ARITHMETIC.get(type(unit).__name__, type(unit).__name__)),
                *numbers,
                ("evidence", unit.evidence),
                ("source", unit.source),
                ("note", unit.note),
            )
        )
    )


def describe(unit: MatrixUnit) -> dict[str, Any]:
    """A unit as plain values."""
    common = {key: getattr(unit, key) for key in COMMON}
    return {**common, "nan": unit.nan, "arithmetic": type(unit).__name__, "numbers": _numbers(unit)}


def _numbers(unit: MatrixUnit) -> dict[str, Any]:
    """The fields that only this kind of unit has."""
    from dataclasses import fields

    return {field.name: getattr(unit, field.name) for field in fields(unit) if field.name not in (*COMMON, "nan")}
