"""What a chip stores and reads while it runs a network: values by name, chunk by chunk or whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate.run import emulate
from hwsim.emulate.stored import Stored, real
from hwsim.ir import Graph
from hwsim.ir.ops import KEEPS_STORAGE

if TYPE_CHECKING:
    from hwsim.target import Target

Array = NDArray[np.float32]


def chip_values(target: Target, precision: str | None = None) -> Callable[[Graph, Array], Mapping[str, Array]]:
    """A function (quantized graph, inputs) -> what each stored value and each output reads as on ``target``, by name.

    ``QatNetwork(..., chip=chip_values(target))`` learns, and is attacked on, what the chip computes: its accumulators
    with their width and overflow, its requantization, its vector format.
    """

    def values(graph: Graph, inputs: Array) -> dict[str, Array]:
        parts, outputs = stored_values(graph, inputs, target, precision)
        return {**{name: np.concatenate([real(held) for held in found]) for name, found in parts.items()}, **outputs}

    return values


def stored_values(
    graph: Graph, inputs: Array, target: Target, precision: str | None = None
) -> tuple[Mapping[str, list[Stored]], Mapping[str, Array]]:
    """Stored values chunk by chunk, and outputs; values that only pass storage on are left out."""
    passed = {node.output for node in graph.nodes if node.op in KEEPS_STORAGE}
    parts: dict[str, list[Stored]] = {}

    def take(name: str, held: Stored) -> Stored:
        if name not in passed:
            parts.setdefault(name, []).append(held)
        return held

    found = emulate(graph, target, inputs, precision=precision, tamper=take)
    return parts, found.outputs
