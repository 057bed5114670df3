# mypy: disable-error-code="assignment"
"""MX and NVFP4 in one pass over whole blocks of finite float32: largest magnitude, scale, codes and, if asked, packing.

Equal to the steps of `quantize` bit for bit (tests hold them so). Where a block's scale is a power of two its numbers
are multiplied by the inverse, which is exact. Block sizes are literals, so that the inner loops unroll. Kernels return
1 where they met NaN or infinity, and then their output is worthless.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from hwsim.numerics._kernels_fast import _MAGNITUDE, _U, _ZERO, _plain_code

FLOOR, EVEN, RCEIL, CEIL = range(4)
_PIECE = 4096
_F = np.float32
_LARGEST = np.uint32(0x7F7FFFFF)  # pattern of the greatest finite magnitude
_FRACTION = (1 << 52) - 1


class PowerRule(NamedTuple):
    """How an MX scale follows from a block's largest magnitude."""

    mode: int
    emax: int
    carry: int  # EVEN: least binary64 fraction field that rounds up to the next power of two
    largest: np.float32  # the element's largest value


class TwoLevel(NamedTuple):
    """NVFP4's scales: one for the tensor, one E4M3 a block."""

    tensor: np.float32
    floor: np.float32
    top: np.float32  # largest block scale
    largest: np.float32  # largest element
    reciprocal: int  # multiply by (1 / tensor) / scale


@njit(cache=True, nogil=True, error_model="numpy")
def _power(most, rule):  # type: ignore[no-untyped-def]
    """Exponent of a block's scale from the pattern of its largest magnitude."""
    value = np.float64(_U(most).view(np.float32))
    down = rule.emax
    if rule.mode == RCEIL:
        value = np.float64(_F(_U(most).view(np.float32) / rule.largest))
        down = 0
    bits = np.float64(value).view(np.int64)
    if bits == 0:
        return np.int64(-127)
    fraction = bits & _FRACTION
    up = np.int64(fraction != 0)
    if rule.mode == FLOOR:
        up = np.int64(0)
    elif rule.mode == EVEN:
        up = np.int64(fraction >= rule.carry)
    return min(max((bits >> 52) - 1023 + up - down, np.int64(-127)), np.int64(127))


