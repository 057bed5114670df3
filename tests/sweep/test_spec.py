"""A spec's file: what it may say, and the one line when it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwsim.errors import DataError
from hwsim.sweep import METRICS, load_spec, presets
from hwsim.sweep.space import choices, grid, key_of, size
from hwsim.sweep.spec import Range, spec_of

GOOD = """\
name: small
space:
  model: [mnist-cnn, resnet50]
  target: hwsim-int4-ws16
  machine.rows: {from: 8, to: 32, factor: 2}
objectives: [latency_s, energy_j]
constraints:
  power_w: {max: 30}
"""


def spec_file(folder: Path, text: str) -> Path:
    path = folder / "spec.yaml"
    path.write_text(text)
    return path


def test_a_good_file(tmp_path: Path) -> None:
    spec = load_spec(spec_file(tmp_path, GOOD))
    assert size(spec) == 6
    assert spec.metrics == ("latency_s", "energy_j", "power_w")
    assert not spec.needs_answers
    points = list(grid(spec))
    assert [point["machine.rows"] for point in points] == [8, 16, 32, 8, 16, 32]
    assert points[0] == {"model": "mnist-cnn", "target": "hwsim-int4-ws16", "machine.rows": 8}


def test_the_docstring_is_a_spec() -> None:
    from hwsim.sweep import spec as module
    from hwsim.target.yaml import parse_yaml

    assert module.__doc__ is not None
    _, _, text = module.__doc__.partition("\n\n")
    assert size(module.build_spec(parse_yaml(text))) == 16


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("objectives: [latency_s, energy_j]", "objectives: [latency]", ["spec.yaml:6", "'latency'", "'latency_s'"]),
        ("  target: hwsim-int4-ws16\n", "", ["'target'", "space"]),
        ("  machine.rows:", "  rows:", ["spec.yaml:5", "unknown dimension 'rows'"]),
        ("  machine.rows:", "  calibratr:", ["unknown dimension 'calibratr'", "'calibrator'"]),
        ("factor: 2", "factor: 1", ["spec.yaml:5", "above 1"]),
        ("factor: 2", "step: 2, factor: 2", ["spec.yaml:5", "either step or factor"]),
        ("from: 8, to: 32", "from: 32, to: 8", ["spec.yaml:5", "from <= to"]),
        ("{max: 30}", "{mx: 30}", ["spec.yaml:8", "unknown key 'mx'", "'max'"]),
        ("{max: 30}", "{}", ["spec.yaml:8", "neither"]),
        ("power_w:", "powr_w:", ["spec.yaml:8", "'power_w'"]),
        ("name: small", "name: ../up", ["spec.yaml:1", "name"]),
        ("name: small", "name: small\nsearch: random", ["points"]),
        ("name: small", "name: small\npoints: 5", ["points"]),
        ("name: small", "name: small\nseed: -1", ["seed"]),
        ("name: small", "nam: small", ["unknown key 'nam'", "'name'"]),
        ("{from: 8, to: 32, factor: 2}", "{low: 8, high: 32}", ["spec.yaml:5", "interval"]),
        ("{from: 8, to: 32, factor: 2}", "[]", ["spec.yaml:5", "at least one"]),
        ("space:", "space: 3\nother:", ["space"]),
    ],
)
def test_bad_files(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in GOOD
    with pytest.raises(DataError) as caught:
        load_spec(spec_file(tmp_path, GOOD.replace(old, new, 1)))
    line = str(caught.value)
    assert "\n" not in line
    assert all(word in line for word in words), line


def test_a_grid_has_an_end(tmp_path: Path) -> None:
    text = GOOD.replace("{from: 8, to: 32, factor: 2}", "{from: 1, to: 1.0e+15, step: 1}")
    with pytest.raises(DataError, match="at most 1000000 points"):
        size(load_spec(spec_file(tmp_path, text)))


def test_changes(tmp_path: Path) -> None:
    path = spec_file(tmp_path, GOOD)
    spec = load_spec(path, ["space.model=[resnet8]", "seed=7", "constraints.latency_s={max: 0.01}"])
    assert spec.space["model"] == ["resnet8"]
    assert spec.seed == 7
    assert spec.constraints["latency_s"].max == 0.01
    for bad in ("seed", "seed=[", "a.b=3", "=3"):
        with pytest.raises(DataError):
            load_spec(path, [bad])


def test_ranges() -> None:
    assert choices(Range.model_validate({"from": 0.1, "to": 0.5, "step": 0.1})) == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert choices(Range.model_validate({"from": 1, "to": 1000, "factor": 10})) == (1, 10, 100, 1000)
    assert all(isinstance(value, int) for value in choices(Range.model_validate({"from": 8, "to": 64, "factor": 2})))


def test_equal_points_have_equal_keys() -> None:
    assert key_of({"a.b": 1, "c": "x"}) == key_of({"c": "x", "a.b": 1})
    assert key_of({"a.b": 1}) != key_of({"a.b": "1"})


@pytest.mark.parametrize("name", presets())
def test_presets(name: str) -> None:
    spec = load_spec(name)
    assert spec.name == name
    assert len(spec.description) > 20
    assert 1 <= size(spec) <= 1000
    assert all(metric in METRICS for metric in spec.metrics)


def test_unknown_preset() -> None:
    with pytest.raises(DataError, match="cheapest-int4-array"):
        load_spec("cheapest-int4-aray")


def test_plain_data() -> None:
    spec = spec_of({"name": "x", "space": {"model": "resnet50", "target": "gemmini"}, "objectives": ["latency_s"]})
    assert size(spec) == 1
