"""How far a verb is: a bar at a terminal, a line a stage elsewhere, nothing where it would disturb."""

from __future__ import annotations

import io
import sys

import pytest

from hwsim.cli import common
from hwsim.cli.common import progress


class Terminal(io.StringIO):
    """A terminal that keeps what was shown."""

    def isatty(self) -> bool:
        return True


def test_a_bar_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with progress() as show:
        show("emulate", 0, 20)
        show("emulate", 20, 20)
        show("weights", 1, 4)
    said = screen.getvalue()
    assert "emulate" in said
    assert "20/20" in said
    assert "1/4" in said


def test_lines_elsewhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(common, "_SAY_EVERY_S", 0.0)
    with progress() as show:
        show("emulate", 0, 20)
        show("emulate", 5, 20)
        show("emulate", 20, 20)
        show("emulate", 20, 20)
        show("page", 1, 1)
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith("emulate: 5 of 20, ")
    assert first.endswith(" s left")
    assert rest == ["emulate: 20 of 20", "page: done"]


def test_nothing_where_it_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True) as show:
        show("emulate", 20, 20)
    assert capsys.readouterr().err == ""
