"""Which compiled loop runs which class of unit. `mma` has checked everything; here no operand is decoded as a whole.

`multiply` is a single-dispatch function on the unit's class: a new way of adding registers its own loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial, singledispatch
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import UnitError
from hwsim.numerics.codec import decode, element_format, int_table
from hwsim.numerics.format import FloatLayout
from hwsim.numerics.threads import split
from hwsim.numerics.unit import (
    ExactUnit,
    FlushedTreeUnit,
    FmaChainUnit,
    FusedUnit,
    IntegerUnit,
    KulischUnit,
    MatrixUnit,
    PopcountUnit,
    ScaledFusedUnit,
    TwoStageUnit,
)

EXACT_FP32: Final = 1 << 24  # float32 holds every integer up to here, so BLAS adds integers exactly in any order
INT32_MAX: Final = (1 << 31) - 1
ROWS, COLUMNS, DEPTH = 512, 2048, 2048  # of the blocks in which integers become float32 for BLAS

Array = NDArray[Any]


@singledispatch
def multiply(unit: MatrixUnit, a: Array, b: Array, out: Array, scales: list[Array]) -> None:
    """out[m, n] += sum over k of a[m, k] * b[n, k], as the unit adds.

    Args:
        a, b: codes [M, K] and [N, K], neither empty.
        out: [M, N], C-contiguous, of the accumulator's type; holds c, then d.
        scales: scale codes of a and b for units that take them; otherwise empty.

    Raises:
        UnitError: the unit is of a class that has no loop, or its formats suit no such class.
    """
    raise UnitError(f"no loop for a {type(unit).__name__}", where=f"unit {unit.name!r}")


def _frozen(x: Array) -> Array:
    """Contiguous and read-only: one compiled loop then serves every caller's array."""
    view = np.ascontiguousarray(x).view()
    view.flags.writeable = False
    return view


