"""AMD's matrix units: data only. Sources are named once, at the top."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hwsim.numerics.unit import ExactUnit, FlushedTreeUnit, FmaChainUnit, IntegerUnit, MatrixUnit, TwoStageUnit

MMA_SIM: Final = "MMA-Sim, arXiv 2511.10909, and its model, PyPI mmasim 2.1.1 (read 2026-11-23)"
ISA: Final = "AMD CDNA1, CDNA2 and CDNA3 Instruction Set Architecture, V_MFMA_I32_*I8"

QUIET: Final = "the bits of a NaN are assumed"
WRAPS: Final = "that an overflowing sum wraps is assumed"
SHORT: Final = "the instructions with K = 4; longer ones sum more at once"
STAYS: Final = "that an infinite or NaN c stays so beside products above 2**24 is assumed: MMA-Sim drops it"
ZEROS: Final = "instructions of another K differ in the sign of a zero at most; " + QUIET

AMD_FORMATS: Final = {
    "f32": "fp32",
    "xf32": "tf32",
    "f16": "fp16",
    "bf16": "bf16",
    "fp8": "fp8_e4m3fnuz",
    "bf8": "fp8_e5m2fnuz",
    "i8": "int8",
}


def _chains() -> Iterator[FmaChainUnit]:
    """FP32 everywhere, FP64 from CDNA2 on: one fused multiply-add after the other."""
    for arch, types in (("cdna1", ("f32",)), ("cdna2", ("f32", "f64")), ("cdna3", ("f32", "f64"))):
        for type_ in types:
            fmt = "fp64" if type_ == "f64" else "fp32"
            yield FmaChainUnit(
                name=f"amd.{arch}.mfma.{type_}",
                a_format=fmt,
                b_format=fmt,
                accumulator="fp64" if type_ == "f64" else "fp32",
                evidence="published",
                source=MMA_SIM,
                note=QUIET,
            )


def _exact() -> Iterator[ExactUnit]:
    for type_, products in (("f16", 4), ("bf16", 2)):
        yield ExactUnit(
            name=f"amd.cdna1.mfma.{type_}",
            a_format=AMD_FORMATS[type_],
            b_format=AMD_FORMATS[type_],
            accumulator="fp32",
            evidence="published",
            source=MMA_SIM,
            note=QUIET,
            products=products,
        )


def _trees() -> Iterator[FlushedTreeUnit]:
    """CDNA2 keeps CDNA1's BF16 instructions beside its own (``_1k``), which take four products at once."""
    for types, type_, products, k in (("f16", "f16", 4, 16), ("bf16", "bf16", 2, 8), ("bf16_1k", "bf16", 4, 16)):
        yield FlushedTreeUnit(
            name=f"amd.cdna2.mfma.{types}",
            a_format=AMD_FORMATS[type_],
            b_format=AMD_FORMATS[type_],
            accumulator="fp32",
            evidence="published",
            source=MMA_SIM,
            note=ZEROS,
            products=products,
            instruction_products=k,
        )


def _two_stages() -> Iterator[TwoStageUnit]:
    rows = (
        *(("mfma", t, t, 8) for t in ("f16", "bf16")),
        *(("mfma_k4", t, t, 4) for t in ("f16", "bf16")),
        ("mfma", "xf32", "xf32", 4),
        *(("mfma", a, b, 16) for a in ("fp8", "bf8") for b in ("fp8", "bf8")),
    )
    for instruction, a, b, products in rows:
        yield TwoStageUnit(
            name=f"amd.cdna3.{instruction}.{a if a == b else f'{a}_{b}'}",
            a_format=AMD_FORMATS[a],
            b_format=AMD_FORMATS[b],
            accumulator="fp32",
            evidence="published",
            source=MMA_SIM,
            note=SHORT if instruction == "mfma_k4" else STAYS if b in ("fp8", "bf8") else "",
            products=products,
            interleaved=a in ("fp8", "bf8"),
        )


def _integers() -> Iterator[IntegerUnit]:
    for arch in ("cdna1", "cdna2", "cdna3"):
        yield IntegerUnit(
            name=f"amd.{arch}.mfma.i8",
            a_format=AMD_FORMATS["i8"],
            b_format=AMD_FORMATS["i8"],
            accumulator="int32",
            evidence="published",
            source=ISA,
            note=WRAPS,
        )


AMD_UNITS: Final[tuple[MatrixUnit, ...]] = (*_chains(), *_exact(), *_trees(), *_two_stages(), *_integers())
