"""Scores against torch and scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwsim.errors import DataError
from hwsim.io.metric import METRICS, classes_of
from tests.oracles import need_heavy_module, need_module


def test_perplexity_equals_torch() -> None:
    torch: Any = need_heavy_module("torch")
    rng = np.random.default_rng(0)
    logits = (rng.standard_normal((3, 9, 17)) * 20).astype(np.float32)
    ids = rng.integers(0, 17, (3, 9))
    loss = torch.nn.functional.cross_entropy(
        torch.tensor(logits[:, :-1].reshape(-1, 17)).double(), torch.tensor(ids[:, 1:].reshape(-1))
    )
    metric = METRICS["perplexity"]
    found = metric.score(metric.figures(logits, ids.astype(np.float32)), None)
    assert found == pytest.approx(float(torch.exp(loss)), rel=1e-5)
    with pytest.raises(DataError, match="logits"):
        metric.figures(logits[:, 0], ids.astype(np.float32))


def test_rank_correlation_equals_scipy() -> None:
    stats = need_module("scipy.stats")
    rng = np.random.default_rng(1)
    vectors, labels = rng.standard_normal((40, 5)).astype(np.float32), np.repeat(rng.integers(0, 6, 20), 2)
    a, b = vectors[0::2], vectors[1::2]
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    want = stats.spearmanr(cosine, labels[0::2]).statistic
    metric = METRICS["rank correlation"]
    assert metric.score(metric.figures(vectors, vectors), labels) == pytest.approx(want)
    with pytest.raises(DataError, match="pairs"):
        metric.score(vectors, None)


def test_a_class_is_the_first_of_the_largest_and_none_where_a_nan_stands() -> None:
    outputs = np.array([[1.0, 3.0, 3.0], [np.nan, 9.0, 0.0], [-np.inf, -5.0, -9.0], [np.inf, 0.0, np.nan]])
    assert classes_of(outputs).tolist() == [1, -1, 1, -1]


def test_f1_of_speech_equals_scikit_learn() -> None:
    sklearn = need_module("sklearn.metrics")
    rng = np.random.default_rng(2)
    chances, labels = rng.random((50, 3)).astype(np.float32), rng.integers(0, 2, 50)
    metric = METRICS["speech F1"]
    said = metric.figures(chances, chances)
    assert metric.score(said, labels) == pytest.approx(sklearn.f1_score(labels, chances[:, -1] > 0.5))
    assert metric.score(np.zeros(3, bool), np.zeros(3, np.int64)) == 0
    with pytest.raises(DataError, match="labelled"):
        metric.score(said, None)


def test_rank_of_anomalies_equals_scipy() -> None:
    stats = need_module("scipy.stats")
    rng = np.random.default_rng(3)
    x = rng.standard_normal((30, 1, 2, 4)).astype(np.float32)
    y, labels = x + rng.standard_normal(x.shape).astype(np.float32), rng.integers(0, 2, 30)
    metric = METRICS["anomaly rank correlation"]
    want = stats.spearmanr(((x - y) ** 2).mean(axis=(1, 2, 3)), labels).statistic
    assert metric.score(metric.figures(y, x), labels) == pytest.approx(want)
    with pytest.raises(DataError, match="outputs like inputs"):
        metric.figures(y[:, :, :1], x)
    with pytest.raises(DataError, match="labelled"):
        metric.score(metric.figures(y, x), None)
