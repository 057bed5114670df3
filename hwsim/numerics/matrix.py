"""`mma`: d = c + a * b^T on codes, with the arithmetic of a named matrix unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import UnitError
from hwsim.numerics.codec import element_format
from hwsim.numerics.unit import MatrixUnit, ScaledFusedUnit
from hwsim.numerics.unit_catalog import units

Array = NDArray[Any]


def mma(
    a: ArrayLike,
    b: ArrayLike,
    c: ArrayLike | None,
    unit: str | MatrixUnit,
    *,
    a_scale: ArrayLike | None = None,
    b_scale: ArrayLike | None = None,
) -> Array:
    """Matrix product with the arithmetic of ``unit``: d[m, n] = c[m, n] + sum over k of a[m, k] * b[n, k].

    Batch dimensions broadcast. K beyond one instruction chains instructions, d of one being c of the next; K that is no
    multiple of what the unit sums at once is filled with zeros, which add nothing.

    Args:
        a: codes [.., M, K] in the unit's ``a_format``: uint8 up to 8 bits, uint16 up to 16, uint32 above (uint64 for
            units of ``fp64``, whose codes are binary64 patterns).
        b: codes [.., N, K] in its ``b_format``.
        c: [.., M, N] of the accumulator's type (int32, float32, float16 or float64); None means zeros.
        unit: name of an entry of `units`, or a `MatrixUnit`.
        a_scale, b_scale: scale codes [.., M, ceil(K / block_size)] and [.., N, ceil(K / block_size)], for units that
            take block scales and only for those.

    Returns:
        d, [.., M, N], of the accumulator's type. Every NaN has the bits that the unit's ``nan`` says.

    Raises:
        UnitError: unknown unit, or operands that it does not take; nothing is computed then.
        FormatError: the unit names a format that does not exist.

    Example:
        >>> from hwsim import encode
        >>> a, b = encode([[1.5, -2.0]], "fp8_e4m3fn"), encode([[3.0, 0.25]], "fp8_e4m3fn")
        >>> mma(a, b, None, "nvidia.hopper.wgmma.e4m3")
        array([[4.]], dtype=float32)
    """
    entry = unit if isinstance(unit, MatrixUnit) else units[unit]
    left = _operand(entry, "a", a, entry.a_format)
    right = _operand(entry, "b", b, entry.b_format)
    if left.shape[-1] != right.shape[-1]:
        raise _refuse(entry, f"a and b must have the same K, found {left.shape[-1]} and {right.shape[-1]}")
    try:
        batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    except ValueError:
        raise _refuse(entry, f"batch dimensions {left.shape[:-2]} and {right.shape[:-2]} do not broadcast") from None
    shape = (*batch, left.shape[-2], right.shape[-2])
    out = _addend(entry, c, shape)
    scales = _scales(entry, (a_scale, b_scale), (left, right))
    if out.size == 0 or left.shape[-1] == 0:
        return out

    from hwsim.numerics.matrix_loops import multiply

    if right.size == right.shape[-2] * right.shape[-1]:  # one b for all: the batch becomes rows
        rows = out.size // shape[-1]
        once = [x.reshape(x.shape[-2:]) for x in (right, *scales[1:])]
        first = [np.broadcast_to(x, (*batch, *x.shape[-2:])).reshape(rows, -1) for x in (left, *scales[:1])]
        multiply(entry, first[0], once[0], out.reshape(rows, -1), [*first[1:], *once[1:]])
        return out
    every = [np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (left, right, *scales)]
    for index in np.ndindex(batch):
        x, y, *scale = (operand[index] for operand in every)
        multiply(entry, x, y, out[index], scale)
    return out


def _refuse(unit: MatrixUnit, message: str, hint: str | None = None) -> UnitError:
    return UnitError(message, where=f"unit {unit.name!r}", hint=hint)


def _operand(unit: MatrixUnit, what: str, codes: ArrayLike, fmt: str) -> Array:
    """The codes as an array, checked: type, at least two dimensions, within the format."""
    array = np.asarray(codes)
    if fmt == "fp64":
        bits, dtype, hint = 64, np.dtype(np.uint64), "x.view(numpy.uint64) makes them"
    else:
        entry = element_format(fmt)
        bits, dtype, hint = entry.bits, entry.code_dtype, f"encode(x, {fmt!r}) makes them"
    if array.dtype != dtype:
        raise _refuse(unit, f"{what} must be {dtype} codes of {fmt!r}, found {array.dtype}", hint=hint)
    if array.ndim < 2:
        raise _refuse(unit, f"{what} must have at least 2 dimensions, found shape {array.shape}")
    if bits < 8 * array.dtype.itemsize and array.size:
        largest = int(array.max())
        if largest >= 1 << bits:
            raise _refuse(unit, f"{what} must hold {fmt!r} codes 0..{(1 << bits) - 1}, found {largest}")
    return array


def _addend(unit: MatrixUnit, c: ArrayLike | None, shape: tuple[int, ...]) -> Array:
    """c in a new array, in which d will be made."""
    if c is None:
        return np.zeros(shape, unit.accumulator_dtype)
    array = np.asarray(c)
    if array.dtype != unit.addend_dtype:
        raise _refuse(unit, f"c must be {unit.addend_dtype}, found {array.dtype}")
    if array.shape != shape:
        raise _refuse(unit, f"c must have shape {shape}, found {array.shape}")
    return np.array(array, unit.accumulator_dtype, order="C")


def _scales(unit: MatrixUnit, given: tuple[ArrayLike | None, ...], operands: tuple[Array, ...]) -> list[Array]:
    """Scale codes of a and b, checked; empty for a unit that takes none."""
    if not isinstance(unit, ScaledFusedUnit):
        if any(scale is not None for scale in given):
            raise _refuse(unit, "takes no block scales, found a_scale or b_scale")
        return []
    found = []
    for what, scale, operand in zip(("a_scale", "b_scale"), given, operands, strict=True):
        if scale is None:
            raise _refuse(
                unit, f"{what} is missing: expected {unit.scale_format!r} codes, one for {unit.block_size} elements"
            )
        array = _operand(unit, what, scale, unit.scale_format)
        shape = (*operand.shape[:-1], -(-operand.shape[-1] // unit.block_size))
        if array.shape != shape:
            raise _refuse(unit, f"{what} must have shape {shape}, found {array.shape}")
        found.append(array)
    return found
