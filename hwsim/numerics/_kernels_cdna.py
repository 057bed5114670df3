"""Compiled loops of AMD's matrix units (numba): CDNA2's flushed trees and CDNA3's sums in two stages.

As in `_kernels_mma`, float64 carries every quantity of CDNA3's rule exactly and alignment is a multiplication by a
power of two. CDNA2 is FP32 arithmetic itself. Lanes run over the columns of a tile. Arguments that both kernels share
are those of `_kernels_mma.fused_matmul`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from hwsim.numerics._kernels_codes import TILE_M, TILE_N, read_panel, read_tile, write_tile

_EXPONENT_BITS = 0x7FF0000000000000
_LEAST_FP32 = 2.0**-126
_LEAST_NORMAL = np.float32(2.0**-126)
_OVERFLOW = 2.0**128


@njit(cache=True, nogil=True, error_model="numpy")
def _flush(x: Any) -> Any:
    """A subnormal becomes a zero of its sign."""
    return x if abs(x) >= _LEAST_NORMAL else x * np.float32(0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def flushed_tree(
    a: Any,
    b: Any,
    acc: Any,
    a_reader: Any,
    b_reader: Any,
    reader: Any,
    nan: int,
    products: int,
    instruction: int,
    first: int,
    last: int,
) -> int:
    """acc[m, n] += trees of 2 or 4 products along K in FP32; the readers' tables hold +0 for subnormals.

    instruction: products of one instruction, at whose start a subnormal or negative zero in acc becomes +0.
    """
    across = (b.shape[0] + TILE_N - 1) // TILE_N
    ap, bp = np.zeros((4, TILE_M), np.float32), np.zeros((4, TILE_N), np.float32)
    for tile in range(first, last):
        m0, n0 = tile // across * TILE_M, tile % across * TILE_N
        rows, cols = min(TILE_M, a.shape[0] - m0), min(TILE_N, b.shape[0] - n0)
        kept = np.empty((rows, cols), np.float32)
        read_tile(acc, reader, m0, n0, kept)
        for k0 in range(0, a.shape[1] // a_reader.size, instruction):
            for m in range(rows):
                for j in range(cols):
                    kept[m, j] = kept[m, j] if not abs(kept[m, j]) < _LEAST_NORMAL else np.float32(0.0)
            for k1 in range(k0, k0 + instruction, products):
                read_panel(a, a_reader, m0, rows, k1, ap[:products])
                read_panel(b, b_reader, n0, cols, k1, bp[:products])
                b0, b1, b2, b3 = bp[0], bp[1], bp[2], bp[3]
                for m in range(rows):
                    line = kept[m]
                    x0, x1, x2, x3 = ap[0, m], ap[1, m], ap[2, m], ap[3, m]
                    if products == 2:
                        for j in range(cols):
                            line[j] = _flush(line[j] + _flush(_flush(x0 * b0[j]) + _flush(x1 * b1[j])))
                    else:
                        for j in range(cols):
                            low = _flush(_flush(x0 * b0[j]) + _flush(x1 * b1[j]))
                            high = _flush(_flush(x2 * b2[j]) + _flush(x3 * b3[j]))
                            line[j] = _flush(line[j] + _flush(low + high))
        write_tile(acc, reader.size, nan, m0, n0, kept)
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def _powers(values: Any, least: float, out: Any) -> bool:
    """The power of two of each number, at least ``least``; 0 for zero. True where a number is not finite."""
    special = False
    for k in range(values.shape[0]):
        x, p = values[k], out[k]
        bits, power_bits = x.view(np.int64), p.view(np.int64)
        for j in range(x.size):
            power_bits[j] = bits[j] & _EXPONENT_BITS
        for j in range(x.size):
            special |= x[j] - x[j] != 0.0
            p[j] = (p[j] if p[j] > least else least) if x[j] != 0.0 else 0.0
    return special


@njit(cache=True, nogil=True, error_model="numpy")
def _first_stage(a: Any, b: Any, m: int, start: int, stride: int, gain: float, top: Any, total: Any) -> bool:
    """total = the sum of products start, start + stride, .. cut toward zero ``gain`` below the largest's power ``top``.

    a, b: (values, powers). Returns True where a product is infinite, or not a number.
    """
    (av, ap), (bv, bp) = a, b
    special = False
    top[:] = 2.0**-900  # below any product
    total[:] = 0.0
    for k in range(start, av.shape[0], stride):
        p, q = ap[k, m], bp[k]
        for j in range(top.size):
            e = p * q[j]
            top[j] = e if e > top[j] else top[j]
    for k in range(start, av.shape[0], stride):
        x, y = av[k, m], bv[k]
        for j in range(top.size):
            product = x * y[j]
            unit = gain / top[j]
            total[j] += np.trunc(product * unit)
            special |= not abs(product) < _OVERFLOW
    for j in range(top.size):
        total[j] *= top[j] / gain
    return special


@njit(cache=True, nogil=True, error_model="numpy")
def _special_row(av: Any, bv: Any, m: int, line: Any, result: Any) -> None:
    """Where an operand, a product or c is infinite or not a number, the result is IEEE's sum."""
    for j in range(line.size):
        total = line[j]
        for k in range(av.shape[0]):
            product = av[k, m] * bv[k, j]
            total += product if abs(product) < _OVERFLOW else product * np.inf
        if total - total != 0.0:
            result[j] = total


