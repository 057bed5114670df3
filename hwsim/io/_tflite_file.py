"""What a TensorFlow Lite file holds, as plain values: tensors, operators, and bytes of buffers that stay mapped.

The flatbuffer's schema is the ``tflite`` package's; every offset of a file is followed only inside the file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ModelError, ToolError
from hwsim.limits import limit

MAX_THINGS = 1 << 16
"""Most tensors, operators or buffers of one file; also most numbers of one list (scales, shapes)."""
VERSION = 3


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor.

    Attributes:
        name: as the file says.
        shape: NHWC, the batch first.
        kind: ``int8``, ``int32`` or ``float32``, else the file's number of another type.
        scale, zero_point: how codes become numbers; None where nothing is said.
        axis: dimension that several scales run along.
        data: bytes of a constant, mapped; None for what is computed.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    scale: NDArray[np.float32] | None
    zero_point: NDArray[np.int32] | None
    axis: int
    data: NDArray[np.uint8] | None

    def array(self, where: str) -> NDArray[Any]:
        """A constant's numbers.

        Raises:
            ModelError: not a constant of a known type, or other bytes than its shape needs.
        """
        if self.data is None or self.kind not in ("int8", "int32", "float32"):
            raise ModelError(f"expected a constant of int8, int32 or float32, found {self.kind}", where=where)
        dtype = np.dtype(self.kind).newbyteorder("<")
        if prod(self.shape) * dtype.itemsize != self.data.size:
            raise ModelError(
                f"shape {list(self.shape)} of {self.kind} does not take {self.data.size} bytes", where=where
            )
        found: NDArray[Any] = self.data.view(dtype).reshape(self.shape)
        return found


@dataclass(frozen=True, slots=True)
class Operator:
    """One operation: its name in the schema, tensor numbers (-1: absent), and its options by name."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, int | float]


