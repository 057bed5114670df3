"""One stored tensor in another storage: the same numbers where the other storage has them, the nearest where not.

The numbers decide, not the names: every row of numbers that will share a scale is tried with its old step (zero points
moved by what separates the two ways to write an integer), with power-of-two multiples of that step, and with the range
that a calibrator picks; the row keeps what errs least, and exactly means not at all. So offset binary, two's
complement and sign-magnitude become each other without loss, UINT4 becomes INT4 with its zero point corrected by 8, a
coarse scale becomes many equal fine ones, and of a tensor that does not fit only the rows that do not fit change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import RecipeError
from hwsim.numerics import BlockFormat, Format, QTensor, decode, encode, formats, quantize_tensor
from hwsim.numerics.codec import element_format
from hwsim.numerics.format import IntegerLayout
from hwsim.quant.calibrators import calibrator
from hwsim.quant.calibrators.base import Range, square_error
from hwsim.quant.gptq import spread
from hwsim.quant.recipe import Scheme
from hwsim.quant.store import rows_of, store_weight, stored_rows, takes_range

Array = NDArray[np.float32]
STEPS = (0, 1, 2, -1)
"""Powers of two tried above the smallest multiple of the old step that clips nothing; -1 clips."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Numbers [rows, n] that are to share a scale, and how they were stored.

    Attributes:
        reals: float32.
        step: the least old scale of each row, float32.
        zero: the old zero point, int32; None where there was none, or where a row had several.
        element: the old element format.
    """

    reals: Array
    step: Array
    zero: NDArray[np.int32] | None
    element: Format


def recode(held: QTensor, scheme: Scheme) -> QTensor:
    """``held``, a weight [out, in, ...], stored after ``scheme``.

    Raises:
        RecipeError: it holds NaN or infinity, which no scheme stores.
    """
    if fits(held, scheme):
        return held
    reals = held.dequantize()
    if not np.isfinite(reals).all():
        raise RecipeError(f"{held.block_format or held.format} holds NaN or infinity; no other storage is looked for")
    entry = formats[scheme.format]
    if isinstance(entry, BlockFormat):
        return _blocks(held, reals, entry)
    if not takes_range(scheme.format):
        return store_weight(reals, scheme)
    rows = rows_from(held, reals, scheme)
    return stored_rows(reals, scheme, best_range(rows, scheme))


def fits(held: QTensor, scheme: Scheme) -> bool:
    """The tensor is stored so already."""
    if isinstance(formats[scheme.format], BlockFormat) or held.block_format is not None:
        return held.block_format == scheme.format
    if held.format != scheme.format or held.tensor_scale is not None:
        return False
    if held.zero_point is not None and scheme.symmetric and held.zero_point.any():
        return False
    layout = {"per_tensor": (None, None), "per_channel": (0, None), "per_group": (1, scheme.group_size)}
    return (held.axis, held.block_size) == layout[scheme.granularity]


def rows_from(held: QTensor, reals: Array, scheme: Scheme) -> Rows:
    """The numbers in the rows of ``scheme``, each row with its old step and zero point."""
    whole = held.scale if held.tensor_scale is None else held.scale * held.tensor_scale
    steps = rows_of(np.ascontiguousarray(spread(held, np.abs(whole))), scheme, edge=True)
    zero = None
    if held.zero_point is not None:
        zeros = rows_of(np.ascontiguousarray(spread(held, held.zero_point)), scheme, edge=True)
        if (zeros == zeros[:, :1]).all():
            zero = zeros[:, 0].astype(np.int32)
    return Rows(rows_of(reals, scheme), _least(steps), zero, element_format(held.format))


def _least(steps: Array) -> Array:
    """The least step above zero of each row."""
    least = np.where(steps > 0, steps, np.inf).min(axis=1)
    return np.where(np.isfinite(least), least, 1).astype(np.float32)


def best_range(rows: Rows, scheme: Scheme) -> Range:
    """The range, of all that are tried, with the least square error of each row; the first of equals."""
    best: Range | None = None
    least = np.full(len(rows.reals), np.inf)
    for found in candidates(rows, scheme):
        error = square_error(rows.reals, found, scheme, None)
        better = error < least
        best = found if best is None else _mixed(best, found, better)
        least = np.where(better, error, least)
        if not least.any():
            break
    assert best is not None
    if best.zero_point is not None and not best.zero_point.any():
        return Range(best.scale, None)
    return best


def candidates(rows: Rows, scheme: Scheme) -> Iterator[Range]:
    """Ranges to try, the old step first and a calibrator's own last."""
    entry = element_format(scheme.format)
    for scale, zero in ((rows.step, rows.zero), *((scale, None) for scale in multiples(rows, entry.max_value))):
        if scheme.symmetric:
            yield Range(scale, None)
            continue
        least, most = int(entry.min_value), int(entry.max_value)
        old = np.zeros(len(scale), np.int32) if zero is None else zero
        yield Range(scale, np.clip(old + middle(entry) - middle(rows.element), least, most).astype(np.int32))
        low = np.rint(rows.reals.min(axis=1) / scale)
        yield Range(scale, np.clip(least - low, least, most).astype(np.int32))
    yield calibrator(scheme.calibrator).fit(rows.reals, scheme)


