"""A reader with every fault, for the test that the driver finds each: called as ``tests.fuzz.work`` is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hwsim.errors import DataError
from tests.fuzz import work
from tests.fuzz.known import held
from tests.fuzz.readers import Reader


def load(path: Path) -> None:
    """Loads, dies, raises, takes too much, never ends, refuses in one line, and in a line that names no file."""
    number = int(path.parent.name)
    if number == 1:
        os._exit(9)
    if number == 2:
        raise KeyError("x")
    if number == 3:
        bytearray(2 << 30)
    while number == 4:
        pass
    if number > 4:
        raise DataError("no", where=str(path) if number == 5 else None)


if __name__ == "__main__":
    work.SECONDS = 0.5
    work.readers = lambda home: {"broken": lambda: Reader(load, (), (), lambda rng: ("none", held(b"", "x")))}
    work.main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
