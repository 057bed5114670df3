"""What normalizations tell of the training data, against drawn numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwsim.ir import Node
from hwsim.numerics import quantize_tensor
from hwsim.quant.gptq import damped, round_compensated, row_errors
from hwsim.quant.trained import channel_variances, cut_off
from tests.ir.graphs import small_cnn

G = small_cnn()


@pytest.mark.parametrize(("least", "most"), [(0.0, 6.0), (0.0, np.inf), (-np.inf, 1.0), (-np.inf, np.inf)])
def test_cut_off_normal_numbers(least: float, most: float) -> None:
    mean, spread = np.array([0, -3, 2, 5.0]), np.array([1, 2, 0.5, 3.0])
    drawn = np.clip(np.random.default_rng(0).normal(mean, spread, (400_000, 4)), least, most)
    found = cut_off(mean, spread**2, least, most)
    np.testing.assert_allclose(found[0], drawn.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(found[1], drawn.var(axis=0), rtol=0.02, atol=1e-3)


def test_variances_follow_normalization_clipping_and_sums() -> None:
    found = channel_variances(G)
    scale, bias = (G.float_constant(name).astype(np.float64) for name in ("bn.scale", "bn.bias"))
    np.testing.assert_allclose(found["n1"], scale**2)
    np.testing.assert_allclose(found["r1"], cut_off(bias, scale**2, 0, np.inf)[1])
    assert "c1" not in found  # before the normalization
    assert "r2" not in found  # after a product
    nodes = [replace(n, inputs=("r1", "n1")) if n.op == "Add" else n for n in G.nodes if n.name != "sum"]
    both = G.rebuilt(nodes=[*nodes[:3], Node("twice", "Add", ("n1", "r1"), "t"), *nodes[3:]], values=dict(G.values))
    np.testing.assert_allclose(channel_variances(both)["t"], found["n1"] + found["r1"])


def test_damping_goes_by_the_known_variance() -> None:
    hessian = np.diag([4.0, 2.0, 0.0])[None]
    np.testing.assert_allclose(np.diagonal(damped(hessian, 0.5)[0]), [5, 3, 1])
    known = damped(hessian, 0.5, np.array([[1.0, 1.0, 10.0]]))
    np.testing.assert_allclose(np.diagonal(known[0]), [4.55, 2.55, 4.6])


def test_channels_that_calibration_does_not_stir_do_not_take_the_errors() -> None:
    """Half of the inputs lie still in calibration, and move more than the others in training."""
    rng = np.random.default_rng(4)
    mixed = rng.standard_normal((4000, 16)) @ rng.standard_normal((16, 16)) / 4 * np.where(np.arange(16) < 8, 1, 4)
    seen = mixed * np.where(np.arange(16) < 8, 1, 0.01)
    weight = rng.standard_normal((256, 16)).astype(np.float32)
    near = quantize_tensor(weight, "int4", axis=0)
    hessian, truth = (x.T @ x / len(x) for x in (seen, mixed))
    variance = np.diagonal(truth)[None]

    def error(known: np.ndarray | None) -> float:
        found = round_compensated(weight, damped(hessian[None], 0.1, known), near)
        return float(row_errors(weight, truth[None], found).sum())

    assert error(variance) < 0.9 * error(None)
