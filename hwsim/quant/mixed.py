"""How much each layer suffers in few bits, and who gets how many under a budget.

Sensitivity: one layer's weights at a time are stored by a scheme while all else stays float, and the outputs' relative
square error on calibration data is measured. Errors of layers are taken to add up (they do to first order; Dong et al.,
HAWQ, arXiv 1905.03696, rest on the same), so the best assignment under a budget is a multiple-choice knapsack, which
scipy's integer programming (HiGHS) solves exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import RecipeError, ToolError
from hwsim.ir import OPS, Graph, Node, reference
from hwsim.ir.passes import fold_batchnorm
from hwsim.quant.observe import calibration_rows
from hwsim.quant.recipe import Recipe, Scheme
from hwsim.quant.simulate import Array, simulate
from hwsim.quant.store import store_weight
from hwsim.quant.task import output_error

IMAGES = 32
"""Calibration inputs that a layer's error is measured on, at most."""

Cost = Callable[[str, Scheme], float]
"""(node name, scheme of its weights) -> bytes, seconds or joules; costs of nodes add up."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What storing one node's weights by ``scheme`` does: ``error`` is relative to the outputs' power."""

    node: str
    scheme: Scheme
    error: float


def sensitivity(
    graph: Graph, schemes: Sequence[Scheme], data: NDArray[Any], keep: Sequence[str] = ()
) -> tuple[Sensitivity, ...]:
    """The error of every node with constant weights under every scheme, in the order of execution.

    Raises:
        DataError: calibration data are empty or do not fit.
    """
    graph = fold_batchnorm(graph)
    feed = {graph.inputs[0]: np.ascontiguousarray(calibration_rows(graph, data, IMAGES), dtype=np.float32)}
    want = reference.run(graph, feed)
    env: dict[str, Array] = dict(feed)
    found = []
    for at, node in enumerate(graph.nodes):
        if OPS[node.op].kind == "matrix" and node.inputs[1] in graph.constants and node.name not in keep:
            for scheme in schemes:
                outputs = simulate(_stored(graph, node, scheme), env, start=at)
                found.append(Sensitivity(node.name, scheme, output_error(outputs, want)))
        later = {i for n in graph.nodes[at + 1 :] for i in n.inputs} | set(graph.outputs)
        env[node.output] = simulate(graph.rebuilt(nodes=[node], outputs=(node.output,)), env)[node.output]
        env = {name: value for name, value in env.items() if name in later}
    return tuple(found)


def _stored(graph: Graph, node: Node, scheme: Scheme) -> Graph:
    name = f"{node.name}.weight.stored"
    weight = store_weight(graph.float_constant(node.inputs[1]), scheme)
    nodes = [replace(n, inputs=(n.inputs[0], name, *n.inputs[2:])) if n is node else n for n in graph.nodes]
    return graph.rebuilt(nodes=nodes, constants={**graph.constants, name: weight})


def assign(rows: Sequence[Sensitivity], cost: Cost, budget: float) -> tuple[tuple[str, Scheme], ...]:
    """One scheme a node, with the least sum of errors whose costs stay within ``budget``.

    Raises:
        RecipeError: even the cheapest assignment costs more; says how much.
        ToolError: scipy is not installed.
    """
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp
    except ImportError:
        raise ToolError("mixed precision needs scipy", hint="pip install 'hwsim[calib]'") from None
    nodes = list(dict.fromkeys(row.node for row in rows))
    costs = np.array([cost(row.node, row.scheme) for row in rows], dtype=np.float64)
    errors = np.array([row.error for row in rows], dtype=np.float64)
    least = sum(min(c for c, row in zip(costs, rows, strict=True) if row.node == node) for node in nodes)
    if least > budget:
        raise RecipeError(f"the budget is {budget:.6g}, and the cheapest assignment costs {least:.6g}")
    member = np.array([[row.node == node for row in rows] for node in nodes], dtype=np.float64)
    unit = max(float(costs.max()), np.finfo(float).tiny)
    scale = max(float(errors.max()), np.finfo(float).tiny)
    solved = milp(
        errors / scale,
        integrality=np.ones(len(rows)),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(member, 1, 1), LinearConstraint(costs[None] / unit, -np.inf, budget / unit)],
        options={"mip_rel_gap": 0.0},
    )
    if solved.x is None:
        raise ToolError(f"the integer program was not solved: {solved.message}")
    picked = [row for row, chosen in zip(rows, solved.x, strict=True) if chosen > 0.5]
    return tuple((row.node, row.scheme) for row in picked)


def mixed(
    graph: Graph, recipe: Recipe, schemes: Sequence[Scheme], data: NDArray[Any], cost: Cost, budget: float
) -> Recipe:
    """``recipe`` with a scheme for each node's weights: the least loss that ``budget`` buys.

    Raises:
        RecipeError: the budget is too small.
        DataError: calibration data are empty or do not fit.
        ToolError: scipy is not installed.
    """
    rows = sensitivity(graph, schemes, data, recipe.keep)
    return replace(recipe, layers=assign(rows, cost, budget))


def weight_bytes(graph: Graph) -> Cost:
    """The cost function of size: bytes of a node's weights with their scales and zero points."""
    folded = fold_batchnorm(graph)
    known: Mapping[str, Node] = {node.name: node for node in folded.nodes}

    def cost(name: str, scheme: Scheme) -> float:
        weight = folded.float_constant(known[name].inputs[1])
        quick = replace(scheme, calibrator="minmax")
        return float(store_weight(weight, quick).nbytes_packed)

    return cost