@dataclass(frozen=True, slots=True)
class TfliteFile:
    """The one subgraph of a file."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


_OPTIONS = {
    "ADD": ("AddOptions", "FusedActivationFunction"),
    "AVERAGE_POOL_2D": ("Pool2DOptions", "FusedActivationFunction Padding StrideH StrideW FilterHeight FilterWidth"),
    "CONV_2D": (
        "Conv2DOptions",
        "FusedActivationFunction Padding StrideH StrideW DilationHFactor DilationWFactor",
    ),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        "FusedActivationFunction Padding StrideH StrideW DilationHFactor DilationWFactor DepthMultiplier",
    ),
    "FULLY_CONNECTED": ("FullyConnectedOptions", "FusedActivationFunction WeightsFormat KeepNumDims"),
    "MAX_POOL_2D": ("Pool2DOptions", "FusedActivationFunction Padding StrideH StrideW FilterHeight FilterWidth"),
    "SOFTMAX": ("SoftmaxOptions", "Beta"),
}
_KINDS = {0: "float32", 2: "int32", 9: "int8"}


def parse(raw: NDArray[np.uint8], where: str) -> TfliteFile:
    """The subgraph of the file in ``raw``.

    Raises:
        ToolError: the schema package is missing.
        ModelError: not such a file, a damaged one, or one with several subgraphs.
    """
    try:
        import tflite
    except ImportError:
        raise ToolError("needs tflite to read .tflite files", where=where, hint="pip install 'hwsim[zoo]'") from None
    if raw.size < 8 or bytes(raw[4:8]) != b"TFL3":
        raise ModelError("not a TensorFlow Lite file: it does not say TFL3", where=where)
    try:
        model = tflite.Model.GetRootAs(memoryview(raw.data), 0)
        if model.Version() != VERSION:
            raise ModelError(f"schema version {model.Version()} is not supported, only {VERSION}", where=where)
        if model.SubgraphsLength() != 1:
            raise ModelError(f"expected one subgraph, found {model.SubgraphsLength()}", where=where)
        graph = model.Subgraphs(0)
        names = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}
        buffers = _count(model.BuffersLength(), "buffers", where)
        tensors = tuple(
            _tensor(model, graph.Tensors(at), buffers, f"{where}: tensor {at}")
            for at in range(_count(graph.TensorsLength(), "tensors", where))
        )
        operators = tuple(
            _operator(tflite, model, graph.Operators(at), names, f"{where}: operator {at}")
            for at in range(_count(graph.OperatorsLength(), "operators", where))
        )
        ends = tuple(_numbers(graph, what, where) for what in ("Inputs", "Outputs"))
    except (struct.error, ValueError, TypeError, IndexError, AttributeError, OverflowError, UnicodeDecodeError) as err:
        raise ModelError(f"a damaged TensorFlow Lite file: {type(err).__name__}: {err}", where=where) from None
    wrong = [i for op in operators for i in (*op.inputs, *op.outputs) if not -1 <= i < len(tensors)]
    wrong += [i for i in (*ends[0], *ends[1]) if not 0 <= i < len(tensors)]
    if wrong:
        raise ModelError(f"names tensor {wrong[0]} of {len(tensors)}", where=where)
    return TfliteFile(tensors, operators, *ends)


def _count(found: int, what: str, where: str) -> int:
    if found > MAX_THINGS:
        raise ModelError(f"declares {found} {what}; the limit is {MAX_THINGS}", where=where)
    return found


def _numbers(held: Any, what: str, where: str) -> tuple[int, ...]:
    """A list of whole numbers."""
    count = _count(getattr(held, f"{what}Length")(), what.lower(), where)
    return tuple(int(v) for v in getattr(held, f"{what}AsNumpy")()) if count else ()


def _tensor(model: Any, held: Any, buffers: int, where: str) -> Tensor:
    shape = _numbers(held, "Shape", where)
    most = limit("tensor_elements")
    if any(d < 0 for d in shape) or len(shape) > 8 or prod(shape) > most:
        raise ModelError(f"shape {list(shape)} is over the limit of {most} elements", where=where)
    scale = zero = None
    axis = 0
    quant = held.Quantization()
    if quant is not None and _count(quant.ScaleLength(), "scales", where):
        scale = quant.ScaleAsNumpy().astype(np.float32)
        zero = np.zeros(scale.shape, np.int32)
        if _count(quant.ZeroPointLength(), "zero points", where):
            zero = quant.ZeroPointAsNumpy().astype(np.int32)
        axis = int(quant.QuantizedDimension())
        if zero.shape != scale.shape or not np.isfinite(scale).all() or not (scale > 0).all():
            raise ModelError("scales must be positive, with as many zero points", where=where)
    if held.Buffer() >= buffers:
        raise ModelError(f"lies in buffer {held.Buffer()} of {buffers}", where=where)
    data = None
    if model.Buffers(held.Buffer()).DataLength():
        data = model.Buffers(held.Buffer()).DataAsNumpy()
    name = (held.Name() or b"").decode("utf-8")
    return Tensor(name, shape, _KINDS.get(held.Type(), f"type {held.Type()}"), scale, zero, axis, data)


def _operator(tflite: Any, model: Any, held: Any, names: dict[int, str], where: str) -> Operator:
    if held.OpcodeIndex() >= model.OperatorCodesLength():
        raise ModelError(f"has code {held.OpcodeIndex()} of {model.OperatorCodesLength()}", where=where)
    code = model.OperatorCodes(held.OpcodeIndex())
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = names.get(number, f"operator {number}")
    options: dict[str, int | float] = {}
    if name in _OPTIONS:
        table, fields = _OPTIONS[name]
        found = getattr(tflite, table)()
        inner = held.BuiltinOptions()
        if inner is None or held.BuiltinOptionsType() != getattr(tflite.BuiltinOptions, table):
            raise ModelError(f"{name} has no {table}", where=where)
        found.Init(inner.Bytes, inner.Pos)
        options = {field: getattr(found, field)() for field in fields.split()}
    return Operator(name, _numbers(held, "Inputs", where), _numbers(held, "Outputs", where), options)
