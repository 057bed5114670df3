# mypy: disable-error-code="assignment"
"""The one rounding of every encoding, in float64 bit arithmetic, for every mode: exact for float32 and float64 inputs.

float32 inputs widen to float64 without loss, so one body serves both and nothing rounds twice. `_kernels_fast` holds
the shortcuts for float32 and nearest-even; the tests hold them equal to this file.

Each kernel walks runs ``first..last`` (see `geometry.Runs`), divides by the run's scale and returns a status whose bits
say what it met and was told to refuse.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

SAW_NAN, SAW_OVERFLOW, SAW_NEGATIVE_ZERO, SAW_ZERO, SAW_NEGATIVE = 1, 2, 4, 8, 16

NEAREST_EVEN, NEAREST_AWAY, TOWARD_ZERO, UP, DOWN, STOCHASTIC = range(6)
SATURATE, WRAP, TO_NAN, TO_INF, REFUSE = range(5)
NEGATIVE_OVERFLOWS, NEGATIVE_MAGNITUDE, NEGATIVE_NAN, NEGATIVE_REFUSED = range(4)
REFUSED, PAYLOAD = -1, -2  # instead of a code

_INF = 0x7FF0000000000000
_FRACTION = (1 << 52) - 1


class FloatSpec(NamedTuple):
    """A floating-point format and its options as plain integers (see `options.float_spec`)."""

    rounding: int
    overflow: int
    signed: int
    sign_bit: int  # code of the sign bit
    mantissa_bits: int
    first_exponent: int  # binary64 exponent field of magnitude code 1 << mantissa_bits
    offset: int  # subtracted from magnitude codes: 1 in formats without zero, else 0
    max_code: int  # greatest finite magnitude code, before the offset
    infinity: int
    overflow_positive: int  # code that overflow gives, unless refused
    overflow_negative: int
    nan_positive: int  # code, REFUSED or PAYLOAD
    nan_negative: int
    zero: int  # code or REFUSED
    minus_zero: int  # code of an input -0, or REFUSED
    underflow: int  # code of a negative input that rounds to zero, or REFUSED
    negative: int  # unsigned formats: what a negative input does


class IntSpec(NamedTuple):
    """An integer format and its options as plain numbers (see `options.int_spec`)."""

    rounding: int
    overflow: int
    minimum: float
    maximum: float
    modulus: float
    multiplier: float  # 2**fraction_bits
    offset: int  # added to the integer before masking
    mask: int
    sign_bit: int  # sign-magnitude: code of the sign bit, else 0
    bipolar: int
    nan_positive: int
    nan_negative: int
    minus_zero: int
    underflow: int


class TableSpec(NamedTuple):
    """A table format's options as plain integers (see `options.table_spec`)."""

    rounding: int
    overflow: int
    symmetric: int
    sign_bit: int
    nan_positive: int
    nan_negative: int
    minus_zero: int
    underflow: int


@njit(inline="always", error_model="numpy")
def _float_code(x, random, s):  # type: ignore[no-untyped-def]
    """Code of one float64 and its status."""
    bits = np.float64(x).view(np.int64)
    negative = bits < 0
    a = bits & 0x7FFFFFFFFFFFFFFF
    if a > _INF:
        code = s.nan_negative if negative else s.nan_positive
        if code == PAYLOAD:
            payload = (a & _FRACTION) >> (52 - s.mantissa_bits)
            code = s.infinity | (1 << (s.mantissa_bits - 1)) | payload | (s.sign_bit if negative else 0)
        if code < 0:
            return 0, SAW_NAN
        return code, 0
    if a == 0:
        code = s.minus_zero if negative else s.zero
        if code < 0:
            return 0, SAW_NEGATIVE_ZERO if negative and s.zero >= 0 else SAW_ZERO
        return code, 0
    if negative and s.signed == 0:
        if s.negative == NEGATIVE_REFUSED:
            return 0, SAW_NEGATIVE
        if s.negative == NEGATIVE_NAN:
            return s.nan_negative, 0
        if s.negative == NEGATIVE_MAGNITUDE:
            negative = False
    exponent = a >> 52
    significand = a & _FRACTION
    if exponent == 0:
        exponent = 1
    else:
        significand |= 1 << 52
    below = max(s.first_exponent - exponent, 0)
    shift = 52 - s.mantissa_bits + below
    if shift > 62:  # far below the smallest number: keep a sticky bit, so that directed modes still see it
        drop = shift - 62
        significand = (significand >> drop) | 1 if drop < 54 else 1
        shift = 62
    rest = significand & ((1 << shift) - 1)
    code = (significand >> shift) + ((max(exponent, s.first_exponent) - s.first_exponent) << s.mantissa_bits)
    half = 1 << (shift - 1)
    if s.rounding == NEAREST_EVEN:
        increment = rest > half or (rest == half and ((code + s.offset) & 1) == 1)
    elif s.rounding == NEAREST_AWAY:
        increment = rest >= half
    elif s.rounding == TOWARD_ZERO:
        increment = False
    elif s.rounding == UP:
        increment = rest > 0 and not negative
    elif s.rounding == DOWN:
        increment = rest > 0 and negative
    else:
        fraction = rest >> (shift - 32) if shift >= 32 else rest << (32 - shift)
        increment = fraction + random >= 1 << 32
    if increment:
        code += 1
    if code == 0 and s.offset == 0:
        if negative and s.signed != 0:
            code = s.underflow
            if code < 0:
                return 0, SAW_NEGATIVE_ZERO
            return code, 0
        return 0, 0
    if negative and s.signed == 0:  # a magnitude below the range of an unsigned format
        if s.overflow == REFUSE:
            return 0, SAW_OVERFLOW
        return s.overflow_negative, 0
    if code > s.max_code or a == _INF:
        if s.overflow == REFUSE:
            return 0, SAW_OVERFLOW
        inward = s.rounding == TOWARD_ZERO or (s.rounding == UP and negative) or (s.rounding == DOWN and not negative)
        if inward and a != _INF:
            return s.max_code - s.offset + (s.sign_bit if negative else 0), 0
        return s.overflow_negative if negative else s.overflow_positive, 0
    code = max(code - s.offset, 0)
    return code + (s.sign_bit if negative else 0), 0


