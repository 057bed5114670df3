"""How scales lie along a tensor: moving stored tensors about, and telling groups from scales written out in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import Graph, QuantParams
from hwsim.ir.graph import Constant
from hwsim.numerics import QTensor


def transposed(held: QTensor, perm: Sequence[int]) -> QTensor:
    """A stored tensor with its dimensions in the order ``perm``; codes and scales stay what they are."""
    axis = None if held.axis is None else list(perm).index(held.axis)
    scale, zero = held.scale, held.zero_point
    if held.block_size is not None:
        scale = np.ascontiguousarray(scale.transpose(perm))
        zero = None if zero is None else np.ascontiguousarray(zero.transpose(perm))
    return replace(
        held, codes=np.ascontiguousarray(held.codes.transpose(perm)), scale=scale, zero_point=zero, axis=axis
    )


def lifted(held: QTensor) -> QTensor:
    """A stored 1-D convolution weight [out, in, k] as a 2-D one [out, in, 1, k]."""
    axis = 3 if held.axis == 2 else held.axis
    scale, zero = held.scale, held.zero_point
    if held.block_size is not None:
        scale, zero = scale[:, :, None], None if zero is None else zero[:, :, None]
    return replace(held, codes=held.codes[:, :, None], scale=scale, zero_point=zero, axis=axis)


def spread(part: NDArray[Any], shape: Sequence[int], axis: int | None, block: int | None) -> NDArray[Any]:
    """Scales (or zero points) with as many dimensions as the tensor, so that they broadcast against it."""
    if axis is None:
        return part
    if block is None:
        return part.reshape([-1 if d == axis else 1 for d in range(len(shape))])
    return np.repeat(part, block, axis=axis).take(np.arange(shape[axis]), axis=axis)


def lay_out(scale: NDArray[Any], shape: tuple[int, ...]) -> tuple[NDArray[Any], int | None, int | None] | None:
    """Scale, axis and block size of scales that broadcast against ``shape`` (-1: the batch); None where they do not."""
    if scale.ndim > len(shape):
        if scale.size != 1:
            return None
        scale = scale.reshape(())
    full = scale.reshape((1,) * (len(shape) - scale.ndim) + scale.shape)
    if any(n not in (1, d) for n, d in zip(full.shape, shape, strict=True)):
        return None
    wide = [d for d, n in enumerate(full.shape) if n != 1]
    if len(wide) < 2:
        return (full.reshape(()), None, None) if not wide else (full.reshape(-1), wide[0], None)
    if -1 in shape:
        return None
    full = np.broadcast_to(full, shape)
    found = [(_run(full, axis), axis) for axis in range(len(shape))]
    size, axis = max(found, key=lambda f: (f[0] if shape[f[1]] > 1 else 0, f[1]))
    return np.ascontiguousarray(np.take(full, np.arange(0, shape[axis], size), axis=axis)), axis, size


def _run(full: NDArray[Any], axis: int) -> int:
    """Length of the equal runs along ``axis``."""
    lines = np.moveaxis(full, axis, -1).reshape(-1, full.shape[axis])
    changes = np.flatnonzero((lines[:, 1:] != lines[:, :-1]).any(axis=0)) + 1
    return gcd(*(int(c) for c in changes)) if len(changes) else full.shape[axis]


def same_storage(a: QuantParams, b: QuantParams) -> bool:
    """The same scales bit for bit, zero points, axis and blocks."""

    def equal(x: NDArray[Any] | None, y: NDArray[Any] | None) -> bool:
        return x is y or (x is not None and y is not None and x.shape == y.shape and x.tobytes() == y.tobytes())

    where = (a.axis, a.block_size) == (b.axis, b.block_size)
    return where and equal(a.scale, b.scale) and equal(a.zero_point, b.zero_point)


def settled(graph: Graph) -> Graph:
    """Biases stored as int32 stay so where their scale is that of the product, else become real numbers."""
    constants: dict[str, Constant] = dict(graph.constants)
    for node in graph.nodes:
        held = constants.get(node.inputs[2]) if node.op in ("Conv", "Gemm") and len(node.inputs) > 2 else None
        if not isinstance(held, QTensor):
            continue
        x, w = graph.values.get(node.inputs[0]), constants.get(node.inputs[1])
        exact = held.format == "int32" and isinstance(w, QTensor) and w.block_size is None and held.zero_point is None
        scale = None if x is None or x.quant is None else x.quant.scale
        fits = False
        if exact and isinstance(w, QTensor) and scale is not None and scale.shape == ():
            product = np.broadcast_to(scale * w.scale, held.shape)
            fits = bool(np.allclose(np.broadcast_to(held.scale, held.shape), product, rtol=1e-6, atol=0))
            if fits:
                scales = np.broadcast_to(held.scale, held.shape).astype(np.float32)
                constants[node.inputs[2]] = replace(held, scale=scales, axis=0)
        if not fits:
            constants[node.inputs[2]] = held.dequantize()
    return graph.rebuilt(constants=constants)
