"""Six hundred damaged and hostile files of every kind that hwsim reads: a load or one clear line, in little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.io.hostile import MEMORY_BYTES, SECONDS

Row = dict[str, Any]
KINDS = (
    "onnx", "onnx int4", "onnx fp4", "qonnx", "safetensors", "gptq", "gguf", "checkpoint", "npz", "qir", "qir.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """What became of each file, in a process that a crash would end and that cannot take more memory."""
    folder = tmp_path_factory.mktemp("hostile")
    command = [sys.executable, "-m", "tests.io.hostile", str(folder)]
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (found[-1:], done.stderr[-2000:])
    assert done.stderr == ""
    return found


def test_every_file_has_an_outcome_and_memory_is_bounded(rows: list[Row]) -> None:
    begun = [row["path"] for row in rows if "begin" in row]
    ended = [row["path"] for row in rows if "outcome" in row]
    assert begun == ended
    assert len(ended) >= 600
    assert {row["kind"] for row in rows} == {*KINDS, "end"}
    assert rows[-1]["grown"] < MEMORY_BYTES


@pytest.mark.parametrize("kind", KINDS)
def test_a_load_or_one_line(rows: list[Row], kind: str) -> None:
    mine = [row for row in rows if row["kind"] == kind and "outcome" in row]
    failed = [(row["what"], row["text"]) for row in mine if row["outcome"] == "failed"]
    assert not failed
    refused = [row for row in mine if row["outcome"] == "refused"]
    assert len(mine) >= 39
    assert len(refused) >= 30
    for row in refused:
        assert "\n" not in row["text"]
        assert row["path"] in row["text"]
        assert len(row["text"]) < 900
    assert max(row["seconds"] for row in mine) < SECONDS


def test_files_that_unpack_to_much_more_are_refused_for_that(rows: list[Row]) -> None:
    said = {row["kind"]: row["text"] for row in rows if "bomb" in row.get("what", "")}
    assert "over 200 to 1" in said["npz"]
    assert "over 200 to 1" in said["qir"]
    assert "checkpoint" in said["checkpoint"]


def test_some_damage_is_harmless(rows: list[Row]) -> None:
    """The files are near enough to good ones to reach the far end of every reader."""
    loaded = {row["kind"] for row in rows if row.get("outcome") == "loaded"}
    assert loaded >= set(KINDS) - {"qir.json"}
