"""Inputs for networks whose own data no package holds: pictures of other tasks, spectra drawn from a fixed sequence.

They have no right answers of the task. What is counted on them is agreement: the labels are the float network's own
answers, so a chip's score says how often it answers as the float network does, and nothing of how often that is right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import Graph
from hwsim.ir.reference import run

SPECTRA = 200
SCORE_STEP = 1000
"""Anomaly scores are kept as whole thousandths."""


def spectra(shape: tuple[int, ...], top: float, seed: int, count: int = SPECTRA) -> NDArray[np.uint8]:
    """Log spectra [count, 1, frames, bands] of 0 .. ``top``, smooth in time, with a few bands that rise and fall."""
    rng = np.random.default_rng(seed)
    _, frames, bands = shape
    time, band = np.arange(frames)[:, None], np.arange(bands)[None, :]
    out = np.empty((count, 1, frames, bands), np.uint8)
    for at in range(count):
        held = rng.uniform(0.05, 0.35) * (1 + 0.2 * rng.normal(size=(frames, bands)))
        held = held - 0.1 * band / bands
        for _ in range(rng.integers(1, 5)):
            centre = rng.uniform(0, bands) + rng.normal() * bands / 6 * np.sin(time * rng.uniform(0.05, 0.4))
            rise = np.exp(-(((time - rng.uniform(0, frames)) / rng.uniform(frames / 8, frames)) ** 2))
            held = held + rng.uniform(0.2, 0.7) * rise * np.exp(-(((band - centre) / rng.uniform(0.6, bands / 8)) ** 2))
        out[at, 0] = np.clip(np.rint(held * top), 0, 255)
    return out


def answers(graph: Graph, x: NDArray[Any]) -> NDArray[np.uint32]:
    """What the float network says of x [n, ...]: the class, or for one that rebuilds its input how far off it is."""
    name = graph.inputs[0]
    y = np.concatenate([run(graph, {name: x[i : i + 16]})[graph.outputs[0]] for i in range(0, len(x), 16)])
    if y.shape == x.shape:
        scores: NDArray[np.uint32] = np.rint(errors(y, np.asarray(x, np.float32)) * SCORE_STEP).astype(np.uint32)
        return scores
    found: NDArray[np.uint32] = y.reshape(len(y), -1).argmax(axis=1).astype(np.uint32)
    return found


def errors(y: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean squared difference of each input from what the network makes of it, [n]."""
    off: NDArray[np.float64] = ((y - x).reshape(len(x), -1).astype(np.float64) ** 2).mean(axis=1)
    return off
