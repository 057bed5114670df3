"""Find scales from data: extremes of each channel or group, min-max scales, MX exponents, NVFP4's two levels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import FormatError
from hwsim.numerics.codec import decode, encode
from hwsim.numerics.format import FloatLayout, Format, IntegerLayout
from hwsim.numerics.geometry import normalise_axis, runs, scale_shape
from hwsim.numerics.threads import split

Extremes = tuple[NDArray[np.float64], NDArray[np.float64]]
_TINY = np.float32(2.0**-149)


def extremes(
    x: NDArray[Any], axis: int | None, block_size: int | None, *, skip_nonfinite: bool, where: str
) -> Extremes:
    """Least and greatest value that share each scale, float64, in the scale's shape; 0 for an empty group.

    Raises:
        FormatError: ``x`` holds NaN or infinity and ``skip_nonfinite`` is off.
    """
    low, high = _extremes(x, axis, block_size)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        if not skip_nonfinite:
            raise FormatError(
                "x holds NaN or infinity, so no scale can be found from it",
                where=where,
                hint="give scale=, or a profile that accepts NaN",
            )
        low, high = _extremes(np.where(np.isfinite(x), x, x.dtype.type(0)), axis, block_size)
    return low, high


def _extremes(x: NDArray[Any], axis: int | None, block_size: int | None) -> Extremes:
    shape = scale_shape(x.shape, axis, block_size)
    if x.size == 0:
        return np.zeros(shape), np.zeros(shape)
    if axis is None:
        return np.asarray(x.min(), np.float64), np.asarray(x.max(), np.float64)
    axis = normalise_axis(axis, x.ndim)
    if block_size is None:
        others = tuple(other for other in range(x.ndim) if other != axis)
        return x.min(axis=others).astype(np.float64), x.max(axis=others).astype(np.float64)
    if axis != x.ndim - 1:
        starts = np.arange(0, x.shape[axis], block_size)
        low = np.minimum.reduceat(x, starts, axis=axis)
        return low.astype(np.float64), np.maximum.reduceat(x, starts, axis=axis).astype(np.float64)
    from hwsim.numerics import _kernels

    geometry = runs(x.shape, axis, block_size)
    flat = np.ascontiguousarray(x).reshape(-1)
    least, most = np.empty(geometry.total, x.dtype), np.empty(geometry.total, x.dtype)
    nan = split(
        lambda first, last: _kernels.run_extremes(flat, least, most, geometry, first, last), geometry.total, x.size
    )
    if nan:
        least[0] = np.nan  # the caller asks only whether any is not finite
    return least.reshape(shape).astype(np.float64), most.reshape(shape).astype(np.float64)


def amax_scale(amax: NDArray[np.float64], largest: float, where: str) -> NDArray[np.float32]:
    """float32 amax / largest; 1 where amax is 0, and never rounded to 0 (subnormal quotients round up).

    Raises:
        FormatError: the quotient exceeds float32.
    """
    with np.errstate(over="ignore"):
        scale = np.asarray(amax / largest).astype(np.float32)
    if not np.isfinite(scale).all():
        raise FormatError(f"scale {float(np.max(amax / largest)):g} exceeds float32", where=where)
    small = (scale < np.float32(2.0**-126)) & (scale.astype(np.float64) * largest < amax)
    scale = np.where(small, np.nextafter(scale, np.float32(1)), scale)
    large = scale.astype(np.float64) * largest > float(np.finfo(np.float32).max)  # would dequantize to infinity
    scale = np.where(large, np.nextafter(scale, np.float32(0)), scale)
    return np.where(amax == 0, np.float32(1), np.maximum(scale, _TINY)).astype(np.float32)


def symmetric_scale(
    low: NDArray[np.float64], high: NDArray[np.float64], fmt: Format, where: str
) -> NDArray[np.float32]:
    """max(|low|, |high|) / largest value; for unsigned formats high alone."""
    amax = np.maximum(-low, high) if fmt.signed else np.maximum(high, 0)
    return amax_scale(amax, fmt.max_value, where)


def asymmetric_scale(
    low: NDArray[np.float64], high: NDArray[np.float64], fmt: Format, where: str
) -> NDArray[np.float32]:
    """(high - low) / (codes - 1), the range widened to hold 0."""
    layout = fmt.layout
    assert isinstance(layout, IntegerLayout)
    span = np.maximum(high, 0) - np.minimum(low, 0)
    return amax_scale(span, float(layout.maximum - layout.minimum), where)


def zero_points(low: NDArray[np.float64], scale: NDArray[np.float32], fmt: Format) -> NDArray[np.int32]:
    """round(minimum - low / scale), nearest even, within the format's range."""
    layout = fmt.layout
    assert isinstance(layout, IntegerLayout)
    wanted = np.rint(layout.minimum - np.minimum(low, 0) / scale.astype(np.float64))
    return np.clip(wanted, layout.minimum, layout.maximum).astype(np.int32)


