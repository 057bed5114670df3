"""Trainings, made up, for the page of their curves."""

from __future__ import annotations

import math

from hwsim.report.learning import Learned


def learned(steps: int = 12, *, long_names: bool = False) -> Learned:
    """A network that learns; its float accuracy and what it had before lie within the picture."""
    curve = tuple(
        (100 * at, 2.3 * math.exp(-at / 4) + 0.02, 0.97 + 0.02 * (1 - math.exp(-at / 5)) if at % 2 else None)
        for at in range(1, steps + 1)
    )
    return Learned(
        name="mnist-w2a4" if not long_names else "a-recipe-with-a-name-of-very-many-letters-and-digits-0123456789",
        model="mnist-cnn",
        target="hwsim-int4-ws16",
        data="mnist-cnn, training data" if not long_names else "/data/sets/of/somebody/with/deep/folders/train.npz",
        test="mnist-cnn, test data",
        n=1000,
        weights="int2",
        activations="int4",
        before=0.981,
        after=0.989,
        float32=0.992,
        curve=curve,
        recipe={"name": "mnist-w2a4", "course": {"epochs": 3}},
        seed=0,
        created="2026-01-02T03:04:05Z",
        command="hwsim train mnist-w2a4.yaml",
        versions={"hwsim": "0.1.0", "torch": "2.13.0"},
        notes=("Teacher: the float network.",),
    )
