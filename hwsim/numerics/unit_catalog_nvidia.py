"""NVIDIA's matrix units: data only, one row of a table each. Sources are named once, at the top."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from hwsim.numerics.unit import (
    Evidence,
    FmaChainUnit,
    FusedUnit,
    IntegerUnit,
    MatrixUnit,
    PopcountUnit,
    ScaledFusedUnit,
)

H100: Final = "recording of one NVIDIA H100 80GB HBM3, CUDA 13.0, driver 580 (tests/data/README.md)"
MMA_SIM: Final = "MMA-Sim, arXiv 2511.10909, and its model, PyPI mmasim 2.1.1 (read 2026-11-23)"
PTX: Final = "NVIDIA PTX ISA, mma, wgmma and tcgen05: integer operands, .satfinite"
PTX_BITS: Final = "NVIDIA PTX ISA, mma and wgmma: .b1 operands, .xor.popc and .and.popc"

ONCE: Final = "clamped once an instruction: measured on Hopper"
WRAPS: Final = "that an overflowing sum wraps is assumed"
SHORT: Final = "the instruction of that shorter K; longer ones sum more at once"

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
    note: str = ""


FUSED: Final = (
    Fused("nvidia.volta.mma", 8, 23, -131, -19, ("f16",), half=True),
    Fused("nvidia.turing.mma", 16, 24, -132, -20, ("f16",), half=True),
    Fused("nvidia.turing.mma_k4", 8, 23, -131, -19, ("f16",), half=True, note="Volta's instruction on Turing"),
    Fused("nvidia.ampere.mma", 16, 24, -132, -20, ("f16",), half=True),
    Fused("nvidia.ampere.mma", 16, 24, -132, -20, ("bf16", "tf32")),
    Fused("nvidia.ada.mma", 16, 24, -132, -20, ("f16",), half=True),
    Fused("nvidia.ada.mma", 16, 24, -132, -20, ("bf16", "tf32")),
    Fused("nvidia.ada.mma", 16, 13, -132, -20, ("e4m3", "e5m2"), mixed=True, half=True, narrow=True),
    Fused("nvidia.hopper.mma", 32, 25, -133, -21, ("f16",), half=True, evidence="silicon"),
    Fused("nvidia.hopper.mma", 32, 25, -133, -21, ("bf16", "tf32"), evidence="silicon"),
    Fused("nvidia.hopper.mma_k8", 16, 25, -133, -21, ("f16",), half=True, evidence="silicon", note=SHORT),
    Fused("nvidia.hopper.mma_k8", 16, 25, -133, -21, ("bf16",), evidence="silicon", note=SHORT),
    Fused("nvidia.hopper.mma_k4", 16, 25, -133, -21, ("tf32",), evidence="silicon", note=SHORT),
    Fused("nvidia.hopper.wgmma", 32, 25, -133, -21, ("f16",), half=True, evidence="silicon"),
    Fused("nvidia.hopper.wgmma", 32, 25, -133, -21, ("bf16", "tf32"), evidence="silicon"),
    Fused("nvidia.hopper.wgmma", 32, 13, -133, -21, ("e4m3", "e5m2"), True, True, True, evidence="silicon"),
    Fused("nvidia.blackwell.mma", 32, 25, -133, -21, ("f16",), half=True),
    Fused("nvidia.blackwell.mma", 32, 25, -133, -21, ("bf16", "tf32")),
    Fused("nvidia.blackwell.mma_k8", 16, 25, -133, -21, ("f16",), half=True, note=SHORT),
    Fused("nvidia.blackwell.mma_k8", 16, 25, -133, -21, ("bf16",), note=SHORT),
    Fused("nvidia.blackwell.mma_k4", 16, 25, -133, -21, ("tf32",), note=SHORT),
    Fused("nvidia.blackwell.tcgen05", 32, 25, -133, -21, ("f16",), half=True),
    Fused("nvidia.blackwell.tcgen05", 32, 25, -133, -21, ("bf16", "tf32")),
    Fused("nvidia.blackwell.tcgen05", 32, 25, -133, -21, ("e4m3", "e5m2", "e3m2", "e2m3", "e2m1"), True, True),
    Fused("nvidia.rtx_blackwell.mma", 32, 25, -133, -21, ("f16",), half=True),
    Fused("nvidia.rtx_blackwell.mma", 32, 25, -133, -21, ("bf16", "tf32")),
    Fused("nvidia.rtx_blackwell.mma_k8", 16, 25, -133, -21, ("f16",), half=True, note=SHORT),
    Fused("nvidia.rtx_blackwell.mma_k8", 16, 25, -133, -21, ("bf16",), note=SHORT),
    Fused("nvidia.rtx_blackwell.mma_k4", 16, 25, -133, -21, ("tf32",), note=SHORT),
    Fused("nvidia.rtx_blackwell.mma", 32, 25, -133, -21, ("e4m3", "e5m2", "e3m2", "e2m3", "e2m1"), True, True),
    Fused("nvidia.rtx_blackwell.mma_k16", 16, 25, -133, -21, ("e4m3", "e5m2"), True, True, note=SHORT),
)

BLOCK_SCALED_PREFIXES: Final = ("nvidia.blackwell.tcgen05", "nvidia.rtx_blackwell.mma")
BLOCK_SCALED_FP4: Final = {"mxf4": ("e8m0", 32), "mxf4_block16": ("e8m0", 16), "nvf4": ("ue4m3", 16)}

FP64_PREFIXES: Final = tuple(f"nvidia.{arch}.mma" for arch in ("ampere", "ada", "hopper", "blackwell", "rtx_blackwell"))

EIGHT_BITS: Final = (("s8", "s8"), ("u8", "u8"), ("s8", "u8"), ("u8", "s8"))
FOUR_BITS: Final = (("s4", "s4"), ("u4", "u4"), ("s4", "u4"), ("u4", "s4"))
INTEGER: Final = (  # integer instructions: pairs of types, and K of one instruction
    ("nvidia.turing.mma", EIGHT_BITS, 16),
    ("nvidia.turing.mma", FOUR_BITS, 32),
    *((f"nvidia.{arch}.mma", EIGHT_BITS, 32) for arch in ("ampere", "ada", "hopper", "blackwell", "rtx_blackwell")),
    *((f"nvidia.{arch}.mma", FOUR_BITS, 64) for arch in ("ampere", "ada", "hopper")),
    ("nvidia.hopper.wgmma", EIGHT_BITS, 32),
    ("nvidia.blackwell.tcgen05", EIGHT_BITS, 32),
)
BITS: Final[dict[str, tuple[Literal["xor", "and"], ...]]] = {
    "nvidia.turing.mma": ("xor",),
    "nvidia.ampere.mma": ("xor", "and"),
    "nvidia.ada.mma": ("xor", "and"),
    "nvidia.hopper.mma": ("xor", "and"),
    "nvidia.hopper.wgmma": ("and",),
}
RECORDED_INTEGERS: Final = (
    *(f"nvidia.hopper.mma.{t}" for t in ("s8", "u8", "s8_u8", "u8_s8", "s8_sat", "u8_sat", "s8_u8_sat")),
    *(f"nvidia.hopper.mma.{t}" for t in ("s4", "u4", "s4_u4", "u4_s4", "s4_sat", "u4_sat")),
    *(f"nvidia.hopper.wgmma.{t}" for t in ("s8", "u8", "s8_u8", "u8_s8", "s8_sat")),
)


HALF_NOT_RECORDED: Final = {(32, "e5m2", "e4m3"), (16, "e5m2", "e5m2")}


def _types(a: str, b: str) -> str:
    return a if a == b else f"{a}_{b}"


def _pairs(types: tuple[str, ...], mixed: bool) -> list[tuple[str, str]]:
    return [(a, b) for a in types for b in types if mixed or a == b]


def _fused() -> Iterator[FusedUnit]:
    for row in FUSED:
        for a, b in _pairs(row.types, row.mixed):
            for half in (False, True)[: 1 + row.half]:
                name = f"{row.prefix}.{_types(a, b)}" + ("_f16acc" if half else "")
                yield FusedUnit(
                    name=name,
                    a_format=NVIDIA_FORMATS[a],
                    b_format=NVIDIA_FORMATS[b],
                    accumulator="fp16" if half else "fp32",
                    evidence=row.evidence,
                    source=H100 if row.evidence == "silicon" else MMA_SIM,
                    products=row.step_bytes // OPERAND_BYTES.get(a, 1),
                    fraction_bits=row.fraction_bits,
                    floor_exponent=row.floor_fp16 if half else row.floor_fp32,
                    rounding="rne_fp16" if half else "rz_e8m13" if row.narrow else "rz_fp32",
                    note=row.note,
                )


def _half_addends() -> Iterator[FusedUnit]:
    """Volta's instruction that reads an FP16 c and writes an FP32 d; Turing has it too."""
    for unit in _fused():
        if unit.name in ("nvidia.volta.mma.f16", "nvidia.turing.mma_k4.f16"):
            yield replace(unit, name=f"{unit.name}_f16c", addend="fp16")


