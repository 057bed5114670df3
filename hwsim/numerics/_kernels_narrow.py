"""Fused dot products in narrow lanes (numba): `_kernels_mma` with operands decoded once and integers of few bits.

Equal to `_kernels_mma.fused_matmul` bit for bit where they apply (tests hold them so); a tile to which they do not
apply is left alone and named. A product of two significands of 11 bits is exact in binary32, and scaled by a power of
two it is cut to an integer below 2**27, of which eight add in 32 bits; exponents add in 16 bits. In a grouped unit the
dot product of a group is an integer of 16 bits. Only what happens once a step is binary64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from hwsim.numerics._kernels_mma import _round

WIDTH = 128  # columns of a tile
ZERO_POWER = np.int16(-8000)  # the exponent of a zero: below every other, and twice it fits in 16 bits
_EIGHT = 8
_LEAST_SUM = -100  # least and greatest exponents of products for which binary32 holds every step
_MOST_SUM = 90


class Lanes(NamedTuple):
    """A unit as these loops read it.

    Attributes:
        steps: products summed at once, a multiple of 8.
        group, block: of a grouped unit; 1 and 1 otherwise.
        fraction_bits, floor: bits kept below the largest exponent; the exponent of nothing but zeros.
        least: exponent at which subnormals of the accumulator stay.
        mode: as in `_kernels_mma.Rule`.
    """

    steps: int
    group: int
    block: int
    fraction_bits: int
    floor: int
    least: int
    mode: int


@njit(cache=True, nogil=True)
def decode_rows(
    codes: Any, values: Any, powers: Any, order: Any, out: Any, power: Any, span: Any, first: int, last: int
) -> int:
    """Rows of codes as values and exponents, K in the order in which a unit sums; beyond the end of K zeros.

    Args:
        codes: uint8 or uint16 [rows, K].
        values, powers: of every code; the exponent of a number that is not finite is the greatest int16.
        order: int64 [instruction], the order of K within an instruction.
        out, power: [rows, K rounded up to whole instructions].
        span: int16 [rows, 2]: least exponent of a row but for zeros, and the greatest.
    """
    width, size = codes.shape[1], order.size
    for row in range(first, last):
        least, most = np.int16(32767), ZERO_POWER
        for base in range(0, out.shape[1], size):
            for i in range(size):
                k = base + order[i]
                if k >= width:
                    out[row, base + i] = 0
                    power[row, base + i] = ZERO_POWER
                    continue
                code = codes[row, k]
                out[row, base + i] = values[code]
                p = powers[code]
                power[row, base + i] = p
                most = max(most, p)
                least = min(least, p) if p != ZERO_POWER else least
        span[row, 0] = least
        span[row, 1] = most
    return 0


@njit(cache=True, nogil=True)
def _turn(source: Any, row0: int, rows: int, out: Any) -> None:
    """out[k * WIDTH + j] = source[row0 + j, k], zeros or ZERO_POWER where there are no more rows left alone."""
    depth = source.shape[1]
    for base in range(0, depth, 16):
        end = min(base + 16, depth)
        for j in range(rows):
            line = source[row0 + j]
            for k in range(base, end):
                out[k * WIDTH + j] = line[k]


@njit(cache=True, nogil=True)
def _raise_top(p: Any, b: Any, at: int, top: Any) -> None:
    """top[j] becomes the greatest of itself and of eight products' exponents."""
    p0, p1, p2, p3, p4, p5, p6, p7 = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
    b0, b1, b2, b3 = b[at : at + WIDTH], b[at + WIDTH :], b[at + 2 * WIDTH :], b[at + 3 * WIDTH :]
    b4, b5, b6, b7 = b[at + 4 * WIDTH :], b[at + 5 * WIDTH :], b[at + 6 * WIDTH :], b[at + 7 * WIDTH :]
    for j in range(WIDTH):
        e0, e1 = np.int16(p0 + b0[j]), np.int16(p1 + b1[j])
        e2, e3 = np.int16(p2 + b2[j]), np.int16(p3 + b3[j])
        e4, e5 = np.int16(p4 + b4[j]), np.int16(p5 + b5[j])
        e6, e7 = np.int16(p6 + b6[j]), np.int16(p7 + b7[j])
        e0 = e0 if e0 > e1 else e1
        e2 = e2 if e2 > e3 else e3
        e4 = e4 if e4 > e5 else e5
        e6 = e6 if e6 > e7 else e7
        e0 = e0 if e0 > e2 else e2
        e4 = e4 if e4 > e6 else e6
        e0 = e0 if e0 > e4 else e4
        t = top[j]
        top[j] = e0 if e0 > t else t


