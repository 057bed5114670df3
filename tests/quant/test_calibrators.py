"""Each rule against an independent statement of it: numpy's percentile, scipy's entropy, densities known in advance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.numerics import quantize_tensor
from hwsim.quant import CALIBRATORS, Scheme
from hwsim.quant.calibrators import Range
from hwsim.quant.calibrators.entropy import divergence
from hwsim.quant.calibrators.order import Percentile
from hwsim.quant.calibrators.tails import GaussianMixture, KernelDensity
from hwsim.quant.histogram import Histogram
from tests.oracles import need_module

SCHEMES = (Scheme("int4"), Scheme("int4", symmetric=False), Scheme("int8"), Scheme("uint4", symmetric=False))
RULES = tuple(CALIBRATORS)


def points(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seen = Histogram()
    seen.add(x)
    values, counts = seen.points()
    return values[None], counts[None]


def outlying(seed: int, n: int = 20_000, outlier: float = 40.0) -> np.ndarray:
    """Normal numbers, and one in two thousand far away."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n).astype(np.float32)
    x[:: n // 10] = np.float32(outlier) * rng.choice([-1, 1], len(x[:: n // 10])).astype(np.float32)
    return x


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(60, 100), st.booleans())
def test_percentile_is_numpys(seed: int, percent: float, symmetric: bool) -> None:
    x = np.random.default_rng(seed).standard_t(3, (2, 500)).astype(np.float32)
    scheme = Scheme("int4", symmetric=symmetric)
    found = Percentile(percent).fit(x, scheme)
    if symmetric:
        want = np.percentile(np.abs(x).astype(np.float64), percent, axis=1, method="inverted_cdf") / 7
    else:
        outside = (100 - percent) / 2
        low, high = np.percentile(x.astype(np.float64), [outside, 100 - outside], axis=1, method="inverted_cdf")
        want = (np.maximum(high, 0) - np.minimum(low, 0)) / 15
    np.testing.assert_allclose(found.scale, want, rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(50, 100))
def test_counts_mean_repetition(seed: int, percent: float) -> None:
    rng = np.random.default_rng(seed)
    values, counts = np.sort(rng.standard_normal(60)).astype(np.float32), rng.integers(1, 9, 60)
    repeated = np.repeat(values, counts)[None]
    for rule in (Percentile(percent), CALIBRATORS["mse"], CALIBRATORS["minmax"]):
        for scheme in SCHEMES[:2]:
            one = rule.fit(values[None], scheme, counts[None].astype(np.float64))
            other = rule.fit(repeated, scheme)
            np.testing.assert_allclose(one.scale, other.scale, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["int4", "int8", "fp4_e2m1"]), st.floats(0.1, 1.2))
