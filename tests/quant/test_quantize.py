"""Ranges, storage and placement: what quantization does to a graph, against brute force and the float network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.errors import DataError, FormatError, RecipeError
from hwsim.ir import Graph, dumps, loads, reference
from hwsim.ir.passes import fold_batchnorm
from hwsim.numerics import QTensor, quantize_tensor
from hwsim.quant import CALIBRATORS, Recipe, Scheme, quantize, store_weight
from tests.ir.graphs import small_cnn

G = small_cnn()
X = np.random.default_rng(3).standard_normal((32, 3, 8, 8)).astype(np.float32)
INT4 = Recipe(Scheme("int4", "per_channel"), Scheme("int4", symmetric=False))
INT8 = Recipe(Scheme("int8", "per_channel"), Scheme("int8", symmetric=False))


def mse(rows: np.ndarray, scheme: Scheme, scale: np.ndarray, zero: np.ndarray | None) -> np.ndarray:
    stored = quantize_tensor(rows, scheme.format, axis=0, scale=scale.astype(np.float32), zero_point=zero)
    return np.mean((stored.dequantize().astype(np.float64) - rows) ** 2, axis=1)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(["int4", "int4_sym", "uint4", "int8", "fp4_e2m1", "fp8_e4m3fn", "int4_sm"]),
    st.floats(-20, 20),
)
def test_minmax_covers_every_sample(seed: int, fmt: str, log_size: float) -> None:
    rows = np.random.default_rng(seed).standard_normal((3, 50)).astype(np.float32) * np.float32(2.0**log_size)
    symmetric = fmt not in ("uint4",)
    scheme = Scheme(fmt, symmetric=symmetric)
    found = CALIBRATORS["minmax"].fit(rows, scheme)
    assert np.all(found.scale > 0)
    back = quantize_tensor(rows, fmt, axis=0, scale=found.scale, zero_point=found.zero_point).dequantize()
    step = found.scale[:, None] * (0.51 if fmt[:2] != "fp" else 32 if "e4m3" in fmt else 1.01)
    slack = found.scale[:, None] * (0.5 if not symmetric else 0)
    assert np.all(np.abs(back - rows) <= step + slack)


@pytest.mark.parametrize("fmt", ["int4", "fp4_e2m1", "int8", "fp8_e4m3fn"])
def test_mse_beats_minmax_and_every_fraction(fmt: str) -> None:
    """Heavy tails: the range found is no worse than a brute-force search over its grid."""
    rows = np.random.default_rng(5).standard_t(2.5, (8, 400)).astype(np.float32)
    scheme = Scheme(fmt)
    found = CALIBRATORS["mse"].fit(rows, scheme)
    best = mse(rows, scheme, found.scale, None)
    amax = np.abs(rows).max(axis=1)
    largest = {"int4": 7, "fp4_e2m1": 6, "int8": 127, "fp8_e4m3fn": 448}[fmt]
    for fraction in np.linspace(1, 0.2, 81):
        assert np.all(best <= mse(rows, scheme, amax * fraction / largest, None) * (1 + 1e-6))
    if fmt == "int4":
        assert np.all(best < mse(rows, scheme, amax / largest, None))


def test_asymmetric_keeps_zero_exact() -> None:
    rows = np.abs(np.random.default_rng(1).standard_normal((4, 100))).astype(np.float32) - np.float32(0.2)
    for name in CALIBRATORS:
        found = CALIBRATORS[name].fit(rows, Scheme("int4", symmetric=False))
        assert found.zero_point is not None
        stored = quantize_tensor(
            np.zeros((4, 1), np.float32), "int4", axis=0, scale=found.scale, zero_point=found.zero_point
        )
        assert np.all(stored.dequantize() == 0)


def test_all_zero_and_constant_tensors() -> None:
    for name in CALIBRATORS:
        found = CALIBRATORS[name].fit(np.zeros((2, 9), np.float32), Scheme("int4"))
        assert np.array_equal(found.scale, [1, 1])


@pytest.mark.parametrize(
    ("scheme", "scale_shape"),
    [
        (Scheme("int4"), ()),
        (Scheme("int4", "per_channel"), (6,)),
        (Scheme("int4", "per_group", 4), (6, 2, 3, 3)),
        (Scheme("mxfp4"), (6, 1, 3, 3)),
        (Scheme("nvfp4"), (6, 1, 3, 3)),
    ],
)
def test_weight_granularity(scheme: Scheme, scale_shape: tuple[int, ...]) -> None:
    weight = G.float_constant("w2")
    stored = store_weight(weight, scheme)
    assert stored.shape == weight.shape
    assert np.asarray(stored.scale).shape == scale_shape
    assert np.abs(stored.dequantize() - weight).max() < 0.35


def test_finer_granularity_is_never_worse() -> None:
    weight = G.float_constant("w2") * np.geomspace(0.1, 10, 6, dtype=np.float32)[:, None, None, None]
    errors = [
        float(np.mean((store_weight(weight, s).dequantize() - weight) ** 2))
        for s in (Scheme("int4"), Scheme("int4", "per_channel"), Scheme("int4", "per_group", 2))
    ]
    assert errors[0] > errors[1] > errors[2]


def test_quantize_sits_before_pooling_and_on_inputs() -> None:
    """The Quantize between conv1 and conv2 moves up past MaxPool when pooling feeds it alone."""
    alone = replace(G, nodes=tuple(replace(n, inputs=("r2", "r2")) if n.op == "Add" else n for n in G.nodes))
    ops = [n.op for n in quantize(alone, INT4, X)]
    assert ops[:5] == ["Quantize", "Conv", "Relu", "Quantize", "MaxPool"]
    shared = [n.op for n in quantize(G, INT4, X)]
    assert shared[:5] == ["Quantize", "Conv", "Relu", "MaxPool", "Quantize"]


def test_bias_is_int32_in_the_accumulators_scale() -> None:
    graph = quantize(G, INT8, X)
    node = graph.node("conv2")
    bias, weight = graph.constants[node.inputs[2]], graph.constants[node.inputs[1]]
    assert isinstance(bias, QTensor)
    assert isinstance(weight, QTensor)
    assert bias.format == "int32"
    quant = graph.value(node.inputs[0]).quant
    assert quant is not None
    np.testing.assert_allclose(bias.scale, quant.scale * weight.scale, rtol=1e-6)
    np.testing.assert_allclose(bias.dequantize(), G.float_constant("b2"), atol=float(bias.scale.max()))


def test_float_meaning_stays_near() -> None:
    """Stored weights, run in float: 8 bits change answers by little, 4 bits by more."""
    want = reference.run(G, {"x": X})["y"]
    errors = []
    for recipe in (INT8, INT4):
        got = reference.run(quantize(G, recipe, X), {"x": X})["y"]
        errors.append(float(np.linalg.norm(got - want) / np.linalg.norm(want)))
    assert errors[0] < 0.02 < errors[1] < 0.4


def test_quantized_graph_round_trips_as_text() -> None:
    graph = quantize(G, INT4, X)
    text = dumps(graph)
    assert dumps(loads(text)) == text


def test_keep_leaves_a_node_in_float() -> None:
    graph = quantize(G, replace(INT4, keep=("fc",)), X)
    assert not isinstance(graph.constants[graph.node("fc").inputs[1]], QTensor)
    assert graph.value(graph.node("fc").inputs[0]).quant is None


def test_same_data_same_graph() -> None:
    assert dumps(quantize(G, INT4, X)) == dumps(quantize(G, INT4, X.copy()))


def test_bad_recipes() -> None:
    with pytest.raises(FormatError, match="did you mean 'int4'"):
        Scheme("int44")
    with pytest.raises(RecipeError, match="group_size"):
        Scheme("int4", "per_group")
    with pytest.raises(RecipeError, match="zero point"):
        Scheme("fp8_e4m3fn", symmetric=False)
    with pytest.raises(RecipeError, match="did you mean 'minmax'"):
        quantize(G, INT4.with_calibrator("minmx"), X)
    with pytest.raises(RecipeError, match="did you mean 'conv1'"):
        quantize(G, replace(INT4, keep=("conv11",)), X)
    with pytest.raises(DataError, match="empty"):
        quantize(G, INT4, X[:0])
    with pytest.raises(DataError, match="must have shape"):
        quantize(G, INT4, X[:, :2])


def packed(fmt: str, zero: int | None, channels: bool) -> Graph:
    """The small network whose weights came packed, with scales that no calibrator would find."""
    graph = fold_batchnorm(G)
    rng, constants = np.random.default_rng(8), dict(graph.constants)
    for node in graph.nodes:
        if node.op in ("Conv", "Gemm"):
            weight = graph.float_constant(node.inputs[1])
            scale = (rng.uniform(0.3, 0.5, len(weight) if channels else ()) * np.abs(weight).max()).astype(np.float32)
            points = None if zero is None else np.full(scale.shape, zero, np.int32)
            constants[node.inputs[1]] = quantize_tensor(
                weight, fmt, axis=0 if channels else None, scale=scale, zero_point=points
            )
    return graph.rebuilt(constants=constants)


@pytest.mark.parametrize("method", ["nearest", "gptq"])
@pytest.mark.parametrize(("fmt", "zero"), [("uint4", 8), ("int4", None), ("int3_sm", None), ("int4_offset", None)])
def test_packed_weights_keep_their_numbers_where_the_scheme_has_them(fmt: str, zero: int | None, method: str) -> None:
    graph = packed(fmt, zero, channels=fmt != "int3_sm")
    found = quantize(graph, replace(INT4, weight_method=method), X)
    for old, new in zip(graph.nodes, (n for n in found.nodes if n.op != "Quantize"), strict=True):
        if old.op in ("Conv", "Gemm"):
            held = found.constants[new.inputs[1]]
            assert isinstance(held, QTensor)
            assert (held.format, held.axis) == ("int4", 0)
            np.testing.assert_array_equal(held.dequantize(), graph.float_constant(old.inputs[1]))


def test_packed_weights_that_do_not_fit_are_rounded_anew() -> None:
    graph = packed("int8", None, channels=True)
    for method in ("nearest", "gptq"):
        found = quantize(graph, replace(INT4, weight_method=method), X)
        stored = [c for c in found.constants.values() if isinstance(c, QTensor) and c.format == "int4"]
        assert len(stored) == sum(n.op in ("Conv", "Gemm") for n in G.nodes)