def _hopper_fp8_mma() -> Iterator[FusedUnit]:
    """Hopper's `mma.sync` has no FP8 of its own: operands become FP16, two FP16 steps are chained, and c comes last."""
    for a, b in _pairs(("e4m3", "e5m2"), True):
        for k in (32, 16):
            recorded = k == 32 or a == b
            full = FusedUnit(
                name=f"nvidia.hopper.mma{'' if k == 32 else '_k16'}.{_types(a, b)}",
                a_format=NVIDIA_FORMATS[a],
                b_format=NVIDIA_FORMATS[b],
                accumulator="fp32",
                evidence="silicon" if recorded else "derived",
                source=H100 if recorded else f"nvidia.hopper.mma_k16.{a} with operands of two types",
                note="" if k == 32 else SHORT,
                products=k // 2,
                fraction_bits=25,
                floor_exponent=-133,
                instruction_products=k,
                operands_become="fp16",
                pairs_first=True,
                addend_apart=True,
            )
            yield full
            half = recorded and (k, a, b) not in HALF_NOT_RECORDED
            yield replace(
                full,
                name=f"{full.name}_f16acc",
                evidence="silicon" if half else "derived",
                source=H100 if half else "nvidia.hopper.mma.e4m3_f16acc with other operands",
                accumulator="fp16",
                rounding="rne_fp16",
                floor_exponent=-21,
                nan=None,
            )


