"""Hot loops of the emulator: im2col, pooling on codes, requantization of sums. One pass each, no temporaries.

Each kernel works on items ``first .. last`` and returns 0, as ``hwsim.numerics.threads.split`` expects; items are
independent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def im2col(
    x: Any,
    kh: int,
    kw: int,
    stride: Any,
    pads: Any,
    dilation: Any,
    fill: Any,
    size: Any,
    out: Any,
    first: int,
    last: int,
) -> int:
    """x [n, h, w, c] -> out [n * oh * ow, kh * kw * c] with size = (oh, ow); padding holds ``fill``."""
    _, h, w, c = x.shape
    oh, ow = size
    for row in range(first, last):
        image, y = row // oh, row % oh
        for xo in range(ow):
            target = out[row * ow + xo]
            for i in range(kh):
                yi = y * stride[0] - pads[0] + i * dilation[0]
                for j in range(kw):
                    xi = xo * stride[1] - pads[1] + j * dilation[1]
                    base = (i * kw + j) * c
                    if 0 <= yi < h and 0 <= xi < w:
                        for k in range(c):
                            target[base + k] = x[image, yi, xi, k]
                    else:
                        for k in range(c):
                            target[base + k] = fill
    return 0


@njit(cache=True, nogil=True)
def grouped_sums(
    x: Any,
    weight: Any,
    start: Any,
    kernel: Any,
    stride: Any,
    pads: Any,
    dilation: Any,
    size: Any,
    out: Any,
    first: int,
    last: int,
) -> int:
    """Integers x [n, h, w, c] and weight [kh * kw, o, c / groups] -> out [n * oh * ow, o], int32, from ``start`` [o].

    Padding adds nothing. Sums that leave int32 wrap.
    """
    _, h, w, c = x.shape
    _, o, each = weight.shape
    wide = o * each // c  # results that share a group's channels
    oh, ow = size
    for row in range(first, last):
        image, y = row // oh, row % oh
        for xo in range(ow):
            acc = out[row * ow + xo]
            acc[:] = start
            for i in range(kernel[0]):
                yi = y * stride[0] - pads[0] + i * dilation[0]
                if yi < 0 or yi >= h:
                    continue
                for j in range(kernel[1]):
                    xi = xo * stride[1] - pads[1] + j * dilation[1]
                    if xi < 0 or xi >= w:
                        continue
                    taken, taps = x[image, yi, xi], weight[i * kernel[1] + j]
                    if each == 1 and wide == 1:
                        for k in range(o):
                            acc[k] += taken[k] * taps[k, 0]
                    else:
                        for k in range(o):
                            base = k // wide * each
                            for p in range(each):
                                acc[k] += taken[base + p] * taps[k, p]
    return 0


@njit(cache=True, nogil=True)
def max_pool(
    x: Any, rank: Any, code_of: Any, kernel: Any, stride: Any, pads: Any, out: Any, first: int, last: int
) -> int:
    """Codes [n, h, w, c] -> codes [n, oh, ow, c] of each window's greatest value; ``rank`` orders codes by value."""
    _, h, w, c = x.shape
    oh, ow = out.shape[1], out.shape[2]
    for row in range(first, last):
        image, y = row // oh, row % oh
        for xo in range(ow):
            for k in range(c):
                best = np.int64(-1)
                for i in range(kernel[0]):
                    yi = y * stride[0] - pads[0] + i
                    if yi < 0 or yi >= h:
                        continue
                    for j in range(kernel[1]):
                        xi = xo * stride[1] - pads[1] + j
                        if 0 <= xi < w:
                            best = max(best, np.int64(rank[x[image, yi, xi, k]]))
                out[image, y, xo, k] = code_of[best]
    return 0


@njit(cache=True, nogil=True)
def requantize_float(
    acc: Any, low: Any, high: Any, factor: Any, zero: Any, least: Any, code_of: Any, out: Any, first: int, last: int
) -> int:
    """Codes of rint(float32(clamp(acc)) * factor) + zero, saturated; ``code_of[q - least]`` is q's code."""
    most = least + code_of.size - 1
    for r in range(first, last):
        for j in range(acc.shape[1]):
            a = min(max(acc[r, j], low[j]), high[j])
            q = np.rint(np.float32(a) * factor[j]) + np.float32(zero)
            q = min(max(q, np.float32(least)), np.float32(most))
            out[r, j] = code_of[np.int64(q) - least]
    return 0


@njit(cache=True, nogil=True)
def requantize_fixed(
    acc: Any,
    low: Any,
    high: Any,
    multiplier: Any,
    shift: Any,
    zero: Any,
    least: Any,
    code_of: Any,
    out: Any,
    first: int,
    last: int,
) -> int:
    """Codes of ((clamp(acc) * multiplier + 2^(shift-1)) >> shift) + zero, saturated (round half up, 64-bit product)."""
    most = least + code_of.size - 1
    for r in range(first, last):
        for j in range(acc.shape[1]):
            a = np.int64(min(max(acc[r, j], low[j]), high[j]))
            q = ((a * multiplier[j] + (np.int64(1) << (shift[j] - 1))) >> shift[j]) + zero
            out[r, j] = code_of[min(max(q, np.int64(least)), np.int64(most)) - least]
    return 0


@njit(cache=True, nogil=True)
def scale_sums(acc: Any, factor: Any, bias: Any, low: Any, high: Any, out: Any, first: int, last: int) -> int:
    """out = clamp(float32(acc) * factor + bias), float32, one rounding each step."""
    for r in range(first, last):
        for j in range(acc.shape[1]):
            y = np.float32(acc[r, j]) * factor[j]
            y = y + bias[j]
            out[r, j] = min(max(y, low), high)
    return 0
