# mypy: disable-error-code="assignment"
"""The one rounding of every encoding, in float64 bit arithmetic, for every mode: exact for float32 and float64 inputs.

float32 inputs widen to float64 without loss, so one body serves both and nothing rounds twice. `_kernels_fast` holds
the shortcuts for float32 and nearest-even; the tests hold them equal to this file.

Each kernel walks runs ``first..last`` (see `geometry.Runs`), divides by the run's scale and returns a status whose bits
say what it met and was told to refuse. Bodies choose by selects and not by branches: compilers make SIMD code of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

SAW_NAN, SAW_OVERFLOW, SAW_NEGATIVE_ZERO, SAW_ZERO, SAW_NEGATIVE = 1, 2, 4, 8, 16

NEAREST_EVEN, NEAREST_AWAY, TOWARD_ZERO, UP, DOWN, STOCHASTIC = range(6)
REFUSE = 4  # place of "error" among the overflow rules
NEGATIVE_OVERFLOWS, NEGATIVE_MAGNITUDE, NEGATIVE_NAN, NEGATIVE_REFUSED = range(4)
REFUSED, PAYLOAD = -1, -2  # instead of a code

_INF = 0x7FF0000000000000
_FRACTION = (1 << 52) - 1


class FloatSpec(NamedTuple):
    """A floating-point format and its options as plain integers (see `options.float_spec`)."""

    nearest: int
    away: int  # ties go away from zero
    up: int
    down: int
    stochastic: int
    refuse_overflow: int
    signed: int
    sign_bit: int  # code of the sign bit
    mantissa_bits: int
    first_exponent: int  # binary64 exponent field of magnitude code 1 << mantissa_bits
    offset: int  # subtracted from magnitude codes: 1 << mantissa_bits in formats without zero, else 0
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

    nearest: int
    away: int
    up: int
    down: int
    stochastic: int
    refuse_overflow: int
    wrap: int
    minimum: float
    maximum: float
    modulus: float
    multiplier: float  # 2**fraction_bits
    offset: int  # added to the integer before masking
    mask: int
    sign_bit: int  # sign-magnitude: code of the sign bit, else 0
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
    minus = bits < 0
    a = bits & 0x7FFFFFFFFFFFFFFF
    nan = a > _INF
    negative = minus and (s.negative != NEGATIVE_MAGNITUDE or s.signed != 0)
    below_range = negative and s.signed == 0
    exponent = a >> 52
    significand = (a & _FRACTION) | (np.int64(exponent > 0) << 52)
    exponent = max(exponent, np.int64(1))
    shift = 52 - s.mantissa_bits + max(s.first_exponent - exponent, 0)
    far = min(max(shift - 32, 0), 63)  # the cut-off part's first 32 bits: how far right, or left, they lie
    near = max(32 - shift, 0)
    shift = min(shift, 62)  # from there on nothing is kept, and the cut-off part is far below one half
    rest = significand & ((1 << shift) - 1)
    code = (significand >> shift) + ((max(exponent, s.first_exponent) - s.first_exponent) << s.mantissa_bits)
    half = 1 << (shift - 1)
    tie_up = s.away | ((code + s.offset) & 1)
    to_nearest = np.int64(rest > half) | (np.int64(rest == half) & tie_up)
    directed = np.int64(rest > 0) & (s.down if negative else s.up)
    by_chance = np.int64(((rest << near) >> far) + random >= 1 << 32)
    code += (s.nearest & to_nearest) | directed | (s.stochastic & by_chance)
    sign = s.sign_bit if negative else 0
    zero = code == 0 and s.offset == 0
    infinite = a == _INF
    over = code > s.max_code or infinite
    inward = (s.nearest | s.stochastic | (s.down if negative else s.up)) == 0 and not infinite
    beyond = s.overflow_negative if negative else s.overflow_positive
    beyond = s.max_code - s.offset + sign if inward else beyond
    result = beyond if over else max(code - s.offset, 0) + sign
    status = SAW_OVERFLOW if over and s.refuse_overflow != 0 else 0
    # Unsigned formats: a negative number that does not round to zero lies below the range.
    outside = s.nan_negative if s.negative == NEGATIVE_NAN else s.overflow_negative
    result = outside if below_range else result
    refused = SAW_OVERFLOW if s.negative == NEGATIVE_OVERFLOWS and s.refuse_overflow != 0 else 0
    refused = SAW_NEGATIVE if s.negative == NEGATIVE_REFUSED else refused
    status = refused if below_range else status
    tiny = s.underflow if negative and s.signed != 0 else 0
    small = zero and not (below_range and s.negative >= NEGATIVE_NAN)
    result = tiny if small else result
    status = (SAW_NEGATIVE_ZERO if tiny < 0 else 0) if small else status
    plain = s.minus_zero if minus else s.zero
    result = plain if a == 0 else result
    none = SAW_NEGATIVE_ZERO if minus and s.zero >= 0 else SAW_ZERO
    status = (none if plain < 0 else 0) if a == 0 else status
    special = s.nan_negative if minus else s.nan_positive
    payload = s.infinity | (1 << (s.mantissa_bits - 1)) | ((a & _FRACTION) >> (52 - s.mantissa_bits)) | sign
    special = payload if special == PAYLOAD else special
    result = special if nan else result
    status = (SAW_NAN if special < 0 else 0) if nan else status
    return result, status


@njit(inline="always", error_model="numpy")
def _int_code(y, zero_point, random, s):  # type: ignore[no-untyped-def]
    """Code of one float64 (already divided by its scale) and its status."""
    nan = y != y
    negative = np.float64(y).view(np.int64) < 0
    y = (0.0 if nan else y) * s.multiplier
    whole = np.trunc(y)
    rest = abs(y - whole)  # exact; NaN for infinities, which then compare as no fraction
    toward = s.down if y < 0 else s.up
    chance = np.int64((rest if rest < 1.0 else 0.0) * 4294967296.0) + random >= 1 << 32
    outward = (
        (s.away & np.int64(rest >= 0.5)) | (toward & np.int64(rest > 0.0)) | (s.stochastic & np.int64(chance))
    ) != 0
    q = whole + ((-1.0 if y < 0 else 1.0) if outward else 0.0)
    q = np.rint(y) if s.nearest != 0 and s.away == 0 else q
    q += zero_point
    infinite = abs(q) == np.inf
    over = q < s.minimum or q > s.maximum
    clipped = min(max(q, s.minimum), s.maximum)
    wrapped = q - np.floor(q / s.modulus) * s.modulus  # exact: the modulus is a power of two
    q = (wrapped if s.wrap != 0 and not infinite else clipped) if over else q
    integer = np.int64(q)
    code = (integer + s.offset) & s.mask
    magnitude = s.sign_bit - integer if integer < 0 else integer
    code = magnitude if s.sign_bit != 0 else code
    status = SAW_OVERFLOW if over and s.refuse_overflow != 0 else 0
    nowhere = infinite and s.wrap != 0
    special = s.nan_negative if negative else s.nan_positive
    special = special if nan or s.nan_positive >= 0 else REFUSED
    met = SAW_NAN if nan else SAW_OVERFLOW
    minus = integer == 0 and negative and s.sign_bit != 0
    nothing = s.minus_zero if y == 0.0 else s.underflow
    code = nothing if minus else code
    status = SAW_NEGATIVE_ZERO if minus and nothing < 0 else status
    code = special if nan or nowhere else code
    status = (met if special < 0 else 0) if nan or nowhere else status
    return code, status


@njit(inline="always", error_model="numpy")
def _bipolar_code(y, random, s):  # type: ignore[no-untyped-def]
    """Code of one float64 in {-1, +1}: 0 or 1, and its status."""
    clipped = min(max(y, -1.0), 1.0)
    chance = np.int64((clipped + 1.0) * 2147483648.0) + random >= 1 << 32
    code = np.int64(y >= 0.0)
    code = np.int64(y > -1.0) if s.up != 0 else code
    code = np.int64(y >= 1.0) if s.down != 0 else code
    code = np.int64(chance) if s.stochastic != 0 else code
    status = SAW_OVERFLOW if s.refuse_overflow != 0 and abs(y) > 1.0 else 0
    nan = y != y
    special = s.nan_negative if np.float64(y).view(np.int64) < 0 else s.nan_positive
    code = special if nan else code
    status = (SAW_NAN if special < 0 else 0) if nan else status
    return code, status


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
    nearest = s.rounding == NEAREST_EVEN or s.rounding == NEAREST_AWAY
    index = 0  # the last whose lower limit the number exceeds (nearest) or reaches
    step = 128
    while step > 0:
        probe = index + step
        if probe <= last and (magnitude > thresholds[probe - 1] if nearest else magnitude >= values[probe]):
            index = probe
        step >>= 1
    if not nearest and index < last and magnitude > values[index]:
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


_PIECE = 1024  # elements divided into a buffer before they are rounded: the buffers stay in the first-level cache


@njit(cache=True, nogil=True, error_model="numpy")
def _divide(x, scale, y, k, step):  # type: ignore[no-untyped-def]
    """x / scale[k] (or scale[k:], where each element has its own) in the precision of x, as float64."""
    if step == 0:
        divisor = scale[k]
        for i in range(len(x)):
            y[i] = np.float64(x[i] / divisor)
    else:
        divisors = scale[k : k + len(x)]
        for i in range(len(x)):
            y[i] = np.float64(x[i] / divisors[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _spread_zero_points(zero_point, shift, k, step):  # type: ignore[no-untyped-def]
    for i in range(len(shift)):
        shift[i] = zero_point[k + i * step]


@njit(cache=True, nogil=True, error_model="numpy")
def _float_codes(y, chance, found, s):  # type: ignore[no-untyped-def]
    status = 0
    for i in range(len(y)):
        code, met = _float_code(y[i], chance[i], s)
        found[i] = code
        status |= met
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def _int_codes(y, shift, chance, found, s):  # type: ignore[no-untyped-def]
    status = 0
    for i in range(len(y)):
        code, met = _int_code(y[i], shift[i], chance[i], s)
        found[i] = code
        status |= met
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def _bipolar_codes(y, chance, found, s):  # type: ignore[no-untyped-def]
    status = 0
    for i in range(len(y)):
        code, met = _bipolar_code(y[i], chance[i], s)
        found[i] = code
        status |= met
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def _table_codes(y, chance, found, s, values, codes, thresholds):  # type: ignore[no-untyped-def]
    status = 0
    for i in range(len(y)):
        code, met = _table_code(y[i], chance[i], s, values, codes, thresholds)
        found[i] = code
        status |= met
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def encode_float(x, scale, random, out, g, s, first, last):  # type: ignore[no-untyped-def]
    """Floating-point codes of x / scale."""
    status = 0
    y = np.empty(_PIECE)
    chance = np.full(_PIECE, np.int64(random[0]))
    for r in range(first, last):
        group, p = r // g.runs_per_group, r % g.runs_per_group
        start = group * g.group + p * g.length
        stop = min(start + g.length, (group + 1) * g.group)
        base = group * g.scale_group + (p // g.divisor) * g.scale_run
        for lo in range(start, stop, _PIECE):
            n = min(_PIECE, stop - lo)
            k = base + (lo - start) * g.scale_step
            _divide(x[lo : lo + n], scale, y[:n], k, g.scale_step)
            if len(random) > 1:
                chance[:n] = random[lo : lo + n]
            status |= _float_codes(y[:n], chance[:n], out[lo : lo + n], s)
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def encode_int(x, scale, zero_point, random, out, g, s, first, last):  # type: ignore[no-untyped-def]
    """Integer codes of round(x / scale) + zero_point, one zero point a scale."""
    status = 0
    y = np.empty(_PIECE)
    chance = np.full(_PIECE, np.int64(random[0]))
    shift = np.empty(_PIECE)
    for r in range(first, last):
        group, p = r // g.runs_per_group, r % g.runs_per_group
        start = group * g.group + p * g.length
        stop = min(start + g.length, (group + 1) * g.group)
        base = group * g.scale_group + (p // g.divisor) * g.scale_run
        for lo in range(start, stop, _PIECE):
            n = min(_PIECE, stop - lo)
            k = base + (lo - start) * g.scale_step
            _divide(x[lo : lo + n], scale, y[:n], k, g.scale_step)
            _spread_zero_points(zero_point, shift[:n], k, g.scale_step)
            if len(random) > 1:
                chance[:n] = random[lo : lo + n]
            status |= _int_codes(y[:n], shift[:n], chance[:n], out[lo : lo + n], s)
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def encode_bipolar(x, scale, random, out, g, s, first, last):  # type: ignore[no-untyped-def]
    """Codes of x / scale in {-1, +1}."""
    status = 0
    y = np.empty(_PIECE)
    chance = np.full(_PIECE, np.int64(random[0]))
    for r in range(first, last):
        group, p = r // g.runs_per_group, r % g.runs_per_group
        start = group * g.group + p * g.length
        stop = min(start + g.length, (group + 1) * g.group)
        base = group * g.scale_group + (p // g.divisor) * g.scale_run
        for lo in range(start, stop, _PIECE):
            n = min(_PIECE, stop - lo)
            k = base + (lo - start) * g.scale_step
            _divide(x[lo : lo + n], scale, y[:n], k, g.scale_step)
            if len(random) > 1:
                chance[:n] = random[lo : lo + n]
            status |= _bipolar_codes(y[:n], chance[:n], out[lo : lo + n], s)
    return status


@njit(cache=True, nogil=True, error_model="numpy")
def encode_table(x, scale, random, out, values, codes, thresholds, g, s, first, last):  # type: ignore[no-untyped-def]
    """Codes of the table entries nearest to x / scale."""
    status = 0
    y = np.empty(_PIECE)
    chance = np.full(_PIECE, np.int64(random[0]))
    for r in range(first, last):
        group, p = r // g.runs_per_group, r % g.runs_per_group
        start = group * g.group + p * g.length
        stop = min(start + g.length, (group + 1) * g.group)
        base = group * g.scale_group + (p // g.divisor) * g.scale_run
        for lo in range(start, stop, _PIECE):
            n = min(_PIECE, stop - lo)
            k = base + (lo - start) * g.scale_step
            _divide(x[lo : lo + n], scale, y[:n], k, g.scale_step)
            if len(random) > 1:
                chance[:n] = random[lo : lo + n]
            status |= _table_codes(y[:n], chance[:n], out[lo : lo + n], s, values, codes, thresholds)
    return status


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
