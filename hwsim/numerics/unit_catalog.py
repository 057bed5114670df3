"""The matrix units that hwsim knows: data only, one row or one entry each. NVIDIA's and AMD's have their own files."""

from __future__ import annotations

from typing import Final

from hwsim.numerics.catalog import formats
from hwsim.numerics.format import FloatLayout, Format
from hwsim.numerics.unit import (
    Evidence,
    ExactUnit,
    FmaChainUnit,
    IntegerUnit,
    KulischUnit,
    MatrixUnit,
    PopcountUnit,
    ScaledFusedUnit,
    UnitCatalog,
)
from hwsim.numerics.unit_catalog_amd import AMD_UNITS
from hwsim.numerics.unit_catalog_nvidia import NVIDIA_UNITS

ARRAY_WS: Final = "rtl/array_ws.v: MUL, SATURATE"
CUBE: Final = "Ascend C, Mmad: int4 and int8 operands, int32 result that saturates"
CUBE_FP16: Final = "Ascend C, Mmad: half operands, float result; the Cube multiplies 16 x 16 by 16 x 16"
ARRAY_SCALED: Final = "rtl/array_ws_scaled.v: exact sums within a block, scale_add below each column"
IEEE: Final = "IEEE 754-2019, 5.4.1 fusedMultiplyAdd"

CLAMP: Final = "the step at which a sum is clamped is not public; after each product is assumed"

EXACT_FORMATS: Final = (
    "fp32",
    "tf32",
    "bf16",
    "fp16",
    "fp8_e4m3fn",
    "fp8_e5m2",
    "fp6_e2m3",
    "fp6_e3m2",
    "fp4_e2m1",
)
GUARD_BITS: Final = 30  # a thousand million products of the largest numbers fit


def _exponents(fmt: str) -> tuple[int, int]:
    """Exponents of the lowest bit and of the largest number of a format."""
    entry = formats[fmt]
    assert isinstance(entry, Format)
    assert isinstance(entry.layout, FloatLayout)
    return 1 - entry.layout.bias - entry.layout.mantissa_bits, entry.max_exponent


def _integer(
    name: str, a: str, b: str, evidence: Evidence, source: str, *, saturate: bool = False, note: str = ""
) -> IntegerUnit:
    return IntegerUnit(
        name=name,
        a_format=a,
        b_format=b,
        accumulator="int32",
        evidence=evidence,
        source=source,
        note=note,
        overflow="saturate" if saturate else "wrap",
    )


PLAIN: Final[tuple[MatrixUnit, ...]] = (
    _integer("hwsim.rtl.int4", "int4", "int4", "rtl", ARRAY_WS),
    _integer("hwsim.rtl.int4_sat", "int4", "int4", "rtl", ARRAY_WS, saturate=True),
    _integer("hwsim.rtl.int4_sm", "int4_sm", "int4_sm", "rtl", ARRAY_WS),
    _integer("hwsim.rtl.int4_sm_sat", "int4_sm", "int4_sm", "rtl", ARRAY_WS, saturate=True),
    _integer("hwsim.rtl.int8", "int8", "int8", "derived", "hwsim.rtl.int4 with wider operands"),
    _integer("hwsim.rtl.uint4_int4", "uint4", "int4", "derived", "hwsim.rtl.int4 with unsigned activations"),
    _integer("hwsim.rtl.uint8_int4", "uint8", "int4", "derived", "hwsim.rtl.int4 with wider, unsigned activations"),
    _integer("hwsim.rtl.int8_int4", "int8", "int4", "derived", "hwsim.rtl.int4 with wider activations"),
    _integer("hwsim.rtl.int8_ternary", "int8", "ternary", "derived", "hwsim.rtl.int4 with other operands"),
    *(
        ScaledFusedUnit(
            name=f"hwsim.rtl.{name}",
            a_format="fp4_e2m1",
            b_format="fp4_e2m1",
            accumulator="fp32",
            evidence="rtl",
            source=ARRAY_SCALED,
            products=block,
            fraction_bits=25,
            floor_exponent=-133,
            scale_format=scale,
            block_size=block,
            group=block,
        )
        for name, scale, block in (("nvfp4", "ue4m3", 16), ("mxfp4", "e8m0", 32))
    ),
    _integer("ascend.cube.int4", "int4", "int4", "published", CUBE, saturate=True, note=CLAMP),
    _integer("ascend.cube.int8", "int8", "int8", "published", CUBE, saturate=True, note=CLAMP),
    ExactUnit(
        name="ascend.cube.f16",
        a_format="fp16",
        b_format="fp16",
        accumulator="fp32",
        evidence="assumed",
        source=CUBE_FP16,
        note="order and rounding of the sums are not public: 16 products, exact, rounded once, are assumed",
        products=16,
    ),
    PopcountUnit(
        name="generic.binary.xnor",
        a_format="binary",
        b_format="binary",
        accumulator="int32",
        evidence="published",
        source="Rastegari et al., XNOR-Net, arXiv 1603.05279, 3.2",
        operation="xnor",
    ),
    *(
        FmaChainUnit(
            name=f"generic.{name}.fma_chain",
            a_format=name,
            b_format=name,
            accumulator="fp32",
            evidence="published",
            source=IEEE,
        )
        for name in EXACT_FORMATS
    ),
    *(
        ExactUnit(
            name=f"generic.{name}.exact",
            a_format=name,
            b_format=name,
            accumulator="fp32",
            evidence="published",
            source="the exact sum, rounded once: IEEE 754-2019, 9.4 (sum of products), without its freedom",
        )
        for name in EXACT_FORMATS
    ),
    *(
        KulischUnit(
            name=f"generic.{name}.kulisch",
            a_format=name,
            b_format=name,
            accumulator="fp32",
            evidence="published",
            source="Kulisch, Computer Arithmetic and Validity (2013), 8: the complete register",
            note=f"{GUARD_BITS} guard bits above the largest product",
            lowest_exponent=2 * _exponents(name)[0],
            register_bits=2 * (_exponents(name)[1] + 1 - _exponents(name)[0]) + GUARD_BITS + 1,
        )
        for name in EXACT_FORMATS
    ),
)

units: Final = UnitCatalog([*NVIDIA_UNITS, *AMD_UNITS, *PLAIN])
