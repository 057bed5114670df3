"""Every element and block encoding, as data. Behaviour is in `codec`, `packing` and `blocks`; nothing here computes.

To add a format: one `Format(...)` entry in `_ENTRIES`. Its tests are generated from the entry.
"""

from __future__ import annotations

from typing import Final

from hwsim.numerics.format import (
    BlockFormat,
    Catalog,
    FloatLayout,
    Format,
    IntegerKind,
    IntegerLayout,
    NegativeZero,
    Profile,
    Source,
    TableLayout,
    by_name,
)

_READ: Final = "2026-11-23"

# Documents ------------------------------------------------------------------------------------------------------------
_MX = Source("OCP Microscaling Formats (MX) Specification v1.0", "5.3 element data types, 5.4 scale data types", _READ)
_OFP8 = Source("OCP 8-bit Floating Point Specification (OFP8) rev. 1.0", "table 1, E4M3 and E5M2 encodings", _READ)
_CUDA_FP4 = Source("CUDA 13.0 cuda_fp4.hpp", "__nv_cvt_double_to_fp4, __nv_cvt_float_to_fp4", _READ)
_CUDA_FP8 = Source("CUDA 13.0 cuda_fp8.hpp", "__nv_cvt_double_to_fp8, __nv_cvt_float_to_e8m0", _READ)
_FNUZ = Source(
    "ml_dtypes 0.6.0 README; AMD CDNA3 stores FP8 so, CDNA4 the OCP types", "float8_e4m3fnuz, float8_e5m2fnuz", _READ
)
_IEEE = Source("IEEE 754-2019", "3.4 binary interchange formats, 4.3 rounding, 7.4 overflow", _READ)
_ONNX = Source("ONNX documentation", "int4 and int2 types: range, low nibble first", _READ)
_BNB = Source("bitsandbytes csrc/kernels.cu", "dQuantizeNF4, dQuantizeFP4 and their inverses", _READ)
_ASCEND = Source("Ascend C API documentation", "fp4x2_e1m2_t; INT4 quantization of CANN", _READ)
_OWN = Source("hwsim", "an encoding used in array hardware, defined by this entry", _READ)

# Profiles: named behaviours -------------------------------------------------------------------------------------------
_STRICT = Profile("strict", "NaN is an error; out of range saturates")


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
            Profile("quark", "negative underflow gives +0, -0 stays", negative_underflow="positive_zero"),
        )
    )


def _integer_profiles() -> dict[str, Profile]:
    return by_name(
        (
            _STRICT,
            Profile("ascend", "CANN's non-IEEE mode: infinities saturate, NaN becomes 0", nan=(0, 0)),
            Profile("ml_dtypes", "truncates, wraps modulo 2^bits, NaN becomes 0", "toward_zero", "wrap", nan=(0, 0)),
        )
    )


def _integer(
    name: str,
    title: str,
    bits: int,
    kind: IntegerKind,
    minimum: int,
    maximum: int,
    *,
    source: Source = _ONNX,
    negative_zero: NegativeZero = "none",
    fraction_bits: int = 0,
    note: str = "",
) -> Format:
    layout = IntegerLayout(kind, minimum, maximum, fraction_bits)
    profiles = _integer_profiles()
    if kind not in ("twos_complement", "unsigned") or (maximum - minimum + 1) != 1 << bits:
        del profiles["ml_dtypes"]  # it has only the full-range types
    return Format(name, title, bits, layout, source, profiles, negative_zero, note=note)


_INTEGERS = (
    _integer("int4", "signed 4-bit integer, -8..7", 4, "twos_complement", -8, 7),
    _integer(
        "int4_sym",
        "signed 4-bit integer, -7..7",
        4,
        "twos_complement",
        -7,
        7,
        note="code 0x8 is never produced; it decodes to -8, as two's complement hardware reads it",
    ),
    _integer("uint4", "unsigned 4-bit integer, 0..15", 4, "unsigned", 0, 15),
    _integer(
        "int4_offset",
        "offset binary 4-bit integer, code - 8",
        4,
        "offset_binary",
        -8,
        7,
        source=Source("GGML block format q4_0", "nibble minus 8", _READ),
    ),
    _integer(
        "int4_sm",
        "sign-magnitude 4-bit integer, -7..7 and -0",
        4,
        "sign_magnitude",
        -7,
        7,
        source=_OWN,
        negative_zero="keep",
        note="code 0x8 is -0",
    ),
    _integer("int8", "signed 8-bit integer", 8, "twos_complement", -128, 127),
    _integer("uint8", "unsigned 8-bit integer", 8, "unsigned", 0, 255),
    _integer("int2", "signed 2-bit integer, -2..1", 2, "twos_complement", -2, 1),
    _integer("uint2", "unsigned 2-bit integer, 0..3", 2, "unsigned", 0, 3),
    _integer(
        "ternary",
        "-1, 0, +1 in two bits",
        2,
        "twos_complement",
        -1,
        1,
        source=_OWN,
        note="code 0b10 is never produced; it decodes to -2, as two's complement hardware reads it",
    ),
    _integer(
        "binary",
        "-1, +1 in one bit (0 is -1, 1 is +1)",
        1,
        "bipolar",
        -1,
        1,
        source=_OWN,
        note="no zero: inputs below 0 give -1, the others, either zero among them, give +1",
    ),
    _integer(
        "int32", "signed 32-bit integer: accumulators and biases", 32, "twos_complement", -(1 << 31), (1 << 31) - 1
    ),
    _integer(
        "int8_mx",
        "MXINT8 element: 8-bit fixed point, 2^-6 a step",
        8,
        "twos_complement",
        -127,
        127,
        source=_MX,
        fraction_bits=6,
        note="the range is symmetric, as the specification permits; code 0x80 decodes to -2",
    ),
)

