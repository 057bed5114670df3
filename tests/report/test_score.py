"""A perplexity or a correlation is in every form of the report, with the float network's beside it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from hwsim.report.html import render_html
from hwsim.report.model import Comparison, Score
from hwsim.report.text import render_csv, render_markdown
from hwsim.report.words import verdict
from tests.report.sample import realistic


def scored(
    metric: str = "perplexity", lower: bool = True, measured: tuple[float, ...] = (25.5, 31.25, 24.75)
) -> Comparison:
    """The sample with a score in place of accuracies."""
    base = realistic()
    results = tuple(
        replace(result, accuracy=None, score=Score(metric, value, 2044, 24.1875, lower))
        for result, value in zip(base.results, measured, strict=True)
    )
    return replace(base, results=results)


def test_the_page_shows_score_and_float_network() -> None:
    page = render_html(scored())
    for word in ("Perplexity", "25.50", "31.25", "24.75", "24.19", "lower is better", "perplexity over"):
        assert word in page
    assert 'id="strip-score' in page or "strip-score" in page
    assert "Accuracy</h2>" not in page
    assert "perplexity" not in render_html(realistic())


def test_markdown_and_csv_show_it() -> None:
    text = render_markdown(scored())
    assert "perplexity 31.25" in text
    assert "fp32 24.19" in text
    rows = list(csv.DictReader(io.StringIO(render_csv(scored()))))
    assert {(row["metric"], row["answer_fp32"]) for row in rows} == {("perplexity", "24.1875")}
    assert {float(row["answer"]) for row in rows} == {25.5, 31.25, 24.75}
    plain = list(csv.DictReader(io.StringIO(render_csv(realistic()))))
    assert {row["metric"] for row in plain} == {"top-1"}
    assert all(0 < float(row["answer"]) <= 1 for row in plain)


@pytest.mark.parametrize(
    ("metric", "lower", "measured", "best", "word"),
    [
        ("perplexity", True, (25.5, 31.25, 24.75), 2, "lowest perplexity: 24.75"),
        ("Spearman", False, (0.81, 0.79, 0.62), 0, "highest Spearman: 0.8100"),
        ("Spearman", False, (-0.1, -0.2, -0.3), 0, "highest Spearman: −0.1000"),
    ],
)
def test_the_best_is_named(metric: str, lower: bool, measured: tuple[float, ...], best: int, word: str) -> None:
    found = scored(metric, lower, measured)
    line = verdict(found, "score")
    assert line.startswith(found.results[best].target.name)
    assert word in line
    assert render_html(found)


def test_levels_and_single_targets_have_their_words() -> None:
    assert verdict(scored(measured=(25.0, 25.0, 25.0)), "score") == "All reach a perplexity of 25.00; fp32 has 24.19."
    one = scored()
    line = verdict(replace(one, results=one.results[:1]), "score")
    assert line == "nvidia-h100 reaches a perplexity of 25.50; fp32 has 24.19."
    assert verdict(realistic(), "score") == ""
