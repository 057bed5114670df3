"""The task decides: try multiples of each activation's range, keep what brings the outputs nearer to float."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import Graph, Node, QuantParams, reference
from hwsim.numerics.codec import element_format
from hwsim.quant.simulate import Array, simulate

IMAGES = 32
"""Calibration inputs that candidates are judged on, at most."""

ELEMENTS = 1 << 26
"""Numbers that the network may make of those inputs; of large networks fewer inputs are judged, at least eight."""

MULTIPLES = (0.7, 0.85, 1.2, 1.45)
"""Ranges that are tried, as multiples of the one that is there."""


def refine(graph: Graph, original: Graph, data: NDArray[Any], rounds: int = 1) -> Graph:
    """Choose the multiples of the activations' ranges, one after the other in the order of execution.

    A candidate is judged by the sum of squared differences between the outputs of ``graph``, simulated, and those of
    the float network ``original`` on ``data``, over the square of the latter; only what lies behind the changed value
    is run again. The result is never worse than the graph given, on these data.
    """
    x = np.ascontiguousarray(data[: judged(graph)], dtype=np.float32)
    feed = {graph.inputs[0]: x}
    want = reference.run(original, feed)
    best = output_error(simulate(graph, feed), want)
    for _ in range(rounds):
        for at, node in enumerate(graph.nodes):
            if node.op != "Quantize" or graph.value(node.output).quant is None:
                continue
            before = _alive(graph, at, feed)
            for quant in _candidates(graph, node):
                trial = _with(graph, node.output, quant)
                error = output_error(simulate(trial, before, start=at), want)
                if error < best:
                    best, graph = error, trial
    return graph


def judged(graph: Graph) -> int:
    """Inputs that candidates are judged on."""
    each = sum(int(np.prod([d for d in v.shape if isinstance(d, int)], dtype=np.int64)) for v in graph.values.values())
    return min(IMAGES, max(8, ELEMENTS // each))


def output_error(found: dict[str, Array], want: dict[str, Array]) -> float:
    """Sum of squared differences over the sum of squares, the mean over the outputs."""
    parts = []
    for name, real in want.items():
        power = float(np.sum(np.square(real, dtype=np.float64)))
        noise = float(np.sum(np.square(real.astype(np.float64) - found[name])))
        parts.append(noise / power if power else noise)
    return float(np.mean(parts))


def _alive(graph: Graph, at: int, feed: dict[str, Array]) -> dict[str, Array]:
    """The values that nodes from number ``at`` on read and do not make."""
    made = {n.output for n in graph.nodes[at:]}
    wanted = {i for n in graph.nodes[at:] for i in n.inputs if i in graph.values and i not in made}
    if at == 0:
        return dict(feed)
    head = graph.rebuilt(nodes=graph.nodes[:at], outputs=tuple(sorted(wanted)))
    return simulate(head, feed)


def _with(graph: Graph, name: str, quant: QuantParams) -> Graph:
    """The graph with the storage of ``name``, and of all that is moved without change from it, replaced."""
    old = graph.value(name).quant
    values = {key: replace(value, quant=quant) if value.quant is old else value for key, value in graph.values.items()}
    return graph.rebuilt(values=values)


def _candidates(graph: Graph, node: Node) -> Iterator[QuantParams]:
    quant = graph.value(node.output).quant
    if quant is None or quant.scale is None or quant.block_format is not None:
        return
    for multiple in MULTIPLES:
        yield replace(quant, scale=(quant.scale * np.float32(multiple)).astype(np.float32))
    entry = element_format(quant.format)
    if quant.zero_point is None or not entry.min_value < int(quant.zero_point) < entry.max_value:
        return
    for step in (-1, 1):
        yield replace(quant, zero_point=(quant.zero_point + np.int32(step)).astype(np.int32))
