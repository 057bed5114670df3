"""Run a quantized graph in float32, every stored value rounded to its codes: near what a chip computes, and fast."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import OPS, Graph

Array = NDArray[np.float32]


def simulate(
    graph: Graph, feeds: Mapping[str, Array], *, start: int = 0, keep: Collection[str] = ()
) -> dict[str, Array]:
    """Execute ``graph`` from node number ``start`` on.

    Args:
        graph: a checked graph; constants take part with their real values, and ``Quantize`` rounds.
        feeds: the values that the nodes from ``start`` on read and do not make.
        start: number of the first node to run.
        keep: names of further values to return.

    Returns:
        Every graph output, and every value in ``keep``, by name.
    """
    env = dict(feeds)
    nodes = graph.nodes[start:]
    wanted = set(graph.outputs) | set(keep)
    last = {i: at for at, node in enumerate(nodes) for i in node.inputs}
    for at, node in enumerate(nodes):
        ins = [graph.float_constant(i) if i in graph.constants else env[i] for i in node.inputs]
        quant = graph.value(node.output).quant
        if node.op == "Quantize" and quant is not None:
            env[node.output] = quant.quantize(ins[0]).dequantize()
        else:
            env[node.output] = OPS[node.op].run(ins, node.attrs)
        for i in node.inputs:
            if last[i] == at and i not in wanted:
                env.pop(i, None)
    return {name: env[name] for name in wanted}
