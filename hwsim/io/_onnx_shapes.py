"""What is known of a value while a graph is imported: its shape, or the value itself.

Shapes are onnx's own inference, asked node by node at two trial batch sizes: a dimension that follows the trial is the
batch, and it must stay dimension 0.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hwsim.errors import ModelError
from hwsim.io._onnx_file import LOW, one_line
from hwsim.ir import QuantParams
from hwsim.ir.graph import BATCH, Shape
from hwsim.limits import limit
from hwsim.numerics import QTensor

TRIALS = (2, 3)
"""Batch sizes at which shapes are inferred; two, to see which dimensions follow the batch."""
CEIL_MODE_OPSET = 22
"""Since then onnx infers that ``ceil_mode`` drops a window that starts in the padding, as every runtime always did."""
LAYOUT_OPSET = 14
"""Since then recurrent layers may have the batch first."""
CODES = frozenset(str(np.dtype(helper.tensor_dtype_to_np_dtype(kind)).name) for kind in LOW)
"""Element types of codes, as numpy (with ml_dtypes) names them."""
_INFERENCE_ERRORS = (
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    onnx.defs.SchemaError,
    ValueError,
    TypeError,
    RuntimeError,
    KeyError,
)
FOLDED = (
    "Add",
    "Cast",
    "Concat",
    "ConstantOfShape",
    "Div",
    "Equal",
    "Exp",
    "Expand",
    "Floor",
    "Gather",
    "Greater",
    "Identity",
    "Less",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Pow",
    "Range",
    "Reciprocal",
    "ReduceProd",
    "Reshape",
    "Slice",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Where",
)
"""Computed at import where every input is known (by onnx's reference evaluator)."""


@dataclass(frozen=True)
class Live:
    """A value that exists only at run time; ``elem`` is its element type in the file.

    ``coded`` says that the file holds codes here, stored so; the value stands for the numbers that they mean.
    """

    name: str
    shape: Shape
    elem: int = TensorProto.FLOAT
    coded: QuantParams | None = None

    def at(self, batch: int) -> list[int]:
        """Its shape at one batch size."""
        return [batch if d == BATCH else int(d) for d in self.shape]


@dataclass(frozen=True)
class Known:
    """A value known at import, at each of the trial batch sizes (floats as float32).

    ``stored`` holds the same numbers as codes and scales; ``coded`` says that the file holds the codes here.
    """

    trials: tuple[NDArray[Any], ...]
    stored: QTensor | None = None
    coded: bool = False

    @property
    def fixed(self) -> NDArray[Any] | None:
        """The value where the batch does not matter, else None."""
        first = self.trials[0]
        same = all(
            t is first or (t.shape == first.shape and np.array_equal(t, first, equal_nan=t.dtype.kind == "f"))
            for t in self.trials
        )
        return first if same else None


Held = Live | Known | None


def real(value: NDArray[Any], what: str, where: str) -> NDArray[Any]:
    """Floats as float32 (an overflow is an error, rounding is not); whole numbers and codes as they are."""
    if value.dtype.kind in "biu" or value.dtype == np.float32 or value.dtype.name in CODES:
        return value
    with np.errstate(over="ignore"):
        cast = value.astype(np.float32)
    if np.count_nonzero(np.isinf(cast)) != np.count_nonzero(np.isinf(value.astype(np.float64))):
        raise ModelError(f"{what} holds {value.dtype} numbers beyond float32", where=where)
    return cast


def infer(node: NodeProto, inputs: Sequence[Held], trial: int, opset: int, where: str) -> tuple[list[int], int]:
    """Shape and element type of the first output at one trial batch size, by onnx."""
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, TensorProto] = {}
    for name, held in zip(node.input, inputs, strict=True):
        if isinstance(held, Live):
            types[name] = helper.make_tensor_type_proto(held.elem, held.at(TRIALS[trial]))
        elif isinstance(held, Known):
            value = held.trials[trial]
            types[name] = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            if value.size <= 64:
                data[name] = numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
    try:
        if node.op_type in ("AveragePool", "MaxPool"):
            opset = max(opset, min(CEIL_MODE_OPSET, onnx.defs.onnx_opset_version()))
        if node.op_type in ("LSTM", "GRU"):
            opset = max(opset, LAYOUT_OPSET)
        schema = onnx.defs.get_schema(node.op_type, opset, "")
        opsets = [helper.make_opsetid("", opset)]
        found = onnx.shape_inference.infer_node_outputs(schema, node, types, data, opset_imports=opsets)
    except _INFERENCE_ERRORS as err:
        raise ModelError(f"shapes do not fit at batch {TRIALS[trial]}: {one_line(err)}", where=where) from None
    tensor = found[node.output[0]].tensor_type if node.output[0] in found else None
    if tensor is None or not tensor.HasField("shape"):
        raise ModelError("onnx cannot infer the shape of its output", where=where)
    dims = [d.dim_value if d.HasField("dim_value") else 0 for d in tensor.shape.dim]
    if any(d < 1 for d in dims):
        raise ModelError(f"the output would have shape {dims}; every dimension must be at least 1", where=where)
    return dims, int(tensor.elem_type)


def batched(shapes: Sequence[list[int]], where: str) -> Shape:
    """One shape with the batch written ``N`` from the shapes at the trial batch sizes."""
    first, second = shapes
    if len(first) != len(second) or not first or (first[0], second[0]) != TRIALS or first[1:] != second[1:]:
        raise ModelError(
            f"the batch must stay dimension 0 and nothing else may depend on it; at batch {TRIALS[0]} the output has "
            f"shape {first}, at {TRIALS[1]} {second}",
            where=where,
        )
    return (BATCH, *first[1:])


def fold(node: NodeProto, inputs: Sequence[Held], opset: int, where: str) -> Known:
    """The first output of a node whose inputs are all known.

    Raises:
        ModelError: it cannot be computed, or is too large.
    """
    from onnx.reference import ReferenceEvaluator

    names = sorted({i for i in node.input if i})
    inner = helper.make_graph(
        [node],
        "fold",
        [helper.make_tensor_value_info(i, TensorProto.UNDEFINED, None) for i in names],
        [helper.make_tensor_value_info(node.output[0], TensorProto.UNDEFINED, None)],
    )
    model = helper.make_model(inner, opset_imports=[helper.make_opsetid("", opset)])
    results: list[NDArray[Any]] = []
    fixed = all(h is None or (isinstance(h, Known) and h.fixed is not None) for h in inputs)
    for trial in range(1 if fixed else len(TRIALS)):
        try:
            count = prod(infer(node, inputs, trial, opset, where)[0])
        except ModelError as err:
            raise ModelError(f"cannot be computed at import: {err.message}", where=where) from None
        if count > (most := limit("folded_elements")):
            raise ModelError(f"a constant of {count} elements is over the limit of {most}", where=where)
        feeds = {n: h.trials[trial] for n, h in zip(node.input, inputs, strict=True) if isinstance(h, Known)}
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = np.asarray(next(iter(ReferenceEvaluator(model).run(None, feeds))))
        except Exception as err:
            raise ModelError(f"cannot be computed at import: {one_line(err)}", where=where) from None
        results.append(real(value, f"constant {node.output[0]!r}", where))
    return Known(tuple(results * len(TRIALS)) if fixed else tuple(results))
