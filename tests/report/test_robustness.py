"""The robustness page, and the same numbers as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from hwsim.report import render_robustness, stress_csv, stress_json, stress_markdown, write_robustness
from hwsim.report.model import wilson
from tests.report.pages import parse
from tests.report.sample_stress import N, stressed


def test_every_section_and_number_is_on_the_page() -> None:
    stress = stressed()
    page = parse(render_robustness(stress))
    assert {e.attributes["id"] for e in page.all("section") if "id" in e.attributes} >= {
        *("answer", "attacks", "corruptions", "strangers", "faults", "repeat", "read")
    }
    assert len([e for e in page.all("svg") if e.attributes.get("role") == "img"]) == 3 + 5 + 3
    words = page.words
    for row in (*stress.attacks, *stress.corruptions):
        assert f"{100 * row.right / N:.2f}" in words
    assert "A <small> network" in words  # escaped, and read back as it was
    assert "<small>" not in render_robustness(stress).split("<h1>")[1][:40]


def test_a_section_that_was_not_asked_for_is_not_there() -> None:
    stress = replace(stressed(), attacks=(), strangers=(), faults=(), flips=())
    page = parse(render_robustness(stress))
    ids = {e.attributes["id"] for e in page.all("section") if "id" in e.attributes}
    assert "corruptions" in ids
    assert not ids & {"attacks", "strangers", "faults"}
    links = [e.attributes["href"] for e in page.all("nav")[0].all("a")]
    assert set(links) == {"#corruptions", "#repeat", "#read"}
    assert "## Attack" not in stress_markdown(stress)


def test_headline_names_the_worst() -> None:
    stress = stressed()
    words = parse(render_robustness(stress)).all("section")[0].words
    worst = min((r for r in stress.attacks if r.crafted == r.tested), key=lambda r: r.right)
    assert f"{worst.kind} with ε = {worst.epsilon:g}" in words
    assert "scrambled" in words  # the lowest area in the sample
    assert "at a rate of 0.01" in words


def test_csv_has_a_row_a_number() -> None:
    stress = stressed()
    rows = list(csv.DictReader(io.StringIO(stress_csv(stress))))
    tables = (stress.columns, stress.attacks, stress.corruptions, stress.strangers, stress.faults, stress.flips)
    assert len(rows) == sum(len(table) for table in tables)
    first = next(row for row in rows if row["section"] == "attack")
    assert float(first["value"]) == stress.attacks[0].right / N
    assert (float(first["low"]), float(first["high"])) == wilson(stress.attacks[0].right, N)


def test_json_is_json_and_whole() -> None:
    found = json.loads(stress_json(stressed()))
    assert found["schema"] == "hwsim.robust/1"
    assert len(found["attacks"]) == 3 * 3 * 3 * 3
    assert found["flips"][-1]["bit"] is None


def test_markdown_tables_are_square() -> None:
    for block in stress_markdown(stressed()).split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1


@pytest.mark.parametrize("suffix", ["html", "json", "csv", "md"])
def test_written_whole_and_alike(suffix: str, tmp_path: object) -> None:
    path = write_robustness(stressed(), f"{tmp_path}/r.{suffix}")
    before = path.read_bytes()
    assert write_robustness(stressed(), path).read_bytes() == before


def test_hostile_names_are_only_names() -> None:
    bad = "=cmd()|<b>"
    held = stressed()
    columns = (replace(held.columns[0], name=bad), *held.columns[1:])
    light = tuple(replace(row, tested=bad if row.tested == "float32" else row.tested) for row in held.corruptions)
    odd = replace(held, columns=columns, corruptions=light, attacks=(), strangers=(), title="# <i>", notes=("<u>",))
    rows = list(csv.DictReader(io.StringIO(stress_csv(odd))))
    assert {row["tested_on"] for row in rows} >= {f"'{bad}"}
    text = stress_markdown(odd)
    assert "<" not in text
    widths = {line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("| severity")}
    assert widths == {len(columns) + 2}
