"""Compiled loops of the plain matrix units (numba): integers in chain order, FMA chains, exact sums; and table look-up.

Each public kernel works on items ``first .. last`` (elements, or rows of the result) and returns 0, as `threads.split`
expects. Items are independent of each other, so no result depends on the number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

_BIN_BITS = 32
_LEAST_EXPONENT = -298  # of a product of two float32 numbers
_BINS = 22  # 32 bits each: from 2**-298 past 2**256 times 2**64 terms, and a sign


@njit(cache=True, nogil=True)
def look_up(table: Any, codes: Any, out: Any, first: int, last: int) -> int:
    """out[i] = table[codes[i]]; flat arrays, codes within the table."""
    for i in range(first, last):
        out[i] = table[codes[i]]
    return 0


@njit(cache=True, nogil=True)
def add_integers(terms: Any, out: Any, first: int, last: int) -> int:
    """out[i] += terms[i] modulo 2**32; terms float32 integers of at most 24 bits, out int32; flat arrays."""
    for i in range(first, last):
        out[i] = np.int64(out[i]) + np.int64(np.int32(terms[i]))
    return 0


@njit(cache=True, nogil=True)
def integer_chain(a: Any, b: Any, c: Any, out: Any, products: int, low: int, high: int, first: int, last: int) -> int:
    """out[m, n] = c[m, n] plus ``products`` products at a time along K, held within low..high after each such step.

    a, b: int32 [M, K] and [N, K]; c, out: int32 [M, N].
    """
    width = a.shape[1]
    for m in range(first, last):
        for n in range(b.shape[0]):
            acc = np.int64(c[m, n])
            for k0 in range(0, width, products):
                for k in range(k0, min(k0 + products, width)):
                    acc += np.int64(a[m, k]) * np.int64(b[n, k])
                acc = np.int64(low) if acc < low else np.int64(high) if acc > high else acc
            out[m, n] = acc
    return 0


@njit(cache=True, nogil=True)
def _add_to_odd(x: float, y: float) -> float:
    """x + y in float64, rounded to odd: what is lost shows in the last bit, so a second rounding is still correct."""
    total = x + y
    back = total - x
    lost = (x - (total - back)) + (y - back)
    if lost != 0.0 and lost - lost == 0.0:
        bits = np.float64(total).view(np.int64)
        if bits & 1 == 0:
            away = (lost > 0.0) == (total > 0.0)
            total = np.int64(bits + (1 if away else -1)).view(np.float64)
    return total


@njit(cache=True, nogil=True)
def fma_chain(a: Any, b: Any, c: Any, out: Any, first: int, last: int) -> int:
    """out[m, n] = c[m, n] with one float32 fused multiply-add for each k in turn; a, b, c, out float32.

    The product is exact in float64; the sum is rounded to odd there, so that only the last rounding shows.
    """
    width = a.shape[1]
    for m in range(first, last):
        for n in range(b.shape[0]):
            acc = np.float64(c[m, n])
            for k in range(width):
                acc = np.float64(np.float32(_add_to_odd(np.float64(a[m, k]) * np.float64(b[n, k]), acc)))
            out[m, n] = acc
    return 0


@njit(cache=True, nogil=True)
def _deposit(bins: Any, x: float) -> None:
    """Add a finite float64 that is a multiple of 2**_LEAST_EXPONENT to the fixed-point number in ``bins``."""
    if x == 0.0:
        return
    fraction, exponent = math.frexp(abs(x))
    mantissa = np.int64(math.ldexp(fraction, 53))
    at = exponent - 53 - _LEAST_EXPONENT
    if at < 0:  # the low bits are zeros: x is a multiple of the least exponent
        mantissa >>= -at
        at = 0
    sign = 1 if x > 0.0 else -1
    first, shift = at // _BIN_BITS, at % _BIN_BITS
    low = (mantissa & 0xFFFFFFFF) << shift
    high = (mantissa >> _BIN_BITS) << shift
    bins[first] += sign * (low & 0xFFFFFFFF)
    bins[first + 1] += sign * ((low >> _BIN_BITS) + (high & 0xFFFFFFFF))
    bins[first + 2] += sign * (high >> _BIN_BITS)


@njit(cache=True, nogil=True)
def _carry(bins: Any) -> None:
    """Bring every bin but the last within 0 .. 2**32 - 1; the last keeps the sign."""
    for i in range(bins.size - 1):
        bins[i + 1] += bins[i] >> _BIN_BITS
        bins[i] &= 0xFFFFFFFF


@njit(cache=True, nogil=True)
def _withdraw(bins: Any) -> float:
    """The number in ``bins`` as a float64 rounded to odd, so that one later rounding to 24 bits is correct."""
    _carry(bins)
    negative = bins[bins.size - 1] < 0
    if negative:
        for i in range(bins.size):
            bins[i] = -bins[i]
        _carry(bins)
    top = bins.size - 1
    while top > 1 and bins[top] == 0:
        top -= 1
    mantissa = (bins[top] << 30) | (bins[top - 1] >> 2)
    lost = bins[top - 1] & 3
    for i in range(top - 1):
        lost |= bins[i]
    exponent = (top - 1) * _BIN_BITS + 2 + _LEAST_EXPONENT
    while mantissa >= 1 << 53:
        lost |= mantissa & 1
        mantissa >>= 1
        exponent += 1
    if lost != 0:
        mantissa |= 1
    value = math.ldexp(float(mantissa), exponent)
    return -value if negative else value


@njit(cache=True, nogil=True)
def exact_sum(a: Any, b: Any, c: Any, out: Any, first: int, last: int) -> int:
    """out[m, n] = c[m, n] + sum over k of a[m, k] * b[n, k], rounded once, nearest even; a, b, c, out float32."""
    width = a.shape[1]
    for m in range(first, last):
        bins = np.zeros(_BINS, np.int64)
        for n in range(b.shape[0]):
            plain = np.float64(c[m, n])
            for k in range(width):
                plain += np.float64(a[m, k]) * np.float64(b[n, k])
            if plain - plain == 0.0:
                bins[:] = 0
                _deposit(bins, np.float64(c[m, n]))
                for k in range(width):
                    _deposit(bins, np.float64(a[m, k]) * np.float64(b[n, k]))
                plain = np.float64(_withdraw(bins))
            out[m, n] = plain
    return 0
