"""Where a graph attends: the nodes of each attention, and a layer of scales a head that can correct it.

Attention, softmax(q k^T) v, is the one place of a network where errors stand in an exponent: noise in the scores
multiplies their exponentials, which sharpens the softmax, and clipped operands shrink the scores, which flattens it.
``log_scaled`` gives every head its own factor on q, k and v, behind their projections, and on the scores; a factor is
exp of a number that learns (``hwsim.quant.qat``, ``QatNetwork(..., log_scales=...)``). It is an ordinary ``Mul`` of the
graph, and the factor of the scores is part of the one that is there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ModelError, RecipeError, unknown
from hwsim.ir import OPS, Graph, Node, Value, check

PLACES = ("query", "key", "value", "scores")
"""Where ``log_scaled`` may put factors."""

_ELEMENTWISE = ("Mul", "Div", "Add", "Sub", "Where", "Max", "Clip", "Quantize")
"""What may lie between the scores' product and the softmax."""


@dataclass(frozen=True, slots=True)
class Attention:
    """One attention of a graph.

    Attributes:
        name: of the softmax's node.
        qk, softmax, pv: the product of queries and keys, the softmax over the keys, the product with the values.
        scale: the node between ``qk`` and ``softmax`` that multiplies by a constant of one number, or a number a head;
            None without one.
        heads: of the queries; the softmax's output is [N, ..., length, keys], the dimensions between are heads.
        query, key, value: the products with constant weights that they come from; None where there is no such.
        output: the product with constant weights that alone reads what the heads found; None where there is none.
        rotary: ``halves`` or ``neighbours``, the pairs that a rotary embedding turns in q and k; None without one.
    """

    name: str
    qk: Node
    softmax: Node
    pv: Node
    scale: Node | None
    heads: int
    query: Node | None
    key: Node | None
    value: Node | None
    output: Node | None
    rotary: str | None

    def kv_heads(self, graph: Graph) -> int:
        """Heads of keys and values, of which several queries may share one."""
        return heads_of(graph, self.pv.inputs[1])

    @property
    def projected(self) -> bool:
        """All four projections are there."""
        return None not in (self.query, self.key, self.value, self.output)


def attentions(graph: Graph) -> tuple[Attention, ...]:
    """Every attention of ``graph``, in order: a softmax over the last dimension between products of run-time values."""
    found = []
    for softmax in graph.nodes:
        rank = len(graph.shape_of(softmax.output))
        if softmax.op != "Softmax" or rank < 3 or softmax.attrs["axis"] % rank != rank - 1:
            continue
        chain = _back(graph, softmax.inputs[0], _ELEMENTWISE)
        qk, pv = graph.producer(chain[-1]), _reader(graph, softmax.output)
        if qk is None or pv is None or not (_dynamic(graph, qk) and _dynamic(graph, pv)):
            continue
        scales = [node for name in chain[:-1] if _scales(graph, node := graph.producer(name))]
        found.append(
            Attention(
                softmax.name,
                qk,
                softmax,
                pv,
                scales[-1] if scales else None,
                heads_of(graph, softmax.output),
                _projection(graph, qk.inputs[0]),
                _projection(graph, qk.inputs[1]),
                _projection(graph, pv.inputs[1]),
                _output(graph, pv),
                _rotary(graph, qk.inputs[0]),
            )
        )
    return tuple(found)


def heads_of(graph: Graph, value: str) -> int:
    """The dimensions of a value between the batch and the last two, multiplied."""
    return prod(int(d) for d in graph.shape_of(value)[1:-2])


def log_scaled(graph: Graph, places: Sequence[str] = PLACES) -> tuple[Graph, Mapping[str, int]]:
    """``graph`` with a factor of one for every head of every attention, ready to learn; it computes what it did.

    Args:
        graph: a float graph.
        places: names in ``PLACES``. ``query``, ``key`` and ``value`` are scaled behind their projections, before they
            are stored; ``scores`` after their product, within the factor that they have.

    Returns:
        The graph, and for each constant of factors how many numbers of it learn: consecutive equal parts of it share
        one.

    Raises:
        RecipeError: an unknown place, or an attention whose projections are not found.
        ModelError: the graph has no attention.
    """
    for place in places:
        if place not in PLACES:
            raise unknown(RecipeError, "place", place, PLACES)
    found = attentions(graph)
    if not found:
        raise ModelError("has no attention: no softmax between two products of run-time values", where=graph.name)
    learned: dict[str, int] = {}
    for attention in found:
        for place in places:
            if place == "scores":
                graph, name = with_score_factors(graph, attention)
                learned[name] = attention.heads
                continue
            projection: Node | None = getattr(attention, place)
            if projection is None:
                raise RecipeError(f"has no {place} projection", where=f"{graph.name}:{attention.name}")
            graph, name = _scaled(graph, projection)
            learned[name] = attention.heads if place == "query" else attention.kv_heads(graph)
    return check(graph), learned


def _scaled(graph: Graph, projection: Node) -> tuple[Graph, str]:
    """A ``Mul`` by ones behind a projection."""
    made = f"{projection.output}.log_scale"
    if made in graph.values:
        raise RecipeError("has log-scales already", where=f"{graph.name}:{projection.name}")
    return multiplied(graph, projection, made, np.ones(int(graph.shape_of(projection.output)[-1]), np.float32))


