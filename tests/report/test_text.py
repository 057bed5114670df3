"""CSV, Markdown, the terminal, and files written whole or not at all."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from hwsim.errors import DataError
from hwsim.report import print_comparison, print_estimate, render_csv, render_html, render_markdown, write_report
from tests.report.sample import realistic, synthetic


def test_csv_holds_every_layer_exactly() -> None:
    comparison = synthetic(3, 60)
    rows = list(csv.DictReader(io.StringIO(render_csv(comparison))))
    layers = [(result, row) for result in comparison.results for row in result.estimate.rows]
    assert len(rows) == len(layers) == 180
    for read, (result, row) in zip(rows, layers, strict=True):
        assert read["target"] == result.target.name
        assert read["name"] == row.name
        assert int(read["macs"]) == row.macs
        assert float(read["seconds"]) == row.seconds
        assert sum(float(v) for k, v in read.items() if k.startswith("energy_pj.")) == pytest.approx(row.total_pj)


def test_csv_does_not_run_in_a_spreadsheet() -> None:
    comparison = synthetic(1, 1)
    result = comparison.results[0]
    rows = tuple(replace(row, name="=cmd()") for row in result.estimate.rows)
    bad = replace(comparison, results=(replace(result, estimate=replace(result.estimate, rows=rows)),))
    assert next(csv.DictReader(io.StringIO(render_csv(bad))))["name"] == "'=cmd()"


def test_markdown() -> None:
    text = render_markdown(realistic())
    assert text.startswith("# mnist-cnn on three chips\n")
    assert "spends the least" in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.replace("\\|", "").count("|") for line in table[:5]}) == 1
    assert "98.60" in table[2]
    assert "arithmetic silicon, timing derived, energy assumed" in table[2]
    evil = render_markdown(replace(realistic(), title="<script>|`x`"))
    assert "<script>" not in evil.split("## Reproduce")[0]


def printed(width: int, call: object, *args: object, **kwargs: object) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    call(*args, console, **kwargs)  # type: ignore[operator]
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_terminal_comparison() -> None:
    text = printed(120, print_comparison, realistic())
    for word in ("nvidia-h100", "ascend-910b4", "hwsim-int4-ws16", "5.94", "98.60", "● silicon", "No clear winner"):
        assert word in text
    assert "[red]odd" in printed(120, print_comparison, replace(realistic(), title="[red]odd"))
    assert "accuracy" not in printed(120, print_comparison, synthetic(2, 3, bare=True))


def test_terminal_estimate() -> None:
    estimate = realistic().results[2].estimate
    text = printed(140, print_estimate, estimate)
    assert all(row.name in text for row in estimate.rows)
    assert "mean power" in text
    assert "◔ derived" in text
    short = printed(140, print_estimate, estimate, limit=2)
    assert "conv2" in short
    assert "and 8 shorter operations" in short
    assert "nothing" in printed(140, print_estimate, synthetic(1, 2, zero_energy=True).results[0].estimate)


@pytest.mark.parametrize("suffix", [".html", ".json", ".csv", ".md"])
def test_write(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "deep" / f"report{suffix}"
    assert write_report(realistic(), path) == path
    first = path.read_bytes()
    write_report(realistic(), path)
    assert path.read_bytes() == first
    assert os.listdir(path.parent) == [path.name]
    assert path.stat().st_mode & 0o444 == 0o444 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_write_refuses(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown report format '\.htlm' \(did you mean '\.html'\?\)"):
        write_report(realistic(), tmp_path / "report.htlm")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written"):
        write_report(realistic(), tmp_path / "file" / "report.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        write_report(realistic(), tmp_path / "folder.html")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.html"]


def test_a_failed_rendering_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DataError, match="No space left"):
        write_report(realistic(), path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]
    assert render_html(realistic())


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_narrow_terminals_lose_columns_not_names_or_digits(width: int) -> None:
    estimate = realistic().results[2].estimate
    text = printed(width, print_estimate, estimate)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert all(row.name in text for row in estimate.rows)
    text = printed(width, print_comparison, realistic())
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for word in ("nvidia-h100", "ascend-910b4", "hwsim-int4-ws16", "2.19 mJ", "5.94 µJ", "98.60 %"):
        assert word in text
    assert ("97.98 % to 99.03 %" in text) == (width >= 100)
