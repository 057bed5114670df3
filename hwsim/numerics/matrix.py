"""`mma`: d = c + a * b^T on codes, with the arithmetic of a named matrix unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import UnitError
from hwsim.numerics.codec import decode, element_format, int_table
from hwsim.numerics.format import FloatLayout, Format
from hwsim.numerics.threads import split
from hwsim.numerics.unit import ExactUnit, FmaChainUnit, FusedUnit, IntegerUnit, MatrixUnit, ScaledFusedUnit
from hwsim.numerics.unit_catalog import units

EXACT_FP32: Final = 1 << 24  # float32 holds every integer up to here, so BLAS adds integers exactly in any order
INT32_MAX: Final = (1 << 31) - 1

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
        a: codes [.., M, K] in the unit's ``a_format``: uint8 up to 8 bits, uint16 up to 16, uint32 above.
        b: codes [.., N, K] in its ``b_format``.
        c: [.., M, N] of the accumulator's type (int32, float32, or float16 for FP16 accumulators); None means zeros.
        unit: name of an entry of `units`, or a `MatrixUnit`.
        a_scale, b_scale: scale codes [.., M, ceil(K / block_size)] and [.., N, ceil(K / block_size)], for units that
            take block scales and only for those.

    Returns:
        d, [.., M, N], of the accumulator's type. Floating-point NaN is 0x7FFFFFFF (float16: 0x7FFF).

    Raises:
        UnitError: unknown unit, or operands that it does not take; nothing is computed then.
        FormatError: the unit names a format that does not exist.
    """
    entry = unit if isinstance(unit, MatrixUnit) else units[unit]
    left = _operand(entry, "a", a, element_format(entry.a_format))
    right = _operand(entry, "b", b, element_format(entry.b_format))
    if left.shape[-1] != right.shape[-1]:
        raise _refuse(entry, f"a and b must have the same K, found {left.shape[-1]} and {right.shape[-1]}")
    try:
        batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    except ValueError:
        raise _refuse(entry, f"batch dimensions {left.shape[:-2]} and {right.shape[:-2]} do not broadcast") from None
    shape = (*batch, left.shape[-2], right.shape[-2])
    start = _addend(entry, c, shape)
    scales = _scales(entry, (a_scale, b_scale), (left, right))
    if start.size == 0 or left.shape[-1] == 0:
        return start.copy()

    flat = right.ndim == 2 or right.size == right.shape[-2] * right.shape[-1]  # one b for all: the batch becomes rows
    lead = (1, start.size // shape[-1]) if flat else (start.size // (shape[-2] * shape[-1]), shape[-2])
    left, *left_scale = (_stack(x, batch, lead) for x in (left, *scales[:1]))
    right_batch = right.shape[:-2] if flat else batch
    right, *right_scale = (_stack(x, right_batch, (lead[0], shape[-1])) for x in (right, *scales[1:]))
    start = np.ascontiguousarray(start).reshape(*lead, shape[-1])
    if isinstance(entry, IntegerUnit):
        return _integer(entry, left, right, start).reshape(shape)
    return _float(entry, left, right, start, [*left_scale, *right_scale]).reshape(shape)


def _refuse(unit: MatrixUnit, message: str, hint: str | None = None) -> UnitError:
    return UnitError(message, where=f"unit {unit.name!r}", hint=hint)


def _operand(unit: MatrixUnit, what: str, codes: ArrayLike, fmt: Format) -> Array:
    """The codes as an array, checked: type, at least two dimensions, within the format."""
    array = np.asarray(codes)
    if array.dtype != fmt.code_dtype:
        raise _refuse(
            unit,
            f"{what} must be {fmt.code_dtype} codes of {fmt.name!r}, found {array.dtype}",
            hint=f"encode(x, {fmt.name!r}) makes them",
        )
    if array.ndim < 2:
        raise _refuse(unit, f"{what} must have at least 2 dimensions, found shape {array.shape}")
    if fmt.bits < 8 * array.dtype.itemsize and array.size:
        largest = int(array.max())
        if largest >= 1 << fmt.bits:
            raise _refuse(unit, f"{what} must hold {fmt.name!r} codes 0..{(1 << fmt.bits) - 1}, found {largest}")
    return array


def _addend(unit: MatrixUnit, c: ArrayLike | None, shape: tuple[int, ...]) -> Array:
    if c is None:
        return np.zeros(shape, unit.accumulator_dtype)
    array = np.asarray(c)
    if array.dtype != unit.accumulator_dtype:
        raise _refuse(unit, f"c must be {unit.accumulator_dtype}, found {array.dtype}")
    if array.shape != shape:
        raise _refuse(unit, f"c must have shape {shape}, found {array.shape}")
    return array


def _scales(unit: MatrixUnit, given: tuple[ArrayLike | None, ...], operands: tuple[Array, ...]) -> list[Array]:
    """Scale codes of a and b, checked; empty for a unit that takes none."""
    if not isinstance(unit, ScaledFusedUnit):
        if any(scale is not None for scale in given):
            raise _refuse(unit, "takes no block scales, found a_scale or b_scale")
        return []
    fmt = element_format(unit.scale_format)
    found = []
    for what, scale, operand in zip(("a_scale", "b_scale"), given, operands, strict=True):
        if scale is None:
            raise _refuse(unit, f"{what} is missing: expected {fmt.name!r} codes, one for {unit.block_size} elements")
        array = _operand(unit, what, scale, fmt)
        shape = (*operand.shape[:-1], -(-operand.shape[-1] // unit.block_size))
        if array.shape != shape:
            raise _refuse(unit, f"{what} must have shape {shape}, found {array.shape}")
        found.append(array)
    return found


def _stack(x: Array, batch: tuple[int, ...], lead: tuple[int, int]) -> Array:
    """x with its batch broadcast and flattened: [G, rows, columns]."""
    if x.shape[:-2] != batch:
        x = np.broadcast_to(x, (*batch, *x.shape[-2:]))
    return x.reshape(*lead, x.shape[-1])


def _run(kernel: Callable[..., int], items: int, stacks: Sequence[Array], out: Array, *settings: object) -> Array:
    """kernel(matrices.., out, settings.., first, last) for every matrix of the stacks, over ``items`` in parallel."""
    work = out[0].size * stacks[0].shape[-1]
    for i in range(out.shape[0]):
        split(partial(kernel, *(stack[i] for stack in stacks), out[i], *settings), items, work)
    return out


def _look_up(table: Array, codes: Array) -> Array:
    """table[codes], in parallel."""
    from hwsim.numerics import _kernels_chain as kernels

    flat, out = np.ascontiguousarray(codes).reshape(-1), np.empty(codes.shape, table.dtype)
    split(partial(kernels.look_up, table, flat, out.reshape(-1)), flat.size, flat.size)
    return out


def _integer(unit: IntegerUnit, a: Array, b: Array, c: Array) -> Array:
    """Integer products: through BLAS where no order of summation can show, else in the order of the chain."""
    from hwsim.numerics import _kernels_chain as kernels

    x = _look_up(int_table(unit.a_format).astype(np.float32), a)
    y = _look_up(int_table(unit.b_format).astype(np.float32), b)
    product = _magnitude(x) * _magnitude(y)
    if unit.overflow == "saturate" and product * x.shape[-1] + _magnitude(c) > INT32_MAX:
        stacks = (x.astype(np.int32), y.astype(np.int32), c)
        limits = (unit.products, -INT32_MAX - 1, INT32_MAX)
        return _run(kernels.integer_chain, c.shape[1], stacks, np.empty_like(c), *limits)
    out = np.array(c, order="C")
    sums = out.reshape(-1)
    depth = EXACT_FP32 // max(product, 1)  # 258 or more: integer formats have at most 8 bits
    for k in range(0, x.shape[-1], depth):
        terms = np.matmul(x[..., k : k + depth], np.swapaxes(y[..., k : k + depth], -1, -2)).reshape(-1)
        split(partial(kernels.add_integers, terms, sums), sums.size, sums.size)
    return out


def _magnitude(x: Array) -> int:
    """Largest absolute value in an array that is not empty."""
    return max(int(x.max()), -int(x.min()))


def _values(fmt_name: str, codes: Array) -> Array:
    """Values of codes, float32: exact for every format that a floating-point unit takes."""
    fmt = element_format(fmt_name)
    return _look_up(_value_table(fmt_name), codes) if fmt.bits <= 16 else decode(codes, fmt_name)


@lru_cache(maxsize=32)
def _value_table(fmt_name: str) -> Array:
    fmt = element_format(fmt_name)
    return np.asarray(decode(np.arange(1 << fmt.bits).astype(fmt.code_dtype), fmt_name), np.float32)


def _least(fmt_name: str) -> float:
    """The power of two of a format's subnormals (of its smallest number, where it has none)."""
    layout = element_format(fmt_name).layout
    if not isinstance(layout, FloatLayout):
        raise UnitError(f"a floating-point unit takes floating-point formats, found {fmt_name!r}")
    return 2.0 ** (int(layout.zero) - layout.bias)


def _float(unit: MatrixUnit, a: Array, b: Array, c: Array, scales: list[Array]) -> Array:
    """Floating-point products, decoded and run in the unit's own loop; one NaN pattern comes out."""
    from hwsim.numerics import _kernels_chain, _kernels_mma

    stacks = [_values(unit.a_format, a), _values(unit.b_format, b), c.astype(np.float32)]
    out = np.empty(c.shape, np.float32)
    if isinstance(unit, FusedUnit):
        ones = np.ones((*a.shape[:2], 1)), np.ones((*b.shape[:2], 1))
        table = _value_table(unit.scale_format).astype(np.float64) if isinstance(unit, ScaledFusedUnit) else None
        stacks += ones if table is None else [_look_up(table, scale) for scale in scales]
        tiles = -(-c.shape[1] // _kernels_mma.TILE_M) * -(-c.shape[2] // _kernels_mma.TILE_N)
        _run(_kernels_mma.fused_matmul, tiles, stacks, out, _rule(unit))
    elif isinstance(unit, FmaChainUnit):
        _run(_kernels_chain.fma_chain, c.shape[1], stacks, out)
    elif isinstance(unit, ExactUnit):
        _run(_kernels_chain.exact_sum, c.shape[1], stacks, out)
    else:
        raise UnitError(f"no loop for a {type(unit).__name__}", where=f"unit {unit.name!r}")
    result = out.astype(unit.accumulator_dtype)
    bits, nan = (np.uint16, 0x7FFF) if unit.accumulator == "fp16" else (np.uint32, 0x7FFFFFFF)
    result.view(bits)[np.isnan(out)] = nan
    return result


@lru_cache(maxsize=128)
def _rule(unit: FusedUnit) -> Any:
    from hwsim.numerics import _kernels_mma as kernels

    modes = {"rz_fp32": kernels.RZ_FP32, "rz_e8m13": kernels.RZ_E8M13, "rne_fp16": kernels.RNE_FP16}
    scaled = unit if isinstance(unit, ScaledFusedUnit) else None
    return kernels.Rule(
        order=np.array(unit.operand_order, np.int64),
        steps=unit.products,
        block=scaled.block_size if scaled else INT32_MAX,
        group=scaled.group if scaled else 1,
        least_a=_least(unit.operands_become or unit.a_format),
        least_b=_least(unit.operands_become or unit.b_format),
        least_c=_least(unit.accumulator),
        least_scale=_least(scaled.scale_format) if scaled else 1.0,
        fraction_bits=unit.fraction_bits,
        floor=2.0**unit.floor_exponent,
        mode=modes[unit.rounding],
        apart=unit.addend_apart,
    )
