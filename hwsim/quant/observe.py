"""What activations look like on calibration data: exact extremes and an even sample of each value."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError
from hwsim.ir import Graph, reference

SAMPLE = 1 << 17
BATCH_IMAGES = 64


def observe(graph: Graph, data: NDArray[Any], names: Collection[str], limit: int) -> dict[str, NDArray[np.float32]]:
    """Samples of the values ``names`` when ``graph`` runs on the first ``limit`` rows of ``data``.

    Returns:
        name -> float32 [samples]; at most about ``SAMPLE`` numbers evenly spread, with both extremes among them.

    Raises:
        DataError: no data, or data that does not fit the graph's only input.
    """
    if len(graph.inputs) != 1:
        raise DataError(f"calibration takes graphs with one input, found {len(graph.inputs)}", where=graph.name)
    data = np.asarray(data)[:limit]
    if data.size == 0:
        raise DataError("calibration data are empty", where=graph.name)
    batches = range(0, len(data), BATCH_IMAGES)
    share = max(1, SAMPLE // len(batches))
    kept: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for start in batches:
        found = reference.run(graph, {graph.inputs[0]: data[start : start + BATCH_IMAGES]}, keep=names)
        for name in names:
            flat = found[name].reshape(-1)
            kept[name].append(flat[:: max(1, flat.size // share)])
            kept[name].append(np.array([flat.min(), flat.max()], dtype=np.float32))
    return {name: np.concatenate(parts) for name, parts in kept.items()}
