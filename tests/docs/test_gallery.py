"""reports/ is whole and not stale: each report is in the index, links lead somewhere, chips have not changed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hwsim
from bench import gallery
from tests.docs.page import parses

HOME = gallery.HOME
INDEX = (HOME / "README.md").read_text(encoding="utf-8")
LINKS = re.findall(r"\]\(([^)#\s]+)", INDEX)
PAGES = sorted(
    str(path.relative_to(HOME))
    for path in HOME.rglob("*")
    if path.suffix in (".md", ".html", ".txt") and HOME / "demo" not in path.parents  # what `make demo` leaves
)


@pytest.mark.parametrize("page", [page for page in PAGES if page != "README.md"])
def test_every_report_is_in_the_index(page: str) -> None:
    assert page in LINKS


def test_links_lead_somewhere() -> None:
    assert [link for link in LINKS if "://" not in link and not (HOME / link).exists()] == []


@pytest.mark.parametrize("name", gallery.REPORTS)
def test_commands_are_told_and_work(name: str) -> None:
    report = gallery.REPORTS[name]
    assert (HOME / name).is_file()
    if report.command.startswith("hwsim"):
        parses(report.command)
    else:
        script = report.command.split()[1]
        assert script == "-m" or (gallery.ROOT / script).is_file()


def test_nothing_is_stale() -> None:
    assert gallery.stale() == []


def test_changed_chips_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "numbers", lambda chip, costs: "other")
    lines = gallery.stale()
    assert len(lines) == sum(bool(report.chips) for report in gallery.REPORTS.values())
    assert all("run: " in line for line in lines)


def test_words_are_not_numbers() -> None:
    assert gallery._bare({"value": 1, "note": "x", "kind": "rtl", "of": [{"title": "y", "value": 2}]}) == {
        "value": 1,
        "of": [{"value": 2}],
    }


def test_the_shown_run_is_what_hwsim_says_now() -> None:
    """The page that the README shows, made again: all but the date, the command and the versions of packages."""
    kept = json.loads((HOME / "mnist-cnn/run.json").read_text(encoding="utf-8"))
    made = hwsim.report.to_json(hwsim.compare("mnist-cnn", gallery.DEMO))
    for key in ("created", "command", "versions", "hashes"):
        kept.pop(key), made.pop(key)
    assert list(_different(json.loads(json.dumps(made)), kept, "run")) == [], "run: make gallery"


def _different(one: Any, other: Any, at: str) -> Iterator[str]:
    """Places where two documents differ; numbers that the processor's own arithmetic made may, in their last digits."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from _different(one[key], other[key], f"{at}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _different(left, right, f"{at}[{index}]")
    elif isinstance(one, float) and isinstance(other, float):
        if one != pytest.approx(other, rel=1e-4):
            yield at
    elif one != other:
        yield at


def test_the_tpu_s_report_is_what_hwsim_says_now(tmp_path: Path) -> None:
    made = tmp_path / "tpu.md"
    subprocess.run([sys.executable, "bench/parity_tpu_v1.py", "-o", str(made)], cwd=gallery.ROOT, check=True)
    assert made.read_text() == (HOME / "validation-tpu-v1.md").read_text(), "run: make gallery"
