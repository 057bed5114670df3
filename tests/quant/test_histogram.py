"""The streaming histogram against numpy's, which sees all numbers at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.quant.histogram import Histogram


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-30, 30), st.integers(1, 6), st.sampled_from([64, 8192]))
def test_equals_numpy_in_any_batches(seed: int, log_size: float, parts: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.standard_t(2, 3000) * 2.0**log_size).astype(np.float32)
    x[rng.random(3000) < 0.3] = 0
    seen = Histogram(bins)
    for part in np.array_split(x, parts):
        seen.add(part)
    values, counts = seen.points()
    assert seen.total == len(x) == int(counts.sum())
    assert (values[0], values[-1]) == (x.min(), x.max())
    assert np.all(np.diff(values) >= 0)
    busy = x[x != 0].astype(np.float64)
    first = np.floor(busy.min() / seen.width)
    edges = np.arange(first, np.floor(busy.max() / seen.width) + 2) * seen.width
    want = np.histogram(busy, edges)[0]
    assert len(want) <= bins + 1
    assert np.array_equal(counts[(counts > 0) & (values != 0)], want[want > 0])
    assert seen.zeros == int(np.sum(x == 0))
    np.testing.assert_allclose(np.sum(values.astype(np.float64) * counts), busy.sum(), rtol=1e-4, atol=seen.width)


def test_order_of_the_numbers_does_not_matter() -> None:
    x = np.random.default_rng(2).standard_normal(5000).astype(np.float32) ** 3
    one, other = Histogram(), Histogram()
    one.add(x)
    for part in np.array_split(x[::-1], 7):
        other.add(part)
    assert one.width == other.width
    assert np.array_equal(one.points()[1], other.points()[1])
    np.testing.assert_allclose(one.points()[0], other.points()[0], rtol=1e-6)


def test_zeros_alone() -> None:
    seen = Histogram()
    seen.add(np.zeros(7, np.float32))
    values, counts = seen.points()
    assert np.all(values == 0)
    assert counts.sum() == 7
