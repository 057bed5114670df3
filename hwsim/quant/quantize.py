"""Post-training quantization: a float graph and a recipe -> the same graph with declared storage.

Steps, each checked before and after: fold batch normalization; put a ``Quantize`` in front of every matrix product;
move it up past operations that only move or select data, so that what is stored is already small; store weights and
biases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import RecipeError, unknown
from hwsim.ir import OPS, Graph, Node, QuantParams, Value, check
from hwsim.ir.ops import KEEPS_STORAGE
from hwsim.ir.passes import fold_batchnorm
from hwsim.numerics import BlockFormat, QTensor, formats, quantize_tensor
from hwsim.numerics.threads import one_blas_thread
from hwsim.quant.calibrators import calibrator
from hwsim.quant.equalize import equalized
from hwsim.quant.histogram import Histogram
from hwsim.quant.migrate_tensor import recode
from hwsim.quant.observe import Progress, calibration_rows, observe
from hwsim.quant.recipe import Recipe, Scheme, is_integer
from hwsim.quant.reconstruct import reconstruct
from hwsim.quant.store import store_weight, takes_range
from hwsim.quant.task import refine
from hwsim.quant.trained import channel_variances

RIVALS = ("minmax", "mse")
"""Rules whose ranges a task-driven calibrator tries against its own."""


@one_blas_thread()
def quantize(graph: Graph, recipe: Recipe, data: NDArray[Any], *, progress: Progress | None = None) -> Graph:
    """Quantize ``graph`` after ``recipe``, with ranges from calibration ``data`` [n, ...].

    ``progress`` is called with (stage, done, total): rows of data, layers, nodes.

    Returns:
        A graph whose matrix products take stored values; see ``hwsim.ir``.

    Raises:
        RecipeError: the recipe names unknown nodes or calibrators, or a scheme that the graph's tensors cannot take.
        DataError: calibration data are empty or do not fit.
        ModelError: the graph does not check.
    """
    names = [n.name for n in graph.nodes]
    for where, asked in (("recipe.keep", recipe.keep), ("recipe.layers", [name for name, _ in recipe.layers])):
        for name in asked:
            if name not in names:
                raise unknown(RecipeError, "node", name, names, where=where)
    variances = channel_variances(graph) if recipe.equalize == "none" else {}  # moved scales would change them
    original = graph = fold_batchnorm(graph)
    if recipe.equalize != "none":
        graph = check(equalized(graph, recipe, calibration_rows(graph, data, recipe.samples)))
    seen = _seen(graph, recipe, data, progress)
    task_driven = getattr(calibrator(recipe.activations.calibrator), "task_driven", False)
    rivals = []
    for other in map(recipe.with_calibrator, RIVALS if task_driven else ()):
        made = _with_storage(graph, other, seen)
        rivals.append(made if _walks(recipe) else _store_weights(made, other, data))
    graph = check(_store_weights(_with_storage(graph, recipe, seen), recipe, data, variances, progress))
    if task_driven:
        graph = check(refine(graph, original, calibration_rows(graph, data, recipe.samples), rivals, progress=progress))
    graph = store_biases(graph, recipe)
    return check(graph if recipe.cache is None else replace(graph, cached=_cached(graph)))


def store_activations(graph: Graph, recipe: Recipe, data: NDArray[Any] | None) -> Graph:
    """Give the run-time operands of products a storage; only ranges need ``data``.

    Raises:
        RecipeError: a range is needed and there are no data.
        DataError: calibration data are empty or do not fit.
    """
    return _with_storage(graph, recipe, _seen(graph, recipe, data))


def _seen(
    graph: Graph, recipe: Recipe, data: NDArray[Any] | None, progress: Progress | None = None
) -> dict[str, Histogram]:
    """Histograms of the run-time operands that need a range."""
    ranged = [name for name, scheme in _operands(graph, recipe) if takes_range(scheme.format)]
    if not ranged:
        return {}
    if data is None:
        raise RecipeError("has values whose range nothing says", where=graph.name, hint="give calibration data")
    return observe(graph, data, ranged, recipe.samples, progress)


def _with_storage(graph: Graph, recipe: Recipe, seen: dict[str, Histogram]) -> Graph:
    """Run-time operands stored, with the ranges that what was ``seen`` gives by the recipe's calibrator."""
    return check(_hoist(check(_insert(graph, recipe, _operands(graph, recipe), seen))))


def _cached(graph: Graph) -> tuple[str, ...]:
    """Keys and values: the stored second operands of products of two run-time values."""
    products = [n for n in graph.nodes if n.op == "MatMul" and n.inputs[1] in graph.values]
    return tuple(dict.fromkeys(n.inputs[1] for n in products if graph.value(n.inputs[1]).quant is not None))


def _matrix_nodes(graph: Graph, recipe: Recipe) -> list[Node]:
    # Block-scaled units take weights; products of two activations (attention) need a scheme of their own there, and
    # stay in the vector unit's format where there is none.
    blocks = isinstance(formats[recipe.activations.format], BlockFormat) and recipe.attention is None
    return [
        n
        for n in graph.nodes
        if OPS[n.op].kind == "matrix"
        and n.name not in recipe.keep
        and not (blocks and n.inputs[1] not in graph.constants)
    ]


def _schemes(graph: Graph, recipe: Recipe, node: Node) -> dict[int, Scheme]:
    """How the run-time operands of a product are stored, by their place."""
    dynamic = node.inputs[1] not in graph.constants
    return {at: recipe.operand(at, dynamic) for at, i in enumerate(node.inputs[:2]) if i not in graph.constants}


