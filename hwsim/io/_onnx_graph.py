"""Walk a checked ONNX graph and build ours: what is known at import is folded, the rest goes to the importers.

Each operator we emit has its shape inferred by our IR too, and that must agree with onnx's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto

from hwsim.errors import HwsimError, ModelError
from hwsim.io._onnx_file import DOMAINS, FLOATS, WHOLE, array, attributes, type_name
from hwsim.io._onnx_shapes import FOLDED, TRIALS, Held, Known, Live, batched, fold, infer, real
from hwsim.io._quant_layout import settled, transposed
from hwsim.ir import BATCH, Graph, Node, QuantParams, Value, check
from hwsim.ir.graph import Attr, Constant, Shape
from hwsim.ir.infer import elements
from hwsim.ir.ops import KEEPS_STORAGE, OPS
from hwsim.limits import limit
from hwsim.numerics import QTensor

READS_CODES = ("DequantizeLinear", "Identity", "Squeeze", "Unsqueeze", *KEEPS_STORAGE)
"""Operators that may stand between a QuantizeLinear and its DequantizeLinear."""
_UNWRITABLE = re.compile(r"[\s\"'(),=]+")


class Op:
    """One ONNX node being imported: its inputs and attributes, and a way to emit our nodes."""

    def __init__(self, importer: Importer, node: NodeProto, name: str, where: str, attrs: Mapping[str, Any]) -> None:
        self.importer = importer
        self.node = node
        self.op = node.op_type
        self.name = name
        self.where = where
        self.attrs = attrs
        self.opset = importer.opset
        self.inputs: list[Held] = [importer.env[i] if i else None for i in node.input]
        self.out = importer.clean(node.output[0])
        self.declared: Shape = ()
        """Shape of the output as onnx infers it."""
        self.elem: int = TensorProto.FLOAT
        """Element type of the output as onnx infers it."""
        first = self.inputs[0] if self.inputs else None
        self.coded: QuantParams | None = first.coded if isinstance(first, Live) else None
        """Storage of the output, where the file holds codes there."""

    def error(self, message: str) -> ModelError:
        """A ModelError at this node."""
        return ModelError(message, where=self.where)

    def has(self, index: int) -> bool:
        """Whether an optional input is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def live(self, index: int = 0) -> Live:
        """A run-time input."""
        held = self.inputs[index] if index < len(self.inputs) else None
        if not isinstance(held, Live):
            raise self.error(f"input {index} must be computed at run time, found a constant")
        return held

    def known(self, index: int, what: str) -> NDArray[Any]:
        """An input known at import."""
        held = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(held, Live):
            raise self.error(f"{what} {held.name!r} must be a constant, found a value computed at run time")
        fixed = held.fixed if held is not None else None
        if fixed is None:
            raise self.error(f"{what} is missing or depends on the batch")
        return fixed

    def floats(self, index: int, what: str) -> NDArray[np.float32]:
        """A constant of finite float32 numbers."""
        found = self.known(index, what)
        here = f"{what} {self.node.input[index]!r}"
        if found.dtype != np.float32:
            raise self.error(f"{here} must be float, found {found.dtype}")
        if found.size == 0:
            raise self.error(f"{here} is empty: shape {list(found.shape)}")
        bad = int(np.count_nonzero(~np.isfinite(found)))
        if bad:
            raise self.error(f"{here}: {bad} of {found.size} numbers are NaN or infinite")
        return found

    def operand(self, index: int, what: str) -> str:
        """The name of an input, computed at run time or constant; whole numbers and truth values become real."""
        if self.is_live(index):
            return self.live(index).name
        found = self.known(index, what)
        if found.dtype.kind not in "biu":
            return self.constant(index, what)
        if found.size and np.abs(found.astype(np.int64)).max() > 1 << 24:
            raise self.error(f"{what} {self.node.input[index]!r} holds whole numbers beyond 2^24")
        return self.new_constant(found, what)

    def constant(
        self,
        index: int,
        what: str,
        change: Callable[[Any], Any] | None = None,
        move: Callable[[QTensor], QTensor] | None = None,
    ) -> str:
        """Put a constant input into our graph, changed or as it is; its name.

        ``move`` does to a stored constant what ``change`` does to numbers; without it they become real numbers.
        """
        found = self.floats(index, what)
        source = self.importer.clean(self.node.input[index])
        held = self.inputs[index]
        stored = held.stored if isinstance(held, Known) else None
        if change is None:
            self.importer.constants[source] = found if stored is None else stored
            return source
        if stored is None or move is None:
            return self.new_constant(change(found), what)
        name = self.importer.fresh(f"{self.name}.{what}") if source in self.importer.constants else source
        self.importer.constants[name] = move(stored)
        return name

    def new_constant(self, value: NDArray[Any], what: str) -> str:
        """Put a constant that the file does not hold as such into our graph; its name."""
        name = self.importer.fresh(f"{self.name}.{what}")
        value = np.ascontiguousarray(value, dtype=np.float32).reshape(value.shape)
        if not np.isfinite(value).all():
            raise self.error(f"{what} leaves the range of float32")
        self.importer.constants[name] = value
        return name

    def emit(self, op: str, inputs: Sequence[str], attrs: Mapping[str, Attr] | None = None, *, tag: str = "") -> str:
        """Emit one of our nodes; its output's name (this node's own output where ``tag`` is empty)."""
        out = self.importer.fresh(f"{self.out}.{tag}") if tag else self.out
        name = self.importer.fresh_node(f"{self.name}.{tag}" if tag else self.name)
        self.importer.add(Node(name, op, tuple(inputs), out, dict(attrs or {})), self.where)
        return out

    def is_live(self, index: int) -> bool:
        """Whether an input is computed at run time."""
        return index < len(self.inputs) and isinstance(self.inputs[index], Live)

    def shape(self, name: str) -> Shape:
        """Shape of a value already emitted."""
        return self.importer.values[name].shape


