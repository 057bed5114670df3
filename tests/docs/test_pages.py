"""Every page's words work: blocks run in order and print what it shows, commands parse, links lead somewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import hwsim
from hwsim import zoo
from hwsim.numerics import formats
from tests.docs.page import PAGES, ROOT, Reader, blocks, commands, parses, text_of
from tests.oracles import need_tool

SLOW = {
    "README.md",
    "docs/attention.md",
    "docs/robustness.md",
    "docs/training.md",
    "docs/tutorials/emulate.md",
    "docs/tutorials/prove.md",
    "docs/tutorials/energy.md",
}
"""Pages whose commands take more than a few seconds."""


def _runs(page: str) -> bool:
    return bool(blocks(page, "python") or blocks(page, "sh"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder: the checkout's Verilog, and files of the names that pages give to a reader's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(formats, "_entries", dict(formats))
    (tmp_path / "rtl").symlink_to(ROOT / "rtl")
    files = zoo.get("mnist-cnn")
    for name, part in {"net.onnx": "model", "test.npz": "test", "train.npz": "calib"}.items():
        shutil.copy(files[part], tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=pytest.mark.slow) if p in SLOW else p for p in PAGES if _runs(p)]
)
def test_blocks_run(page: str, folder: Path) -> None:
    if any(line.startswith("hwsim verify") for line in commands(page, "hwsim")):
        need_tool("iverilog", "sudo apt-get install iverilog")
    Reader(page).read()


@pytest.mark.parametrize(("page", "line"), [(page, line) for page in PAGES for line in commands(page, "hwsim")])
def test_commands_parse(page: str, line: str, folder: Path) -> None:
    parses(line)


@pytest.mark.parametrize("page", PAGES)
def test_what_the_reader_runs_is_there(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in commands(page, "make"):
        for target in line.split()[1:]:
            assert re.search(rf"^{target}[ a-z]*:", makefile, re.MULTILINE), target
    for line in commands(page, "python"):
        script = line.split()[1]
        assert script == "-m" or (ROOT / script).is_file(), script


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", text_of(page)):
        assert "://" in link or link.startswith("mailto:") or ((ROOT / page).parent / link).exists(), link


def test_every_public_name_is_in_the_reference() -> None:
    listed = re.findall(r"(?:autofunction|autoclass|autodata|autoexception):: hwsim\.(\w+)", text_of("docs/api.md"))
    assert sorted(listed) == sorted(name for name in hwsim.__all__ if name != "__version__")