_FLOATS = (
    Format(
        "fp4_e2m1",
        "FP4 E2M1: 0 .5 1 1.5 2 3 4 6, signed",
        4,
        FloatLayout(True, 2, 1, 1),
        _MX,
        _no_nan(0x7, 0x8),
        "keep",
    ),
    Format(
        "fp4_e1m2",
        "FP4 E1M2: 0 .25 .. 1.75, signed",
        4,
        FloatLayout(True, 1, 2, 1),
        _ASCEND,
        by_name((_STRICT,)),
        "keep",
    ),
    Format(
        "fp4_e3m0",
        "FP4 E3M0: 0 and powers of two .25 .. 16, signed",
        4,
        FloatLayout(True, 3, 0, 3),
        Source("hwsim", "+-2^k with a zero at exponent field 0; bias 3", _READ),
        by_name((_STRICT,)),
        "keep",
    ),
    Format("fp6_e2m3", "FP6 E2M3, max 7.5", 6, FloatLayout(True, 2, 3, 1), _MX, _no_nan(0x1F, 0x20), "keep"),
    Format("fp6_e3m2", "FP6 E3M2, max 28", 6, FloatLayout(True, 3, 2, 3), _MX, _no_nan(0x1F, 0x20), "keep"),
    Format(
        "fp8_e4m3fn",
        "FP8 E4M3 (OCP): max 448, NaN, no infinity",
        8,
        FloatLayout(True, 4, 3, 7, nan="all_ones"),
        _OFP8,
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
        _OFP8,
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
        _FNUZ,
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
        _FNUZ,
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
        _MX,
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
        _CUDA_FP8,
        by_name(
            (
                Profile("saturating", "values below zero become 0", nan=(0x7F, 0x7F)),
                Profile("strict", "values below zero are refused", nan=(0x7F, 0x7F), negative="error"),
            )
        ),
        note="bit 7 is ignored by a decoder",
    ),
    Format(
        "bf16",
        "bfloat16: 1, 8, 7",
        16,
        FloatLayout(True, 8, 7, 127, infinity=True, nan="ieee"),
        Source("CUDA 13.0 cuda_bf16.hpp; ml_dtypes 0.6.0 bfloat16", "conversion from float", _READ),
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
        _IEEE,
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
        Source("PTX ISA 9.0", "alternate floating point types: .tf32", _READ),
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
        _IEEE,
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

_TABLES = (
    Format(
        "nf4",
        "NF4: quantiles of a normal distribution in -1..1",
        4,
        TableLayout(
            (
                -1.0,
                -0.6961928009986877,
                -0.5250730514526367,
                -0.39491748809814453,
                -0.28444138169288635,
                -0.18477343022823334,
                -0.09105003625154495,
                0.0,
                0.07958029955625534,
                0.16093020141124725,
                0.24611230194568634,
                0.33791524171829224,
                0.44070982933044434,
                0.5626170039176941,
                0.7229568362236023,
                1.0,
            ),
            (
                -0.8480964004993439,
                -0.6106329262256622,
                -0.4599952697753906,
                -0.33967943489551544,
                -0.23460740596055984,
                -0.13791173323988914,
                -0.045525018125772476,
                0.03979014977812767,
                0.1202552504837513,
                0.2035212516784668,
                0.2920137718319893,
                0.3893125355243683,
                0.5016634166240692,
                0.6427869200706482,
                0.8614784181118011,
            ),
        ),
        _BNB,
        by_name((_STRICT, Profile("bitsandbytes", "NaN fails every comparison: code 0", nan=(0, 0)))),
        note="packed high nibble first",
    ),
    Format(
        "fp4_bnb",
        "FP4 of bitsandbytes: 0 .0052083 .1667 .25 .3333 .5 .6667 1, signed",
        4,
        TableLayout(
            (
                0.0,
                0.005208333333,
                0.66666667,
                1.0,
                0.33333333,
                0.5,
                0.16666667,
                0.25,
                -0.0,
                -0.005208333333,
                -0.66666667,
                -1.0,
                -0.33333333,
                -0.5,
                -0.16666667,
                -0.25,
            ),
            (0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333),
            symmetric=True,
        ),
        _BNB,
        by_name(
            (
                Profile(
                    "bitsandbytes",
                    "the sign is x < 0, so -0 becomes +0 and negative underflow -0; NaN fails every comparison: 0",
                    nan=(0, 0),
                    negative_zero_input="positive_zero",
                ),
                _STRICT,
            )
        ),
        "keep",
        note="not E2M1; packed high nibble first; its threshold .0859375 is not a midpoint",
    ),
)

_MX_MODES = ("floor", "even", "rceil", "ceil")


def _mx(name: str, element: str, title: str) -> BlockFormat:
    return BlockFormat(name, title, element, 32, "e8m0", "power_of_two", _MX, _MX_MODES)


_BLOCKS = (
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
        Source("NVIDIA blog and Transformer Engine NVFP4 recipe; torchao 0.18 nvfp4", "two-level scaling", _READ),
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
        _OWN,
        zero_points=True,
    ),
    BlockFormat(
        "int4_g128",
        "group-wise INT4: 128 elements and one FP16 scale",
        "int4",
        128,
        "fp16",
        "amax",
        _OWN,
        zero_points=True,
    ),
)

_ENTRIES: tuple[Format | BlockFormat, ...] = (*_INTEGERS, *_FLOATS, *_TABLES, *_BLOCKS)

formats: Final[Catalog[Format | BlockFormat]] = Catalog({entry.name: entry for entry in _ENTRIES})
