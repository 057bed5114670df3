"""Compensated rounding against a naive statement of its algorithm, and against rounding to nearest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.numerics import quantize_tensor
from hwsim.quant import Scheme, store_weight
from hwsim.quant.gptq import damped, refined, round_compensated, round_with_scales, row_errors


def problem(seed: int, rows: int, k: int, groups: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A weight, and the second moments of correlated inputs."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((groups, k, k))
    x = rng.standard_normal((groups, 4 * k, k)) @ mix
    return rng.standard_normal((groups * rows, k)).astype(np.float32), np.swapaxes(x, 1, 2) @ x / (4 * k)


def naive(weight: np.ndarray, hessian: np.ndarray, scale: np.ndarray, fmt: str) -> np.ndarray:
    """Optimal brain compression, O(K^4): after each column, the rest moves by the closed form with the inverse of the
    Hessian of what is left (Frantar et al., equation 2), columns in the order of falling curvature."""
    left = list(np.argsort(-np.diag(hessian), kind="stable"))
    rows, done = weight.astype(np.float64).copy(), np.zeros_like(weight)
    while left:
        at = left[0]
        inverse = np.linalg.inv(hessian[np.ix_(left, left)])
        column = quantize_tensor(rows[:, at].astype(np.float32), fmt, axis=0, scale=scale).dequantize()
        done[:, at] = column
        error = (rows[:, at] - column) / inverse[0, 0]
        rows[:, left] -= error[:, None] * inverse[0]
        left = left[1:]
    return done


@pytest.mark.parametrize("fmt", ["int4", "int8", "fp4_e2m1"])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_naive_algorithm(fmt: str, seed: int) -> None:
    weight, moments = problem(seed, 5, 17)
    hessian = damped(moments)
    near = store_weight(weight, Scheme(fmt, "per_channel"))
    found = round_compensated(weight, hessian, near)
    np.testing.assert_array_equal(found.dequantize(), naive(weight, hessian[0], near.scale, fmt))


def test_lazy_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, moments = problem(8, 6, 70)
    near = store_weight(weight, Scheme("int4", "per_channel"))
    one = round_compensated(weight, damped(moments), near)
    monkeypatch.setattr("hwsim.quant.gptq.COLUMNS", 16)
    assert one.equals(round_compensated(weight, damped(moments), near))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 3]), st.sampled_from(["per_tensor", "per_channel", "per_group"]))
def test_less_error_than_nearest(seed: int, groups: int, granularity: str) -> None:
    """In the Hessian's norm, over a whole weight; a greedy rule may lose single rows."""
    weight, moments = problem(seed, 16, 24, groups)
    hessian = damped(moments)
    scheme = Scheme("int4", granularity, 8 if granularity == "per_group" else None, symmetric=seed % 2 == 0)  # type: ignore[arg-type]
    near = store_weight(weight, scheme)
    found = round_compensated(weight, hessian, near)
    assert row_errors(weight, hessian, found).sum() < row_errors(weight, hessian, near).sum()
    scaled = round_with_scales(weight, hessian, near)
    assert np.all(row_errors(weight, hessian, scaled) <= row_errors(weight, hessian, found) * (1 + 1e-9))
    assert scaled.shape == near.shape


@pytest.mark.parametrize("fmt", ["int4", "int8", "fp4_e2m1"])
def test_descent_never_loses_and_ends_where_no_code_helps(fmt: str) -> None:
    """Every row's error falls; at the end, no neighbouring code of any single weight is better."""
    weight, moments = problem(11, 12, 20, 2)
    hessian = damped(moments, 0.1)
    start = round_with_scales(weight, hessian, store_weight(weight, Scheme(fmt, "per_channel")))
    found = refined(weight, hessian, start)
    assert np.all(row_errors(weight, hessian, found) <= row_errors(weight, hessian, start) * (1 + 1e-6))
    assert row_errors(weight, hessian, found).sum() < 0.97 * row_errors(weight, hessian, start).sum()
    for _ in range(20):
        found = refined(weight, hessian, found)
    least, levels = row_errors(weight, hessian, found), np.unique(found.dequantize()[0])
    for row, at in np.ndindex(4, 20):
        for level in levels if row == 0 else ():
            real = found.dequantize()
            real[row, at] = level
            off = (weight - real)[row].astype(np.float64)
            assert off @ hessian[0] @ off >= least[row] * (1 - 1e-5)


def test_descent_leaves_other_storage_alone() -> None:
    weight, moments = problem(2, 8, 16)
    for scheme in (Scheme("int4", "per_group", 8), Scheme("int4"), Scheme("int4", "per_channel", symmetric=False)):
        near = store_weight(weight, scheme)
        assert refined(weight, damped(moments), near) is near


def test_uncorrelated_inputs_need_no_compensation() -> None:
    weight = np.random.default_rng(0).standard_normal((6, 12)).astype(np.float32)
    near = store_weight(weight, Scheme("int4", "per_channel"))
    diagonal = np.diag(np.random.default_rng(1).uniform(1, 9, 12))[None]
    assert round_compensated(weight, diagonal, near).equals(near)


def test_inputs_that_are_never_there() -> None:
    """A dead input, and no input at all: the weight is stored, finite, to nearest."""
    weight, moments = problem(3, 4, 9)
    moments[:, 2] = 0
    moments[:, :, 2] = 0
    near = store_weight(weight, Scheme("int4", "per_channel"))
    assert np.isfinite(round_compensated(weight, damped(moments), near).dequantize()).all()
    assert round_compensated(weight, damped(np.zeros_like(moments)), near).equals(near)


@pytest.mark.parametrize("fmt", ["mxfp4", "nvfp4"])
def test_block_formats_keep_their_scales(fmt: str) -> None:
    weight, moments = problem(5, 8, 64)
    near = store_weight(weight, Scheme(fmt))
    found = round_with_scales(weight, damped(moments), near)
    assert np.array_equal(found.scale, near.scale)
    assert row_errors(weight, damped(moments), found).sum() < row_errors(weight, damped(moments), near).sum()
