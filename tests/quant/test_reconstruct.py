"""Passes that watch calibration data: stored weights, biases, channel scales and ranges, against the float network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwsim.ir import Graph, Node, check, dumps, loads, reference
from hwsim.ir.passes import fold_batchnorm
from hwsim.numerics import QTensor
from hwsim.quant import Recipe, Scheme, quantize
from hwsim.quant.equalize import equalized, pairs
from hwsim.quant.moments import Moments
from hwsim.quant.simulate import simulate
from hwsim.quant.task import output_error, refine
from tests.ir.graphs import CONV, graph_of, small_cnn

G = small_cnn()
X = np.random.default_rng(3).standard_normal((64, 3, 8, 8)).astype(np.float32)
NEW = np.random.default_rng(4).standard_normal((64, 3, 8, 8)).astype(np.float32)
W4A8 = Recipe(Scheme("int4", "per_channel"), Scheme("int8", symmetric=False))
W4A4 = Recipe(Scheme("int4", "per_channel"), Scheme("int4", symmetric=False))


def depthwise() -> Graph:
    """Conv, Relu, depthwise Conv, Relu, Conv, with channels whose ranges lie far apart."""
    rng = np.random.default_rng(0)
    spread = np.geomspace(0.05, 20, 6).astype(np.float32)

    def normal(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) * 0.5).astype(np.float32)

    constants = {
        "w1": normal(6, 3, 3, 3) * spread[:, None, None, None],
        "b1": normal(6) * spread,
        "w2": normal(6, 1, 3, 3),
        "b2": normal(6),
        "w3": normal(4, 6, 1, 1) / spread[:, None, None],
    }
    shapes = dict.fromkeys(("c1", "r1", "c2", "r2"), ("N", 6, 8, 8)) | {"x": ("N", 3, 8, 8), "y": ("N", 4, 8, 8)}
    nodes = [
        Node("conv1", "Conv", ("x", "w1", "b1"), "c1", CONV),
        Node("relu1", "Relu", ("c1",), "r1"),
        Node("conv2", "Conv", ("r1", "w2", "b2"), "c2", CONV | {"group": 6}),
        Node("relu2", "Relu", ("c2",), "r2"),
        Node("conv3", "Conv", ("r2", "w3"), "y", CONV | {"pads": (0, 0, 0, 0)}),
    ]
    return check(graph_of(shapes, nodes, constants, "y"))


def error(graph: Graph, recipe: Recipe) -> float:
    """Relative square error on data that calibration has not seen."""
    found = simulate(quantize(graph, recipe, X), {"x": NEW})
    return output_error(found, reference.run(graph, {"x": NEW}))


@pytest.mark.parametrize("graph", [G, depthwise()], ids=["plain", "depthwise"])
def test_each_step_helps_on_data_not_seen(graph: Graph) -> None:
    plain = replace(W4A8, equalize="cross_layer")
    nearest = error(graph, plain)
    assert error(graph, replace(plain, correct_bias=True)) < nearest
    assert error(graph, replace(plain, weight_method="gptq", correct_bias=True)) < 0.85 * nearest


@pytest.mark.parametrize("method", ["nearest", "gptq"])
def test_the_result_is_an_ordinary_quantized_graph(method: str) -> None:
    graph = quantize(G, replace(W4A8, weight_method=method, correct_bias=True), X)
    assert isinstance(graph.constants["conv1.weight"], QTensor)
    assert isinstance(graph.constants["conv1.bias"], QTensor)
    assert dumps(loads(dumps(graph))) == dumps(graph)
    assert dumps(quantize(G, replace(W4A8, weight_method=method, correct_bias=True), X.copy())) == dumps(graph)


def test_corrected_biases_keep_the_means() -> None:
    """Of the first product's sums: its inputs differ by their storage alone."""
    plain = replace(W4A8, accumulator="fp32")
    want = reference.run(fold_batchnorm(G), {"x": X}, keep=["n1"])["n1"].mean(axis=(0, 2, 3))
    means = [
        simulate(quantize(G, replace(plain, correct_bias=on), X), {"x": X}, keep=["n1"])["n1"].mean(axis=(0, 2, 3))
        for on in (True, False)
    ]
    np.testing.assert_allclose(means[0], want, atol=2e-6)
    assert np.abs(means[1] - want).max() > 1e-3


