"""Run a graph in float32, as its framework would: the baseline, and what calibration observes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError
from hwsim.ir.graph import BATCH, Graph, Shape
from hwsim.ir.ops import OPS

Array = NDArray[np.float32]


def check_input(name: str, x: NDArray[Any], shape: Shape, where: str) -> Array:
    """``x`` as float32, after checking it against a declared shape.

    Raises:
        DataError: another shape, no rows, numbers that are not finite, or whole numbers beyond 2^24.
    """
    if x.ndim != len(shape) or any(d != BATCH and d != n for d, n in zip(shape, x.shape, strict=False)):
        raise DataError(f"input {name!r} must have shape {list(shape)}, found {list(x.shape)}", where=where)
    if x.size == 0:
        raise DataError(f"input {name!r} is empty: shape {list(x.shape)}", where=where)
    if x.dtype.kind in "iu" and np.abs(x.astype(np.int64)).max() > 1 << 24:
        raise DataError(f"input {name!r} holds whole numbers beyond 2^24, which float32 does not hold", where=where)
    x = np.ascontiguousarray(x, dtype=np.float32)
    if not np.isfinite(x).all():
        raise DataError(f"input {name!r} holds NaN or infinite numbers", where=where)
    return x


def run(
    graph: Graph,
    feeds: Mapping[str, NDArray[Any]],
    *,
    keep: Collection[str] = (),
    watch: Callable[[str, Array], None] | None = None,
) -> dict[str, Array]:
    """Execute ``graph`` in float32.

    Args:
        graph: any checked graph; quantized constants take part with their real values, ``Quantize`` nodes pass through.
        feeds: input name -> array with the batch first.
        keep: names of further values to return.
        watch: called with each value in ``keep`` once it is there; they are not returned then, and need not all be in
            memory together.

    Returns:
        Every graph output, and every value in ``keep``, by name.

    Raises:
        DataError: an input is missing, misshapen, empty or not finite.
    """
    env: dict[str, Array] = {}
    for name in graph.inputs:
        if name not in feeds:
            raise DataError(f"input {name!r} is missing; given: {', '.join(feeds) or 'nothing'}", where=graph.name)
        env[name] = check_input(name, feeds[name], graph.value(name).shape, graph.name)
    constants = {name: graph.float_constant(name) for name in graph.constants}
    watched = set(keep) if watch is not None else set()
    wanted = set(graph.outputs) | (set(keep) - watched)
    last_use = {i: at for at, node in enumerate(graph.nodes) for i in node.inputs}
    results = {name: env[name] for name in wanted if name in env}
    if watch is not None:
        for name in watched & set(env):
            watch(name, env[name])
    for at, node in enumerate(graph.nodes):
        ins = [constants[i] if i in constants else env[i] for i in node.inputs]
        y = OPS[node.op].run(ins, node.attrs)
        env[node.output] = y
        if node.output in wanted:
            results[node.output] = y
        if watch is not None and node.output in watched:
            watch(node.output, y)
        for i in node.inputs:
            if last_use[i] == at:
                env.pop(i, None)
    return results
