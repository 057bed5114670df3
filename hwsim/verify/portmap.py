"""A port map: how a module of one's own stands in for one of ours. It becomes a small Verilog wrapper of our name.

replaces: mul_int4        # the module of ours whose place it takes; default: what the unit is built from
module: my_multiplier     # yours; default: the first module of the first source
ports: {a: x, b: y, p: z} # ours: yours; those that are not named keep their names
parameters: {WIDTH: 4}    # yours: a number, or the name of a parameter of ours
constants: {enable: 1}    # inputs of yours that ours does not have
latency: 2                # cycles from inputs to outputs, where yours is a pipeline and ours has no clock
clock: clk_i              # of such a pipeline
reset: rst_i              # of such a pipeline, active high; optional
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hwsim.errors import DataError, TargetError, unknown
from hwsim.verify.sources import modules_in, rtl_dir, without_comments

_PORT = re.compile(r"^\s*(input|output)\b.*?([A-Za-z_]\w*)\s*,?\s*$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class PortMap:
    """What a port map says; see the module's text."""

    replaces: str
    module: str
    ports: Mapping[str, str]
    parameters: Mapping[str, int | str]
    constants: Mapping[str, int]
    latency: int = 0
    clock: str | None = None
    reset: str | None = None


def read_portmap(path: Path, *, top: str, sources: tuple[Path, ...]) -> PortMap:
    """Read and check a port map; ``top``: the module that is replaced where the file names none.

    Raises:
        DataError: one line, with its place: not YAML, an unknown key, a value of another type, a module or port that
            does not exist.
    """
    from hwsim.target.yaml import read_yaml

    try:
        document = read_yaml(path)
    except TargetError as error:
        raise DataError(error.message, where=error.where or str(path)) from None
    data = document.data
    if not isinstance(data, Mapping):
        raise DataError("expected a mapping such as 'module: my_multiplier'", where=str(path))
    known = [field.name for field in fields(PortMap)]
    for key in data:
        if key not in known:
            raise unknown(DataError, "key", str(key), known, where=document.where((key,)))

    def take(key: str, kind: type, default: Any) -> Any:
        value = data.get(key)
        if value is None:
            return default
        if not isinstance(value, kind) or isinstance(value, bool):
            raise DataError(f"{key}: expected {_SAID[kind]}, found {value!r}", where=document.where((key,)))
        return value

    replaces = take("replaces", str, top)
    if not sources:
        raise DataError("a port map needs the file of your module: --source FILE.v", where=str(path))
    modules = [name for source in sources for name in modules_in(source)]
    module = take("module", str, modules[0] if modules else None)
    if module not in modules:
        raise unknown(DataError, "module of the sources", str(module), modules, where=str(path))
    ours = [name for _, name in ports_of(replaces, document.where(("replaces",)))]
    ports = take("ports", dict, {})
    for name, theirs in ports.items():
        if name not in ours:
            raise unknown(DataError, f"port of {replaces}", str(name), ours, where=document.where(("ports", name)))
        _identifier(theirs, f"ports: {name}", document.where(("ports", name)))
    parameters, constants = take("parameters", dict, {}), take("constants", dict, {})
    for name, value in (*parameters.items(), *constants.items()):
        _identifier(name, "name", str(path))
        if isinstance(value, bool) or not isinstance(value, int):
            _identifier(value, str(name), str(path))
    latency, clock = take("latency", int, 0), take("clock", str, None)
    if latency < 0 or (latency > 0) != (clock is not None) or (latency and "clk" in ours):
        raise DataError(
            "latency and clock go together, for a pipeline in place of a module without a clock", where=str(path)
        )
    reset = take("reset", str, None)
    if reset is not None and clock is None:
        raise DataError("reset: only beside a clock", where=str(path))
    return PortMap(replaces, module, ports, parameters, constants, latency, clock, reset)


_SAID = {str: "a name", int: "a whole number", dict: "a mapping"}


def wrapper(told: PortMap) -> str:
    """Verilog of the module ``replaces`` that holds one instance of the module of one's own."""
    header, ports = _header(told.replaces), ports_of(told.replaces)
    if told.clock is not None:
        extra = "    input  wire clk,\n" + ("    input  wire rst,\n" if told.reset else "")
        at = header.rindex("(\n") + 2
        header = header[:at] + extra + header[at:]
    pins = [f".{told.ports.get(name, name)}({name})" for _, name in ports]
    pins += [f".{name}({value})" for name, value in told.constants.items()]
    pins += [f".{told.clock}(clk)"] if told.clock else []
    pins += [f".{told.reset}(rst)"] if told.reset else []
    values = ", ".join(f".{name}({value})" for name, value in told.parameters.items())
    joined = ",\n        ".join(pins)
    return (
        f"// {told.replaces}: made from a port map; holds {told.module}.\n{header}\n"
        f"    {told.module} {f'#({values}) ' if values else ''}yours (\n        {joined}\n    );\nendmodule\n"
    )


def ports_of(module: str, where: str | None = None) -> list[tuple[str, str]]:
    """(direction, name) of every port of a module of ours; ``where``: the place that names it, for the error.

    Raises:
        DataError: no such module.
    """
    header = _header(module, where)
    return _PORT.findall(header[header.rindex("(\n") :])


def _header(module: str, where: str | None = None) -> str:
    """Text of a module of ours from ``module`` to the end of its ports."""
    files = {path.stem: path for path in rtl_dir().glob("*.v")}
    if module not in files:
        raise unknown(DataError, "module of hwsim", module, files, where=where)
    text = without_comments(files[module].read_text(encoding="utf-8"))
    start = re.search(rf"^module\s+{module}\b", text, re.MULTILINE)
    assert start is not None
    end = text.index("\n);", start.start()) + 3
    return text[start.start() : end]


def _identifier(value: object, what: str, where: str) -> None:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise DataError(f"{what}: expected a Verilog name, found {value!r}", where=where)
