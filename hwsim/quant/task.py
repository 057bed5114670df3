"""The task decides: try multiples of each activation's range, keep what brings the outputs nearer to float."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import Graph, Node, QuantParams, reference
from hwsim.numerics import QTensor
from hwsim.numerics.codec import element_format
from hwsim.quant.observe import Progress
from hwsim.quant.simulate import Array, simulate

IMAGES = 256
"""Calibration inputs that candidates are judged on, at most."""

ELEMENTS = 1 << 26
"""Numbers that the network may make of those inputs; of large networks fewer inputs are judged, at least eight."""

MULTIPLES = (0.7, 0.85, 1.2, 1.45)
"""Ranges that are tried, as multiples of the one that is there."""


def refine(
    graph: Graph,
    original: Graph,
    data: NDArray[Any],
    rivals: Sequence[Graph] = (),
    rounds: int = 1,
    progress: Progress | None = None,
) -> Graph:
    """Choose the activations' ranges, one after the other in the order of execution, and those of weights.

    A candidate is judged by the sum of squared differences between the outputs of ``graph``, simulated, and those of
    the float network ``original`` on ``data``, over the square of the latter; only what lies behind the changed value
    is run again. The start is the best of ``graph`` and ``rivals``, the same network stored with other ranges; an
    activation's candidates are multiples of its range and what the others have, a weight's are what the others have.
    The result is never worse than any of them, on these data. ``progress`` is called with ("choices", nodes done, nodes
    in all).
    """
    x = np.ascontiguousarray(data[: judged(graph)], dtype=np.float32)
    feed = {graph.inputs[0]: x}
    want = reference.run(original, feed)
    told = [_storage(each) for each in (graph, *rivals)]
    starts = [graph, *(_stored_as(graph, storage) for storage in told[1:])]
    errors = [output_error(simulate(start, feed), want) for start in starts]
    best = min(errors)
    graph = starts[errors.index(best)]
    for turn in range(rounds):
        for at, node in enumerate(graph.nodes):
            trials = [_stored_as(graph, {node.name: storage[node.name]}) for storage in told if node.name in storage]
            quant = graph.value(node.output).quant
            if node.op == "Quantize" and quant is not None:
                trials += [_with(graph, node.output, each) for each in _candidates(graph, node)]
            before = _alive(graph, at, feed) if trials else {}
            for trial in trials:
                if trial is not graph:
                    error = output_error(simulate(trial, before, start=at), want)
                    if error < best:
                        best, graph = error, trial
            if progress is not None:
                progress("choices", turn * len(graph.nodes) + at + 1, rounds * len(graph.nodes))
    return graph


def _storage(graph: Graph) -> dict[str, QuantParams | QTensor]:
    """How each Quantize stores its result, and each product its constant weight, by node."""
    found: dict[str, QuantParams | QTensor] = {}
    for node in graph.nodes:
        quant = graph.value(node.output).quant
        weight = graph.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
        if node.op == "Quantize" and quant is not None:
            found[node.name] = quant
        elif isinstance(weight, QTensor):
            found[node.name] = weight
    return found


def _stored_as(graph: Graph, storage: Mapping[str, QuantParams | QTensor]) -> Graph:
    """The graph with what ``storage`` names stored so; the graph itself where nothing changes."""
    constants = dict(graph.constants)
    changed = False
    for node in graph.nodes:
        held = storage.get(node.name)
        if isinstance(held, QTensor) and not _same(constants[node.inputs[1]], held):
            constants[node.inputs[1]], changed = held, True
        elif isinstance(held, QuantParams) and not _same(graph.value(node.output).quant, held):
            graph = _with(graph, node.output, held)
    return graph.rebuilt(constants=constants) if changed else graph


def _same(held: Any, other: QuantParams | QTensor) -> bool:
    """Both have the same scale and zero point; weights of a method that rounds on its own differ in codes alone."""
    alike = all(
        np.array_equal(getattr(held, field), getattr(other, field))  # None equals None alone
        for field in ("scale", "zero_point")
    )
    return alike and (isinstance(other, QuantParams) or np.array_equal(held.codes, other.codes))


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
