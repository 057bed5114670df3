"""Whole layers of the shipped network as an H100 computed them, through cuBLAS, against the emulator's unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwsim.numerics import mma

RECORDED = Path(__file__).parents[1] / "data" / "hopper_layers.npz"
LAYERS = ("conv1", "conv2", "fc1", "fc2", "wide")
UNIT = "nvidia.hopper.wgmma.e4m3"


@pytest.mark.parametrize("layer", LAYERS)
def test_sums_equal_the_chips(layer: str) -> None:
    """Fast accumulation: one chain through all of K, in the instruction's own order."""
    with np.load(RECORDED) as held:
        a, b, want = held[f"{layer}_a"], held[f"{layer}_b"], held[f"{layer}_fast"]
    got = mma(a, b, None, UNIT)
    np.testing.assert_array_equal(got.view(np.int32), want.view(np.int32))


@pytest.mark.parametrize("layer", LAYERS)
def test_promoted_sums_equal_the_chips(layer: str) -> None:
    """Without fast accumulation cuBLAS starts a chain every 128 of K and adds the chains in float32, nearest even."""
    with np.load(RECORDED) as held:
        a, b, want = held[f"{layer}_a"], held[f"{layer}_b"], held[f"{layer}_promoted"]
    got = mma(a, b, None, f"{UNIT}_promoted")
    np.testing.assert_array_equal(got.view(np.int32), want.view(np.int32))