@njit(inline="always", error_model="numpy")
def _round_integer(y, random, rounding):  # type: ignore[no-untyped-def]
    """``y`` rounded to an integer, as float64; exact, since y - trunc(y) is."""
    whole = np.trunc(y)
    rest = abs(y - whole)
    if rest == 0.0:
        return whole
    if rounding == NEAREST_EVEN:
        return np.rint(y)
    if rounding == NEAREST_AWAY:
        outward = rest >= 0.5
    elif rounding == TOWARD_ZERO:
        outward = False
    elif rounding == UP:
        outward = y > 0
    elif rounding == DOWN:
        outward = y < 0
    else:
        outward = np.int64(rest * 4294967296.0) + random >= 1 << 32
    if outward:
        return whole + (1.0 if y > 0 else -1.0)
    return whole


@njit(inline="always", error_model="numpy")
def _int_code(y, zero_point, random, s):  # type: ignore[no-untyped-def]
    """Code of one float64 (already divided by its scale) and its status."""
    if np.isnan(y):
        code = s.nan_negative if np.float64(y).view(np.int64) < 0 else s.nan_positive
        if code < 0:
            return 0, SAW_NAN
        return code, 0
    if s.bipolar != 0:
        if s.overflow == REFUSE and abs(y) > 1.0:
            return 0, SAW_OVERFLOW
        if s.rounding == UP:
            return np.int64(y > -1.0), 0
        if s.rounding == DOWN:
            return np.int64(y >= 1.0), 0
        if s.rounding == STOCHASTIC:
            clipped = min(max(y, -1.0), 1.0)
            return np.int64(np.int64((clipped + 1.0) * 2147483648.0) + random >= 1 << 32), 0
        return np.int64(y >= 0.0), 0
    y = y * s.multiplier
    q = _round_integer(y, random, s.rounding) + zero_point
    status = 0
    if q < s.minimum or q > s.maximum:
        if s.overflow == REFUSE:
            status = SAW_OVERFLOW
        elif s.overflow == WRAP and not np.isinf(q):
            q = np.fmod(q, s.modulus)
        elif s.overflow == WRAP:
            if s.nan_positive < 0:
                return 0, SAW_OVERFLOW
            return s.nan_negative if q < 0 else s.nan_positive, 0
        else:
            q = min(max(q, s.minimum), s.maximum)
        if status != 0:
            return 0, status
    whole = np.int64(q)
    if s.sign_bit != 0:
        if whole == 0 and np.float64(y).view(np.int64) < 0:
            code = s.minus_zero if y == 0.0 else s.underflow
            if code < 0:
                return 0, SAW_NEGATIVE_ZERO
            return code, 0
        return (s.sign_bit - whole if whole < 0 else whole), 0
    return (whole + s.offset) & s.mask, 0


@njit(inline="always", error_model="numpy")
def _table_code(y, random, s, values, codes, thresholds):  # type: ignore[no-untyped-def]
    """Code of one float64 among sorted values, and its status."""
    bits = np.float64(y).view(np.int64)
    negative = bits < 0
    if np.isnan(y):
        code = s.nan_negative if negative else s.nan_positive
        if code < 0:
            return 0, SAW_NAN
        return code, 0
    sign = 0
    magnitude = y
    if s.symmetric != 0 and negative:
        sign = s.sign_bit
        magnitude = -y
    last = len(values) - 1
    if s.overflow == REFUSE and (magnitude > values[last] or magnitude < values[0]):
        return 0, SAW_OVERFLOW
    index = 0
    if s.rounding == NEAREST_EVEN or s.rounding == NEAREST_AWAY:
        for t in range(last):
            index += np.int64(magnitude > thresholds[t])
    else:
        for t in range(1, last + 1):
            index += np.int64(magnitude >= values[t])
        if index < last and magnitude > values[index]:
            low, high = values[index], values[index + 1]
            if s.rounding == TOWARD_ZERO:
                outward = magnitude < 0 and s.symmetric == 0
            elif s.rounding == UP:
                outward = sign == 0
            elif s.rounding == DOWN:
                outward = sign != 0
            else:
                away = magnitude - low if magnitude > 0 else high - magnitude  # away from zero, as everywhere
                outward = (np.int64(away / (high - low) * 4294967296.0) + random >= 1 << 32) == (magnitude > 0)
            if outward:  # to the higher entry
                index += 1
    code = codes[index]
    if sign != 0:
        if values[index] == 0.0:
            code = s.minus_zero if y == 0.0 else s.underflow
            if code < 0:
                return 0, SAW_NEGATIVE_ZERO
            return code, 0
        code |= sign
    return code, 0


