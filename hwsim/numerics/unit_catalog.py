"""The matrix units that hwsim knows: data only, one row or one entry each. Sources are named once, at the top."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from hwsim.numerics.unit import (
    Evidence,
    ExactUnit,
    FmaChainUnit,
    FusedUnit,
    IntegerUnit,
    MatrixUnit,
    ScaledFusedUnit,
    UnitCatalog,
)

H100: Final = "recording of one NVIDIA H100 80GB HBM3, CUDA 13.0, driver 580 (tests/data/README.md)"
MMA_SIM: Final = "MMA-Sim, arXiv 2511.10909, and its model, PyPI mmasim 2.1.1 (read 2026-11-23)"
PTX: Final = "NVIDIA PTX ISA, mma and wgmma: integer operands, .satfinite"
ARRAY_WS: Final = "rtl/array_ws.v: MUL, SATURATE"
CUBE: Final = "Ascend C, Mmad: int4 and int8 operands, int32 result that saturates"
IEEE: Final = "IEEE 754-2019, 5.4.1 fusedMultiplyAdd"

ONCE: Final = "clamped once an instruction: measured on Hopper"
CLAMP: Final = "the step at which a sum is clamped is not public; after each product is assumed"

NVIDIA_FORMATS: Final = {
    "f16": "fp16",
    "bf16": "bf16",
    "tf32": "tf32",
    "e4m3": "fp8_e4m3fn",
    "e5m2": "fp8_e5m2",
    "e3m2": "fp6_e3m2",
    "e2m3": "fp6_e2m3",
    "e2m1": "fp4_e2m1",
    "s8": "int8",
    "u8": "uint8",
    "s4": "int4",
    "u4": "uint4",
}
OPERAND_BYTES: Final = {"f16": 2, "bf16": 2, "tf32": 4}  # of one element in a register; FP8, FP6 and FP4 take one


class Fused(NamedTuple):
    """One row of MMA-Sim's table: an instruction family, what it sums at once, and how exactly."""

    prefix: str
    step_bytes: int
    fraction_bits: int
    floor_fp32: int
    floor_fp16: int
    types: tuple[str, ...]
    mixed: bool = False  # every pair of the types, not only equal ones
    half: bool = False  # FP16 accumulators as well
    narrow: bool = False  # results of 13 mantissa bits
    evidence: Evidence = "published"


FUSED: Final = (
    Fused("nvidia.volta.mma", 8, 23, -131, -19, ("f16",), half=True),
    Fused("nvidia.turing.mma", 16, 24, -132, -20, ("f16",), half=True),
    Fused("nvidia.ampere.mma", 16, 24, -132, -20, ("f16",), half=True),
    Fused("nvidia.ampere.mma", 16, 24, -132, -20, ("bf16", "tf32")),
    Fused("nvidia.ada.mma", 16, 24, -132, -20, ("f16",), half=True),
    Fused("nvidia.ada.mma", 16, 24, -132, -20, ("bf16", "tf32")),
    Fused("nvidia.ada.mma", 16, 13, -132, -20, ("e4m3", "e5m2"), mixed=True, half=True, narrow=True),
    Fused("nvidia.hopper.mma", 32, 25, -133, -21, ("f16",), half=True, evidence="silicon"),
    Fused("nvidia.hopper.mma", 32, 25, -133, -21, ("bf16", "tf32"), evidence="silicon"),
    Fused("nvidia.hopper.wgmma", 32, 25, -133, -21, ("f16",), half=True, evidence="silicon"),
    Fused("nvidia.hopper.wgmma", 32, 25, -133, -21, ("bf16", "tf32"), evidence="silicon"),
    Fused("nvidia.hopper.wgmma", 32, 13, -133, -21, ("e4m3", "e5m2"), True, True, True, evidence="silicon"),
    Fused("nvidia.blackwell.mma", 32, 25, -133, -21, ("f16",), half=True),
    Fused("nvidia.blackwell.mma", 32, 25, -133, -21, ("bf16", "tf32")),
    Fused("nvidia.blackwell.tcgen05", 32, 25, -133, -21, ("f16",), half=True),
    Fused("nvidia.blackwell.tcgen05", 32, 25, -133, -21, ("bf16", "tf32")),
    Fused("nvidia.blackwell.tcgen05", 32, 25, -133, -21, ("e4m3", "e5m2", "e3m2", "e2m3", "e2m1"), True, True),
    Fused("nvidia.rtx_blackwell.mma", 32, 25, -133, -21, ("f16",), half=True),
    Fused("nvidia.rtx_blackwell.mma", 32, 25, -133, -21, ("bf16", "tf32")),
    Fused("nvidia.rtx_blackwell.mma", 32, 25, -133, -21, ("e4m3", "e5m2", "e3m2", "e2m3", "e2m1"), True, True),
)
NOT_RECORDED: Final = {  # of the families labelled silicon, what the recording does not hold
    "nvidia.hopper.wgmma.f16_f16acc",
    "nvidia.hopper.wgmma.e5m2_e4m3",
    *(f"nvidia.hopper.wgmma.{t}_f16acc" for t in ("e4m3", "e5m2", "e4m3_e5m2", "e5m2_e4m3")),
}

BLOCK_SCALED_PREFIXES: Final = ("nvidia.blackwell.tcgen05", "nvidia.rtx_blackwell.mma")
BLOCK_SCALED_FP4: Final = {"mxf4": ("e8m0", 32), "mxf4_block16": ("e8m0", 16), "nvf4": ("ue4m3", 16)}

