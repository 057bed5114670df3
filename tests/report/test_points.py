"""The page of a design space: the right points are best, nothing is lost, names are escaped."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hwsim.errors import DataError
from hwsim.report import write_points
from hwsim.report.points import DRAWN, Spot, _front, render_points
from hwsim.sweep import sweep
from hwsim.sweep.page import points_of
from tests.report.pages import Element, parse
from tests.report.sample_points import space

EVIL = "\"><script>alert(1)</script>'{{7*7}}"


def figures(tree: Element) -> list[Element]:
    return [e for e in tree.all("svg") if e.attributes.get("role") == "img"]


def test_a_plane_a_pair_and_a_mark_a_best_point() -> None:
    points = space()
    tree = parse(render_points(points))
    planes = figures(tree)
    assert len(planes) == 3
    for plane in planes:
        marks, dots = plane.all("path", "mark"), plane.all("circle", "other")
        assert len(marks) == len(points.best)
        assert len(marks) + len(dots) == 60
        assert len([dot for dot in dots if "hollow" in dot.attributes["class"]]) == sum(
            not spot.feasible for spot in points.spots if spot.values
        )
    (table,) = [t for t in tree.all("table") if t.attributes.get("id") == "best-table"]
    assert len(table.all("tbody")[0].all("tr")) == len(points.best)
    heads = [e.words for e in table.all("thead")[0].all("th")]
    assert "context" not in heads  # the same wherever there are numbers
    assert re.search(r"\d+ of 62 points are best", tree.words)


def test_fronts_of_every_pair_of_directions() -> None:
    pairs = [(1.0, 5.0), (2.0, 3.0), (3.0, 4.0), (4.0, 1.0), (2.0, 6.0)]
    assert _front(pairs, "min", "min") == [(1.0, 5.0), (2.0, 3.0), (4.0, 1.0)]
    assert _front(pairs, "min", "max") == [(1.0, 5.0), (2.0, 6.0)]
    assert _front(pairs, "max", "min") == [(4.0, 1.0)]
    assert _front(pairs, "max", "max") == [(4.0, 1.0), (3.0, 4.0), (2.0, 6.0)]


def test_limits_and_failures_are_told() -> None:
    words = parse(render_points(space())).words
    assert "TargetError: broken-1.yaml:3: <b>no</b> such key" in words
    assert "2 failed." in words
    assert "at most" in words
    assert not parse(render_points(space(failures=0, limited=False))).all("section", "failures")


def test_no_point_at_all_and_none_that_has_numbers() -> None:
    empty = replace(space(0, failures=0))
    assert "There are no points." in parse(render_points(empty)).words
    broken = parse(render_points(space(0, failures=3)))
    assert "None of 3 points meets every limit." in broken.words


def test_many_points_are_thinned_and_the_page_says_so() -> None:
    points = space(10, failures=0, limited=False)
    dull = [replace(spot, best=False) for spot in points.spots] * 400
    tree = parse(render_points(replace(points, spots=(*points.spots, *dull))))
    assert len(figures(tree)[0].all("circle", "other")) <= DRAWN
    assert "One in 3 of the beaten points is drawn." in tree.words


def test_names_are_escaped_and_bytes_repeat() -> None:
    points = space()
    bad = Spot({"target": EVIL}, {"latency_s": 1e-3, "energy_j": 1e-4, "accuracy": 0.9}, EVIL, True, True)
    evil = replace(points, spots=(*points.spots, bad), name=EVIL, spec=EVIL, command=EVIL, description=EVIL)
    page = render_points(evil)
    assert page == render_points(evil)
    tree = parse(page)
    assert len(tree.all("script")) == 1
    assert "<script>alert" not in page


def test_a_sweep_fills_the_page(tmp_path: Path) -> None:
    spec = {
        "name": "two-chips",
        "space": {"model": "resnet50", "target": ["nvidia-a100", "nvidia-h100"], "batch": [1, 8]},
        "objectives": ["latency_s", "energy_j"],
        "constraints": {"latency_s": {"max": 1e-3}},
    }
    found = sweep(spec, jobs=1)
    points = points_of(found, "hwsim sweep two-chips")
    assert [spot.best for spot in points.spots] == [row.best for row in found.rows]
    write_points(points, tmp_path / "page.html")
    words = parse((tmp_path / "page.html").read_text(encoding="utf-8")).words
    assert "nvidia-h100" in words
    assert "hwsim sweep two-chips" in words
    with pytest.raises(DataError, match=r"\.html"):
        write_points(points, tmp_path / "page.pdf")
