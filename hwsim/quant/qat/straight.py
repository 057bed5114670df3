"""Gradients of a network as it stands, with respect to its inputs: storage is passed straight through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hwsim.ir import Graph
from hwsim.quant.qat.adversary import gradient
from hwsim.quant.qat.network import Chip, QatNetwork, key_of
from hwsim.quant.recipe import Recipe

Gradient = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float32]]
"""(inputs [n, ...], labels [n]) -> gradient of the summed cross-entropy with respect to the inputs."""


class StraightThrough(QatNetwork):
    """A quantized graph in torch that learns nothing more.

    Args:
        quantized: what the chip runs.
        recipe: the target's.
        chip: what the chip reads of each value (``hwsim.emulate.values.chip_values``); None: torch's own sums.
    """

    def __init__(self, quantized: Graph, recipe: Recipe, chip: Chip | None = None) -> None:
        super().__init__(quantized, quantized, recipe, chip=chip)
        # Constants of a quantized graph read as what is stored; storing them again at each step would change nothing.
        kept = {key_of(node.output) for node in quantized.nodes if node.op == "Quantize"}
        self.stores = nn.ModuleDict({name: store for name, store in self.stores.items() if name in kept})
        self._joins: dict[str, str] = {}
        self.requires_grad_(False).eval()

    def export(self) -> Graph:
        """The graph that it was made from."""
        return self.graph


def input_gradient(
    graph: Graph, recipe: Recipe, chip: Chip | None = None, *, quantized: Graph | None = None
) -> Gradient:
    """Gradient through a quantized graph, or through a float one.

    Args:
        graph: quantized or float.
        chip: of a quantized graph, as in :class:`StraightThrough`.
        quantized: of a float graph, what ``recipe`` makes of it.
    """
    if quantized is None:
        network: QatNetwork = StraightThrough(graph, recipe, chip)
    else:
        network = QatNetwork(quantized, graph, recipe, full=True)
        network.requires_grad_(False).eval()

    def found(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float32]:
        given = torch.from_numpy(np.ascontiguousarray(x, np.float32))
        made: NDArray[np.float32] = gradient(network, given, torch.from_numpy(np.asarray(y, np.int64))).numpy()
        return made

    return found
