"""Accuracy and its interval, against another's code; the values that a comparison refuses."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.errors import DataError
from hwsim.report import Accuracy, Evidence, HealthRow, wilson
from tests.oracles import need_module
from tests.report.sample import realistic


@pytest.mark.parametrize(("correct", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (9, 20), (1973, 2000), (5000, 10_000)])
def test_wilson_against_scipy(correct: int, n: int) -> None:
    stats = need_module("scipy.stats", "pip install scipy")
    expected = stats.binomtest(correct, n).proportion_ci(0.95, method="wilson")
    assert wilson(correct, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_accuracy_counts() -> None:
    labels = np.array([0, 1, 2, 3])
    accuracy = Accuracy.of([0, 1, 0, 0], labels, [0, 1, 2, 0])
    assert (accuracy.value, accuracy.n, accuracy.correct) == (0.5, 4, 2)
    assert (accuracy.baseline, accuracy.agreement) == (0.75, 0.75)
    assert Accuracy.of(labels, labels).baseline is None


def test_accuracy_refuses() -> None:
    with pytest.raises(DataError, match="no labelled inputs"):
        Accuracy.of([], [])
    with pytest.raises(DataError, match="expected 2 predictions, one a label, found 1"):
        Accuracy.of([1], [1, 2])
    with pytest.raises(DataError, match="baseline"):
        Accuracy.of([1, 2], [1, 2], [1])


def test_values_out_of_range() -> None:
    with pytest.raises(DataError, match="did you mean 'derived'"):
        Evidence("derivd")
    with pytest.raises(DataError, match="health of conv: zeros"):
        HealthRow("conv", 10, zeros=11)


def test_energy_is_an_inference_and_evidence_falls_back_on_the_estimate() -> None:
    result = realistic().results[0]
    assert result.measure("energy") == result.estimate.joules
    assert result.measure("latency") == result.estimate.seconds
    assert result.evidence("timing") == Evidence("derived", "H100 datasheet; kernel launch time measured")
    assert realistic().results[0].evidence("arithmetic") is not None
