"""Proofs of the Verilog for every input: multipliers, processing elements, small arrays.

What a product is comes from the catalog of formats each time, as a table in Verilog (``product_table``). A multiplier
is proved equal to its table by SAT. A processing element is proved equal, from any state and for ever, to a plain
description that takes its products from the table (``equiv_make``, ``equiv_simple``, ``equiv_induct`` of Yosys). An
array is unrolled from a reset, registers at any values, and proved to show the sums of its elements' products, when
they are due and at no other time, for any operands and any gaps within so many cycles (bounded model checking in ABC).
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwsim.errors import ToolError, UnitError
from hwsim.verify.catalog import RTL_UNITS, RtlUnit, array_parameters, pe_parameters, rtl_unit
from hwsim.verify.multipliers import MULTIPLIERS, Multiplier, fixed_point, is_finite
from hwsim.verify.sources import rtl_dir, rtl_sources
from hwsim.verify.yosys import read_commands, run_abc, run_yosys, try_yosys

TABLE_BITS = 8
"""Proofs take multipliers of so many operand bits together; for wider ones every pair is simulated instead."""

_ASSERTED = re.compile(r"was asserted in frame (\d+)")
_HELD = re.compile(r"No output asserted in (\d+) frames")


@dataclass(frozen=True)
class Proof:
    """One statement and what became of it.

    Attributes:
        name: what was proved of what, ``pe_ws hwsim.rtl.int4``.
        method: ``sat``, ``induction`` or ``bounded, N cycles``.
        holds: proved. seconds: wall time.
        counterexample: where it does not hold: inputs and answers, the registers that differ, or the cycle.
    """

    name: str
    method: str
    holds: bool
    seconds: float
    counterexample: str | None = None


def product_table(multiplier: Multiplier, module: str = "product_table") -> str:
    """Verilog of every product of two codes, from the formats' entries: a, b -> p (and special, where it has one)."""
    a, b = fixed_point(multiplier.a_format)[0].tolist(), fixed_point(multiplier.b_format)[0].tolist()
    fine_a, fine_b = is_finite(multiplier.a_format), is_finite(multiplier.b_format)
    width, special = multiplier.product_bits, multiplier.special
    outputs = ["p", *(["special"] if special else [])]

    def row(i: int, j: int) -> str:
        bits = [f"{width}'d{a[i] * b[j] % (1 << width)}", f"1'b{int(not (fine_a[i] and fine_b[j]))}"]
        case = f"{multiplier.a_bits + multiplier.b_bits}'d{i * len(b) + j}"
        return f"    {case}: {{{', '.join(outputs)}}} = {{{', '.join(bits[: len(outputs)])}}};"

    ports = [
        f"input wire [{multiplier.a_bits - 1}:0] a",
        f"input wire [{multiplier.b_bits - 1}:0] b",
        f"output reg signed [{width - 1}:0] p",
        *(["output reg special"] if special else []),
    ]
    return "\n".join(
        (
            f"module {module} ({', '.join(ports)});",
            "    always @* case ({a, b})",
            *(row(i, j) for i in range(len(a)) for j in range(len(b))),
            "    endcase",
            "endmodule",
            "",
        )
    )


def prove_multiplier(name: str, *, sources: Iterable[str | Path] = ()) -> Proof:
    """``mul_<name>`` equals its table, by SAT; ``sources`` replace modules of ours.

    Raises:
        UnitError: no such multiplier, or too wide. ToolError: Yosys is missing or does not accept the Verilog.
    """
    multiplier = _small(name)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hwsim-proof-") as folder:
        script = [
            *_part(rtl_sources(sources), f"mul_{name}", {}, "gate"),
            *_part([_table(multiplier, folder)], "product_table", {}, "gold"),
            "design -copy-from gold -as gold gold",
            "design -copy-from gate -as gate gate",
            "miter -equiv -flatten -make_outputs gold gate miter",
            "sat -verify -prove trigger 0 -show-ports miter",
        ]
        status, said = try_yosys(script)
    return _proof(f"mul_{name}", "sat", status, said, "SAT proof finished - no model found: SUCCESS!", began)


def prove_element(unit: str, top: str = "pe_ws", *, acc_bits: int = 12, sources: Iterable[str | Path] = ()) -> Proof:
    """``pe_ws`` or ``pe_os`` of a unit equals its plain description, from any state, by induction.

    Raises:
        UnitError: no such unit, or its multiplier is too wide. ToolError: Yosys is missing or refuses the Verilog.
    """
    entry = rtl_unit(unit)
    multiplier = _small(entry.multiplier)
    parameters = {**pe_parameters(entry), "ACC_W": acc_bits}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hwsim-proof-") as folder:
        plain = [rtl_dir() / "formal" / f"ref_{top}.v", _table(multiplier, folder)]
        script = [
            *_part(rtl_sources(sources), top, parameters, "gate"),
            *_part(plain, f"ref_{top}", {name: size for name, size in parameters.items() if name != "MUL"}, "gold"),
            *equivalence("gold", "gate"),
        ]
        status, said = try_yosys(script)
    return _proof(f"{top} {unit}", "induction", status, said, "Equivalence successfully proven!", began)


