"""TensorFlow Lite files in: int8 (and float) networks as quantized graphs, every tensor stored as the file says.

    from hwsim.io.tflite import load
    graph = load("model.tflite")

The graph is NCHW; its values are called as the file's tensors are. On a target whose precision requantizes by
``tflite_reference``, ``litert_reference`` or ``litert_xnnpack`` every stored value equals that interpreter's, code for
code (``hwsim.emulate.tflite``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ModelError, unknown
from hwsim.io._builder import Builder, naming
from hwsim.io._tflite_file import Operator, Tensor, TfliteFile, parse
from hwsim.io.tensors import mapped
from hwsim.ir import Graph, QuantParams, Value
from hwsim.ir.graph import BATCH, Shape
from hwsim.limits import limit
from hwsim.numerics import QTensor

_UNWRITABLE = re.compile(r"[\s\"'(),=]+")
_ACTIVATIONS: Mapping[int, tuple[float, float] | None] = {1: None, 2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""Fused clamps by their number in the schema: RELU, RELU_N1_TO_1, RELU6."""
_SHAPES = ("SHAPE", "STRIDED_SLICE", "PACK")
"""Operators that only work out shapes, which tensors declare anyway."""


def load(path: str | os.PathLike[str]) -> Graph:
    """Read a .tflite file.

    Raises:
        ModelError: missing, damaged or too large, an unsupported operator or type, or a shape that varies in more than
            its batch.
        ToolError: the ``tflite`` package is missing.
    """
    file = Path(path)
    raw = np.asarray(mapped(file))
    return from_bytes(raw, name=file.stem, where=str(file))


def from_bytes(raw: NDArray[np.uint8], *, name: str, where: str = "<tflite>") -> Graph:
    """The graph of a file's bytes; ``where`` starts every error line.

    Raises:
        ModelError, ToolError: as :func:`load`.
    """
    with naming(where):
        return _Importer(parse(raw, where), name, where).run()


def plain_name(name: str) -> str:
    """A tensor's name as its value is called: without what text cannot hold."""
    return _UNWRITABLE.sub("_", name) or "tensor"


