"""``hwsim train`` as a person uses it: a recipe, a folder, a kill in the middle, mistakes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim import zoo
from hwsim.cli.app import run
from tests.oracles import need_heavy_module

need_heavy_module("torch")

RECIPE = """
name: small
model: mnist-mlp
target: hwsim-int4-ws16
data: {data}
weights: {{format: int2}}
limit: 200
course: {{epochs: 2, batch: 32, report_steps: 4, checkpoint_steps: 1, seed: 3, teacher: 0.3}}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    digits = zoo.data("mnist-mlp", "calib")
    np.savez(tmp_path / "digits.npz", x=digits.inputs, y=digits.labels)
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE.format(data=tmp_path / "digits.npz"))
    return path


def start(recipe: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hwsim", "train", str(recipe), "--out", str(out), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_trains_and_a_killed_run_ends_with_the_same_bits(recipe: Path, tmp_path: Path) -> None:
    whole = start(recipe, tmp_path / "whole")
    out, said = whole.communicate()
    assert whole.returncode == 0, said
    found = json.loads(out)
    assert found["schema"] == "hwsim.training/1"
    assert found["after"] > found["before"]
    assert [row[0] for row in found["curve"]] == [4, 8, 12, 16]

    broken = start(recipe, tmp_path / "broken")
    checkpoint = tmp_path / "broken" / "checkpoint.npz"
    while broken.poll() is None and not checkpoint.exists():
        time.sleep(0.01)
    os.kill(broken.pid, signal.SIGKILL)
    broken.communicate()
    assert not (tmp_path / "broken" / "model.qir").exists()
    again = start(recipe, tmp_path / "broken")
    rest, said = again.communicate()
    assert again.returncode == 0, said
    assert (tmp_path / "broken" / "model.qir").read_bytes() == (tmp_path / "whole" / "model.qir").read_bytes()
    assert json.loads(rest)["curve"] == found["curve"]
    page = (tmp_path / "whole" / "page.html").read_text()
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert page.count('<svg role="img"') == 2


def fails(capsys: Any, *args: str) -> str:
    assert run(["train", *args]) == 2
    line: str = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("weights: {format: int2}", "weights: {format: int22}", "small.yaml:6: unknown format 'int22'"),
        ("weights: {format: int2}", "weights: {estimator: stee}", "small.yaml:6: unknown estimator 'stee'"),
        ("epochs: 2", "epochs: 0", "epochs"),
        ("epochs: 2", "epoch: 2", "did you mean 'epochs'"),
        ("limit: 200", "augment: [jiter]", "did you mean 'jitter'"),
        ("limit: 200", "calibrator: mze", "did you mean 'mse'"),
        ("model: mnist-mlp", "model: mnist-mpl", "did you mean 'mnist-mlp'"),
        ("target: hwsim-int4-ws16", "target: hwsim-int4-ws1", "hwsim-int4-ws16"),
        ("weights: {format: int2}", "weights: {format: int8}", "int8"),
        ("digits.npz", "other.npz", "other.npz"),
        ("name: small", "nme: small", "did you mean 'name'"),
    ],
)
def test_mistakes_are_one_line(recipe: Path, old: str, new: str, said: str, capsys: Any, tmp_path: Path) -> None:
    text = recipe.read_text()
    assert old in text
    recipe.write_text(text.replace(old, new))
    assert said in fails(capsys, str(recipe), "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out" / "model.qir").exists()


def test_no_recipe_and_another_recipes_folder(recipe: Path, capsys: Any, tmp_path: Path) -> None:
    assert "nothing.yaml" in fails(capsys, str(tmp_path / "nothing.yaml"))
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "recipe.json").write_text("{}")
    (folder / "checkpoint.npz").write_bytes(b"held")
    assert "--fresh" in fails(capsys, str(recipe), "--out", str(folder))
    assert (folder / "checkpoint.npz").read_bytes() == b"held"