def prove_array(
    unit: str,
    top: str = "array_ws",
    *,
    rows: int = 2,
    cols: int = 2,
    acc_bits: int | None = None,
    cycles: int | None = None,
    sources: Iterable[str | Path] = (),
) -> Proof:
    """``array_ws`` or ``array_os`` gives the sums of its products, on time and only then, for so many cycles.

    Any weights, activations, incoming sums and gaps, from registers at any values. ``acc_bits``: default is one more
    than a product has, so that sums wrap or saturate within the few that are added. ``cycles``: default is what a
    load and two rows, or a tile of K = 2 with one gap, need to their last result.

    Raises:
        UnitError: no such unit.
        ToolError: Yosys is missing or refuses the Verilog, or the proof ended without an answer.
    """
    entry = rtl_unit(unit)
    parameters = array_parameters(entry, rows, cols)
    parameters["ACC_W"] = acc_bits or MULTIPLIERS[entry.multiplier].product_bits + 1
    depth = cycles or 2 * rows + cols + (2 if top == "array_ws" else 3)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hwsim-proof-") as folder:
        bench = f"prove_{top}"
        files = [*rtl_sources(sources), rtl_dir() / "formal" / f"{bench}.v"]
        unrolled = Path(folder) / "array.aig"
        run_yosys(
            [
                *read_commands(files, bench, parameters),
                *("opt -full", "memory -nomap", "memory_map", "opt -full", "techmap", "opt -full", "dffunmap"),
                *("opt_clean", "aigmap", f'write_aiger "{unrolled}"'),
            ],
            where=f"module {top}",
        )
        # a register without an initial value becomes one that starts as a free input says
        said = run_abc(
            [f'read_aiger "{unrolled}"', "logic", "undc", "strash", "zero", "scorr", f"bmc3 -F {depth}"],
            f"module {top}",
        )
    wrong, held = _ASSERTED.search(said), _HELD.search(said)
    if wrong is None and (held is None or int(held.group(1)) < depth):
        raise ToolError("the proof ended without an answer", where=f"module {top}")
    return Proof(
        name=f"{top} {rows}x{cols} {unit}",
        method=f"bounded, {depth} cycles",
        holds=wrong is None,
        seconds=time.perf_counter() - began,
        counterexample=None if wrong is None else f"a wrong or missing result row in cycle {wrong.group(1)}",
    )


def equivalence(gold: str, gate: str) -> list[str]:
    """Commands that prove two stashed flat modules of the same names equal, register by register, from any state."""
    return [
        f"design -copy-from {gold} -as gold {gold}",
        f"design -copy-from {gate} -as gate {gate}",
        "equiv_make gold gate equal",
        "hierarchy -top equal",
        "opt_clean",
        "equiv_simple",
        "equiv_induct",
        "equiv_status -assert",
    ]


def small_multipliers() -> tuple[str, ...]:
    """Names of the multipliers that proofs take."""
    return tuple(name for name, entry in MULTIPLIERS.items() if entry.a_bits + entry.b_bits <= TABLE_BITS)


def small_units() -> tuple[RtlUnit, ...]:
    """The units whose multiplier proofs take."""
    return tuple(unit for unit in RTL_UNITS.values() if unit.multiplier in small_multipliers())


def _small(name: str) -> Multiplier:
    if name not in small_multipliers():
        raise UnitError(
            f"proofs take multipliers of {TABLE_BITS} operand bits: {', '.join(small_multipliers())}",
            where=f"multiplier {name!r}",
        )
    return MULTIPLIERS[name]


def _table(multiplier: Multiplier, folder: str) -> Path:
    path = Path(folder) / "product_table.v"
    path.write_text(product_table(multiplier), encoding="utf-8")
    return path


def _part(sources: Sequence[Path], top: str, parameters: dict[str, int | str], name: str) -> list[str]:
    """One of two modules to compare, stashed under its name (case tables become logic)."""
    return [
        *read_commands(sources, top, parameters),
        *("opt -full", "memory -nomap", "memory_map", "opt -full", f"rename -top {name}", f"design -stash {name}"),
    ]


def _proof(name: str, method: str, status: int, said: str, success: str, began: float) -> Proof:
    holds = status == 0 and success in said
    counterexample = None if holds else _difference(said)
    if not holds and counterexample is None:
        line = next((line for line in said.splitlines() if "ERROR" in line), "no message")
        raise ToolError(f"the proof ended without an answer: {line}", where=name)
    return Proof(name, method, holds, time.perf_counter() - began, counterexample)


def _difference(said: str) -> str | None:
    """The model that SAT found, or the signals that could not be proved equal; None where there is neither."""
    lines = said.splitlines()
    start = next((at for at, line in enumerate(lines) if line.strip().startswith("Signal Name")), None)
    if start is not None:
        shown = [line.split() for line in lines[start + 2 :]]
        upto = next((at for at, parts in enumerate(shown) if not parts or not parts[0].startswith("\\")), len(shown))
        return ", ".join(f"{parts[0][1:]}=0x{parts[2]}" for parts in shown[:upto])
    loose = sorted({m.group(1) for m in re.finditer(r"Unproven \$equiv \S+: \\?(\S+)", said)})
    if loose:
        return "not proved equal: " + ", ".join(name.removesuffix("_gold") for name in loose)
    return None
