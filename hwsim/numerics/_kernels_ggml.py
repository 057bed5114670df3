# mypy: disable-error-code="assignment"
"""GGML's block quantizers, step by step in float32 as ggml-quants.c takes them (sums run in order, nothing is fused).

``x`` is [blocks, block size]; ``codes`` has its shape. Threads share the blocks.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_F = np.float32
_ZERO = _F(0)
_EPSILON = _F(1e-15)  # IQ4_NL: a block below it is zero
_STEPS = 20  # Q4_K: ranges tried for each group


@njit(cache=True, nogil=True, error_model="numpy")
def quantize_q4_0(x, codes, scale, offset, first, last):  # type: ignore[no-untyped-def]
    """Scale: the first number of largest magnitude over -8."""
    for b in range(first, last):
        row, found = x[b], codes[b]
        largest, amax = row[0], _ZERO
        for i in range(len(row)):
            if abs(row[i]) > amax:
                amax = abs(row[i])
                largest = row[i]
        d = _F(largest / _F(-8))
        inverse = _F(_F(1) / d) if d != _ZERO else _ZERO
        scale[b] = d
        for i in range(len(row)):
            found[i] = np.int32(min(_F(_F(row[i] * inverse) + _F(8.5)), _F(15)))
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def quantize_q4_1(x, codes, scale, offset, first, last):  # type: ignore[no-untyped-def]
    """Scale: (max - min) / 15; offset: min."""
    for b in range(first, last):
        row, found = x[b], codes[b]
        least = greatest = row[0]
        for i in range(len(row)):
            least = min(least, row[i])
            greatest = max(greatest, row[i])
        d = _F(_F(greatest - least) / _F(15))
        inverse = _F(_F(1) / d) if d != _ZERO else _ZERO
        scale[b] = d
        offset[b] = least
        for i in range(len(row)):
            found[i] = np.int32(min(_F(_F(_F(row[i] - least) * inverse) + _F(0.5)), _F(15)))
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def quantize_q8_0(x, codes, scale, offset, first, last):  # type: ignore[no-untyped-def]
    """Scale: amax / 127; ties away from zero."""
    for b in range(first, last):
        row, found = x[b], codes[b]
        amax = _ZERO
        for i in range(len(row)):
            amax = max(amax, abs(row[i]))
        d = _F(amax / _F(127))
        inverse = _F(_F(1) / d) if d != _ZERO else _ZERO
        scale[b] = d
        for i in range(len(row)):
            y = _F(row[i] * inverse)
            whole = np.floor(abs(y))
            whole += np.floor(_F(2) * _F(abs(y) - whole))
            q = np.int32(whole)
            found[i] = np.uint8((-q if y < _ZERO else q) & 0xFF)
    return 0


@njit(inline="always", error_model="numpy")
def _nearest(y, values):  # type: ignore[no-untyped-def]
    """Index of the value nearest to y among 16 that ascend, ties to the upper."""
    if y <= values[0]:
        return 0
    if y >= values[15]:
        return 15
    low = 0
    for t in range(1, 15):
        low += np.int64(y >= values[t])
    return low if _F(y - values[low]) < _F(values[low + 1] - y) else low + 1


@njit(inline="always", error_model="numpy")
def _fit(row, values, inverse):  # type: ignore[no-untyped-def]
    """Sums of w*q*x and w*q*q, w = x*x, over a block whose numbers are divided by a trial scale."""
    cross, square = _ZERO, _ZERO
    for i in range(len(row)):
        q = values[_nearest(_F(inverse * row[i]), values)]
        w = _F(row[i] * row[i])
        cross = _F(cross + _F(_F(w * q) * row[i]))
        square = _F(square + _F(_F(w * q) * q))
    return cross, square


@njit(cache=True, nogil=True, error_model="numpy")
def quantize_iq4_nl(x, codes, scale, values, tries, first, last):  # type: ignore[no-untyped-def]
    """Scale: least squares, weighted by x*x, of the codes that a first scale gives; ``tries`` sets how many more."""
    for b in range(first, last):
        row, found = x[b], codes[b]
        largest, amax = _ZERO, _ZERO
        for i in range(len(row)):
            if abs(row[i]) > amax:
                amax = abs(row[i])
                largest = row[i]
        if amax < _EPSILON:
            scale[b] = _ZERO
            zero = _nearest(_ZERO, values) if tries > 0 else 0
            for i in range(len(row)):
                found[i] = zero
            continue
        d = _F(-largest / values[0]) if tries > 0 else _F(largest / values[0])
        inverse = _F(_F(1) / d)
        cross, square = _fit(row, values, inverse)
        d = _F(cross / square) if square > _ZERO else _ZERO
        best = _F(d * cross)
        for attempt in range(-tries, tries + 1):
            if tries <= 0:
                break
            trial = _F(_F(_F(attempt) + values[0]) / largest)
            cross, square = _fit(row, values, trial)
            if square > _ZERO and _F(cross * cross) > _F(best * square):
                d = _F(cross / square)
                best = _F(d * cross)
        scale[b] = d
        if tries > 0:
            inverse = _F(_F(1) / d) if d != _ZERO else _ZERO
        for i in range(len(row)):
            found[i] = _nearest(_F(inverse * row[i]), values)
    return 0


@njit(inline="always", error_model="numpy")
def _group(row, weights, found):  # type: ignore[no-untyped-def]
    """Scale, negated minimum and codes of one group of Q4_K: the best of 21 ranges in weighted squared error."""
    least = greatest = row[0]
    sum_w, sum_x = weights[0], _F(weights[0] * row[0])
    for i in range(1, len(row)):
        least = min(least, row[i])
        greatest = max(greatest, row[i])
        sum_w = _F(sum_w + weights[i])
        sum_x = _F(sum_x + _F(weights[i] * row[i]))
    least = min(least, _ZERO)
    if greatest == least:
        found[:] = 0
        return _ZERO, _F(-least)
    top = _F(15)
    steps = _F(top / _F(greatest - least))
    scale = _F(_F(1) / steps)
    best = _ZERO
    for i in range(len(row)):
        q = max(min(np.rint(_F(steps * _F(row[i] - least))), top), _ZERO)
        found[i] = np.int32(q)
        error = _F(_F(_F(scale * q) + least) - row[i])
        best = _F(best + _F(weights[i] * _F(error * error)))
    for step in range(_STEPS + 1):
        steps = _F(_F(_F(_F(-1) + _F(_F(0.1) * _F(step))) + top) / _F(greatest - least))
        sum_q, sum_qq, sum_xq = _ZERO, _ZERO, _ZERO
        for i in range(len(row)):
            q = max(min(np.rint(_F(steps * _F(row[i] - least))), top), _ZERO)
            wq = _F(weights[i] * q)
            sum_q = _F(sum_q + wq)
            sum_qq = _F(sum_qq + _F(wq * q))
            sum_xq = _F(sum_xq + _F(wq * row[i]))
        determinant = _F(_F(sum_w * sum_qq) - _F(sum_q * sum_q))
        if determinant > _ZERO:
            trial = _F(_F(_F(sum_w * sum_xq) - _F(sum_x * sum_q)) / determinant)
            low = _F(_F(_F(sum_qq * sum_x) - _F(sum_q * sum_xq)) / determinant)
            if low > _ZERO:
                low = _ZERO
                trial = _F(sum_xq / sum_qq)
            total = _ZERO
            for i in range(len(row)):
                q = max(min(np.rint(_F(steps * _F(row[i] - least))), top), _ZERO)
                error = _F(_F(_F(trial * q) + low) - row[i])
                total = _F(total + _F(weights[i] * _F(error * error)))
            if total < best:
                for i in range(len(row)):
                    found[i] = np.int32(max(min(np.rint(_F(steps * _F(row[i] - least))), top), _ZERO))
                best, scale, least = total, trial, low  # the next range starts from the new minimum, as theirs does
    return scale, _F(-least)


@njit(cache=True, nogil=True, error_model="numpy")
def groups_q4_k(x, codes, scale, minimum, first, last):  # type: ignore[no-untyped-def]
    """Scale, negated minimum and codes of each group of 32; ``x`` is [groups, 32]."""
    weights = np.empty(x.shape[1], np.float32)
    for b in range(first, last):
        row = x[b]
        total = _ZERO
        for i in range(len(row)):
            total = _F(total + _F(row[i] * row[i]))
        mean = np.sqrt(_F(total / _F(32)))
        for i in range(len(row)):
            weights[i] = _F(mean + abs(row[i]))
        scale[b], minimum[b] = _group(row, weights, codes[b])
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def codes_q4_k(x, codes, scale, minimum, first, last):  # type: ignore[no-untyped-def]
    """Codes under the stored scales and minima; a group whose stored scale is 0 keeps the codes that it has."""
    for b in range(first, last):
        row, found = x[b], codes[b]
        if scale[b] == _ZERO:
            continue
        for i in range(len(row)):
            q = np.rint(_F(_F(row[i] + minimum[b]) / scale[b]))
            found[i] = np.int32(max(min(q, _F(15)), _ZERO))
    return 0
