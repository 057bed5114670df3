"""Shortcuts for float32 inputs rounded to nearest even: branch-free bodies that compilers turn into SIMD code.

Equal to `_kernels` bit for bit (tests hold them so). Every integer is kept 32 bits wide on purpose: numba widens uint32
sums to 64 bits, which halves the vector width. Loops run over slices from 0: numba then drops its check for negative
indices, without which LLVM does not vectorise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

_U = np.uint32
_MAGNITUDE = np.uint32(0x7FFFFFFF)
_INF = np.uint32(0x7F800000)
_ZERO = np.uint32(0)
_PIECE = 4096  # elements between looks at whether any of them was special


class Bits32(NamedTuple):
    """A floating-point format whose codes fit in 16 bits, in binary32 terms.

    Where no input is above ``limit``, a short body serves (`_plain_code`); pieces with NaN, overflow that does not
    saturate, or zeros that need a decision (``plain`` is 0) take the whole one (`_bits_code`).
    """

    plain: np.uint32  # 1 where the short body may be used at all
    limit: np.uint32  # greatest magnitude, as a pattern, that the short body encodes
    cap: np.uint32  # pattern of the largest finite value
    sign: np.uint32  # code of the sign bit
    zero_sign: np.uint32  # what is left of it on a zero
    clamp: np.uint32  # binary32 pattern of the first power of two that overflows
    first: np.uint32  # binary32 pattern of the smallest normal number
    lift: np.uint32  # exponent step from a number to the constant that aligns its last kept bit
    drop: np.uint32  # 23 - mantissa bits
    max_code: np.uint32
    overflow_positive: np.uint32
    overflow_negative: np.uint32
    nan_positive: np.uint32
    nan_negative: np.uint32
    step: np.uint32  # code of one power of two: 1 << mantissa bits
    minus_zero: np.uint32
    underflow: np.uint32
    refuse_nan: np.uint32
    refuse_overflow: np.uint32
    refuse_negative_zero: np.uint32


class Levels(NamedTuple):
    """A signed 4-bit floating-point format: a magnitude's code is how many of seven limits it exceeds."""

    t0: np.float32
    t1: np.float32
    t2: np.float32
    t3: np.float32
    t4: np.float32
    t5: np.float32
    t6: np.float32
    nan_positive: np.uint32
    nan_negative: np.uint32
    minus_zero: np.uint32
    underflow: np.uint32
    refuse_nan: np.uint32
    refuse_negative_zero: np.uint32


class Whole32(NamedTuple):
    """A two's complement, unsigned or offset-binary integer format that saturates."""

    minimum: np.float32
    maximum: np.float32
    multiplier: np.float32
    offset: np.int32
    mask: np.int32
    nan_positive: np.int32
    nan_negative: np.int32
    refuse_nan: np.int32


@njit(inline="always", error_model="numpy")
def _bits_code(x, s):  # type: ignore[no-untyped-def]
    bits = np.float32(x).view(np.uint32)
    a = _U(bits & _MAGNITUDE)
    negative = bits > _MAGNITUDE
    clamped = min(a, s.clamp)
    exponent = max(_U(clamped & _INF), s.first)
    align = _U(exponent + s.lift)  # adding this power of two leaves exactly the kept bits, rounded to nearest even
    total = _U(clamped).view(np.float32) + _U(align).view(np.float32)
    magnitude = _U(_U(np.float32(total).view(np.uint32) - align) + _U(_U(_U(exponent - s.first) >> _U(23)) * s.step))
    over = magnitude > s.max_code
    code = _U(magnitude | (s.sign if negative else _ZERO))
    code = (s.overflow_negative if negative else s.overflow_positive) if over else code
    minus = a == _ZERO
    tiny = magnitude == _ZERO and negative
    code = (s.minus_zero if minus else s.underflow) if tiny else code
    nan = a > _INF
    code = (s.nan_negative if negative else s.nan_positive) if nan else code
    status = _U(
        (s.refuse_nan if nan else _ZERO)
        | (s.refuse_overflow if over and not nan else _ZERO)
        | (s.refuse_negative_zero if tiny else _ZERO)
    )
    return code, status


@njit(inline="always", error_model="numpy")
def _plain_code(bits, s):  # type: ignore[no-untyped-def]
    clamped = min(_U(bits & _MAGNITUDE), s.cap)
    exponent = max(_U(clamped & _INF), s.first)
    align = _U(exponent + s.lift)
    total = _U(clamped).view(np.float32) + _U(align).view(np.float32)
    code = _U(_U(np.float32(total).view(np.uint32) - align) + _U(_U(_U(exponent - s.first) >> _U(23)) * s.step))
    sign = s.zero_sign if code == _ZERO else s.sign
    return _U(code | (sign if bits > _MAGNITUDE else _ZERO))


