"""Block formats (elements that share a scale), as data."""

from __future__ import annotations

from typing import Final

from hwsim.numerics.catalog_sources import GGML, HIF4, MICRO, MX, OWN, READ
from hwsim.numerics.format import BlockFormat, Field, Source

_MX_MODES = ("floor", "even", "rceil", "ceil")


def _mx(name: str, element: str, title: str) -> BlockFormat:
    return BlockFormat(name, title, element, 32, "e8m0", "power_of_two", MX, _MX_MODES)


def _micro(name: str, element: str, bits: int) -> BlockFormat:
    return BlockFormat(
        name,
        f"{name.upper()}: 16 {bits}-bit sign-magnitude numbers, a shared exponent, one shift bit a pair",
        element,
        16,
        "e8m0",
        "micro_exponent",
        MICRO,
        fields=(Field("exponent", 8, 16), Field("shift", 1, 2)),
        note="a pair whose numbers all lie below the block's power of two takes half the step",
    )


def _ggml(
    name: str, element: str, size: int, title: str, fields: tuple[Field, ...], modes: tuple[str, ...] = ()
) -> BlockFormat:
    return BlockFormat(name, title, element, size, "fp16", "ggml", GGML, modes, fields=fields)


BLOCKS: Final = (
    _mx("mxfp4", "fp4_e2m1", "MXFP4: 32 E2M1 and one E8M0 scale"),
    _mx("mxfp6_e2m3", "fp6_e2m3", "MXFP6: 32 E2M3 and one E8M0 scale"),
    _mx("mxfp6_e3m2", "fp6_e3m2", "MXFP6: 32 E3M2 and one E8M0 scale"),
    _mx("mxfp8_e4m3", "fp8_e4m3fn", "MXFP8: 32 E4M3 and one E8M0 scale"),
    _mx("mxfp8_e5m2", "fp8_e5m2", "MXFP8: 32 E5M2 and one E8M0 scale"),
    _mx("mxint8", "int8_mx", "MXINT8: 32 fixed-point bytes and one E8M0 scale"),
    BlockFormat(
        "nvfp4",
        "NVFP4: 16 E2M1, one UE4M3 block scale, one FP32 tensor scale",
        "fp4_e2m1",
        16,
        "ue4m3",
        "two_level",
        Source("NVIDIA blog and Transformer Engine NVFP4 recipe; torchao 0.18 nvfp4", "two-level scaling", READ),
        ("divide", "reciprocal"),
        note="divide: x / (g * s); reciprocal: x * ((1 / g) / s); g the tensor scale, s the block scale",
    ),
    BlockFormat(
        "int4_g32",
        "group-wise INT4: 32 elements and one FP16 scale",
        "int4",
        32,
        "fp16",
        "amax",
        OWN,
        zero_points=True,
    ),
    BlockFormat(
        "int4_g128",
        "group-wise INT4: 128 elements and one FP16 scale",
        "int4",
        128,
        "fp16",
        "amax",
        OWN,
        zero_points=True,
    ),
    BlockFormat(
        "hif4",
        "HiF4 (Ascend): 64 E1M2, an E6M2 scale, one doubling bit for each 8 and each 4",
        "fp4_e1m2",
        64,
        "e6m2",
        "hif4",
        HIF4,
        fields=(Field("scale", 8, 64), Field("double8", 1, 8), Field("double4", 1, 4)),
        note="value = element * scale * 2^(double8 + double4); ties go away from zero",
    ),
    _micro("mx9", "int8_sm", 8),
    _micro("mx6", "int5_sm", 5),
    _micro("mx4", "int3_sm", 3),
    _ggml("q4_0", "int4_offset", 32, "GGML Q4_0: 32 offset nibbles and an FP16 scale", (Field("d", 16, 32),)),
    _ggml(
        "q4_1",
        "uint4",
        32,
        "GGML Q4_1: 32 nibbles, an FP16 scale and an FP16 minimum",
        (Field("d", 16, 32), Field("m", 16, 32)),
    ),
    _ggml("q8_0", "int8", 32, "GGML Q8_0: 32 bytes and an FP16 scale", (Field("d", 16, 32),)),
    _ggml(
        "q4_k",
        "uint4",
        256,
        "GGML Q4_K: 8 groups of 32 nibbles, 6-bit scales and minima, two FP16 factors",
        (Field("d", 16, 256), Field("dmin", 16, 256), Field("scale", 6, 32), Field("min", 6, 32)),
    ),
    _ggml(
        "iq4_nl",
        "nl4",
        32,
        "GGML IQ4_NL: 32 indices into a table and an FP16 scale",
        (Field("d", 16, 32),),
        ("reference", "search"),
    ),
)
