"""Scales that move within attention before anything is stored, the float network staying the same.

- ``smooth_attention``: ``smooth``, and channel by channel between queries and keys, and between values and the product
  that reads the heads: s = sqrt(max|x| / max|y|), as SmoothQuant has it (arXiv 2211.10438, equation 4, a = 1/2). The
  two channels that a rotary embedding turns, and query heads that share keys, share s.
- ``head_scales``: each head of queries, keys, values, softmax outputs and what the heads find is stored at its own
  range, though the tensor has one scale: a head is scaled by the ratio of the largest head's step (the recipe's
  calibrator finds both) to its own, and what reads the product is scaled back. The factors of q, k and v are part of
  their weights, those of the scores of the factor that is there; two ``Mul`` are new, behind the softmax and its
  product.

Attentions whose four projections are not found stay as they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import Graph, Node, reference
from hwsim.quant.attention import (
    Attention,
    attentions,
    factor_shape,
    heads_of,
    multiplied,
    with_score_factors,
)
from hwsim.quant.calibrators import calibrator
from hwsim.quant.equalize import safe_scales
from hwsim.quant.equalize_shared import move_shared
from hwsim.quant.histogram import Histogram
from hwsim.quant.observe import calibration_batches
from hwsim.quant.recipe import Recipe, Scheme
from hwsim.quant.store import takes_range

Array = NDArray[np.float32]


def equalized_attention(graph: Graph, recipe: Recipe, data: NDArray[Any]) -> Graph:
    """The same network with scales moved as ``recipe.equalize`` says."""
    found = [a for a in attentions(graph) if a.projected]
    if recipe.equalize == "head_scales":
        seen = _observed(graph, found, data)
        for a in found:
            graph = _by_heads(graph, recipe, a, seen)
        return graph
    graph = move_shared(graph, replace(recipe, equalize="smooth"), data)
    most = _largest(graph, found, data)
    for a in found:
        graph = _smoothed(graph, _attention_of(graph, a.name), most)
    return graph


def _attention_of(graph: Graph, name: str) -> Attention:
    """The attention of that name, as the graph has it now."""
    return next(a for a in attentions(graph) if a.name == name)


def _scaled_weights(graph: Graph, changes: list[tuple[Node, NDArray[Any], bool]]) -> Graph:
    """Weights of products times a factor a row (and their biases), or a factor a column where the last part is true."""
    constants, renamed = dict(graph.constants), dict[str, tuple[str, ...]]()
    for node, factor, columns in changes:
        name = f"{node.name}.attention"
        weight = graph.float_constant(graph.node(node.name).inputs[1])
        constants[f"{name}.weight"] = np.asarray(weight * (factor if columns else factor[:, None]), np.float32)
        renamed[node.name] = (f"{name}.weight",)
        if len(node.inputs) > 2 and not columns:
            bias = graph.float_constant(graph.node(node.name).inputs[2])
            constants[f"{name}.bias"] = np.asarray(bias * factor, np.float32)
            renamed[node.name] = (f"{name}.weight", f"{name}.bias")
    nodes = [
        replace(n, inputs=(n.inputs[0], *made, *n.inputs[1 + len(made) :])) if (made := renamed.get(n.name)) else n
        for n in graph.nodes
    ]
    return graph.rebuilt(nodes=nodes, constants=constants)


def _smoothed(graph: Graph, a: Attention, most: dict[str, Array]) -> Graph:
    assert a.query is not None
    assert a.key is not None
    assert a.value is not None
    assert a.output is not None
    groups = heads_of(graph, a.pv.inputs[1])
    q, k, v = (most[node.name].reshape(-1, _width(graph, a)) for node in (a.query, a.key, a.value))
    q = q.reshape(groups, -1, q.shape[-1]).max(axis=1)
    between = _paired(q, a.rotary) / np.maximum(_paired(k, a.rotary), 1e-9)
    s = safe_scales(np.sqrt(between).reshape(-1))
    reach = np.abs(graph.float_constant(graph.node(a.output.name).inputs[1])).max(axis=0)
    reach = reach.reshape(groups, -1, v.shape[-1]).max(axis=1)
    t = safe_scales(np.sqrt(v / np.maximum(reach, 1e-9)).reshape(-1))
    if s is None or t is None:
        return graph
    shares = a.heads // groups
    wide_s, wide_t = (np.repeat(x.reshape(groups, -1), shares, axis=0).reshape(-1) for x in (s, t))
    return _scaled_weights(
        graph, [(a.query, 1 / wide_s, False), (a.key, s, False), (a.value, 1 / t, False), (a.output, wide_t, True)]
    )


def _width(graph: Graph, a: Attention) -> int:
    """Channels of one head."""
    return int(graph.shape_of(a.pv.output)[-1])


def _paired(x: Array, rotary: str | None) -> Array:
    """The larger of the two channels [heads, channels] that a rotary embedding turns, for both."""
    if rotary is None:
        return x
    pairs = x.reshape(len(x), 2, -1) if rotary == "halves" else x.reshape(len(x), -1, 2).swapaxes(1, 2)
    top = np.broadcast_to(pairs.max(axis=1, keepdims=True), pairs.shape)
    return np.ascontiguousarray(top if rotary == "halves" else top.swapaxes(1, 2)).reshape(x.shape)


def _largest(graph: Graph, found: list[Attention], data: NDArray[Any]) -> dict[str, Array]:
    """Largest magnitude of each channel of every projection of queries, keys and values."""
    nodes = {n.output: n.name for a in found for n in (a.query, a.key, a.value) if n is not None}
    most: dict[str, Array] = {}

    def watch(name: str, x: Array) -> None:
        top = np.abs(x.reshape(-1, x.shape[-1])).max(axis=0)
        most[nodes[name]] = np.maximum(most.get(nodes[name], np.float32(0)), top)

    for rows in calibration_batches(graph, data):
        reference.run(graph, {graph.inputs[0]: rows}, keep=nodes, watch=watch)
    return most


def _operands(a: Attention) -> dict[str, str]:
    """The values that are stored around an attention's products."""
    q, k, v = a.qk.inputs[0], a.qk.inputs[1], a.pv.inputs[1]
    return {"query": q, "key": k, "value": v, "weights": a.pv.inputs[0], "found": a.pv.output}


