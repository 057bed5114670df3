"""Attention on a chip, measured: against scipy's entropy and closed forms, head by head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hwsim
from hwsim.attending import attend
from hwsim.emulate import emulate
from hwsim.emulate.attention import HeadRow, study_attention
from hwsim.emulate.stored import real
from hwsim.errors import ModelError, RecipeError
from hwsim.io import Dataset
from hwsim.io._builder import Builder
from hwsim.ir import Graph, reference
from hwsim.quant import quantize, recipe_for
from tests.oracles import need_module

CHIP = hwsim.load_target("hwsim-int4-ws16")
LENGTH, HEADS, WIDTH = 6, 3, 12
X = np.random.default_rng(5).standard_normal((7, LENGTH, WIDTH)).astype(np.float32)


def attention(size: float = 1.0, mask: np.ndarray | None = None) -> Graph:
    """One attention of three heads; ``size`` of the queries' weights; ``mask`` added to the scores."""
    rng, build = np.random.default_rng(3), Builder("attention")
    x = build.input("x", LENGTH, WIDTH)

    def part(name: str, perm: tuple[int, ...], grow: float = 1.0) -> str:
        y = build.add("Gemm", name, x, build.constant(f"{name}.w", grow * rng.standard_normal((WIDTH, WIDTH))))
        y = build.add("Reshape", f"{name}.split", y, shape=(-1, LENGTH, HEADS, WIDTH // HEADS))
        return build.add("Transpose", f"{name}.heads", y, perm=perm)

    q, k = part("q", (0, 2, 1, 3), size), part("k", (0, 2, 3, 1))
    v = part("v", (0, 2, 1, 3))
    scores = build.add("Mul", "scores", build.add("MatMul", "qk", q, k), build.constant("scale", np.array(0.3)))
    if mask is not None:
        scores = build.add("Add", "masked", scores, build.constant("mask", mask))
    y = build.add("MatMul", "pv", build.add("Softmax", "softmax", scores, axis=-1), v)
    y = build.add("Transpose", "rows", y, perm=(0, 2, 1, 3))
    return build.finish([build.add("Reshape", "joined", y, shape=(-1, LENGTH, WIDTH))])


def stored(graph: Graph, calibrator: str = "minmax") -> Graph:
    return quantize(graph, recipe_for(CHIP, None, calibrator), X)


def test_entropies_are_scipys() -> None:
    entropy = need_module("scipy.stats", "pip install scipy").entropy
    graph = attention()
    small = stored(graph)
    study = study_attention(small, CHIP, X, reference=graph)
    kept: dict[str, np.ndarray] = {}
    emulate(small, CHIP, X, watch=lambda name, held: kept.update({name: real(held)}))
    want = reference.run(graph, {"x": X}, keep=["softmax"])["softmax"]
    chip = kept["softmax"]
    p = kept["softmax.q"]
    assert [(row.layer, row.head, row.rows) for row in study.rows] == [("softmax", h, 42) for h in range(HEADS)]
    for head, row in enumerate(study.rows):
        a, b, c = (entropy(held[:, head].astype(np.float64), axis=-1) for held in (want, chip, p))
        assert row.entropy_float == pytest.approx(a.mean(), abs=1e-5)
        assert row.entropy == pytest.approx(b.mean(), abs=1e-5)
        assert row.entropy_stored == pytest.approx(c.mean(), abs=1e-5)
        assert row.row_shift == pytest.approx(np.abs(a - b).mean(), abs=1e-5)
        assert row.shift == pytest.approx(b.mean() - a.mean(), abs=1e-5)
        assert row.mass == pytest.approx(p[:, head].sum(-1).mean(), abs=1e-5)
        assert row.sharp == np.mean(chip[:, head].max(-1) > 0.99)
    assert study.shift == pytest.approx(np.mean([abs(row.shift) for row in study.rows]))
    assert study.outputs.shape == X.shape


def test_equal_scores_have_the_logarithm_of_their_number_for_entropy() -> None:
    graph = attention(0.0)
    for row in study_attention(stored(graph), CHIP, X, reference=graph).rows:
        assert row.entropy_float == row.entropy == pytest.approx(np.log(LENGTH), abs=1e-6)
        assert (row.shift, row.sharp, row.spread_float) == (0, 0, 0)


def test_gain_is_the_slope_of_the_scores() -> None:
    """A chip that computes exactly, of queries half as large: slope a half, no noise, and a flatter softmax."""
    graph, half = attention(), attention(0.5)
    chip = hwsim.load_target("nvidia-h100")
    small = quantize(half, recipe_for(chip, "bf16", "minmax"), X)
    for row in study_attention(small, chip, X, reference=graph, precision="bf16").rows:
        assert row.gain == pytest.approx(0.5, abs=0.01)
        assert row.noise < 0.02 * row.spread_float
        assert row.shift > 0.05


def test_codes_at_the_ends_are_counted() -> None:
    graph = attention()
    small = stored(graph)
    values = dict(small.values)
    (key,) = (n.output for n in small.nodes if n.op == "Quantize" and n.output.startswith("k."))
    quant = values[key].quant
    assert quant is not None
    assert quant.scale is not None
    tight = replace(quant, scale=quant.scale / 1000)
    same = [name for name, value in values.items() if value.quant is quant]
    values |= {name: replace(values[name], quant=tight) for name in same}
    before = study_attention(small, CHIP, X, reference=graph).rows
    after = study_attention(small.rebuilt(values=values), CHIP, X, reference=graph).rows
    assert all(row.key_saturated is not None and row.key_saturated < 0.1 for row in before)
    assert all(row.key_saturated is not None and row.key_saturated > 0.95 for row in after)
    assert all(row.gain < 0.1 for row in after)
    assert [row.query_saturated for row in before] == [row.query_saturated for row in after]


def test_padding_is_not_counted() -> None:
    """Where the last two keys are hidden, so are the softmaxes of those places."""
    mask = np.zeros((1, 1, 1, LENGTH), np.float32)
    mask[..., -2:] = -1e9
    graph = attention(mask=mask)
    rows = study_attention(stored(graph), CHIP, X, reference=graph).rows
    assert {row.rows for row in rows} == {7 * (LENGTH - 2)}
    causal = attention(mask=np.triu(np.full((LENGTH, LENGTH), -1e9, np.float32), 1))
    assert {row.rows for row in study_attention(stored(causal), CHIP, X, reference=causal).rows} == {7 * LENGTH}


def test_the_parts_must_fit() -> None:
    graph = hwsim.load_model("mnist-cnn")
    with pytest.raises(ModelError, match="has no attention"):
        attend(graph, "hwsim-int4-ws16")
    small = stored(attention())
    with pytest.raises(ModelError, match="expected the attention 'softmax'"):
        study_attention(small, CHIP, X, reference=graph)


def test_a_quantized_file_is_held_against_its_own_weights() -> None:
    graph = stored(attention())
    with pytest.raises(RecipeError, match="no recipe changes it"):
        attend(graph, CHIP, Dataset(X, None, "x"), recipe=lambda *_: hwsim.quant.recipe_for(CHIP, None, "mse"))
    study = attend(graph, CHIP, Dataset(X, None, "x"))
    assert study.n == len(X)
    assert isinstance(study.rows[0], HeadRow)
    weights = {name: graph.float_constant(name) for name in graph.constants}
    twin = graph.rebuilt(constants=weights)
    want = reference.run(twin, {"x": X}, keep=["softmax"])["softmax"].astype(np.float64)
    mine = -(want * np.log(want)).sum(-1).mean((0, 2))
    np.testing.assert_allclose([row.entropy_float for row in study.rows], mine, atol=1e-5)
    assert study.to_dict()["heads"][0]["shift"] == study.rows[0].shift
