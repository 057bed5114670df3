"""The operators of the IR: one entry each, with its attributes, its shapes and its float meaning.

The vocabulary and semantics are ONNX's, normalised: attributes are always explicit, weights of ``Gemm`` are [out,
in], and dimension 0 of an activation is the batch ``"N"``. ``Quantize`` is ours: it stores its input as the output
value's ``quant`` says. Whole numbers (token ids) and truth values are real numbers too, exact up to 2^24. Adding an
operator is one entry in ``OPS`` (and its importer in ``hwsim.io``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import float_layout, float_math, float_ops, infer
from hwsim.ir.graph import Shape
from hwsim.ir.infer import elements

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


def _per_output(amount: float) -> Callable[[Sequence[Shape], Shape, Mapping[str, Any]], float]:
    return lambda ins, out, attrs: amount * elements(out)


def _per_input(ins: Sequence[Shape], out: Shape, attrs: Mapping[str, Any]) -> float:
    return elements(ins[0])


def _pool_cost(ins: Sequence[Shape], out: Shape, attrs: Mapping[str, Any]) -> float:
    return elements(out) * float(prod(attrs["kernel_shape"]))


_CONV: Mapping[str, type | tuple[type, int]] = {
    "strides": (int, 2),
    "pads": (int, 4),
    "dilations": (int, 2),
    "group": int,
}
_POOL: Mapping[str, type | tuple[type, int]] = {"kernel_shape": (int, 2), "strides": (int, 2), "pads": (int, 4)}

_NORM: Mapping[str, type | tuple[type, int]] = {"axis": int, "epsilon": float}
_REDUCE: Mapping[str, type | tuple[type, int]] = {"axes": (int, 0), "keepdims": int}
_SLICE: Mapping[str, type | tuple[type, int]] = dict.fromkeys(("starts", "ends", "axes", "steps"), (int, 0))

OPS: Mapping[str, OpDef] = {
    op.name: op
    for op in (
        OpDef("Conv", "matrix", (2, 3), infer.conv, float_ops.conv, _CONV),
        OpDef("Gemm", "matrix", (2, 3), infer.gemm, float_ops.gemm),
        OpDef("MatMul", "matrix", (2, 2), infer.matmul, float_ops.matmul),
        OpDef("Add", "vector", (2, 2), infer.broadcast, float_ops.binary(np.add), cost=_per_output(1)),
        OpDef("Sub", "vector", (2, 2), infer.broadcast, float_ops.binary(np.subtract), cost=_per_output(1)),
        OpDef("Mul", "vector", (2, 2), infer.broadcast, float_ops.binary(np.multiply), cost=_per_output(1)),
        OpDef("Div", "vector", (2, 2), infer.broadcast, float_ops.binary(np.divide), cost=_per_output(1)),
        OpDef("Relu", "vector", (1, 1), infer.same, float_ops.relu, cost=_per_output(1)),
        OpDef("Clip", "vector", (1, 1), infer.same, float_ops.clip, {"min": float, "max": float}, cost=_per_output(2)),
        OpDef("Sigmoid", "vector", (1, 1), infer.same, float_ops.sigmoid, cost=_per_output(4)),
        OpDef("Softmax", "vector", (1, 1), infer.softmax, float_ops.softmax, {"axis": int}, cost=_per_output(5)),
        OpDef(
            "BatchNormalization",
            "vector",
            (5, 5),
            infer.batchnorm,
            float_ops.batchnorm,
            {"epsilon": float},
            cost=_per_output(2),
        ),
        OpDef("MaxPool", "vector", (1, 1), infer.pool, float_ops.max_pool, _POOL, cost=_pool_cost),
        OpDef(
            "AveragePool",
            "vector",
            (1, 1),
            infer.pool,
            float_ops.average_pool,
            {**_POOL, "count_include_pad": int},
            cost=_pool_cost,
        ),
        OpDef(
            "GlobalAveragePool",
            "vector",
            (1, 1),
            infer.global_pool,
            float_ops.global_average_pool,
            cost=_per_input,
        ),
        OpDef("Pow", "vector", (2, 2), infer.broadcast, float_ops.binary(np.power), cost=_per_output(8)),
        OpDef("Max", "vector", (2, 2), infer.broadcast, float_ops.binary(np.maximum), cost=_per_output(1)),
        OpDef("Min", "vector", (2, 2), infer.broadcast, float_ops.binary(np.minimum), cost=_per_output(1)),
        OpDef("Equal", "vector", (2, 2), infer.broadcast, float_math.compare(np.equal), cost=_per_output(1)),
        OpDef("Greater", "vector", (2, 2), infer.broadcast, float_math.compare(np.greater), cost=_per_output(1)),
        OpDef("Less", "vector", (2, 2), infer.broadcast, float_math.compare(np.less), cost=_per_output(1)),
        OpDef("Where", "vector", (3, 3), infer.broadcast, float_layout.where, cost=_per_output(1)),
        *(
            OpDef(name, "vector", (1, 1), infer.same, float_math.unary(function), cost=_per_output(amount))
            for name, function, amount in (
                ("Abs", np.abs, 1),
                ("Erf", float_math.erf, 12),
                ("Exp", np.exp, 4),
                ("Floor", np.floor, 1),
                ("Log", np.log, 4),
                ("Neg", np.negative, 1),
                ("Reciprocal", np.reciprocal, 4),
                ("Sqrt", np.sqrt, 4),
                ("Tanh", np.tanh, 4),
            )
        ),
        OpDef("LeakyRelu", "vector", (1, 1), infer.same, float_math.leaky_relu, {"alpha": float}, cost=_per_output(2)),
        OpDef("Swish", "vector", (1, 1), infer.same, float_math.swish, {"alpha": float}, cost=_per_output(6)),
        OpDef("Gelu", "vector", (1, 1), infer.same, float_math.gelu, {"approximate": str}, cost=_per_output(16)),
        OpDef("HardSwish", "vector", (1, 1), infer.same, float_math.hard_swish, cost=_per_output(5)),
        OpDef(
            *("HardSigmoid", "vector", (1, 1), infer.same, float_math.hard_sigmoid),
            {"alpha": float, "beta": float},
            cost=_per_output(4),
        ),
        OpDef("LayerNormalization", "vector", (2, 3), infer.norm, float_math.layer_norm, _NORM, cost=_per_output(8)),
        OpDef("RMSNormalization", "vector", (2, 2), infer.norm, float_math.rms_norm, _NORM, cost=_per_output(5)),
        OpDef(
            *("RotaryEmbedding", "vector", (3, 3), infer.rotary, float_math.rotary),
            {"interleaved": int},
            cost=_per_output(3),
        ),
        *(
            OpDef(name, "vector", (1, 1), infer.reduce, float_math.reduce(function), _REDUCE, cost=_per_input)
            for name, function in (("ReduceMean", np.mean), ("ReduceSum", np.sum), ("ReduceMax", np.max))
        ),
        OpDef(
            *("Resize", "vector", (1, 1), infer.resize, float_layout.resize),
            {"mode": str, "coordinates": str, "nearest": str, "size": (int, 2), "scales": (float, 2)},
            cost=_per_output(8),
        ),
        OpDef("Gather", "shape", (2, 2), infer.gather, float_layout.gather, {"axis": int}),
        OpDef("Slice", "shape", (1, 1), infer.slice_, float_layout.slice_, _SLICE),
        OpDef("Expand", "shape", (1, 1), infer.expand, float_layout.expand, {"shape": (int, 0)}),
        OpDef("Flatten", "shape", (1, 1), infer.flatten, float_ops.flatten, {"axis": int}),
        OpDef("Reshape", "shape", (1, 1), infer.reshape, float_ops.reshape, {"shape": (int, 0)}),
        OpDef("Transpose", "shape", (1, 1), infer.transpose, float_ops.transpose, {"perm": (int, 0)}),
        OpDef("Pad", "shape", (1, 1), infer.pad, float_ops.pad, {"pads": (int, 0), "value": float}),
        OpDef("Concat", "shape", (1, 64), infer.concat, float_ops.concat, {"axis": int}),
        OpDef("Quantize", "quantize", (1, 1), infer.same, lambda ins, attrs: ins[0], cost=_per_output(2)),
    )
}

KEEPS_STORAGE = ("MaxPool", "Flatten", "Reshape", "Transpose")
"""Operators that pick or move elements: they commute with a per-tensor monotone quantizer, so they work on codes, and
what comes in stored goes out stored the same way."""