def _observed(graph: Graph, found: list[Attention], data: NDArray[Any]) -> dict[str, list[Histogram]]:
    """A histogram of each head of what is stored around attention."""
    names = {name for a in found for name in _operands(a).values()}
    seen = {name: [Histogram() for _ in range(heads_of(graph, name))] for name in names}

    def watch(name: str, x: Array) -> None:
        for head, histogram in enumerate(seen[name]):
            histogram.add(x.reshape(len(x), len(seen[name]), -1)[:, head])

    for rows in calibration_batches(graph, data):
        reference.run(graph, {graph.inputs[0]: rows}, keep=names, watch=watch)
    return seen


def _steps(heads: list[Histogram], scheme: Scheme) -> Array:
    """What each head is multiplied by, so that all fill the largest one's range; ones where nothing has a range."""
    if not takes_range(scheme.format) or any(not head.width for head in heads):
        return np.ones(len(heads), np.float32)
    rule, found = calibrator(scheme.calibrator), []
    for head in heads:
        values, counts = head.points()
        found.append(float(rule.fit(values[None], scheme, counts[None]).scale[0]))
    return np.asarray(max(found) / np.array(found), np.float32)


def _by_heads(graph: Graph, recipe: Recipe, a: Attention, seen: dict[str, list[Histogram]]) -> Graph:
    assert a.query is not None
    assert a.key is not None
    assert a.value is not None
    assert a.output is not None
    first, second = recipe.operand(0, True), recipe.operand(1, True)
    schemes = {"query": first, "key": second, "value": second, "weights": first, "found": recipe.activations}
    grown = {part: _steps(seen[name], schemes[part]) for part, name in _operands(a).items()}
    shares, width = a.heads // len(grown["key"]), _width(graph, a)
    key, value = np.repeat(grown["key"], shares), np.repeat(grown["value"], shares)
    graph = _scaled_weights(
        graph,
        [
            (a.query, np.repeat(grown["query"], width), False),
            (a.key, np.repeat(grown["key"], width), False),
            (a.value, np.repeat(grown["value"], width), False),
            (a.output, np.repeat(1 / grown["found"], width), True),
        ],
    )
    graph, name = with_score_factors(graph, _attention_of(graph, a.name))
    held = graph.float_constant(name)
    constants = dict(graph.constants)
    constants[name] = (held.reshape(-1) / (grown["query"] * key)).astype(np.float32).reshape(held.shape)
    graph = graph.rebuilt(constants=constants)
    graph = _factor(graph, a.softmax, grown["weights"])
    return _factor(graph, a.pv, grown["found"] / (grown["weights"] * value))


def _factor(graph: Graph, behind: Node, factor: Array) -> Graph:
    """A factor a head behind a node; none where all are one."""
    if np.all(factor == 1):
        return graph
    wide = factor.reshape(factor_shape(graph, behind)).astype(np.float32)
    return multiplied(graph, behind, f"{behind.output}.by_head", wide)[0]
