"""Load damaged files in this process, with little memory and little time, and say what came of each.

    python -m tests.fuzz.work FOLDER SEED READER:FIRST:LAST ...

A line of JSON for each input: reader, number, outcome, what was done to it, the error's line, seconds; at the end of
each reader the memory it took. Exit status 3: a package that a reader needs is missing.
Input ``number`` of a reader follows from the seed alone: its hostile files made by hand come first.
"""

from __future__ import annotations

import gc
import json
import resource
import shutil
import signal
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hwsim import HwsimError
from hwsim.errors import LONGEST, ToolError
from tests.fuzz.known import Case
from tests.fuzz.readers import Reader, readers

MEMORY_BYTES = 1 << 30
"""What loading may take beyond what the process holds already."""
SECONDS = 10.0
"""What one file may take of a processor."""


class Late(BaseException):
    """Over the time; no reader catches it."""


def case(name: str, reader: Reader, seed: int, number: int) -> Case:
    """Input ``number`` of a reader."""
    if number < len(reader.known):
        return reader.known[number]
    return reader.damage(np.random.default_rng([zlib.crc32(name.encode()), seed, number]))


def attempt(load: Callable[[Path], Any], path: Path) -> tuple[str, str]:
    """Load one file under the clock: ``loaded``, ``refused`` or ``failed``, and the error's line."""

    def late(*_: object) -> None:
        raise Late(f"over {SECONDS} s")

    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        load(path)
        return "loaded", ""
    except ToolError as err:
        return "failed", f"ToolError: {err}"
    except HwsimError as err:
        line = str(err)
        well = "\n" not in line and len(line) < 5 * LONGEST and str(path) in line
        return ("refused", line) if well else ("failed", f"not one line that names the file: {line!r:.2000}")
    except BaseException as err:
        return "failed", f"{type(err).__name__}: {err!s:.600}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _status(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) << 10


def _peak_from_here() -> int:
    """Forget the peak of memory so far; what is held now."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def main(folder: Path, seed: int, parts: list[str]) -> None:
    plans = []
    for part in parts:
        name, first, last = part.rsplit(":", 2)
        home = folder / name.replace(" ", "-")
        home.mkdir(parents=True)
        reader = readers(home)[name]()
        for at, write in enumerate(reader.good):  # imports and compiled code are not part of what a file costs
            (place := home / f"good{at}").mkdir()
            try:
                reader.load(write(place))
            except ToolError as err:
                print(f"{name}: {err}", file=sys.stderr)
                sys.exit(err.exit_status)
        plans.append((name, reader, home, int(first), int(last)))
    room = _status("VmSize") + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    for name, reader, home, first, last in plans:
        held = _peak_from_here()
        for number in range(first, last):
            what, write = case(name, reader, seed, number)
            place = home / str(number)
            place.mkdir()
            path = write(place)
            begun = time.monotonic()
            outcome, text = attempt(reader.load, path)
            took = time.monotonic() - begun
            shutil.rmtree(place)
            print(json.dumps([name, number, outcome, what, text, round(took, 4)]), flush=True)
        print(json.dumps([name, "memory", max(0, _status("VmHWM") - held)]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