@njit(inline="always", error_model="numpy")
def _level_code(x, s):  # type: ignore[no-untyped-def]
    bits = np.float32(x).view(np.uint32)
    a = abs(x)
    code = _U(
        _U(_U(a > s.t0) + _U(a > s.t1))
        + _U(_U(a > s.t2) + _U(a > s.t3))
        + _U(_U(a > s.t4) + _U(_U(a > s.t5) + _U(a > s.t6)))
    )
    negative = bits > _MAGNITUDE
    zero = s.minus_zero if a == np.float32(0) else s.underflow
    signed = zero if code == _ZERO else _U(code | _U(8))
    refused = s.refuse_negative_zero if negative and code == _ZERO else _ZERO
    code = signed if negative else code
    nan = x != x
    code = (s.nan_negative if negative else s.nan_positive) if nan else code
    return code, _U(s.refuse_nan if nan else refused)


@njit(inline="always", error_model="numpy")
def _whole_code(x, zero_point, s):  # type: ignore[no-untyped-def]
    y = np.float32(np.rint(np.float32(x * s.multiplier)) + zero_point)
    nan = y != y
    y = np.float32(0) if nan else min(max(y, s.minimum), s.maximum)
    code = np.int32(np.int32(np.int32(y) + s.offset) & s.mask)
    code = (s.nan_negative if np.float32(x).view(np.int32) < 0 else s.nan_positive) if nan else code
    return code, (s.refuse_nan if nan else np.int32(0))