@njit(cache=True, nogil=True)
def _add_cut(x: Any, b: Any, at: int, scale: Any, total: Any) -> None:
    """total[j] += the sum of eight products, each scaled and cut toward zero."""
    x0, x1, x2, x3, x4, x5, x6, x7 = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
    b0, b1, b2, b3 = b[at : at + WIDTH], b[at + WIDTH :], b[at + 2 * WIDTH :], b[at + 3 * WIDTH :]
    b4, b5, b6, b7 = b[at + 4 * WIDTH :], b[at + 5 * WIDTH :], b[at + 6 * WIDTH :], b[at + 7 * WIDTH :]
    for j in range(WIDTH):
        s = scale[j]
        t0 = np.int32(np.int32(x0 * b0[j] * s) + np.int32(x1 * b1[j] * s))
        t1 = np.int32(np.int32(x2 * b2[j] * s) + np.int32(x3 * b3[j] * s))
        t2 = np.int32(np.int32(x4 * b4[j] * s) + np.int32(x5 * b5[j] * s))
        t3 = np.int32(np.int32(x6 * b6[j] * s) + np.int32(x7 * b7[j] * s))
        total[j] += np.float64(np.int32(np.int32(t0 + t1) + np.int32(t2 + t3)))


@njit(cache=True, nogil=True)
def _start(c: Any, least: int, floor: int, top: Any) -> bool:
    """top[j] = the exponent of c[j], ``floor`` for zero; True where every c is finite."""
    bits = c.view(np.int32)
    finite = True
    for j in range(WIDTH):
        field = np.int32(np.int32(bits[j] >> 23) & 255)
        finite &= field != 255
        e = np.int16(field - 127)
        e = e if e > least else np.int16(least)
        top[j] = np.int16(floor) if np.int32(bits[j] << 1) == 0 else e
    return finite


@njit(cache=True, nogil=True)
def _finish(c: Any, top: Any, fraction_bits: int, mode: int, total: Any, work: Any) -> None:
    """c[j] = round((total[j] + trunc(c[j] * 2**(fraction_bits - top))) * 2**(top - fraction_bits))."""
    up = work[0]
    bits = up.view(np.int64)
    for j in range(WIDTH):
        bits[j] = np.int64(1023 + fraction_bits - top[j]) << 52
    for j in range(WIDTH):
        total[j] += np.trunc(np.float64(c[j]) * up[j])
    for j in range(WIDTH):
        bits[j] = np.int64(1023 - fraction_bits + top[j]) << 52
    for j in range(WIDTH):
        total[j] *= up[j]
    _round(total, work[1], mode)
    for j in range(WIDTH):
        c[j] = np.float32(total[j])


@njit(cache=True, nogil=True)
def _tile_of(item: int, rows: int, height: int) -> Any:
    """First row and tile of columns of an item: rows in blocks of ``height``, columns slowest."""
    down = (rows + height - 1) // height
    return item % down * height, item // down


