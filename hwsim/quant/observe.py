"""What activations look like on calibration data: a histogram of each value over every number of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError
from hwsim.ir import Graph, reference
from hwsim.quant.histogram import Histogram

BATCH_IMAGES = 64


def observe(graph: Graph, data: NDArray[Any], names: Collection[str], limit: int) -> dict[str, Histogram]:
    """Histograms of the values ``names`` when ``graph`` runs on the first ``limit`` rows of ``data``.

    Raises:
        DataError: no data, or data that does not fit the graph's only input.
    """
    data = calibration_rows(graph, data, limit)
    seen = {name: Histogram() for name in names}
    for start in range(0, len(data), BATCH_IMAGES):
        found = reference.run(graph, {graph.inputs[0]: data[start : start + BATCH_IMAGES]}, keep=names)
        for name in names:
            seen[name].add(found[name])
    return seen


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
