"""``hwsim robust`` as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hwsim
from tests.cli.conftest import CHIPS, Say
from tests.oracles import need_heavy_module, need_module

CHIP = "hwsim-int4-ws16"


def test_light_strangers_and_faults_without_being_asked(say: Say, tmp_path: Path) -> None:
    said = say(
        *("robust", "mnist-cnn", *CHIPS, "--limit", "20", "--rates", "0.01", "--repeats", "2", "--out", tmp_path / "r")
    )
    assert said.status == 0, said.err
    assert "flips in weights, 0.01" in said.out
    assert "AUROC of letters, energy" in said.out
    assert "corruptions: 75 of 75" in said.err
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == [
        f"robustness.{kind}" for kind in ("csv", "html", "json", "md")
    ]
    found = json.loads((tmp_path / "r" / "robustness.json").read_text())
    assert [column["name"] for column in found["columns"]] == ["float32", "hwsim-int4-ws16", "nvidia-h100"]
    assert found["n"] == 20
    assert found["attacks"] == []
    assert len(found["corruptions"]) == 5 * 5 * 3
    assert found["command"].startswith("hwsim robust mnist-cnn")
    # every class is there, though the digits lie sorted
    assert found["columns"][0]["right"] >= 19


def test_attacks_and_transfer_as_json(say: Say) -> None:
    need_module("art", "pip install adversarial-robustness-toolbox")
    need_heavy_module("torch")
    said = say(
        *("robust", "mnist-cnn", "--target", CHIP, "--attacks", "fgsm,pgd", "--epsilon", "0.1", "--steps", "5"),
        *("--limit", "30", "--json"),
    )
    assert said.status == 0, said.err
    found = json.loads(said.out)
    assert found["schema"] == "hwsim.robust/1"
    assert found["corruptions"] == found["faults"] == []
    pairs = [(row["kind"], row["crafted"], row["tested"]) for row in found["attacks"]]
    assert len(pairs) == len(set(pairs)) == 2 * 2 * 2
    own = {(r["kind"], r["tested"]): r["right"] for r in found["attacks"] if r["crafted"] == r["tested"]}
    assert own["pgd", CHIP] < own["fgsm", CHIP] < 30
    again = json.loads(
        say(
            *("robust", "mnist-cnn", "--target", CHIP, "--attacks", "fgsm,pgd", "--epsilon", "0.1", "--steps", "5"),
            *("--limit", "30", "--json"),
        ).out
    )
    assert again["attacks"] == found["attacks"]


def test_a_quantized_network_has_no_float_column(say: Say, tmp_path: Path) -> None:
    from hwsim.io.model import save_model

    path = tmp_path / "small.qir"
    save_model(hwsim.quantize("mnist-cnn", CHIP), path)
    said = say("robust", path, "--target", CHIP, "--data", "mnist-cnn", "--corruptions", "--limit", "10", "--json")
    assert said.status == 0, said.err
    assert [column["name"] for column in json.loads(said.out)["columns"]] == [CHIP]


def test_a_network_of_ones_own(say: Say, model: Path, data: Path) -> None:
    """Numbers far from 0..1 need a span; with one, pictures of any shape do."""
    wide = say("robust", model, "--target", CHIP, "--data", data, "--corruptions")
    assert wide.status == 2
    assert "--span LOW,HIGH" in wide.err
    said = say("robust", model, "--target", CHIP, "--data", data, "--corruptions", "--span", "-6,6", "--limit", "5")
    assert said.status == 0, said.err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--attacks", "pdg"], "did you mean 'pgd'"),
        (["--attacks", ","], "expected names"),
        (["--epsilon", "0"], "more than 0"),
        (["--epsilon", "nan"], "more than 0"),
        (["--epsilon", "a,b"], "expected numbers"),
        (["--rates", "2"], "at most 1"),
        (["--span", "1"], "expected 2 numbers"),
        (["--span", "1,0"], "LOW below HIGH"),
        (["--limit", "1"], "--limit"),
        (["--target", CHIP, "--corruptions"], "given twice"),
        (["--precision", "fp99"], "fp99"),
        (["--calibrator", "mode", "--faults"], "mode"),
    ],
)
def test_mistakes_are_one_line(say: Say, given: list[str], told: str) -> None:
    said = say("robust", "mnist-cnn", "--target", CHIP, *given)
    assert said.status == 2
    assert told in said.err
    assert said.err.startswith("hwsim: error: ")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_data_without_labels(say: Say, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((4, 1, 6, 6), np.float32))
    said = say("robust", model, "--target", CHIP, "--data", tmp_path / "x.npz")
    assert said.status == 2
    assert "labels" in said.err


def test_without_the_toolbox_one_line_names_the_extra(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "art.attacks", None)
    said = say("robust", "mnist-cnn", "--target", CHIP, "--attacks", "fgsm", "--limit", "4")
    assert said.status == 3
    assert "pip install 'hwsim[robust]'" in said.err
