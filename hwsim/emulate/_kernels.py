"""Hot loops of the emulator: im2col, pooling on codes, requantization of sums. One pass each, no temporaries."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

_FIXED_BITS = 31


@njit(cache=True, parallel=True, nogil=True)
def im2col(x, kh, kw, stride, pads, dilation, fill, out):  # type: ignore[no-untyped-def]
    """x [n, h, w, c] -> out [n * oh * ow, kh * kw * c]; padding holds ``fill``."""
    n, h, w, c = x.shape
    oh = (h + pads[0] + pads[2] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (w + pads[1] + pads[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    for row in prange(n * oh):
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


@njit(cache=True, parallel=True, nogil=True)
def max_pool(x, rank, code_of, kernel, stride, pads, out):  # type: ignore[no-untyped-def]
    """Codes [n, h, w, c] -> codes [n, oh, ow, c] of each window's greatest value; ``rank`` orders codes by value."""
    n, h, w, c = x.shape
    oh, ow = out.shape[1], out.shape[2]
    for row in prange(n * oh):
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


@njit(cache=True, parallel=True, nogil=True)
def requantize_float(acc, low, high, factor, zero, least, code_of, out):  # type: ignore[no-untyped-def]
    """Codes of rint(float32(clamp(acc)) * factor) + zero, saturated; ``code_of[q - least]`` is q's code."""
    rows, cols = acc.shape
    most = least + code_of.size - 1
    for r in prange(rows):
        for j in range(cols):
            a = min(max(acc[r, j], low[j]), high[j])
            q = np.rint(np.float32(a) * factor[j]) + np.float32(zero)
            q = min(max(q, np.float32(least)), np.float32(most))
            out[r, j] = code_of[np.int64(q) - least]


@njit(cache=True, parallel=True, nogil=True)
def requantize_fixed(acc, low, high, multiplier, shift, zero, least, code_of, out):  # type: ignore[no-untyped-def]
    """Codes of ((clamp(acc) * multiplier + 2^(shift-1)) >> shift) + zero, saturated (round half up, 64-bit product)."""
    rows, cols = acc.shape
    most = least + code_of.size - 1
    for r in prange(rows):
        for j in range(cols):
            a = np.int64(min(max(acc[r, j], low[j]), high[j]))
            q = ((a * multiplier[j] + (np.int64(1) << (shift[j] - 1))) >> shift[j]) + zero
            out[r, j] = code_of[min(max(q, np.int64(least)), np.int64(most)) - least]


@njit(cache=True, parallel=True, nogil=True)
def scale_sums(acc, factor, bias, low, high, out):  # type: ignore[no-untyped-def]
    """out = clamp(float32(acc) * factor + bias), float32, one rounding each step."""
    rows, cols = acc.shape
    for r in prange(rows):
        for j in range(cols):
            y = np.float32(acc[r, j]) * factor[j]
            y = y + bias[j]
            out[r, j] = min(max(y, low), high)
