"""Ports of another width than ours give them: simulators cut or fill such values with a warning, which nobody reads."""

from __future__ import annotations

import re
from pathlib import Path

from hwsim.errors import ToolError
from hwsim.verify.sources import rtl_dir

PORTMAPS = "portmaps"
"""Folder of the cache where wrappers made from port maps lie."""
_SAID = (
    re.compile(
        r"^(?P<file>[^\n]+?):\d+: warning: Port \d+ \((?P<port>\w+)\) of \w+ expects (?P<has>\d+) bits,"
        r" got (?P<gets>\d+)",
        re.MULTILINE,
    ),
    re.compile(
        r"^%Warning-WIDTH\w+: (?P<file>[^\n]+?):\d+:\d+: \w+ port connection '(?P<port>\w+)' expects (?P<has>\d+) bits"
        r"[^\n]* generates (?P<gets>\d+) bits",
        re.MULTILINE,
    ),
)


def refuse_other_widths(said: str, where: str) -> None:
    """Read what Icarus or Verilator printed of the instances that our own files hold.

    Raises:
        ToolError: a port has another width than what is connected to it.
    """
    for pattern in _SAID:
        for found in pattern.finditer(said):
            file, port = Path(found["file"]), found["port"]
            if PORTMAPS not in file.parts and rtl_dir() not in file.parents:
                continue
            if re.search(rf"\.{port}\(\d+\)", file.read_text(encoding="utf-8")):  # a constant has no width of its own
                continue
            raise ToolError(f"port {port!r} has {found['has']} bits, expected {found['gets']}", where=where)