@njit(cache=True, nogil=True)
def products(
    a: Any,
    a_power: Any,
    a_span: Any,
    b: Any,
    b_power: Any,
    b_span: Any,
    out: Any,
    lanes: Any,
    height: int,
    left: Any,
    first: int,
    last: int,
) -> int:
    """out[m, n] += the truncated fused dot products of a[m] and b[n].

    Args:
        a, a_power, a_span: of `decode_rows`; values float32, powers int16. ``b`` likewise.
        out: float32 [M, N]; c, then d.
        lanes: the unit.
        height: rows of an item; ``first`` and ``last`` are items, of ceil(M / height) * ceil(N / WIDTH).
        left: uint8 [items], set to 1 for those that were left alone: numbers not finite, or beyond binary32.
    """
    depth, steps = a.shape[1], lanes.steps
    value, power = np.zeros(depth * WIDTH, np.float32), np.empty(depth * WIDTH, np.int16)
    acc = np.zeros((height, WIDTH), np.float32)
    top, scale = np.empty(WIDTH, np.int16), np.empty(WIDTH, np.float32)
    scale_bits = scale.view(np.int32)
    total, work = np.empty(WIDTH), np.empty((2, WIDTH))
    fraction_bits, held = lanes.fraction_bits, -1
    for item in range(first, last):
        m0, tile = _tile_of(item, len(a), height)
        n0 = tile * WIDTH
        rows, cols = min(height, len(a) - m0), min(WIDTH, len(b) - n0)
        low = np.int64(a_span[m0 : m0 + rows, 0].min()) + np.int64(b_span[n0 : n0 + cols, 0].min())
        high = np.int64(a_span[m0 : m0 + rows, 1].max()) + np.int64(b_span[n0 : n0 + cols, 1].max())
        if low < _LEAST_SUM or high > _MOST_SUM:
            left[item] = 1
            continue
        if tile != held:
            held = tile
            value[:] = 0
            power[:] = ZERO_POWER
            _turn(b, n0, cols, value)
            _turn(b_power, n0, cols, power)
        acc[:, :] = 0
        acc[:rows, :cols] = out[m0 : m0 + rows, n0 : n0 + cols]
        finite = True
        for k in range(0, depth, steps):
            for m in range(rows):
                p, x, c = a_power[m0 + m, k : k + steps], a[m0 + m, k : k + steps], acc[m]
                if k > 0 and p.max() == ZERO_POWER:
                    continue  # c comes from the step before, and no bit of it is cut
                finite &= _start(c, lanes.least, lanes.floor, top)
                for i in range(0, steps, _EIGHT):
                    _raise_top(p[i : i + _EIGHT], power, (k + i) * WIDTH, top)
                for j in range(WIDTH):
                    # where no product is left, the scale is of no account; it must only stay finite
                    e = np.int32(fraction_bits - top[j])
                    scale_bits[j] = np.int32(np.int32((e if e < 126 else np.int32(126)) + 127) << 23)
                    total[j] = 0.0
                for i in range(0, steps, _EIGHT):
                    _add_cut(x[i : i + _EIGHT], value, (k + i) * WIDTH, scale, total)
                _finish(c, top, fraction_bits, lanes.mode, total, work)
        for m in range(rows):
            finite &= _start(acc[m], lanes.least, lanes.floor, top)
        if not finite:
            left[item] = 1
            continue
        out[m0 : m0 + rows, n0 : n0 + cols] = acc[:rows, :cols]
    return 0


@njit(cache=True, nogil=True)
def _group_dot(x: Any, b: Any, at: int, dot: Any) -> None:
    """dot[j] = the exact dot product of a group: integers whose sums fit in 16 bits."""
    for j in range(WIDTH):
        dot[j] = 0
    for k in range(0, x.size, 4):
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        base = at + k * WIDTH
        b0, b1 = b[base : base + WIDTH], b[base + WIDTH :]
        b2, b3 = b[base + 2 * WIDTH :], b[base + 3 * WIDTH :]
        for j in range(WIDTH):
            t0 = np.int16(np.int16(x0 * b0[j]) + np.int16(x1 * b1[j]))
            t1 = np.int16(np.int16(x2 * b2[j]) + np.int16(x3 * b3[j]))
            dot[j] = np.int16(dot[j] + np.int16(t0 + t1))


@njit(cache=True, nogil=True)
def _add_group(dot: Any, scale: Any, s: float, up: Any, total: Any) -> None:
    """total[j] += trunc(dot * both scales * up)."""
    for j in range(WIDTH):
        total[j] += np.trunc(np.float64(dot[j]) * (s * scale[j]) * up[j])


@njit(cache=True, nogil=True)
def _marks(values: Any, group: int, out: Any, first: int, last: int) -> int:
    """out[row, g]: a bit for each element of a group that is not zero."""
    for row in range(first, last):
        for g in range(out.shape[1]):
            bits = np.int32(0)
            for i in range(group):
                bits |= np.int32(values[row, g * group + i] != 0) << i
            out[row, g] = bits
    return 0