@njit(cache=True, nogil=True, error_model="numpy")
def top_plain(x, out, s, first, last):  # type: ignore[no-untyped-def]
    """Codes of x[first:last] for formats that are the top bits of binary32 (bf16, tf32) and overflow to infinity."""
    status = _ZERO
    drop = s.drop & _U(31)  # a shift known to be short stays 32 bits wide
    half = _U((_U(1) << _U(drop - _U(1))) - _U(1))
    for start in range(first, last, _PIECE):
        stop = min(start + _PIECE, last)
        xs, codes = x[start:stop], out[start:stop]
        most = _ZERO
        for i in range(len(xs)):
            bits = np.float32(xs[i]).view(np.uint32)
            most = max(most, _U(bits & _MAGNITUDE))
            codes[i] = _U(_U(_U(bits + half) + _U(_U(bits >> drop) & _U(1))) >> drop)
        if most > _INF:
            status = _U(status | s.refuse_nan)
            for i in range(len(xs)):
                bits = np.float32(xs[i]).view(np.uint32)
                if _U(bits & _MAGNITUDE) > _INF:
                    codes[i] = s.nan_negative if bits > _MAGNITUDE else s.nan_positive
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def bits_plain(x, out, s, first, last):  # type: ignore[no-untyped-def]
    """Codes of x[first:last]."""
    status = _ZERO
    for start in range(first, last, _PIECE):
        stop = min(start + _PIECE, last)
        xs, codes = x[start:stop], out[start:stop]
        most = _U(0xFFFFFFFF)
        if s.plain != _ZERO:
            most = _ZERO
            for i in range(len(xs)):
                bits = np.float32(xs[i]).view(np.uint32)
                most = max(most, _U(bits & _MAGNITUDE))
                codes[i] = _plain_code(bits, s)
        if most > s.limit:
            for i in range(len(xs)):
                code, met = _bits_code(xs[i], s)
                codes[i] = code
                status = _U(status | met)
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def levels_plain(x, out, s, first, last):  # type: ignore[no-untyped-def]
    """Codes of x[first:last]."""
    status = _ZERO
    xs, codes = x[first:last], out[first:last]
    for i in range(len(xs)):
        code, met = _level_code(xs[i], s)
        codes[i] = code
        status = _U(status | met)
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def whole_plain(x, out, s, first, last):  # type: ignore[no-untyped-def]
    """Codes of x[first:last]."""
    status = np.int32(0)
    xs, codes = x[first:last], out[first:last]
    for i in range(len(xs)):
        code, met = _whole_code(xs[i], np.float32(0), s)
        codes[i] = code
        status = np.int32(status | met)
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def bits_scaled(x, scale, out, g, s, first, last):  # type: ignore[no-untyped-def]
    """Codes of x / scale over runs first..last."""
    status = _ZERO
    for r in range(first, last):
        group, p = r // g.runs_per_group, r % g.runs_per_group
        start = group * g.group + p * g.length
        stop = min(start + g.length, (group + 1) * g.group)
        base = group * g.scale_group + (p // g.divisor) * g.scale_run
        xs, codes = x[start:stop], out[start:stop]
        divisors = scale[base : base + (stop - start if g.scale_step != 0 else 1)]
        most = _U(0xFFFFFFFF)
        if s.plain != _ZERO:
            most = _ZERO
            if g.scale_step == 0:
                for i in range(len(xs)):
                    bits = np.float32(xs[i] / divisors[0]).view(np.uint32)
                    most = max(most, _U(bits & _MAGNITUDE))
                    codes[i] = _plain_code(bits, s)
            else:
                for i in range(len(xs)):
                    bits = np.float32(xs[i] / divisors[i]).view(np.uint32)
                    most = max(most, _U(bits & _MAGNITUDE))
                    codes[i] = _plain_code(bits, s)
        if most > s.limit:
            for i in range(len(xs)):
                code, met = _bits_code(xs[i] / divisors[i * g.scale_step], s)
                codes[i] = code
                status = _U(status | met)
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def levels_scaled(x, scale, out, g, s, first, last):  # type: ignore[no-untyped-def]
    """Codes of x / scale over runs first..last."""
    status = _ZERO
    for r in range(first, last):
        group, p = r // g.runs_per_group, r % g.runs_per_group
        start = group * g.group + p * g.length
        stop = min(start + g.length, (group + 1) * g.group)
        base = group * g.scale_group + (p // g.divisor) * g.scale_run
        xs, codes = x[start:stop], out[start:stop]
        if g.scale_step == 0:
            divisor = scale[base]
            for i in range(len(xs)):
                code, met = _level_code(xs[i] / divisor, s)
                codes[i] = code
                status = _U(status | met)
        else:
            divisors = scale[base : base + stop - start]
            for i in range(len(xs)):
                code, met = _level_code(xs[i] / divisors[i], s)
                codes[i] = code
                status = _U(status | met)
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def whole_scaled(x, scale, zero_point, out, g, s, first, last):  # type: ignore[no-untyped-def]
    """Codes of round(x / scale) + zero_point over runs first..last; one zero point a scale."""
    status = np.int32(0)
    for r in range(first, last):
        group, p = r // g.runs_per_group, r % g.runs_per_group
        start = group * g.group + p * g.length
        stop = min(start + g.length, (group + 1) * g.group)
        base = group * g.scale_group + (p // g.divisor) * g.scale_run
        xs, codes = x[start:stop], out[start:stop]
        if g.scale_step == 0:
            divisor = scale[base]
            shift = zero_point[base]
            for i in range(len(xs)):
                code, met = _whole_code(xs[i] / divisor, shift, s)
                codes[i] = code
                status = np.int32(status | met)
        else:
            divisors = scale[base : base + stop - start]
            shifts = zero_point[base : base + stop - start]
            for i in range(len(xs)):
                code, met = _whole_code(xs[i] / divisors[i], shifts[i], s)
                codes[i] = code
                status = np.int32(status | met)
    return status


class Cells(NamedTuple):
    """A table format: cells between thresholds, found by the top 16 bits of binary32, which hold one threshold at most.

    Negative numbers of a symmetric table have the second half of the cells, and are compared by magnitude.
    """

    start: np.ndarray  # uint8 [65536]: the cell in which numbers with these top bits begin
    limit: np.ndarray  # float32: greatest number of a cell
    code: np.ndarray  # uint8: code of a cell
    symmetric: np.uint32
    minus_zero: np.uint32
    nan_positive: np.uint32
    nan_negative: np.uint32
    refuse_nan: np.uint32


@njit(cache=True, nogil=True, error_model="numpy")
def cells_scaled(x, scale, out, g, s, first, last):  # type: ignore[no-untyped-def]
    """Codes of x / scale in a table over runs first..last."""
    status = _ZERO
    for r in range(first, last):
        group, p = r // g.runs_per_group, r % g.runs_per_group
        start = group * g.group + p * g.length
        stop = min(start + g.length, (group + 1) * g.group)
        base = group * g.scale_group + (p // g.divisor) * g.scale_run
        xs, codes = x[start:stop], out[start:stop]
        nan = False
        for i in range(len(xs)):
            y = np.float32(xs[i] / scale[base + i * g.scale_step])
            bits = np.float32(y).view(np.uint32)
            cell = np.int64(s.start[bits >> _U(16)])
            size = abs(y) if s.symmetric != _ZERO else y
            code = _U(s.code[cell + np.int64(size > s.limit[cell])])
            codes[i] = s.minus_zero if bits == _U(0x80000000) and s.symmetric != _ZERO else code
            nan |= y != y
        if nan:
            status = _U(status | s.refuse_nan)
            for i in range(len(xs)):
                y = np.float32(xs[i] / scale[base + i * g.scale_step])
                if y != y:
                    codes[i] = s.nan_negative if np.float32(y).view(np.uint32) > _MAGNITUDE else s.nan_positive
    return status