def test_divergence_is_scipys_entropy(seed: int, fmt: str, share: float) -> None:
    """P and Q written down bin by bin from their definition, then scipy's relative entropy."""
    entropy = need_module("scipy.stats").entropy
    rng = np.random.default_rng(seed)
    values = np.unique(rng.standard_t(3, 200).astype(np.float32))
    counts = rng.integers(0, 50, len(values)).astype(np.float64)
    counts[len(values) // 2] = 3
    largest = {"int4": 7, "int8": 127, "fp4_e2m1": 6}[fmt]
    scale = np.float32(np.abs(values).max() * share / largest)
    low, high = (-8 if fmt == "int4" else -128 if fmt == "int8" else -6) * scale, largest * scale
    real = quantize_tensor(values, fmt, scale=scale).dequantize()
    p, q = [], []
    inside = [i for i in range(len(values)) if low <= values[i] <= high and counts[i] > 0]
    for i in inside:
        mates = [j for j in inside if real[j] == real[i]]
        q.append(sum(counts[j] for j in mates) / len(mates))
        p.append(counts[i])
    p[0] += sum(counts[i] for i in range(len(values)) if values[i] < low)
    p[-1] += sum(counts[i] for i in range(len(values)) if values[i] > high)
    found = divergence(values, counts, Range(np.array([scale]), None), Scheme(fmt))
    np.testing.assert_allclose(found, entropy(p, q), rtol=1e-9, atol=1e-12)


def test_kl_takes_the_least_divergence_of_its_grid() -> None:
    values, counts = points(outlying(4))
    scheme = Scheme("int4")
    found = CALIBRATORS["kl"].fit(values, scheme, counts)
    counts = np.where(values == 0, 0, counts)
    best = divergence(values[0], counts[0], found, scheme)
    amax = float(np.abs(values[0][counts[0] > 0]).max())
    for fraction in np.linspace(1, 0.05, 96):
        tried = Range(np.array([amax * fraction / 7], np.float32), None)
        assert best <= divergence(values[0], counts[0], tried, scheme) + 1e-12


@pytest.mark.parametrize("rule", ["mse", "kl", "mixture", "kde", "multistage"])
def test_outliers_are_clipped(rule: str) -> None:
    """Ten numbers at 40 among 20,000 normal ones: INT4 that covers them cannot see the rest."""
    values, counts = points(outlying(1))
    found = CALIBRATORS[rule].fit(values, Scheme("int4"), counts)
    assert 1.5 < 7 * float(found.scale[0]) < 20 < 40 == float(values.max())


@pytest.mark.parametrize("model", [GaussianMixture(1), GaussianMixture(), KernelDensity()])
def test_a_fitted_density_is_near_the_one_drawn_from(model: GaussianMixture | KernelDensity) -> None:
    norm = need_module("scipy.stats").norm
    x = np.sort(np.random.default_rng(0).normal(3.0, 2.0, 50_000))
    grid = np.linspace(-4, 10, 57)
    found = model.density(x, np.ones(len(x)))(grid)
    np.testing.assert_allclose(found, norm(3.0, 2.0).pdf(grid), atol=0.02)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: f"{s.format}-{s.symmetric}")
def test_every_rule_scales_with_the_data_and_repeats(rule: str, scheme: Scheme) -> None:
    x = np.maximum(outlying(9, 4000, 9.0), -0.5)
    values, counts = points(x)
    first = CALIBRATORS[rule].fit(values, scheme, counts)
    again = CALIBRATORS[rule].fit(values.copy(), scheme, counts.copy())
    wider = CALIBRATORS[rule].fit(values * 4, scheme, counts)
    assert first.scale.shape == (1,)
    assert np.array_equal(first.scale, again.scale)
    np.testing.assert_allclose(wider.scale, first.scale * 4, rtol=0.03)
    whole = CALIBRATORS["minmax"].fit(values, scheme, counts)
    assert 0 < first.scale[0] <= whole.scale[0] * 1.2


@pytest.mark.parametrize("rule", RULES)
def test_odd_rows(rule: str) -> None:
    """Nothing but zeros, one number, two numbers: a range that is finite and covers them."""
    for x in (np.zeros(2000), np.full(2000, 3.0), np.repeat([-1.0, 0.0], 1000), np.repeat([1.0, 1e-30], 1000)):
        for scheme in SCHEMES:
            values, counts = points(x.astype(np.float32))
            found = CALIBRATORS[rule].fit(values, scheme, counts)
            assert np.all(np.isfinite(found.scale))
            assert np.all(found.scale > 0)


@pytest.mark.parametrize("rule", ["kl", "mixture", "kde", "multistage"])
def test_short_rows_take_the_least_square_error(rule: str) -> None:
    """A density cannot be read off 27 weights."""
    rows = np.random.default_rng(1).standard_normal((4, 27)).astype(np.float32)
    found, want = (CALIBRATORS[name].fit(rows, Scheme("int4")) for name in (rule, "mse"))
    assert np.array_equal(found.scale, want.scale)


def test_long_rows_without_counts_are_counted() -> None:
    x = outlying(3)
    found = CALIBRATORS["kl"].fit(np.stack([x, x * 2]), Scheme("int4", symmetric=False))
    assert found.zero_point is not None
    np.testing.assert_allclose(found.scale[1], 2 * found.scale[0], rtol=0.03)


def test_weights_take_the_least_square_error_in_multistage() -> None:
    rows = np.stack([outlying(3), outlying(4)])
    found, want = (CALIBRATORS[name].fit(rows, Scheme("int4")) for name in ("multistage", "mse"))
    assert np.array_equal(found.scale, want.scale)
