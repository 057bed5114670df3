"""Move channel scales from one product to the next before anything is stored: the float network stays the same.

Where only positively homogeneous operations lie between two products, channel c of the first can shrink by s[c] while
the inputs c of the second grow by it. Three rules choose s:

- ``cross_layer``: both sides get the same range a channel (Nagel, van Baalen, Blankevoort and Welling, arXiv
  1906.04721, equation 11).
- ``smooth``: s = max|x|^a / max|w|^(1-a), a = 1/2, which moves what is hard to store from activations into weights
  (Xiao et al., SmoothQuant, arXiv 2211.10438, equation 4).
- ``awq``: s = mean|x|^a, with the a, of a grid, at which the stored weight keeps the second product's sums best (Lin et
  al., AWQ, arXiv 2306.00978, equations 4 and 5).

A Clip in between stops the move: its limit would have to change with the channel. Where the first is a normalization,
or a gate lies between, see ``hwsim.quant.equalize_shared``; ``cross_layer`` moves nothing there. Within attention:
``hwsim.quant.equalize_attention``; turned instead of scaled: ``hwsim.quant.rotate``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import OPS, Graph, Node, reference
from hwsim.quant.moments import Moments
from hwsim.quant.recipe import Recipe
from hwsim.quant.store import store_weight

Array = NDArray[np.float32]

HOMOGENEOUS = ("Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "Flatten")
"""f(s x) = s f(x) for s > 0, channel by channel."""

EXPONENTS = np.linspace(0.0, 1.0, 11)
IMAGES = 32


@dataclass(frozen=True, slots=True)
class Pair:
    """Two products and what one reads of the other: ``value`` is the second one's input."""

    first: Node
    second: Node
    value: str


def pairs(graph: Graph, keep: tuple[str, ...] = ()) -> list[Pair]:
    """The pairs of products that scales can move between, in order."""
    found = []
    for second in graph.nodes:
        if OPS[second.op].kind != "matrix" or second.name in keep or second.inputs[1] not in graph.constants:
            continue
        node = graph.producer(second.inputs[0])
        value = second.inputs[0]
        while node is not None and len(graph.consumers(value)) == 1 and value not in graph.outputs:
            if OPS[node.op].kind == "matrix":
                if node.inputs[1] in graph.constants and node.name not in keep and _same_channels(graph, node, second):
                    found.append(Pair(node, second, second.inputs[0]))
                break
            if node.op not in HOMOGENEOUS:
                break
            value = node.inputs[0]
            node = graph.producer(value)
    return found


def _same_channels(graph: Graph, first: Node, second: Node) -> bool:
    """The second product's inputs are the first one's channels, one each (or so many each, after a Flatten)."""
    inputs = int(graph.shape_of(second.inputs[0])[1])
    flat = first.op == "Conv" or len(graph.shape_of(first.output)) == 2
    return flat and inputs % int(graph.shape_of(first.inputs[1])[0]) == 0


def equalized(graph: Graph, recipe: Recipe, data: NDArray[Any]) -> Graph:
    """The same network with channel scales moved as ``recipe.equalize`` says."""
    if recipe.equalize == "rotate":
        from hwsim.quant.rotate import rotated

        return rotated(graph)
    if recipe.equalize in ("smooth_attention", "head_scales"):
        from hwsim.quant.equalize_attention import equalized_attention

        return equalized_attention(graph, recipe, data[:IMAGES])
    watched: dict[str, Array] = {}
    found = pairs(graph, recipe.keep)
    if recipe.equalize != "cross_layer" and found:
        feed = {graph.inputs[0]: data[:IMAGES]}
        watched = reference.run(graph, feed, keep=[pair.value for pair in found])
    for pair in found:
        first, second = graph.node(pair.first.name), graph.node(pair.second.name)
        scale = _scales(graph, recipe, first, second, watched.get(pair.value))
        if scale is not None:
            graph = _moved(graph, first, second, scale)
    if recipe.equalize == "cross_layer":
        return graph
    from hwsim.quant.equalize_shared import move_shared

    return move_shared(graph, recipe, data[:IMAGES])


