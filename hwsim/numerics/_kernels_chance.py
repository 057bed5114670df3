# mypy: disable-error-code="assignment"
"""Philox4x32-10: ten rounds of two multiplications on a counter, keyed."""

from __future__ import annotations

import numpy as np
from numba import njit

_W = np.uint64
_LOW = _W(0xFFFFFFFF)
_HALF = _W(32)
_M0, _M1 = _W(0xD2511F53), _W(0xCD9E8D57)
_STEP0, _STEP1 = _W(0x9E3779B9), _W(0xBB67AE85)


@njit(inline="always", error_model="numpy")
def _block(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """The four words of one counter."""
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW, (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _STEP0) & _LOW, (k1 + _STEP1) & _LOW
    return c0, c1, c2, c3


@njit(cache=True, nogil=True, error_model="numpy")
def philox(out, k0, k1, first, last, start):  # type: ignore[no-untyped-def]
    """Words of counters first..last; ``out`` begins at word ``start`` of the sequence."""
    size = len(out)
    for counter in range(first, last):
        w0, w1, w2, w3 = _block(_W(counter) & _LOW, _W(counter) >> _HALF, _W(0), _W(0), k0, k1)
        place = 4 * counter - start
        if place >= 0 and place + 4 <= size:
            four = out[place : place + 4]
            four[0], four[1], four[2], four[3] = w0, w1, w2, w3
        else:
            for i in range(4):
                if 0 <= place + i < size:
                    out[place + i] = w0 if i == 0 else w1 if i == 1 else w2 if i == 2 else w3
    return 0
