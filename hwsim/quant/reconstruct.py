"""Store weights layer by layer, watching what the layers before, already stored, have made of the calibration data.

The float network and the quantized one run side by side. At each matrix product the weight first moves, where inputs
are stored in few bits, to where it gives the float network's sums from the quantized network's inputs (least squares,
drawn to the old weight; with inputs of 16 bits it would fit the calibration text instead), then it is rounded
(``Recipe.weight_method``), then the bias takes up the difference of the means (``Recipe.correct_bias``; Nagel, van
Baalen, Blankevoort and Welling, arXiv 1906.04721, section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import OPS, Graph, Node
from hwsim.numerics import QTensor
from hwsim.quant.gptq import DAMPING, Matrix, damped, refined, round_compensated, round_with_scales, row_errors
from hwsim.quant.moments import Moments
from hwsim.quant.observe import Progress
from hwsim.quant.recipe import Recipe
from hwsim.quant.store import is_coarse, store_weight

Array = NDArray[np.float32]
Both = tuple[Array, Array]
"""A value in the quantized network and in the float one."""

Halves = tuple[Moments, ...]
"""Moments of every other input, and of those between them; one of all where there is no second input."""

VALUE_BYTES = 256 << 20
"""Memory for one value over all images. Where values are large, fewer images are held; the others follow later."""

MORE = 1.5
"""Growth of the number of images from which the network's head is run for more of them."""

SHARES = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Shares of the mean curvature that are tried as damping where pictures go in. Places of a picture say much the same,
so their moments are less certain than their number of rows; what fits one half of the pictures and serves the other
half best is taken. Sequences take the share of the GPTQ paper."""

DETERMINED = 4
"""Rows of data for each row of a weight's inputs, from which the weight may move to make up for its inputs."""


def reconstruct(
    graph: Graph,
    recipe: Recipe,
    data: NDArray[Any],
    names: set[str],
    variances: Mapping[str, Matrix] | None = None,
    progress: Progress | None = None,
) -> Graph:
    """Store the constant weights of the nodes ``names``; biases stay real numbers.

    Args:
        graph: a graph with its ``Quantize`` nodes in place and float weights.
        data: calibration inputs [n, ...].
        variances: float64 [channels] of values over the training data, where known (``hwsim.quant.trained``).
        progress: called with ("weights", layers done, layers in all).
    """
    final = max(at for at, node in enumerate(graph.nodes) if node.name in names)
    inputs = np.ascontiguousarray(data, dtype=np.float32)
    fits = images_that_fit(graph, final)
    held = min(fits[0], len(inputs))
    both = {graph.inputs[0]: (inputs[:held], inputs[:held])}
    known: dict[str, Halves] = {}
    last = {i: at for at, node in enumerate(graph.nodes) for i in node.inputs}
    constants, nodes = dict(graph.constants), list(graph.nodes)
    for at, node in enumerate(graph.nodes):
        if node.name in names:
            more = min(fits[at], len(inputs))
            if more >= MORE * held or more == len(inputs) > held:
                extra = _forward(graph, nodes, constants, inputs[held:more], fits[0], at)
                both = {name: _joined([both[name], extra[name]]) for name in both}
                held = more
                known.clear()
            seen = _moments(graph, node, *both[node.inputs[0]], known)
            weight, bias = _layer(graph, node, recipe, seen, _variance(graph, node, variances or {}))
            stored, shift = f"{node.name}.weight", f"{node.name}.bias"
            constants[stored] = weight
            if bias is not None:
                constants[shift] = bias
            nodes[at] = replace(node, inputs=(node.inputs[0], stored, *((shift,) if bias is not None else ())))
            if progress is not None:
                progress("weights", sum(n.name in names for n in graph.nodes[: at + 1]), len(names))
        if at == final:
            break
        _advance(graph, nodes, constants, both, at, last)
    return graph.rebuilt(nodes=nodes, constants=constants)


def _moments(graph: Graph, node: Node, quantized: Array, real: Array, known: dict[str, Halves]) -> Halves:
    """Moments of a product's inputs; products of rows that read the same value (queries, keys, values) share them."""
    name = node.inputs[0]
    if node.op != "Conv" and name in known:
        return known[name]
    known.clear()
    weight = graph.float_constant(node.inputs[1])
    parts = [slice(first, None, 2) for first in range(min(2, len(real)))]
    found = tuple(Moments(node, weight, quantized[part], real[part]) for part in parts)
    if node.op != "Conv":
        known[name] = found
    return found


