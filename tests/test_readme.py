"""README's words work beyond what tests/docs asks of every page: what its Python leaves, and what it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.page import ROOT, blocks, commands, text_of

TEXT = text_of("README.md")


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("README.md", "python"):
        exec(block.text, names)
    assert (tmp_path / "result" / "report.html").stat().st_size > 10_000
    assert float(names["hwsim"].mma(names["a"], names["b"], None, "nvidia.hopper.wgmma.e4m3")[0, 0]) == 4.0  # type: ignore[attr-defined]


def test_commands_are_there() -> None:
    assert len(commands("README.md", "hwsim")) >= 8
    assert commands("README.md", "make") == ["make demo", "make test"]


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {word for line in re.findall(r"(?:`|^)make ([a-z ]+)", TEXT, re.MULTILINE) for word in line.split()}
    assert {"demo", "test", "lint"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_room_is_in_the_house() -> None:
    rooms = {path.name for path in (ROOT / "hwsim").iterdir() if (path / "__init__.py").is_file()}
    assert {room for room in rooms if f"](hwsim/{room})" in TEXT} == rooms