def _operands(graph: Graph, recipe: Recipe) -> list[tuple[str, Scheme]]:
    """Run-time values that enter a matrix product, each with how it is stored there."""
    found: dict[tuple[str, Scheme], None] = {}
    for node in _matrix_nodes(graph, recipe):
        found.update({(node.inputs[at], scheme): None for at, scheme in _schemes(graph, recipe, node).items()})
    return list(found)


def _insert(graph: Graph, recipe: Recipe, sources: list[tuple[str, Scheme]], seen: dict[str, Histogram]) -> Graph:
    values, stored, after = dict(graph.values), dict[tuple[str, Scheme], str](), dict[str, list[Node]]()
    for name, scheme in sources:
        quant = activation_storage(scheme, seen.get(name), 1 if len(graph.shape_of(name)) == 4 else -1)
        made = after.setdefault(name, [])
        small = stored[name, scheme] = f"{name}.q{len(made) + 1 if made else ''}"
        values[small] = Value(small, graph.value(name).shape, quant)
        made.append(Node(f"{name}.quantize{len(made) + 1 if made else ''}", "Quantize", (name,), small))
    targets = {n.name for n in _matrix_nodes(graph, recipe)}
    nodes = [made for name in graph.inputs for made in after.get(name, ())]
    for node in graph.nodes:
        if node.name in targets:
            schemes = _schemes(graph, recipe, node)
            head = (stored[i, schemes[at]] if at in schemes else i for at, i in enumerate(node.inputs[:2]))
            node = replace(node, inputs=(*head, *node.inputs[2:]))
        nodes += [node, *after.get(node.output, ())]
    return graph.rebuilt(nodes=nodes, values=values)


def activation_storage(scheme: Scheme, seen: Histogram | None, block_axis: int) -> QuantParams:
    """How a run-time value is stored, with the range that what was ``seen`` of it gives.

    Raises:
        RecipeError: scales that are not per tensor and not a block format's.
    """
    entry = formats[scheme.format]
    if isinstance(entry, BlockFormat):
        return QuantParams(format=entry.element, block_format=scheme.format, axis=block_axis)
    if seen is None:
        return QuantParams(format=scheme.format)
    if scheme.granularity != "per_tensor":
        raise RecipeError(f"activations take per_tensor scales or a block format, found {scheme.granularity}")
    values, counts = seen.points()
    found = calibrator(scheme.calibrator).fit(values[None], scheme, counts[None])
    zero = None if found.zero_point is None else found.zero_point.reshape(())
    return QuantParams(format=scheme.format, scale=found.scale.reshape(()), zero_point=zero)


def _hoist(graph: Graph) -> Graph:
    """Move each Quantize up past movers that feed it alone, giving what they then carry the same storage."""
    moved = True
    while moved:
        moved = False
        for at, node in enumerate(graph.nodes):
            mover = graph.producer(node.inputs[0]) if node.op == "Quantize" else None
            quant = graph.value(node.output).quant
            if mover is None or mover.op not in KEEPS_STORAGE or quant is None or quant.block_format is not None:
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


def _walks(recipe: Recipe) -> bool:
    """Weights or biases are stored layer by layer, with the layers before already stored."""
    return recipe.weight_method != "nearest" or recipe.correct_bias


def _store_weights(
    graph: Graph,
    recipe: Recipe,
    data: NDArray[Any],
    variances: Mapping[str, NDArray[np.float64]] | None = None,
    progress: Progress | None = None,
) -> Graph:
    """Store constant weights; biases stay real numbers. Weights that came packed keep their numbers where the scheme
    has them all, whatever the method: who packed them has chosen their codes already."""
    named = {n.name for n in _matrix_nodes(graph, recipe) if n.inputs[1] in graph.constants}
    walk = _walks(recipe)
    constants, nodes = dict(graph.constants), list(graph.nodes)
    for at, node in enumerate(nodes):
        if node.name not in named:
            continue
        held, name = graph.constants[node.inputs[1]], f"{node.name}.weight"
        if isinstance(held, QTensor):
            made = recode(held, recipe.weights_of(node.name))
            if walk and not np.array_equal(made.dequantize(), held.dequantize()):
                continue
            constants[name] = made
        elif walk:
            continue
        else:
            constants[name] = store_weight(graph.float_constant(node.inputs[1]), recipe.weights_of(node.name))
        nodes[at] = replace(node, inputs=(node.inputs[0], name, *node.inputs[2:]))
        named.discard(node.name)
    graph = graph.rebuilt(nodes=nodes, constants=constants)
    if not named:
        return graph
    return reconstruct(graph, recipe, calibration_rows(graph, data, recipe.samples), named, variances, progress)


def store_biases(graph: Graph, recipe: Recipe) -> Graph:
    """Store the biases of products with stored weights."""
    constants, nodes = dict(graph.constants), list(graph.nodes)
    for at, node in enumerate(nodes):
        if node not in _matrix_nodes(graph, recipe) or len(node.inputs) < 3:
            continue
        weight = graph.constants.get(node.inputs[1])
        if isinstance(weight, QTensor):
            name = f"{node.name}.bias"
            constants[name] = _bias(graph, node, graph.float_constant(node.inputs[2]), weight, recipe)
            nodes[at] = replace(node, inputs=(*node.inputs[:2], name))
    return graph.rebuilt(nodes=nodes, constants=constants)


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
