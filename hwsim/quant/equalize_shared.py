"""Channel scales between a normalization and every product that reads it, and across a gate: transformers' pairs.

The scale of a normalization can shrink by s[c] where all that reads it are products whose inputs c grow by it (queries,
keys and values share one s). A product can hand its scale on through a ``Mul`` with a run-time gate. SmoothQuant
(arXiv 2211.10438, section 4) and AWQ (arXiv 2306.00978, section 3.2) move scales in these places.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import Graph, Node, reference
from hwsim.quant.equalize import EXPONENTS, safe_scales
from hwsim.quant.observe import calibration_batches, upto
from hwsim.quant.recipe import Recipe
from hwsim.quant.store import store_weight

Array = NDArray[np.float32]

NORMS = ("RMSNormalization", "LayerNormalization")


@dataclass(frozen=True, slots=True)
class Shared:
    """What gives its scale away, the products that take it, and the value between them."""

    first: Node
    seconds: tuple[Node, ...]
    value: str


@dataclass(slots=True)
class _Seen:
    """Of each channel over all rows: sums of |x| and x^2, and the greatest |x|."""

    rows: int = 0
    total: Any = 0.0
    square: Any = 0.0
    most: Any = 0.0

    def add(self, x: Array) -> None:
        flat = np.abs(x.reshape(-1, x.shape[-1]))
        self.rows += len(flat)
        self.total = self.total + flat.sum(axis=0, dtype=np.float64)
        self.square = self.square + np.einsum("rc,rc->c", flat, flat, dtype=np.float64)
        self.most = np.maximum(self.most, flat.max(axis=0))


def shared(graph: Graph, keep: tuple[str, ...] = ()) -> list[Shared]:
    """The places where scales can move, in order."""
    found = []
    for node in graph.nodes:
        readers = tuple(graph.consumers(node.output))
        takes = all(_product(graph, r) and r.inputs[0] == node.output and r.name not in keep for r in readers)
        if not readers or not takes or node.output in graph.outputs:
            continue
        if node.op in NORMS and all(graph.constants.get(i) is not None for i in node.inputs[1:]):
            found.append(Shared(node, readers, node.output))
        if node.op == "Mul":
            made = [graph.producer(i) for i in node.inputs]
            alone = [n for n in made if n is not None and _product(graph, n) and len(graph.consumers(n.output)) == 1]
            if len(alone) == 1 and None not in made and alone[0].name not in keep:
                found.append(Shared(alone[0], readers, node.output))
    return found


def _product(graph: Graph, node: Node) -> bool:
    return node.op == "Gemm" and node.inputs[1] in graph.constants


def move_shared(graph: Graph, recipe: Recipe, data: NDArray[Any]) -> Graph:
    """The same network with the scales of `shared` places moved as ``recipe.equalize`` says (``smooth`` or ``awq``)."""
    places = shared(graph, recipe.keep)
    if not places:
        return graph
    names = {place.value for place in places}
    seen = {name: _Seen() for name in names}
    head = upto(graph, names)
    for rows in calibration_batches(head, data):
        reference.run(head, {head.inputs[0]: rows}, keep=names, watch=lambda name, x: seen[name].add(x))
    for place in places:
        weights = [graph.float_constant(graph.node(n.name).inputs[1]) for n in place.seconds]
        scale = _scales(recipe, place, weights, seen[place.value])
        if scale is not None:
            graph = _moved(graph, place, scale)
    return graph


def _scales(recipe: Recipe, place: Shared, weights: list[Array], seen: _Seen) -> Array | None:
    """What each channel shrinks by."""
    if recipe.equalize == "smooth":
        reach = np.max([np.abs(w).max(axis=0) for w in weights], axis=0)
        return safe_scales(np.sqrt(seen.most) / np.sqrt(np.where(reach > 0, reach, 1)))
    mean, square = seen.total / seen.rows, seen.square / seen.rows
    best, chosen = np.inf, None
    for exponent in EXPONENTS[::2]:
        scale = safe_scales(mean**exponent)
        if scale is None:
            return None
        error = 0.0
        for node, weight in zip(place.seconds, weights, strict=True):
            scheme = recipe.weights_of(node.name)
            stored = store_weight(weight * scale, replace(scheme, calibrator="minmax")).dequantize() / scale
            error += float(np.einsum("oc,oc,c->", stored - weight, stored - weight, square))
        if error < best:
            best, chosen = error, scale
    return chosen


def _moved(graph: Graph, place: Shared, scale: Array) -> Graph:
    constants, renamed = dict(graph.constants), {}
    first = graph.node(place.first.name)
    for name in first.inputs[1:]:
        held = graph.float_constant(name)
        constants[f"{name}.equalized"] = held / (scale[:, None] if held.ndim == 2 else scale)
        renamed[first.name, name] = f"{name}.equalized"
    for node in place.seconds:
        name = graph.node(node.name).inputs[1]
        made = f"{name}.{node.name}.equalized"
        constants[made] = graph.float_constant(name) * scale
        renamed[node.name, name] = made
    nodes = [replace(n, inputs=tuple(renamed.get((n.name, i), i) for i in n.inputs)) for n in graph.nodes]
    used = {i for n in nodes for i in n.inputs}
    return graph.rebuilt(nodes=nodes, constants={name: held for name, held in constants.items() if name in used})
