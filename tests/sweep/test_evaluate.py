"""One point: what it refuses in one line, and what a budget buys."""

from __future__ import annotations

from typing import Any

import pytest

from hwsim.sweep import evaluate as module
from hwsim.sweep.evaluate import Task

ESTIMATED = {"model": "mnist-cnn", "target": "hwsim-int4-ws16"}
BUDGET = {"model": "mnist-cnn", "target": "ascend-910b4", "precision": "int8"}


@pytest.mark.parametrize(
    ("point", "metrics", "says"),
    [
        ({**ESTIMATED, "batch": 0}, "latency_s", "whole number of at least 1, found 0"),
        ({**ESTIMATED, "batch": 1.5}, "latency_s", "whole number of at least 1, found 1.5"),
        ({**ESTIMATED, "budget_j": 1e-3}, "latency_s", "a budget asks for answers"),
        ({**ESTIMATED, "new_tokens": 1}, "accuracy", "answers come from a model with its own sizes"),
        (ESTIMATED, "perplexity", "has no perplexity (it has: "),
        ({**BUDGET, "budget_j": 1e-3, "budget_s": 1.0}, "accuracy", "expected one budget, found budget_s and budget_j"),
        ({**BUDGET, "budget_j": "much"}, "accuracy", "budget_j: expected a number, found 'much'"),
    ],
)
def test_a_point_that_does_not_fit_is_one_line(point: dict[str, Any], metrics: str, says: str) -> None:
    outcome = Task((metrics,), 4)(point)
    assert outcome.values is None
    assert says in outcome.error
    assert "\n" not in outcome.error
    assert "internal error" not in outcome.error


def test_a_smaller_budget_buys_fewer_bits() -> None:
    """Both are answered; the weights of the poorer one are not larger."""
    task = Task(("accuracy", "memory_bytes"), 10)
    rich, poor = (task({**BUDGET, "budget_bytes": size}) for size in (300_000, 150_000))
    assert rich.values is not None, rich.error
    assert poor.values is not None, poor.error
    assert poor.values["memory_bytes"] < rich.values["memory_bytes"]
    assert 0.5 < poor.values["accuracy"] <= 1


def test_faults_of_our_own_do_not_end_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(error: BaseException) -> Any:
        def call(*_: Any) -> Any:
            raise error

        return call

    monkeypatch.setattr(module, "evaluate", broken(MemoryError()))
    assert Task(("latency_s",))(ESTIMATED).error == "out of memory"
    monkeypatch.setattr(module, "evaluate", broken(KeyError("a\nb")))
    assert Task(("latency_s",))(ESTIMATED).error == r"internal error, KeyError: 'a\nb'"
