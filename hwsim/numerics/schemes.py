"""Quantizers that are a formula of their own rather than a scale under `quantize_tensor`.

Each evaluates its formula in the order in which its source writes it, in the precision of the input: that order is part
of the definition, and another one changes codes at ties.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import FormatError, unknown
from hwsim.numerics.codec import Codes, decode_table, encode, real_array
from hwsim.numerics.packing import pack, unpack

CAMBRICON_BITS = (4, 8, 16)
BITSANDBYTES = ("nf4", "fp4_bnb")


def linear(x: ArrayLike, scale: ArrayLike, zero: ArrayLike, bits: int) -> Codes:
    """Q(x) = clip(floor((x - z) / s + 0.5), 0, 2^b - 1), as codes of ``uint<bits>``; ``z`` is a real number.

    ``scale`` and ``zero`` broadcast against ``x``. Ties go up; a quotient just below one half may become a tie when 0.5
    is added, as in every program that uses this formula.

    Raises:
        FormatError: bits outside 1..16, scales not above 0, or NaN.
    """
    if not 1 <= bits <= 16:
        raise FormatError(f"bits must be in 1..16, found {bits}", where="linear")
    array = real_array(x, "linear")
    s, z = np.asarray(scale, array.dtype), np.asarray(zero, array.dtype)
    if not bool(np.all(s > 0)) or np.isnan(array).any() or not np.isfinite(z).all():
        raise FormatError("scales must be above 0, zeros finite and x without NaN", where="linear")
    whole = np.floor((array - z) / s + array.dtype.type(0.5))
    codes: Codes = np.clip(whole, 0, (1 << bits) - 1).astype(np.uint8 if bits <= 8 else np.uint16)
    return codes


class Cambricon(NamedTuple):
    """Fixed-point integers of Cambricon's MLU: x = (code - offset) * 2^position / scale."""

    codes: NDArray[np.int32]
    position: int
    scale: float
    offset: float

    def dequantize(self) -> NDArray[np.float32]:
        """float32 of the codes' shape."""
        step = np.float32(2.0**self.position)
        return ((self.codes.astype(np.float32) - np.float32(self.offset)) * step) / np.float32(self.scale)


def cambricon(x: ArrayLike, bits: int = 8, *, mode: str = "scale") -> Cambricon:
    """Quantize as CNNL does: clamp(x * scale / 2^position + offset), clamped first, then rounded half away from zero.

    Args:
        bits: 4, 8 or 16.
        mode: ``position`` (scale 1: a shift), ``scale`` (amax meets the largest integer) or ``offset`` (the range
            min .. max, widened to hold 0, meets the whole code range).

    position = floor(log2 amax) - (bits - 2); scale = 2^position * (2^(bits-1) - 1) / amax.

    Raises:
        FormatError: other bits or modes, NaN or infinity.
    """
    if bits not in CAMBRICON_BITS:
        raise FormatError(f"bits must be one of {CAMBRICON_BITS}, found {bits}", where="cambricon")
    if mode not in ("position", "scale", "offset"):
        raise unknown(FormatError, "mode", mode, ("position", "scale", "offset"), where="cambricon")
    array = np.asarray(real_array(x, "cambricon"), np.float32)
    if not np.isfinite(array).all():
        raise FormatError("x holds NaN or infinity, so no scale can be found from it", where="cambricon")
    top = (1 << (bits - 1)) - 1
    low, high = float(array.min(initial=0.0)), float(array.max(initial=0.0))
    amax = (high - low) / 2 if mode == "offset" else max(-low, high)
    if amax == 0:
        return Cambricon(np.zeros(array.shape, np.int32), 0, 1.0, 0.0)
    position = int(np.frexp(amax)[1]) - 1 - (bits - 2)
    scale = 1.0 if mode == "position" else float(np.float32(2.0**position * top / amax))
    offset = 0.0
    if mode == "offset":
        offset = float(np.float32(-(high + low) / 2 * scale / 2.0**position))
    y = array * np.float32(scale) / np.float32(2.0**position) + np.float32(offset)
    clamped = np.clip(y, np.float32(-top - 1), np.float32(top))
    whole = np.trunc(clamped)
    whole += np.copysign(np.abs(clamped - whole) >= 0.5, clamped)
    return Cambricon(whole.astype(np.int32), position, scale, offset)


