"""What batch normalization remembers of the training data: how much each channel varies there.

A normalization's output has mean ``bias`` and standard deviation ``scale`` over the training data (Nagel, van Baalen,
Blankevoort and Welling, arXiv 1906.04721, section 4.2.1, who correct biases by it). Calibration inputs are few and of
other kinds; channels that hardly stir on them may matter in use.
"""

from __future__ import annotations

from math import erf

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import Graph

Array = NDArray[np.float64]


def channel_variances(graph: Graph) -> dict[str, Array]:
    """The variance [channels] of each value of which normalizations tell, in a graph where they are not folded yet.

    After a Relu or Clip it is that of a normal distribution cut off there; of a sum, both terms' together.
    """
    known: dict[str, tuple[Array, Array]] = {}
    for node in graph.nodes:
        told = [known.get(name) for name in node.inputs]
        if node.op == "BatchNormalization":
            scale, bias = (graph.float_constant(name).astype(np.float64) for name in node.inputs[1:3])
            known[node.output] = bias, scale**2
        elif node.op in ("Relu", "Clip") and told[0] is not None:
            least, most = (0.0, np.inf) if node.op == "Relu" else (node.attrs["min"], node.attrs["max"])
            known[node.output] = cut_off(*told[0], float(least), float(most))
        elif node.op == "Add" and len(told) == 2 and told[0] is not None and told[1] is not None:
            known[node.output] = told[0][0] + told[1][0], told[0][1] + told[1][1]
    return {name: variance for name, (_, variance) in known.items()}


def cut_off(mean: Array, variance: Array, least: float, most: float) -> tuple[Array, Array]:
    """Mean and variance of normally distributed numbers after those outside [least, most] became its ends."""
    spread = np.sqrt(np.maximum(variance, np.finfo(np.float32).tiny))
    first = second = np.zeros_like(mean)
    below, above = np.zeros_like(mean), np.ones_like(mean)  # shares of the numbers below each end
    for end, sign in ((least, 1.0), (most, -1.0)):
        if not np.isfinite(end):
            continue
        at = (end - mean) / spread
        density = np.exp(-0.5 * at**2) / np.sqrt(2 * np.pi)
        share = np.array([0.5 * (1 + erf(v / np.sqrt(2))) for v in at])
        outside = share if sign > 0 else 1 - share
        below, above = (share, above) if sign > 0 else (below, share)
        first = first + end * outside + sign * spread * density
        second = second + end**2 * outside + sign * spread * density * (mean + end)
    inside = above - below
    first = first + mean * inside
    second = second + (mean**2 + variance) * inside
    return first, np.maximum(second - first**2, 0)
