"""The page: whole, self-contained, escaped, the same bytes each time, every figure drawn."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from dataclasses import replace

import pytest

from hwsim.perf.result import Constraint
from hwsim.report import Comparison, render_html
from hwsim.report.humanise import THIN
from tests.report.pages import Element, parse
from tests.report.sample import realistic, synthetic

CASES = {
    "realistic": realistic(),
    "one target, one layer": synthetic(1, 1),
    "three targets": synthetic(3, 12),
    "eight targets, sixty layers, long names": synthetic(8, 60, long_names=True),
    "no energy": synthetic(3, 6, zero_energy=True),
    "estimates only": synthetic(2, 30, bare=True),
}
EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}"


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> tuple[Comparison, str, Element]:
    comparison = CASES[request.param]
    page = render_html(comparison)
    return comparison, page, parse(page)


def test_a_strict_reader_accepts_the_page(case: tuple[Comparison, str, Element]) -> None:
    comparison, page, tree = case
    assert page.startswith("<!DOCTYPE html>")
    assert [e.text.strip() for e in tree.all("h1")] == [comparison.title]
    idents = [e.attributes["id"] for e in tree.walk() if "id" in e.attributes]
    assert len(idents) == len(set(idents))
    targets = [e.attributes["href"][1:] for e in tree.all("a")]
    assert set(targets) <= set(idents)


def test_the_reader_of_this_test_can_fail() -> None:
    with pytest.raises(AssertionError, match="closes"):
        parse("<div><p></div>")
    with pytest.raises(AssertionError, match="not closed"):
        parse("<div>")


def test_the_page_loads_nothing(case: tuple[Comparison, str, Element]) -> None:
    _, page, tree = case
    assert not re.search(r"(?:https?:)?//[a-z]", page.replace("// ", ""), re.IGNORECASE)
    assert "url(" not in page
    assert "@import" not in page
    for element in tree.walk():
        assert not {"src", "srcset", "data", "action", "xlink:href"} & set(element.attributes)
        assert element.attributes.get("href", "#").startswith("#")
        assert not [name for name in element.attributes if name.startswith("on")]
    assert not tree.all("link")


def test_the_policy_admits_the_pages_own_script_only(case: tuple[Comparison, str, Element]) -> None:
    _, _, tree = case
    policy = next(e.attributes["content"] for e in tree.all("meta") if e.attributes.get("http-equiv"))
    (script,) = tree.all("script")
    digest = b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_every_figure_is_described_and_drawn(case: tuple[Comparison, str, Element]) -> None:
    comparison, _, tree = case
    pictures = [e for e in tree.all("svg") if e.attributes.get("role") == "img"]
    names = {e.attributes["aria-labelledby"].split()[0][:-2] for e in pictures}
    count = len(comparison.results)
    wanted = {f"{kind}-{index}" for kind in ("layers", "time", "use", "roof", "timeline") for index in range(count)}
    measured = any(result.accuracy for result in comparison.results)
    energy = any(result.energy_j > 0 for result in comparison.results)
    wanted |= {"energy-shares", "strip-energy", "strip-latency", "strip-throughput"}
    wanted |= (
        ({"strip-accuracy", "plane-latency"} | ({"plane-energy"} if energy else set())) if measured else {"plane-cost"}
    )
    assert names == wanted
    for picture in pictures:
        name = picture.attributes["aria-labelledby"].split()[0][:-2]
        title, description = picture.children[0], picture.children[1]
        assert (title.tag, description.tag) == ("title", "desc")
        assert title.text
        assert description.text
        if energy or not name.startswith(("layers", "energy")):
            assert _marks(picture), f"{name} is empty"


def _marks(picture: Element) -> list[Element]:
    """Shapes that carry data and have an extent."""
    bars = [e for e in picture.all("rect", "bar") if float(e.attributes["width"]) > 0]
    paths = [e for e in picture.all("path") if len(e.attributes["d"]) > 5]
    return [*bars, *paths, *(e for e in picture.all("circle") if float(e.attributes["r"]) > 0)]


def test_stacks_add_up(case: tuple[Comparison, str, Element]) -> None:
    comparison, _, tree = case
    (stack,) = [e for e in tree.all("svg") if e.attributes.get("aria-labelledby", "").startswith("energy-shares")]
    rows: dict[str, float] = {}
    for bar in stack.all("rect", "bar"):
        y = bar.attributes["y"]
        rows[y] = max(rows.get(y, 0.0), float(bar.attributes["x"]) + float(bar.attributes["width"]))
    assert len(rows) == sum(1 for result in comparison.results if result.energy_j > 0)
    assert all(end == pytest.approx(1000, abs=2) for end in rows.values())


def test_positions_stay_inside(case: tuple[Comparison, str, Element]) -> None:
    _, _, tree = case
    for element in tree.walk():
        for name in ("x", "x1", "x2"):
            value = element.attributes.get(name, "")
            if value.endswith("%"):
                assert 0 <= float(value[:-1]) <= 100, (element.tag, value)
        for name in ("x", "y", "width", "height", "r", "d", "cx", "cy"):
            assert "nan" not in element.attributes.get(name, "")
            assert "inf" not in element.attributes.get(name, "")


def test_tables_have_captions_and_a_row_for_each_layer(case: tuple[Comparison, str, Element]) -> None:
    comparison, _, tree = case
    for table in tree.all("table"):
        assert table.all("caption")
        heads = len(table.all("thead")[0].all("th"))
        for row in table.all("tbody")[0].all("tr"):
            assert len([cell for cell in row.children if cell.tag in ("td", "th")]) == heads
    (layers,) = [table for table in tree.all("table") if table.attributes.get("id") == "layer-table"]
    assert len(layers.all("tbody")[0].all("tr")) == sum(len(result.estimate.rows) for result in comparison.results)


def test_evidence_stands_beside_numbers() -> None:
    tree = parse(render_html(realistic()))
    cards = tree.all("article", "card")
    assert len(cards) == 3
    chips = [[(chip.text, chip.attributes["title"]) for chip in card.all("span", "ev")] for card in cards]
    assert [[kind for kind, _ in card] for card in chips] == [
        ["silicon", "assumed", "derived", "derived"],
        ["published", "assumed", "published", "published"],
        ["rtl", "derived", "rtl", "rtl"],
    ]
    assert chips[2][0][1] == "rtl: rtl/array_ws.v simulated in Icarus Verilog"


def test_unstated_evidence_is_said() -> None:
    tree = parse(render_html(synthetic(1, 2, bare=True)))
    assert {chip.text for chip in tree.all("article", "card")[0].all("span", "ev")} == {"unstated"}


def test_same_comparison_same_bytes() -> None:
    assert render_html(realistic()) == render_html(realistic())


def test_names_from_files_are_escaped() -> None:
    comparison = realistic()
    first = comparison.results[0]
    rows = tuple(replace(row, name=f"{row.name}{EVIL}", op=EVIL, bound=EVIL) for row in first.estimate.rows)
    estimate = replace(first.estimate, rows=rows, energy_pj={**first.estimate.energy_pj, EVIL: 1e9})
    summary = replace(first.target, name=EVIL, title=EVIL, precision=EVIL, unit=EVIL, weights=EVIL, activations=EVIL)
    health = tuple(replace(row, layer=EVIL) for row in first.health)
    trace = tuple(replace(row, layer=EVIL, unit=EVIL) for row in first.trace)
    bad = replace(first, target=summary, estimate=estimate, health=health, trace=trace)
    words = {"model": EVIL, "title": EVIL, "data": EVIL, "created": EVIL, "command": EVIL}
    mappings = {"versions": {EVIL: EVIL}, "hashes": {EVIL: EVIL}, "notes": (EVIL,)}
    page = render_html(replace(comparison, results=(bad, *comparison.results[1:]), **words, **mappings))
    tree = parse(page)
    assert len(tree.all("script")) == 1
    assert not tree.all("img")
    assert "<script>alert" not in page
    assert "49" not in tree.all("h1")[0].text
    assert not [name for e in tree.walk() for name in e.attributes if name.startswith("on")]


def test_layers_beyond_the_limit_share_a_row_without_a_bar() -> None:
    tree = parse(render_html(synthetic(1, 60)))
    (panel,) = [e for e in tree.all("svg") if e.attributes.get("aria-labelledby", "").startswith("layers-0")]
    assert panel.attributes["style"] == "height:528px"
    assert max(float(bar.attributes["y"]) for bar in panel.all("rect", "bar")) < 22 * 23
    assert "37 smaller" in tree.words


def test_limits_stand_in_the_headline_and_on_the_card() -> None:
    comparison = realistic()
    limits = (Constraint("power", "W", 30.0, 36.0, "published"), Constraint("memory", "B", 8e9, 1e6, "silicon"))
    first = replace(comparison.results[0], estimate=replace(comparison.results[0].estimate, constraints=limits))
    tree = parse(render_html(replace(comparison, results=(first, *comparison.results[1:]))))
    assert [e.text.replace(THIN, " ") for e in tree.all("p", "limit-line")] == [
        "nvidia-h100 misses its power limit: 36.0 W, 1.20 times the 30.0 W allowed."
    ]
    card = tree.all("article", "card")[0]
    assert [(e.text, e.attributes["class"]) for e in card.all("b") if e.attributes.get("class")] == [
        ("missed", "bad"),
        ("met", "good"),
    ]
    assert [chip.text for chip in card.all("span", "ev")][-2:] == ["published", "silicon"]
    met = (replace(limits[0], found=20.0), limits[1])
    first = replace(first, estimate=replace(first.estimate, constraints=met))
    words = parse(render_html(replace(comparison, results=(first, *comparison.results[1:])))).words
    assert "All limits on power, latency and memory are met." in words


def test_the_timeline_covers_the_batch_without_overlap() -> None:
    for comparison in (realistic(), synthetic(2, 60)):
        tree = parse(render_html(comparison))
        for index, result in enumerate(comparison.results):
            (svg,) = [
                e
                for e in tree.all("svg")
                if e.attributes.get("aria-labelledby") == f"timeline-{index}-t timeline-{index}-d"
            ]
            work = [e.attributes for e in svg.all("rect", "bar") if "lane2" not in e.attributes["class"]]
            spans = sorted((float(a["x"]), float(a["x"]) + float(a["width"])) for a in work)
            assert spans[0][0] == 0
            assert max(end for _, end in spans) == pytest.approx(1000, abs=0.1)
            covered = sum(end - start for start, end in spans)
            assert covered == pytest.approx(1000, abs=0.05 * len(spans))
            matrix = sum(float(a["width"]) for a in work if "lane0" in a["class"])
            share = (
                sum(r.seconds * r.compute_cycles / r.cycles for r in result.estimate.rows if r.engine == "matrix")
                / result.estimate.seconds
            )
            assert matrix == pytest.approx(1000 * share, abs=0.02 * len(spans))


def test_an_evidence_sign_stands_beside_every_headline_number() -> None:
    tree = parse(render_html(realistic()))
    for card in tree.all("article", "strip-card"):
        (values,) = card.all("ol", "values")
        for item in values.all("li"):
            (sign,) = item.all("span", "bare")
            assert sign.attributes["title"].startswith(f"{sign.attributes['aria-label']}: ")