def _scales(graph: Graph, recipe: Recipe, first: Node, second: Node, x: Array | None) -> Array | None:
    """What each channel of the first product shrinks by."""
    before, after = graph.float_constant(first.inputs[1]), graph.float_constant(second.inputs[1])
    channels = len(before)
    columns = _by_input(after, second, channels)
    reach = np.abs(columns).max(axis=1)
    if x is None:
        rows = np.abs(before.reshape(channels, -1)).max(axis=1)
        return safe_scales(np.sqrt(rows * reach) / np.where(reach > 0, reach, 1))
    each = np.abs(np.moveaxis(x, 1, 0).reshape(channels, -1))
    if recipe.equalize == "smooth":
        return safe_scales(np.sqrt(each.max(axis=1)) / np.sqrt(np.where(reach > 0, reach, 1)))
    return _searched(second, recipe, after, x, each.mean(axis=1))


def _searched(second: Node, recipe: Recipe, weight: Array, x: Array, mean: Array) -> Array | None:
    seen = Moments(second, weight, x, x)
    groups, k = seen.mean_q.shape
    best, chosen = np.inf, None
    for exponent in EXPONENTS:
        scale = safe_scales(mean**exponent)
        if scale is None:
            return None
        stored = store_weight(_grown(weight, second, scale), recipe.weights_of(second.name)).dequantize()
        off = (_grown(stored, second, np.float32(1) / scale) - weight).reshape(groups, -1, k).astype(np.float64)
        error = float(np.einsum("gok,gok->", off @ seen.qq, off))
        if error < best:
            best, chosen = error, scale
    return chosen


def safe_scales(scale: NDArray[Any]) -> Array | None:
    """Scales around one in the geometric mean; dead channels get one. None where no channel lives."""
    alive = np.isfinite(scale) & (scale > 0)
    if not alive.any():
        return None
    middle = np.exp(np.mean(np.log(scale[alive])))
    return np.where(alive, np.clip(scale / middle, 2.0**-10, 2.0**10), 1).astype(np.float32)


def _by_input(weight: Array, node: Node, channels: int) -> Array:
    """Weights [channels, all that reads a channel]."""
    if node.op == "Conv" and node.attrs["group"] > 1:
        groups, per_group = node.attrs["group"], weight.shape[1]
        split = weight.reshape(groups, -1, per_group, *weight.shape[2:])
        return np.moveaxis(split, 2, 1).reshape(channels, -1)
    return np.moveaxis(weight, 1, 0).reshape(channels, -1)


def _grown(weight: Array, node: Node, scale: Array) -> Array:
    """The second product's weight with the inputs of channel c times ``scale[c]``."""
    if node.op == "Conv" and node.attrs["group"] > 1:
        groups, per_group = node.attrs["group"], weight.shape[1]
        split = weight.reshape(groups, -1, per_group, *weight.shape[2:])
        wide = scale.reshape(groups, 1, per_group, *[1] * (weight.ndim - 2))
        return np.asarray((split * wide).reshape(weight.shape), dtype=np.float32)
    wide = np.repeat(scale, weight.shape[1] // len(scale))
    return np.asarray(weight * wide.reshape(1, -1, *[1] * (weight.ndim - 2)), dtype=np.float32)


def _moved(graph: Graph, first: Node, second: Node, scale: Array) -> Graph:
    constants = dict(graph.constants)
    names = {i: f"{i}.equalized" for i in (*first.inputs[1:], second.inputs[1])}
    before = graph.float_constant(first.inputs[1])
    constants[names[first.inputs[1]]] = before / scale.reshape(-1, *[1] * (before.ndim - 1))
    for name in first.inputs[2:]:
        constants[names[name]] = graph.float_constant(name) / scale
    constants[names[second.inputs[1]]] = _grown(graph.float_constant(second.inputs[1]), second, scale)
    nodes = []
    for node in graph.nodes:
        if node.name in (first.name, second.name):
            changed = tuple(
                names[i] if i in names and (at == 1 or node.name == first.name) else i
                for at, i in enumerate(node.inputs)
            )
            node = Node(node.name, node.op, changed, node.output, node.attrs)
        nodes.append(node)
    return graph.rebuilt(nodes=nodes, constants=constants)
