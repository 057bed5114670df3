"""JSON: round trip, and each malformed document one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwsim.errors import DataError
from hwsim.report import Comparison, dumps, from_json, read, render_html, to_json, write_report
from tests.report.sample import realistic, synthetic

SAMPLES = [
    realistic(),
    synthetic(1, 1),
    synthetic(8, 60, long_names=True),
    synthetic(2, 3, zero_energy=True),
    synthetic(2, 4, bare=True),
]


@pytest.mark.parametrize("comparison", SAMPLES, ids=lambda c: c.title)
def test_round_trip(comparison: Comparison, tmp_path: Path) -> None:
    path = write_report(comparison, tmp_path / "run.json")
    back = read(path)
    assert back == comparison
    assert dumps(back) == path.read_text(encoding="utf-8")
    assert render_html(back) == render_html(comparison)


def test_json_is_plain() -> None:
    text = dumps(realistic())
    assert "Infinity" not in text
    assert "NaN" not in text
    document = json.loads(text)
    assert document["schema"] == "hwsim.comparison/1"
    assert document["results"][0]["health"][-1]["sqnr_db"] == "inf"


def _set(*path: str | int, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return change


def _drop(*path: str | int) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        del document[path[-1]]

    return change


ROW = ("results", 0, "estimate", "rows", 1)
FAULTS: dict[str, tuple[Callable[[Any], None], str]] = {
    "schema": (
        _set("schema", value="hwsim.comparison/9"),
        "expected schema 'hwsim.comparison/1', found 'hwsim.comparison/9'",
    ),
    "unknown key": (_set("resultz", value=[]), "unknown key 'resultz' (did you mean 'results'?)"),
    "missing": (_drop("title"), "key 'title' is missing"),
    "missing below": (_drop(*ROW, "macs"), "key 'results[0].estimate.rows[1].macs' is missing"),
    "text for number": (
        _set(*ROW, "macs", value="many"),
        "results[0].estimate.rows[1].macs: expected a whole number, found 'many'",
    ),
    "fraction for count": (_set(*ROW, "cycles", value=1.5), "cycles: expected a whole number, found 1.5"),
    "bool for number": (_set("seed", value=True), "seed: expected a whole number, found true or false"),
    "null": (_set("model", value=None), "model: expected a string, found null"),
    "list for object": (_set("versions", value=[]), "versions: expected an object, found a list"),
    "object for list": (_set("results", value={}), "results: expected a list, found an object"),
    "no results": (_set("results", value=[]), "a comparison needs at least one target"),
    "negative": (_set(*ROW, "seconds", value=-1.0), "seconds: expected a finite number, at least 0, found -1.0"),
    "huge": (_set(*ROW, "seconds", value=10**400), "expected a finite number"),
    "evidence": (
        _set("results", 0, "target", "evidence", "timing", "kind", value="rumour"),
        "unknown kind of evidence 'rumour'",
    ),
    "subject": (_set("results", 0, "target", "evidence", "tining", value={"kind": "rtl"}), "did you mean 'timing'?"),
    "accuracy": (_set("results", 0, "accuracy", "value", value=1.5), "must lie in 0..1, found 1.5"),
    "interval": (_set("results", 0, "accuracy", "interval", value=[0.1]), "interval: expected a list of 2"),
    "correct": (_set("results", 0, "accuracy", "correct", value=2001), "0 <= correct <= n"),
    "health": (_set("results", 0, "health", 0, "zeros", value=10**12), "must lie in 0..elements"),
    "sqnr": (_set("results", 0, "health", 0, "sqnr_db", value="great"), "sqnr_db: expected a number, found 'great'"),
    "twice": (_set("results", 1, value=to_json(realistic())["results"][0]), "appears twice"),
    "batch": (_set("results", 0, "estimate", "batch", value=0), "batch must be at least 1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_that_names_it(fault: str) -> None:
    change, message = FAULTS[fault]
    document = json.loads(dumps(realistic()))
    change(document)
    with pytest.raises(DataError) as caught:
        from_json(document, where="run.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith("run.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        '{"schema": NaN}',
        '{"schema": "hwsim.comparison/1"}',
        '{"a": 1, "a": 2}',
        "[" * 100_000,
        "\x00",
    ],
    ids=["empty", "cut", "list", "number", "nan", "bare", "twice", "deep", "nul"],
)
def test_files_that_are_not_comparisons(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"run\.json"):
        read(path)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "none.json")
    path = tmp_path / "run.json"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match="expected JSON"):
        read(path)