Handler = Callable[[Op], "str | Known"]


class Importer:
    """The state of one import."""

    def __init__(self, model: ModelProto, opset: int, handlers: Mapping[str, Handler], where: str) -> None:
        self.model = model
        self.opset = opset
        self.handlers = handlers
        self.where = where
        self.env: dict[str, Live | Known] = {}
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self.constants: dict[str, Constant] = {}
        self.inputs: list[str] = []
        self.batch: int | None = None
        """Batch size that the file fixes; None where it is symbolic."""
        self.uses = Counter(i for n in model.graph.node for i in n.input)
        self.uses.update(o.name for o in model.graph.output)
        self._clean: dict[str, str] = {}
        self._names: set[str] = set()
        self._node_names: set[str] = set()

    def clean(self, name: str) -> str:
        """Our name of an ONNX value: as it is, but for characters that the text form cannot hold."""
        if name not in self._clean:
            self._clean[name] = self.fresh(_UNWRITABLE.sub("_", name))
        return self._clean[name]

    def fresh(self, name: str) -> str:
        """``name``, or with a number behind it where it is taken."""
        return _unique(name, self._names)

    def fresh_node(self, name: str) -> str:
        """As :meth:`fresh`, among nodes."""
        return _unique(name, self._node_names)

    def run(self, name: str) -> Graph:
        """The whole graph, checked."""
        for tensor in self.model.graph.initializer:
            value = real(array(tensor, self.where), f"initializer {tensor.name!r}", self.where)
            self.env[tensor.name] = Known((value,) * len(TRIALS))
        for info in self.model.graph.input:
            if info.name not in self.env:
                self._input(info)
        if not self.inputs:
            raise ModelError("the model has no input", where=self.where)
        for index, node in enumerate(self.model.graph.node):
            self._node(index, node)
        return self._finish(name)

    def add(self, node: Node, where: str, quant: QuantParams | None = None) -> None:
        """Append a node; its output's shape is what the IR infers, and moved codes stay stored as they were."""
        shapes = [self.shape_of(i) for i in node.inputs]
        try:
            shape = OPS[node.op].infer(shapes, node.attrs)
        except HwsimError as err:
            raise ModelError(err.message, where=where, hint=err.hint) from None
        if elements(shape) > (most := limit("tensor_elements")):
            raise ModelError(f"a value of shape {list(shape)} is over the limit of {most} elements", where=where)
        before = self.values.get(node.inputs[0])
        if node.op in KEEPS_STORAGE and before is not None and before.quant is not None and before.quant.axis is None:
            quant = before.quant
        self.nodes.append(node)
        self.values[node.output] = Value(node.output, shape, quant)

    def shape_of(self, name: str) -> Shape:
        """Shape of an emitted value or constant."""
        held = self.constants.get(name)
        return self.values[name].shape if held is None else tuple(int(d) for d in held.shape)

    def _input(self, info: onnx.ValueInfoProto) -> None:
        here = f"{self.where}: input {info.name!r}"
        tensor = info.type.tensor_type
        if not info.type.HasField("tensor_type") or tensor.elem_type not in (*FLOATS, *WHOLE):
            raise ModelError(f"expected a tensor of numbers, found {type_name(tensor.elem_type)}", where=here)
        dims: list[int | None] = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
        if len(dims) < 2:
            raise ModelError(
                f"expected a batch and at least one more dimension, found {len(dims)} dimensions", where=here
            )
        for at, dim in enumerate(dims[1:], start=1):
            if dim is None or dim < 1:
                label = tensor.shape.dim[at].dim_param or dim
                raise ModelError(
                    f"dimension {at} must be a number (only the batch may vary), found {label!r}",
                    where=here,
                    hint="fix it with onnx.tools.update_model_dims",
                )
        first = dims[0]
        if first is not None and first < 1:
            first = None
        if self.inputs and first != self.batch:
            raise ModelError(f"batch {first or 'symbolic'} differs from the other inputs' {self.batch}", where=here)
        self.batch = first
        name = self.clean(info.name)
        shape: Shape = (BATCH, *(d for d in dims[1:] if d is not None))
        if elements(shape) > (most := limit("tensor_elements")):
            raise ModelError(f"shape {list(shape)} is over the limit of {most} elements", where=here)
        self.inputs.append(name)
        self.values[name] = Value(name, shape)
        self.env[info.name] = Live(name, shape, tensor.elem_type if tensor.elem_type in WHOLE else TensorProto.FLOAT)

    def _node(self, index: int, node: NodeProto) -> None:
        label = node.name or (node.output[0] if node.output else f"#{index}")
        where = f"{self.where}: node {label!r} ({node.op_type})"
        attrs = attributes(node, where)
        _check_windows(attrs, where)
        if not node.output or not node.output[0]:
            raise ModelError("the node has no output", where=where)
        for extra in node.output[1:]:
            if extra and self.uses[extra] and node.op_type not in ("Split", "LSTM", "GRU"):
                raise ModelError(f"only the first output is supported, {extra!r} is used", where=where)
        missing = [i for i in node.input if i and i not in self.env]
        if missing:
            raise ModelError(f"input {missing[0]!r} is not defined before this node", where=where)
        held = [self.env[i] for i in node.input if i]
        out = node.output[0]
        first = held[0] if held else None
        if first is not None and first.coded and node.op_type not in READS_CODES:
            raise ModelError(
                f"{node.op_type} of codes is not supported: expected a DequantizeLinear first", where=where
            )
        if node.op_type == "Constant":
            self.env[out] = Known((real(_constant(attrs, where), f"constant {out!r}", where),) * len(TRIALS))
        elif node.op_type == "Shape" and isinstance(held[0], Live):
            cut = slice(attrs.get("start"), attrs.get("end"))
            self.env[out] = Known(tuple(np.array(held[0].at(b), dtype=np.int64)[cut] for b in TRIALS))
        elif isinstance(first, Known) and first.stored is not None and node.op_type in ("Identity", "Transpose"):
            self.env[out] = first if node.op_type == "Identity" else _moved(first.stored, first.coded, attrs, where)
        elif all(isinstance(h, Known) for h in held) and node.op_type in (*FOLDED, "Shape"):
            self.env[out] = fold(node, [self.env[i] if i else None for i in node.input], self.opset, where)
        elif node.op_type not in self.handlers:
            raise ModelError(f"{node.op_type} is supported only where its inputs are known at import", where=where)
        else:
            name = self.fresh_node(_UNWRITABLE.sub("_", node.name or f"{node.op_type.lower()}_{index}"))
            self._node_names.discard(name)
            self._import(Op(self, node, name, where, attrs))

    def _import(self, op: Op) -> None:
        if op.op == "Reshape":
            op.inputs[1] = self._keep_batch(op)
        if op.op == "Resize" and op.has(3) and self.batch is not None:
            sizes = op.known(3, "sizes")
            op.inputs[3] = Known(tuple(np.concatenate([[trial], sizes[1:]]).astype(np.int64) for trial in TRIALS))
        if op.op not in DOMAINS:
            found = [infer(op.node, op.inputs, trial, self.opset, op.where) for trial in range(len(TRIALS))]
            op.declared, op.elem = batched([shape for shape, _ in found], op.where), found[0][1]
        elif op.is_live(0):
            op.declared = op.live(0).shape
        name = self.handlers[op.op](op)
        if isinstance(name, Known):
            self.env[op.node.output[0]] = name
            return
        if self.values[name].shape != op.declared:
            raise op.error(f"onnx infers shape {list(op.declared)}, hwsim {list(self.values[name].shape)}")
        self.env[op.node.output[0]] = Live(name, op.declared, op.elem, op.coded)

    def _keep_batch(self, op: Op) -> Known:
        """The shape of a Reshape with the batch left open, where the file was exported at one fixed batch size."""
        held = op.inputs[1] if len(op.inputs) > 1 else None
        if not isinstance(held, Known):
            raise op.error("the new shape must be known at import")
        shape, x = held.fixed, op.live(0)
        if shape is None or shape.ndim != 1 or shape.size == 0 or shape.dtype.kind != "i":
            return held
        rest = [int(d) for d in shape[1:]]
        fixed = self.batch is not None and int(shape[0]) == self.batch
        traced = (
            self.batch is None and int(shape[0]) == 1 and min(rest, default=1) > 0 and prod(rest) == elements(x.shape)
        )
        if not (fixed or traced) or op.attrs.get("allowzero", 0):
            return held
        open_ = np.array([0 if -1 in rest else -1, *rest], dtype=np.int64)
        return Known((open_,) * len(TRIALS))

    def _finish(self, name: str) -> Graph:
        outputs: list[str] = []
        for info in self.model.graph.output:
            held = self.env.get(info.name)
            here = f"{self.where}: output {info.name!r}"
            if not isinstance(held, Live) or held.name in self.inputs:
                raise ModelError("must be computed from the model's input", where=here)
            wanted, produced = self.clean(info.name), held.name
            if produced in outputs:
                raise ModelError(f"is the same value as output {produced!r}", where=here)
            if produced != wanted and produced not in {self.clean(o.name) for o in self.model.graph.output}:
                self.rename(produced, wanted)
                produced = wanted
            outputs.append(produced)
        needed, nodes = set(outputs), []
        for node in reversed(self.nodes):
            if node.output in needed:
                needed.update(node.inputs)
                nodes.append(node)
        graph = Graph(
            _UNWRITABLE.sub("_", name) or "model", tuple(self.inputs), tuple(outputs), (), self.values, self.constants
        )
        try:
            return check(settled(graph.rebuilt(nodes=nodes[::-1])))
        except ModelError as err:
            raise ModelError(err.message, where=f"{self.where}: {err.where}", hint=err.hint) from None

    def rename(self, old: str, new: str) -> None:
        """Give a run-time value another name, everywhere."""
        self.values[new] = replace(self.values.pop(old), name=new)
        self.nodes = [
            replace(
                n, inputs=tuple(new if i == old else i for i in n.inputs), output=new if n.output == old else n.output
            )
            for n in self.nodes
        ]
        self.env = {
            k: replace(h, name=new) if isinstance(h, Live) and h.name == old else h for k, h in self.env.items()
        }