@njit(cache=True, nogil=True, error_model="numpy")
def encode_float(x, scale, random, out, g, s, first, last):  # type: ignore[no-untyped-def]
    """Floating-point codes of x / scale."""
    status = 0
    random_step = np.int64(len(random) > 1)
    for r in range(first, last):
        p = r % g.runs_per_group
        start = (r // g.runs_per_group) * g.group + p * g.length
        stop = min(start + g.length, (r // g.runs_per_group + 1) * g.group)
        base = (r // g.runs_per_group) * g.scale_group + (p // g.divisor) * g.scale_run
        for i in range(start, stop):
            y = np.float64(x[i] / scale[base + (i - start) * g.scale_step])
            code, met = _float_code(y, np.int64(random[i * random_step]), s)
            out[i] = code
            status |= met
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def encode_int(x, scale, zero_point, random, out, g, s, first, last):  # type: ignore[no-untyped-def]
    """Integer codes of round(x / scale) + zero_point, one zero point a scale."""
    status = 0
    random_step = np.int64(len(random) > 1)
    for r in range(first, last):
        p = r % g.runs_per_group
        start = (r // g.runs_per_group) * g.group + p * g.length
        stop = min(start + g.length, (r // g.runs_per_group + 1) * g.group)
        base = (r // g.runs_per_group) * g.scale_group + (p // g.divisor) * g.scale_run
        for i in range(start, stop):
            k = base + (i - start) * g.scale_step
            y = np.float64(x[i] / scale[k])
            code, met = _int_code(y, np.float64(zero_point[k]), np.int64(random[i * random_step]), s)
            out[i] = code
            status |= met
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def encode_table(x, scale, random, out, values, codes, thresholds, g, s, first, last):  # type: ignore[no-untyped-def]
    """Codes of the table entries nearest to x / scale."""
    status = 0
    random_step = np.int64(len(random) > 1)
    for r in range(first, last):
        p = r % g.runs_per_group
        start = (r // g.runs_per_group) * g.group + p * g.length
        stop = min(start + g.length, (r // g.runs_per_group + 1) * g.group)
        base = (r // g.runs_per_group) * g.scale_group + (p // g.divisor) * g.scale_run
        for i in range(start, stop):
            y = np.float64(x[i] / scale[base + (i - start) * g.scale_step])
            code, met = _table_code(y, np.int64(random[i * random_step]), s, values, codes, thresholds)
            out[i] = code
            status |= met
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def take(codes, table, out, first, last):  # type: ignore[no-untyped-def]
    """Values of codes[first:last]; codes are below len(table)."""
    xs, values = codes[first:last], out[first:last]
    for i in range(len(xs)):
        values[i] = table[xs[i]]
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def dequantize(codes, table, scale, zero_point, out, g, first, last):  # type: ignore[no-untyped-def]
    """(table[code] - zero_point) * scale over runs first..last, one zero point a scale."""
    for r in range(first, last):
        group, p = r // g.runs_per_group, r % g.runs_per_group
        start = group * g.group + p * g.length
        stop = min(start + g.length, (group + 1) * g.group)
        base = group * g.scale_group + (p // g.divisor) * g.scale_run
        xs, values = codes[start:stop], out[start:stop]
        if g.scale_step == 0:
            factor, shift = scale[base], zero_point[base]
            for i in range(len(xs)):
                values[i] = (table[xs[i]] - shift) * factor
        else:
            factors, shifts = scale[base : base + stop - start], zero_point[base : base + stop - start]
            for i in range(len(xs)):
                values[i] = (table[xs[i]] - shifts[i]) * factors[i]
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def run_extremes(x, low, high, g, first, last):  # type: ignore[no-untyped-def]
    """Least and greatest of each run, where every run has its own scale; returns SAW_NAN where x holds NaN."""
    status = 0
    for r in range(first, last):
        group, p = r // g.runs_per_group, r % g.runs_per_group
        start = group * g.group + p * g.length
        xs = x[start : min(start + g.length, (group + 1) * g.group)]
        least = greatest = xs[0]
        nan = False
        for i in range(len(xs)):
            nan |= xs[i] != xs[i]
            least = min(least, xs[i])
            greatest = max(greatest, xs[i])
        low[r] = least
        high[r] = greatest
        if nan:
            status = SAW_NAN
    return status