def test_moments_are_numpys() -> None:
    graph = depthwise()
    r1 = reference.run(graph, {"x": X[:3]}, keep=["r1"])["r1"]
    seen = Moments(graph.node("conv2"), graph.float_constant("w2"), r1, 2 * r1)
    padded = np.pad(r1, ((0, 0), (0, 0), (1, 1), (1, 1))).astype(np.float64)
    rows = np.array([padded[n, 4, i : i + 3, j : j + 3].ravel() for n in range(3) for i in range(8) for j in range(8)])
    assert seen.rows == len(rows)
    np.testing.assert_allclose(seen.mean_q[4], rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(seen.qq[4], rows.T @ rows / len(rows), rtol=1e-5)
    np.testing.assert_allclose(seen.fq[4], 2 * rows.T @ rows / len(rows), rtol=1e-5)
    np.testing.assert_allclose(seen.centred()[0][4], np.cov(rows.T, bias=True), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rule", ["cross_layer", "smooth", "awq"])
@pytest.mark.parametrize("graph", [fold_batchnorm(G), depthwise()], ids=["plain", "depthwise"])
def test_equalizing_keeps_the_float_network(rule: str, graph: Graph) -> None:
    moved = equalized(graph, replace(W4A8, equalize=rule), X)
    want = reference.run(graph, {"x": NEW})["y"]
    np.testing.assert_allclose(reference.run(check(moved), {"x": NEW})["y"], want, rtol=2e-4, atol=2e-5)


def test_cross_layer_makes_the_ranges_equal() -> None:
    graph = depthwise()
    assert [(p.first.name, p.second.name) for p in pairs(graph)] == [("conv1", "conv2"), ("conv2", "conv3")]
    moved = equalized(graph, replace(W4A8, equalize="cross_layer"), X)
    dw, last = (moved.float_constant(moved.node(n).inputs[1]) for n in ("conv2", "conv3"))
    rows, columns = np.abs(dw).max(axis=(1, 2, 3)), np.abs(last).max(axis=(0, 2, 3))
    np.testing.assert_allclose(rows / columns, (rows / columns)[0], rtol=1e-4)


@pytest.mark.parametrize("rule", ["cross_layer", "smooth", "awq"])
def test_equalizing_helps_where_channels_lie_apart(rule: str) -> None:
    assert error(depthwise(), replace(W4A8, equalize=rule)) < 0.1 * error(depthwise(), W4A8)


def test_a_shared_value_and_a_clip_stop_the_move() -> None:
    assert [(p.first.name, p.second.name) for p in pairs(fold_batchnorm(G))] == []
    graph = depthwise()
    nodes = [replace(n, op="Clip", attrs={"min": 0.0, "max": 6.0}) if n.op == "Relu" else n for n in graph.nodes]
    assert pairs(graph.rebuilt(nodes=nodes)) == []


def test_the_task_pass_never_loses_on_its_data() -> None:
    graph, original = quantize(G, W4A4.with_calibrator("minmax"), X), fold_batchnorm(G)
    want = reference.run(original, {"x": X[:32]})
    before = output_error(simulate(graph, {"x": X[:32]}), want)
    refined = check(refine(graph, original, X))
    assert output_error(simulate(refined, {"x": X[:32]}), want) < before


def test_simulation_from_the_middle_is_simulation() -> None:
    graph = quantize(G, W4A4, X)
    whole = simulate(graph, {"x": X}, keep=[n.output for n in graph.nodes])
    for start in range(len(graph.nodes)):
        assert np.array_equal(simulate(graph, whole | {"x": X}, start=start)["y"], whole["y"])


def test_multistage_beats_minmax_at_four_bits() -> None:
    assert error(G, W4A4.with_calibrator("multistage")) < error(G, W4A4.with_calibrator("minmax"))
