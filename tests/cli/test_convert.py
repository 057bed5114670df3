"""``hwsim convert`` as a person uses it: what it prints, writes and refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import hwsim
from hwsim.numerics import QTensor
from tests.cli.conftest import Say

HOME = ("--target", "hwsim-int4-ws16")


@pytest.fixture
def qir(say: Say, model: Path, data: Path, tmp_path: Path) -> Path:
    """The small model, quantized for our array."""
    path = tmp_path / "home.qir"
    assert say("quantize", model, *HOME, "--data", data, "-o", path).status == 0
    return path


def test_without_loss_to_offset_binary_and_back(say: Say, qir: Path, data: Path, tmp_path: Path) -> None:
    there, back = tmp_path / "there.qir", tmp_path / "back.qir"
    said = say("convert", qir, "--to", "hwsim-uint4-ws16", "--data", data, "-o", there)
    assert said.status == 0
    assert "requantized" not in said.out
    before, after = (re.search(rf"^{word} +\S+ int4: (.*)$", said.out, re.M) for word in ("before", "after"))
    assert before is not None
    assert after is not None
    assert before[1] == after[1]
    assert said.out.splitlines()[-1].split() == ["written", str(there)]
    assert say("convert", there, "--to", "hwsim-int4-ws16", "--data", data, "-o", back).status == 0
    old, middle, new = (hwsim.load_model(path) for path in (qir, there, back))
    for name, held in old.constants.items():
        if isinstance(held, QTensor) and held.codes.ndim > 1:
            found, between = new.constants[name], middle.constants[name]
            assert isinstance(found, QTensor)
            assert isinstance(between, QTensor)
            assert between.format == "int4_offset"
            np.testing.assert_array_equal(between.codes, held.codes ^ 8)
            assert found.equals(held)


def test_json_says_what_the_table_says(say: Say, qir: Path, data: Path) -> None:
    body = json.loads(say("convert", qir, "--to", "nvidia-h100", "--data", data, "--json").out)
    assert body["schema"] == "hwsim.convert/1"
    assert (body["source"], body["target"], body["precision"]) == ("hwsim-int4-ws16", "nvidia-h100", "fp8")
    assert {row["how"] for row in body["tensors"] if row["kind"] == "weight"} == {"lossless"}
    assert body["before"]["n"] == body["after"]["n"] == 40
    assert {row["what"] for row in body["arithmetic"]} >= {"accumulator", "requantization"}
    lines = say("convert", qir, "--to", "nvidia-h100", "--data", data).out.splitlines()
    named = {line.split()[0] for line in lines[2:] if line.strip()}
    assert {row["name"] for row in body["tensors"]} <= named


def test_float_models_need_to_come_from_somewhere(say: Say, model: Path, data: Path) -> None:
    said = say("convert", model, "--to", "nvidia-h100", "--data", data)
    assert said.status == 2
    assert "not quantized" in said.err
    assert "--from" in said.err
    assert say("convert", model, "--to", "nvidia-h100", "--from", "ascend-910b4", "--data", data).status == 0


def test_without_data_there_is_a_note_and_no_answers(say: Say, qir: Path) -> None:
    body = json.loads(say("convert", qir, "--to", "ascend-910b4", "--json").out)
    assert body["before"] is body["after"] is None
    assert any("old ones alone" in note for note in body["notes"])


def test_a_file_that_says_nothing_of_its_target(say: Say, qir: Path, data: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.qir"
    bare.write_text("\n".join(line for line in qir.read_text().split("\n") if not line.startswith("note ")))
    body = json.loads(say("convert", bare, "--to", "hwsim-uint4-ws16", "--data", data, "--json").out)
    assert body["source"] == ""
    assert body["before"] is None
    assert body["after"] is not None
    assert any("Nothing says which target" in note for note in body["notes"])


def test_what_was_converted_runs_only_where_sums_are_alike(say: Say, qir: Path, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "ascend.qir.json"
    assert say("convert", qir, "--to", "ascend-910b4", "--no-run", "--data", data, "-o", path).status == 0
    assert say("emulate", path, "--target", "ascend-910b4", "--data", data).status == 0
    said = say("emulate", path, "--target", "hwsim-int4-ws16", "--data", data)
    assert said.status == 2
    assert "was made for" in said.err
    assert "hwsim convert" in said.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--to", "nvidia-h101"), "did you mean 'nvidia-h100'"),
        (("--to", "nvidia-h100", "--precision", "fp9"), "fp8"),
        (("--to", "nvidia-h100", "--calibrator", "mee"), "did you mean 'mse'"),
        (("--to", "nvidia-h100", "-o", "x.txt"), "expected a path that ends in"),
        (("--to", "nvidia-h100", "--from", "nothing"), "unknown target"),
        (("--to", "nvidia-h100", "--data", "nothing.npz"), "nothing.npz"),
        ((), "--to"),
    ],
)
def test_nonsense_is_one_line(say: Say, qir: Path, args: tuple[str, ...], words: str) -> None:
    said = say("convert", qir, *args)
    assert said.status == 2
    assert words in said.err
    assert said.err.count("\n") == 1


def test_nothing_half_written(say: Say, qir: Path, tmp_path: Path) -> None:
    out = tmp_path / "sub" / "x.qir"
    assert say("convert", qir, "--to", "nvidia-h100", "--data", tmp_path / "none.npz", "-o", out).status == 2
    assert not out.exists()
    assert say("convert", tmp_path / "none.qir", "--to", "nvidia-h100", "-o", out).status == 2
    assert not out.exists()
