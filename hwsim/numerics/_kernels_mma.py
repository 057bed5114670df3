"""Compiled loops of the fused dot product (numba).

A fused dot product aligns exact products to the largest exponent and cuts each at a fixed bit. Every quantity in it is
a small integer times a power of two, so float64 carries all of it exactly: a product has at most 24 significant bits,
a sum of aligned terms stays below 2**50, and exponents stay within +-700. Alignment is then one multiplication by a
power of two, and the cut one truncation toward zero. Lanes run over the columns of a tile. Tiles are independent of
each other, so no result depends on the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hwsim.numerics._kernels_codes import TILE_M, TILE_N, read, read_tile, write_tile


class Rule(NamedTuple):
    """A `FusedUnit` as the loops read it.

    Attributes:
        order: int64, the K indices of one instruction in the order in which they are summed.
        steps: products summed at once, a multiple of 4 that divides ``order.size``.
        block, group: elements that share a scale; elements whose exact dot product is one term (1: none).
        least_a, least_b, least_c, least_addend, least_scale: power of two at which subnormals of each stay
            (least_addend: those of c in the first step).
        fraction_bits: bits kept below the largest exponent.
        floor: the power of two that a zero term counts as.
        mode: RZ_FP32, RZ_E8M13 or RNE_FP16.
        apart: each instruction starts from zero and is added to c afterwards in the accumulator's type, nearest even.
    """

    order: NDArray[np.int64]
    steps: int
    block: int
    group: int
    least_a: float
    least_b: float
    least_c: float
    least_addend: float
    least_scale: float
    fraction_bits: int
    floor: float
    mode: int
    apart: bool


RZ_FP32 = 0
RZ_E8M13 = 1
RNE_FP16 = 2

_EXPONENT_BITS = 0x7FF0000000000000
_CUT_FP32 = ~((1 << 29) - 1)
_CUT_E8M13 = ~((1 << 39) - 1)
_TO_INTEGER = 1.5 * 2.0**52  # adding and subtracting it rounds to an integer, ties to even


@njit(cache=True, nogil=True, error_model="numpy")
def _panel(operand: Any, row0: int, rows: int, k0: int, ks: Any, least: float, rule: Any, out: Any) -> bool:
    """Decode ``rows`` rows and the K indices ``k0 + ks`` of an operand into k-major panels.

    out[0] holds the number times its block scale (grouped terms are scaled later), non-finite ones as zero; out[1] its
    power of two as the unit sees it (subnormals at the least exponent, zero as 0); out[2] the scaled number with its
    infinities and NaNs. Returns True where one is not finite.
    """
    codes, reader, scale, scales = operand
    value, power, raw = out[0], out[1], out[2]
    width = codes.shape[1] // reader.size
    special = False
    for k in range(ks.size):
        kk = k0 + ks[k]
        if kk >= width:
            value[k, :rows] = 0.0
            power[k, :rows] = 0.0
            raw[k, :rows] = 0.0
            continue
        column = kk // rule.block
        for j in range(rows):
            raw[k, j] = read(codes, reader, row0 + j, kk)
        raw_bits = raw[k].view(np.int64)
        power_bits = power[k].view(np.int64)
        for j in range(rows):
            power_bits[j] = raw_bits[j] & _EXPONENT_BITS
        for j in range(rows):
            x = raw[k, j]
            s = scales[scale[row0 + j, column]]
            scaled = x * s
            finite = scaled - scaled == 0.0
            p = power[k, j]
            p = p if p > least else least
            gain = s if rule.group == 1 else 1.0
            value[k, j] = x * gain if finite else 0.0
            power[k, j] = p * gain if (finite and x != 0.0) else 0.0
            raw[k, j] = scaled
            special |= not finite
    return special


@njit(cache=True, nogil=True, error_model="numpy")
def _align_products(a: Any, b: Any, m: int, fraction_bits: int, top: Any, scale: Any, total: Any) -> None:
    """total[j] += the sum over k of trunc(a * b * scale[j]), once top[j] is raised to the largest product's power.

    scale[j] becomes 2**fraction_bits / top[j].
    """
    av, ap, bv, bp = a[0], a[1], b[0], b[1]
    n = total.size
    for k in range(0, av.shape[0], 4):
        p0, p1, p2, p3 = ap[k, m], ap[k + 1, m], ap[k + 2, m], ap[k + 3, m]
        b0, b1, b2, b3 = bp[k], bp[k + 1], bp[k + 2], bp[k + 3]
        for j in range(n):
            e0 = p0 * b0[j]
            e1 = p1 * b1[j]
            e2 = p2 * b2[j]
            e3 = p3 * b3[j]
            e0 = e0 if e0 > e1 else e1
            e2 = e2 if e2 > e3 else e3
            e0 = e0 if e0 > e2 else e2
            t = top[j]
            top[j] = e0 if e0 > t else t
    _invert(top, fraction_bits, scale)
    for k in range(0, av.shape[0], 4):
        x0, x1, x2, x3 = av[k, m], av[k + 1, m], av[k + 2, m], av[k + 3, m]
        b0, b1, b2, b3 = bv[k], bv[k + 1], bv[k + 2], bv[k + 3]
        for j in range(n):
            s = scale[j]
            t0 = np.trunc(x0 * b0[j] * s) + np.trunc(x1 * b1[j] * s)
            t1 = np.trunc(x2 * b2[j] * s) + np.trunc(x3 * b3[j] * s)
            total[j] += t0 + t1


@njit(cache=True, nogil=True, error_model="numpy")
def _invert(power: Any, fraction_bits: int, out: Any) -> None:
    """out = 2**fraction_bits / power for powers of two, by their exponent fields."""
    power_bits, out_bits = power.view(np.int64), out.view(np.int64)
    for j in range(power.size):
        out_bits[j] = ((2046 + fraction_bits) << 52) - power_bits[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _align_groups(
    a: Any, b: Any, a_scale: Any, b_scale: Any, m: int, group: int, fraction_bits: int, top: Any, scale: Any, total: Any
) -> None:
    """As _align_products, for terms that are exact dot products aligned by the exponents of their scales.

    a_scale, b_scale: panels [value, power of two][group of the step][row or column of the tile].
    """
    n = total.size
    terms = a.shape[1] // group
    dot = np.zeros((terms, n))
    for g in range(terms):
        size = scale  # not needed for its own purpose before every group is known
        size[:] = 0.0
        d = dot[g]
        for k in range(g * group, (g + 1) * group):
            x, p = a[0, k, m], a[1, k, m]
            y, q = b[0, k], b[1, k]
            for j in range(n):
                d[j] += x * y[j]
                size[j] += p * q[j]
        p = a_scale[1, g, m]
        q = b_scale[1, g]
        for j in range(n):
            e = p * q[j] if size[j] > 0.0 else 0.0
            top[j] = e if e > top[j] else top[j]
    _invert(top, fraction_bits, scale)
    for g in range(terms):
        s = a_scale[0, g, m]
        d = dot[g]
        q = b_scale[0, g]
        for j in range(n):
            total[j] += np.trunc(d[j] * (s * q[j]) * scale[j])


@njit(cache=True, nogil=True, error_model="numpy")
def _round(v: Any, part: Any, mode: int) -> None:
    """Round v in place: to FP32 or E8M13 toward zero, or to FP16, nearest even. Overflow is infinite, zero is +0.

    ``part`` is scratch of the same size.
    """
    bits, cut = v.view(np.int64), part.view(np.int64)
    n = v.size
    if mode == RNE_FP16:
        for j in range(n):
            cut[j] = bits[j] & _EXPONENT_BITS
        for j in range(n):
            x = v[j]
            ulp = (part[j] if part[j] > 2.0**-14 else 2.0**-14) * 2.0**-10
            r = ((x / ulp + _TO_INTEGER) - _TO_INTEGER) * ulp
            r = np.inf if x >= 65520.0 else r
            v[j] = (-np.inf if x <= -65520.0 else r) + 0.0
        return
    mask = _CUT_FP32 if mode == RZ_FP32 else _CUT_E8M13
    up = 2.0**149 if mode == RZ_FP32 else 2.0**139
    down = 1.0 / up
    ordinary = True
    for j in range(n):
        size = abs(v[j])
        ordinary &= (size == 0.0) | ((size >= 2.0**-126) & (size < 2.0**128))
    for j in range(n):
        cut[j] = bits[j] & mask
    if ordinary:
        for j in range(n):
            v[j] = part[j] + 0.0
        return
    for j in range(n):
        x = v[j]
        r = np.trunc(x * up) * down if abs(x) < 2.0**-126 else part[j]
        r = np.inf if x >= 2.0**128 else r
        v[j] = (-np.inf if x <= -(2.0**128) else r) + 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _add_specials(araw: Any, braw: Any, m: int, total: Any) -> None:
    """total = the IEEE sum of the products: NaN or infinite exactly where a special operand makes it so."""
    total[:] = 0.0
    for k in range(araw.shape[0]):
        x = araw[k, m]
        b = braw[k]
        for j in range(total.size):
            total[j] += x * b[j]


@njit(inline="always", error_model="numpy")  # one caller: compiled with it, not twice
def _step(
    a: Any, b: Any, a_scale: Any, b_scale: Any, special: bool, least: float, rule: Any, acc: Any, work: Any
) -> None:
    """One fused step on a tile: acc[m, n] = round(acc + sum of the panel's products).

    least: power of two at which subnormals of acc stay; work: scratch [4, n].
    """
    rows, n = acc.shape
    top, scale, total, result = work[0, :n], work[1, :n], work[2, :n], work[3, :n]
    top_bits = top.view(np.int64)
    floor, fraction_bits = rule.floor, rule.fraction_bits
    for m in range(rows):
        c = acc[m]
        c_bits = c.view(np.int64)
        finite = True
        for j in range(n):
            top_bits[j] = c_bits[j] & _EXPONENT_BITS
        for j in range(n):
            x = c[j]
            e = top[j] if top[j] > least else least
            top[j] = floor if x == 0.0 else e
            finite &= x - x == 0.0
            total[j] = 0.0
            result[j] = x
        if not finite:
            for j in range(n):
                if c[j] - c[j] != 0.0:
                    top[j] = floor
                    result[j] = 0.0
        if rule.group > 1:
            _align_groups(a, b, a_scale, b_scale, m, rule.group, fraction_bits, top, scale, total)
        else:
            _align_products(a, b, m, fraction_bits, top, scale, total)
        for j in range(n):
            result[j] = total[j] + np.trunc(result[j] * scale[j])
        _invert(scale, 0, top)
        for j in range(n):
            result[j] *= top[j]
        _round(result, scale, rule.mode)
        if special:
            _add_specials(a[2], b[2], m, total)
            for j in range(n):
                x = total[j] + c[j]
                c[j] = result[j] if x - x == 0.0 else x
        elif finite:
            for j in range(n):
                c[j] = result[j]
        else:
            for j in range(n):
                c[j] = result[j] if c[j] - c[j] == 0.0 else c[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _add_apart(kept: Any, chain: Any, work: Any, mode: int) -> None:
    """kept[j] += chain[j] in the accumulator's type, nearest even; chain[j] = 0. Both hold values of that type."""
    n = kept.shape[0]
    total = work[0, :n]
    for j in range(n):
        # two FP16 numbers add without error in binary64, so that one rounding is left
        total[j] = kept[j] + chain[j] if mode == RNE_FP16 else np.float32(kept[j]) + np.float32(chain[j])
        kept[j] = total[j]
        chain[j] = 0.0
    if mode == RNE_FP16:
        _round(total, work[1, :n], mode)
        for j in range(n):
            kept[j] = total[j] if kept[j] - kept[j] == 0.0 else kept[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _scale_panel(operand: Any, row0: int, rows: int, k0: int, rule: Any, out: Any) -> None:
    """Block scales of each group from K index k0: out[0] the value (non-finite as zero), out[1] its power of two."""
    _, _, scale, scales = operand
    for g in range(out.shape[1]):
        value, power = out[0, g], out[1, g]
        bits = power.view(np.int64)
        column = min((k0 + g * rule.group) // rule.block, scale.shape[1] - 1)
        for j in range(rows):
            x = scales[scale[row0 + j, column]]
            value[j] = x if x - x == 0.0 else 0.0
            power[j] = value[j]
        for j in range(rows):
            bits[j] = bits[j] & _EXPONENT_BITS
        for j in range(rows):
            p = power[j] if power[j] > rule.least_scale else rule.least_scale
            power[j] = p if value[j] != 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def fused_matmul(
    a: Any,
    b: Any,
    acc: Any,
    a_reader: Any,
    b_reader: Any,
    reader: Any,
    nan: int,
    a_scale: Any,
    b_scale: Any,
    scales: Any,
    rule: Any,
    first: int,
    last: int,
) -> int:
    """acc[m, n] += the truncated fused dot products of a[m, :] and b[n, :], instruction after instruction.

    Args:
        a, b: bytes of the operands' codes, [M, K * size] and [N, K * size], read by ``a_reader`` and ``b_reader``.
        acc: bytes of c, [M, N * size], and afterwards of d; read by ``reader``; ``nan`` are the bits of a NaN in d.
        a_scale, b_scale: scale codes [M, ceil(K / block)] and [N, ceil(K / block)], zeros where the unit has none.
        scales: float64, the value of each scale code ([1.0] where the unit has none).
        rule: the unit's `Rule`.
        first, last: tiles to compute, of ceil(M / TILE_M) * ceil(N / TILE_N), row by row.

    Returns:
        0, as `threads.split` expects.
    """
    across = (b.shape[0] + TILE_N - 1) // TILE_N
    left, right = (a, a_reader, a_scale, scales), (b, b_reader, b_scale, scales)
    steps, terms = rule.steps, rule.steps // rule.group
    ap, bp = np.empty((3, steps, TILE_M)), np.empty((3, steps, TILE_N))
    asp, bsp = np.empty((2, terms, TILE_M)), np.empty((2, terms, TILE_N))
    work = np.empty((4, TILE_N))
    for tile in range(first, last):
        m0, n0 = tile // across * TILE_M, tile % across * TILE_N
        rows, cols = min(TILE_M, a.shape[0] - m0), min(TILE_N, b.shape[0] - n0)
        kept = np.empty((rows, cols))
        read_tile(acc, reader, m0, n0, kept)
        chain = np.zeros((rows, cols)) if rule.apart else kept
        for k0 in range(0, a.shape[1] // a_reader.size, rule.order.size):
            for done in range(0, rule.order.size, steps):
                ks = rule.order[done : done + steps]
                special = _panel(left, m0, rows, k0, ks, rule.least_a, rule, ap)
                special |= _panel(right, n0, cols, k0, ks, rule.least_b, rule, bp)
                if rule.group > 1:
                    _scale_panel(left, m0, rows, k0 + done, rule, asp)
                    _scale_panel(right, n0, cols, k0 + done, rule, bsp)
                least = rule.least_addend if k0 + done == 0 else rule.least_c
                _step(ap, bp, asp, bsp, special, least, rule, chain, work)
            if rule.apart:
                for m in range(rows):
                    _add_apart(kept[m], chain[m], work, rule.mode)
        write_tile(acc, reader.size, nan, m0, n0, kept)
    return 0
