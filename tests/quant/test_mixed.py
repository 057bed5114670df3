"""Mixed precision against every assignment there is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.api import mixed_precision
from hwsim.errors import RecipeError
from hwsim.ir import reference
from hwsim.ir.passes import fold_batchnorm
from hwsim.numerics import QTensor
from hwsim.quant import Recipe, Scheme, quantize
from hwsim.quant.mixed import Sensitivity, assign, mixed, sensitivity, weight_bytes
from hwsim.quant.task import output_error
from tests.ir.graphs import small_cnn
from tests.oracles import need_module

G = small_cnn()
X = np.random.default_rng(3).standard_normal((32, 3, 8, 8)).astype(np.float32)
W8, W4, W2 = (Scheme(fmt, "per_channel") for fmt in ("int8", "int4", "int2"))
SCHEMES = (W8, W4, W2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000), st.floats(0, 1))
def test_the_assignment_is_the_best_of_all(seed: int, share: float) -> None:
    need_module("scipy.optimize")
    rng = np.random.default_rng(seed)
    nodes = ["a", "b", "c", "d"]
    errors = {(n, s.format): float(rng.exponential()) for n in nodes for s in SCHEMES}
    costs = {(n, s.format): float(rng.integers(1, 50)) for n in nodes for s in SCHEMES}
    least, most = (sum(f(costs[n, s.format] for s in SCHEMES) for n in nodes) for f in (min, max))
    budget = least + share * (most - least)
    rows = [Sensitivity(n, s, errors[n, s.format]) for n in nodes for s in SCHEMES]
    found = assign(rows, lambda n, s: costs[n, s.format], budget)
    assert [name for name, _ in found] == nodes
    assert sum(costs[n, s.format] for n, s in found) <= budget * (1 + 1e-6)
    want = min(
        sum(errors[n, s.format] for n, s in zip(nodes, each, strict=True))
        for each in product(SCHEMES, repeat=4)
        if sum(costs[n, s.format] for n, s in zip(nodes, each, strict=True)) <= budget
    )
    assert sum(errors[n, s.format] for n, s in found) <= want * (1 + 1e-6)


def test_sensitivity_is_one_layer_stored_and_all_else_float() -> None:
    rows = sensitivity(G, SCHEMES, X)
    assert [(r.node, r.scheme.format) for r in rows] == [
        (n, f) for n in ("conv1", "conv2", "fc") for f in ("int8", "int4", "int2")
    ]
    wide = Recipe(W4, Scheme("fp32"), accumulator="fp32", keep=("conv1", "fc"))
    graph = quantize(G, wide, X)
    want = reference.run(fold_batchnorm(G), {"x": X})
    alone = output_error(reference.run(graph, {"x": X}), want)
    assert next(r.error for r in rows if (r.node, r.scheme) == ("conv2", W4)) == pytest.approx(alone, rel=1e-6)
    for node in ("conv1", "conv2", "fc"):
        eight, four, two = (r.error for r in rows if r.node == node)
        assert eight < four < two


def test_a_budget_between_gets_formats_between() -> None:
    need_module("scipy.optimize")
    cost = weight_bytes(G)
    everything = [sum(cost(n, s) for n in ("conv1", "conv2", "fc")) for s in (W8, W4)]
    budget = (everything[0] + everything[1]) / 2
    recipe = mixed(G, Recipe(W4, Scheme("int8", symmetric=False)), SCHEMES, X, cost, budget)
    graph = quantize(G, recipe, X)
    held = [graph.constants[f"{n}.weight"] for n in ("conv1", "conv2", "fc")]
    assert sum(h.nbytes_packed for h in held if isinstance(h, QTensor)) <= budget
    assert len({h.format for h in held if isinstance(h, QTensor)}) > 1


def test_too_small_a_budget_says_what_is_needed() -> None:
    need_module("scipy.optimize")
    with pytest.raises(RecipeError, match="cheapest assignment costs 30"):
        assign([Sensitivity("a", W4, 1.0), Sensitivity("b", W4, 1.0)], lambda n, s: 15.0, 29.0)
    with pytest.raises(RecipeError, match="did you mean 'conv1'"):
        quantize(G, Recipe(W4, Scheme("int8"), layers=(("conv11", W4),)), X)


@pytest.mark.parametrize("metric", ["bytes", "seconds", "joules"])
def test_a_targets_budget(metric: str) -> None:
    """With a budget of everything, the widest format; the cheapest costs what the error says."""
    need_module("scipy.optimize")
    recipe = mixed_precision(G, "nvidia-h100", 1e12, X, metric=metric, formats=("fp8_e4m3fn", "fp4_e2m1"))
    assert [scheme.format for _, scheme in recipe.layers] == ["fp8_e4m3fn"] * 3
    with pytest.raises(RecipeError, match="cheapest assignment costs"):
        mixed_precision(G, "nvidia-h100", 0.0, X, metric=metric, formats=("fp8_e4m3fn", "fp4_e2m1"))