@njit(cache=True, nogil=True, error_model="numpy")
def _power_of_two(power):  # type: ignore[no-untyped-def]
    """2^power as float32, -127 <= power <= 127."""
    pattern = _U((power + 127) << 23)
    if power == -127:
        pattern = _U(0x00400000)
    return _U(pattern).view(np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def _pack_nibbles(codes, raw):  # type: ignore[no-untyped-def]
    for i in range(len(raw)):
        raw[i] = np.uint8(codes[2 * i] | np.uint8(codes[2 * i + 1] << np.uint8(4)))


@njit(cache=True, nogil=True, error_model="numpy")
def _most_32(x, most):  # type: ignore[no-untyped-def]
    """Pattern of the largest magnitude of each block of 32."""
    for b in range(len(most)):
        xs = x[b * 32 : b * 32 + 32]
        largest = _ZERO
        for i in range(32):
            largest = max(largest, _U(np.float32(xs[i]).view(np.uint32) & _MAGNITUDE))
        most[b] = largest


@njit(cache=True, nogil=True, error_model="numpy")
def _most_16(x, most):  # type: ignore[no-untyped-def]
    """Pattern of the largest magnitude of each block of 16."""
    for b in range(len(most)):
        xs = x[b * 16 : b * 16 + 16]
        largest = _ZERO
        for i in range(16):
            largest = max(largest, _U(np.float32(xs[i]).view(np.uint32) & _MAGNITUDE))
        most[b] = largest


@njit(cache=True, nogil=True, error_model="numpy")
def _multiplied_32(x, factor, found, s):  # type: ignore[no-untyped-def]
    """Codes of x * factor, a factor a block of 32."""
    for b in range(len(factor)):
        xs, out, f = x[b * 32 : b * 32 + 32], found[b * 32 : b * 32 + 32], factor[b]
        for i in range(32):
            out[i] = _plain_code(np.float32(xs[i] * f).view(np.uint32), s)


@njit(cache=True, nogil=True, error_model="numpy")
def _multiplied_16(x, factor, found, s):  # type: ignore[no-untyped-def]
    """Codes of x * factor, a factor a block of 16."""
    for b in range(len(factor)):
        xs, out, f = x[b * 16 : b * 16 + 16], found[b * 16 : b * 16 + 16], factor[b]
        for i in range(16):
            out[i] = _plain_code(np.float32(xs[i] * f).view(np.uint32), s)


@njit(cache=True, nogil=True, error_model="numpy")
def _divided_16(x, factor, found, s):  # type: ignore[no-untyped-def]
    """Codes of x / factor, a factor a block of 16."""
    for b in range(len(factor)):
        xs, out, f = x[b * 16 : b * 16 + 16], found[b * 16 : b * 16 + 16], factor[b]
        for i in range(16):
            out[i] = _plain_code(np.float32(xs[i] / f).view(np.uint32), s)


@njit(cache=True, nogil=True, error_model="numpy")
def mx_blocks(x, codes, raw, scale, exponent, s, rule, first, last):  # type: ignore[no-untyped-def]
    """Blocks first..last of 32: float32 scales and codes or, where ``raw`` is not empty, E8M0 codes and nibbles."""
    packed = len(raw) > 0
    buffer = np.empty(_PIECE, np.uint8)
    most, factor = np.empty(_PIECE // 32, np.uint32), np.empty(_PIECE // 32, np.float32)
    worst = _ZERO
    for start in range(first, last, _PIECE // 32):
        stop = min(start + _PIECE // 32, last)
        count = stop - start
        xs = x[start * 32 : stop * 32]
        _most_32(xs, most[:count])
        for b in range(count):
            worst = max(worst, most[b])
            power = _power(most[b], rule)
            factor[b] = _power_of_two(-power)
            if packed:
                exponent[start + b] = power + 127
            else:
                scale[start + b] = _power_of_two(power)
        if packed:
            _multiplied_32(xs, factor[:count], buffer, s)
            _pack_nibbles(buffer, raw[start * 16 : stop * 16])
        else:
            _multiplied_32(xs, factor[:count], codes[start * 32 : stop * 32], s)
    return np.int64(worst > _LARGEST)


@njit(cache=True, nogil=True, error_model="numpy")
def _e4m3_scales(most, factor, scale, stored, packed, e4m3, rule):  # type: ignore[no-untyped-def]
    """Block scales of NVFP4 from patterns of the blocks' largest magnitudes, and what elements are divided (or, in
    reciprocal order, multiplied) by.
    """
    inverse = _F(_F(1) / rule.tensor)
    for b in range(len(most)):
        wanted = _F(_F(_U(most[b]).view(np.float32) / rule.largest) / rule.tensor)
        clipped = min(max(wanted, rule.floor), rule.top)
        code = _plain_code(_F(clipped).view(np.uint32), e4m3)
        tiny = _F(_F(np.int32(code)) * _F(2.0**-9))
        value = tiny if code < _U(8) else _U(_U(code << _U(20)) + _U(120 << 23)).view(np.float32)
        if packed:
            stored[b] = code
        else:
            scale[b] = value
        total = _F(value * rule.tensor)
        if rule.reciprocal != 0:
            factor[b] = _F(inverse / value) if value != _F(0) else _F(0)
        else:
            factor[b] = total if total != _F(0) else _F(np.inf)


@njit(cache=True, nogil=True, error_model="numpy")
def two_level_blocks(x, codes, raw, scale, stored, s, e4m3, rule, first, last):  # type: ignore[no-untyped-def]
    """Blocks first..last of 16: float32 scales and codes or, where ``raw`` is not empty, E4M3 codes and nibbles."""
    packed = len(raw) > 0
    buffer = np.empty(_PIECE, np.uint8)
    most, factor = np.empty(_PIECE // 16, np.uint32), np.empty(_PIECE // 16, np.float32)
    worst = _ZERO
    for start in range(first, last, _PIECE // 16):
        stop = min(start + _PIECE // 16, last)
        count = stop - start
        xs = x[start * 16 : stop * 16]
        _most_16(xs, most[:count])
        for b in range(count):
            worst = max(worst, most[b])
        _e4m3_scales(most[:count], factor, scale[start:stop], stored[start:stop], packed, e4m3, rule)
        found = buffer[: count * 16]
        if not packed:
            found = codes[start * 16 : stop * 16]
        if rule.reciprocal != 0:
            _multiplied_16(xs, factor[:count], found, s)
        else:
            _divided_16(xs, factor[:count], found, s)
        if packed:
            _pack_nibbles(found, raw[start * 8 : stop * 8])
    return np.int64(worst > _LARGEST)


@njit(cache=True, nogil=True, error_model="numpy")
def largest_patterns(x, found, size, first, last):  # type: ignore[no-untyped-def]
    """Pattern of the largest magnitude (NaN above infinity) of pieces first..last of ``size`` elements."""
    for piece in range(first, last):
        xs = x[piece * size : min((piece + 1) * size, len(x))]
        most = _ZERO
        for i in range(len(xs)):
            most = max(most, _U(np.float32(xs[i]).view(np.uint32) & _MAGNITUDE))
        found[piece] = most
    return 0
