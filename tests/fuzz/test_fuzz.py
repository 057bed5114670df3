"""The first inputs of every reader: a load or one clear line, in little memory. ``python -m tests.fuzz`` takes more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from typing import Any

import pytest

from tests.fuzz.__main__ import NAMES, block
from tests.fuzz.readers import ROOT
from tests.fuzz.work import MEMORY_BYTES, SECONDS
from tests.oracles import need_heavy_module

COUNT = 40
HERE = [name for name in NAMES if name != "recipe" or find_spec("torch")]
Row = list[Any]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """What became of each file, in a process that a crash would end and that cannot take more memory."""
    folder = tmp_path_factory.mktemp("fuzz")
    parts = [f"{name}:0:{COUNT}" for name in HERE]
    command = [sys.executable, "-m", "tests.fuzz.work", str(folder), "0", *parts]
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (found[-1:], done.stderr[-2000:])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_load_or_one_line(rows: list[Row], name: str) -> None:
    if name not in HERE:
        need_heavy_module("torch")
    mine = [row for row in rows if row[0] == name]
    assert [row[1] for row in mine] == [*range(COUNT), "memory"]
    assert [row for row in mine if row[2] == "failed"] == []
    outcomes = Counter(row[2] for row in mine[:-1])
    assert outcomes["refused"] > COUNT / 4
    assert max(row[5] for row in mine[:-1]) < SECONDS
    assert mine[-1][2] < MEMORY_BYTES


def test_some_damage_is_harmless(rows: list[Row]) -> None:
    """The files are near enough to good ones to reach the far end of the readers."""
    loaded = {row[0] for row in rows if row[2] == "loaded"}
    assert len(loaded) > len(HERE) * 2 / 3


def test_files_that_unpack_to_much_more_are_refused_for_that(rows: list[Row]) -> None:
    said = {row[0]: row[4] for row in rows if row[2] == "refused" and "bomb" in row[3]}
    assert "over 200 to 1" in said["data npz"]
    assert "over 200 to 1" in said["vectors npz"]
    assert "over 200 to 1" in said["qir"]
    assert "checkpoint" in said["checkpoint"]


def test_every_fault_of_a_reader_is_found() -> None:
    found = block("broken", 0, 0, 7, "tests.fuzz.broken")
    assert (found["loaded"], found["refused"]) == (1, 1)
    said = {number: text for number, _, text in found["failed"]}
    assert sorted(said) == [1, 2, 3, 4, 6]
    for number, word in {1: "status 9", 2: "KeyError", 3: "MemoryError", 4: "Late", 6: "names the file"}.items():
        assert word in said[number]
