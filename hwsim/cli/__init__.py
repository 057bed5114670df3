"""The command line: one file a verb, each loaded when it is called, so that ``hwsim --help`` stays quick."""

from __future__ import annotations

from hwsim.cli.app import main, run

__all__ = ["main", "run"]