def stored_scale(scale: NDArray[np.float32], scale_format: Format, where: str) -> NDArray[np.float32]:
    """``scale`` rounded to nearest in the format that stores it; one that rounds to 0 becomes the smallest positive.

    Raises:
        FormatError: a scale beyond the format's range.
    """
    if scale_format.name == "fp32":
        return scale
    if scale.size and float(scale.max()) > scale_format.max_value:
        raise FormatError(f"scale {float(scale.max()):g} exceeds {scale_format.name!r}", where=where)
    stored = decode(encode(scale, scale_format), scale_format).astype(np.float32)
    smallest = np.float32(decode(np.asarray(1), scale_format))
    return np.where(stored == 0, smallest, stored).astype(np.float32)


def mx_scale(amax: NDArray[np.float64], element: Format, mode: str) -> NDArray[np.float32]:
    """Power-of-two block scales, 2^-127 .. 2^127.

    ``floor``: 2^(floor(log2 amax) - emax) (OCP MX v1.0, 6.3). ``even``: the same after amax is rounded to the element's
    mantissa (AMD Quark). ``rceil``: the least power of two not below amax / max, the quotient in float32 (NVIDIA).
    ``ceil``: 2^(ceil(log2 amax) - emax). A zero block takes 2^-127.
    """
    fraction, exponent = np.frexp(amax)  # amax = fraction * 2^exponent, fraction in [1/2, 1)
    floor_log2 = exponent - 1
    if mode == "rceil":
        with np.errstate(over="ignore"):
            quotient = amax.astype(np.float32) / np.float32(element.max_value)
        fraction, exponent = np.frexp(quotient)
        power = np.where(quotient == 0, -127, exponent - (fraction == 0.5))
    elif mode == "ceil":
        power = floor_log2 + (fraction != 0.5) - element.max_exponent
    else:
        power = floor_log2 - element.max_exponent
        if mode == "even":
            layout = element.layout
            kept = layout.mantissa_bits if isinstance(layout, FloatLayout) else element.bits - 2
            power = power + (fraction >= 1 - 2.0 ** -(kept + 2))
    power = np.where(amax == 0, -127, np.clip(power, -127, 127))
    return np.ldexp(np.float32(1), power.astype(np.int32)).astype(np.float32)


def nvfp4_scales(
    amax: NDArray[np.float64],
    element: Format,
    scale_format: Format,
    tensor_scale: float | None,
    floor: float,
    where: str,
) -> tuple[NDArray[np.float32], np.float32]:
    """Block scales (decoded UE4M3) and the tensor scale, every step in float32.

    tensor = amax / (448 * 6) unless given; block = E4M3(clamp((amax of the block / 6) / tensor, floor, 448)).
    """
    largest = np.float32(element.max_value)
    top = np.float32(scale_format.max_value)
    if tensor_scale is None:
        whole = np.asarray(amax.max(initial=0.0))
        tensor = np.float32(amax_scale(whole, float(top * largest), where))
    else:
        tensor = np.float32(tensor_scale)
        if not (np.isfinite(tensor) and tensor > 0):
            raise FormatError(f"tensor_scale must be finite and above 0, found {tensor_scale}", where=where)
    with np.errstate(over="ignore"):
        wanted = (amax.astype(np.float32) / largest) / tensor
    wanted = np.minimum(np.maximum(wanted, np.float32(floor)), top)
    return decode(encode(wanted, scale_format), scale_format), tensor
