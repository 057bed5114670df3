"""Float32 meaning of what picks, repeats and resamples: Gather, Slice, Expand, Where, Resize (ONNX semantics)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError
from hwsim.ir.float_ops import Array, Attrs, Inputs
from hwsim.ir.infer import slices


def gather(ins: Inputs, attrs: Attrs) -> Array:
    """Entries ``indices`` of a table along ``axis``; negative indices count from the end.

    Raises:
        DataError: an index that is no whole number or outside the table.
    """
    table, axis = ins[0], attrs["axis"]
    index = ins[1].astype(np.int64)
    size = table.shape[axis]
    wrong = (index != ins[1]) | (index < -size) | (index >= size)
    if wrong.any():
        at = ins[1][wrong].reshape(-1)[0]
        raise DataError(f"index {at:g} is not one of the table's {size} entries", where="Gather")
    return np.take(table, index, axis=axis)


def slice_(ins: Inputs, attrs: Attrs) -> Array:
    """A part of each dimension."""
    return ins[0][slices(ins[0].shape, attrs)]


def expand(ins: Inputs, attrs: Attrs) -> Array:
    """Repeated to ``shape``; -1 there keeps the batch."""
    x, shape = ins[0], tuple(attrs["shape"])
    first = x.shape[0] if x.ndim == len(shape) else 1
    return np.broadcast_to(x, tuple(first if d == -1 else d for d in shape))


def where(ins: Inputs, attrs: Attrs) -> Array:
    """The second input where the first is not zero, else the third."""
    return np.where(ins[0] != 0, ins[1], ins[2])


def resize(ins: Inputs, attrs: Attrs) -> Array:
    """Height and width resampled, ``nearest`` or ``linear``, each along itself."""
    y = ins[0]
    for i, axis in enumerate((2, 3)):
        n = y.shape[axis]
        at = _coordinates(n, attrs["size"][i], np.float32(attrs["scales"][i]), attrs["coordinates"])
        if attrs["mode"] == "nearest":
            y = np.take(y, _nearest(at, attrs["nearest"]).clip(0, n - 1), axis=axis)
            continue
        at = at.clip(0, n - 1)
        low = np.floor(at).astype(np.int64)
        along = (-1,) + (1,) * (3 - axis)
        part = (at - low).astype(np.float32).reshape(along)
        high = np.minimum(low + 1, n - 1)
        y = np.take(y, low, axis=axis) * (1 - part) + np.take(y, high, axis=axis) * part
    return y.astype(np.float32)


COORDINATES = ("asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners")
NEAREST = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")


def _coordinates(n: int, size: int, scale: np.float32, mode: str) -> NDArray[np.float32]:
    """Where each output sample lies in the input, in float32 as runtimes compute it (ties of ``nearest`` need it)."""
    out = np.arange(size, dtype=np.float32)
    if mode == "asymmetric":
        return out / scale
    if mode == "align_corners":
        return out * np.float32(n - 1) / np.float32(max(size - 1, 1))
    if mode == "pytorch_half_pixel" and size == 1:
        return out * 0
    return (out + np.float32(0.5)) / scale - np.float32(0.5)


def _nearest(at: NDArray[np.float32], rule: str) -> NDArray[np.int64]:
    if rule == "floor":
        found = np.floor(at)
    elif rule == "ceil":
        found = np.ceil(at)
    else:
        found = np.ceil(at - np.float32(0.5)) if rule == "round_prefer_floor" else np.floor(at + np.float32(0.5))
    return found.astype(np.int64)
