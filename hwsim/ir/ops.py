"""The operators of the IR: one entry each, with its attributes, its shapes and its float meaning.

The vocabulary and semantics are ONNX's, normalised: attributes are always explicit, weights of ``Gemm`` are [out,
in], and dimension 0 of an activation is the batch ``"N"``. ``Quantize`` is ours: it stores its input as the output
value's ``quant`` says. Adding an operator is one entry in ``OPS`` (and its importer in ``hwsim.io``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ModelError
from hwsim.ir import float_ops
from hwsim.ir.graph import BATCH, Dim, Shape

Kind = Literal["matrix", "vector", "shape", "quantize"]
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class OpDef:
    """What the IR knows of one operator.

    Attributes:
        name: ONNX's name.
        kind: ``matrix`` runs on the matrix unit, ``vector`` on the vector unit, ``shape`` only moves or renames data.
        inputs: least and most number of inputs.
        attrs: name -> type expected (``int``, ``float``, or ``tuple`` with its length; length 0 is any).
        infer: shapes of the inputs and attributes -> shape of the output; raises ModelError.
        run: float32 inputs and attributes -> float32 output.
        cost: output elements and attributes -> scalar operations on the vector unit.
    """

    name: str
    kind: Kind
    inputs: tuple[int, int]
    infer: Callable[[Sequence[Shape], Mapping[str, Any]], Shape]
    run: Callable[[Sequence[Array], Mapping[str, Any]], Array]
    attrs: Mapping[str, type | tuple[type, int]] = field(default_factory=dict)
    cost: Callable[[Sequence[Shape], Shape, Mapping[str, Any]], float] = lambda ins, out, attrs: 0.0


def elements(shape: Shape, batch: int = 1) -> int:
    """Number of elements, the batch dimension counted as ``batch``."""
    return prod(batch if d == BATCH else int(d) for d in shape)


def _rank(shape: Shape, rank: int, what: str) -> None:
    if len(shape) != rank:
        raise ModelError(f"{what} must have {rank} dimensions, found shape {list(shape)}")


def _window(size: Dim, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    if isinstance(size, str):
        raise ModelError("a spatial dimension must be a number, found the batch")
    out = (size + before + after - dilation * (kernel - 1) - 1) // stride + 1
    if out < 1:
        raise ModelError(f"window {kernel} (dilation {dilation}) does not fit into {size} + padding {before + after}")
    return out


def _conv(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    x, w = shapes[0], shapes[1]
    _rank(x, 4, "Conv input")
    _rank(w, 4, "Conv weight")
    group = attrs["group"]
    if x[1] != int(w[1]) * group:
        raise ModelError(f"Conv weight {list(w)} with group {group} takes {int(w[1]) * group} channels, found {x[1]}")
    if int(w[0]) % group:
        raise ModelError(f"Conv output channels {w[0]} are not a multiple of group {group}")
    if len(shapes) > 2 and shapes[2] != (w[0],):
        raise ModelError(f"Conv bias must have shape [{w[0]}], found {list(shapes[2])}")
    (top, left, bottom, right), strides, dil = attrs["pads"], attrs["strides"], attrs["dilations"]
    return (
        x[0],
        w[0],
        _window(x[2], int(w[2]), strides[0], top, bottom, dil[0]),
        _window(x[3], int(w[3]), strides[1], left, right, dil[1]),
    )


def _gemm(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    x, w = shapes[0], shapes[1]
    _rank(w, 2, "Gemm weight")
    if len(x) < 2 or x[-1] != w[1]:
        raise ModelError(f"Gemm weight {list(w)} takes inputs [..., {w[1]}], found {list(x)}")
    if len(shapes) > 2 and shapes[2] != (w[0],):
        raise ModelError(f"Gemm bias must have shape [{w[0]}], found {list(shapes[2])}")
    return (*x[:-1], w[0])


def _matmul(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    a, b = shapes
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        raise ModelError(f"MatMul takes [..., M, K] x [..., K, N], found {list(a)} x {list(b)}")
    return (*_broadcast([a[:-2], b[:-2]], attrs), a[-2], b[-1])


def _broadcast(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    rank = max(len(s) for s in shapes)
    out: list[Dim] = []
    for dims in zip(*[(1,) * (rank - len(s)) + s for s in shapes], strict=True):
        wide = {d for d in dims if d != 1}
        if len(wide) > 1:
            raise ModelError(f"shapes do not broadcast: {' and '.join(str(list(s)) for s in shapes)}")
        out.append(wide.pop() if wide else 1)
    return tuple(out)


def _same(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    return shapes[0]


def _pool(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    x = shapes[0]
    _rank(x, 4, "pooling input")
    (top, left, bottom, right), strides, kernel = attrs["pads"], attrs["strides"], attrs["kernel_shape"]
    if max(top, bottom) >= kernel[0] or max(left, right) >= kernel[1]:
        raise ModelError(f"pooling pads {attrs['pads']} must be smaller than the kernel {kernel}")
    return (
        x[0],
        x[1],
        _window(x[2], kernel[0], strides[0], top, bottom, 1),
        _window(x[3], kernel[1], strides[1], left, right, 1),
    )


def _global_pool(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    _rank(shapes[0], 4, "GlobalAveragePool input")
    return (shapes[0][0], shapes[0][1], 1, 1)


def _flatten(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    x, axis = shapes[0], attrs["axis"]
    if not 1 <= axis <= len(x):
        raise ModelError(f"Flatten axis must be 1..{len(x)} (the batch stays), found {axis}")
    head = x[:axis]
    return (head[0] if len(head) == 1 else _merge(head), elements(x[axis:]))


def _merge(dims: Shape) -> Dim:
    if BATCH in dims and elements(dims) != 1:
        raise ModelError(f"the batch cannot be merged with other dimensions: {list(dims)}")
    return BATCH if BATCH in dims else elements(dims)


def _reshape(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    x, shape = shapes[0], tuple(attrs["shape"])
    if BATCH in x:
        if shape[:1] != (-1,) or any(d < 1 for d in shape[1:]):
            raise ModelError(f"Reshape must keep the batch first: shape (-1, ...), found {list(shape)}")
        if elements(x) != prod(shape[1:]):
            raise ModelError(f"Reshape of {list(x)} to {list(shape)} changes the number of elements")
        return (BATCH, *shape[1:])
    if elements(x) != prod(shape):
        raise ModelError(f"Reshape of {list(x)} to {list(shape)} changes the number of elements")
    return shape


def _transpose(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    x, perm = shapes[0], attrs["perm"]
    if sorted(perm) != list(range(len(x))):
        raise ModelError(f"Transpose perm {list(perm)} is not a permutation of {len(x)} dimensions")
    return tuple(x[p] for p in perm)


def _softmax(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    _axis(shapes[0], attrs["axis"])
    return shapes[0]


def _axis(x: Shape, axis: int) -> int:
    if not -len(x) <= axis < len(x):
        raise ModelError(f"axis {axis} is outside shape {list(x)}")
    return axis % len(x)


def _batchnorm(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    if len(shapes[0]) < 2:
        raise ModelError(f"BatchNormalization takes [N, C, ...], found {list(shapes[0])}")
    for s in shapes[1:]:
        if s != (shapes[0][1],):
            raise ModelError(f"BatchNormalization parameters must have shape [{shapes[0][1]}], found {list(s)}")
    return shapes[0]


def _pad(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    x, pads = shapes[0], attrs["pads"]
    if len(pads) != 2 * len(x):
        raise ModelError(f"Pad needs {2 * len(x)} amounts for shape {list(x)}, found {len(pads)}")
    out: list[Dim] = []
    for dim, before, after in zip(x, pads[: len(x)], pads[len(x) :], strict=True):
        if dim == BATCH and (before or after):
            raise ModelError("the batch cannot be padded")
        out.append(dim if isinstance(dim, str) else dim + before + after)
        if out[-1] != BATCH and int(out[-1]) < 1:
            raise ModelError(f"Pad of {list(x)} by {list(pads)} leaves nothing")
    return tuple(out)


def _concat(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    axis = _axis(shapes[0], attrs["axis"])
    rest = {(*s[:axis], 0, *s[axis + 1 :]) for s in shapes}
    if len(rest) != 1 or any(s[axis] == BATCH for s in shapes):
        raise ModelError(f"Concat along {axis} of shapes that differ elsewhere: {[list(s) for s in shapes]}")
    return (*shapes[0][:axis], sum(int(s[axis]) for s in shapes), *shapes[0][axis + 1 :])


def _per_output(amount: float) -> Callable[[Sequence[Shape], Shape, Mapping[str, Any]], float]:
    return lambda ins, out, attrs: amount * elements(out)


def _pool_cost(ins: Sequence[Shape], out: Shape, attrs: Mapping[str, Any]) -> float:
    return elements(out) * float(prod(attrs["kernel_shape"]))


_CONV: Mapping[str, type | tuple[type, int]] = {
    "strides": (int, 2),
    "pads": (int, 4),
    "dilations": (int, 2),
    "group": int,
}
_POOL: Mapping[str, type | tuple[type, int]] = {"kernel_shape": (int, 2), "strides": (int, 2), "pads": (int, 4)}

OPS: Mapping[str, OpDef] = {
    op.name: op
    for op in (
        OpDef("Conv", "matrix", (2, 3), _conv, float_ops.conv, _CONV),
        OpDef("Gemm", "matrix", (2, 3), _gemm, float_ops.gemm),
        OpDef("MatMul", "matrix", (2, 2), _matmul, float_ops.matmul),
        OpDef("Add", "vector", (2, 2), _broadcast, float_ops.binary(np.add), cost=_per_output(1)),
        OpDef("Sub", "vector", (2, 2), _broadcast, float_ops.binary(np.subtract), cost=_per_output(1)),
        OpDef("Mul", "vector", (2, 2), _broadcast, float_ops.binary(np.multiply), cost=_per_output(1)),
        OpDef("Div", "vector", (2, 2), _broadcast, float_ops.binary(np.divide), cost=_per_output(1)),
        OpDef("Relu", "vector", (1, 1), _same, float_ops.relu, cost=_per_output(1)),
        OpDef("Clip", "vector", (1, 1), _same, float_ops.clip, {"min": float, "max": float}, cost=_per_output(2)),
        OpDef("Sigmoid", "vector", (1, 1), _same, float_ops.sigmoid, cost=_per_output(4)),
        OpDef("Softmax", "vector", (1, 1), _softmax, float_ops.softmax, {"axis": int}, cost=_per_output(5)),
        OpDef(
            "BatchNormalization",
            "vector",
            (5, 5),
            _batchnorm,
            float_ops.batchnorm,
            {"epsilon": float},
            cost=_per_output(2),
        ),
        OpDef("MaxPool", "vector", (1, 1), _pool, float_ops.max_pool, _POOL, cost=_pool_cost),
        OpDef(
            "AveragePool",
            "vector",
            (1, 1),
            _pool,
            float_ops.average_pool,
            {**_POOL, "count_include_pad": int},
            cost=_pool_cost,
        ),
        OpDef(
            "GlobalAveragePool",
            "vector",
            (1, 1),
            _global_pool,
            float_ops.global_average_pool,
            cost=lambda ins, out, attrs: elements(ins[0]),
        ),
        OpDef("Flatten", "shape", (1, 1), _flatten, float_ops.flatten, {"axis": int}),
        OpDef("Reshape", "shape", (1, 1), _reshape, float_ops.reshape, {"shape": (int, 0)}),
        OpDef("Transpose", "shape", (1, 1), _transpose, float_ops.transpose, {"perm": (int, 0)}),
        OpDef("Pad", "shape", (1, 1), _pad, float_ops.pad, {"pads": (int, 0), "value": float}),
        OpDef("Concat", "shape", (1, 64), _concat, float_ops.concat, {"axis": int}),
        OpDef("Quantize", "quantize", (1, 1), _same, lambda ins, attrs: ins[0], cost=_per_output(2)),
    )
}
