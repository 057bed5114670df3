"""From our operators to ONNX's: one writer each, the inverse of the importers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hwsim.errors import ModelError
from hwsim.ir import Graph, Node

ROOT_OPSET = 18
"""Since then every reduction takes its axes as an input."""
SINCE = {"Gelu": 20, "RMSNormalization": 23}
"""Opsets that single operators need beyond that."""


class Writer:
    """An ONNX graph in the making.

    Attributes:
        opset: least version of the standard operators that what was written so far needs.
        turned: weights [out, in] that are written as [in, out]: MatMul takes them so, and tools look for them there.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.opset = ROOT_OPSET
        self.turned = _turned(graph)
        self.nodes: list[NodeProto] = []
        self.tensors: list[TensorProto] = []
        self._taken = {*graph.values, *graph.constants}

    def error(self, name: str, message: str, hint: str | None = None) -> ModelError:
        """A ModelError at a node or constant."""
        return ModelError(message, where=f"{self.graph.name}:{name}", hint=hint)

    def fresh(self, name: str) -> str:
        """``name``, or with a number behind it where the graph has it already."""
        found, number = name, 1
        while found in self._taken:
            number += 1
            found = f"{name}_{number}"
        self._taken.add(found)
        return found

    def add(self, op: str, inputs: list[str], output: str, name: str | None = None, **attrs: Any) -> str:
        """Write one node; its output's name."""
        self.opset = max(self.opset, SINCE.get(op, 0))
        domain = attrs.pop("domain", "")
        self.nodes.append(helper.make_node(op, inputs, [output], name=name or output, domain=domain, **attrs))
        return output

    def tensor(self, name: str, value: NDArray[Any]) -> str:
        """Write a constant; its name."""
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
        return name

    def raw(self, name: str, kind: int, shape: tuple[int, ...], raw: bytes) -> str:
        """Write a constant of codes; its name."""
        self.tensors.append(helper.make_tensor(name, kind, shape, raw, raw=True))
        return name

    def numbers(self, at: str, *value: int) -> str:
        """Write whole numbers that an operator takes as an input; their name."""
        return self.tensor(self.fresh(at), np.array(value, np.int64))

    def real(self, at: str, value: float | NDArray[Any]) -> str:
        """Write real numbers of one node; their name."""
        return self.tensor(self.fresh(at), np.asarray(value, np.float32))


def _turned(graph: Graph) -> set[str]:
    deep = {n.inputs[1] for n in graph.nodes if n.op == "Gemm" and len(graph.shape_of(n.inputs[0])) > 2}
    return {name for name in deep if name in graph.constants and len(graph.consumers(name)) == 1}


def _gemm(w: Writer, n: Node) -> None:
    rest = list(n.inputs[2:])
    if len(w.graph.shape_of(n.inputs[0])) == 2:
        w.add("Gemm", list(n.inputs), n.output, n.name, transB=1)
        return
    weight = n.inputs[1]
    if weight not in w.turned:
        weight = w.add("Transpose", [weight], w.fresh(f"{n.name}.turned"), perm=[1, 0])
    product = w.fresh(f"{n.name}.product") if rest else n.output
    w.add("MatMul", [n.inputs[0], weight], product, n.name)
    if rest:
        w.add("Add", [product, *rest], n.output)


def _clip(w: Writer, n: Node) -> None:
    ends = [w.real(f"{n.name}.{key}", float(n.attrs[key])) for key in ("min", "max")]
    w.add("Clip", [n.inputs[0], *ends], n.output, n.name)


def _reshape(w: Writer, n: Node) -> None:
    w.add("Reshape", [n.inputs[0], w.numbers(f"{n.name}.shape", *n.attrs["shape"])], n.output, n.name)


def _expand(w: Writer, n: Node) -> None:
    shape = [1 if d == -1 else d for d in n.attrs["shape"]]
    w.add("Expand", [n.inputs[0], w.numbers(f"{n.name}.shape", *shape)], n.output, n.name)


def _pad(w: Writer, n: Node) -> None:
    parts = [w.numbers(f"{n.name}.pads", *n.attrs["pads"]), w.real(f"{n.name}.value", float(n.attrs["value"]))]
    w.add("Pad", [n.inputs[0], *parts], n.output, n.name)


def _slice(w: Writer, n: Node) -> None:
    parts = [w.numbers(f"{n.name}.{key}", *n.attrs[key]) for key in ("starts", "ends", "axes", "steps")]
    w.add("Slice", [n.inputs[0], *parts], n.output, n.name)


def _reduce(w: Writer, n: Node) -> None:
    axes = w.numbers(f"{n.name}.axes", *n.attrs["axes"])
    w.add(n.op, [n.inputs[0], axes], n.output, n.name, keepdims=n.attrs["keepdims"])