def images_that_fit(graph: Graph, final: int) -> list[int]:
    """For each node up to ``final``: of how many images the largest value from there on, what ``final`` makes left
    out, stays within ``VALUE_BYTES``."""
    sizes = {
        name: 4 * int(np.prod([d for d in value.shape if isinstance(d, int)], dtype=np.int64))
        for name, value in graph.values.items()
    }
    largest = max(sizes[i] for i in graph.nodes[final].inputs if i in sizes)
    found = [max(1, VALUE_BYTES // largest)]
    for node in reversed(graph.nodes[:final]):
        largest = max(largest, *(sizes[i] for i in (*node.inputs, node.output) if i in sizes))
        found.append(max(1, VALUE_BYTES // largest))
    return found[::-1]


def _forward(
    graph: Graph, nodes: list[Node], constants: Mapping[str, Any], inputs: Array, chunk: int, end: int
) -> dict[str, Both]:
    """What the first ``end`` nodes, already stored, make of further images, ``chunk`` at a time."""
    last = {i: at for at, node in enumerate(graph.nodes) for i in node.inputs}
    parts: list[dict[str, Both]] = []
    for start in range(0, len(inputs), chunk):
        rows = inputs[start : start + chunk]
        parts.append({graph.inputs[0]: (rows, rows)})
        for at in range(end):
            _advance(graph, nodes, constants, parts[-1], at, last)
    return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def _joined(parts: list[Both]) -> Both:
    """The images of all parts, one after the other."""
    return np.concatenate([quantized for quantized, _ in parts]), np.concatenate([real for _, real in parts])


def _advance(
    graph: Graph,
    nodes: list[Node],
    constants: Mapping[str, Any],
    both: dict[str, Both],
    at: int,
    last: Mapping[str, int],
) -> None:
    """Run node ``at`` in both networks, and forget what no later node reads."""
    node = graph.nodes[at]
    both[node.output] = _run(graph, node, nodes[at], constants, both)
    for i in node.inputs:
        if last[i] == at:
            both.pop(i, None)


def _run(graph: Graph, old: Node, new: Node, constants: Mapping[str, Any], both: Mapping[str, Both]) -> Both:
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


def _variance(graph: Graph, node: Node, variances: Mapping[str, Matrix]) -> Matrix | None:
    """What is known of a product's inputs over the training data, [groups, K]."""
    source = graph.producer(node.inputs[0])
    if node.op != "Conv" or source is None or source.op != "Quantize" or source.inputs[0] not in variances:
        return None
    found, (_, per_group, kh, kw) = variances[source.inputs[0]], graph.float_constant(node.inputs[1]).shape
    return np.repeat(found.reshape(-1, per_group), kh * kw, axis=1)


def _layer(
    graph: Graph, node: Node, recipe: Recipe, halves: Halves, variance: Matrix | None
) -> tuple[QTensor, Array | None]:
    weight = graph.float_constant(node.inputs[1])
    bias = graph.float_constant(node.inputs[2]) if len(node.inputs) > 2 else None
    seen = halves[0] if len(halves) == 1 else halves[0] + halves[1]
    groups, k = seen.mean_q.shape
    wanted = weight.reshape(groups, -1, k).astype(np.float64)
    scheme = recipe.weights_of(node.name)
    if recipe.weight_method == "gptq":
        images = any(n.op == "Conv" for n in graph.nodes) and len(halves) == 2
        shares = SHARES if images else (DAMPING,)
        curved = [m.centred() if recipe.correct_bias else (m.qq, m.fq) for m in (seen, *halves)]
        (qq, fq), (first, cross), (other, other_cross) = curved[0], curved[1], curved[-1]
        moved = wanted
        if seen.rows >= DETERMINED * k and is_coarse(recipe.activations.format):
            share = _least(
                shares, lambda s: _distance(_moved(wanted, first, cross, s, variance), wanted, other, other_cross)
            )
            moved = _moved(wanted, qq, fq, share, variance)
        near = store_weight(moved.reshape(weight.shape).astype(np.float32), scheme)
        share = _least(
            shares,
            lambda s: float(row_errors(moved, other, round_compensated(moved, damped(first, s, variance), near)).sum()),
        )
        hessian = damped(qq, share, variance)
        stored = refined(moved, hessian, round_with_scales(moved, hessian, near))
    else:
        stored = store_weight(weight, scheme)
    if not recipe.correct_bias:
        return stored, bias
    kept = stored.dequantize().reshape(groups, -1, k).astype(np.float64)
    off = np.einsum("gok,gk->go", wanted, seen.mean_f) - np.einsum("gok,gk->go", kept, seen.mean_q)
    start = np.zeros(len(weight)) if bias is None else bias
    return stored, (start + off.reshape(-1)).astype(np.float32)


def _least(shares: Sequence[float], error: Callable[[float], float]) -> float:
    """The share with the least error; the only one is not tried."""
    return shares[0] if len(shares) == 1 else min(shares, key=error)


def _moved(wanted: Matrix, qq: Matrix, fq: Matrix, share: float, variance: Matrix | None) -> Matrix:
    """The weight that gives from q what ``wanted`` gives from f, drawn to ``wanted``: ridge regression."""
    loose = damped(qq, share, variance)
    turned = np.swapaxes(wanted @ (fq + loose - qq), 1, 2)
    return np.swapaxes(np.linalg.solve(loose, turned), 1, 2)


def _distance(moved: Matrix, wanted: Matrix, qq: Matrix, fq: Matrix) -> float:
    """Mean square of what ``moved`` makes of q less what ``wanted`` makes of f, up to a constant."""
    return float(np.einsum("gok,gok->", moved @ qq - 2 * (wanted @ fq), moved))
