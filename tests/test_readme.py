"""README's words work: its Python runs, its commands parse, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import click
import pytest

from hwsim.cli.app import group

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[str]:
    lines = [line.partition("#")[0].partition(">")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith(f"{program} ")]


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(block, names)
    assert (tmp_path / "result" / "report.html").stat().st_size > 10_000
    assert float(names["hwsim"].mma(names["a"], names["b"], None, "nvidia.hopper.wgmma.e4m3")[0, 0]) == 4.0  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", commands("hwsim"))
def test_commands_parse(line: str) -> None:
    _, verb, *args = shlex.split(line)
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    command.make_context(verb, args)


def test_commands_are_there() -> None:
    assert len(commands("hwsim")) >= 8
    assert commands("make") == ["make demo", "make test"]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is missing")
def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {word for line in re.findall(r"(?:`|^)make ([a-z ]+)", TEXT, re.MULTILINE) for word in line.split()}
    assert {"demo", "test", "lint"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("link", sorted({link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in link}))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
