"""What activations look like on calibration data: a histogram of each value over every number of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError
from hwsim.ir import Graph, reference
from hwsim.ir.infer import elements
from hwsim.quant.histogram import Histogram

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""
BATCH_IMAGES = 64
BATCH_ELEMENTS = 1 << 25
"""Elements that the largest value of a batch may have, where one input has no more."""


def observe(
    graph: Graph, data: NDArray[Any], names: Collection[str], limit: int, progress: Progress | None = None
) -> dict[str, Histogram]:
    """Histograms of the values ``names`` when ``graph`` runs on the first ``limit`` rows of ``data``.

    ``progress`` is called with ("ranges", rows done, rows in all).

    Raises:
        DataError: no data, or data that does not fit the graph's only input.
    """
    data = calibration_rows(graph, data, limit)
    seen = {name: Histogram() for name in names}
    head, done = upto(graph, names), 0
    for rows in calibration_batches(head, data):
        reference.run(head, {graph.inputs[0]: rows}, keep=names, watch=lambda name, x: seen[name].add(x))
        done += len(rows)
        if progress is not None:
            progress("ranges", done, len(data))
    return seen


def calibration_batches(graph: Graph, data: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """``data`` in batches so small that no value of ``graph`` grows past ``BATCH_ELEMENTS``, if one row's does not."""
    step = max(1, min(BATCH_IMAGES, BATCH_ELEMENTS // max(elements(value.shape) for value in graph.values.values())))
    for start in range(0, len(data), step):
        yield data[start : start + step]


def upto(graph: Graph, names: Collection[str]) -> Graph:
    """The part of ``graph`` that makes the values ``names``, with no outputs of its own but the last of them."""
    made = [at for at, node in enumerate(graph.nodes) if node.output in names]
    if not made:
        return graph
    nodes = graph.nodes[: made[-1] + 1]
    held = {*graph.inputs, *(node.output for node in nodes)}
    values = {name: value for name, value in graph.values.items() if name in held}
    return graph.rebuilt(nodes=nodes, values=values, outputs=(nodes[-1].output,))


def calibration_rows(graph: Graph, data: NDArray[Any], limit: int) -> NDArray[Any]:
    """The first ``limit`` rows of ``data``.

    Raises:
        DataError: the graph has several inputs, or there are no data.
    """
    if len(graph.inputs) != 1:
        raise DataError(f"calibration takes graphs with one input, found {len(graph.inputs)}", where=graph.name)
    data = np.asarray(data)[:limit]
    if data.size == 0:
        raise DataError("calibration data are empty", where=graph.name)
    return data
