"""The catalog of matrix units: complete, consistent, and clear about what it does not have."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from hwsim.errors import UnitError
from hwsim.numerics.catalog import formats
from hwsim.numerics.format import FloatLayout, Format, IntegerLayout
from hwsim.numerics.unit import (
    ExactUnit,
    FlushedTreeUnit,
    FusedUnit,
    IntegerUnit,
    MatrixUnit,
    ScaledFusedUnit,
    TwoStageUnit,
    UnitCatalog,
)
from hwsim.numerics.unit_catalog import units


@pytest.mark.parametrize("name", units)
def test_entry_names_existing_formats_and_its_evidence(name: str) -> None:
    unit = units[name]
    names = [unit.a_format, unit.b_format] + ([unit.scale_format] if isinstance(unit, ScaledFusedUnit) else [])
    for fmt in names:
        if fmt == "fp64":  # the one operand that is no format of the catalog
            assert unit.accumulator == "fp64"
            continue
        entry = formats[fmt]
        assert isinstance(entry, Format)
        assert isinstance(entry.layout, IntegerLayout if unit.accumulator == "int32" else FloatLayout)
    assert unit.name == name
    assert re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+){2,3}", name)
    assert unit.evidence in ("silicon", "rtl", "published", "derived", "assumed")
    assert unit.source
    assert name.endswith("_f16acc") == (unit.accumulator == "fp16")
    if unit.accumulator == "int32":
        assert unit.nan is None
    else:
        assert unit.nan is not None
        assert np.isnan(np.array(unit.nan, f"u{unit.accumulator_dtype.itemsize}").view(unit.accumulator_dtype))
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
        "nvidia.turing.mma.b1_xor",
        "nvidia.ampere.mma.s8_u8",
        "nvidia.blackwell.tcgen05.s8_sat",
        "nvidia.blackwell.tcgen05.e3m2_e2m1_f16acc",
        "nvidia.blackwell.tcgen05.mxf4",
        "nvidia.hopper.mma.f64",
        "amd.cdna1.mfma.f16",
        "amd.cdna2.mfma.bf16_1k",
        "amd.cdna3.mfma.xf32",
        "amd.cdna3.mfma.fp8_bf8",
        "amd.cdna3.mfma.i8",
        "ascend.cube.f16",
        "generic.fp32.fma_chain",
        "generic.fp16.exact",
        "generic.fp8_e4m3fn.kulisch",
        "generic.binary.xnor",
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


@pytest.mark.parametrize(
    ("name", "kind", "numbers"),
    [
        ("amd.cdna1.mfma.f16", ExactUnit, {"products": 4}),
        ("amd.cdna1.mfma.bf16", ExactUnit, {"products": 2}),
        ("amd.cdna2.mfma.f16", FlushedTreeUnit, {"products": 4}),
        ("amd.cdna2.mfma.bf16", FlushedTreeUnit, {"products": 2}),
        ("amd.cdna3.mfma.bf16", TwoStageUnit, {"products": 8, "fraction_bits": 24, "interleaved": False}),
        ("amd.cdna3.mfma.xf32", TwoStageUnit, {"products": 4, "sum_bits": 31, "interleaved": False}),
        ("amd.cdna3.mfma.bf8", TwoStageUnit, {"products": 16, "fraction_bits": 24, "interleaved": True}),
    ],
)
def test_published_constants_of_amd(name: str, kind: type[MatrixUnit], numbers: dict[str, object]) -> None:
    unit = units[name]
    assert type(unit) is kind
    assert {field: getattr(unit, field) for field in numbers} == numbers


def test_what_is_not_public_says_so() -> None:
    assert units["ascend.cube.f16"].evidence == "assumed"
    assert "not public" in units["ascend.cube.f16"].note
    for name in ("ascend.cube.int8", "nvidia.turing.mma.s8_sat", "amd.cdna3.mfma.i8"):
        assert units[name].note, name


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
        ("amd.cdna3.mfma.f16", {"products": 3}, "products: expected an even number, found 3"),
        ("amd.cdna3.mfma.f16", {"fraction_bits": 30}, "fraction_bits: expected 1..24, found 30"),
        ("amd.cdna2.mfma.f16", {"products": 8}, "products: expected 2 or 4, found 8"),
        ("amd.cdna2.mfma.f16", {"instruction_products": 6}, "instruction_products: expected a multiple of 4, found 6"),
        ("amd.cdna1.mfma.f16", {"products": -1}, "products: expected 0 or more, found -1"),
        ("generic.fp32.fma_chain", {"a_format": "fp64"}, "a_format, b_format: expected fp64 with fp64 only"),
        ("generic.fp16.kulisch", {"register_bits": 4}, "register_bits: expected 8..390, found 4"),
        ("generic.binary.xnor", {"operation": "or"}, "operation: expected xor, and or xnor, found 'or'"),
        ("generic.binary.xnor", {"a_format": "int4"}, "formats: expected binary, found 'int4'"),
    ],
)
def test_an_impossible_unit_is_refused(name: str, change: dict[str, object], message: str) -> None:
    unit: MatrixUnit = units[name]
    with pytest.raises(UnitError, match=re.escape(f"unit '{name}': {message}")):
        dataclasses.replace(unit, **change)  # type: ignore[arg-type]
