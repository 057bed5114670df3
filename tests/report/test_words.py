"""The headline claims no more than the numbers carry."""

from __future__ import annotations

from dataclasses import replace

from hwsim.report import Comparison, HealthRow
from hwsim.report.humanise import THIN
from hwsim.report.words import left_range, verdict, verdicts
from tests.report.sample import accuracy, realistic, synthetic


def with_accuracies(*correct: int, n: int = 2000) -> Comparison:
    base = realistic()
    results = tuple(replace(r, accuracy=accuracy(c, n)) for r, c in zip(base.results, correct, strict=True))
    return replace(base, results=results)


def say(comparison: Comparison, metric: str = "accuracy") -> str:
    return verdict(comparison, metric).replace(THIN, " ")


def test_accuracies_inside_the_interval_have_no_winner() -> None:
    text = "No clear winner: all lie within 0.30 pt, inside the 95% interval of 2 000 inputs."
    assert say(with_accuracies(1972, 1966, 1966)) == text


def test_a_clear_winner_is_named() -> None:
    assert (
        say(with_accuracies(1700, 1972, 1500))
        == "ascend-910b4 is the most accurate: 98.60 %, 13.60 pt above nvidia-h100."
    )


def test_a_tie_with_some() -> None:
    text = "nvidia-h100 leads with 98.60 %, but ascend-910b4 lies inside its 95% interval."
    assert say(with_accuracies(1972, 1966, 1500)) == text


def test_equal_accuracies() -> None:
    assert say(with_accuracies(1966, 1966, 1966)) == "All answer 98.30 % right."


def test_costs() -> None:
    base = realistic()
    assert say(base, "energy") == "hwsim-int4-ws16 spends the least: 5.94 µJ, 71× less than ascend-910b4."
    level = tuple(
        replace(r, estimate=replace(r.estimate, seconds=1e-3 * (1 + i / 1000))) for i, r in enumerate(base.results)
    )
    text = "nvidia-h100, ascend-910b4 and hwsim-int4-ws16 are level at 1.00 ms."
    assert say(replace(base, results=level), "latency") == text


def test_zero_energy_divides_nothing() -> None:
    assert say(synthetic(2, 2, zero_energy=True), "energy") == "target-0 and target-1 are level at 0 J."
    base = synthetic(2, 2)
    none = replace(base.results[0], estimate=replace(base.results[0].estimate, joules=0.0))
    assert say(replace(base, results=(none, base.results[1])), "energy") == "target-0 spends the least: 0 J."


def test_one_target_is_not_compared() -> None:
    said = verdicts(synthetic(1, 3))
    assert set(said) == {"accuracy", "energy", "latency", "throughput"}
    assert not any("than" in text or "least" in text for text in said.values())


def test_batches_that_differ_are_said() -> None:
    assert say(synthetic(2, 3), "latency").endswith("Batches differ.")
    assert "accuracy" not in verdicts(synthetic(2, 3, bare=True))


def test_numbers_that_leave_the_vector_units_format_are_named() -> None:
    base = realistic()
    lost = HealthRow("norm/square", elements=64, saturated=3, clipped=0, zeros=0, negative_zeros=0, sqnr_db=None)
    layer = base.results[0].trace[0].layer
    sums = replace(lost, layer=layer)
    assert list(left_range(base.results)) == []
    assert list(left_range([replace(base.results[0], health=(sums,))])) == []
    (said,) = left_range([replace(base.results[0], health=(sums, lost))])
    assert said.startswith(f"{base.results[0].target.name}: 3 results of vector operations")
    assert "'norm/square'" in said
