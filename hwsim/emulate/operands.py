"""Operands of a matrix product: codes in the layout and format that the unit takes, and the scales of their segments.

A convolution becomes a product after im2col, with K in the order (kernel row, kernel column, input channel), the
channel fastest, as NHWC hardware walks it. Where scales change along K (groups, blocks), K is cut into segments of
one scale each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import RecipeError
from hwsim.ir import QuantParams
from hwsim.numerics import QTensor, decode, encode
from hwsim.numerics.codec import element_format

Codes = NDArray[Any]
WIDE = ("fp16", "bf16", "tf32", "fp32")
"""Unit formats that low-bit operands are dequantized into, with one rounding, before the product."""


def takes(fmt: str, wanted: str) -> bool:
    """True when a unit of ``wanted`` operands takes storage ``fmt``: it is wide, or holds every code exactly."""
    return wanted in WIDE or fmt == wanted or _recode_table(fmt, wanted) is not None


@cache
def _recode_table(fmt: str, wanted: str) -> NDArray[Any] | None:
    source, target = element_format(fmt), element_format(wanted)
    if source.bits > 8 or target.bits > 8:
        return None
    codes = np.arange(1 << source.bits, dtype=np.uint8)
    reals = decode(codes, fmt)
    finite = np.isfinite(reals)
    inside = reals[finite]
    if inside.min() < target.min_value or inside.max() > target.max_value:
        # Codes that the source's encoder never makes (-8 of a restricted INT4) do not count.
        made = (reals >= source.min_value) & (reals <= source.max_value)
        inside = reals[finite & made]
        if inside.min() < target.min_value or inside.max() > target.max_value:
            return None
    safe = np.where(finite, reals, 0).astype(np.float32)
    table = encode(safe, wanted, rounding="nearest_even", overflow="saturate")
    back = decode(table, wanted)
    made = finite & (reals >= source.min_value) & (reals <= source.max_value)
    return table if np.array_equal(back[made], safe[made]) else None


def recode(codes: Codes, fmt: str, wanted: str) -> Codes:
    """The same numbers as codes of ``wanted``."""
    if fmt == wanted:
        return codes
    table = _recode_table(fmt, wanted)
    if table is None:
        raise RecipeError(f"{fmt} does not fit into {wanted} code for code")
    return table[codes]


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """One side of a product, ready for the unit.

    Attributes:
        codes: [rows, K] in the unit's format.
        bounds: segment ends along K; one segment when scales do not change along K.
        scales: float32 [segments], or [segments, rows] where rows have scales of their own.
        zeros: int32 of the shape of ``scales``: what codes are off by; None for none.
    """

    codes: Codes
    bounds: tuple[int, ...]
    scales: NDArray[np.float32]
    zeros: NDArray[np.int32] | None = None

    def _segment(self, start: int) -> int:
        return int(np.searchsorted(np.asarray(self.bounds), start, side="right"))

    def scale_at(self, start: int) -> NDArray[np.float32]:
        """Scale () or [rows] of the segment that holds column ``start``."""
        return np.asarray(self.scales[self._segment(start)])

    def zero_at(self, start: int) -> NDArray[np.int32] | None:
        """Zero point () or [rows] of the segment that holds column ``start``."""
        return None if self.zeros is None else np.asarray(self.zeros[self._segment(start)])


def weight_operand(weight: QTensor, wanted: str, group: slice) -> Operand:
    """Rows ``group`` of a stored weight [out, in] or [out, in, kh, kw] as an operand [out, K].

    Raises:
        RecipeError: the storage does not fit the unit.
    """
    if wanted in WIDE:
        return _widened(k_order(weight.dequantize()[group]), wanted)
    if weight.offset is not None:
        raise RecipeError(f"{weight.block_format} adds an offset to each block, which no unit of {wanted} does")
    codes = recode(k_order(weight.codes[group]), weight.format, wanted)
    k = codes.shape[1]
    zero = weight.zero_point
    if weight.block_size is None:
        per_row = weight.scale.ndim == 1
        scale = weight.scale[group] if per_row else weight.scale
        zero = zero[group] if zero is not None and per_row else zero
        return Operand(codes, (k,), scale[None], None if zero is None else zero[None])
    scales = np.ascontiguousarray(k_order(weight.scale[group]).T)
    if weight.tensor_scale is not None:
        scales = scales * weight.tensor_scale
    zeros = None if zero is None else np.ascontiguousarray(k_order(zero[group]).T)
    return Operand(codes, _bounds(k, weight.codes.shape[1], weight.block_size), scales.astype(np.float32), zeros)


def _widened(x: NDArray[np.float32], wanted: str) -> Operand:
    """Real numbers rounded once to a wide unit format."""
    codes = encode(x, wanted, rounding="nearest_even", overflow="inf")
    return Operand(codes, (x.shape[-1],), np.ones(1, np.float32))


def _bounds(k: int, channels: int, block: int) -> tuple[int, ...]:
    return tuple(
        base + min(end, channels) for base in range(0, k, channels) for end in range(block, channels + block, block)
    )


def k_order(array: NDArray[Any]) -> NDArray[Any]:
    """[out, in, kh, kw] -> [out, kh * kw * in]; [out, in] stays."""
    moved = np.moveaxis(array, 1, -1)
    return np.ascontiguousarray(moved.reshape(len(array), -1))


def plain_operand(codes: Codes, quant: QuantParams, wanted: str) -> Operand:
    """A per-tensor stored value [..., rows, K] as an operand.

    Raises:
        RecipeError: scales run along an axis, or the storage does not fit the unit.
    """
    scale = np.float32(1) if quant.scale is None else quant.scale
    if np.ndim(scale) != 0:
        raise RecipeError("run-time operands take per-tensor scales or a block format")
    if wanted in WIDE:
        zero = 0 if quant.zero_point is None else quant.zero_point
        real = (decode(codes, quant.format) - np.float32(zero)) * np.float32(scale)
        return _widened(real.astype(np.float32), wanted)
    zeros = None if quant.zero_point is None else np.asarray(quant.zero_point, np.int32)[None]
    return Operand(recode(codes, quant.format, wanted), (codes.shape[-1],), np.asarray(scale, np.float32)[None], zeros)


def block_operand(
    codes: Codes, scales: NDArray[np.float32], fmt: str, wanted: str, channels: int, block: int
) -> Operand:
    """Block-scaled rows [rows, K] with scales [rows, segments] as an operand."""
    if wanted in WIDE:
        widths = np.diff((0, *_bounds(codes.shape[-1], channels, block)))
        real = decode(codes, fmt) * np.repeat(scales, widths, axis=-1)
        return _widened(real.astype(np.float32), wanted)
    bounds = _bounds(codes.shape[-1], channels, block)
    return Operand(recode(codes, fmt, wanted), bounds, np.ascontiguousarray(scales.T))
