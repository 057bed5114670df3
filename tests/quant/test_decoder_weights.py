"""Weight methods on a real decoder: scales move without a change in float; compensated rounding keeps its answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwsim.ir import Graph, reference
from hwsim.ir.infer import elements
from hwsim.quant import Recipe, Scheme, quantize
from hwsim.quant.equalize_shared import move_shared, shared
from hwsim.quant.observe import BATCH_ELEMENTS, calibration_batches, observe, upto
from hwsim.zoo import model

RECORDED = Path(__file__).parents[1] / "data" / "tiny_llama_logits.npz"
FLOAT = Scheme("fp32")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return model("tiny-llama")


@pytest.fixture(scope="module")
def ids() -> np.ndarray:
    with np.load(RECORDED, allow_pickle=False) as held:
        return held["ids"].astype(np.float32)


def answers(graph: Graph, ids: np.ndarray) -> np.ndarray:
    return reference.run(graph, {graph.inputs[0]: ids})["logits"]


def test_norms_and_gates_of_every_layer_are_places(graph: Graph) -> None:
    found = {place.first.name: [n.name for n in place.seconds] for place in shared(graph)}
    assert found["blk.0.attn_norm"] == ["blk.0.q", "blk.0.k", "blk.0.v"]
    assert found["blk.3.ffn_norm"] == ["blk.3.gate", "blk.3.up"]
    assert found["blk.2.up"] == ["blk.2.down"]
    assert found["norm"] == ["logits"]
    assert len(found) == 3 * 4 + 1
    assert "blk.0.attn_norm" not in {p.first.name for p in shared(graph, keep=("blk.0.k",))}


@pytest.mark.parametrize("rule", ["smooth", "awq"])
def test_moving_scales_keeps_the_float_network(graph: Graph, ids: np.ndarray, rule: str) -> None:
    recipe = Recipe(Scheme("int4", "per_group", 32), FLOAT, "fp32", equalize=rule)
    moved = move_shared(graph, recipe, ids)
    np.testing.assert_allclose(answers(moved, ids[:1]), answers(graph, ids[:1]), rtol=1e-3, atol=1e-3)
    scales = [name for name in moved.constants if name.endswith("layernorm.weight.equalized")]
    assert len(scales) == 8
    changed = [not np.allclose(moved.float_constant(n), graph.float_constant(n[: -len(".equalized")])) for n in scales]
    assert sum(changed) >= 4


def test_compensated_rounding_and_scaling_win_back_most_of_what_nearest_loses(graph: Graph, ids: np.ndarray) -> None:
    want = answers(graph, ids[1:])
    errors = {}
    for name, method, rule in (("near", "nearest", "none"), ("awq", "nearest", "awq"), ("gptq", "gptq", "none")):
        recipe = Recipe(
            Scheme("int3_sm", "per_group", 32), FLOAT, "fp32", weight_method=method, equalize=rule, keep=("logits",)
        )
        stored = quantize(graph, recipe, ids)
        assert stored.constants["blk.1.down.weight"].block_size == 32
        errors[name] = float(np.mean((answers(stored, ids[1:]) - want) ** 2))
    assert errors["gptq"] < 0.6 * errors["near"]
    assert errors["awq"] < errors["near"]


def test_only_the_part_that_makes_a_value_runs(graph: Graph, ids: np.ndarray) -> None:
    head = upto(graph, ["blk.0.q", "blk.1.k"])
    assert head.nodes[-1].output == "blk.1.k"
    assert "logits" not in head.values
    seen = observe(graph, ids, ["blk.0.q", "blk.1.k"], 2)
    assert seen["blk.1.k"].total == 2 * 256 * 64


def test_batches_are_so_small_that_values_fit(graph: Graph) -> None:
    data = np.zeros((300, 256), np.float32)
    sizes = [len(rows) for rows in calibration_batches(graph, data)]
    assert sum(sizes) == 300
    assert max(sizes) * max(elements(v.shape) for v in graph.values.values()) <= BATCH_ELEMENTS
