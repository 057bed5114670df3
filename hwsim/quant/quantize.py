"""Post-training quantization: a float graph and a recipe -> the same graph with declared storage.

Steps, each checked before and after: fold batch normalization; put a ``Quantize`` in front of every matrix product;
move it up past operations that only move or select data, so that what is stored is already small; store weights and
biases.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import RecipeError, unknown
from hwsim.ir import OPS, Graph, Node, QuantParams, Value, check
from hwsim.ir.passes import fold_batchnorm
from hwsim.numerics import BlockFormat, QTensor, formats, quantize_tensor
from hwsim.quant.calibrate import CALIBRATORS, Calibrator
from hwsim.quant.observe import observe
from hwsim.quant.recipe import Recipe, Scheme, is_integer

_MOVERS = ("MaxPool", "Flatten", "Reshape", "Transpose")
"""Operations that pick or move elements: they commute with a per-tensor monotone quantizer."""


def quantize(graph: Graph, recipe: Recipe, data: NDArray[Any]) -> Graph:
    """Quantize ``graph`` after ``recipe``, with ranges from calibration ``data`` [n, ...].

    Returns:
        A graph whose matrix products take stored values; see ``hwsim.ir``.

    Raises:
        RecipeError: the recipe names unknown nodes or calibrators, or a scheme that the graph's tensors cannot take.
        DataError: calibration data are empty or do not fit.
        ModelError: the graph does not check.
    """
    for name in recipe.keep:
        if name not in {n.name for n in graph.nodes}:
            raise unknown(RecipeError, "node", name, [n.name for n in graph.nodes], where="recipe.keep")
    graph = fold_batchnorm(graph)
    sources = _operands(graph, recipe)
    samples: dict[str, NDArray[np.float32]] = {}
    if sources and takes_range(recipe.activations.format):
        samples = observe(graph, data, sources, recipe.samples)
    graph = check(_insert(graph, recipe, sources, samples))
    graph = check(_hoist(graph))
    return check(_store_constants(graph, recipe))


def _matrix_nodes(graph: Graph, recipe: Recipe) -> list[Node]:
    return [n for n in graph.nodes if OPS[n.op].kind == "matrix" and n.name not in recipe.keep]


def _operands(graph: Graph, recipe: Recipe) -> list[str]:
    """Run-time values that enter a matrix product."""
    found = {i: None for n in _matrix_nodes(graph, recipe) for i in n.inputs[:2] if i not in graph.constants}
    return list(found)


def _insert(graph: Graph, recipe: Recipe, sources: list[str], samples: dict[str, NDArray[np.float32]]) -> Graph:
    quants = {
        name: _activation(recipe.activations, samples.get(name), 1 if len(graph.shape_of(name)) == 4 else -1)
        for name in sources
    }
    stored = {name: f"{name}.q" for name in sources}
    values = dict(graph.values)
    for name, quant in quants.items():
        values[stored[name]] = Value(stored[name], graph.value(name).shape, quant)
    targets = {n.name for n in _matrix_nodes(graph, recipe)}
    nodes: list[Node] = [
        Node(f"{name}.quantize", "Quantize", (name,), stored[name]) for name in graph.inputs if name in stored
    ]
    for node in graph.nodes:
        if node.name in targets:
            head = tuple(stored.get(i, i) for i in node.inputs[:2])
            node = replace(node, inputs=(*head, *node.inputs[2:]))
        nodes.append(node)
        if node.output in stored:
            nodes.append(Node(f"{node.output}.quantize", "Quantize", (node.output,), stored[node.output]))
    return graph.rebuilt(nodes=nodes, values=values)


def _activation(scheme: Scheme, sample: NDArray[np.float32] | None, block_axis: int) -> QuantParams:
    entry = formats[scheme.format]
    if isinstance(entry, BlockFormat):
        return QuantParams(format=entry.element, block_format=scheme.format, axis=block_axis)
    if sample is None:
        return QuantParams(format=scheme.format)
    if scheme.granularity != "per_tensor":
        raise RecipeError(f"activations take per_tensor scales or a block format, found {scheme.granularity}")
    found = calibrator(scheme).fit(sample[None, :], scheme)
    zero = None if found.zero_point is None else found.zero_point.reshape(())
    return QuantParams(format=scheme.format, scale=found.scale.reshape(()), zero_point=zero)


def takes_range(fmt: str) -> bool:
    """True where a scale is to be chosen; block formats make their own, and floats of 16 bits and more need none."""
    entry = formats[fmt]
    return not isinstance(entry, BlockFormat) and (entry.is_integer or entry.bits < 16)


def _hoist(graph: Graph) -> Graph:
    """Move each Quantize up past movers that feed it alone, giving what they then carry the same storage."""
    moved = True
    while moved:
        moved = False
        for at, node in enumerate(graph.nodes):
            mover = graph.producer(node.inputs[0]) if node.op == "Quantize" else None
            quant = graph.value(node.output).quant
            if mover is None or mover.op not in _MOVERS or quant is None or quant.block_format is not None:
                continue
            if len(graph.consumers(mover.output)) != 1 or mover.output in graph.outputs:
                continue
            source = mover.inputs[0]
            small = f"{source}.q{at}"
            values = dict(graph.values)
            values[small] = Value(small, graph.shape_of(source), quant)
            first = Node(node.name, "Quantize", (source,), small)
            second = replace(mover, inputs=(small,), output=node.output)
            nodes = [n for n in graph.nodes if n is not node]
            place = nodes.index(mover)
            nodes[place : place + 1] = [first, second]
            graph = graph.rebuilt(nodes=nodes, values=values)
            moved = True
            break
    return graph


def _store_constants(graph: Graph, recipe: Recipe) -> Graph:
    constants = dict(graph.constants)
    nodes = list(graph.nodes)
    for at, node in enumerate(nodes):
        if node not in _matrix_nodes(graph, recipe) or node.inputs[1] not in constants:
            continue
        weight_name, bias_name = f"{node.name}.weight", f"{node.name}.bias"
        weight = store_weight(graph.float_constant(node.inputs[1]), recipe.weights)
        inputs = [node.inputs[0], weight_name]
        constants[weight_name] = weight
        if len(node.inputs) > 2:
            bias = graph.float_constant(node.inputs[2])
            inputs.append(bias_name)
            constants[bias_name] = _bias(graph, node, bias, weight, recipe)
        nodes[at] = replace(node, inputs=tuple(inputs))
    return graph.rebuilt(nodes=nodes, constants=constants)


def store_weight(weight: NDArray[np.float32], scheme: Scheme) -> QTensor:
    """Store a weight [out, in, ...] after ``scheme``; groups and blocks run along dimension 1, the input channels.

    Raises:
        RecipeError: an unknown calibrator.
    """
    if isinstance(formats[scheme.format], BlockFormat):
        return quantize_tensor(weight, scheme.format, axis=1)
    if not takes_range(scheme.format):
        return quantize_tensor(weight, scheme.format, scale=np.ones((), np.float32))
    rule = calibrator(scheme)
    if scheme.granularity == "per_tensor":
        found = rule.fit(weight.reshape(1, -1), scheme)
        zero = None if found.zero_point is None else found.zero_point.reshape(())
        return quantize_tensor(weight, scheme.format, scale=found.scale.reshape(()), zero_point=zero)
    if scheme.granularity == "per_channel":
        found = rule.fit(weight.reshape(len(weight), -1), scheme)
        return quantize_tensor(weight, scheme.format, axis=0, scale=found.scale, zero_point=found.zero_point)
    size = int(scheme.group_size or 1)
    last = np.moveaxis(weight, 1, -1)
    short = -last.shape[-1] % size
    rows = np.pad(last, [(0, 0)] * (last.ndim - 1) + [(0, short)])
    found = rule.fit(rows.reshape(-1, size), scheme)
    shape = (*last.shape[:-1], rows.shape[-1] // size)
    scale = np.moveaxis(found.scale.reshape(shape), -1, 1)
    zero = None if found.zero_point is None else np.moveaxis(found.zero_point.reshape(shape), -1, 1)
    return quantize_tensor(weight, scheme.format, axis=1, block_size=size, scale=scale, zero_point=zero)


def calibrator(scheme: Scheme) -> Calibrator:
    """The calibrator that ``scheme`` names.

    Raises:
        RecipeError: there is none of that name; names the nearest.
    """
    try:
        return CALIBRATORS[scheme.calibrator]
    except KeyError:
        raise unknown(RecipeError, "calibrator", scheme.calibrator, CALIBRATORS) from None


def _bias(
    graph: Graph, node: Node, bias: NDArray[np.float32], weight: QTensor, recipe: Recipe
) -> NDArray[np.float32] | QTensor:
    """Biases join an integer accumulator as int32 codes where its channels have one scale; else float32."""
    quant = graph.value(node.inputs[0]).quant
    exact = recipe.accumulator == "int32" and is_integer(weight.format) and weight.block_size is None
    if not exact or quant is None or quant.scale is None:
        return bias
    scale = np.broadcast_to(np.float32(quant.scale) * weight.scale, bias.shape).astype(np.float32)
    return quantize_tensor(bias, "int32", axis=0, scale=scale)
