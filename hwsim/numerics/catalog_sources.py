"""Documents that catalog entries were read from, and the date of reading."""

from __future__ import annotations

from typing import Final

from hwsim.numerics.format import Profile, Source

READ: Final = "2026-11-23"

MX: Final = Source(
    "OCP Microscaling Formats (MX) Specification v1.0", "5.3 element data types, 5.4 scale data types", READ
)
OFP8: Final = Source("OCP 8-bit Floating Point Specification (OFP8) rev. 1.0", "table 1, E4M3 and E5M2 encodings", READ)
CUDA_FP8: Final = Source("CUDA 13.0 cuda_fp8.hpp", "__nv_cvt_double_to_fp8, __nv_cvt_float_to_e8m0", READ)
FNUZ: Final = Source(
    "ml_dtypes 0.6.0 README; AMD CDNA3 stores FP8 so, CDNA4 the OCP types", "float8_e4m3fnuz, float8_e5m2fnuz", READ
)
IEEE: Final = Source("IEEE 754-2019", "3.4 binary interchange formats, 4.3 rounding, 7.4 overflow", READ)
ONNX: Final = Source("ONNX documentation", "int4 and int2 types: range, low nibble first", READ)
BNB: Final = Source("bitsandbytes csrc/kernels.cu", "dQuantizeNF4, dQuantizeFP4 and their inverses", READ)
ASCEND: Final = Source("Ascend C API documentation", "fp4x2_e1m2_t; INT4 quantization of CANN", READ)
HIF8: Final = Source("Ascend HiFloat8 Format for Deep Learning (arXiv 2409.16626); en_dtypes 0.1", "table 2", READ)
HIF4: Final = Source(
    "HiFloat4 Format for Language Model Inference (2026); CANN opbase hifloat4.h", "format and conversion", READ
)
GGML: Final = Source("GGML ggml-common.h and ggml-quants.c; gguf 0.19 quants.py", "block structures", READ)
MICRO: Final = Source(
    "With Shared Microexponents, A Little Shifting Goes a Long Way (arXiv 2302.08007); AMD Quark 0.13", "table 1", READ
)
OWN: Final = Source("hwsim", "an encoding used in array hardware, defined by this entry", READ)

STRICT: Final = Profile("strict", "NaN is an error; out of range saturates")
