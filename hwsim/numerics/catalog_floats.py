"""Floating-point formats, scales among them, as data."""

from __future__ import annotations

from typing import Final

from hwsim.numerics.catalog_sources import ASCEND, CUDA_FP8, FNUZ, HIF4, IEEE, MX, OFP8, READ, STRICT
from hwsim.numerics.format import FloatLayout, Format, Profile, Source, by_name


def _no_nan(positive_max: int, sign: int) -> dict[str, Profile]:
    """Profiles of the OCP formats that have neither NaN nor infinity."""
    return by_name(
        (
            Profile("ocp", "the specification leaves NaN open: refused"),
            Profile(
                "nvidia", "cuda_fp4/6.hpp and cvt.rn.satfinite: any NaN becomes +max", nan=(positive_max, positive_max)
            ),
            Profile("ml_dtypes", "NaN becomes a zero of the opposite sign", nan=(sign, 0)),
            Profile("gfloat", "NaN and overflow are refused", overflow="error"),
            Profile("compressed_tensors", "-0 becomes +0, negative underflow -0", negative_zero_input="positive_zero"),
            Profile(
                "quark",
                "every zero is +0",
                negative_zero_input="positive_zero",
                negative_underflow="positive_zero",
            ),
        )
    )


FLOATS: Final = (
    Format(
        "fp4_e2m1",
        "FP4 E2M1: 0 .5 1 1.5 2 3 4 6, signed",
        4,
        FloatLayout(True, 2, 1, 1),
        MX,
        _no_nan(0x7, 0x8),
        "keep",
    ),
    Format(
        "fp4_e1m2",
        "FP4 E1M2: 0 .25 .. 1.75, signed",
        4,
        FloatLayout(True, 1, 2, 1),
        ASCEND,
        by_name((STRICT,)),
        "keep",
    ),
    Format(
        "fp4_e3m0",
        "FP4 E3M0: 0 and powers of two .25 .. 16, signed",
        4,
        FloatLayout(True, 3, 0, 3),
        Source("hwsim", "+-2^k with a zero at exponent field 0; bias 3", READ),
        by_name((STRICT,)),
        "keep",
    ),
    Format("fp6_e2m3", "FP6 E2M3, max 7.5", 6, FloatLayout(True, 2, 3, 1), MX, _no_nan(0x1F, 0x20), "keep"),
    Format("fp6_e3m2", "FP6 E3M2, max 28", 6, FloatLayout(True, 3, 2, 3), MX, _no_nan(0x1F, 0x20), "keep"),
    Format(
        "fp8_e4m3fn",
        "FP8 E4M3 (OCP): max 448, NaN, no infinity",
        8,
        FloatLayout(True, 4, 3, 7, nan="all_ones"),
        OFP8,
        by_name(
            (
                Profile("ocp", "saturating mode; NaN keeps its sign", nan=(0x7F, 0xFF)),
                Profile("ocp_nonsaturating", "overflow and infinity become NaN", overflow="nan", nan=(0x7F, 0xFF)),
                Profile("nvidia", "cvt.rn.satfinite and the header's float functions: NaN is 0x7F", nan=(0x7F, 0x7F)),
                Profile("ml_dtypes", "overflow and infinity become NaN", overflow="nan", nan=(0x7F, 0xFF)),
                Profile("torch", "saturates, infinities too", nan=(0x7F, 0xFF)),
            )
        ),
        "keep",
    ),
    Format(
        "fp8_e5m2",
        "FP8 E5M2 (OCP): max 57344, infinities, NaN",
        8,
        FloatLayout(True, 5, 2, 15, infinity=True, nan="ieee"),
        OFP8,
        by_name(
            (
                Profile("ocp", "saturating mode; NaN keeps its sign", nan=(0x7E, 0xFE)),
                Profile("ocp_nonsaturating", "overflow becomes infinity", overflow="inf", nan=(0x7E, 0xFE)),
                Profile("nvidia", "cvt.rn.satfinite and the header's float functions: NaN is 0x7F", nan=(0x7F, 0x7F)),
                Profile("ml_dtypes", "overflow becomes infinity", overflow="inf", nan=(0x7E, 0xFE)),
                Profile(
                    "torch", "overflow becomes infinity; NaN is 0x7F with its sign", overflow="inf", nan=(0x7F, 0xFF)
                ),
            )
        ),
        "keep",
    ),
    Format(
        "fp8_e4m3fnuz",
        "FP8 E4M3 FNUZ (AMD CDNA3): max 240, one zero, NaN 0x80",
        8,
        FloatLayout(True, 4, 3, 8, nan="negative_zero"),
        FNUZ,
        by_name(
            (
                Profile("saturating", "overflow and infinity become +-240", nan=(0x80, 0x80)),
                Profile("ml_dtypes", "overflow and infinity become NaN (torch too)", overflow="nan", nan=(0x80, 0x80)),
            )
        ),
    ),
    Format(
        "fp8_e5m2fnuz",
        "FP8 E5M2 FNUZ (AMD CDNA3): max 57344, one zero, NaN 0x80",
        8,
        FloatLayout(True, 5, 2, 16, nan="negative_zero"),
        FNUZ,
        by_name(
            (
                Profile("saturating", "overflow and infinity become +-57344", nan=(0x80, 0x80)),
                Profile("ml_dtypes", "overflow and infinity become NaN (torch too)", overflow="nan", nan=(0x80, 0x80)),
            )
        ),
    ),
    Format(
        "e8m0",
        "E8M0 scale: 2^(code - 127), NaN 0xFF",
        8,
        FloatLayout(False, 8, 0, 127, nan="all_ones", zero=False),
        MX,
        by_name(
            (
                Profile("ocp", "no zero and no sign: both are refused", nan=(0xFF, 0xFF), negative="error"),
                Profile(
                    "nvidia",
                    "cuda_fp8.hpp with cudaRoundPosInf and satfinite (cvt.rp): the sign is dropped, 0 is 0x00",
                    "up",
                    nan=(0xFF, 0xFF),
                    zero=0,
                    negative="magnitude",
                ),
                Profile(
                    "torch",
                    "ties go up; the sign is dropped, 0 is 0x00, overflow becomes NaN",
                    "nearest_away",
                    "nan",
                    nan=(0xFF, 0xFF),
                    zero=0,
                    negative="magnitude",
                ),
                Profile(
                    "ml_dtypes",
                    "ties go up; 0, negatives and overflow become NaN",
                    "nearest_away",
                    "nan",
                    nan=(0xFF, 0xFF),
                    zero=0xFF,
                    negative="nan",
                ),
            )
        ),
    ),
    Format(
        "ue4m3",
        "UE4M3 scale: E4M3 without its sign, max 448",
        8,
        FloatLayout(False, 4, 3, 7, nan="all_ones", padding=1),
        CUDA_FP8,
        by_name(
            (
                Profile("saturating", "values below zero become 0", nan=(0x7F, 0x7F)),
                Profile("strict", "values below zero are refused", nan=(0x7F, 0x7F), negative="error"),
            )
        ),
        note="bit 7 is ignored by a decoder",
    ),
    Format(
        "e6m2",
        "E6M2 scale of HiF4: 2^-48 .. 1.5 * 2^15, NaN 0xFF",
        8,
        FloatLayout(False, 6, 2, 48, nan="all_ones", zero=False),
        HIF4,
        by_name(
            (
                Profile("hif4", "no zero and no sign: zeros give the least value", nan=(0xFF, 0xFF), zero=0),
                Profile("strict", "zeros and negatives are refused", nan=(0xFF, 0xFF), negative="error"),
            )
        ),
    ),
    Format(
        "bf16",
        "bfloat16: 1, 8, 7",
        16,
        FloatLayout(True, 8, 7, 127, infinity=True, nan="ieee"),
        Source("CUDA 13.0 cuda_bf16.hpp; ml_dtypes 0.6.0 bfloat16", "conversion from float", READ),
        by_name(
            (
                Profile(
                    "ieee",
                    "overflow becomes infinity; NaN is quiet with its sign",
                    overflow="inf",
                    nan=(0x7FC0, 0xFFC0),
                ),
                Profile("nvidia", "cvt.rn.bf16: NaN is 0x7FFF", overflow="inf", nan=(0x7FFF, 0x7FFF)),
            )
        ),
        "keep",
    ),
    Format(
        "fp16",
        "IEEE binary16: 1, 5, 10",
        16,
        FloatLayout(True, 5, 10, 15, infinity=True, nan="ieee"),
        IEEE,
        by_name(
            (
                Profile(
                    "ieee",
                    "overflow becomes infinity; NaN keeps sign and top payload bits",
                    overflow="inf",
                    nan="payload",
                ),
                Profile("nvidia", "cvt.rn.f16: NaN is 0x7FFF", overflow="inf", nan=(0x7FFF, 0x7FFF)),
            )
        ),
        "keep",
    ),
    Format(
        "tf32",
        "TensorFloat-32: 1, 8, 10, stored in 32 bits",
        19,
        FloatLayout(True, 8, 10, 127, infinity=True, nan="ieee"),
        Source("PTX ISA 9.0", "alternate floating point types: .tf32", READ),
        by_name(
            (
                Profile(
                    "ieee",
                    "overflow becomes infinity; NaN keeps sign and top payload bits",
                    overflow="inf",
                    nan="payload",
                ),
                Profile(
                    "nvidia",
                    "cvt.rna.tf32 on an H100: ties go away, NaN is cut to its top bits",
                    "nearest_away",
                    "inf",
                    nan="truncate",
                ),
            )
        ),
        "keep",
        storage_bits=32,
        note="a code is the 19 top bits of the binary32 pattern, moved down by 13",
    ),
    Format(
        "fp32",
        "IEEE binary32: 1, 8, 23",
        32,
        FloatLayout(True, 8, 23, 127, infinity=True, nan="ieee"),
        IEEE,
        by_name(
            (
                Profile(
                    "ieee",
                    "overflow becomes infinity; NaN keeps sign and top payload bits",
                    overflow="inf",
                    nan="payload",
                ),
            )
        ),
        "keep",
    ),
)
