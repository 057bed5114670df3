"""Where a graph attends, factors a head, and changes before storage that leave the float network as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hwsim
from hwsim import zoo
from hwsim.errors import ModelError, RecipeError
from hwsim.io import safetensors
from hwsim.io._builder import Builder
from hwsim.ir import Graph, reference
from hwsim.numerics import QTensor
from hwsim.quant import quantize, recipe_for
from hwsim.quant.attention import PLACES, attentions, heads_of, log_scaled
from hwsim.quant.equalize import equalized
from hwsim.quant.fold import folded
from hwsim.quant.rotate import hadamard
from tests.io import decoders
from tests.oracles import need_network

IDS = np.random.default_rng(1).integers(0, 64, (6, 12)).astype(np.float32)
INT4 = recipe_for(hwsim.load_target("hwsim-int4-ws16"), None, "minmax")
RULES = ("smooth_attention", "head_scales", "rotate")


def encoder(heads: int = 4, width: int = 32, length: int = 6) -> Graph:
    """One attention without a rotary embedding, whose heads differ in size, over real inputs."""
    rng, build = np.random.default_rng(3), Builder("encoder")
    x = build.input("x", length, width)
    size = np.repeat(2.0 ** np.arange(heads), width // heads)

    def part(name: str, perm: tuple[int, ...], grow: np.ndarray) -> str:
        weight = rng.standard_normal((width, width)) / width**0.5 * grow[:, None]
        y = build.add("Gemm", name, x, build.constant(f"{name}.w", weight), build.constant(f"{name}.b", grow / 8))
        y = build.add("Reshape", f"{name}.split", y, shape=(-1, length, heads, width // heads))
        return build.add("Transpose", f"{name}.heads", y, perm=perm)

    q, k = part("q", (0, 2, 1, 3), size**0.5), part("k", (0, 2, 3, 1), 1 / size)
    v = part("v", (0, 2, 1, 3), size)
    scores = build.add("Div", "scores", build.add("MatMul", "qk", q, k), build.constant("root", np.array(2.0)))
    y = build.add("MatMul", "pv", build.add("Softmax", "softmax", scores, axis=-1), v)
    y = build.add("Reshape", "joined", build.add("Transpose", "rows", y, perm=(0, 2, 1, 3)), shape=(-1, length, width))
    weight = build.constant("o.w", rng.standard_normal((width, width)) / size[None, :])
    return build.finish([build.add("Gemm", "o", y, weight)])


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return safetensors.load(decoders.folder(tmp_path_factory.mktemp("m"), decoders.weights()), length=12)


X = np.random.default_rng(5).standard_normal((8, 6, 32)).astype(np.float32)


def answer(graph: Graph, x: np.ndarray) -> np.ndarray:
    return reference.run(graph, {graph.inputs[0]: x})[graph.outputs[0]]


def test_attentions_of_a_decoder_with_shared_keys(decoder: Graph) -> None:
    found = attentions(decoder)
    assert [a.name for a in found] == ["blk.0.softmax", "blk.1.softmax"]
    first = found[0]
    assert (first.heads, first.kv_heads(decoder), first.rotary, first.projected) == (4, 2, "halves", True)
    parts = (first.query, first.key, first.value, first.output)
    assert [n and n.name for n in parts] == ["blk.0.q", "blk.0.k", "blk.0.v", "blk.0.o"]
    stored = quantize(decoder, INT4, IDS)
    assert [(a.name, a.heads, a.projected) for a in attentions(stored)] == [(a.name, a.heads, True) for a in found]


def test_a_network_without_attention_has_none() -> None:
    graph = hwsim.load_model("mnist-cnn")
    assert attentions(graph) == ()
    with pytest.raises(ModelError, match="has no attention"):
        log_scaled(graph)


def test_attentions_of_minilm() -> None:
    need_network("minilm")
    found = attentions(zoo.model("minilm"))
    assert [(a.heads, a.rotary, a.projected) for a in found] == [(12, None, True)] * 6


@pytest.mark.parametrize("places", [PLACES, ("scores",), ("query", "value")], ids=str)
def test_factors_of_one_change_no_bit(decoder: Graph, places: tuple[str, ...]) -> None:
    made, learned = log_scaled(decoder, places)
    np.testing.assert_array_equal(answer(made, IDS), answer(decoder, IDS))
    assert len(learned) == 2 * len(places)
    for name, numbers in learned.items():
        assert made.constants[name].size % numbers == 0
        assert numbers == (2 if ".k." in name or ".v." in name else 4)


def test_factors_scale_their_own_head(decoder: Graph) -> None:
    made, learned = log_scaled(decoder, ("value", "scores"))
    (value, scores), constants = list(learned)[:2], dict(made.constants)
    assert scores == "blk.0.scores.factor"
    wide = np.array(constants[value])
    wide[wide.size // 2 :] = 3
    constants[value] = wide
    names = ["blk.0.v.groups", "blk.0.masked"]
    before, after = (reference.run(g, {"tokens": IDS}, keep=names) for g in (made, made.rebuilt(constants=constants)))
    np.testing.assert_array_equal(before[names[0]][:, 0], after[names[0]][:, 0])
    np.testing.assert_array_equal(before[names[0]][:, 1] * 3, after[names[0]][:, 1])
    constants[scores] = np.array(made.constants[scores]) * np.float32([1, 2, 1, 1]).reshape(2, 2, 1, 1)
    after = reference.run(made.rebuilt(constants=constants), {"tokens": IDS}, keep=names)
    seen = before[names[1]] > -1e6
    np.testing.assert_array_equal(before[names[1]][:, 0, 0], after[names[1]][:, 0, 0])
    twice = seen[:, 0, 1]
    np.testing.assert_array_equal(2 * before[names[1]][:, 0, 1][twice], after[names[1]][:, 0, 1][twice])


def test_scores_divided_by_a_root_take_factors_too() -> None:
    graph = encoder()
    made, learned = log_scaled(graph)
    assert learned["scores.factor"] == 4
    np.testing.assert_allclose(answer(made, X), answer(graph, X), rtol=1e-6, atol=1e-6)


def test_what_is_asked_for_must_be_there(decoder: Graph) -> None:
    with pytest.raises(RecipeError, match="did you mean 'query'"):
        log_scaled(decoder, ("querry",))
    with pytest.raises(RecipeError, match="has log-scales already"):
        log_scaled(log_scaled(decoder)[0])


@pytest.mark.parametrize("chip", ["hwsim-int4-ws16", "nvidia-h100"])
def test_folded_factors_leave_codes_of_weights_and_sums(chip: str) -> None:
    """Factors of q, k and v become part of their products' scales; no Mul is left but the scores'."""
    made, learned = log_scaled(encoder())
    target, rng = hwsim.load_target(chip), np.random.default_rng(2)
    stored = quantize(made, recipe_for(target, None, "minmax"), X)
    constants = dict(stored.constants)
    for name, numbers in learned.items():
        held = np.array(constants[name])
        factor = np.exp(rng.normal(0, 0.3, (numbers, 1)))
        constants[name] = (held.reshape(numbers, -1) * factor).astype(np.float32).reshape(held.shape)
    stored = stored.rebuilt(constants=constants)
    small = folded(stored)
    assert [n.name for n in small.nodes if n.op == "Mul"] == ["scores"]
    codes, before = small.constants["q.weight.folded"], stored.constants["q.weight"]
    assert isinstance(codes, QTensor)
    assert isinstance(before, QTensor)
    np.testing.assert_array_equal(codes.codes, before.codes)
    want, got = (hwsim.emulate(g, target, X).output for g in (stored, small))
    noise = np.sqrt(np.mean((got - want) ** 2) / np.mean(want**2))
    assert noise < 0.05, "a code here and there, or the 16-bit rounding of a vector unit"


def test_factors_stay_where_a_scale_is_not_the_channels(decoder: Graph) -> None:
    chip = hwsim.load_target("nvidia-b200")
    stored = quantize(log_scaled(decoder, ("value",))[0], recipe_for(chip, "nvfp4", "minmax"), IDS)
    assert [n.op for n in folded(stored).nodes] == [n.op for n in stored.nodes]


@pytest.mark.parametrize("rule", RULES)
def test_the_float_network_stays_the_same(decoder: Graph, rule: str) -> None:
    for graph, x in ((decoder, IDS), (encoder(), X)):
        moved = equalized(graph, replace(INT4, equalize=rule), x)
        assert moved is not graph
        want = answer(graph, x)
        np.testing.assert_allclose(answer(moved, x), want, rtol=1e-4, atol=2e-5 * np.abs(want).max())


@pytest.mark.parametrize(("rule", "share"), [("smooth_attention", 0.8), ("head_scales", 0.5)])
def test_heads_of_many_sizes_lose_less(rule: str, share: float) -> None:
    """Keys and values whose heads differ by eight times cannot share a 4-bit step; moved scales can."""
    graph = encoder()
    want = answer(graph, X)

    def lost(recipe: hwsim.quant.Recipe) -> float:
        return float(np.square(hwsim.emulate(quantize(graph, recipe, X), "hwsim-int4-ws16", X).output - want).sum())

    assert lost(replace(INT4, equalize=rule)) < share * lost(INT4)


def test_after_head_scales_every_head_fills_the_range() -> None:
    graph = encoder()
    moved = equalized(graph, replace(INT4, equalize="head_scales"), X)
    (a,) = attentions(moved)
    for name in (*a.qk.inputs, a.pv.inputs[1]):
        kept = reference.run(moved, {"x": X}, keep=[name])[name]
        spans = [np.ptp(kept[:, head]) for head in range(heads_of(moved, name))]
        assert max(spans) < 1.02 * min(spans), name


def test_a_rotation_spreads_an_outlier(decoder: Graph) -> None:
    """One channel of the stream ten times the others: after the turn no channel stands out."""
    constants = dict(decoder.constants)
    table = np.array(decoder.float_constant("model.embed_tokens.weight"))
    table[:, 3] *= 30
    constants["model.embed_tokens.weight"] = table
    graph = decoder.rebuilt(constants=constants)
    moved = equalized(graph, replace(INT4, equalize="rotate"), IDS)

    def peak(g: Graph) -> float:
        x = reference.run(g, {"tokens": IDS}, keep=["embedding"])["embedding"]
        return float(np.abs(x).max() / np.sqrt(np.mean(x**2)))

    assert peak(moved) < 0.6 * peak(graph)
    np.testing.assert_allclose(answer(moved, IDS), answer(graph, IDS), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [2, 32, 128])
def test_the_turn_is_orthogonal(size: int) -> None:
    turn = hadamard(size)
    np.testing.assert_allclose(turn @ turn.T, np.eye(size), atol=1e-12)
    np.testing.assert_allclose(np.abs(turn), size**-0.5)