def _promoted() -> Iterator[FusedUnit]:
    """FP8 as cuBLAS runs it without fast accumulation: a chain of `wgmma` every 128 of K, the chains added in FP32."""
    for a, b in _pairs(("e4m3", "e5m2"), True):
        recorded = a == b == "e4m3"
        yield FusedUnit(
            name=f"nvidia.hopper.wgmma.{_types(a, b)}_promoted",
            a_format=NVIDIA_FORMATS[a],
            b_format=NVIDIA_FORMATS[b],
            accumulator="fp32",
            evidence="silicon" if recorded else "derived",
            source=H100 if recorded else "nvidia.hopper.wgmma.e4m3_promoted with other operands",
            note="cuBLAS of CUDA 13.0 through PyTorch 2.11; other libraries may promote at other intervals",
            products=32,
            fraction_bits=13,
            floor_exponent=-133,
            rounding="rz_e8m13",
            instruction_products=128,
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


def _integers() -> Iterator[IntegerUnit]:
    for prefix, pairs, k in INTEGER:
        for a, b in pairs:
            for saturate in (False, True):
                name = f"{prefix}.{_types(a, b)}" + ("_sat" if saturate else "")
                recorded = name in RECORDED_INTEGERS
                yield IntegerUnit(
                    name=name,
                    a_format=NVIDIA_FORMATS[a],
                    b_format=NVIDIA_FORMATS[b],
                    accumulator="int32",
                    evidence="silicon" if recorded else "published",
                    source=H100 if recorded else PTX,
                    note=ONCE if saturate and not recorded else "",
                    overflow="saturate" if saturate else "wrap",
                    products=k,
                )


def _bits() -> Iterator[PopcountUnit]:
    for prefix, operations in BITS.items():
        recorded = prefix.startswith("nvidia.hopper.")
        for operation in operations:
            yield PopcountUnit(
                name=f"{prefix}.b1_{operation}",
                a_format="binary",
                b_format="binary",
                accumulator="int32",
                evidence="silicon" if recorded else "published",
                source=H100 if recorded else PTX_BITS,
                note="" if recorded else WRAPS,
                operation=operation,
            )


def _fp64() -> Iterator[FmaChainUnit]:
    for prefix in FP64_PREFIXES:
        yield FmaChainUnit(
            name=f"{prefix}.f64",
            a_format="fp64",
            b_format="fp64",
            accumulator="fp64",
            evidence="published",
            source=MMA_SIM,
        )


NVIDIA_UNITS: Final[tuple[MatrixUnit, ...]] = (
    *_fused(),
    *_half_addends(),
    *_hopper_fp8_mma(),
    *_promoted(),
    *_block_scaled(),
    *_integers(),
    *_bits(),
    *_fp64(),
)
