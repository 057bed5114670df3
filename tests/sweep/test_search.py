"""Searches: reproducible, inside their bounds, and better than chance where there is something to learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwsim.sweep.result import pareto
from hwsim.sweep.search import search, violations
from hwsim.sweep.spec import Spec, spec_of


def spec(kind: str, points: int, **more: Any) -> Spec:
    return spec_of(
        {
            "name": "s",
            "search": kind,
            "points": points,
            "space": {
                "model": ["mnist-cnn"],
                "target": ["a", "b"],
                "machine.clock_hz": {"low": 1e8, "high": 1e9, "log": True},
                "machine.rows": {"low": 1, "high": 64, "whole": True},
            },
            "objectives": ["latency_s", "energy_j"],
            **more,
        }
    )


def answer(point: Any) -> dict[str, float]:
    """Two objectives that pull apart; rows of 40 are best for both."""
    clock, rows = point["machine.clock_hz"], point["machine.rows"]
    waste = 1 + abs(rows - 40) / 10 + (point["target"] == "b")
    return {"latency_s": waste * 1e8 / clock, "energy_j": waste * clock / 1e8, "power_w": clock / 1e8}


def walked(plan: Spec) -> list[dict[str, Any]]:
    rounds, found = search(plan), []
    points = next(rounds, None)
    while points is not None:
        found += points
        try:
            points = rounds.send([answer(point) for point in points])
        except StopIteration:
            points = None
    return found


@pytest.mark.parametrize("kind", ["random", "bayes"])
def test_repeats_and_stays_inside(kind: str) -> None:
    plan = spec(kind, 40)
    first, second = walked(plan), walked(plan)
    assert first == second
    assert len(first) == 40
    assert walked(spec(kind, 40, seed=1)) != first
    for point in first:
        assert 1e8 <= point["machine.clock_hz"] <= 1e9
        assert 1 <= point["machine.rows"] <= 64
        assert isinstance(point["machine.rows"], int)
    assert {point["target"] for point in first} == {"a", "b"}


def test_bayes_learns() -> None:
    """Over five seeds, the waste of the last third of its points is below that of random ones."""

    def waste(kind: str) -> float:
        last = [p for seed in range(5) for p in walked(spec(kind, 60, seed=seed))[40:]]
        return float(np.mean([np.sqrt(a["latency_s"] * a["energy_j"]) for a in map(answer, last)]))

    assert waste("bayes") < 0.75 * waste("random")


def test_bayes_heeds_constraints() -> None:
    plan = spec("bayes", 60, constraints={"power_w": {"max": 2.0}})
    last = walked(plan)[30:]
    free = walked(spec("bayes", 60))[30:]
    meets = [all(v <= 0 for v in violations(plan, answer(point))) for point in last]
    others = [answer(point)["power_w"] <= 2.0 for point in free]
    assert np.mean(meets) > np.mean(others)


def test_violations() -> None:
    plan = spec("random", 1, constraints={"latency_s": {"min": 2.0, "max": 4.0}})
    assert violations(plan, {"latency_s": 3.0}) == [-0.25, -0.5]
    assert violations(plan, {"latency_s": 6.0}) == [0.5, -2.0]


def test_pareto_by_brute_force() -> None:
    rng = np.random.default_rng(3)
    for size in (0, 1, 2, 40):
        values = rng.integers(0, 6, (size, 3)).astype(float)
        better = ["min", "max", "min"]
        signed = values * [1, -1, 1]
        want = [not any(np.all(other <= one) and np.any(other < one) for other in signed) for one in signed]
        assert pareto(values.tolist(), better) == want
