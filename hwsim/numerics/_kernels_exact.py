"""Compiled loops of exact sums (numba): a few products with c, all of K, and a fixed-point register.

A float64 sum whose every step is exact needs one rounding and no more. Where a step is not, the sum is made again in
32-bit bins that hold any sum of float32 products. Conventions as in `_kernels_chain`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from hwsim.numerics._kernels_codes import TILE_M, TILE_N, read, read_panel, read_tile, write_tile

_CHUNK = 64  # K indices decoded at a time
_BIN_BITS = 32
_LEAST_EXPONENT = -298  # of a product of two float32 numbers
_BINS = 22  # 32 bits each: from 2**-298 past 2**256 times 2**64 terms, and a sign


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _carry(bins: Any) -> None:
    """Bring every bin but the last within 0 .. 2**32 - 1; the last keeps the sign."""
    for i in range(bins.size - 1):
        bins[i + 1] += bins[i] >> _BIN_BITS
        bins[i] &= 0xFFFFFFFF


@njit(cache=True, nogil=True, error_model="numpy")
def _wrap(bins: Any, top: int) -> None:
    """Keep the bits below 2**(_LEAST_EXPONENT + top), the highest of them as the sign."""
    _carry(bins)
    word, shift = top // _BIN_BITS, top % _BIN_BITS
    bins[word] &= (1 << shift) - 1
    bins[word + 1 :] = 0
    if bins[(top - 1) // _BIN_BITS] >> ((top - 1) % _BIN_BITS) & 1:
        bins[word] -= 1 << shift


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _sum(a: Any, a_reader: Any, m: int, b: Any, b_reader: Any, n: int, k0: int, k1: int, c: float, bins: Any) -> bool:
    """Deposit c and the products k0 .. k1 of row m of a and row n of b; False where one of them is not finite."""
    bins[:] = 0
    if c - c != 0.0:
        return False
    _deposit(bins, c)
    for k in range(k0, k1):
        product = read(a, a_reader, m, k) * read(b, b_reader, n, k)
        if product - product != 0.0:
            return False
        _deposit(bins, product)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def exact_sum(
    a: Any, b: Any, acc: Any, a_reader: Any, b_reader: Any, reader: Any, nan: int, products: int, first: int, last: int
) -> int:
    """acc[m, n] += ``products`` products along K at a time, exactly, each time rounded once to FP32, nearest even.

    a, b, acc and their readers, nan, and the tiles first .. last: as in `_kernels_mma.fused_matmul`.
    """
    across = (b.shape[0] + TILE_N - 1) // TILE_N
    ap, bp = np.empty((_CHUNK, TILE_M)), np.empty((_CHUNK, TILE_N))
    bins = np.zeros(_BINS, np.int64)
    width = a.shape[1] // a_reader.size
    for tile in range(first, last):
        m0, n0 = tile // across * TILE_M, tile % across * TILE_N
        rows, cols = min(TILE_M, a.shape[0] - m0), min(TILE_N, b.shape[0] - n0)
        kept, total, lost = np.empty((rows, cols)), np.empty((rows, cols)), np.empty((rows, cols))
        read_tile(acc, reader, m0, n0, kept)
        for k0 in range(0, width, products):
            stop = min(k0 + products, width)
            for m in range(rows):
                for j in range(cols):
                    total[m, j] = kept[m, j]
                    lost[m, j] = 0.0
            for k1 in range(k0, stop, _CHUNK):
                steps = min(_CHUNK, stop - k1)
                read_panel(a, a_reader, m0, rows, k1, ap[:steps])
                read_panel(b, b_reader, n0, cols, k1, bp[:steps])
                for m in range(rows):
                    t, e = total[m], lost[m]
                    for k in range(steps):
                        x, y = ap[k, m], bp[k]
                        for j in range(cols):
                            p = x * y[j]
                            old = t[j]
                            new = old + p
                            back = new - old
                            e[j] = max(e[j], abs((old - (new - back)) + (p - back)))  # 0: the step was exact
                            t[j] = new
            for m in range(rows):
                for j in range(cols):
                    exact = lost[m, j] == 0.0
                    if not exact and _sum(a, a_reader, m0 + m, b, b_reader, n0 + j, k0, stop, kept[m, j], bins):
                        total[m, j] = _withdraw(bins)
                    kept[m, j] = np.float32(total[m, j] + 0.0)  # only an exact zero loses its sign
        write_tile(acc, reader.size, nan, m0, n0, kept)
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def register_sum(
    a: Any,
    b: Any,
    acc: Any,
    a_reader: Any,
    b_reader: Any,
    reader: Any,
    nan: int,
    lowest: int,
    bits: int,
    first: int,
    last: int,
) -> int:
    """acc[m, n] += all products along K in a two's complement register of ``bits`` bits from 2**lowest up.

    Conventions as in `exact_sum`.
    """
    across = (b.shape[0] + TILE_N - 1) // TILE_N
    bins = np.zeros(_BINS, np.int64)
    width = a.shape[1] // a_reader.size
    unit = 2.0**lowest
    for tile in range(first, last):
        m0, n0 = tile // across * TILE_M, tile % across * TILE_N
        kept = np.empty((min(TILE_M, a.shape[0] - m0), min(TILE_N, b.shape[0] - n0)))
        read_tile(acc, reader, m0, n0, kept)
        for m in range(kept.shape[0]):
            for j in range(kept.shape[1]):
                c = kept[m, j]
                if _sum(a, a_reader, m0 + m, b, b_reader, n0 + j, 0, width, np.floor(c / unit) * unit, bins):
                    _wrap(bins, lowest - _LEAST_EXPONENT + bits)
                    kept[m, j] = np.float32(_withdraw(bins))
                else:
                    for k in range(width):
                        c += read(a, a_reader, m0 + m, k) * read(b, b_reader, n0 + j, k)
                    kept[m, j] = c
        write_tile(acc, reader.size, nan, m0, n0, kept)
    return 0