@njit(cache=True, nogil=True, error_model="numpy")
def _second_stage(dot: Any, top: Any, line: Any, fraction: float, fine: float, drop: bool, out: Any, work: Any) -> None:
    """out = dot, floored at 2 * ``fine``, plus c (``line``), floored at ``fraction``, below the larger exponent;
    normalised, floored at ``fine`` and rounded to FP32. ``drop``: a c far below becomes 0 instead. work: scratch.
    """
    bits, c_bits, out_bits = work.view(np.int64), line.view(np.int64), out.view(np.int64)
    n = line.size
    for j in range(n):
        bits[j] = c_bits[j] & _EXPONENT_BITS
    for j in range(n):
        e = work[j] if work[j] > _LEAST_FP32 else _LEAST_FP32
        high = top[j] if top[j] > e else e
        addend = np.floor(line[j] * (fraction / high)) * (high / fraction)
        addend = 0.0 if drop and e * (2.0 * fraction) < high else addend
        out[j] = np.floor(dot[j] * (2.0 * fine / high)) * (high / (2.0 * fine)) + addend
    for j in range(n):
        bits[j] = out_bits[j] & _EXPONENT_BITS
    for j in range(n):
        e = work[j] if work[j] > _LEAST_FP32 else _LEAST_FP32
        out[j] = np.float32(np.floor(out[j] * (fine / e)) * (e / fine) + 0.0)  # an exact zero is +0


@njit(cache=True, nogil=True, error_model="numpy")
def two_stages(
    a: Any,
    b: Any,
    acc: Any,
    a_reader: Any,
    b_reader: Any,
    reader: Any,
    nan: int,
    products: int,
    least_a: float,
    least_b: float,
    fraction: float,
    fine: float,
    interleaved: bool,
    first: int,
    last: int,
) -> int:
    """acc[m, n] += ``products`` products along K at a time, by the rule of `TwoStageUnit`.

    least_a, least_b: power of two at which subnormals of each stay; fraction, fine: 2**fraction_bits, 2**sum_bits.
    """
    across = (b.shape[0] + TILE_N - 1) // TILE_N
    ap, bp = np.zeros((2, products, TILE_M)), np.zeros((2, products, TILE_N))
    scratch = np.empty((6, TILE_N))
    groups = 2 if interleaved else 1
    for tile in range(first, last):
        m0, n0 = tile // across * TILE_M, tile % across * TILE_N
        rows, cols = min(TILE_M, a.shape[0] - m0), min(TILE_N, b.shape[0] - n0)
        kept = np.empty((rows, cols))
        read_tile(acc, reader, m0, n0, kept)
        top, dot, top_odd, odd = scratch[0, :cols], scratch[1, :cols], scratch[2, :cols], scratch[3, :cols]
        out, work = scratch[4, :cols], scratch[5, :cols]
        left, right = (ap[0], ap[1]), (bp[0], bp[1])
        for k0 in range(0, a.shape[1] // a_reader.size, products):
            read_panel(a, a_reader, m0, rows, k0, ap[0])
            read_panel(b, b_reader, n0, cols, k0, bp[0])
            unusual = _powers(ap[0], least_a, ap[1])
            unusual |= _powers(bp[0], least_b, bp[1])
            for m in range(rows):
                line = kept[m]
                special = _first_stage(left, right, m, 0, groups, fraction, top, dot)
                if interleaved:
                    special |= _first_stage(left, right, m, 1, groups, fraction, top_odd, odd)
                    for j in range(cols):
                        high = max(top[j], top_odd[j])
                        unit, back = fraction / high, high / fraction
                        dot[j] = (np.floor(dot[j] * unit) + np.floor(odd[j] * unit)) * back
                        top[j] = high
                _second_stage(dot, top, line, fraction, fine, interleaved, out, work)
                for j in range(cols):
                    special |= line[j] - line[j] != 0.0
                if special or unusual:
                    _special_row(ap[0], bp[0], m, line, out)
                for j in range(cols):
                    line[j] = out[j]
        write_tile(acc, reader.size, nan, m0, n0, kept)
    return 0
