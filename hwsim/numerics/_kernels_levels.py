# mypy: disable-error-code="assignment"
"""Block formats with scales inside scales: HiF4's three levels, and the microexponents of MX9, MX6 and MX4.

``x`` is float32 [blocks, block size]; ``codes`` has its shape. Threads share the blocks.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_F = np.float32
_ZERO = _F(0)


@njit(cache=True, nogil=True, error_model="numpy")
def _exponent(x):  # type: ignore[no-untyped-def]
    """Exponent of a float32 as its field says: -127 for zero and subnormal numbers."""
    return np.int64((_F(x).view(np.uint32) >> np.uint32(23)) & np.uint32(0xFF)) - 127


@njit(cache=True, nogil=True, error_model="numpy")
def _power_of_two(power):  # type: ignore[no-untyped-def]
    """2^power as float32, -149 <= power <= 127."""
    pattern = np.uint32((power + 127) << 23)
    if power < -126:
        pattern = np.uint32(1 << (power + 149))
    return np.uint32(pattern).view(np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def micro_exponents(x, codes, exponent, shift, bits, first, last):  # type: ignore[no-untyped-def]
    """Shared exponents and shift bits, then sign-magnitude codes rounded to nearest even under them."""
    top = _F((1 << (bits - 1)) - 1)
    sign = 1 << (bits - 1)
    for b in range(first, last):
        row, found = x[b], codes[b]
        shared = np.int64(-127)
        for i in range(len(row)):
            shared = max(shared, _exponent(row[i]))
        exponent[b] = shared + 127
        whole_step = _power_of_two(shared - bits + 2)
        for pair in range(len(row) // 2):
            below = _exponent(row[2 * pair]) < shared and _exponent(row[2 * pair + 1]) < shared
            shift[b, pair] = np.int64(below)
            step = _F(whole_step * _F(0.5)) if below else whole_step
            for i in range(2 * pair, 2 * pair + 2):
                y = _ZERO if _exponent(row[i]) == -127 else row[i]
                q = min(np.rint(_F(abs(y) / step)), top)
                minus = np.int64(_F(row[i]).view(np.int32) < 0)
                found[i] = np.int64(q) + minus * sign
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def hif4_amax(x, amax, first, last):  # type: ignore[no-untyped-def]
    """Largest magnitude of each block."""
    for b in range(first, last):
        row = x[b]
        most = _ZERO
        for i in range(len(row)):
            most = max(most, abs(row[i]))
        amax[b] = most
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def hif4_codes(x, codes, inverse, double8, double4, first, last):  # type: ignore[no-untyped-def]
    """Doubling bits of 8 and of 4 elements, then E1M2 codes, ties away; ``inverse`` is bfloat16(1 / scale)."""
    for b in range(first, last):
        row, found, r = x[b], codes[b], inverse[b]
        for eight in range(len(row) // 8):
            most = _ZERO
            for i in range(8 * eight, 8 * eight + 8):
                most = max(most, abs(row[i]))
            outer = np.int64(_F(most * r) >= _F(4))
            double8[b, eight] = outer
            for four in range(2 * eight, 2 * eight + 2):
                most = _ZERO
                for i in range(4 * four, 4 * four + 4):
                    most = max(most, abs(row[i]))
                inner = np.int64(_F(_F(most * r) * _F(0.5 if outer else 1.0)) >= _F(2))
                double4[b, four] = inner
                factor = _F(4.0 / (1 << (outer + inner)))
                for i in range(4 * four, 4 * four + 4):
                    y = _F(_F(abs(row[i]) * r) * factor)
                    q = min(np.floor(_F(y + _F(0.5))), _F(7))
                    minus = np.int64(_F(row[i]).view(np.int32) < 0)
                    found[i] = np.int64(q) + 8 * minus
    return 0
