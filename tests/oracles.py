"""Outside judges that tests lean on: skipped with the install line where missing, a failure where CI is set."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _missing(what: str, install: str) -> None:
    line = f"{what} is missing; install it with: {install}"
    if os.environ.get("CI"):
        pytest.fail(line)
    pytest.skip(line)


def need_module(name: str, install: str | None = None) -> ModuleType:
    """Import an oracle package, or skip (fail in CI) with the line that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        _missing(name, install or f"pip install {name}")
        raise


def need_heavy_module(name: str) -> ModuleType:
    """Import an oracle too large for the test extra, or skip, in CI too, with the line that installs it."""
    return pytest.importorskip(name, reason=f"{name} is not in the test extra; install it with: pip install {name}")


def need_tool(name: str, install: str) -> str:
    """Path of an outside program, or skip (fail in CI) with the line that installs it."""
    path = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if path is None:
        _missing(name, install)
    assert path is not None
    return path


def need_network(name: str) -> None:
    """Have a network of the zoo at hand, or skip with the line that fetches it; where CI is set it is fetched."""
    from hwsim import zoo
    from hwsim.errors import ToolError

    if zoo.cached(name):
        return
    if not os.environ.get("CI"):
        pytest.skip(f"{name} is not in the cache; hwsim zoo get {name}")
    try:
        zoo.get(name)
    except ToolError as err:
        pytest.fail(str(err))
