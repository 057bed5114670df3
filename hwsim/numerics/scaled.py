"""Divide by a scale, round and add a zero point in one pass: what every quantizer and the emulator call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import FormatError
from hwsim.numerics.codec import Codes, element_format, general, random_array, real_array
from hwsim.numerics.format import Format, IntegerLayout
from hwsim.numerics.geometry import Runs, runs, scale_shape
from hwsim.numerics.plan import Plan, plan
from hwsim.numerics.threads import split


def encode_scaled(
    x: ArrayLike,
    scale: ArrayLike,
    zero_point: ArrayLike | None,
    fmt: str | Format,
    *,
    axis: int | None = None,
    block_size: int | None = None,
    rounding: str | None = None,
    overflow: str | None = None,
    profile: str | None = None,
    negative_zero: str | None = None,
    random_bits: ArrayLike | None = None,
) -> Codes:
    """Codes of ``round(x / scale) + zero_point`` in one pass, without temporaries.

    The division is done in the precision of ``x`` (float32, or float64 for float64 input) and rounded once more to the
    format. Shapes: ``scale`` and ``zero_point`` are () per tensor, (C,) per channel of ``axis``, or the shape of ``x``
    with ``axis`` divided by ``block_size`` (rounded up) for groups.

    Raises:
        FormatError: as `encode`; scales of another shape, zero or not finite; zero points for a format that is not
            two's complement, unsigned or offset binary.
    """
    entry = element_format(fmt)
    where = f"encode_scaled to {entry.name!r}"
    chosen = plan(entry, rounding, overflow, profile, negative_zero)
    array = real_array(x, where)
    random = random_array(random_bits, array.shape, chosen.options.rounding, where)
    divisor = _scales(scale, scale_shape(array.shape, axis, block_size), where)
    zeros = _zero_points(zero_point, divisor, entry, where)
    return divide_and_encode(array, divisor, zeros, random, runs(array.shape, axis, block_size), chosen)


def divide_and_encode(
    array: NDArray[Any],
    divisor: NDArray[Any],
    zeros: NDArray[Any] | None,
    random: NDArray[np.uint32],
    geometry: Runs,
    chosen: Plan,
) -> Codes:
    """`encode_scaled` after its checks; an infinite divisor is allowed here and sends a whole run to (signed) zero."""
    flat = np.ascontiguousarray(array).reshape(-1)
    out = np.empty(flat.shape, chosen.fmt.code_dtype)
    fast = flat.dtype == np.float32 and chosen.fast in ("bits", "levels", "whole", "cells")
    if fast and _fast_scaled(flat, divisor.astype(np.float32, copy=False), zeros, out, geometry, chosen) == 0:
        return out.reshape(array.shape)
    general(flat, divisor, zeros, random, out, geometry, chosen)
    return out.reshape(array.shape)


def _scales(scale: ArrayLike, shape: tuple[int, ...], where: str) -> NDArray[Any]:
    array = np.asarray(scale)
    if array.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        array = array.astype(np.float32)
    if array.shape != shape:
        raise FormatError(f"scale must have shape {shape}, found {array.shape}", where=where)
    if array.size and not bool(np.all(np.isfinite(array) & (array != 0))):
        raise FormatError("scales must be finite and not zero", where=where)
    return np.ascontiguousarray(array).reshape(-1)


def _zero_points(zero_point: ArrayLike | None, scale: NDArray[Any], fmt: Format, where: str) -> NDArray[Any] | None:
    if zero_point is None:
        return None
    array = np.asarray(zero_point)
    layout = fmt.layout
    if not isinstance(layout, IntegerLayout) or layout.kind in ("sign_magnitude", "bipolar"):
        raise FormatError(
            "a zero point needs a two's complement, unsigned or offset-binary integer format", where=where
        )
    if array.dtype.kind not in "ui":
        raise FormatError(f"zero points must be integers, found {array.dtype}", where=where)
    if array.size != scale.size:
        raise FormatError(f"zero_point must have the shape of scale ({scale.size}), found {array.shape}", where=where)
    if array.size and int(np.abs(array.astype(np.int64)).max()) >= 1 << 22:
        raise FormatError("zero points must be smaller than 2**22", where=where)
    return np.ascontiguousarray(array).reshape(-1)


def _fast_scaled(
    flat: NDArray[Any], scale: NDArray[Any], zeros: NDArray[Any] | None, out: Codes, geometry: Runs, chosen: Plan
) -> int:
    from hwsim.numerics import _kernels_fast as fast

    spec = chosen.fast_spec
    if chosen.fast == "whole":
        shift = np.zeros(scale.size, np.float32) if zeros is None else zeros.astype(np.float32)
        return split(
            lambda first, last: fast.whole_scaled(flat, scale, shift, out, geometry, spec, first, last),
            geometry.total,
            flat.size,
        )
    kernel = {"bits": fast.bits_scaled, "levels": fast.levels_scaled, "cells": fast.cells_scaled}[chosen.fast or ""]
    return split(lambda first, last: kernel(flat, scale, out, geometry, spec, first, last), geometry.total, flat.size)
