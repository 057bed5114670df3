"""`quantize_tensor`: a real tensor to a `QTensor`, per tensor, channel, group or block format."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import FormatError, unknown
from hwsim.numerics.catalog import formats
from hwsim.numerics.codec import decode, element_format, encode, random_array, real_array
from hwsim.numerics.format import BlockFormat, Format, IntegerLayout
from hwsim.numerics.fused import one_pass
from hwsim.numerics.geometry import normalise_axis, runs, scale_shape
from hwsim.numerics.levels import quantize_levels
from hwsim.numerics.plan import Plan, plan
from hwsim.numerics.qtensor import QTensor
from hwsim.numerics.scaled import divide_and_encode, encode_scaled
from hwsim.numerics.scales import (
    asymmetric_scale,
    extremes,
    mx_scale,
    nvfp4_scales,
    stored_scale,
    symmetric_scale,
    zero_points,
)


def quantize_tensor(
    x: ArrayLike,
    fmt: str | Format | BlockFormat,
    *,
    axis: int | None = None,
    block_size: int | None = None,
    scale: ArrayLike | None = None,
    zero_point: ArrayLike | None = None,
    symmetric: bool = True,
    rounding: str | None = None,
    overflow: str | None = None,
    profile: str | None = None,
    negative_zero: str | None = None,
    random_bits: ArrayLike | None = None,
    scale_format: str = "fp32",
    mode: str | None = None,
    tensor_scale: float | None = None,
    block_scale_floor: float = 0.0,
) -> QTensor:
    """Quantize ``x``; ``rounding``, ``overflow``, ``profile``, ``negative_zero`` and ``random_bits`` as in `encode`.

    Args:
        x: real tensor of any shape.
        fmt: an element format (min-max scales) or a block format (scales by its own rule; ``axis`` defaults to -1).
        axis: None for one scale; else one a channel of this axis, or with ``block_size`` one a group along it.
        block_size: elements of a group; the last group of a row may be short. Block formats bring their own.
        scale: scales to use instead of finding them: float, in the shape `QTensor` says.
        zero_point: integers in the shape of ``scale``, given with it.
        symmetric: scale = amax / largest value, no zero point. Off (integer formats): scale = (max - min) / (codes - 1)
            over a range widened to hold 0, and zero point round(minimum - min / scale).
        scale_format: element format that stores the scales; they are rounded to it before use.
        mode: block formats only: how scales follow from data (`BlockFormat.modes`; the first is the default).
        tensor_scale: NVFP4 only: the second-level scale, else amax / (448 * 6).
        block_scale_floor: NVFP4 only: least block scale before rounding (torchao: 2**-6).

    Returns:
        A QTensor. All-zero data get scale 1 (MX blocks: 2^-127, as the scale field cannot go lower).

    Raises:
        FormatError: unknown names, options that do not apply, shapes that do not fit, values that the profile refuses
            (NaN or infinity where scales must be found, unless the profile accepts NaN: then finite values decide).

    Example:
        >>> tensor = quantize_tensor([-1.0, 0.1, 0.7], "int4")
        >>> tensor.codes, tensor.scale
        (array([9, 1, 5], dtype=uint8), array(0.14285715, dtype=float32))
    """
    entry = formats[fmt] if isinstance(fmt, str) else fmt
    if isinstance(entry, BlockFormat):
        if block_size not in (None, entry.block_size):
            raise FormatError(f"{entry.name!r} has blocks of {entry.block_size}, found block_size={block_size}")
        block, axis, block_size = entry, -1 if axis is None else axis, entry.block_size
        entry, scale_format = element_format(block.element), block.scale_format
    else:
        block = None
    where = f"quantize_tensor to {block.name if block else entry.name!r}"
    if entry.name not in formats or formats[entry.name] is not entry:
        raise FormatError(
            "a QTensor names its format", where=where, hint="formats.add(fmt.name, fmt) makes the name known"
        )
    mode = check_mode(block, mode, where)
    if (block is None or block.rule != "two_level") and (tensor_scale is not None or block_scale_floor):
        raise FormatError("tensor_scale and block_scale_floor are for two-level block formats", where=where)
    array = real_array(x, where)
    if block is not None and not block.zero_points and (not symmetric or zero_point is not None):
        raise FormatError("this block format takes no zero point", where=where)
    if axis is not None:
        axis = normalise_axis(axis, array.ndim)
    if block is not None and block.rule in ("ggml", "hif4", "micro_exponent"):
        options = (scale, zero_point, rounding, overflow, profile, negative_zero, random_bits)
        if any(option is not None for option in options):
            raise FormatError("this block format's rule fixes scales, rounding and special values", where=where)
        return quantize_levels(array, block, -1 if axis is None else axis, mode, where)
    chosen = plan(entry, rounding, overflow, profile, negative_zero)
    if block is not None and block.rule != "amax":
        random = random_array(random_bits, array.shape, chosen.options.rounding, where)
        return _quantize_blocks(array, block, chosen, axis, scale, mode, tensor_scale, block_scale_floor, random, where)
    scales, zeros = _element_scales(
        array, entry, chosen, axis, block_size, scale, zero_point, symmetric, element_format(scale_format), where
    )
    codes = encode_scaled(
        array,
        scales,
        zeros,
        entry,
        axis=axis,
        block_size=block_size,
        rounding=rounding,
        overflow=overflow,
        profile=profile,
        negative_zero=negative_zero,
        random_bits=random_bits,
    )
    return QTensor(
        codes, entry.name, scales, zeros, axis, block_size, scale_format, None, block.name if block else None
    )


def check_mode(block: BlockFormat | None, mode: str | None, where: str) -> str:
    """The mode asked for, or the block format's first; refuses those it lacks."""
    modes = block.modes if block else ()
    if mode is None:
        return modes[0] if modes else ""
    if mode not in modes:
        if not modes:
            raise FormatError(f"mode {mode!r} is for block formats that have modes", where=where)
        raise unknown(FormatError, "mode", mode, modes, where=where)
    return mode