def ascend(x: ArrayLike, scale: ArrayLike, offset: ArrayLike = 0.0, *, bits: int = 8) -> Codes:
    """CANN's AscendQuant: round(x * scale + offset) to nearest even, saturated, as codes of ``int4`` or ``int8``.

    ``scale`` multiplies here: it is the reciprocal of a step. `vendor.to_ascend` turns zero points into the offset of
    AntiQuant, whose sign is opposite: x = (code + offset) * step.

    Raises:
        FormatError: bits other than 4 or 8, or NaN.
    """
    if bits not in (4, 8):
        raise FormatError(f"bits must be 4 or 8, found {bits}", where="ascend")
    array = np.asarray(real_array(x, "ascend"), np.float32)
    y = array * np.asarray(scale, np.float32) + np.asarray(offset, np.float32)
    return encode(y, f"int{bits}")


def bitsandbytes(x: ArrayLike, fmt: str, block_size: int = 64) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Packed 4-bit codes (high nibble first, a flat array) and one absmax a block of the flattened tensor.

    A whole block is multiplied by 1 / absmax and a short last one is divided by absmax, as its CPU code does.

    Raises:
        FormatError: a format other than ``nf4`` and ``fp4_bnb``, a block size below 1, NaN or infinity.
    """
    if fmt not in BITSANDBYTES:
        raise unknown(FormatError, "bitsandbytes format", fmt, BITSANDBYTES)
    if block_size < 1:
        raise FormatError(f"block_size must be at least 1, found {block_size}", where="bitsandbytes")
    flat = np.ascontiguousarray(real_array(x, "bitsandbytes"), np.float32).reshape(-1)
    if not np.isfinite(flat).all():
        raise FormatError("x holds NaN or infinity, so no scale can be found from it", where="bitsandbytes")
    one, least = np.float32(1), np.float32(1e-38)
    whole = flat.size - flat.size % block_size
    blocks, rest = flat[:whole].reshape(-1, block_size), flat[whole:]
    absmax = np.abs(blocks).max(axis=1, initial=0)
    scaled = np.clip(blocks * (one / np.maximum(absmax, least))[:, None], -one, one).reshape(-1)
    if rest.size:
        last = np.maximum(np.abs(rest).max(), least)
        absmax = np.append(absmax, last)
        scaled = np.append(scaled, np.clip(rest / last, -one, one))
    codes = encode(np.append(scaled, np.zeros(scaled.size % 2, np.float32)), fmt, profile="bitsandbytes")
    return pack(codes, fmt, "high_first"), absmax


def from_bitsandbytes(
    raw: NDArray[np.uint8], absmax: ArrayLike, fmt: str, shape: tuple[int, ...], block_size: int = 64
) -> NDArray[Any]:
    """The real numbers, float32 of ``shape``, from what `bitsandbytes` returns.

    Raises:
        FormatError: as `bitsandbytes`; sizes that do not fit.
    """
    if fmt not in BITSANDBYTES:
        raise unknown(FormatError, "bitsandbytes format", fmt, BITSANDBYTES)
    count = int(np.prod(shape))
    scales = np.asarray(absmax, np.float32)
    if scales.shape != (-(-count // block_size),):
        raise FormatError(f"absmax must have shape {(-(-count // block_size),)}, found {scales.shape}")
    codes = unpack(raw, fmt, count + count % 2, layout="high_first")[:count]
    spread = np.repeat(scales, block_size)[:count]
    return (decode_table(fmt)[codes] * spread).reshape(shape)
