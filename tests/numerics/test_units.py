"""The catalog of matrix units: complete, consistent, and clear about what it does not have."""

from __future__ import annotations

import dataclasses
import re

import pytest

from hwsim.errors import UnitError
from hwsim.numerics.catalog import formats
from hwsim.numerics.format import FloatLayout, Format
from hwsim.numerics.unit import FusedUnit, IntegerUnit, MatrixUnit, ScaledFusedUnit, UnitCatalog
from hwsim.numerics.unit_catalog import units


@pytest.mark.parametrize("name", units)
def test_entry_names_existing_formats_and_its_evidence(name: str) -> None:
    unit = units[name]
    names = [unit.a_format, unit.b_format] + ([unit.scale_format] if isinstance(unit, ScaledFusedUnit) else [])
    for fmt in names:
        entry = formats[fmt]
        assert isinstance(entry, Format)
        assert entry.is_integer if isinstance(unit, IntegerUnit) else isinstance(entry.layout, FloatLayout)
    assert unit.name == name
    assert re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+){2,3}", name)
    assert unit.evidence in ("silicon", "rtl", "published", "derived", "assumed")
    assert unit.source
    assert name.endswith("_f16acc") == (unit.accumulator == "fp16")
    if isinstance(unit, IntegerUnit):
        assert unit.overflow == ("saturate" if name.endswith("_sat") or name.startswith("ascend.") else "wrap")


@pytest.mark.parametrize(
    "name",
    [
        "nvidia.hopper.wgmma.e4m3_e5m2",
        "nvidia.hopper.mma.f16_f16acc",
        "nvidia.hopper.mma.s8_sat",
        "nvidia.hopper.mma.s4",
        "nvidia.hopper.mma.e4m3",
        "nvidia.blackwell.tcgen05.nvf4",
        "ascend.cube.int4",
        "ascend.cube.int8",
        "hwsim.rtl.int4",
        "hwsim.rtl.int4_sat",
        "hwsim.rtl.int4_sm",
        "hwsim.rtl.int8",
    ],
)
def test_promised_names_exist(name: str) -> None:
    assert name in units


# The table of facts, row by row: products at once, fraction bits, floor exponents.
@pytest.mark.parametrize(
    ("name", "products", "fraction_bits", "floor"),
    [
        ("nvidia.volta.mma.f16", 4, 23, -131),
        ("nvidia.volta.mma.f16_f16acc", 4, 23, -19),
        ("nvidia.turing.mma.f16", 8, 24, -132),
        ("nvidia.ampere.mma.bf16", 8, 24, -132),
        ("nvidia.ampere.mma.tf32", 4, 24, -132),
        ("nvidia.ada.mma.e4m3", 16, 13, -132),
        ("nvidia.ada.mma.e4m3_f16acc", 16, 13, -20),
        ("nvidia.hopper.wgmma.f16", 16, 25, -133),
        ("nvidia.hopper.wgmma.tf32", 8, 25, -133),
        ("nvidia.hopper.wgmma.e5m2", 32, 13, -133),
        ("nvidia.hopper.mma.f16_f16acc", 16, 25, -21),
        ("nvidia.blackwell.tcgen05.e2m1_e4m3", 32, 25, -133),
        ("nvidia.blackwell.tcgen05.mx_e3m2", 32, 25, -133),
        ("nvidia.rtx_blackwell.mma.nvf4", 64, 35, -139),
    ],
)
def test_published_constants(name: str, products: int, fraction_bits: int, floor: int) -> None:
    unit = units[name]
    assert isinstance(unit, FusedUnit)
    assert (unit.products, unit.fraction_bits, unit.floor_exponent) == (products, fraction_bits, floor)


def test_unknown_unit_names_the_nearest() -> None:
    with pytest.raises(
        UnitError, match=r"^unknown matrix unit 'hwsim\.rtl\.int5' \(did you mean 'hwsim\.rtl\.int[48]'\?\)$"
    ):
        units["hwsim.rtl.int5"]
    assert "hwsim.rtl.int5" not in units
    assert units.get("hwsim.rtl.int4") is units["hwsim.rtl.int4"]


def test_a_name_is_listed_once() -> None:
    with pytest.raises(UnitError, match="listed twice"):
        UnitCatalog([units["hwsim.rtl.int4"], units["hwsim.rtl.int4"]])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("hwsim.rtl.int4", {"overflow": "clip"}, "overflow: expected wrap or saturate, found 'clip'"),
        ("hwsim.rtl.int4", {"accumulator": "fp32"}, "accumulator: expected int32, found 'fp32'"),
        ("hwsim.rtl.int4", {"products": 0}, "products: expected 1 or more, found 0"),
        ("nvidia.hopper.wgmma.f16", {"products": 6}, "products: expected a multiple of 4, found 6"),
        ("nvidia.hopper.wgmma.f16", {"fraction_bits": 60}, "fraction_bits: expected 1..35, found 60"),
        ("nvidia.hopper.wgmma.f16", {"instruction_products": 24}, "instruction_products: expected a multiple of 16"),
        ("nvidia.hopper.wgmma.f16", {"accumulator": "fp16"}, "rounding: expected that of the accumulator"),
        ("nvidia.blackwell.tcgen05.nvf4", {"group": 7}, "group: expected a divisor of 64, found 7"),
    ],
)
def test_an_impossible_unit_is_refused(name: str, change: dict[str, object], message: str) -> None:
    unit: MatrixUnit = units[name]
    with pytest.raises(UnitError, match=re.escape(f"unit '{name}': {message}")):
        dataclasses.replace(unit, **change)  # type: ignore[arg-type]
