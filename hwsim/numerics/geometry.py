"""How scales lie over a tensor: every layout (tensor, channel, group) as runs of consecutive elements."""

from __future__ import annotations

import math
from typing import NamedTuple

from hwsim.errors import FormatError

_CHUNK = 1 << 14  # elements in a run where one scale covers the whole tensor, so that threads have runs to share


class Runs(NamedTuple):
    """A C-contiguous tensor as groups of runs.

    Run r belongs to group g = r // runs_per_group, p = r % runs_per_group; it covers elements
    ``g * group + p * length`` up to ``length`` or the group's end, and element i of it takes
    ``scale[g * scale_group + p // divisor * scale_run + i * scale_step]``.
    """

    total: int
    runs_per_group: int
    group: int
    length: int
    divisor: int
    scale_group: int
    scale_run: int
    scale_step: int


def normalise_axis(axis: int, ndim: int) -> int:
    """``axis`` counted from the front.

    Raises:
        FormatError: the tensor has no such axis.
    """
    if not -ndim <= axis < ndim:
        raise FormatError(f"axis {axis} is out of range for a tensor of {ndim} dimensions")
    return axis % ndim


def scale_shape(shape: tuple[int, ...], axis: int | None, block_size: int | None) -> tuple[int, ...]:
    """Shape of the scale: () per tensor, (C,) per channel, the tensor's with ``axis`` in blocks for groups."""
    if axis is None:
        if block_size is not None:
            raise FormatError("block_size needs an axis to run along", hint="give axis=-1")
        return ()
    axis = normalise_axis(axis, len(shape))
    if block_size is None:
        return (shape[axis],)
    if block_size < 1:
        raise FormatError(f"block_size must be at least 1, found {block_size}")
    return (*shape[:axis], -(-shape[axis] // block_size), *shape[axis + 1 :])


def runs(shape: tuple[int, ...], axis: int | None, block_size: int | None) -> Runs:
    """The runs of a tensor of ``shape`` whose scale has ``scale_shape(shape, axis, block_size)``."""
    size = math.prod(shape)
    scale_shape(shape, axis, block_size)
    if size == 0:
        return Runs(0, 1, 0, 1, 1, 0, 0, 0)
    if axis is None:
        count = -(-size // _CHUNK)
        return Runs(count, count, size, _CHUNK, 1, 0, 0, 0)
    axis = normalise_axis(axis, len(shape))
    outer, along, inner = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    if block_size is None:
        if inner == 1:
            return Runs(outer, 1, along, along, 1, 0, 0, 1)
        return Runs(outer * along, along, along * inner, inner, 1, 0, 1, 0)
    blocks = -(-along // block_size)
    if inner == 1:
        return Runs(outer * blocks, blocks, along, block_size, 1, blocks, 1, 0)
    return Runs(outer * along, along, along * inner, inner, block_size, blocks * inner, inner, 1)
