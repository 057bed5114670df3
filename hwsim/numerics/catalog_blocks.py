"""Block formats (elements that share a scale), as data."""

from __future__ import annotations

from typing import Final

from hwsim.numerics.catalog_sources import MX, OWN, READ
from hwsim.numerics.format import BlockFormat, Source

_MX_MODES = ("floor", "even", "rceil", "ceil")


def _mx(name: str, element: str, title: str) -> BlockFormat:
    return BlockFormat(name, title, element, 32, "e8m0", "power_of_two", MX, _MX_MODES)


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
)
