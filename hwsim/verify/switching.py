"""Switching energy of a processing element: toggles of its gate netlist under real operands.

The netlist of the library's cells is compiled with Verilator and driven cycle by cycle; each net's toggles are
counted at the end of the cycle. Energy = sum over nets of toggles x capacitance of the pins on the net x V^2 / 2, and
two toggles a cycle on every clock pin. That is a lower bound: wires, glitches within a cycle, power inside the cells,
the tree that brings the clock, and leakage are not in it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ToolError
from hwsim.verify.catalog import pe_parameters, rtl_unit
from hwsim.verify.drive import pack_lanes
from hwsim.verify.operands import Operands, Stream, element_stream
from hwsim.verify.simulator import Design
from hwsim.verify.synth import Library, netlist_commands
from hwsim.verify.yosys import run_yosys

TOP = "gates"


@dataclass(frozen=True)
class Energy:
    """Energy of one element under one stream.

    Attributes:
        unit, network: the element's unit, where the operands come from. macs, cycles: of the stream.
        mac_fj: femtojoules a MAC, loads of weights and the clock included. clock_fj: the part of the clock pins.
        activity: toggles a net and cycle, 0 to 1, the clock left out.
    """

    unit: str
    network: str
    macs: int
    cycles: int
    mac_fj: float
    clock_fj: float
    activity: float


@dataclass(frozen=True)
class Netlist:
    """Gates as Verilog whose output ``nets`` shows every net, and what each net and the clock load, in farads."""

    verilog: str
    loads: NDArray[np.float64]
    clock: float


def pe_netlist(unit: str, library: Library, *, acc_bits: int | None = None) -> Netlist:
    """Synthesise ``pe_ws`` of a unit into the library's cells.

    Raises:
        UnitError: no such unit. ToolError: Yosys is missing or fails, or a cell of the netlist has no function.
    """
    parameters = pe_parameters(rtl_unit(unit))
    if acc_bits is not None:
        parameters["ACC_W"] = acc_bits
    with tempfile.TemporaryDirectory(prefix="hwsim-gates-") as folder:
        gates, cells, models = (Path(folder) / name for name in ("gates.json", "cells.json", "cells.v"))
        script = [*netlist_commands("pe_ws", parameters, library), "splitnets", "opt_clean -purge"]
        script += [f'write_json "{gates}"', "design -reset"]
        script += [f'read_liberty -ignore_miss_func "{library.path}"', f'write_json "{cells}"']
        run_yosys([*script, f'write_verilog -noattr "{models}"'], where=f"unit {unit}")
        module = json.loads(gates.read_text(encoding="utf-8"))["modules"]["pe_ws"]
        known = json.loads(cells.read_text(encoding="utf-8"))["modules"]
        return _probed(module, known, models.read_text(encoding="utf-8"), library)


def pe_energy(
    unit: str,
    network: str,
    operands: tuple[Operands, ...],
    liberty: str | Path,
    *,
    acc_bits: int | None = None,
    elements: int = 64,
    rows: int = 256,
    seed: int = 0,
) -> Energy:
    """Energy a MAC of one element of the array while ``network`` runs.

    Raises:
        UnitError: no such unit. DataError: the liberty file cannot be read.
        ToolError: Yosys, Verilator or a compiler is missing or fails.
    """
    library = Library.read(liberty)
    entry = rtl_unit(unit)
    return switching(
        unit,
        network,
        pe_netlist(unit, library, acc_bits=acc_bits),
        library.volts,
        element_stream(entry, operands, elements=elements, rows=rows, seed=seed),
        {**pe_parameters(entry), **({} if acc_bits is None else {"ACC_W": acc_bits})},
    )


def switching(
    unit: str, network: str, netlist: Netlist, volts: float, stream: Stream, parameters: Mapping[str, int | str]
) -> Energy:
    """Run a stream through a netlist and weigh its toggles."""
    from hwsim.verify.compiled import Compiled

    widths = {"a_in": "A_W", "w_in": "W_W", "psum_in": "ACC_W"}
    driven = {
        name: pack_lanes(values[:, None], int(parameters[widths[name]]) if name in widths else 1)
        for name, values in stream.ports.items()
    }
    with tempfile.TemporaryDirectory(prefix="hwsim-gates-") as folder:
        path = Path(folder) / f"{TOP}.v"
        path.write_text(netlist.verilog, encoding="utf-8")
        with Compiled(Design.of(TOP, [path], {})) as model:
            seen = model.replay(driven, ["nets"])["nets"]
    toggles = _toggles(seen, len(netlist.loads))
    cycles = len(seen)
    energy = float(toggles @ netlist.loads) * volts**2 / 2
    clock = 2 * cycles * netlist.clock * volts**2 / 2
    return Energy(
        unit=unit,
        network=network,
        macs=stream.macs,
        cycles=cycles,
        mac_fj=(energy + clock) / stream.macs * 1e15,
        clock_fj=clock / stream.macs * 1e15,
        activity=float(toggles.sum()) / (len(netlist.loads) * (cycles - 1)),
    )


def _toggles(seen: NDArray[np.uint8], nets: int) -> NDArray[np.int64]:
    """How often each bit changes from one row to the next; the first rows still show what registers started with."""
    changed = seen[3:] ^ seen[2:-1]
    total = np.zeros(nets, np.int64)
    for at in range(0, len(changed), 4096):
        total += np.unpackbits(changed[at : at + 4096], axis=1, bitorder="little")[:, :nets].sum(axis=0, dtype=np.int64)
    return total


def _probed(module: Any, known: Mapping[str, Any], models: str, library: Library) -> Netlist:
    """The netlist as Verilog; capacitances are attributes that Yosys keeps of the liberty file's pins."""
    place: dict[int, int] = {}
    loads: list[float] = []
    clock_bits = set(module["ports"]["clk"]["bits"])
    clock, instances = 0.0, []

    def net(bit: Any) -> str:
        if not isinstance(bit, int):
            return f"1'b{bit}"
        if bit in clock_bits:
            return "clk"
        if bit not in place:
            place[bit] = len(loads)
            loads.append(0.0)
        return f"n[{place[bit]}]"

    for number, cell in enumerate(module["cells"].values()):
        kind = cell["type"]
        if kind not in known:
            raise ToolError(
                f"cell {kind!r} of the netlist has no function in the liberty file", where=str(library.path)
            )
        pins = []
        for pin, bits in cell["connections"].items():
            pins.append(f".{pin}({net(bits[0])})")
            if known[kind]["ports"][pin]["direction"] == "input" and isinstance(bits[0], int):
                farads = float(known[kind]["netnames"][pin]["attributes"].get("capacitance", 0.0)) * library.farads
                if bits[0] in clock_bits:
                    clock += farads
                else:
                    loads[place[bits[0]]] += farads
        instances.append(f"    {kind} g{number} ({', '.join(pins)});")
    ports, wiring = [], []
    for name, port in module["ports"].items():
        ports.append(f"{port['direction']} wire [{len(port['bits']) - 1}:0] {name}")
        for at, bit in enumerate(port["bits"]):
            ours, inside = f"{name}[{at}]", net(bit)
            if name != "clk":
                ends = (inside, ours) if port["direction"] == "input" else (ours, inside)
                wiring.append(f"    assign {ends[0]} = {ends[1]};")
    text = "\n".join(
        (
            models,
            f"module {TOP} ({', '.join(ports)}, output wire [{len(loads) - 1}:0] nets);",
            f"    wire [{len(loads) - 1}:0] n /* verilator split_var */;",
            *wiring,
            *instances,
            "    assign nets = n;",
            "endmodule",
            "",
        )
    )
    return Netlist(text, np.array(loads), clock)