class _Importer:
    """The state of one import: our name of each tensor that is computed."""

    def __init__(self, file: TfliteFile, name: str, where: str) -> None:
        self.file = file
        self.where = where
        self.make = Builder(name)
        self.live: dict[int, str] = {}
        self.names: set[str] = set()

    def run(self) -> Graph:
        for index in self.file.inputs:
            self._input(index)
        if not self.live:
            raise ModelError("the model has no input", where=self.where)
        for at, op in enumerate(self.file.operators):
            here = f"{self.where}: operator {at} ({op.name})"
            if op.name in _SHAPES:
                continue
            if op.name not in _HANDLERS:
                raise unknown(ModelError, "operator", op.name, SUPPORTED, where=here)
            if len(op.outputs) != 1 or not op.inputs or op.outputs[0] < 0:
                raise ModelError(f"expected inputs and one output, found {len(op.outputs)} outputs", where=here)
            if op.outputs[0] in self.live:
                raise ModelError(f"tensor {op.outputs[0]} is computed twice", where=here)
            try:
                self.live[op.outputs[0]] = _HANDLERS[op.name](self, op, here)
            except ModelError as err:
                raise ModelError(err.message, where=err.where if err.where == here else here, hint=err.hint) from None
            self._agree(op.outputs[0], here)
        missing = [i for i in self.file.outputs if i not in self.live]
        if missing or not self.file.outputs:
            raise ModelError("an output is never computed", where=self.where)
        return self.make.finish([self.live[i] for i in self.file.outputs])

    def tensor(self, index: int, where: str) -> Tensor:
        if index < 0:
            raise ModelError("an input is missing", where=where)
        return self.file.tensors[index]

    def value(self, index: int, where: str) -> str:
        """Our name of a tensor that is computed."""
        if index not in self.live:
            raise ModelError(f"tensor {index} is not computed before this operator", where=where)
        return self.live[index]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one of our values without the batch."""
        return tuple(int(d) for d in self.make.values[name].shape[1:])

    def fresh(self, name: str) -> str:
        """A name that text can hold and nothing has yet."""
        plain = plain_name(name)
        found, number = plain, 1
        while found in self.names:
            found, number = f"{plain}.{number}", number + 1
        self.names.add(found)
        return found

    def add(self, op: str, name: str, *inputs: str, **attrs: Any) -> str:
        return self.make.add(op, self.fresh(name), *inputs, **attrs)

    def stored(self, y: str, out: Tensor, activation: int, where: str, rounding: str = "nearest_even") -> str:
        """``y`` after its fused clamp, stored as the tensor ``out`` says."""
        if activation:
            if activation not in _ACTIVATIONS:
                raise ModelError(f"fused activation {activation} is not supported", where=where)
            limits = _ACTIVATIONS[activation]
            if limits is None:
                y = self.add("Relu", f"{out.name}.relu", y)
            else:
                y = self.add("Clip", f"{out.name}.clip", y, min=limits[0], max=limits[1])
        if out.kind == "float32":
            return y
        quant = _quant(out, where, rounding)
        name = self.add("Quantize", out.name, y)
        self.make.values[name] = Value(name, self.make.values[name].shape, quant)
        return name

    def moved(self, op: str, name: str, x: str, **attrs: Any) -> str:
        """An operator that only moves data: its result is stored as its input is."""
        y = self.add(op, name, x, **attrs)
        self.make.values[y] = Value(y, self.make.values[y].shape, self.make.values[x].quant)
        return y

    def weight(self, index: int, where: str, order: tuple[int, ...] | None = None) -> str:
        """A constant, its dimensions in ``order``; int8 and int32 stay as they are stored."""
        tensor = self.tensor(index, where)
        array = tensor.array(where)
        axis = tensor.axis
        if order is not None:
            if len(order) != array.ndim:
                raise ModelError(f"weights must have {len(order)} dimensions, found {list(tensor.shape)}", where=where)
            array, axis = array.transpose(order), order.index(axis) if axis in order else -1
        name = self.fresh(tensor.name)
        if tensor.kind == "float32":
            return self.make.constant(name, array)
        if tensor.scale is None or tensor.zero_point is None or tensor.zero_point.any():
            raise ModelError("weights must have scales and no zero points", where=where)
        codes = np.ascontiguousarray(array).view(np.uint8 if tensor.kind == "int8" else np.uint32)
        if tensor.scale.size == 1:
            self.make.constants[name] = QTensor(codes, tensor.kind, tensor.scale.reshape(()))
            return name
        if axis < 0 or tensor.scale.shape != (codes.shape[axis],) or axis:
            raise ModelError(
                f"{tensor.scale.size} scales along dimension {tensor.axis} are not one a channel", where=where
            )
        self.make.constants[name] = QTensor(codes, tensor.kind, tensor.scale, axis=0)
        return name

    def _input(self, index: int) -> None:
        tensor = self.file.tensors[index]
        where = f"{self.where}: input {tensor.name!r}"
        if (
            len(tensor.shape) < 2
            or tensor.shape[0] != 1
            or prod(tensor.shape) > limit("tensor_elements")
            or 0 in tensor.shape
        ):
            raise ModelError(f"expected shape [1, ...], found {list(tensor.shape)}", where=where)
        name = self.fresh(tensor.name if tensor.kind == "float32" else f"{tensor.name}.real")
        self.make.input(name, *_ours(tensor.shape)[1:])
        self.live[index] = name if tensor.kind == "float32" else self.stored(name, tensor, 0, where, "nearest_away")

    def _agree(self, index: int, where: str) -> None:
        """The file's shape and storage of a tensor, held against ours."""
        tensor, value = self.file.tensors[index], self.make.values[self.live[index]]
        if _ours(tensor.shape) != value.shape:
            raise ModelError(
                f"declares the output {list(tensor.shape)}, which is {list(value.shape)} NCHW", where=where
            )
        if tensor.kind == "int8":
            wanted, held = _quant(tensor, where), value.quant
            same = held is not None and held.scale == wanted.scale and held.zero_point == wanted.zero_point
            if not same:
                raise ModelError("the output's scale differs from what its operator makes", where=where)


