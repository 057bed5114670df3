"""Factors behind products as part of the products: a ``Mul`` less at run time, for the same codes of the weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import Graph, check
from hwsim.ir.graph import Constant
from hwsim.numerics import QTensor


def folded(graph: Graph) -> Graph:
    """``graph`` with every constant factor a channel that alone reads a ``Gemm`` as part of that product.

    Weights that are stored a scale a channel keep their codes, and biases theirs: the factor is part of their scales.
    Weights in float are multiplied. Where a scale is shared by channels or a block format makes it, the ``Mul`` stays.
    The sums are the same; they are rounded once less, so that a number beside the boundary of two codes may be stored
    as the other.

    Raises:
        ModelError: the graph does not check.
    """
    constants = dict(graph.constants)
    nodes, renamed = list(graph.nodes), dict[str, str]()
    for mul in graph.nodes:
        product = graph.producer(mul.inputs[0]) if mul.op == "Mul" else None
        if product is None or product.op != "Gemm" or len(graph.consumers(product.output)) != 1:
            continue
        factor = graph.constants.get(mul.inputs[1])
        rows = int(graph.shape_of(product.inputs[1])[0]) if product.inputs[1] in graph.constants else 0
        if not isinstance(factor, np.ndarray) or factor.shape != (rows,) or product.output in graph.outputs:
            continue
        scaled = [_times(graph.constants[name], factor) for name in product.inputs[1:]]
        if any(held is None for held in scaled):
            continue
        names = [f"{name}.folded" for name in product.inputs[1:]]
        constants |= {name: held for name, held in zip(names, scaled, strict=True) if held is not None}
        nodes[nodes.index(product)] = replace(product, inputs=(product.inputs[0], *names))
        nodes.remove(mul)
        renamed[mul.output] = product.output
    nodes = [replace(n, inputs=tuple(renamed.get(i, i) for i in n.inputs)) for n in nodes]
    outputs = tuple(renamed.get(name, name) for name in graph.outputs)
    return check(graph.rebuilt(nodes=nodes, constants=constants, outputs=outputs))


def _times(held: Constant, factor: NDArray[np.float32]) -> Constant | None:
    """A weight [out, in] or a bias [out] times a factor a row; None where its storage has no scale a row."""
    if not isinstance(held, QTensor):
        return np.asarray(held * factor.reshape(-1, *[1] * (held.ndim - 1)), np.float32)
    if held.axis != 0 or held.block_size is not None or held.block_format is not None or held.scale_format != "fp32":
        return None
    return replace(held, scale=(held.scale * factor).astype(np.float32))
