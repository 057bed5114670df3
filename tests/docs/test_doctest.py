"""Every public name says what it is and shows it; every example in the package runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import hwsim
from tests.oracles import need_heavy_module

ROOMS = ["hwsim", *sorted(f"hwsim.{part.name}" for part in pkgutil.iter_modules(hwsim.__path__) if part.ispkg)]
SOURCES = sorted(Path(hwsim.__file__).parent.rglob("*.py"))
EXAMPLE = re.compile(r">>> (?!.*\+SKIP)")
WITH_EXAMPLES = [path for path in SOURCES if EXAMPLE.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_of_a_room_is_documented(room: str) -> None:
    if room == "hwsim.training":
        need_heavy_module("torch")
    module = importlib.import_module(room)
    assert module.__doc__
    for name in module.__all__:
        found = getattr(module, name)
        if inspect.isclass(found) or inspect.isroutine(found):
            assert inspect.getdoc(found), name


@pytest.mark.parametrize("name", [name for name in hwsim.__all__ if name not in ("__version__", "formats", "units")])
def test_every_public_name_has_an_example(name: str) -> None:
    found = getattr(hwsim, name)
    if inspect.ismodule(found):  # a verb with the name of the package that serves it
        found = found._verb
    assert ">>> " in (inspect.getdoc(found) or "")


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(path: Path) -> None:
    home = Path(hwsim.__file__).parents[1]
    module = importlib.import_module(".".join(path.relative_to(home).with_suffix("").parts).removesuffix(".__init__"))
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted > 0
