"""How a weight is laid out in low bits: one scale a tensor, a channel or a group, or a block format's own."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwsim.numerics import BlockFormat, QTensor, formats, quantize_tensor
from hwsim.quant.calibrators import Range, calibrator
from hwsim.quant.recipe import Scheme

T = TypeVar("T", bound=np.generic)


def takes_range(fmt: str) -> bool:
    """True where a scale is to be chosen; block formats make their own, and floats of 16 bits and more need none."""
    entry = formats[fmt]
    return not isinstance(entry, BlockFormat) and (entry.is_integer or entry.bits < 16)


def is_coarse(fmt: str) -> bool:
    """True for storage of few bits: where a scale is chosen, or a block format makes one."""
    return isinstance(formats[fmt], BlockFormat) or takes_range(fmt)


def store_weight(weight: NDArray[np.float32], scheme: Scheme) -> QTensor:
    """Store a weight [out, in, ...] after ``scheme``; groups and blocks run along dimension 1, the input channels.

    Raises:
        RecipeError: an unknown calibrator.
    """
    if isinstance(formats[scheme.format], BlockFormat):
        return quantize_tensor(weight, scheme.format, axis=1)
    if not takes_range(scheme.format):
        return quantize_tensor(weight, scheme.format, scale=np.ones((), np.float32))
    return stored_rows(weight, scheme, calibrator(scheme.calibrator).fit(rows_of(weight, scheme), scheme))


def rows_of(weight: NDArray[T], scheme: Scheme, *, edge: bool = False) -> NDArray[T]:
    """What shares a scale, [rows, numbers]; short groups end in zeros, or in copies of their last number (``edge``)."""
    if scheme.granularity == "per_tensor":
        return weight.reshape(1, -1)
    if scheme.granularity == "per_channel":
        return weight.reshape(len(weight), -1)
    size = int(scheme.group_size or 1)
    last = np.moveaxis(weight, 1, -1)
    fill: Literal["edge", "constant"] = "edge" if edge else "constant"
    return np.pad(last, [(0, 0)] * (last.ndim - 1) + [(0, -last.shape[-1] % size)], fill).reshape(-1, size)


def stored_rows(weight: NDArray[np.float32], scheme: Scheme, found: Range) -> QTensor:
    """Store a weight with the ranges of its rows, in the order of `rows_of`."""
    if scheme.granularity == "per_channel":
        return quantize_tensor(weight, scheme.format, axis=0, scale=found.scale, zero_point=found.zero_point)
    zero = found.zero_point
    if scheme.granularity == "per_tensor":
        point = None if zero is None else zero.reshape(())
        return quantize_tensor(weight, scheme.format, scale=found.scale.reshape(()), zero_point=point)
    size = int(scheme.group_size or 1)
    shape = (len(weight), *weight.shape[2:], -(-weight.shape[1] // size))
    scale = np.moveaxis(found.scale.reshape(shape), -1, 1)
    points = None if zero is None else np.moveaxis(zero.reshape(shape), -1, 1)
    return quantize_tensor(weight, scheme.format, axis=1, block_size=size, scale=scale, zero_point=points)
