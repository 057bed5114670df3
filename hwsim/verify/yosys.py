"""Yosys and ABC, run as programs of their own: an error in a script ends a process, and it must not be ours.

The package ``pyosys`` (PyPI) holds both, compiled; without it, ``yosys`` and ``yosys-abc`` on PATH serve.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwsim.errors import ToolError

INSTALL = "pip install 'hwsim[rtl]'"
_INSIDE = "import sys; from pyosys import libyosys as ys; ys.run_pass('script ' + sys.argv[1], ys.Design())"


@dataclass(frozen=True)
class Yosys:
    """How to start Yosys on a script (its path is appended), and the program ABC."""

    command: tuple[str, ...]
    abc: str


def need_yosys() -> Yosys:
    """Yosys and ABC.

    Raises:
        ToolError: they are missing (with the line that installs them).
    """
    package = importlib.util.find_spec("pyosys")
    for folder in (package.submodule_search_locations or []) if package else []:
        abc = Path(folder) / "yosys-abc"
        if abc.is_file():
            return Yosys((sys.executable, "-c", _INSIDE), str(abc))
    found = [shutil.which(name) for name in ("yosys", "yosys-abc")]
    if found[0] is None or found[1] is None:
        raise ToolError("Yosys is missing", hint=f"install it with: {INSTALL}")
    return Yosys((found[0], "-s"), found[1])


def run_yosys(script: Sequence[str], where: str) -> str:
    """Run commands, one a line; everything that Yosys printed.

    Raises:
        ToolError: Yosys is missing, or a command ends in an error (its message is quoted).
    """
    status, said = try_yosys(script)
    if status:
        raise ToolError(f"Yosys: {_error(said)}", where=where)
    return said


def try_yosys(script: Sequence[str], seconds: float | None = None) -> tuple[int, str]:
    """Run commands, one a line, for so many ``seconds`` at most; the exit status, and everything that Yosys printed.

    Raises:
        ToolError: Yosys is missing.
    """
    yosys = need_yosys()
    with tempfile.TemporaryDirectory(prefix="hwsim-yosys-") as folder:
        path = Path(folder) / "script.ys"
        path.write_text("\n".join(script) + "\n", encoding="utf-8")
        return _ran([*yosys.command, str(path)], seconds)


def run_abc(commands: Sequence[str], where: str) -> str:
    """Run ABC's commands; everything that it printed.

    Raises:
        ToolError: ABC is missing or ends in an error.
    """
    status, said = try_abc(commands)
    if status:
        raise ToolError(f"ABC: {_error(said)}", where=where)
    return said


def try_abc(commands: Sequence[str], seconds: float | None = None) -> tuple[int, str]:
    """Run ABC's commands for so many ``seconds`` at most; the exit status, and everything that it printed.

    Raises:
        ToolError: ABC is missing.
    """
    return _ran([need_yosys().abc, "-q", "; ".join(commands)], seconds)


def read_commands(sources: Sequence[Path], top: str, parameters: Mapping[str, int | str]) -> list[str]:
    """Commands that read Verilog and elaborate one module, which is then called ``top``: flat, registers made."""
    return [
        "read_verilog -defer " + " ".join(f'"{path}"' for path in sources),
        f"hierarchy -top {top} " + " ".join(f"-chparam {name} {_literal(value)}" for name, value in parameters.items()),
        "proc",
        "flatten",
        f"rename -top {top}",
        "opt_clean",
    ]


def _literal(value: int | str) -> str:
    """Strings and negative numbers as the bits that Verilog makes of them: ``hierarchy`` takes no other."""
    if isinstance(value, int):
        return str(value) if value >= 0 else f"32'sb{value % (1 << 32):032b}"
    return f"{8 * len(value)}'b" + "".join(f"{byte:08b}" for byte in value.encode("ascii"))


def _ran(command: Sequence[str], seconds: float | None = None) -> tuple[int, str]:
    """Exit status and what was printed; -1 and a line of ours where the time ran out."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return -1, f"ERROR: no answer within {seconds:.0f} s"
    return done.returncode, done.stdout


def _error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "ERROR" in line or "Error" in line), lines[-1] if lines else "no message")
