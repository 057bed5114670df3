"""Limits are settings: each has a safe default, a line in docs, and one clear line when it is set wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwsim.errors import DataError
from hwsim.limits import LIMITS, limit
from hwsim.sweep import load_spec
from hwsim.target import load_target, path_of

DOCS = Path(__file__).parents[1] / "docs/limits.md"


@pytest.mark.parametrize("name", LIMITS)
def test_documented(name: str) -> None:
    default, what = LIMITS[name]
    assert f"| `HWSIM_MAX_{name.upper()}` | {default} | {what} |" in DOCS.read_text()
    assert limit(name) == default


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("8e9", 8_000_000_000)])
def test_set(monkeypatch: pytest.MonkeyPatch, text: str, value: int) -> None:
    monkeypatch.setenv("HWSIM_MAX_DATA_BYTES", text)
    assert limit("data_bytes") == value


@pytest.mark.parametrize("text", ["", "0", "-1", "much", "1e999", "nan", "1.5"])
def test_set_wrongly(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HWSIM_MAX_DATA_BYTES", text)
    with pytest.raises(DataError, match="HWSIM_MAX_DATA_BYTES: expected a whole number of at least 1"):
        limit("data_bytes")


def test_readers_ask_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWSIM_MAX_SWEEP_POINTS", "5")
    with pytest.raises(DataError, match="at most 5, found 6"):
        load_spec("calibrators", ["search=random", "points=6"])
    monkeypatch.setenv("HWSIM_MAX_YAML_BYTES", "100")
    with pytest.raises(Exception, match="at most 100 bytes"):
        load_target(path_of("nvidia-h100"))
