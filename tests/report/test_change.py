"""What changed between two runs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hwsim.report import change_json, compare_runs, render_change
from hwsim.report.change import Number, change_sentences
from hwsim.report.humanise import MINUS, THIN
from tests.report.pages import parse
from tests.report.sample import accuracy, realistic, synthetic


def changed_energy() -> tuple:  # type: ignore[type-arg]
    """The sample, and the same with one layer of the first target at half its energy and a new version."""
    before = realistic()
    first = before.results[0]
    rows = list(first.estimate.rows)
    half = {name: value / 2 for name, value in rows[1].energy_pj.items()}
    saved = rows[1].total_pj / 2
    rows[1] = replace(rows[1], energy_pj=half)
    estimate = replace(first.estimate, rows=tuple(rows), joules=first.estimate.joules - saved * 1e-12)
    after = replace(
        before,
        results=(replace(first, estimate=estimate), *before.results[1:]),
        versions={**before.versions, "numpy": "2.5.0"},
    )
    return before, after


def test_a_run_against_itself_changes_nothing() -> None:
    change = compare_runs(realistic(), realistic())
    assert change.same
    assert change.settings == ()
    assert all(sentence.endswith("no number changed.") for sentence in change_sentences(change))
    assert "Every number is the same." in parse(render_change(change)).words


def test_one_layer_and_one_version() -> None:
    change = compare_runs(*changed_energy())
    assert [(s.name, s.before, s.after) for s in change.settings] == [("numpy", "2.4.0", "2.5.0")]
    first = change.targets[0]
    assert [layer.name for layer in first.layers if not layer.same] == ["conv1"]
    assert [number.name for number in first.numbers if not number.same] == ["energy", "power"]
    assert first.numbers[-2].verdict == "better"
    assert all(layer.same for target in change.targets[1:] for layer in target.layers)
    held = json.loads(change_json(change))
    assert held["schema"] == "hwsim.change/1"
    assert [len(target["layers"]) for target in held["targets"]] == [1, 0, 0]
    assert held["before"]["json"] != held["after"]["json"]
    assert render_change(change) == render_change(compare_runs(*changed_energy()))


def test_accuracies_inside_their_intervals_are_neither_better_nor_worse() -> None:
    before = realistic()
    for correct, verdict in ((1960, ""), (1800, "worse")):
        first = replace(before.results[0], accuracy=accuracy(correct))
        change = compare_runs(before, replace(before, results=(first, *before.results[1:])))
        assert change.targets[0].numbers[0].verdict == verdict
        assert ("inside the 95%" in change_sentences(change)[0]) == (verdict == "")


def test_targets_are_paired_and_the_rest_is_gone_or_new() -> None:
    before = realistic()
    h100, ascend, ours = before.results
    change = compare_runs(replace(before, results=(h100, ascend)), replace(before, results=(ascend, ours)))
    assert [target.label for target in change.targets] == ["ascend-910b4", "nvidia-h100 → hwsim-int4-ws16"]
    change = compare_runs(replace(before, results=(ascend,)), before)
    assert change.new == ("nvidia-h100 fp8", "hwsim-int4-ws16 int4")
    assert not change.same
    assert "hwsim-int4-ws16 int4 is new." in change_sentences(change)


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (1.0, 1.0, "same"),
        (1.0, 1.1, f"+10.0{THIN}%"),
        (1.0, 0.999, f"{MINUS}0.10{THIN}%"),
        (1.0, 3.0, "3.0× more"),
        (3.0, 1.0, "3.0× less"),
        (0.0, 2.0, "+2.00"),
        (None, 2.0, "new"),
        (2.0, None, "gone"),
        (None, None, "–"),
    ],
)
def test_a_change_in_words(before: float | None, after: float | None, text: str) -> None:
    assert Number("latency", "s", before, after).change == text


def test_networks_of_other_layers_can_be_compared() -> None:
    change = compare_runs(synthetic(1, 4), synthetic(1, 9))
    layers = change.targets[0].layers
    assert len(layers) == 9
    assert any(number.change == "new" for number in layers[-1].numbers)
    parse(render_change(change))
    parse(render_change(compare_runs(synthetic(2, 40, bare=True), synthetic(3, 40, zero_energy=True))))
