"""Grouped convolutions in one pass against the same convolution group by group through ``mma``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwsim.emulate import emulate, grouped
from hwsim.ir import Graph, Node
from hwsim.numerics import QTensor
from hwsim.quant import quantize, recipe_for
from hwsim.target import load_target
from tests.ir.graphs import graph_of

ATTRS = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}


def network(channels: int, out: int, kernel: int, **attrs: Any) -> tuple[Graph, np.ndarray]:
    """A grouped convolution with bias and Clip, then a product that makes its result be stored."""
    rng = np.random.default_rng(channels + out)
    merged = {**ATTRS, "pads": (kernel // 2,) * 4, **attrs}
    x = rng.standard_normal((3, channels, 9, 7)).astype(np.float32)
    span = [(kernel - 1) * d + 1 for d in merged["dilations"]]
    (top, left, bottom, right), strides = merged["pads"], merged["strides"]
    size = ((9 + top + bottom - span[0]) // strides[0] + 1, (7 + left + right - span[1]) // strides[1] + 1)
    shapes = {"x": ("N", *x.shape[1:]), "c": ("N", out, *size), "r": ("N", out, *size), "y": ("N", 2, *size)}
    nodes = [
        Node("conv", "Conv", ("x", "w", "b"), "c", merged),
        Node("clip", "Clip", ("c",), "r", {"min": 0.0, "max": 6.0}),
        Node("head", "Conv", ("r", "w2"), "y", {**ATTRS, "pads": (0, 0, 0, 0)}),
    ]
    weights = {
        "w": rng.standard_normal((out, channels // merged["group"], kernel, kernel)).astype(np.float32),
        "b": rng.standard_normal(out).astype(np.float32),
        "w2": rng.standard_normal((2, out, 1, 1)).astype(np.float32),
    }
    return graph_of(shapes, nodes, weights, "y"), x


def both_ways(graph: Graph, x: np.ndarray, target: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same output and the same counts of health, in one pass and group by group."""
    chip = load_target(target)
    one = emulate(graph, chip, x, precision=precision)
    with monkeypatch.context() as patch:
        patch.setattr(grouped.Grouped, "of", classmethod(lambda cls, *_: None))
        other = emulate(graph, chip, x, precision=precision)
    np.testing.assert_array_equal(one.output, other.output)
    assert one.trace.health == other.trace.health


@pytest.mark.parametrize(("target", "precision"), [("qualcomm-hexagon", "w4a8"), ("ascend-910b4", "int8")])
@pytest.mark.parametrize(
    ("channels", "out", "kernel", "attrs"),
    [
        (6, 6, 3, {"group": 6}),
        (6, 6, 5, {"group": 6, "strides": (2, 2), "pads": (1, 2, 2, 1)}),
        (4, 12, 3, {"group": 4}),
        (8, 6, 3, {"group": 2, "dilations": (2, 1)}),
        (6, 6, 1, {"group": 6}),
    ],
)
def test_one_pass_equals_the_unit(
    channels: int,
    out: int,
    kernel: int,
    attrs: dict[str, Any],
    target: str,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph, x = network(channels, out, kernel, **attrs)
    seen: list[int] = []
    inner = grouped.Grouped.sums

    def watch(self: Any, *args: Any) -> Any:
        seen.append(1)
        return inner(self, *args)

    monkeypatch.setattr(grouped.Grouped, "sums", watch)
    both_ways(quantize(graph, recipe_for(load_target(target), precision), x), x, target, precision, monkeypatch)
    assert seen


@pytest.mark.parametrize(("target", "precision"), [("qualcomm-hexagon", "w4a8"), ("ascend-910b4", "int8")])
def test_sums_near_the_edge_go_through_the_unit(target: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Biases at the ends of int32: wrapped or saturated, and counted, as the unit does."""
    graph, x = network(6, 6, 3, group=6)
    quantized = quantize(graph, recipe_for(load_target(target), precision), x)
    name = quantized.node("conv").inputs[2]
    held = quantized.constants[name]
    assert isinstance(held, QTensor)
    edge = np.array([2**31 - 1, -(2**31), 5, 2**31 - 100, -7, -(2**31) + 100], np.int64).astype(np.uint32)
    constants = {**quantized.constants, name: replace(held, codes=edge)}
    graph = quantized.rebuilt(constants=constants)
    both_ways(graph, x, target, precision, monkeypatch)
    run = emulate(graph, load_target(target), x, precision=precision)
    assert next(row for row in run.trace.health if row.layer == "conv").overflowed > 0
