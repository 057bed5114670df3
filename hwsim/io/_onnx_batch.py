"""Keep the batch first: what an ONNX file moves to another place and takes apart there is taken apart where it is.

Attention is often exported as one product for queries, keys and values, transposed so that these three come first,
and cut there; recurrent layers want time first. Our values have the batch first. So a Transpose that moves dimension 0
sinks below the Slice, Squeeze, Gather (of one entry), Relu and recurrent layers that read it, until it keeps the batch:
the meaning stays, only the order of operations changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

ROUNDS = 64
"""Most times that one Transpose may sink."""
RECURRENT = ("LSTM", "GRU")
_PLAIN = ("Relu", "Sigmoid", "Tanh")


def batch_first(model: ModelProto) -> ModelProto:
    """The same model with Transposes of dimension 0 sunk as far as it goes; the given one where there are none."""
    if not any(node.op_type == "Transpose" and _perm(node)[:1] not in ((), (0,)) for node in model.graph.node):
        return model
    copy = ModelProto()
    copy.CopyFrom(model)
    sink = _Sinker(copy)
    for _ in range(ROUNDS):
        if not sink.round():
            break
    del copy.graph.node[:]
    copy.graph.node.extend(sink.nodes)
    copy.graph.initializer.extend(sink.made)
    del copy.graph.value_info[:]
    return copy


def _perm(node: NodeProto) -> tuple[int, ...]:
    return next((tuple(a.ints) for a in node.attribute if a.name == "perm"), ())


def _ints(node: NodeProto, name: str) -> list[int] | None:
    return next(([int(v) for v in a.ints] for a in node.attribute if a.name == name), None)


class _Sinker:
    """Nodes so far, and the constants that new ones need."""

    def __init__(self, model: ModelProto) -> None:
        self.nodes: list[NodeProto] = list(model.graph.node)
        self.outputs = {o.name for o in model.graph.output}
        self.made: list[TensorProto] = []
        self.fixed = {t.name: t for t in model.graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                self.fixed[node.output[0]] = node.attribute[0].t
        self.opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
        self.count = 0

    def round(self) -> bool:
        """Sink every Transpose that moves the batch below one of its readers; False when none could."""
        makers = {node.output[0]: node for node in self.nodes if node.op_type == "Transpose" and node.output}
        moved, out = False, list[NodeProto]()
        for node in self.nodes:
            maker = makers.get(node.input[0]) if node.input else None
            perm = _perm(maker) if maker is not None else ()
            new = None
            if maker is not None and perm and perm[0] != 0 and len(node.output) and node.op_type != "Transpose":
                new = list(self._below(node, maker.input[0], perm))
            elif maker is not None and perm and perm[0] != 0 and node.op_type == "Transpose" and _perm(node):
                both = [perm[p] for p in _perm(node)]
                new = [helper.make_node("Transpose", [maker.input[0]], node.output, node.name, perm=both)]
            if new:
                moved = True
                out += new
            else:
                out.append(node)
        used = {i for node in out for i in node.input} | self.outputs
        self.nodes = [n for n in out if n.op_type != "Transpose" or n.output[0] in used]
        return moved

    def _below(self, node: NodeProto, x: str, perm: tuple[int, ...]) -> Iterator[NodeProto]:
        """``node`` of a transposed ``x`` as nodes of ``x`` with a Transpose at the end; nothing where it cannot be."""
        if node.op_type in _PLAIN:
            early = self._name(node, "early")
            yield helper.make_node(node.op_type, [x], [early], early)
            yield self._turn(node, early, perm)
        elif node.op_type == "Slice":
            axes = self._numbers(node, "axes", 3)
            if axes is None:
                return
            early = self._name(node, "early")
            moved = [perm[a % len(perm)] for a in axes]
            if self.opset < 10:
                attrs: dict[str, Any] = {a.name: list(a.ints) for a in node.attribute if a.name != "axes"}
                yield helper.make_node("Slice", [x], [early], early, axes=moved, **attrs)
            else:
                inputs = [x, *node.input[1:3], self._constant(node, moved), *node.input[4:]]
                yield helper.make_node("Slice", inputs, [early], early)
            yield self._turn(node, early, perm)
        elif node.op_type in ("Squeeze", "Gather"):
            yield from self._drop(node, x, perm)
        elif node.op_type in RECURRENT and len(perm) == 3 and perm[1] == 0:
            yield from self._recurrent(node, x, perm)

    def _drop(self, node: NodeProto, x: str, perm: tuple[int, ...]) -> Iterator[NodeProto]:
        """Squeeze, or Gather of one entry: dimensions that go."""
        early = self._name(node, "early")
        if node.op_type == "Squeeze":
            axes = self._numbers(node, "axes", 1)
            if axes is None:
                return
            gone = {perm[a % len(perm)] for a in axes}
            if self.opset < 13:
                yield helper.make_node("Squeeze", [x], [early], early, axes=sorted(gone))
            else:
                yield helper.make_node("Squeeze", [x, self._constant(node, sorted(gone))], [early], early)
        else:
            index = self.fixed.get(node.input[1])
            axis = next((int(a.i) for a in node.attribute if a.name == "axis"), 0)
            if index is None or len(index.dims):
                return
            gone = {perm[axis % len(perm)]}
            yield helper.make_node("Gather", [x, node.input[1]], [early], early, axis=min(gone))
        kept = [p for p in perm if p not in gone]
        yield self._turn(node, early, [sorted(kept).index(p) for p in kept])

    def _recurrent(self, node: NodeProto, x: str, perm: tuple[int, ...]) -> Iterator[NodeProto]:
        """A layer that reads time first, with ``layout`` 1 (batch first); its outputs are turned back."""
        attrs = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if attrs.pop("layout", 0):
            return
        if perm[0] != 1:
            turned = self._name(node, "rows")
            yield helper.make_node("Transpose", [x], [turned], turned, perm=(0, perm[0], perm[2]))
            x = turned
        early = [self._name(node, "early") if out else "" for out in node.output]
        yield helper.make_node(node.op_type, [x, *node.input[1:]], early, early[0], **attrs, layout=1)
        for at, (out, name) in enumerate(zip(node.output, early, strict=True)):
            if out:
                turn = (1, 2, 0, 3) if at == 0 else (1, 0, 2)
                yield helper.make_node("Transpose", [name], [out], self._name(node, "turn"), perm=turn)

    def _turn(self, node: NodeProto, early: str, perm: Sequence[int]) -> NodeProto:
        return helper.make_node("Transpose", [early], [node.output[0]], self._name(node, "turn"), perm=list(perm))

    def _numbers(self, node: NodeProto, name: str, index: int) -> list[int] | None:
        """Whole numbers from an attribute or a constant input."""
        given = _ints(node, name)
        if given is not None or len(node.input) <= index or node.input[index] not in self.fixed:
            return given
        return [int(v) for v in numpy_helper.to_array(self.fixed[node.input[index]]).reshape(-1)]

    def _constant(self, node: NodeProto, values: Sequence[int]) -> str:
        name = self._name(node, "axes")
        self.made.append(numpy_helper.from_array(np.array(values, np.int64), name))
        self.fixed[name] = self.made[-1]
        return name

    def _name(self, node: NodeProto, tag: str) -> str:
        self.count += 1
        return f"{node.output[0]}.{tag}{self.count}"
