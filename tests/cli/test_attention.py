"""``hwsim emulate --attention``, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hwsim.io.model import save_model
from hwsim.quant import quantize, recipe_for
from hwsim.target import load_target
from tests.cli.conftest import Say
from tests.emulate.test_attention import LENGTH, X, attention

CHIP = "hwsim-int4-ws16"


def files(folder: Path) -> tuple[Path, Path]:
    """A quantized file with one attention, and inputs with labels."""
    graph = quantize(attention(), recipe_for(load_target(CHIP), None, "minmax"), X)
    save_model(graph, folder / "small.qir")
    np.savez(folder / "x.npz", x=X, y=np.zeros(len(X), np.int64))
    return folder / "small.qir", folder / "x.npz"


def test_a_row_a_head_for_people_and_machines(say: Say, tmp_path: Path) -> None:
    model, data = files(tmp_path)
    out = tmp_path / "out"
    asked = ("emulate", model, "--target", CHIP, "--data", data, "--attention", "--limit", 5)
    said = say(*asked, "--out", out)
    assert said.status == 0, said.err
    rows = [line.split() for line in said.out.splitlines() if line.strip().startswith("softmax ")]
    assert [row[1] for row in rows[1:]] == ["0", "1", "2"]
    assert "Mean |shift|" in said.out
    held = json.loads((out / f"attention-{CHIP}.json").read_text())
    assert held["schema"] == "hwsim.attention/1"
    assert [head["rows"] for head in held["heads"]] == [5 * LENGTH] * 3
    found = json.loads(say(*asked, "--json").out)
    assert found["schema"] == "hwsim.emulate.attention/1"
    assert found["attention"][0]["shift"] == held["shift"]
    assert f"{held['shift']:.4f}" in said.out
    assert found["comparison"]["results"]


def test_a_network_without_attention_is_refused_before_work(say: Say, tmp_path: Path) -> None:
    said = say("emulate", "mnist-cnn", "--target", CHIP, "--attention", "--out", tmp_path / "out")
    assert said.status == 2
    assert "mnist-cnn: has no attention" in said.err
    assert not list((tmp_path / "out").iterdir())
