# mypy: disable-error-code="assignment"
"""Codes to float32: by arithmetic where the layout allows it (SIMD code), else by a table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

_U = np.uint32
_F = np.float32
_ZERO = np.uint32(0)


class FloatCodes(NamedTuple):
    """A floating-point format of at most 19 bits whose values are float32 numbers."""

    mask: np.uint32  # the magnitude bits
    sign: np.uint32  # the sign bit, or 0
    shift: np.uint32  # 23 - mantissa bits
    rebias: np.uint32  # (127 - bias) << 23
    first: np.uint32  # magnitude of the smallest normal number
    unit: np.float32  # value of magnitude 1
    max_code: np.uint32
    infinity: np.uint32  # magnitude of infinity, or one that no code has
    payload: np.uint32  # 1 where a NaN keeps its payload bits
    nan_code: np.uint32  # the code of NaN where it is the pattern of -0, or one that no code has


class IntegerCodes(NamedTuple):
    """An integer format of at most 8 bits: value = ((code ^ flip) - bias) * step."""

    flip: np.int32
    bias: np.int32
    step: np.float32


@njit(cache=True, nogil=True, error_model="numpy")
def decode_float(codes, out, s, first, last):  # type: ignore[no-untyped-def]
    """Patterns of the values of codes[first:last], into uint32 ``out``."""
    xs, values = codes[first:last], out[first:last]
    shift = s.shift & _U(31)
    for i in range(len(xs)):
        code = _U(xs[i])
        magnitude = _U(code & s.mask)
        kept = _U(magnitude << shift)
        tiny = _F(_F(np.int32(magnitude)) * s.unit).view(np.uint32)
        bits = tiny if magnitude < s.first else _U(kept + s.rebias)
        special = _U(kept | _U(0x7F800000)) if s.payload != _ZERO else _U(0x7FC00000)
        special = _U(0x7F800000) if magnitude == s.infinity else special
        bits = special if magnitude > s.max_code else bits
        bits = _U(bits | (_U(0x80000000) if _U(code & s.sign) != _ZERO else _ZERO))
        values[i] = _U(0x7FC00000) if code == s.nan_code else bits
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def decode_integer(codes, out, s, first, last):  # type: ignore[no-untyped-def]
    """Values of codes[first:last]."""
    xs, values = codes[first:last], out[first:last]
    for i in range(len(xs)):
        values[i] = _F(np.int32(np.int32(np.int32(xs[i]) ^ s.flip) - s.bias)) * s.step
    return 0


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
def add_offset(out, offset, g, first, last):  # type: ignore[no-untyped-def]
    """Add each scale's offset to its elements, in place."""
    for r in range(first, last):
        group, p = r // g.runs_per_group, r % g.runs_per_group
        start = group * g.group + p * g.length
        stop = min(start + g.length, (group + 1) * g.group)
        base = group * g.scale_group + (p // g.divisor) * g.scale_run
        values = out[start:stop]
        for i in range(len(values)):
            values[i] += offset[base + i * g.scale_step]
    return 0