INTEGER: Final = {  # integer instructions by their types: K of one instruction
    "nvidia.turing.mma": {"s8": 16, "u8": 16, "s4": 32, "u4": 32},
    "nvidia.ampere.mma": {"s8": 32, "u8": 32, "s4": 64, "u4": 64},
    "nvidia.ada.mma": {"s8": 32, "u8": 32, "s4": 64, "u4": 64},
    "nvidia.hopper.mma": {"s8": 32, "u8": 32, "s4": 64, "u4": 64},
    "nvidia.hopper.wgmma": {"s8": 32, "u8": 32},
}
RECORDED_INTEGERS: Final = (
    *(f"nvidia.hopper.mma.{t}" for t in ("s8", "u8", "s4", "u4", "s8_sat", "s4_sat")),
    *(f"nvidia.hopper.wgmma.{t}" for t in ("s8", "u8", "s8_sat")),
)


def _types(a: str, b: str) -> str:
    return a if a == b else f"{a}_{b}"


def _pairs(types: tuple[str, ...], mixed: bool) -> list[tuple[str, str]]:
    return [(a, b) for a in types for b in types if mixed or a == b]


def _fused() -> Iterator[FusedUnit]:
    for row in FUSED:
        for a, b in _pairs(row.types, row.mixed):
            for half in (False, True)[: 1 + row.half]:
                name = f"{row.prefix}.{_types(a, b)}" + ("_f16acc" if half else "")
                evidence: Evidence = "published" if name in NOT_RECORDED else row.evidence
                yield FusedUnit(
                    name=name,
                    a_format=NVIDIA_FORMATS[a],
                    b_format=NVIDIA_FORMATS[b],
                    accumulator="fp16" if half else "fp32",
                    evidence=evidence,
                    source=H100 if evidence == "silicon" else MMA_SIM,
                    products=row.step_bytes // OPERAND_BYTES.get(a, 1),
                    fraction_bits=row.fraction_bits,
                    floor_exponent=row.floor_fp16 if half else row.floor_fp32,
                    rounding="rne_fp16" if half else "rz_e8m13" if row.narrow else "rz_fp32",
                )


def _hopper_fp8_mma() -> Iterator[FusedUnit]:
    """Hopper's `mma.sync` has no FP8 of its own: operands become FP16, two FP16 steps are chained, and c comes last."""
    for a, b in _pairs(("e4m3", "e5m2"), True):
        recorded = (a, b) != ("e5m2", "e4m3")
        yield FusedUnit(
            name=f"nvidia.hopper.mma.{_types(a, b)}",
            a_format=NVIDIA_FORMATS[a],
            b_format=NVIDIA_FORMATS[b],
            accumulator="fp32",
            evidence="silicon" if recorded else "derived",
            source=H100 if recorded else "nvidia.hopper.mma.e4m3_e5m2 with operands exchanged",
            products=16,
            fraction_bits=25,
            floor_exponent=-133,
            instruction_products=32,
            operands_become="fp16",
            pairs_first=True,
            addend_apart=True,
        )


def _block_scaled() -> Iterator[ScaledFusedUnit]:
    for prefix in BLOCK_SCALED_PREFIXES:
        mx = ScaledFusedUnit(
            name=f"{prefix}.mx",
            a_format="",
            b_format="",
            accumulator="fp32",
            evidence="published",
            source=MMA_SIM,
            products=32,
            fraction_bits=25,
            floor_exponent=-133,
            scale_format="e8m0",
            block_size=32,
        )
        for a, b in _pairs(("e4m3", "e5m2", "e3m2", "e2m3", "e2m1"), True):
            yield replace(mx, name=f"{mx.name}_{_types(a, b)}", a_format=NVIDIA_FORMATS[a], b_format=NVIDIA_FORMATS[b])
        for types, (scale_format, block_size) in BLOCK_SCALED_FP4.items():
            yield replace(
                mx,
                name=f"{prefix}.{types}",
                a_format="fp4_e2m1",
                b_format="fp4_e2m1",
                products=64,
                instruction_products=64,
                fraction_bits=35,
                floor_exponent=-139,
                scale_format=scale_format,
                block_size=block_size,
                group=16,
            )


def _nvidia_integers() -> Iterator[IntegerUnit]:
    for prefix, types in INTEGER.items():
        for type_, k in types.items():
            for saturate in (False, True):
                name = f"{prefix}.{type_}" + ("_sat" if saturate else "")
                recorded = name in RECORDED_INTEGERS
                yield IntegerUnit(
                    name=name,
                    a_format=NVIDIA_FORMATS[type_],
                    b_format=NVIDIA_FORMATS[type_],
                    accumulator="int32",
                    evidence="silicon" if recorded else "published",
                    source=H100 if recorded else PTX,
                    note=ONCE if saturate and not recorded else "",
                    overflow="saturate" if saturate else "wrap",
                    products=k,
                )


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
    _integer("ascend.cube.int4", "int4", "int4", "published", CUBE, saturate=True, note=CLAMP),
    _integer("ascend.cube.int8", "int8", "int8", "published", CUBE, saturate=True, note=CLAMP),
    *(
        FmaChainUnit(
            name=f"generic.{name}.fma_chain",
            a_format=name,
            b_format=name,
            accumulator="fp32",
            evidence="published",
            source=IEEE,
        )
        for name in ("fp32", "tf32", "bf16", "fp16")
    ),
    *(
        ExactUnit(
            name=f"generic.{name}.exact",
            a_format=name,
            b_format=name,
            accumulator="fp32",
            evidence="published",
            source="Kulisch, Computer Arithmetic and Validity (2013): the exact dot product, rounded once",
        )
        for name in ("fp32", "tf32", "bf16", "fp16", "fp8_e4m3fn", "fp8_e5m2", "fp4_e2m1")
    ),
)

units: Final = UnitCatalog([*_fused(), *_hopper_fp8_mma(), *_block_scaled(), *_nvidia_integers(), *PLAIN])
