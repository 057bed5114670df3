# mypy: disable-error-code="assignment"
"""Bit streams of codes narrower than a byte."""

from __future__ import annotations

import numpy as np
from numba import njit

_U8 = np.uint8
_W = np.uint64


@njit(cache=True, nogil=True)
def pack_power(codes, raw, width, high, first, last):  # type: ignore[no-untyped-def]
    """Bytes first..last, for widths 1, 2 and 4, where every byte holds whole codes."""
    out = raw[first:last]
    if width == 4:
        pairs = codes[first * 2 : last * 2]
        low, top = (_U8(4), _U8(0)) if high else (_U8(0), _U8(4))
        for i in range(len(out)):
            out[i] = _U8(_U8(pairs[2 * i] << low) | _U8(pairs[2 * i + 1] << top))
        return 0
    per_byte = 8 // width
    source = codes[first * per_byte : last * per_byte]
    for i in range(len(out)):
        byte = 0
        for j in range(per_byte):
            place = 8 - width * (j + 1) if high else width * j
            byte |= np.int64(source[i * per_byte + j]) << place
        out[i] = byte
    return 0


@njit(cache=True, nogil=True)
def unpack_power(raw, codes, width, high, first, last):  # type: ignore[no-untyped-def]
    """Inverse of `pack_power`."""
    data = raw[first:last]
    if width == 4:
        out = codes[first * 2 : last * 2]
        low, top = (_U8(4), _U8(0)) if high else (_U8(0), _U8(4))
        for i in range(len(data)):
            out[2 * i] = _U8(data[i] >> low) & _U8(15)
            out[2 * i + 1] = _U8(data[i] >> top) & _U8(15)
        return 0
    per_byte = 8 // width
    out = codes[first * per_byte : last * per_byte]
    mask = (1 << width) - 1
    for i in range(len(data)):
        byte = np.int64(data[i])
        for j in range(per_byte):
            place = 8 - width * (j + 1) if high else width * j
            out[i * per_byte + j] = (byte >> place) & mask
    return 0


@njit(cache=True, nogil=True)
def pack_placed(codes, raw, positions, first, last):  # type: ignore[no-untyped-def]
    """Units first..last of a 4-bit word layout: nibble k of a unit, from the low end, holds code positions[k] of it."""
    unit = len(positions)
    for u in range(first, last):
        source, out = codes[u * unit : (u + 1) * unit], raw[u * unit // 2 : (u + 1) * unit // 2]
        for j in range(len(out)):
            out[j] = source[positions[2 * j]] | (source[positions[2 * j + 1]] << 4)
    return 0


@njit(cache=True, nogil=True)
def unpack_placed(raw, codes, positions, first, last):  # type: ignore[no-untyped-def]
    """Inverse of `pack_placed`."""
    unit = len(positions)
    for u in range(first, last):
        data, out = raw[u * unit // 2 : (u + 1) * unit // 2], codes[u * unit : (u + 1) * unit]
        for j in range(len(data)):
            out[positions[2 * j]] = data[j] & 15
            out[positions[2 * j + 1]] = data[j] >> 4
    return 0


@njit(inline="always")
def _squeeze(w):  # type: ignore[no-untyped-def]
    """Eight 6-bit codes in eight bytes to 48 bits: pairs, then fours, then all."""
    w = (w & _W(0x003F003F003F003F)) | ((w >> _W(2)) & _W(0x0FC00FC00FC00FC0))
    w = (w & _W(0x00000FFF00000FFF)) | ((w >> _W(4)) & _W(0x00FFF00000FFF000))
    return (w & _W(0xFFFFFF)) | ((w >> _W(8)) & _W(0xFFFFFF000000))


@njit(inline="always")
def _widen(w):  # type: ignore[no-untyped-def]
    """Inverse of `_squeeze`."""
    w = (w & _W(0xFFFFFF)) | ((w & _W(0xFFFFFF000000)) << _W(8))
    w = (w & _W(0x00000FFF00000FFF)) | ((w & _W(0x00FFF00000FFF000)) << _W(4))
    return (w & _W(0x003F003F003F003F)) | ((w & _W(0x0FC00FC00FC00FC0)) << _W(2))


@njit(cache=True, nogil=True)
def pack_six(codes, raw, first, last):  # type: ignore[no-untyped-def]
    """32 codes (four uint64 of bytes) to 24 bytes (three uint64), low bits first, for groups first..last."""
    for g in range(first, last):
        four, three = codes[4 * g : 4 * g + 4], raw[3 * g : 3 * g + 3]
        a, b, c, d = _squeeze(four[0]), _squeeze(four[1]), _squeeze(four[2]), _squeeze(four[3])
        three[0] = a | (b << _W(48))
        three[1] = (b >> _W(16)) | (c << _W(32))
        three[2] = (c >> _W(32)) | (d << _W(16))
    return 0


@njit(cache=True, nogil=True)
def unpack_six(raw, codes, first, last):  # type: ignore[no-untyped-def]
    """Inverse of `pack_six`."""
    low = _W(0xFFFFFFFFFFFF)
    for g in range(first, last):
        four, three = codes[4 * g : 4 * g + 4], raw[3 * g : 3 * g + 3]
        x, y, z = three[0], three[1], three[2]
        four[0] = _widen(x & low)
        four[1] = _widen(((x >> _W(48)) | (y << _W(16))) & low)
        four[2] = _widen(((y >> _W(32)) | (z << _W(32))) & low)
        four[3] = _widen(z >> _W(16))
    return 0


@njit(cache=True, nogil=True)
def pack_stream(codes, raw, width, high, code, byte):  # type: ignore[no-untyped-def]
    """Any width up to 8, from code number ``code`` (at the start of byte ``byte``) on; the last byte is zero-filled."""
    held = 0
    bits = 0
    for i in range(code, len(codes)):
        if high:
            held = (held << width) | np.int64(codes[i])
        else:
            held |= np.int64(codes[i]) << bits
        bits += width
        if bits >= 8:
            bits -= 8
            if high:
                raw[byte] = (held >> bits) & 255
                held &= (1 << bits) - 1
            else:
                raw[byte] = held & 255
                held >>= 8
            byte += 1
    if bits > 0:
        raw[byte] = (held << (8 - bits)) & 255 if high else held & 255
    return 0


@njit(cache=True, nogil=True)
def unpack_stream(raw, codes, width, high, code, byte):  # type: ignore[no-untyped-def]
    """Inverse of `pack_stream`."""
    held = 0
    bits = 0
    mask = (1 << width) - 1
    for i in range(code, len(codes)):
        if bits < width:
            if high:
                held = (held << 8) | np.int64(raw[byte])
            else:
                held |= np.int64(raw[byte]) << bits
            bits += 8
            byte += 1
        bits -= width
        if high:
            codes[i] = (held >> bits) & mask
            held &= (1 << bits) - 1
        else:
            codes[i] = held & mask
            held >>= width
    return 0
