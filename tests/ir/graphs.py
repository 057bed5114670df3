"""Small graphs that tests share."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.ir import Graph, Node, Value

CONV = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}
POOL = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}


def graph_of(shapes: dict[str, tuple[Any, ...]], nodes: list[Node], constants: dict[str, Any], output: str) -> Graph:
    """A graph whose input is ``x``."""
    values = {name: Value(name, shape) for name, shape in shapes.items()}
    return Graph("small", ("x",), (output,), tuple(nodes), values, constants)


def small_cnn(seed: int = 0, channels: int = 3, size: int = 8, classes: int = 5) -> Graph:
    """Conv, BatchNormalization, Relu, MaxPool, Conv, Relu, residual Add, GlobalAveragePool, Gemm; random weights."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 0.4) -> Any:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    constants = {
        "w1": normal(6, channels, 3, 3),
        "b1": normal(6),
        "bn.scale": rng.uniform(0.5, 1.5, 6).astype(np.float32),
        "bn.bias": normal(6),
        "bn.mean": normal(6),
        "bn.var": rng.uniform(0.5, 1.5, 6).astype(np.float32),
        "w2": normal(6, 6, 3, 3),
        "b2": normal(6),
        "w3": normal(classes, 6),
        "b3": normal(classes),
    }
    half = size // 2
    shapes: dict[str, tuple[Any, ...]] = {
        "x": ("N", channels, size, size),
        "c1": ("N", 6, size, size),
        "n1": ("N", 6, size, size),
        "r1": ("N", 6, size, size),
        "p1": ("N", 6, half, half),
        "c2": ("N", 6, half, half),
        "r2": ("N", 6, half, half),
        "s": ("N", 6, half, half),
        "g": ("N", 6, 1, 1),
        "f": ("N", 6),
        "y": ("N", classes),
    }
    nodes = [
        Node("conv1", "Conv", ("x", "w1", "b1"), "c1", CONV),
        Node("bn1", "BatchNormalization", ("c1", "bn.scale", "bn.bias", "bn.mean", "bn.var"), "n1", {"epsilon": 1e-5}),
        Node("relu1", "Relu", ("n1",), "r1"),
        Node("pool1", "MaxPool", ("r1",), "p1", POOL),
        Node("conv2", "Conv", ("p1", "w2", "b2"), "c2", CONV),
        Node("relu2", "Relu", ("c2",), "r2"),
        Node("add", "Add", ("r2", "p1"), "s"),
        Node("gap", "GlobalAveragePool", ("s",), "g"),
        Node("flatten", "Flatten", ("g",), "f", {"axis": 1}),
        Node("fc", "Gemm", ("f", "w3", "b3"), "y"),
    ]
    return graph_of(shapes, nodes, constants, "y")
