"""Results show themselves in a notebook: small, whole, escaped."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import hwsim
from hwsim.perf.notebook import amount
from hwsim.report.model import Comparison
from hwsim.sweep import sweep
from tests.report.pages import Element, parse
from tests.report.sample import CNN, estimate, realistic


def shown(value: object) -> Element:
    page = value._repr_html_()  # type: ignore[attr-defined]
    assert len(page) < 20_000
    return parse(page)


def test_a_comparison_has_a_row_a_target() -> None:
    tree = shown(realistic())
    rows = tree.all("tbody")[0].all("tr")
    assert [row.children[0].text for row in rows] == ["nvidia-h100", "ascend-910b4", "hwsim-int4-ws16"]
    assert rows[0].children[-1].text == "silicon, derived, assumed"


def test_an_estimate_has_its_longest_operations_and_totals() -> None:
    made = hwsim.estimate("resnet50", "nvidia-h100", batch=8)
    tree = shown(made)
    names = [row.children[0].text for row in tree.all("tbody")[0].all("tr")]
    longest = sorted(made.rows, key=lambda row: -row.seconds)[:12]
    assert sorted(names) == sorted(row.name for row in longest)
    assert amount(made.seconds, "s") in tree.words
    assert "memory limit met" in tree.words


def test_a_sweep_has_its_best_points() -> None:
    space = {"model": "resnet50", "target": ["nvidia-a100", "nvidia-h100"]}
    tree = shown(sweep({"name": "s", "space": space, "objectives": ["latency_s"]}, jobs=1))
    assert [cell.text for cell in tree.all("tbody")[0].all("td")][1] == "nvidia-h100"
    assert "2 points" in tree.words


def test_names_are_escaped() -> None:
    comparison: Comparison = replace(realistic(), title="<script>alert(1)</script>")
    assert not shown(comparison).all("script")
    rows = (replace(estimate("t", CNN, peak=1e9, bandwidth=1e9).rows[1], name="<img src=x>"),)
    assert not shown(replace(estimate("t", CNN, peak=1e9, bandwidth=1e9), rows=rows)).all("img")


def test_a_notebook_needs_no_pandas() -> None:
    code = (
        "import hwsim, sys; hwsim.estimate(hwsim.gemm(8, 8, 8, weights='int4', activations='int4'), "
        "'hwsim-int4-ws16')._repr_html_(); assert 'pandas' not in sys.modules and 'jinja2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
