"""Corruptions: repeatable, within range, worse with severity, and what physics says where it says it."""

from __future__ import annotations

import numpy as np
import pytest

import hwsim
from hwsim.errors import DataError
from hwsim.robust import CORRUPTIONS, corrupt
from hwsim.robust.corruptions import SEVERITIES, _line
from tests.oracles import need_module


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return hwsim.load_data("mnist-cnn").inputs[:64]


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_each_kind(kind: str, digits: np.ndarray) -> None:
    if kind == "jpeg":
        need_module("PIL", "pip install pillow")
    errors = []
    for severity in SEVERITIES:
        out = corrupt(digits, kind, severity, seed=5)
        assert out.shape == digits.shape
        assert out.dtype == np.float32
        assert out.min() >= 0
        assert out.max() <= 1
        assert np.array_equal(out, corrupt(digits, kind, severity, seed=5))
        errors.append(float(np.mean((out - digits) ** 2)))
    assert errors == sorted(errors)
    assert errors[-1] > 1.5 * errors[0] > 0


def test_blur_keeps_light() -> None:
    """A point in the middle keeps its sum, and a flat field stays flat."""
    x = np.zeros((1, 1, 65, 65), np.float32)
    x[0, 0, 32, 32] = 1
    flat = np.full((1, 3, 32, 32), 0.25, np.float32)
    for kind in ("defocus", "motion_blur"):
        for severity in SEVERITIES:
            assert corrupt(x, kind, severity).sum() == pytest.approx(1, abs=1e-4)
            assert np.allclose(corrupt(flat, kind, severity), 0.25, atol=1e-5)
    assert _line(9.0, 0.7).sum() == pytest.approx(1)


def test_low_light_has_the_noise_of_photons() -> None:
    """Variance of a grey field: (photons + read noise squared) / photons of white squared."""
    grey, white = 0.5, 200.0
    x = np.full((1, 1, 400, 400), grey, np.float32)
    out = corrupt(x, "low_light", 1)
    assert out.var() == pytest.approx((grey * white + 4) / white**2, rel=0.02)
    assert out.mean() == pytest.approx(grey, abs=1e-3)


def test_contrast_by_hand() -> None:
    x = np.array([0.0, 0.5, 1.0, 0.5], np.float32).reshape(1, 1, 2, 2)
    assert np.allclose(corrupt(x, "contrast", 2).ravel(), [0.3, 0.5, 0.7, 0.5])


def test_span_of_the_network() -> None:
    x = hwsim.load_data("mnist-cnn").inputs[:8]
    shifted = corrupt(2 * x - 1, "low_light", 3, seed=1, span=(-1.0, 1.0))
    assert np.allclose(shifted, 2 * corrupt(x, "low_light", 3, seed=1) - 1, atol=1e-5)


def test_bad_requests(digits: np.ndarray) -> None:
    for wrong in (
        lambda: corrupt(digits, "fog", 1),
        lambda: corrupt(digits, "jpeg", 6),
        lambda: corrupt(digits[0], "jpeg", 1),
        lambda: corrupt(digits * 2, "contrast", 1),
        lambda: corrupt(digits * np.nan, "contrast", 1),
    ):
        with pytest.raises(DataError):
            wrong()
    assert corrupt(digits[:0], "jpeg", 1).shape == (0, 1, 28, 28)
