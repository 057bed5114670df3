"""A graph with the arithmetic of one target written into it, down to the integers that its requantizers multiply by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hwsim.emulate.epilogue import fixed_point
from hwsim.emulate.program import MatrixStep, arithmetic_of, bind
from hwsim.ir import Arithmetic, Graph, check
from hwsim.numerics import QTensor
from hwsim.numerics.codec import element_format

if TYPE_CHECKING:
    from hwsim.target import Precision, Target


def declare(graph: Graph, target: Target, precision: str | None = None) -> Graph:
    """``graph`` with each matrix product's `Arithmetic` fixed as the target has it; answers do not change there, and
    targets of other arithmetic refuse the graph.

    Raises:
        RecipeError: the graph's storage does not fit the target.
    """
    program = bind(replace(graph, nodes=tuple(replace(n, arithmetic=None) for n in graph)), target, precision)
    steps = {step.node.name: step for step in program.steps if isinstance(step, MatrixStep)}
    nodes = [
        replace(node, arithmetic=_fixed(graph, steps[node.name], program.precision) if node.name in steps else None)
        for node in graph
    ]
    notes = {**graph.notes, "target": target.name, "precision": program.precision_name}
    return check(replace(graph.rebuilt(nodes=nodes), notes=notes))


def _fixed(graph: Graph, step: MatrixStep, mode: Precision) -> Arithmetic:
    """A step's arithmetic, with multiplier and shift of each channel where sums are integers of one scale a channel and
    leave as integers."""
    fixed = arithmetic_of(mode, step.work.unit)
    output = graph.value(step.output).quant
    weight = graph.constants.get(step.node.inputs[1])
    bias = graph.constants.get(step.node.inputs[2]) if len(step.node.inputs) > 2 else None
    if fixed.requantize != "fixed_point" or fixed.accumulator != "int32" or isinstance(bias, np.ndarray):
        return fixed
    if output is None or output.scale is None or not output.plain or not element_format(output.format).is_integer:
        return fixed
    if isinstance(weight, QTensor):
        if weight.block_size is not None or weight.tensor_scale is not None:
            return fixed
        second = weight.scale
    else:
        quant = graph.value(step.node.inputs[1]).quant
        second = np.ones((), np.float32) if quant is None or quant.scale is None else quant.scale
    first = graph.value(step.node.inputs[0]).quant
    if first is None or first.scale is None:
        return fixed
    channels = int(graph.shape_of(step.node.output)[1 if step.node.op == "Conv" else -1])
    scale = np.broadcast_to(np.float32(first.scale) * second, (channels,)).astype(np.float32)
    multiplier, shift = fixed_point(scale.astype(np.float64) / float(output.scale))
    return replace(fixed, multiplier=multiplier, shift=shift)
