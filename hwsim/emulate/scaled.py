"""Products on units that take block scales themselves: scale codes go in beside element codes.

The second-level scales of NVFP4 are no part of the unit; their product multiplies its sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate.epilogue import Sums
from hwsim.errors import RecipeError
from hwsim.numerics import QTensor, encode, mma
from hwsim.numerics.unit import ScaledFusedUnit


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """One side of a product: codes [rows, K], codes of the scales [rows, K / block], the second-level scale."""

    codes: NDArray[Any]
    scales: NDArray[Any]
    factor: np.float32


def side(
    codes: NDArray[Any], scales: NDArray[np.float32], tensor: QTensor, unit: ScaledFusedUnit, channels: int
) -> Scaled:
    """A side from codes [rows, K] and scales [rows, blocks] in the order of K; ``channels`` is a segment of K.

    Segments of a convolution that are not whole blocks are filled up with zeros, as kernels that walk the channels do.

    Raises:
        RecipeError: another block, or another scale format.
    """
    blocks = (tensor.block_size, tensor.scale_format)
    if blocks != (unit.block_size, unit.scale_format):
        raise RecipeError(
            f"{unit.name} takes blocks of {unit.block_size} with {unit.scale_format} scales, "
            f"found blocks of {blocks[0]} with {blocks[1]}"
        )
    if codes.shape[1] != channels and channels % unit.block_size:
        fill = [(0, 0), (0, 0), (0, -channels % unit.block_size)]
        codes = np.pad(codes.reshape(len(codes), -1, channels), fill).reshape(len(codes), -1)
    factor = np.float32(1) if tensor.tensor_scale is None else np.float32(tensor.tensor_scale)
    stored = encode(np.ascontiguousarray(scales, np.float32), unit.scale_format)
    return Scaled(np.ascontiguousarray(codes), stored, factor)


def product(
    a: Scaled,
    b: Scaled,
    bias: NDArray[Any] | None,
    unit: ScaledFusedUnit,
    compute: Callable[..., NDArray[Any]] | None = None,
) -> Sums:
    """Sums of a [M, K] by b [N, K]; ``compute`` is called as ``hwsim.mma`` is, instead of it."""
    if compute is None:
        acc = mma(a.codes, b.codes, None, unit, a_scale=a.scales, b_scale=b.scales)
    else:
        acc = compute(a.codes, b.codes, None, unit.name, a_scale=a.scales, b_scale=b.scales)
    left = None if bias is None else np.asarray(bias, np.float32)
    return Sums(acc, np.full(len(b.codes), a.factor * b.factor, np.float32), left)