def _resize(w: Writer, n: Node) -> None:
    x, size, scales = w.graph.shape_of(n.inputs[0]), n.attrs["size"], n.attrs["scales"]
    modes = {"mode": n.attrs["mode"], "coordinate_transformation_mode": n.attrs["coordinates"]}
    if n.attrs["mode"] == "nearest":
        modes["nearest_mode"] = n.attrs["nearest"]
    if any(to / int(d) != s for d, s, to in zip(x[2:], scales, size, strict=True)):
        inputs = [n.inputs[0], "", w.real(f"{n.name}.scales", np.array([1, 1, *scales]))]
        w.add("Resize", inputs, n.output, n.name, **modes)
        return
    kept = w.add("Shape", [n.inputs[0]], w.fresh(f"{n.name}.kept"), start=0, end=2)  # the batch may be any
    sizes = w.add("Concat", [kept, w.numbers(f"{n.name}.size", *size)], w.fresh(f"{n.name}.sizes"), axis=0)
    w.add("Resize", [n.inputs[0], "", "", sizes], n.output, n.name, **modes)


def _gather(w: Writer, n: Node) -> None:
    table, index = n.inputs
    held = w.graph.constants.get(index)
    if held is not None:
        index = w.numbers(f"{n.name}.indices")
        w.tensors[-1].CopyFrom(numpy_helper.from_array(w.graph.float_constant(n.inputs[1]).astype(np.int64), index))
    elif index not in whole_inputs(w.graph):
        index = w.add("Cast", [index], w.fresh(f"{n.name}.indices"), to=TensorProto.INT64)
    w.add("Gather", [table, index], n.output, n.name, axis=n.attrs["axis"])


def whole_inputs(graph: Graph) -> set[str]:
    """Inputs that are nothing but indices: written as whole numbers."""
    return {
        name
        for name in graph.inputs
        if graph.consumers(name)
        and name not in graph.outputs
        and all(n.op == "Gather" and n.inputs[1] == name != n.inputs[0] for n in graph.consumers(name))
    }


def _compare(w: Writer, n: Node) -> None:
    truth = w.add(n.op, list(n.inputs), w.fresh(f"{n.output}.truth"), n.name)
    w.add("Cast", [truth], n.output, to=TensorProto.FLOAT)


def _where(w: Writer, n: Node) -> None:
    made = next((p for p in w.nodes if p.output[0] == n.inputs[0] and p.op_type == "Cast"), None)
    truth = made.input[0] if made is not None else w.fresh(f"{n.name}.condition")
    if made is None:
        w.add("Cast", [n.inputs[0]], truth, to=TensorProto.BOOL)
    w.add("Where", [truth, *n.inputs[1:]], n.output, n.name)


def _swish(w: Writer, n: Node) -> None:
    x, alpha = n.inputs[0], float(n.attrs["alpha"])
    inner = x
    if alpha != 1.0:
        inner = w.add("Mul", [x, w.real(f"{n.name}.alpha", alpha)], w.fresh(f"{n.name}.scaled"))
    w.add("Mul", [x, w.add("Sigmoid", [inner], w.fresh(f"{n.name}.sigmoid"))], n.output, n.name)


def _rotary(w: Writer, n: Node) -> None:
    x, cos, sin = n.inputs
    shape = [int(d) for d in w.graph.shape_of(x)[1:]]
    half = shape[-1] // 2
    cuts = ((0, 2 * half, 2), (1, 2 * half, 2)) if n.attrs["interleaved"] else ((0, half, 1), (half, 2 * half, 1))
    a, b = (
        w.add("Slice", [x, *(w.numbers(f"{n.name}.cut", v) for v in (at, end, 3, step))], w.fresh(f"{n.name}.part"))
        for at, end, step in cuts
    )

    def turn(op: str, first: str, second: str) -> str:
        parts = [w.add("Mul", [v, t], w.fresh(f"{n.name}.product")) for v, t in ((a, first), (b, second))]
        return w.add(op, parts, w.fresh(f"{n.name}.turned"))

    parts = [turn("Sub", cos, sin), turn("Add", sin, cos)]
    if not n.attrs["interleaved"]:
        w.add("Concat", parts, n.output, n.name, axis=3)
        return
    lone = w.numbers(f"{n.name}.pairs", -1, *shape[:-1], half, 1)
    parts = [w.add("Reshape", [p, lone], w.fresh(f"{n.name}.lone")) for p in parts]
    joined = w.add("Concat", parts, w.fresh(f"{n.name}.joined"), axis=4)
    w.add("Reshape", [joined, w.numbers(f"{n.name}.shape", -1, *shape)], n.output, n.name)


def _plain(w: Writer, n: Node) -> None:
    """An operator whose inputs and attributes are ONNX's."""
    attrs = {key: list(value) if isinstance(value, tuple) else value for key, value in n.attrs.items()}
    w.add(n.op, list(n.inputs), n.output, n.name, **attrs)


_SPECIAL: Mapping[str, Callable[[Writer, Node], None]] = {
    "Gemm": _gemm,
    "Clip": _clip,
    "Reshape": _reshape,
    "Expand": _expand,
    "Pad": _pad,
    "Slice": _slice,
    "ReduceMean": _reduce,
    "ReduceSum": _reduce,
    "ReduceMax": _reduce,
    "Resize": _resize,
    "Gather": _gather,
    "Equal": _compare,
    "Greater": _compare,
    "Less": _compare,
    "Where": _where,
    "Swish": _swish,
    "RotaryEmbedding": _rotary,
}


def emit(writer: Writer, node: Node) -> None:
    """Write one node of the IR, any but ``Quantize``."""
    _SPECIAL.get(node.op, _plain)(writer, node)