@njit(cache=True, nogil=True)
def grouped_products(
    a: Any,
    a_scale: Any,
    a_power: Any,
    b: Any,
    b_scale: Any,
    b_power: Any,
    out: Any,
    lanes: Any,
    height: int,
    left: Any,
    first: int,
    last: int,
) -> int:
    """out[m, n] += the grouped fused dot products of a[m] and b[n], whose scales align their groups.

    Args:
        a, b: int16 [rows, K rounded up]: integers whose dot product over a group fits in 16 bits.
        a_scale, a_power: float64 and int16 [rows, groups]: each group's scale and its exponent, ZERO_POWER for zero and
            the greatest int16 for one that is not finite. ``a_scale`` holds the units of both sides' integers too.
        out, lanes, height, left, first, last: as in `products`.
    """
    depth, steps, group = a.shape[1], lanes.steps, lanes.group
    groups, terms = depth // group, steps // group
    value, scale = np.empty(depth * WIDTH, np.int16), np.empty(groups * WIDTH)
    power, marks = np.empty(groups * WIDTH, np.int16), np.empty(groups * WIDTH, np.int32)
    a_marks, b_marks = np.empty((height, groups), np.int32), np.empty((WIDTH, groups), np.int32)
    acc, dot = np.zeros((height, WIDTH), np.float32), np.empty((terms, WIDTH), np.int16)
    top, total, work = np.empty(WIDTH, np.int16), np.empty(WIDTH), np.empty((2, WIDTH))
    fraction_bits, held = lanes.fraction_bits, -1
    bits = work[0].view(np.int64)
    for item in range(first, last):
        m0, tile = _tile_of(item, len(a), height)
        n0 = tile * WIDTH
        rows, cols = min(height, len(a) - m0), min(WIDTH, len(b) - n0)
        if max(a_power[m0 : m0 + rows].max(), b_power[n0 : n0 + cols].max()) > 16000:
            left[item] = 1
            continue
        if tile != held:
            held = tile
            value[:] = 0
            scale[:] = 0
            power[:] = ZERO_POWER
            marks[:] = 0
            _turn(b, n0, cols, value)
            _turn(b_scale, n0, cols, scale)
            _turn(b_power, n0, cols, power)
            _marks(b[n0 : n0 + cols], group, b_marks, 0, cols)
            _turn(b_marks, 0, cols, marks)
        _marks(a[m0 : m0 + rows], group, a_marks, 0, rows)
        acc[:, :] = 0
        acc[:rows, :cols] = out[m0 : m0 + rows, n0 : n0 + cols]
        finite = True
        for k in range(0, depth, steps):
            base = k // group
            for m in range(rows):
                c = acc[m]
                finite &= _start(c, lanes.least, lanes.floor, top)
                for g in range(terms):
                    at = base + g
                    _group_dot(a[m0 + m, at * group : (at + 1) * group], value, at * group * WIDTH, dot[g])
                    p, mark = a_power[m0 + m, at], a_marks[m, at]
                    q, other = power[at * WIDTH : (at + 1) * WIDTH], marks[at * WIDTH : (at + 1) * WIDTH]
                    for j in range(WIDTH):
                        e = np.int16(p + q[j]) if mark & other[j] else ZERO_POWER
                        top[j] = e if e > top[j] else top[j]
                for j in range(WIDTH):
                    bits[j] = np.int64(1023 + fraction_bits - top[j]) << 52
                    total[j] = 0.0
                for g in range(terms):
                    at = base + g
                    _add_group(dot[g], scale[at * WIDTH : (at + 1) * WIDTH], a_scale[m0 + m, at], work[0], total)
                _finish(c, top, fraction_bits, lanes.mode, total, work)
        for m in range(rows):
            finite &= _start(acc[m], lanes.least, lanes.floor, top)
        if not finite:
            left[item] = 1
            continue
        out[m0 : m0 + rows, n0 : n0 + cols] = acc[:rows, :cols]
    return 0
