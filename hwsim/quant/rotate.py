"""Rotations that leave the float network as it is and spread outliers over channels before anything is stored.

Ashkboos et al., QuaRot (arXiv 2404.00456), of which this does what is exact without an operation at run time: the
stream that a decoder's blocks add to turns by an orthogonal matrix (its RMS norms do not see that, once their scales
are part of the products that read them), and within a head values turn, and are turned back by the product that reads
them; queries and keys turn together where no rotary embedding lies between. The matrix is Hadamard's with random signs
of its columns, over the square root of its size.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import OPS, Graph, Node
from hwsim.quant.attention import Attention, attentions

Array = NDArray[np.float64]
SEED = 0


def rotated(graph: Graph) -> Graph:
    """``graph`` turned wherever it can be; parts whose width is no power of two stay as they are."""
    graph = _stream(graph)
    for attention in attentions(graph):
        if attention.projected:
            graph = _heads(graph, attention)
    return graph


def hadamard(size: int) -> Array:
    """Sylvester's matrix [size, size] with random signs of its columns, orthogonal. ``size`` is a power of two."""
    found = np.ones((1, 1))
    while len(found) < size:
        found = np.block([[found, found], [found, -found]])
    turn: Array = found * np.random.default_rng(SEED).choice([-1.0, 1.0], size) / np.sqrt(size)
    return turn


def _power_of_two(size: int) -> bool:
    return size > 1 and size & (size - 1) == 0


def _heads(graph: Graph, a: Attention) -> Graph:
    """Values turned within each head, and queries with keys."""
    assert a.query is not None
    assert a.key is not None
    assert a.value is not None
    assert a.output is not None
    width = int(graph.shape_of(a.pv.output)[-1])
    if not _power_of_two(width):
        return graph
    turn = hadamard(width)
    changes = {a.value.name: (turn, True), a.output.name: (turn, False)}
    if a.rotary is None:
        changes |= {a.query.name: (turn, True), a.key.name: (turn, True)}
    return _turned(graph, changes)


def _stream(graph: Graph) -> Graph:
    """The stream of a decoder turned: the table that starts it, what adds to it, and what reads it through norms."""
    start = next((n for n in graph.nodes if n.op == "Gather" and n.inputs[0] in graph.constants), None)
    if start is None or len(graph.shape_of(start.inputs[0])) != 2 or start.attrs["axis"] != 0:
        return graph
    size = int(graph.shape_of(start.inputs[0])[1])
    stream, norms, changes = {start.output}, list[Node](), dict[str, tuple[Array, bool]]()
    turn = hadamard(size) if _power_of_two(size) else None
    for node in graph.nodes:
        read = [name for name in node.inputs if name in stream]
        if not read:
            continue
        if node.op == "Add" and len(node.inputs) == 2 and (writer := _writer(graph, node, stream)) is not None:
            stream.add(node.output)
            changes[writer.name] = (np.asarray(turn), True)
        elif node.op == "RMSNormalization" and node.inputs[1] in graph.constants and _feeds_products(graph, node):
            norms.append(node)
            changes |= {reader.name: (np.asarray(turn), False) for reader in graph.consumers(node.output)}
        else:
            return graph
    if turn is None or not norms or stream & set(graph.outputs):
        return graph
    graph = _without_scales(graph, norms)
    constants = dict(graph.constants)
    table = f"{start.name}.rotated"
    constants[table] = (graph.float_constant(start.inputs[0]) @ turn).astype(np.float32)
    nodes = [replace(n, inputs=(table, *n.inputs[1:])) if n.name == start.name else n for n in graph.nodes]
    return _turned(graph.rebuilt(nodes=nodes, constants=constants), changes)


def _writer(graph: Graph, node: Node, stream: set[str]) -> Node | None:
    """The product that an ``Add`` adds to the stream, which nothing else reads."""
    other = [name for name in node.inputs if name not in stream]
    made = graph.producer(other[0]) if len(other) == 1 else None
    alone = made is not None and _product(graph, made) and len(graph.consumers(made.output)) == 1
    return made if alone else None


def _feeds_products(graph: Graph, node: Node) -> bool:
    readers = graph.consumers(node.output)
    return bool(readers) and all(_product(graph, r) and r.inputs[0] == node.output for r in readers)


def _product(graph: Graph, node: Node) -> bool:
    return node.op == "Gemm" and OPS[node.op].kind == "matrix" and node.inputs[1] in graph.constants


def _without_scales(graph: Graph, norms: list[Node]) -> Graph:
    """Scales of norms as part of the products that read them."""
    constants, renamed = dict(graph.constants), dict[str, str]()
    for norm in norms:
        scale = graph.float_constant(norm.inputs[1])
        constants[f"{norm.name}.ones"] = np.ones_like(scale)
        renamed[norm.name] = f"{norm.name}.ones"
        for reader in graph.consumers(norm.output):
            constants[f"{reader.name}.scaled"] = graph.float_constant(reader.inputs[1]) * scale
            renamed[reader.name] = f"{reader.name}.scaled"
    nodes = [
        replace(n, inputs=(n.inputs[0], renamed[n.name], *n.inputs[2:])) if n.name in renamed else n
        for n in graph.nodes
    ]
    return graph.rebuilt(nodes=nodes, constants=constants)


def _turned(graph: Graph, changes: dict[str, tuple[Array, bool]]) -> Graph:
    """Weights [out, in] of products with their outputs (true) or inputs (false) turned, in parts of the turn's size."""
    constants, nodes = dict(graph.constants), []
    for node in graph.nodes:
        if node.name not in changes:
            nodes.append(node)
            continue
        turn, outputs = changes[node.name]
        weight = graph.float_constant(node.inputs[1]).astype(np.float64)
        inputs = [node.inputs[0], f"{node.name}.turned{'.out' if outputs else '.in'}", *node.inputs[2:]]
        if outputs:
            parts = weight.reshape(-1, len(turn), weight.shape[1])
            weight = np.einsum("pok,or->prk", parts, turn).reshape(weight.shape)
        else:
            parts = weight.reshape(len(weight), -1, len(turn))
            weight = np.einsum("npk,kr->npr", parts, turn).reshape(weight.shape)
        constants[inputs[1]] = weight.astype(np.float32)
        if outputs and len(inputs) > 2:
            bias = graph.float_constant(inputs[2]).astype(np.float64).reshape(-1, len(turn))
            inputs[2] = f"{node.name}.turned.bias"
            constants[inputs[2]] = (bias @ turn).reshape(-1).astype(np.float32)
        nodes.append(replace(node, inputs=tuple(inputs)))
    return graph.rebuilt(nodes=nodes, constants=constants)
