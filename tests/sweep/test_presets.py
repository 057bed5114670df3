"""The shipped sweeps, run: small where they emulate."""

from __future__ import annotations

import pytest

from hwsim.sweep import load_spec, sweep


@pytest.mark.slow
def test_formats_under_energy() -> None:
    """A larger budget buys more bits: memory grows with it, and no point fails that can be paid."""
    found = sweep(load_spec("formats-under-energy", ["limit=50"]), jobs=1)
    paid = [row for row in found.rows if row.values is not None]
    assert len(paid) >= 3, [row.error for row in found.rows]
    budgets = [float(row.point["budget_j"]) for row in paid]
    memory = [row.values["memory_bytes"] for row in paid if row.values]
    assert budgets == sorted(budgets)
    assert memory == sorted(memory)
    assert memory[0] < memory[-1]
    assert all(0.9 < row.values["accuracy"] <= 1 for row in paid if row.values)


@pytest.mark.slow
def test_calibrators() -> None:
    found = sweep(load_spec("calibrators", ["limit=50"]), jobs=1)
    assert len(found.rows) == 12
    assert not found.failed
    assert found.best


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cheapest-int4-array", "datacentre-decoders"])
def test_estimates(name: str) -> None:
    found = sweep(load_spec(name), jobs=1)
    assert not found.failed
    assert found.best
    assert all(row.feasible for row in found.best)