def _moved(held: QTensor, coded: bool, attrs: Mapping[str, Any], where: str) -> Known:
    """A stored constant behind a Transpose."""
    rank = held.codes.ndim
    perm = tuple(attrs.get("perm", range(rank - 1, -1, -1)))
    if sorted(perm) != list(range(rank)):
        raise ModelError(f"perm {list(perm)} is not a permutation of {rank} dimensions", where=where)
    moved = transposed(held, perm)
    return Known((moved.dequantize(),) * len(TRIALS), moved, coded)


def _unique(name: str, taken: set[str]) -> str:
    name = name or "_"
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate


def _constant(attrs: Mapping[str, Any], where: str) -> NDArray[Any]:
    if "value" in attrs:
        return np.asarray(attrs["value"])
    for key, kind in (
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if key in attrs:
            return np.array(attrs[key], dtype=kind)
    raise ModelError(f"a constant of {', '.join(attrs) or 'nothing'} is not supported", where=where)


def _check_windows(attrs: Mapping[str, Any], where: str) -> None:
    """Refuse window attributes that shape inference would divide by."""
    for key in ("kernel_shape", "strides", "dilations", "group"):
        value = attrs.get(key, 1)
        for v in value if isinstance(value, tuple) else (value,):
            if not isinstance(v, int) or not 1 <= v < 1 << 31:
                raise ModelError(f"attribute {key!r} must be whole numbers of at least 1, found {value!r}", where=where)
    pads = attrs.get("pads", ())
    if not isinstance(pads, tuple) or any(not isinstance(v, int) or abs(v) >= 1 << 31 for v in pads):
        raise ModelError(f"attribute 'pads' must be whole numbers, found {pads!r}", where=where)
