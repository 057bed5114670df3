"""How a weight is laid out in low bits: one scale a tensor, a channel or a group, or a block format's own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.numerics import BlockFormat, QTensor, formats, quantize_tensor
from hwsim.quant.calibrators import calibrator
from hwsim.quant.recipe import Scheme


def takes_range(fmt: str) -> bool:
    """True where a scale is to be chosen; block formats make their own, and floats of 16 bits and more need none."""
    entry = formats[fmt]
    return not isinstance(entry, BlockFormat) and (entry.is_integer or entry.bits < 16)


def store_weight(weight: NDArray[np.float32], scheme: Scheme) -> QTensor:
    """Store a weight [out, in, ...] after ``scheme``; groups and blocks run along dimension 1, the input channels.

    Raises:
        RecipeError: an unknown calibrator.
    """
    if isinstance(formats[scheme.format], BlockFormat):
        return quantize_tensor(weight, scheme.format, axis=1)
    if not takes_range(scheme.format):
        return quantize_tensor(weight, scheme.format, scale=np.ones((), np.float32))
    rule = calibrator(scheme.calibrator)
    if scheme.granularity == "per_tensor":
        found = rule.fit(weight.reshape(1, -1), scheme)
        zero = None if found.zero_point is None else found.zero_point.reshape(())
        return quantize_tensor(weight, scheme.format, scale=found.scale.reshape(()), zero_point=zero)
    if scheme.granularity == "per_channel":
        found = rule.fit(weight.reshape(len(weight), -1), scheme)
        return quantize_tensor(weight, scheme.format, axis=0, scale=found.scale, zero_point=found.zero_point)
    size = int(scheme.group_size or 1)
    last = np.moveaxis(weight, 1, -1)
    short = -last.shape[-1] % size
    rows = np.pad(last, [(0, 0)] * (last.ndim - 1) + [(0, short)])
    found = rule.fit(rows.reshape(-1, size), scheme)
    shape = (*last.shape[:-1], rows.shape[-1] // size)
    scale = np.moveaxis(found.scale.reshape(shape), -1, 1)
    zero = None if found.zero_point is None else np.moveaxis(found.zero_point.reshape(shape), -1, 1)
    return quantize_tensor(weight, scheme.format, axis=1, block_size=size, scale=scale, zero_point=zero)
