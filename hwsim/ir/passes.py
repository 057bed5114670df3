"""Rewrites of a graph: how passes run, verified before and after each, and one that keeps a float graph's answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps

import numpy as np

from hwsim.errors import ModelError
from hwsim.ir.check import check
from hwsim.ir.graph import Constant, Graph, Node

Pass = Callable[[Graph], Graph]


def checked(rewrite: Pass) -> Pass:
    """Make a pass verify its input and its output."""

    @wraps(rewrite)
    def run(graph: Graph) -> Graph:
        return run_passes(graph, rewrite)

    return run


def run_passes(graph: Graph, *passes: Pass) -> Graph:
    """``graph`` after ``passes``, one after the other, verified before the first and after each.

    Raises:
        ModelError: the graph does not check; after a pass the error names it, for the fault is the pass's.
    """
    check(graph)
    for rewrite in passes:
        graph = rewrite(graph)
        try:
            check(graph)
        except ModelError as e:
            name = getattr(rewrite, "__name__", type(rewrite).__name__)
            raise ModelError(f"{e.message} (pass {name} left it so)", where=e.where, hint=e.hint) from None
    return graph


@checked
def fold_batchnorm(graph: Graph) -> Graph:
    """Fold each BatchNormalization into the Conv or Gemm before it, or turn it into Mul and Add where none is.

    w' = w * scale / sqrt(var + epsilon); b' = (b - mean) * scale / sqrt(var + epsilon) + bias (Ioffe and Szegedy,
    2015).
    """
    nodes: list[Node] = []
    values = dict(graph.values)
    constants: dict[str, Constant] = dict(graph.constants)
    for node in graph.nodes:
        if node.op != "BatchNormalization":
            nodes.append(node)
            continue
        scale, bias, mean, var = (graph.float_constant(i).astype(np.float64) for i in node.inputs[1:])
        factor = scale / np.sqrt(var + float(node.attrs["epsilon"]))
        shift = bias - mean * factor
        before = next((n for n in nodes if n.output == node.inputs[0]), None)
        if before is not None and _foldable(graph, before):
            weight = graph.float_constant(before.inputs[1]).astype(np.float64)
            old = graph.float_constant(before.inputs[2]) if len(before.inputs) > 2 else np.zeros(len(factor))
            names = (f"{before.name}.weight.folded", f"{before.name}.bias.folded")
            constants[names[0]] = (weight * factor.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32)
            constants[names[1]] = (old * factor + shift).astype(np.float32)
            nodes[nodes.index(before)] = replace(before, inputs=(before.inputs[0], *names), output=node.output)
        else:
            along = (-1,) + (1,) * (len(graph.shape_of(node.inputs[0])) - 2)
            factor_name, shift_name, middle = f"{node.name}.factor", f"{node.name}.shift", f"{node.name}.scaled"
            constants[factor_name] = factor.astype(np.float32).reshape(along)
            constants[shift_name] = shift.astype(np.float32).reshape(along)
            values[middle] = replace(values[node.output], name=middle)
            nodes.append(Node(f"{node.name}.mul", "Mul", (node.inputs[0], factor_name), middle))
            nodes.append(Node(f"{node.name}.add", "Add", (middle, shift_name), node.output))
    return graph.rebuilt(nodes=nodes, values=values, constants=constants)


def _foldable(graph: Graph, node: Node) -> bool:
    alone = len(graph.consumers(node.output)) == 1 and node.output not in graph.outputs
    fixed = all(i in graph.constants for i in node.inputs[1:])
    flat = node.op == "Conv" or len(graph.shape_of(node.output)) == 2
    return node.op in ("Conv", "Gemm") and alone and fixed and flat