# Integers -------------------------------------------------------------------------------------------------------------
@multiply.register
def _(unit: IntegerUnit, a: Array, b: Array, out: Array, scales: list[Array]) -> None:
    """Through BLAS where no order of summation can show, else in the order of the chain."""
    from hwsim.numerics import _kernels_chain as kernels

    a, b = _frozen(a), _frozen(b)
    reach = _integers(unit.a_format)[2] * _integers(unit.b_format)[2] * a.shape[1]
    if unit.overflow == "saturate" and reach + _magnitude(out) > INT32_MAX:
        tables = int_table(unit.a_format), int_table(unit.b_format)
        limits = (unit.products, -INT32_MAX - 1, INT32_MAX)
        split(partial(kernels.integer_chain, a, b, out, *tables, *limits), out.shape[0], out.size * a.shape[1])
        return
    x_table, p, x_most = _integers(unit.a_format, reach > EXACT_FP32)
    y_table, q, y_most = _integers(unit.b_format, reach > EXACT_FP32)
    offsets = p, q
    depth = min(DEPTH, EXACT_FP32 // max(x_most * y_most, 1))
    x_sums, y_sums = np.zeros(a.shape[0], np.int64), np.zeros(b.shape[0], np.int64)
    for n in range(0, b.shape[0], COLUMNS):
        for k in range(0, a.shape[1], depth):
            y = _floats(y_table, b, n, min(COLUMNS, b.shape[0] - n), k, depth)
            y_sums[n : n + COLUMNS] += y.sum(1).astype(np.int64) if offsets[0] else 0
            for m in range(0, a.shape[0], ROWS):
                x = _floats(x_table, a, m, min(ROWS, a.shape[0] - m), k, depth)
                x_sums[m : m + ROWS] += x.sum(1).astype(np.int64) if offsets[1] and n == 0 else 0
                terms = x @ y.T
                split(partial(kernels.add_integers, terms, out, m, n), terms.shape[0], terms.size)
    if any(offsets):  # sum (x + p) (y + q) = sum x y + q sum x + p sum y + K p q
        of_rows = (offsets[1] * x_sums).astype(np.int32)
        of_columns = (offsets[0] * y_sums + a.shape[1] * offsets[0] * offsets[1]).astype(np.int32)
        split(partial(kernels.add_offsets, of_rows, of_columns, out), out.shape[0], out.size)


def _floats(table: Array, codes: Array, row: int, rows: int, k: int, depth: int) -> Array:
    """table[codes] of a block, in parallel; all float32."""
    from hwsim.numerics import _kernels_chain as kernels

    block = np.empty((rows, min(depth, codes.shape[1] - k)), np.float32)
    split(partial(kernels.look_up, table, codes, row, k, block), rows, block.size)
    return block


@lru_cache(maxsize=64)
def _integers(fmt: str, moved: bool = False) -> tuple[Array, int, int]:
    """The integers of a format's codes, float32; what was taken off them (their middle, if ``moved``); the largest."""
    table = int_table(fmt)
    off = _middle(table) if moved else 0
    return (table - off).astype(np.float32), off, _magnitude(table - off)


def _magnitude(x: Array) -> int:
    """Largest absolute value in an array that is not empty."""
    return max(int(x.max()), -int(x.min()))


def _middle(table: Array) -> int:
    """What to take off every entry of a table so that its magnitude is least."""
    return (int(table.max()) + int(table.min()) + 1) // 2


@multiply.register
def _(unit: PopcountUnit, a: Array, b: Array, out: Array, scales: list[Array]) -> None:
    from hwsim.numerics import _kernels_chain as kernels

    start, gain = (a.shape[1], -2) if unit.operation == "xnor" else (0, 1)
    tiles = -(-out.shape[0] // kernels.COUNT_TILE) * -(-out.shape[1] // kernels.COUNT_TILE)
    count = partial(kernels.count_bits, _frozen(a), _frozen(b), out, unit.operation == "and", start, gain)
    split(count, tiles, out.size * a.shape[1])


# Floating point -------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=64)
def _reader(fmt: str, flush: bool = False) -> Any:
    """How the bytes of a format's codes become values; ``flush``: subnormals are +0."""
    from hwsim.numerics._kernels_codes import Reader

    if fmt == "fp64":
        return Reader(np.zeros(1, np.float32), 8, 0)
    entry = element_format(fmt)
    layout = entry.layout
    if not isinstance(layout, FloatLayout):
        raise UnitError(f"a floating-point unit takes floating-point formats, found {fmt!r}")
    if entry.bits > 16:
        if layout.exponent_bits != 8 or layout.padding:
            raise UnitError(f"above 16 bits a unit takes formats with the exponent of fp32, found {fmt!r}")
        return Reader(np.zeros(1, np.float32), 4, 32 - entry.bits)
    values = decode(np.arange(1 << entry.bits).astype(entry.code_dtype), fmt).astype(np.float32)
    if flush:
        values[np.abs(values) < _least(fmt)] = 0.0
    return Reader(values, entry.code_dtype.itemsize, 0)


def _least(fmt: str) -> float:
    """The power of two of a format's subnormals (of its smallest number, where it has none)."""
    layout = element_format(fmt).layout
    if not isinstance(layout, FloatLayout):
        raise UnitError(f"a floating-point unit takes floating-point formats, found {fmt!r}")
    return 2.0 ** (int(layout.zero) - layout.bias)


def _run(
    kernel: Callable[..., int], unit: MatrixUnit, a: Array, b: Array, out: Array, *settings: object, flush: bool = False
) -> None:
    """kernel(a, b, out, their readers, nan, settings.., first, last) over the tiles of the result, in parallel."""
    from hwsim.numerics._kernels_codes import TILE_M, TILE_N

    readers = _reader(unit.a_format, flush), _reader(unit.b_format, flush), _reader(unit.accumulator)
    arrays = (*(_frozen(_frozen(x).view(np.uint8)) for x in (a, b)), out.view(np.uint8))
    tiles = -(-out.shape[0] // TILE_M) * -(-out.shape[1] // TILE_N)
    split(partial(kernel, *arrays, *readers, unit.nan, *settings), tiles, out.size * a.shape[1])


@multiply.register
def _(unit: FusedUnit, a: Array, b: Array, out: Array, scales: list[Array]) -> None:
    """In narrow lanes where they hold every step exactly, else in binary64."""
    from hwsim.numerics import narrow

    if not narrow.serves(unit, a, b):
        _wide(unit, a, b, out, scales)
        return
    rule = _rule(unit)
    exponents = tuple(int(np.log2(power)) for power in (rule.least_a, rule.least_b, rule.least_c))
    narrow.multiply(unit, a, b, out, scales, exponents, partial(_wide, unit), rule.mode)


def _wide(unit: FusedUnit, a: Array, b: Array, out: Array, scales: list[Array]) -> None:
    from hwsim.numerics import _kernels_mma as kernels

    if isinstance(unit, ScaledFusedUnit):
        codes = [_frozen(scale) for scale in scales]
        table = _reader(unit.scale_format).table.astype(np.float64)
    else:
        codes = [_frozen(np.zeros((x.shape[0], 1), np.uint8)) for x in (a, b)]
        table = np.ones(1)
    _run(kernels.fused_matmul, unit, a, b, out, *codes, table, _rule(unit))


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
        least_addend=_least(unit.addend or unit.accumulator),
        least_scale=_least(scaled.scale_format) if scaled else 1.0,
        fraction_bits=unit.fraction_bits,
        floor=2.0**unit.floor_exponent,
        mode=modes[unit.rounding],
        apart=unit.addend_apart,
    )


@multiply.register
def _(unit: TwoStageUnit, a: Array, b: Array, out: Array, scales: list[Array]) -> None:
    from hwsim.numerics import _kernels_cdna as kernels

    least = _least(unit.a_format), _least(unit.b_format)
    grain = 2.0**unit.fraction_bits, 2.0**unit.sum_bits
    _run(kernels.two_stages, unit, a, b, out, unit.products, *least, *grain, unit.interleaved)


@multiply.register
def _(unit: FlushedTreeUnit, a: Array, b: Array, out: Array, scales: list[Array]) -> None:
    from hwsim.numerics import _kernels_cdna as kernels

    _run(kernels.flushed_tree, unit, a, b, out, unit.products, unit.instruction_products, flush=True)


@multiply.register
def _(unit: FmaChainUnit, a: Array, b: Array, out: Array, scales: list[Array]) -> None:
    from hwsim.numerics import _kernels_chain as kernels

    _run(kernels.fma_chain, unit, a, b, out, np.empty(0, unit.accumulator_dtype))


@multiply.register
def _(unit: ExactUnit, a: Array, b: Array, out: Array, scales: list[Array]) -> None:
    from hwsim.numerics import _kernels_exact as kernels

    _run(kernels.exact_sum, unit, a, b, out, unit.products or a.shape[1])


@multiply.register
def _(unit: KulischUnit, a: Array, b: Array, out: Array, scales: list[Array]) -> None:
    from hwsim.numerics import _kernels_exact as kernels

    _run(kernels.register_sum, unit, a, b, out, unit.lowest_exponent, unit.register_bits)
