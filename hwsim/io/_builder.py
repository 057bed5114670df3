"""Write a graph node by node, from Python: shapes are inferred, the result is checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ModelError
from hwsim.ir import BATCH, OPS, Graph, Node, Value, check
from hwsim.ir.graph import Constant, Dim
from hwsim.numerics import QTensor


class Builder:
    """A graph in the making. Every node, its output and its weights carry the node's name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: list[str] = []
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self.constants: dict[str, Constant] = {}
        self.orders: dict[str, NDArray[np.int64]] = {}
        """Weights whose columns take the inputs in another order."""

    def input(self, name: str, *dims: Dim) -> str:
        """An input [N, dims]."""
        self.inputs.append(name)
        self.values[name] = Value(name, (BATCH, *dims))
        return name

    def constant(self, name: str, value: NDArray[Any] | QTensor, order: NDArray[np.int64] | None = None) -> str:
        """A float32 or stored constant; ``order`` says which input each column of a weight takes."""
        if order is not None:
            self.orders[name] = order
        if isinstance(value, QTensor):
            self.constants[name] = value
            return name
        self.constants[name] = np.ascontiguousarray(value, dtype=np.float32).reshape(value.shape)
        return name

    def add(self, op: str, name: str, *inputs: str, **attrs: Any) -> str:
        """A node; the name of its output.

        Raises:
            ModelError: the inputs do not fit the operator.
        """
        if op == "Gemm" and inputs[1] in self.orders:
            index = self.constant(f"{name}.order", self.orders[inputs[1]])
            inputs = (self.add("Gather", f"{name}.ordered", inputs[0], index, axis=-1), *inputs[1:])
        shapes = [self.values[i].shape if i in self.values else self.constants[i].shape for i in inputs]
        try:
            shape = OPS[op].infer(shapes, attrs)
        except ModelError as err:
            raise ModelError(err.message, where=f"{self.name}:{name}") from None
        self.nodes.append(Node(name, op, inputs, name, attrs))
        self.values[name] = Value(name, shape)
        return name

    def finish(self, outputs: Sequence[str]) -> Graph:
        """The checked graph."""
        inputs, nodes = tuple(self.inputs), tuple(self.nodes)
        return check(Graph(self.name, inputs, tuple(outputs), nodes, self.values, self.constants))


@contextmanager
def naming(path: object) -> Iterator[None]:
    """Errors of a graph, which knows its own name only, name its file too.

    Raises:
        ModelError: as what is done inside.
    """
    try:
        yield
    except ModelError as err:
        where = err.where or ""
        if where.startswith(str(path)):
            raise
        raise ModelError(err.message, where=f"{path}: {where}" if where else str(path), hint=err.hint) from None


def positive(held: Mapping[str, Any], key: str, default: float | None, where: str) -> float:
    """A number above 0 from a model's settings.

    Raises:
        ModelError: missing, or something else.
    """
    found = held.get(key, default)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < 1 << 31:
        raise ModelError(f"{key!r} must be a number above 0, found {found!r}", where=where)
    return found


def whole(held: Mapping[str, Any], key: str, default: float | None, where: str) -> int:
    """A whole number above 0 from a model's settings; a default may be any, it is rounded down and is then at least 1.

    Raises:
        ModelError: missing, or something else.
    """
    found = positive(held, key, default if default is None else max(1, int(default)), where)
    if found != int(found):
        raise ModelError(f"{key!r} must be a whole number, found {found!r}", where=where)
    return int(found)
