"""What a module costs in gates: Yosys makes a netlist, generic or of a liberty file's cells, and counts it.

The product of a processing element is kept as a wire of its own: otherwise Yosys melts multiplier and adder of some
formats into one tree and not those of others, and the comparison between formats says more of Yosys than of them.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsim.errors import DataError, ToolError
from hwsim.verify.catalog import pe_parameters, rtl_unit
from hwsim.verify.sources import rtl_sources
from hwsim.verify.yosys import read_commands, run_yosys

KEPT = "setattr -set keep 1 */w:product"
_TRANSISTORS = re.compile(r"Estimated number of transistors:\s+(\d+)")
_CAPACITANCE_UNIT = re.compile(r"capacitive_load_unit\s*\(\s*([\d.]+)\s*,\s*\"?([pf])f\"?\s*\)", re.IGNORECASE)
_VOLTAGE = re.compile(r"nom_voltage\s*:\s*([\d.]+)")


@dataclass(frozen=True)
class Area:
    """Cost of one module.

    Attributes:
        unit, module: what was synthesised, with the unit's own widths (``acc_bits`` of the accumulator).
        cells: gates or library cells by type; registers: how many of them hold a bit.
        transistors: Yosys' estimate in plain CMOS, without a library.
        area: in the library's unit, square micrometres as a rule; None without a library.
    """

    unit: str
    module: str
    acc_bits: int
    cells: Mapping[str, int]
    registers: int
    transistors: int | None
    area: float | None

    @property
    def count(self) -> int:
        """Cells in all."""
        return sum(self.cells.values())


@dataclass(frozen=True)
class Library:
    """What a liberty file says beside its cells: volts, and farads that one unit of capacitance is."""

    path: Path
    volts: float
    farads: float

    @staticmethod
    def read(path: str | Path) -> Library:
        """Raises: DataError: the file is missing, or says no voltage or unit of capacitance."""
        file = Path(path)
        try:
            head = file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise DataError(f"cannot read the liberty file: {error.strerror}", where=str(path)) from None
        unit, volts = _CAPACITANCE_UNIT.search(head), _VOLTAGE.search(head)
        if unit is None or volts is None:
            missing = "capacitive_load_unit" if unit is None else "nom_voltage"
            raise DataError(f"a liberty file needs {missing}", where=str(path))
        scale = {"p": 1e-12, "f": 1e-15}[unit.group(2).lower()]
        return Library(file.resolve(), float(volts.group(1)), float(unit.group(1)) * scale)


def netlist_commands(
    top: str, parameters: Mapping[str, int | str], library: Library | None, sources: Iterable[str | Path] = ()
) -> list[str]:
    """Commands that leave one flat netlist, generic or of the library's cells."""
    read, hierarchy, proc, *flat = read_commands(rtl_sources(sources), top, parameters)
    mapped: list[str] = []
    if library is not None:
        mapped = [f'dfflibmap -liberty "{library.path}"', f'abc -liberty "{library.path}"', "opt_clean"]
    return [read, hierarchy, proc, KEPT, *flat, f"synth -flatten -top {top}", *mapped, "delete t:$scopeinfo"]


def pe_area(
    unit: str,
    *,
    module: str = "pe_ws",
    acc_bits: int | None = None,
    liberty: str | Path | None = None,
    sources: Iterable[str | Path] = (),
) -> Area:
    """Synthesise one processing element and count it; ``acc_bits`` None is the unit's own accumulator.

    Raises:
        UnitError: no such unit. DataError: the liberty file cannot be read. ToolError: Yosys is missing or fails.
    """
    parameters = pe_parameters(rtl_unit(unit))
    if acc_bits is not None:
        parameters["ACC_W"] = acc_bits
    library = None if liberty is None else Library.read(liberty)
    with tempfile.TemporaryDirectory(prefix="hwsim-area-") as folder:
        told = Path(folder) / "stat.json"
        count = f'tee -q -o "{told}" stat -json' + (f' -liberty "{library.path}"' if library else " -tech cmos")
        run_yosys([*netlist_commands(module, parameters, library, sources), count], where=f"module {module}")
        found = _design(told)
    cells = {name.lstrip("\\"): int(number) for name, number in found["num_cells_by_type"].items()}
    transistors, area = found.get("estimated_num_transistors"), found.get("area")
    return Area(
        unit=unit,
        module=module,
        acc_bits=int(parameters["ACC_W"]),
        cells=cells,
        registers=sum(number for name, number in cells.items() if re.search(r"df[frl]|dff|DFF", name)),
        transistors=None if transistors is None else int(re.sub(r"\D", "", str(transistors))),
        area=None if area is None else float(area),
    )


def _design(told: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))["design"]
    except (OSError, ValueError, KeyError):
        raise ToolError("Yosys' statistics cannot be read", hint="use the pyosys package, 0.60 or later") from None
    return found
