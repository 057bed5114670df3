"""Strangers: of the network's shape and span, repeatable, not its own data; areas against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest

import hwsim
from hwsim.errors import DataError
from hwsim.robust import SCORES, STRANGERS, auroc, strangers
from hwsim.robust.ood import _area
from tests.oracles import need_module


@pytest.mark.parametrize("kind", STRANGERS)
def test_each_set(kind: str) -> None:
    own = hwsim.load_data("mnist-cnn").inputs[::100]
    made = strangers(own, kind, seed=4)
    assert made.shape == own.shape
    assert made.dtype == np.float32
    assert 0 <= made.min() < made.max() <= 1
    assert np.array_equal(made, strangers(own, kind, seed=4))
    assert np.abs(made - own).max(axis=(1, 2, 3)).min() > 0.3
    colour = np.repeat(2 * own[:6, :, :24, :20] - 1, 3, axis=1)
    wide = strangers(colour, kind, span=(-1.0, 1.0))
    assert wide.shape == colour.shape
    assert -1 <= wide.min() < -0.2
    assert 0.2 < wide.max() <= 1


def test_scrambled_pieces_are_the_pictures_own() -> None:
    own = hwsim.load_data("mnist-cnn").inputs[::100]
    made = strangers(own, "scrambled")
    assert np.array_equal(np.sort(made.reshape(len(own), -1)), np.sort(own.reshape(len(own), -1)))


def test_scores_by_hand() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]]))
    assert np.exp(SCORES["msp"](logits)) == pytest.approx([0.7, 0.5])
    assert SCORES["energy"](logits + 3) == pytest.approx([3, 3])
    assert np.isfinite(SCORES["energy"](np.full((2, 3), 1e4, np.float32))).all()
    assert np.isfinite(SCORES["msp"](np.array([[np.nan, 1.0], [np.inf, 0.0]]))).all()


def test_area_is_that_of_the_library() -> None:
    metrics = need_module("sklearn.metrics", "pip install scikit-learn")
    rng = np.random.default_rng(0)
    own, other = rng.normal(1, 1, 300).round(1), rng.normal(0, 1, 200).round(1)
    want = metrics.roc_auc_score(np.repeat([1, 0], [300, 200]), np.concatenate([own, other]))
    assert _area(own, other) == pytest.approx(want, abs=1e-12)
    whole, low, high = auroc(own, other)
    assert whole == pytest.approx(want)
    assert low < whole < high
    assert high - low == pytest.approx(0.09, abs=0.03)
    assert auroc(own + 100, other) == (1.0, 1.0, 1.0)


def test_bad_requests() -> None:
    own = hwsim.load_data("mnist-cnn").inputs[:2]
    for wrong in (
        lambda: strangers(own, "leters"),
        lambda: strangers(own[:, 0], "noise"),
        lambda: strangers(np.repeat(own, 2, axis=1), "photographs"),
        lambda: auroc(np.empty(0), np.ones(3)),
    ):
        with pytest.raises(DataError):
            wrong()