def _ours(shape: tuple[int, ...]) -> Shape:
    """NHWC -> NCHW, the batch open."""
    rest = (shape[3], shape[1], shape[2]) if len(shape) == 4 else shape[1:]
    return (BATCH, *rest)


def _quant(tensor: Tensor, where: str, rounding: str = "nearest_even") -> QuantParams:
    if tensor.kind != "int8" or tensor.scale is None or tensor.zero_point is None or tensor.scale.size != 1:
        raise ModelError(f"expected int8 with one scale, found {tensor.kind}", where=where)
    return QuantParams("int8", tensor.scale.reshape(()), tensor.zero_point.reshape(()), rounding=rounding)


def _geometry(op: Operator, size: tuple[int, ...], kernel: tuple[int, int], where: str) -> dict[str, Any]:
    """Strides and explicit pads of a window over [height, width]; the larger half of ``same`` goes below and right."""
    strides = (int(op.options["StrideH"]), int(op.options["StrideW"]))
    dilations = (int(op.options.get("DilationHFactor", 1)), int(op.options.get("DilationWFactor", 1)))
    if min(*strides, *dilations, *kernel) < 1:
        raise ModelError(f"strides {strides}, dilations {dilations} and kernel {kernel} must be positive", where=where)
    if op.options["Padding"] not in (0, 1):
        raise ModelError(f"padding {op.options['Padding']} is neither same nor valid", where=where)
    begins, ends = [], []
    for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0) if op.options["Padding"] == 0 else 0
        begins.append(total // 2)
        ends.append(total - total // 2)
    return {"strides": strides, "pads": (*begins, *ends), "dilations": dilations}


def _image(self: _Importer, x: str, where: str) -> tuple[int, ...]:
    """Channels, height and width of a value."""
    shape = self.shape(x)
    if len(shape) != 3:
        raise ModelError(f"expected an image, found shape {list(shape)}", where=where)
    return shape


def _conv(self: _Importer, op: Operator, where: str) -> str:
    x = self.value(op.inputs[0], where)
    channels, *size = _image(self, x, where)
    deep = op.name == "DEPTHWISE_CONV_2D"
    index = op.inputs[1] if len(op.inputs) > 1 else -1
    w = self.weight(index, where, (3, 0, 1, 2) if deep else (0, 3, 1, 2))
    kernel = self.make.constants[w].shape[2:]
    attrs = _geometry(op, tuple(size), (int(kernel[0]), int(kernel[1])), where)
    inputs = [x, w, *_bias(self, op, where)]
    out = self.file.tensors[op.outputs[0]]
    y = self.add("Conv", f"{out.name}.sums", *inputs, **attrs, group=channels if deep else 1)
    return self.stored(y, out, int(op.options["FusedActivationFunction"]), where)


def _bias(self: _Importer, op: Operator, where: str) -> list[str]:
    return [self.weight(op.inputs[2], where)] if len(op.inputs) > 2 and op.inputs[2] >= 0 else []


def _dense(self: _Importer, op: Operator, where: str) -> str:
    x = self.value(op.inputs[0], where)
    if op.options["WeightsFormat"] or op.options["KeepNumDims"]:
        raise ModelError("shuffled weights and kept dimensions are not supported", where=where)
    w = self.weight(op.inputs[1] if len(op.inputs) > 1 else -1, where)
    out = self.file.tensors[op.outputs[0]]
    if len(self.shape(x)) != 1:
        x = _flat(self, x, out.name)
    y = self.add("Gemm", f"{out.name}.sums", x, w, *_bias(self, op, where))
    return self.stored(y, out, int(op.options["FusedActivationFunction"]), where)


def _flat(self: _Importer, x: str, name: str) -> str:
    """A value as [N, features], features in NHWC order."""
    shape = self.shape(x)
    if len(shape) == 3 and shape[0] > 1 and shape[1] * shape[2] > 1:
        x = self.moved("Transpose", f"{name}.nhwc", x, perm=(0, 2, 3, 1))
    return self.moved("Reshape", f"{name}.flat", x, shape=(-1, prod(shape)))


def _add(self: _Importer, op: Operator, where: str) -> str:
    names = [self.value(i, where) for i in op.inputs]
    out = self.file.tensors[op.outputs[0]]
    y = self.add("Add", f"{out.name}.sum", *names)
    return self.stored(y, out, int(op.options["FusedActivationFunction"]), where)


def _pool(self: _Importer, op: Operator, where: str) -> str:
    x = self.value(op.inputs[0], where)
    kernel = (int(op.options["FilterHeight"]), int(op.options["FilterWidth"]))
    attrs = _geometry(op, _image(self, x, where)[1:], kernel, where)
    del attrs["dilations"]
    out = self.file.tensors[op.outputs[0]]
    activation = int(op.options["FusedActivationFunction"])
    if op.name == "MAX_POOL_2D":
        if activation:
            raise ModelError("a fused activation after a maximum is not supported", where=where)
        return self.moved("MaxPool", out.name, x, kernel_shape=kernel, **attrs)
    y = self.add("AveragePool", f"{out.name}.mean", x, kernel_shape=kernel, **attrs, count_include_pad=0)
    return self.stored(y, out, activation, where)


def _softmax(self: _Importer, op: Operator, where: str) -> str:
    if op.options["Beta"] != 1.0:
        raise ModelError(f"beta {op.options['Beta']} is not supported, only 1", where=where)
    out = self.file.tensors[op.outputs[0]]
    x = self.value(op.inputs[0], where)
    if len(self.shape(x)) != 1:
        raise ModelError(f"a softmax over [N, classes] is supported, found {list(self.shape(x))}", where=where)
    return self.stored(self.add("Softmax", f"{out.name}.share", x, axis=1), out, 0, where)


def _reshape(self: _Importer, op: Operator, where: str) -> str:
    x, out = self.value(op.inputs[0], where), self.file.tensors[op.outputs[0]]
    shape, old = out.shape[1:], self.shape(x)
    if out.shape[:1] != (1,) or prod(shape) != prod(old) or 0 in shape:
        raise ModelError(f"a reshape of {list(old)} to {list(out.shape)} does not keep the batch", where=where)
    if len(old) == 3 and old[0] > 1 and old[1] * old[2] > 1:
        x = self.moved("Transpose", f"{out.name}.nhwc", x, perm=(0, 2, 3, 1))
    if len(shape) == 3 and shape[2] > 1 and shape[0] * shape[1] > 1:
        x = self.moved("Reshape", f"{out.name}.nhwc", x, shape=(-1, *shape))
        return self.moved("Transpose", out.name, x, perm=(0, 3, 1, 2))
    ours = (shape[2], shape[0], shape[1]) if len(shape) == 3 else shape
    return self.moved("Reshape", out.name, x, shape=(-1, *ours))


def _quantize(self: _Importer, op: Operator, where: str) -> str:
    x, out = self.value(op.inputs[0], where), self.file.tensors[op.outputs[0]]
    if self.make.values[x].quant is not None:
        raise ModelError("a change of scale by itself is not supported", where=where)
    return self.stored(x, out, 0, where, "nearest_away")


def _dequantize(self: _Importer, op: Operator, where: str) -> str:
    return self.value(op.inputs[0], where)


_HANDLERS: Mapping[str, Callable[[_Importer, Operator, str], str]] = {
    "ADD": _add,
    "AVERAGE_POOL_2D": _pool,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _conv,
    "DEQUANTIZE": _dequantize,
    "FULLY_CONNECTED": _dense,
    "MAX_POOL_2D": _pool,
    "QUANTIZE": _quantize,
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
}
SUPPORTED = tuple(sorted((*_HANDLERS, *_SHAPES)))
"""Operators that :func:`load` takes."""
