"""Making mutants with Yosys, and proving which of them make no difference at all.

Every mutant of a module is written into one Verilog file that takes the module's place; the environment variable
``HWSIM_MUTANT`` says which of them is switched on when a simulation starts, and 0 switches all of them off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwsim.errors import ToolError
from hwsim.verify.sources import rtl_dir, rtl_sources
from hwsim.verify.yosys import read_commands, run_abc, run_yosys, try_abc

SWITCH = "HWSIM_MUTANT"
PROOF_SECONDS = 40
"""After so long a proof counts as without an answer."""

Verdict = Literal["equal", "unseen", "bounded", "differs", "open"]
"""What a proof says of a mutant: it makes no difference from any state; none that may be seen, from zero on; none such
for some cycles; one; or no answer in time."""

VALID = {
    "valid_out": ("psum_out",),
    "a_valid": ("psum_in",),
    "r_valid": ("r_row", "r_last"),
    "m_axis_tvalid": ("m_axis_tdata", "m_axis_tlast"),
}
"""Outputs that mean nothing while another is low."""

KEPT = {
    # a tile begins with a first k, and waits for the rows of the one before it
    "array_os": {
        "k_first": "assign k_first_kept = k_first | ~begun; reg begun;"
        " always @(posedge clk) begun <= ~rst & (k_valid_kept ? ~k_last : begun);",
        "k_valid": "assign k_valid_kept = k_valid & ~|due; reg [{span}:0] due;"
        " always @(posedge clk) due <= rst ? 0 : {{due, k_valid_kept & k_last}};",
    },
    # rows come back from the array on time
    "tile_controller": {
        "valid_out": "reg [{lag}:0] flight; assign valid_out_kept = flight[{lag}];"
        " always @(posedge clk) flight <= rst ? 0 : {{flight, a_valid}};",
    },
}
"""Verilog of inputs as those who drive a module keep to its rules: module -> input -> how it comes from any."""

_SWITCH = f'$c32("std::atoi(std::getenv(", "\\"{SWITCH}\\"", "))")'
_HEADER = re.compile(r"^module\s+\w+.*?^\);", re.MULTILINE | re.DOTALL)
_PORTS = re.compile(r"^module mutated\((.*?)\);", re.MULTILINE | re.DOTALL)
_CONTROL = re.compile(r"-ctrl mutsel \d+ \d+ ")
_PORT = re.compile(r"^  (input|output) (\[(\d+):0\] )?(\w+);", re.MULTILINE)
_FIELD = re.compile(r"-(mode|cell|port|portbit|ctrlbit|wire|wirebit) (\S+)")


@dataclass(frozen=True)
class Elaborated:
    """Which module is mutated, and where its parameters come from.

    Attributes:
        module: Verilog module. top: the module whose ``parameters`` are given, which holds ``module`` in some depth;
            the same, where it is the module itself.
    """

    module: str
    top: str
    parameters: Mapping[str, int | str]

    @property
    def cycles(self) -> int:
        """From a reset, so many that an array has loaded its weights, and shown more than one row."""
        return 2 * int(self.parameters.get("ROWS", 0)) + int(self.parameters.get("COLS", 0)) + 4

    def commands(self) -> list[str]:
        """Yosys commands that elaborate the module, flat, with the parameters that ``top`` gives it.

        Raises:
            ToolError: Yosys is missing, or ``top`` holds no such module, or holds it with several sets of parameters.
        """
        files = rtl_sources()
        if self.module == self.top:
            return read_commands(files, self.module, self.parameters)
        whole = read_commands(files, self.top, self.parameters)[:2]
        said = run_yosys([*whole, "ls"], where=f"module {self.top}").rpartition("modules:")[2]
        named = {name for name in said.split() if re.search(rf"(^|\\){self.module}(\\|$)", name)}
        if len(named) != 1:
            raise ToolError(f"{self.top} holds {len(named)} kinds of {self.module}", where=f"module {self.module}")
        return [*whole, f"hierarchy -top {named.pop()}", "proc", "flatten", f"rename -top {self.module}", "opt_clean"]


def make(what: Elaborated, count: int, seed: int, home: Path) -> list[str]:
    """Write ``<module>.v``, which holds every mutant, and ``base.il``, the module unchanged; the changes.

    A change is a command of Yosys on ``base.il``. There are fewer than ``count`` where the module has fewer places.
    """
    changes = _make(what, count, seed, home, ())
    if len(changes) < count:  # a multiplier is one cell: cut into gates, it has more places to go wrong
        changes = _make(what, count, seed, home, ("techmap", "opt -full"))
    return changes


def _make(what: Elaborated, count: int, seed: int, home: Path, finer: tuple[str, ...]) -> list[str]:
    width = (count + 1).bit_length()
    base, listed, made = home / "base.il", home / "changes.ys", home / "made.v"
    run_yosys(
        [
            *what.commands(),
            *("opt -full", "memory -nomap", "memory_map", "wreduce", "opt -full"),  # bits that no synthesis would build
            *(*finer, "rename -top mutated", "opt_clean"),
            f'write_rtlil "{base}"',
            f"mutate -list {count + 1} -seed {seed} -none -ctrl mutsel {width} 0 -o {listed}",
            *(f"script {listed}", "opt_clean", f'write_verilog -noattr "{made}"'),
        ],
        where=f"module {what.module}",
    )
    text = made.read_text(encoding="utf-8")
    (home / "seen.v").write_text(_seen(text.split("endmodule")[0], what), encoding="utf-8")
    # read again, as a mutant is: registers and ports are then in the same order
    run_yosys([f'read_rtlil "{base}"', *_gates(home / "base.aig")], where=f"module {what.module}")
    run_abc([f'read_aiger "{home / "base.aig"}"; comb; write_aiger "{home / "base.aig"}"'], f"module {what.module}")
    found = _HEADER.search((rtl_dir() / f"{what.module}.v").read_text(encoding="utf-8"))
    ports = _PORTS.search(text)
    if found is None or ports is None:
        raise ToolError("the module has no port list of its own", where=f"module {what.module}")
    pins = ", ".join(f".{port}({port})" for port in re.findall(r"\w+", ports.group(1)) if port != "mutsel")
    wrapper = (
        f"{found.group().replace('output reg ', 'output wire')}\n"
        f"    reg [{width - 1}:0] mutsel;\n"
        f"    initial mutsel = {_SWITCH};\n"
        f"    mutated m ({pins}, .mutsel(mutsel));\nendmodule\n"
    )
    (home / f"{what.module}.v").write_text(wrapper + text, encoding="utf-8")
    lines = listed.read_text(encoding="utf-8").splitlines()
    return [_CONTROL.sub("", line) for line in lines if "-mode none" not in line]


def _seen(made: str, what: Elaborated) -> str:
    """Verilog around the mutated module: inputs keep to its rules, and outputs that mean nothing, which nobody may
    look at, are held at 0."""
    ports = {name: (way, int(top or 0) + 1) for way, _, top, name in _PORT.findall(made) if name != "mutsel"}
    shown = {name for name, (way, _) in ports.items() if way == "output"}
    dark = {name: valid for valid, names in VALID.items() if valid in shown for name in names if name in shown}
    kept = KEPT.get(what.module, {})
    lines = [f"    {way} [{bits - 1}:0] {name}" for name, (way, bits) in ports.items()]
    other = {**dict.fromkeys(dark, "_raw"), **dict.fromkeys(kept, "_kept")}
    body = [f"    wire [{ports[name][1] - 1}:0] {name}{end};" for name, end in other.items()]
    body += [f"    assign {name} = {valid} ? {name}_raw : {ports[name][1]}'d0;" for name, valid in dark.items()]
    rows, cols = (int(what.parameters.get(name, 1)) for name in ("ROWS", "COLS"))
    body += [f"    {text.format(lag=rows + cols - 2, span=2 * rows + cols - 3)}" for text in kept.values()]
    pins = [f".{name}({name}{other.get(name, '')})" for name in ports]
    body.append(f"    mutated m ({', '.join(pins)});")
    return "module seen(\n" + ",\n".join(lines) + "\n);\n" + "\n".join(body) + "\nendmodule\n"


def _gates(path: Path) -> list[str]:
    """Commands that write gates and registers; none could remove a register of one mutant and not of another."""
    return ["techmap", "dffunmap", "aigmap", f'write_aiger "{path}"']


def verdict(change: str, home: Path, cycles: int) -> Verdict:
    """Whether the changed module does the same from any state: next state and outputs, by SAT (``cec`` of ABC).

    Where they differ in some state, see ``_seen_alike``.
    """
    base, gold, gate = f'read_rtlil "{home / "base.il"}"', home / "base.aig", home / f"{abs(hash(change))}.aig"
    try:
        run_yosys([base, change, *_gates(gate)], where="a mutant")
        compare = f'cec -n -T {PROOF_SECONDS} "{gold}" "{gate}"'
        _, said = try_abc([f'read_aiger "{gate}"; comb; write_aiger "{gate}"', compare], 2 * PROOF_SECONDS)
        if "Networks are equivalent" in said:
            return "equal"
        if "already combinational" in said:
            return "differs" if "Verification failed" in said else "open"
        return _seen_alike(change, home, gate, cycles)
    finally:
        gate.unlink(missing_ok=True)


def _seen_alike(change: str, home: Path, gate: Path, cycles: int) -> Verdict:
    """Both from zero, any inputs that keep to the rules, as far as outputs mean anything: for ever, or some cycles."""
    seen = [f'read_verilog "{home / "seen.v"}"', "hierarchy -top seen", "proc", "flatten", "opt_clean"]
    gold = gate.with_suffix(".gold.aig")
    try:
        for path, changes in ((gold, ()), (gate, (change,))):
            run_yosys([f'read_rtlil "{home / "base.il"}"', *changes, *seen, *_gates(path)], where="a mutant")
        both = [f'miter "{gold}" "{gate}"', "zero"]
        _, said = try_abc([*both, f"dprove -T {PROOF_SECONDS}"], 2 * PROOF_SECONDS)
        if "Networks are equivalent" in said:
            return "unseen"
        if "NOT EQUIVALENT" not in said:
            _, said = try_abc([*both, "scorr", f"bmc3 -F {cycles} -T {4 * PROOF_SECONDS}"], 5 * PROOF_SECONDS)
    finally:
        gold.unlink(missing_ok=True)
    if "NOT EQUIVALENT" in said or "was asserted in frame" in said:
        return "differs"
    return "bounded" if f"No output asserted in {cycles} frames" in said else "open"


def told(change: str) -> str:
    """``inv of A[19] at $flatten\\adder.$add$..accumulator.v:26$11 (psum_in[19])``, without the folder."""
    found = dict(_FIELD.findall(change))
    cell = re.sub(r"\S*?([\w.]+\.v:\d+)", r"\1", found.get("cell", ""))
    bit = f"[{found['portbit']}]" if "portbit" in found else ""
    wire = f" ({found['wire']}[{found.get('wirebit', 0)}])" if "wire" in found else ""
    return f"{found['mode']} of {found.get('port', '?')}{bit} at {cell}{wire}"
