"""Floating-point sums worth driving: extreme codes, and what cancels a given product, drowns in it, or drowns it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INFINITY = {"fp32": 0x7F800000, "fp16": 0x7C00}
"""Code of infinity, which is also the field of the exponent."""
EXTREMES = {
    "fp32": (
        *(0x00000000, 0x80000000, 0x00000001, 0x807FFFFF, 0x00800000, 0x3F800000, 0xC1234567),
        *(0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000),
    ),
    "fp16": (
        *(0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0xC123),
        *(0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00),
    ),
}
"""Zeros, subnormals, the least normal number, ordinary ones, the largest, infinities, NaN."""


def float_codes(x: NDArray[np.float64], accumulator: str) -> NDArray[np.int64]:
    """Codes of numbers, rounded to FP32 or FP16."""
    number, code = (np.float16, np.uint16) if accumulator == "fp16" else (np.float32, np.uint32)
    with np.errstate(over="ignore"):
        return x.astype(number).view(code).astype(np.int64)


def sums_against(rng: np.random.Generator, exact: NDArray[np.float64], accumulator: str) -> NDArray[np.int64]:
    """For each product the code of a sum: 0, what cancels it to the last bits, one of any length, or by infinity."""
    field, shape = INFINITY[accumulator], exact.shape
    bits = 16 if accumulator == "fp16" else 32
    top = 1 << (bits - 1)
    near = float_codes(-exact, accumulator) + rng.integers(-2, 3, shape)
    any_sign = rng.integers(0, 2, shape) * top
    least = rng.integers(0, top, shape) >> rng.integers(0, bits - 1, shape) | any_sign
    last = field - rng.integers(0, 4, shape) | any_sign
    found: NDArray[np.int64] = np.choose(rng.integers(0, 4, shape), [0, near % (2 * top), least, last])
    return found
