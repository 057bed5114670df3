"""Which fused units narrow lanes serve (`_kernels_narrow`), and how operands reach them; the rest is left to the wide
loops."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.numerics.codec import decode, element_format
from hwsim.numerics.format import FloatLayout
from hwsim.numerics.threads import split
from hwsim.numerics.unit import FusedUnit, ScaledFusedUnit

Array = NDArray[Any]
Wide = Callable[[Array, Array, Array, list[Array]], None]

ROWS = 64  # of an item
DEPTH = 1024  # K, and CHUNK elements in all, of an operand that are decoded at a time
CHUNK = 1 << 22
MANY = 1 << 16  # multiply-adds below which the wide loops, which need no decoding, are no slower
_MODES = ("rz_fp32", "rz_e8m13")
_BEYOND = 32767


def serves(unit: FusedUnit, a: Array, b: Array) -> bool:
    """Whether narrow lanes compute this product: enough of it, and a unit whose every step they hold exactly."""
    small = all(element_format(fmt).bits <= 16 for fmt in (unit.a_format, unit.b_format))
    if not small or unit.rounding not in _MODES or unit.addend_apart or unit.products % 8 or unit.addend is not None:
        return False
    if len(a) * b.size < MANY:
        return False
    if isinstance(unit, ScaledFusedUnit):
        grouped = unit.group in (8, 16, 32) and unit.block_size % unit.group == 0
        return grouped and _integers(unit.a_format, unit.b_format, unit.group) is not None
    return unit.fraction_bits <= 25 and all(_significand(fmt) <= 11 for fmt in (unit.a_format, unit.b_format))


def multiply(unit: FusedUnit, a: Array, b: Array, out: Array, scales: list[Array], least: tuple[int, ...],
             wide: Wide, mode: int) -> None:  # fmt: skip
    """out[m, n] += sum over k of a[m, k] * b[n, k], as the unit adds.

    Args:
        a, b: codes [M, K] and [N, K].
        out: float32 [M, N], C-contiguous.
        scales: scale codes, of a scaled unit.
        least: exponents at which subnormals stay: of a, of b, of the accumulator.
        wide: computes what these lanes cannot, on slices of the arguments.
        mode: of rounding, as the wide loops name it.
    """
    take = max(ROWS, CHUNK // DEPTH)
    for k in range(0, a.shape[1], DEPTH):  # a chain goes on from what out holds
        x, y, parts = a[:, k : k + DEPTH], b[:, k : k + DEPTH], scales
        if isinstance(unit, ScaledFusedUnit):
            parts = [s[:, k // unit.block_size : -(-(k + DEPTH) // unit.block_size)] for s in scales]
        for n in range(0, len(b), take):
            right = _side(unit, y[n : n + take], [s[n : n + take] for s in parts[1:]], 1, least[1])
            for m in range(0, len(a), take):
                left = _side(unit, x[m : m + take], [s[m : m + take] for s in parts[:1]], 0, least[0])
                again = partial(_again, x, y, parts, wide, m, n)
                _block(unit, left, right, out[m : m + take, n : n + take], least[2], mode, again)


def _again(a: Array, b: Array, scales: list[Array], wide: Wide, m: int, n: int, rows: slice, cols: slice,
           out: Array) -> None:  # fmt: skip
    """One tile through the wide loops."""
    down, across = slice(m + rows.start, m + rows.stop), slice(n + cols.start, n + cols.stop)
    part = np.ascontiguousarray(out[rows, cols])
    wide(a[down], b[across], part, [s[r] for s, r in zip(scales, (down, across), strict=False)])
    out[rows, cols] = part


def _block(unit: FusedUnit, left: Any, right: Any, out: Array, least: int, mode: int, again: Any) -> None:
    from hwsim.numerics import _kernels_narrow as kernels

    lanes = kernels.Lanes(
        steps=unit.products,
        group=unit.group if isinstance(unit, ScaledFusedUnit) else 1,
        block=unit.block_size if isinstance(unit, ScaledFusedUnit) else 1,
        fraction_bits=unit.fraction_bits,
        floor=unit.floor_exponent,
        least=least,
        mode=mode,
    )
    down = -(-len(out) // ROWS)
    items = down * -(-out.shape[1] // kernels.WIDTH)
    undone = np.zeros(items, np.uint8)
    kernel: Any = kernels.products if lanes.group == 1 else kernels.grouped_products
    split(partial(kernel, *left, *right, out, lanes, ROWS, undone), items, out.size * left[0].shape[1])
    for item in np.flatnonzero(undone):
        m, n = int(item) % down * ROWS, int(item) // down * kernels.WIDTH
        again(slice(m, min(m + ROWS, len(out))), slice(n, min(n + kernels.WIDTH, out.shape[1])), out)


def _side(unit: FusedUnit, codes: Array, scales: list[Array], side: int, least: int) -> tuple[Array, ...]:
    """One operand, decoded: (values, exponents, spans), or (integers, group scales, their exponents)."""
    from hwsim.numerics import _kernels_narrow as kernels

    fmt = (unit.a_format, unit.b_format)[side]
    depth = -(-codes.shape[1] // unit.instruction_products) * unit.instruction_products
    codes = np.ascontiguousarray(codes)
    order = np.array(unit.operand_order, np.int64)
    span = np.empty((len(codes), 2), np.int16)
    power = np.empty((len(codes), depth), np.int16)
    if not isinstance(unit, ScaledFusedUnit):
        value = np.empty((len(codes), depth), np.float32)
        values, powers = _tables(fmt, least)
        split(partial(kernels.decode_rows, codes, values, powers, order, value, power, span), len(codes), value.size)
        return value, power, span
    integers = _integers(unit.a_format, unit.b_format, unit.group)
    assert integers is not None
    whole = np.empty((len(codes), depth), np.int16)
    powers = np.zeros(1 << element_format(fmt).bits, np.int16)
    kernel = partial(kernels.decode_rows, codes, integers[side], powers, order, whole, power, span)
    split(kernel, len(codes), whole.size)
    least_scale = int(np.log2(_least(unit.scale_format)))
    table, exponents = _tables(unit.scale_format, least_scale)
    columns = np.minimum(np.arange(depth // unit.group) * unit.group // unit.block_size, scales[0].shape[1] - 1)
    held = scales[0][:, columns]
    unit_of = integers[2] if side == 0 else 1.0
    return whole, np.ascontiguousarray(table[held].astype(np.float64) * unit_of), np.ascontiguousarray(exponents[held])


@lru_cache(maxsize=64)
def _tables(fmt: str, least: int) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """Value and exponent of every code; subnormals at ``least``, zeros far below, what is not finite far above."""
    from hwsim.numerics._kernels_narrow import ZERO_POWER

    entry = element_format(fmt)
    values = decode(np.arange(1 << entry.bits).astype(entry.code_dtype), fmt).astype(np.float32)
    finite = np.isfinite(values)
    safe = np.where(finite & (values != 0), values, 1)
    exponents = np.maximum(np.frexp(np.abs(safe))[1] - 1, least)
    exponents = np.where(finite, np.where(values == 0, ZERO_POWER, exponents), _BEYOND).astype(np.int16)
    return np.where(finite, values, 0).astype(np.float32), exponents


@lru_cache(maxsize=64)
def _integers(a: str, b: str, group: int) -> tuple[NDArray[np.int16], NDArray[np.int16], float] | None:
    """Both formats' values as integers, and the product of their units; None where a group's sum needs over 16 bits."""
    tables, unit = [], 1.0
    for fmt in (a, b):
        entry = element_format(fmt)
        if entry.bits > 8:
            return None
        values = decode(np.arange(1 << entry.bits).astype(entry.code_dtype), fmt).astype(np.float64)
        if not np.isfinite(values).all():
            return None
        grain = float(np.min(np.abs(values[values != 0])))
        whole = values / grain
        if not np.array_equal(whole, np.rint(whole)) or np.frexp(grain)[0] != 0.5:
            return None
        tables.append(whole)
        unit *= grain
    if group * np.abs(tables[0]).max() * np.abs(tables[1]).max() > _BEYOND:
        return None
    return tables[0].astype(np.int16), tables[1].astype(np.int16), unit


def _least(fmt: str) -> float:
    layout = element_format(fmt).layout
    assert isinstance(layout, FloatLayout)
    return 2.0 ** (int(layout.zero) - layout.bias)


def _significand(fmt: str) -> int:
    """Bits of a format's significand, the hidden one counted; many for what is no float."""
    layout = element_format(fmt).layout
    return layout.mantissa_bits + 1 if isinstance(layout, FloatLayout) else 99
