"""Store weights layer by layer, watching what the layers before, already stored, have made of the calibration data.

The float network and the quantized one run side by side. At each matrix product the weight first moves to where it
gives the float network's sums from the quantized network's inputs (least squares, drawn to the old weight), then it is
rounded (``Recipe.weight_method``), then the bias takes up the difference of the means (``Recipe.correct_bias``; Nagel,
van Baalen, Blankevoort and Welling, arXiv 1906.04721, section 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import OPS, Graph, Node
from hwsim.numerics import QTensor
from hwsim.quant.gptq import damped, round_with_scales
from hwsim.quant.moments import Moments
from hwsim.quant.observe import upto
from hwsim.quant.recipe import Recipe
from hwsim.quant.store import store_weight

Array = NDArray[np.float32]

VALUE_BYTES = 256 << 20
"""Memory for one value over all images; fewer images are used where a value is larger."""

DETERMINED = 4
"""Rows of data for each row of a weight's inputs, from which the weight may move to make up for its inputs."""


def reconstruct(graph: Graph, recipe: Recipe, data: NDArray[Any], names: set[str]) -> Graph:
    """Store the constant weights of the nodes ``names``; biases stay real numbers.

    Args:
        graph: a graph with its ``Quantize`` nodes in place and float weights.
        data: calibration inputs [n, ...].
    """
    final = max(at for at, node in enumerate(graph.nodes) if node.name in names)
    rows = images_that_fit(upto(graph, graph.nodes[final].inputs), data)
    both = {graph.inputs[0]: (rows, rows)}
    known: dict[str, Moments] = {}
    last = {i: at for at, node in enumerate(graph.nodes) for i in node.inputs}
    constants, nodes = dict(graph.constants), list(graph.nodes)
    for at, node in enumerate(graph.nodes):
        if node.name in names:
            weight, bias = _layer(graph, node, recipe, _moments(graph, node, *both[node.inputs[0]], known))
            stored, shift = f"{node.name}.weight", f"{node.name}.bias"
            constants[stored] = weight
            if bias is not None:
                constants[shift] = bias
            nodes[at] = replace(node, inputs=(node.inputs[0], stored, *((shift,) if bias is not None else ())))
        if at == final:
            break
        both[node.output] = _run(graph, node, nodes[at], constants, both)
        for i in node.inputs:
            if last[i] == at:
                both.pop(i, None)
    return graph.rebuilt(nodes=nodes, constants=constants)


def _moments(graph: Graph, node: Node, quantized: Array, real: Array, known: dict[str, Moments]) -> Moments:
    """Moments of a product's inputs; products of rows that read the same value (queries, keys, values) share them."""
    name = node.inputs[0]
    if node.op != "Conv" and name in known:
        return known[name]
    known.clear()
    found = Moments(node, graph.float_constant(node.inputs[1]), quantized, real)
    if node.op != "Conv":
        known[name] = found
    return found


def images_that_fit(graph: Graph, data: NDArray[Any]) -> Array:
    """So many of the first inputs that the largest value stays within ``VALUE_BYTES``."""
    largest = max(
        4 * int(np.prod([d for d in value.shape if isinstance(d, int)], dtype=np.int64))
        for value in graph.values.values()
    )
    return np.ascontiguousarray(data[: max(1, VALUE_BYTES // largest)], dtype=np.float32)


def _run(
    graph: Graph, old: Node, new: Node, constants: Mapping[str, Any], both: Mapping[str, tuple[Array, Array]]
) -> tuple[Array, Array]:
    """What a node makes in the quantized network and in the float one."""
    quant = graph.value(old.output).quant
    if old.op == "Quantize" and quant is not None:
        quantized, real = both[old.inputs[0]]
        return quant.quantize(quantized).dequantize(), real
    run = OPS[old.op].run
    stored = [_real(constants[i]) if i in constants else both[i][0] for i in new.inputs]
    floats = [_real(graph.constants[i]) if i in graph.constants else both[i][1] for i in old.inputs]
    return run(stored, old.attrs), run(floats, old.attrs)


def _real(held: Any) -> Array:
    return held.dequantize() if isinstance(held, QTensor) else np.asarray(held, dtype=np.float32)


def _layer(graph: Graph, node: Node, recipe: Recipe, seen: Moments) -> tuple[QTensor, Array | None]:
    weight = graph.float_constant(node.inputs[1])
    bias = graph.float_constant(node.inputs[2]) if len(node.inputs) > 2 else None
    qq, fq = seen.centred() if recipe.correct_bias else (seen.qq, seen.fq)
    groups, k = seen.mean_q.shape
    wanted = weight.reshape(groups, -1, k).astype(np.float64)
    scheme = recipe.weights_of(node.name)
    if recipe.weight_method == "gptq":
        hessian = damped(qq)
        moved = wanted
        if seen.rows >= DETERMINED * k:
            drawn = hessian - qq
            moved = np.swapaxes(np.linalg.solve(hessian, np.swapaxes(wanted @ (fq + drawn), 1, 2)), 1, 2)
        near = store_weight(moved.reshape(weight.shape).astype(np.float32), scheme)
        stored = round_with_scales(moved, hessian, near)
    else:
        stored = store_weight(weight, scheme)
    if not recipe.correct_bias:
        return stored, bias
    kept = stored.dequantize().reshape(groups, -1, k).astype(np.float64)
    off = np.einsum("gok,gk->go", wanted, seen.mean_f) - np.einsum("gok,gk->go", kept, seen.mean_q)
    start = np.zeros(len(weight)) if bias is None else bias
    return stored, (start + off.reshape(-1)).astype(np.float32)
