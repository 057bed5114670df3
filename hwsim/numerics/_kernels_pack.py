# mypy: disable-error-code="assignment"
"""Bit streams of codes narrower than a byte."""

from __future__ import annotations

import numpy as np
from numba import njit

_U8 = np.uint8
_W = np.uint64
_ONES, _PAIRS, _FOURS = _W(0x0101010101010101), _W(0x0003000300030003), _W(0x0000000F0000000F)
_LOW = _W(0x0F0F0F0F0F0F0F0F)
_NIBBLES, _BYTES = _W(0x000F000F000F000F), _W(0x000000FF000000FF)


@njit(cache=True, nogil=True)
def pack_four(codes, raw, high, first, last):  # type: ignore[no-untyped-def]
    """Bytes first..last of 4-bit codes."""
    out = raw[first:last]
    pairs = codes[first * 2 : last * 2]
    low, top = (_U8(4), _U8(0)) if high else (_U8(0), _U8(4))
    for i in range(len(out)):
        out[i] = _U8(_U8(pairs[2 * i] << low) | _U8(pairs[2 * i + 1] << top))
    return 0


@njit(cache=True, nogil=True)
def unpack_four(raw, codes, high, first, last):  # type: ignore[no-untyped-def]
    """Inverse of `pack_four`."""
    data = raw[first:last]
    out = codes[first * 2 : last * 2]
    low, top = (_U8(4), _U8(0)) if high else (_U8(0), _U8(4))
    for i in range(len(data)):
        out[2 * i] = _U8(data[i] >> low) & _U8(15)
        out[2 * i + 1] = _U8(data[i] >> top) & _U8(15)
    return 0


@njit(cache=True, nogil=True)
def pack_two(codes, raw, high, first, last):  # type: ignore[no-untyped-def]
    """Bytes first..last of 2-bit codes, which come four in a uint32."""
    words, out = codes[first:last], raw[first:last]
    if high:
        for i in range(len(out)):
            w = words[i]
            out[i] = _U8((w << _W(6)) | (w >> _W(4)) | (w >> _W(14)) | (w >> _W(24)))
    else:
        for i in range(len(out)):
            w = words[i]
            out[i] = _U8(w | (w >> _W(6)) | (w >> _W(12)) | (w >> _W(18)))
    return 0


@njit(cache=True, nogil=True)
def unpack_two(raw, codes, high, first, last):  # type: ignore[no-untyped-def]
    """Inverse of `pack_two`."""
    data, words = raw[first:last], codes[first:last]
    mask = np.uint32(0x03030303)
    if high:
        for i in range(len(data)):
            w = np.uint32(data[i])
            words[i] = np.uint32((w >> _W(6)) | (w << _W(4)) | (w << _W(14)) | (w << _W(24))) & mask
    else:
        for i in range(len(data)):
            w = np.uint32(data[i])
            words[i] = np.uint32(w | (w << _W(6)) | (w << _W(12)) | (w << _W(18))) & mask
    return 0


@njit(cache=True, nogil=True)
def pack_one(codes, raw, high, first, last):  # type: ignore[no-untyped-def]
    """Bytes first..last of 1-bit codes, which come eight in a uint64: pairs, then fours, then all."""
    words, out = codes[first:last], raw[first:last]
    if high:
        for i in range(len(out)):
            w = words[i]
            w = ((w << _W(1)) | (w >> _W(8))) & _PAIRS
            w = ((w << _W(2)) | (w >> _W(16))) & _FOURS
            out[i] = _U8((w << _W(4)) | (w >> _W(32)))
    else:
        for i in range(len(out)):
            w = words[i]
            w = (w | (w >> _W(7))) & _PAIRS
            w = (w | (w >> _W(14))) & _FOURS
            out[i] = _U8(w | (w >> _W(28)))
    return 0


@njit(cache=True, nogil=True)
def unpack_one(raw, codes, high, first, last):  # type: ignore[no-untyped-def]
    """Inverse of `pack_one`."""
    data, words = raw[first:last], codes[first:last]
    if high:
        for i in range(len(data)):
            w = _W(data[i])
            w = ((w >> _W(4)) | (w << _W(32))) & _FOURS
            w = ((w >> _W(2)) | (w << _W(16))) & _PAIRS
            words[i] = ((w >> _W(1)) | (w << _W(8))) & _ONES
    else:
        for i in range(len(data)):
            w = _W(data[i])
            w = (w | (w << _W(28))) & _FOURS
            w = (w | (w << _W(14))) & _PAIRS
            words[i] = (w | (w << _W(7))) & _ONES
    return 0


@njit(cache=True, nogil=True)
def pack_halves(codes, raw, first, last):  # type: ignore[no-untyped-def]
    """GGML's blocks first..last of 32 (four uint64 to two): byte j holds codes j (low) and j + 16 (high)."""
    for block in range(first, last):
        four, two = codes[4 * block : 4 * block + 4], raw[2 * block : 2 * block + 2]
        two[0] = four[0] | (four[2] << _W(4))
        two[1] = four[1] | (four[3] << _W(4))
    return 0


@njit(cache=True, nogil=True)
def unpack_halves(raw, codes, first, last):  # type: ignore[no-untyped-def]
    """Inverse of `pack_halves`."""
    for block in range(first, last):
        four, two = codes[4 * block : 4 * block + 4], raw[2 * block : 2 * block + 2]
        low, high = two[0], two[1]
        four[0], four[1] = low & _LOW, high & _LOW
        four[2], four[3] = (low >> _W(4)) & _LOW, (high >> _W(4)) & _LOW
    return 0


@njit(cache=True, nogil=True)
def pack_interleaved(codes, raw, first, last):  # type: ignore[no-untyped-def]
    """AWQ's words first..last: eight codes (a uint64) to a uint32, even ones in its low half, odd ones in its high."""
    words, out = codes[first:last], raw[first:last]
    for i in range(len(out)):
        even, odd = words[i] & _NIBBLES, (words[i] >> _W(8)) & _NIBBLES
        even = (even | (even >> _W(12))) & _BYTES
        odd = (odd | (odd >> _W(12))) & _BYTES
        even = (even | (even >> _W(24))) & _W(0xFFFF)
        odd = (odd | (odd >> _W(24))) & _W(0xFFFF)
        out[i] = np.uint32(even | (odd << _W(16)))
    return 0


@njit(cache=True, nogil=True)
def unpack_interleaved(raw, codes, first, last):  # type: ignore[no-untyped-def]
    """Inverse of `pack_interleaved`."""
    data, words = raw[first:last], codes[first:last]
    for i in range(len(data)):
        even, odd = _W(data[i]) & _W(0xFFFF), _W(data[i]) >> _W(16)
        even = (even | (even << _W(24))) & _BYTES
        odd = (odd | (odd << _W(24))) & _BYTES
        even = (even | (even << _W(12))) & _NIBBLES
        odd = (odd | (odd << _W(12))) & _NIBBLES
        words[i] = even | (odd << _W(8))
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