def multiples(rows: Rows, most: float) -> Iterator[Array]:
    """The step times powers of two, from the least that clips nothing."""
    reach = np.abs(rows.reals).max(axis=1).astype(np.float64)
    ratio = np.where(reach > 0, reach, rows.step) / (rows.step.astype(np.float64) * most)
    for step in STEPS:
        power = np.ceil(np.log2(ratio)) + step
        scale = np.ldexp(rows.step.astype(np.float64), power.astype(np.int64)).astype(np.float32)
        yield np.where(np.isfinite(scale) & (scale > 0), scale, rows.step)


def middle(fmt: Format) -> int:
    """The integer that zero has in formats whose codes are written from 0 up, 0 in signed ones: what a zero point moves
    by when one becomes the other."""
    plain = isinstance(fmt.layout, IntegerLayout) and fmt.layout.kind == "unsigned"
    return 1 << (fmt.bits - 1) if plain else 0


def _mixed(best: Range, found: Range, better: NDArray[np.bool_]) -> Range:
    zero = None
    if best.zero_point is not None and found.zero_point is not None:
        zero = np.where(better, found.zero_point, best.zero_point).astype(np.int32)
    return Range(np.where(better, found.scale, best.scale).astype(np.float32), zero)


# Block formats --------------------------------------------------------------------------------------------------------
def _blocks(held: QTensor, reals: Array, block: BlockFormat) -> QTensor:
    """Blocks along dimension 1. Where a block has one scale, each takes the storable scale that errs least."""
    plain = quantize_tensor(reals, block.name, axis=1)
    if block.rule not in ("power_of_two", "two_level", "amax") or reals.shape[1] == 0:
        return plain
    scheme = Scheme(block.element, "per_group", block.block_size)
    rows = rows_from(held, reals, scheme)
    tops: tuple[np.float32 | None, ...] = (plain.tensor_scale,)
    if plain.tensor_scale is not None:
        own = np.float32(1) if held.tensor_scale is None else held.tensor_scale
        tops = (plain.tensor_scale, own, _power_of_two(plain.tensor_scale), np.float32(rows.step.min()))
    found = [_with_scales(reals, plain, rows, scheme, top) for top in tops]
    return min((plain, *found), key=lambda q: float(np.square(q.dequantize() - reals, dtype=np.float64).sum()))


def _with_scales(reals: Array, plain: QTensor, rows: Rows, scheme: Scheme, top: np.float32 | None) -> QTensor:
    """Blocks under one tensor scale ``top`` (None: no such level), each with the best of the scales that are tried."""
    own = rows_of(np.ascontiguousarray(spread(plain, plain.scale)), scheme, edge=True)[:, 0]
    factor = np.float32(1) if top is None else top
    best: Array | None = None
    least = np.full(len(rows.reals), np.inf)
    tried = [rows.step, *multiples(rows, element_format(scheme.format).max_value)]
    for wanted in [own, *(scale / factor for scale in tried)]:
        stored = _storable(wanted, plain.scale_format)
        error = square_error(rows.reals, Range(stored * factor, None), scheme, None)
        best = stored if best is None else np.where(error < least, stored, best)
        least = np.minimum(error, least)
    assert best is not None
    codes = stored_rows(reals, scheme, Range((best * factor).astype(np.float32), None))
    scale = stored_rows(reals, scheme, Range(best, None)).scale
    name, size = plain.block_format, plain.block_size
    return QTensor(codes.codes, plain.format, scale, None, 1, size, plain.scale_format, top, name)


def _storable(scale: Array, fmt: str) -> Array:
    """Scales above zero as ``fmt`` stores them."""
    entry = element_format(fmt)
    least = float(np.min(values[values > 0])) if (values := decode(np.arange(256), fmt)).size and entry.bits <= 8 else 0
    bounded = np.clip(scale, max(least, np.finfo(np.float32).tiny), entry.max_value).astype(np.float32)
    found: Array = np.asarray(decode(encode(bounded, fmt, rounding="nearest_even"), fmt), np.float32)
    return found


def _power_of_two(x: np.float32) -> np.float32:
    return np.float32(np.ldexp(1.0, int(np.frexp(x)[1]) - 1))


def difference(before: Array, after: Array) -> dict[str, Any]:
    """How many numbers changed, by how much at most, and the signal over the noise in decibels (inf: no noise)."""
    off = after.astype(np.float64) - before
    noise, power = float(np.square(off).sum()), float(np.square(before, dtype=np.float64).sum())
    ratio = np.inf if noise == 0 else -np.inf if power == 0 else 10 * float(np.log10(power / noise))
    largest = float(np.abs(off).max(initial=0.0))
    return {"changed": int(np.count_nonzero(off)), "max_error": largest, "sqnr_db": ratio}