def _element_scales(
    array: NDArray[Any],
    fmt: Format,
    chosen: Plan,
    axis: int | None,
    block_size: int | None,
    scale: ArrayLike | None,
    zero_point: ArrayLike | None,
    symmetric: bool,
    scale_format: Format,
    where: str,
) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
    """Scales and zero points, given or found."""
    shifts = not symmetric or zero_point is not None
    if shifts and (not isinstance(fmt.layout, IntegerLayout) or fmt.layout.kind in ("sign_magnitude", "bipolar")):
        raise FormatError("an asymmetric scale needs an integer format that takes a zero point", where=where)
    if scale is None and zero_point is not None:
        raise FormatError("a zero_point was given without its scale", where=where)
    shape = scale_shape(array.shape, axis, block_size)
    if scale is not None and (symmetric or zero_point is not None):
        given = np.asarray(scale, dtype=np.float32)
        zeros = None if zero_point is None else np.asarray(zero_point)
        if zeros is not None and (zeros.shape != shape or zeros.dtype.kind not in "ui"):
            raise FormatError(f"zero_point must be integers of shape {shape}, found {zeros.shape}", where=where)
        return given, None if zeros is None else zeros.astype(np.int32)
    low, high = extremes(array, axis, block_size, skip_nonfinite=chosen.options.profile.nan != "error", where=where)
    if symmetric:
        return stored_scale(symmetric_scale(low, high, fmt, where), scale_format, where), None
    if scale is None:
        found = stored_scale(asymmetric_scale(low, high, fmt, where), scale_format, where)
    else:
        found = np.asarray(scale, dtype=np.float32)
        if found.shape != shape:
            raise FormatError(f"scale must have shape {shape}, found {found.shape}", where=where)
    return found, zero_points(low, found, fmt)


def _quantize_blocks(
    array: NDArray[Any],
    block: BlockFormat,
    chosen: Plan,
    axis: int | None,
    scale: ArrayLike | None,
    mode: str,
    tensor_scale: float | None,
    floor: float,
    random: NDArray[np.uint32],
    where: str,
) -> QTensor:
    """MX and two-level block formats."""
    scale_format = element_format(block.scale_format)
    tensor: np.float32 | None = None
    if scale is None and axis == array.ndim - 1 and array.shape[axis] % block.block_size == 0:
        made = one_pass(array, block, chosen, mode, tensor_scale, floor, False, where)
        if made is not None:
            shape = scale_shape(array.shape, axis, block.block_size)
            codes, found = made[0].reshape(array.shape), made[1].reshape(shape)
            name, size, stored = block.name, block.block_size, block.scale_format
            return QTensor(codes, chosen.fmt.name, found, None, axis, size, stored, made[2], name)
    if scale is None:
        accepts = chosen.options.profile.nan != "error"
        low, high = extremes(array, axis, block.block_size, skip_nonfinite=accepts, where=where)
        amax = np.maximum(-low, high)
        if block.rule == "power_of_two":
            scales = mx_scale(amax, chosen.fmt, mode)
        else:
            scales, tensor = nvfp4_scales(amax, chosen.fmt, scale_format, tensor_scale, floor, where)
    else:
        scales = np.asarray(scale, dtype=np.float32)
        expected = scale_shape(array.shape, axis, block.block_size)
        if scales.shape != expected:
            raise FormatError(f"scale must have shape {expected}, found {scales.shape}", where=where)
        positive = bool(np.all(np.isfinite(scales) & (scales > 0)))
        if not positive or not np.array_equal(decode(encode(scales, scale_format), scale_format), scales):
            raise FormatError(f"scales must be positive values of {scale_format.name!r}", where=where)
        if block.rule == "two_level":
            tensor = np.float32(1 if tensor_scale is None else tensor_scale)
    total = scales if tensor is None else scales * tensor
    divisor = np.where(total == 0, np.float32(np.inf), total).astype(np.float32)  # a zero scale: signed zeros
    if mode == "reciprocal" and tensor is not None:
        array, divisor = _by_reciprocal(array, scales, tensor, axis, block.block_size, where), np.ones_like(divisor)
    elif chosen.options.rounding not in ("nearest_even", "nearest_away"):
        array = array.astype(np.float64, copy=False)  # a float32 quotient may underflow, which directed modes would see
    flat = np.ascontiguousarray(divisor).reshape(-1)
    codes = divide_and_encode(array, flat, None, random, runs(array.shape, axis, block.block_size), chosen)
    return QTensor(codes, chosen.fmt.name, scales, None, axis, block.block_size, block.scale_format, tensor, block.name)


def _by_reciprocal(
    array: NDArray[Any], scales: NDArray[np.float32], tensor: np.float32, axis: int | None, size: int, where: str
) -> NDArray[Any]:
    """x * ((1 / g) / s), each step in float32 (torchao's order)."""
    assert axis is not None
    with np.errstate(over="ignore", divide="ignore"):
        inverse = np.float32(1) / tensor
        factor = inverse / scales
    if not np.isfinite(inverse):
        raise FormatError("1 / tensor_scale exceeds float32", where=where, hint="use mode='divide'")
    factor = np.where(scales == 0, np.float32(0), factor)
    wide = np.repeat(factor, size, axis=axis)
    wide = np.take(wide, np.arange(array.shape[axis]), axis=axis)
    product: NDArray[Any] = array.astype(np.float32, copy=False) * wide
    return product
