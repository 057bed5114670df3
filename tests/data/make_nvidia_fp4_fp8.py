"""Record what NVIDIA's own conversion headers answer, into nvidia_fp4_fp8.npz.

    python tests/data/make_nvidia_fp4_fp8.py /usr/local/cuda/include

The directory must hold cuda_fp4.h, cuda_fp6.h and cuda_fp8.h (any CUDA 13 toolkit); g++ compiles them for the CPU. The
file holds inputs (float32, float64) and one uint8 column a conversion; tests compare `hwsim.numerics.encode` with it.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

SHIM = r"""
#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>
#define EACH(NAME, TYPE, EXPRESSION) \
  extern "C" void NAME(const TYPE* x, unsigned char* y, long n) { for (long i = 0; i < n; i++) y[i] = EXPRESSION; }
#define BOTH(NAME, CALL, ...) \
  EACH(NAME##_float, float, __nv_cvt_float_to_##CALL(x[i], __VA_ARGS__)) \
  EACH(NAME##_double, double, __nv_cvt_double_to_##CALL(x[i], __VA_ARGS__))
BOTH(e2m1_rn, fp4, __NV_E2M1, cudaRoundNearest)
BOTH(e2m1_rz, fp4, __NV_E2M1, cudaRoundZero)
BOTH(e2m3_rn, fp6, __NV_E2M3, cudaRoundNearest)
BOTH(e3m2_rn, fp6, __NV_E3M2, cudaRoundNearest)
BOTH(e4m3_sat, fp8, __NV_SATFINITE, __NV_E4M3)
BOTH(e4m3_nosat, fp8, __NV_NOSAT, __NV_E4M3)
BOTH(e5m2_sat, fp8, __NV_SATFINITE, __NV_E5M2)
BOTH(e5m2_nosat, fp8, __NV_NOSAT, __NV_E5M2)
BOTH(e8m0_rz, e8m0, __NV_SATFINITE, cudaRoundZero)
BOTH(e8m0_rp, e8m0, __NV_SATFINITE, cudaRoundPosInf)
"""
CONVERSIONS = (
    *("e2m1_rn", "e2m1_rz", "e2m3_rn", "e3m2_rn", "e4m3_sat"),
    *("e4m3_nosat", "e5m2_sat", "e5m2_nosat", "e8m0_rz", "e8m0_rp"),
)
LAYOUTS = ((2, 1, 1), (2, 3, 1), (3, 2, 3), (4, 3, 7), (5, 2, 15))  # exponent bits, mantissa bits, bias
RANDOM = 3000


def midpoints() -> np.ndarray:
    """Every number and every midpoint of the five formats, and one step beyond their largest, as float64."""
    points: set[float] = {0.0}
    for exponent_bits, mantissa_bits, bias in LAYOUTS:
        values = []
        for code in range((1 << (exponent_bits + mantissa_bits)) + 1):
            exponent, mantissa = code >> mantissa_bits, code & ((1 << mantissa_bits) - 1)
            hidden = (1 << mantissa_bits) if exponent else 0
            values.append(float(mantissa + hidden) * 2.0 ** (max(exponent, 1) - bias - mantissa_bits))
        points |= set(values) | {(low + high) / 2 for low, high in pairwise(values)}
    points |= {2.0**power * step for power in (-127, -126, -1, 0, 127) for step in (0.75, 1.0, 1.5)}
    return np.array(sorted(points))


def inputs(dtype: type) -> np.ndarray:
    """Midpoints and their neighbours, specials, random bit patterns and random numbers in range, both signs."""
    rng = np.random.default_rng(20261123)
    middle = midpoints().astype(dtype)
    near = np.concatenate([middle, np.nextafter(middle, dtype(0)), np.nextafter(middle, dtype(np.inf))])
    special = np.array([np.inf, np.nan, np.finfo(dtype).tiny, np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal])
    word = np.uint32 if dtype is np.float32 else np.uint64
    patterns = rng.integers(0, np.iinfo(word).max, RANDOM, dtype=word, endpoint=True).view(dtype)
    ranged = (rng.standard_normal(RANDOM) * np.exp2(rng.integers(-12, 17, RANDOM))).astype(dtype)
    half = np.concatenate([near, special.astype(dtype)])
    return np.concatenate([half, -half, patterns, ranged])


def compile_headers(include: Path, folder: Path) -> ctypes.CDLL:
    """The conversions of the headers in ``include`` as a library in ``folder``."""
    source, library = folder / "shim.cpp", folder / "shim.so"
    source.write_text(SHIM)
    command = ["g++", "-O2", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def convert(shim: ctypes.CDLL, conversion: str, x: np.ndarray) -> np.ndarray:
    """Codes of a float32 or float64 array by one conversion."""
    y = np.empty(x.size, np.uint8)
    call = getattr(shim, f"{conversion}_{'float' if x.dtype == np.float32 else 'double'}")
    call(x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p), ctypes.c_long(x.size))
    return y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("include", type=Path, help="directory of cuda_fp4.h, cuda_fp6.h, cuda_fp8.h")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("nvidia_fp4_fp8.npz"))
    arguments = parser.parse_args()
    arrays: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        shim = compile_headers(arguments.include, Path(folder))
        for name, dtype in (("float", np.float32), ("double", np.float64)):
            x = inputs(dtype)
            arrays[name] = x.view(np.uint32 if dtype is np.float32 else np.uint64)
            for conversion in CONVERSIONS:
                arrays[f"{conversion}_{name}"] = convert(shim, conversion, x)
    np.savez_compressed(arguments.out, **arrays)
    print(
        arguments.out,
        arguments.out.stat().st_size,
        "bytes;",
        {k: v.shape for k, v in arrays.items() if k in ("float", "double")},
    )


if __name__ == "__main__":
    main()