def with_score_factors(graph: Graph, attention: Attention) -> tuple[Graph, str]:
    """The scores' factor as a constant of one number a head, and its name."""
    shape = factor_shape(graph, attention.qk)
    held = attention.scale
    if held is None:
        return multiplied(graph, attention.qk, f"{attention.qk.output}.log_scale", np.ones(shape, np.float32))
    name = f"{held.name}.factor"
    number = graph.float_constant(next(i for i in held.inputs if i in graph.constants))
    start = np.broadcast_to(number.reshape(number.shape[-len(shape) :]), shape).astype(np.float32)
    start = start if held.op == "Mul" else np.float32(1) / start
    run_time = next(i for i in held.inputs if i not in graph.constants)
    nodes = [replace(n, op="Mul", inputs=(run_time, name)) if n.name == held.name else n for n in graph.nodes]
    constants = {**graph.constants, name: np.ascontiguousarray(start)}
    return graph.rebuilt(nodes=nodes, constants=constants), name


def factor_shape(graph: Graph, node: Node) -> tuple[int, ...]:
    """Shape of a constant of one number for each head of what ``node`` makes."""
    return (*(int(d) for d in graph.shape_of(node.output)[1:-2]), 1, 1)


def multiplied(graph: Graph, behind: Node, made: str, factor: NDArray[np.float32]) -> tuple[Graph, str]:
    """The graph with a ``Mul`` called ``made`` by a constant right behind a node, and the constant's name."""
    name = f"{made}.factor"
    nodes = []
    for node in graph.nodes:
        nodes.append(replace(node, inputs=tuple(made if i == behind.output else i for i in node.inputs)))
        if node.name == behind.name:
            nodes.append(Node(made, "Mul", (behind.output, name), made))
    values = {**graph.values, made: Value(made, graph.shape_of(behind.output))}
    return graph.rebuilt(nodes=nodes, values=values, constants={**graph.constants, name: factor}), name


def _back(graph: Graph, value: str, through: Sequence[str]) -> list[str]:
    """``value`` and what it is made of through operators that may lie between, the source last."""
    found = [value]
    while (node := graph.producer(found[-1])) is not None and (node.op in through or OPS[node.op].kind == "shape"):
        made = [name for name in node.inputs if name in graph.values]
        # a mask that is added may be a run-time value too: the product is on the other side
        deep = [name for name in made if any(n.op == "MatMul" for n in _makers(graph, name, through))]
        if not made:
            break
        found.append((deep or made)[0])
    return found


def _makers(graph: Graph, value: str, through: Sequence[str]) -> list[Node]:
    """The node that makes ``value``, and those behind operators that may lie between."""
    node = graph.producer(value)
    if node is None:
        return []
    if node.op not in through and OPS[node.op].kind != "shape":
        return [node]
    return [found for name in node.inputs if name in graph.values for found in _makers(graph, name, through)]


def _dynamic(graph: Graph, node: Node) -> bool:
    return node.op == "MatMul" and all(name in graph.values for name in node.inputs)


def _scales(graph: Graph, node: Node | None) -> bool:
    """The node multiplies by a constant of one number, or one a head."""
    if node is None or node.op not in ("Mul", "Div"):
        return False
    held = [name for name in node.inputs if name in graph.constants]
    if len(held) != 1 or (node.op == "Div" and held[0] != node.inputs[1]):
        return False
    shape = graph.shape_of(held[0])
    return prod(shape) == 1 or shape[-2:] == (1, 1)


def _reader(graph: Graph, value: str) -> Node | None:
    """The only product that reads ``value``, through what moves, stores or scales it."""
    while True:
        readers = graph.consumers(value)
        if len(readers) != 1:
            return None
        if OPS[readers[0].op].kind == "matrix":
            return readers[0]
        if OPS[readers[0].op].kind not in ("shape", "quantize") and not _scales(graph, readers[0]):
            return None
        value = readers[0].output


def _projection(graph: Graph, value: str) -> Node | None:
    """The product with constant weights that q, k or v comes from, with nothing between but what keeps heads apart."""
    node = graph.producer(value)
    while node is not None and (
        OPS[node.op].kind in ("shape", "quantize")
        or node.op == "RotaryEmbedding"
        or (node.op == "Mul" and sum(name in graph.constants for name in node.inputs) == 1)
    ):
        source = next((name for name in node.inputs if name in graph.values), None)
        node = None if source is None else graph.producer(source)
    return node if node is not None and node.op == "Gemm" and node.inputs[1] in graph.constants else None


def _output(graph: Graph, pv: Node) -> Node | None:
    node = _reader(graph, pv.output)
    return node if node is not None and node.op == "Gemm" and node.inputs[1] in graph.constants else None


def _rotary(graph: Graph, value: str) -> str | None:
    for name in _back(graph, value, ("RotaryEmbedding", "Mul", "Quantize")):
        node = graph.producer(name)
        if node is not None and node.op == "RotaryEmbedding":
            return "neighbours" if node.attrs["interleaved"] else "halves"
    return None
