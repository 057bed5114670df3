"""Numbers for people, axes, and labels that meet nothing."""

from __future__ import annotations

import doctest
import itertools
import math
from random import Random

import pytest

from hwsim.report import humanise, model
from hwsim.report.figures import front, short_layer
from hwsim.report.scale import linear_axis, log_axis, share_axis, tick_number, tick_si
from hwsim.report.svg import WIDTHS, Label, place_labels, shorten


@pytest.mark.parametrize("module", [humanise, model])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 J"),
        (1e-12, "1.00 pJ"),
        (9.996e-7, "1.00 µJ"),
        (999.6, "1.00 kJ"),
        (999.4, "999 J"),
        (1234.0, "1.23 kJ"),
        (-2e-3, "−2.00 mJ"),
    ],
)
def test_si(value: float, text: str) -> None:
    assert humanise.si(value, "J").replace(humanise.THIN, " ") == text


def test_si_over_forty_decades_keeps_three_digits() -> None:
    random = Random(1)
    prefixes = {
        p: 1000.0 ** (i - 10)
        for i, p in enumerate(("q", "r", "y", "z", "a", "f", "p", "n", "µ", "m", "", "k", "M", "G", "T"))
    }
    for _ in range(2000):
        value = 10 ** random.uniform(-24, 13)
        digits, unit = humanise.si(value, "W").split(humanise.THIN)
        assert float(digits) * prefixes[unit[:-1]] == pytest.approx(value, rel=5.01e-3)
        assert 1 <= float(digits) < 1000


def test_si_of_what_is_not_a_number() -> None:
    assert humanise.si(None, "s") == "–"
    assert humanise.si(math.nan, "s") == "–"
    assert humanise.si(math.inf, "s").startswith("∞")


@pytest.mark.parametrize("seed", range(40))
def test_log_axes_hold_their_values_with_few_distinct_ticks(seed: int) -> None:
    random = Random(seed)
    values = [10 ** random.uniform(-15, 15) * 10 ** random.uniform(0, seed / 4) for _ in range(1 + seed % 5)]
    axis = log_axis(values, tick_si("J"), labels=5)
    assert axis.low < min(values)
    assert axis.high > max(values)
    places = [place for place, _ in axis.ticks]
    texts = [text for _, text in axis.ticks]
    assert places == sorted(places)
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in (*places, *axis.minor))
    assert 2 <= len(texts) <= 6
    assert len(texts) == len(set(texts))
    assert axis.at(0.0) == 0.0


@pytest.mark.parametrize(("low", "high"), [(0.98, 0.99), (0.0, 1.0), (0.1, 0.97), (0.98649, 0.98651), (0.5, 0.5)])
def test_share_axes(low: float, high: float) -> None:
    axis = share_axis(low, high)
    assert len(axis.ticks) >= 2
    assert len({text for _, text in axis.ticks}) == len(axis.ticks)
    for place, text in axis.ticks:
        value = axis.low + place * (axis.high - axis.low)
        assert float(text) == pytest.approx(100 * value, abs=1e-9)


def test_linear_axis_ticks_are_exact() -> None:
    axis = linear_axis(0.0, 10.0, lambda value, decimals: f"{value:.{decimals}f}")
    assert axis.ticks == ((0.0, "0"), (0.2, "2"), (0.4, "4"), (0.6, "6"), (0.8, "8"), (1.0, "10"))
    assert [tick_number(v) for v in (0.1, 1, 10, 100)] == ["0.1", "1", "10", "100"]


def test_front() -> None:
    points = [(1.0, 0.9), (2.0, 0.95), (3.0, 0.94), (1.0, 0.8), (4.0, 0.99)]
    assert front(points, more_is_better=True) == [0, 1, 4]
    assert front([(1.0, 5.0), (2.0, 3.0), (3.0, 4.0)], more_is_better=False) == [0, 1]


@pytest.mark.parametrize("seed", range(30))
def test_placed_labels_never_meet_at_any_width(seed: int) -> None:
    random = Random(seed)
    labels = [Label(random.random(), random.uniform(5, 245), "x" * random.randint(3, 20)) for _ in range(2 + seed % 9)]
    dots = [(label.x, label.y, 7.0) for label in labels]
    placed = place_labels(labels, dots, 250.0)
    assert placed
    for width in WIDTHS:
        boxes = [item.box(width) for item in placed]
        for a, b in itertools.combinations(boxes, 2):
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        for left, top, right, bottom in boxes:
            assert not [1 for x, y, _ in dots if left < x * width < right and top < y < bottom]


def test_a_crowd_finds_no_place() -> None:
    labels = [Label(0.5, 100.0, "same place, long name") for _ in range(40)]
    assert 0 < len(place_labels(labels, [(0.5, 100.0, 7.0)], 250.0)) < 40


def test_labels_keep_off_lines_where_they_can() -> None:
    label = Label(0.5, 100.0, "name")
    (free,) = place_labels([label], [(0.5, 100.0, 7.0)], 250.0)
    (moved,) = place_labels([label], [(0.5, 100.0, 7.0)], 250.0, lines=[(0.0, 100.0, 1.0, 100.0)])
    assert not free.across
    assert not moved.across
    assert free.spot != moved.spot
    walls = [(0.0, float(y), 1.0, float(y)) for y in range(0, 250, 4)]
    (stuck,) = place_labels([label], [(0.5, 100.0, 7.0)], 250.0, lines=walls)
    assert stuck.across


def test_shortening() -> None:
    assert shorten("short") == "short"
    assert shorten("a-rather-long-name-of-a-target", 12) == "a-rathe…rget"
    assert short_layer("/layer1/layer1.0/conv1/Conv", "Conv") == "layer1.0/conv1"
    assert short_layer("conv1.requantize", "Requantize") == "conv1.requantize"
    assert short_layer("/", "Conv") == "/"
