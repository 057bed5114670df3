"""Sweeps from end to end: values, resumption, and the folder that they keep."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import hwsim
from hwsim.errors import DataError, HwsimError, TargetError
from hwsim.sweep import sweep
from hwsim.sweep.evaluate import chip
from hwsim.sweep.store import FILE
from tests.cli.conftest import Say, say  # noqa: F401
from tests.oracles import need_module
from tests.sweep.sweeps import SPEC_200, run_sweep, small


def test_values_are_the_estimate() -> None:
    found = sweep(small(), jobs=1)
    assert len(found.rows) == 16
    for row in found.rows:
        if row.point["machine.cols"] == -1:
            assert row.values is None
            assert "machine.cols" in row.error
            continue
        target = chip(row.point)
        want = hwsim.estimate(str(row.point["model"]), target)
        assert row.values == {"latency_s": want.seconds, "energy_j": want.joules}
    assert chip({"target": "hwsim-int4-ws16"}).machine.rows.value == 16  # type: ignore[union-attr]


def test_a_set_field_is_assumed() -> None:
    target = chip({"target": "hwsim-int4-ws16", "energy.dram_pj_per_byte": 10})
    assert target.energy.dram_pj_per_byte.value_pj == 10
    assert target.energy.dram_pj_per_byte.kind == "assumed"
    with pytest.raises(TargetError, match="dram_pj_per_byte"):
        chip({"target": "hwsim-int4-ws16", "energy.dram_pj_per_bite": 10})


def test_tasks_are_judged_apart() -> None:
    best = sweep(small(), jobs=1).best
    assert {row.point["model"] for row in best} == {"mnist-cnn", "resnet50"}


def test_constraints_mark_rows() -> None:
    found = sweep(small(constraints={"latency_s": {"max": 1e-3}}), jobs=1)
    assert {row.point["model"] for row in found.rows if row.feasible} == {"mnist-cnn"}
    assert all(row.feasible for row in found.best)


def test_answers() -> None:
    spec = {
        "name": "answers",
        "limit": 100,
        "space": {"model": "mnist-cnn", "target": ["hwsim-int4-ws16"], "calibrator": ["minmax", "mse"]},
        "objectives": ["accuracy", "energy_j"],
    }
    found = sweep(spec, jobs=1)
    want = hwsim.compare("mnist-cnn", "hwsim-int4-ws16", calibrator="minmax", limit=100).results[0]
    assert want.accuracy is not None
    assert found.rows[0].values == {"energy_j": want.energy_j, "accuracy": want.accuracy.value}
    assert not found.failed


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"model": "resnet51", "target": "gemmini"}, ["resnet51", "resnet50"]),
        ({"model": "resnet50", "target": "gemini"}, ["gemini", "gemmini"]),
        ({"model": "resnet50", "target": "gemmini", "precision": "int9"}, ["int9", "int8"]),
        ({"model": "resnet50", "target": "gemmini", "calibrator": "mxe"}, ["mxe", "mse"]),
        ({"model": "resnet50", "target": "gemmini", "machine.rws": 4}, ["rws", "rows"]),
        ({"model": 3, "target": "gemmini"}, ["space.model"]),
    ],
)
def test_wrong_names_are_found_before_the_first_point(space: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(HwsimError) as caught:
        sweep({"name": "x", "space": space, "objectives": ["latency_s"]}, jobs=1)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_folder_keeps_one_sweep(tmp_path: Path) -> None:
    first = sweep(small(), tmp_path, jobs=1)
    assert (tmp_path / "results.json").read_text() == first.to_json()
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert len(lines) == 17
    assert lines[0].startswith("model,target,machine.rows,machine.cols,latency_s,energy_j,feasible,best,error")
    with pytest.raises(DataError, match="another: spec differs"):
        sweep(small(seed=1), tmp_path, jobs=1)
    assert sweep(small(seed=1), tmp_path, jobs=1, fresh=True).rows == first.rows


def test_nothing_is_computed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hwsim.sweep import evaluate

    sweep(small(), tmp_path, jobs=1)
    monkeypatch.setattr(evaluate, "evaluate", lambda *_: pytest.fail("computed again"))
    seen: list[int] = []
    sweep(small(), tmp_path, jobs=1, progress=lambda stage, done, total: seen.append(done))
    assert seen[-1] == 16
    assert sweep(small(), tmp_path, jobs=1).failed


def test_failures_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hwsim.sweep import evaluate

    real = evaluate.evaluate
    monkeypatch.setattr(evaluate, "evaluate", lambda *_: (_ for _ in ()).throw(MemoryError()))
    assert len(sweep(small(), tmp_path, jobs=1).failed) == 16
    monkeypatch.setattr(evaluate, "evaluate", real)
    assert len(sweep(small(), tmp_path, jobs=1).failed) == 16
    again = sweep(small(), tmp_path, jobs=1, retry_failed=True)
    assert again.to_json() == sweep(small(), jobs=1).to_json()


def test_two_at_once(tmp_path: Path) -> None:
    import sqlite3

    sweep(small(), tmp_path, jobs=1)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DataError, match="running"):
        sweep(small(), tmp_path, jobs=1)
    other.close()


def test_not_our_file(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"something else entirely, more than a header long" * 100)
    with pytest.raises(DataError, match="not a sweep's file"):
        sweep(small(), tmp_path, jobs=1)


def _uninterrupted(spec: Path, out: Path) -> bytes:
    process = run_sweep(spec, out, "--jobs", "1")
    assert process.wait() == 0, process.stderr and process.stderr.read()
    return (out / "results.json").read_bytes()


def _killed(spec: Path, out: Path, moments: list[float], *more: str) -> bytes:
    """Run, kill the whole group at each moment, run again, and at last to the end."""
    for moment in moments:
        process = run_sweep(spec, out, *more)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    process = run_sweep(spec, out, *more)
    _, said = process.communicate()
    assert process.returncode == 0, said
    return (out / "results.json").read_bytes()


@pytest.mark.parametrize("kind", ["grid", "bayes"])
def test_killed_and_resumed(tmp_path: Path, kind: str) -> None:
    if kind == "bayes":
        need_module("optuna")
    spec = tmp_path / "spec.yaml"
    points = "" if kind == "grid" else "points: 64"
    spec.write_text(SPEC_200.format(search=kind, points=points))
    begun = time.monotonic()
    want = _uninterrupted(spec, tmp_path / "whole")
    took = time.monotonic() - begun
    moments = [took * share for share in (0.6, 0.8)]
    assert _killed(spec, tmp_path / "killed", moments, "--jobs", "1") == want


@pytest.mark.slow
def test_killed_at_twenty_random_moments(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC_200.format(search="grid", points=""))
    begun = time.monotonic()
    want = _uninterrupted(spec, tmp_path / "whole")
    took = time.monotonic() - begun
    draw = random.Random(20)
    moments = [took * (0.3 + 0.4 * draw.random()) for _ in range(20)]
    assert _killed(spec, tmp_path / "killed", moments, "--jobs", "2") == want


def test_command_line(say: Say, tmp_path: Path) -> None:  # noqa: F811
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC_200.format(search="random", points="points: 6"))
    said = say("sweep", spec, "--out", tmp_path / "out", "--jobs", 1)
    assert said.status == 0, said.err
    assert "6 points" in said.out
    assert str(tmp_path / "out" / "results.csv") in said.out
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    said = say("sweep", spec, "--out", tmp_path / "out", "--json")
    assert said.out == (tmp_path / "out" / "results.json").read_text()
    assert say("sweep", "--list").status == 0
    for wrong in (["sweep"], ["sweep", "nothing.yaml"], ["sweep", spec, "--engine", "dask"], ["sweep", "calibrator"]):
        said = say(*wrong)
        assert said.status == 2, wrong
        assert len(said.err.splitlines()) == 1
