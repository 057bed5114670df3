"""``hwsim rtl``: proofs of our Verilog, mutants, and what its elements cost in area, energy and FPGA cells."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from hwsim.cli.common import emit_json, json_option, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNIT = "hwsim.rtl.int4"

unit_option = click.option("--unit", "units", multiple=True, metavar="U", help=f"Unit; repeatable; default: {UNIT}.")
all_option = click.option("--all", "every", is_flag=True, help="Every unit that has a processing element.")
acc_option = click.option(
    "--acc-bits", type=click.IntRange(1, 64), metavar="N", help="Width of the accumulator; default: the unit's own."
)


@click.group(
    "rtl",
    short_help="Proof and cost of the Verilog.",
    epilog="Example: hwsim rtl area --unit hwsim.rtl.int4 --liberty cells.lib",
)
def command() -> None:
    """Prove our Verilog for every input, mutate it, or price it: gates, energy, FPGA. Each verb takes --json."""


@command.command("area", epilog="Example: hwsim rtl area --all --liberty cells.lib --acc-bits 24")
@unit_option
@all_option
@acc_option
@click.option("--liberty", type=click.Path(exists=True, dir_okay=False), metavar="FILE.lib", help="Your cells.")
@click.option("--module", type=click.Choice(["pe_ws", "pe_os"]), default="pe_ws", show_default=True, help="Element.")
@json_option
def area(
    units: tuple[str, ...], every: bool, acc_bits: int | None, liberty: str | None, module: str, as_json: bool
) -> None:
    """Area and cell counts of processing elements, generic or in the cells of a liberty file."""
    from hwsim.verify.synth import pe_area

    found = [
        pe_area(unit, module=module, acc_bits=acc_bits, liberty=liberty) for unit in _told(_units(units, every), "unit")
    ]
    columns: list[tuple[str, Callable[[Any], str]]] = [
        ("unit", lambda row: row.unit),
        ("accumulator bits", lambda row: str(row.acc_bits)),
        ("cells", lambda row: f"{row.count:,}"),
        ("registers", lambda row: f"{row.registers:,}"),
        ("transistors", lambda row: "" if row.transistors is None else f"{row.transistors:,}"),
        ("area", lambda row: "" if row.area is None else f"{row.area:,.0f}"),
    ]
    _show("area", found, columns, as_json)


@command.command("energy", epilog="Example: hwsim rtl energy --network mnist-cnn --liberty cells.lib")
@unit_option
@acc_option
@click.option("--network", default="mnist-cnn", show_default=True, metavar="MODEL", help="Whose operands: a zoo name.")
@click.option("--images", type=click.IntRange(min=1), default=8, show_default=True, help="Inputs of its test set.")
@click.option(
    "--liberty", type=click.Path(exists=True, dir_okay=False), metavar="FILE.lib", required=True, help="Your cells."
)
@json_option
def energy(
    units: tuple[str, ...], acc_bits: int | None, network: str, images: int, liberty: str, as_json: bool
) -> None:
    """Switching energy a MAC while a network runs: toggles of the gates x pin capacitance x V^2 / 2."""
    from hwsim.verify.operands import network_operands
    from hwsim.verify.switching import pe_energy

    chosen = _units(units, False)
    operands = network_operands(network, images)
    found = [pe_energy(unit, network, operands, liberty, acc_bits=acc_bits) for unit in _told(chosen, "unit")]
    columns: list[tuple[str, Callable[[Any], str]]] = [
        ("unit", lambda row: row.unit),
        ("network", lambda row: row.network),
        ("MACs", lambda row: f"{row.macs:,}"),
        ("fJ a MAC", lambda row: f"{row.mac_fj:.0f}"),
        ("of it clock pins", lambda row: f"{row.clock_fj:.0f}"),
        ("toggles a net and cycle", lambda row: f"{row.activity:.3f}"),
    ]
    _show("energy", found, columns, as_json)


@command.command("fpga", epilog="Example: hwsim rtl fpga --unit hwsim.rtl.int4 --array 8x8")
@unit_option
@all_option
@click.option("--array", "shape", metavar="RxC", help="Place an array of that shape, not one element.")
@json_option
def fpga(units: tuple[str, ...], every: bool, shape: str | None, as_json: bool) -> None:
    """Look-up tables, registers and clock rate on an iCE40 HX8K."""
    from hwsim.verify.fpga import array_fit, pe_fit

    size = None if shape is None else shape.lower().split("x")
    if size is not None and (len(size) != 2 or not all(part.isdigit() and int(part) > 0 for part in size)):
        raise click.UsageError(f"--array: expected rows x columns such as 8x8, found {shape!r}")
    found = [
        pe_fit(unit) if size is None else array_fit(unit, rows=int(size[0]), cols=int(size[1]))
        for unit in _told(_units(units, every), "unit")
    ]
    columns: list[tuple[str, Callable[[Any], str]]] = [
        ("unit", lambda row: row.unit),
        ("module", lambda row: row.module),
        ("LUT4", lambda row: f"{row.luts:,}"),
        ("carries", lambda row: f"{row.carries:,}"),
        ("registers", lambda row: f"{row.registers:,}"),
        ("MHz", lambda row: f"{row.hz / 1e6:.0f}"),
    ]
    _show("fpga", found, columns, as_json)


@command.command("prove", epilog="Example: hwsim rtl prove --source my_mul_int4.v --unit hwsim.rtl.int4")
@unit_option
@all_option
@click.option("--array", is_flag=True, help="The 2x2 arrays too: minutes where the machine is busy.")
@click.option("--source", "sources", multiple=True, metavar="FILE.v", help="Your Verilog in place of ours; repeatable.")
@json_option
def prove(units: tuple[str, ...], every: bool, array: bool, sources: tuple[str, ...], as_json: bool) -> None:
    """Prove multipliers, elements and arrays for every input. The exit status is 1 where a proof fails."""
    from hwsim.verify.catalog import rtl_unit
    from hwsim.verify.formal import prove_array, prove_element, prove_multiplier, small_units

    found = []
    for unit in _told([entry.name for entry in small_units()] if every else list(units) or [UNIT], "unit"):
        found.append(prove_multiplier(rtl_unit(unit).multiplier, sources=sources))
        found += [prove_element(unit, top, sources=sources) for top in ("pe_ws", "pe_os")]
        if array:
            found += [prove_array(unit, top, sources=sources) for top in ("array_ws", "array_os")]
    columns: list[tuple[str, Callable[[Any], str]]] = [
        ("what", lambda row: row.name),
        ("method", lambda row: row.method),
        ("seconds", lambda row: f"{row.seconds:.1f}"),
        ("", lambda row: "proved" if row.holds else f"FAILED: {row.counterexample}"),
    ]
    _show("prove", found, columns, as_json)
    if not all(proof.holds for proof in found):
        click.get_current_context().exit(1)


WHY = {
    "equal": "makes no difference (proved)",
    "unseen": "makes no difference that may be seen (proved)",
    "bounded": "makes no difference in the cycles of a load and a row (proved)",
    "differs": "found by the equivalence proof alone",
    "open": "the equivalence proof gave no answer in time",
}


@command.command("mutate", epilog="Example: hwsim rtl mutate pe_ws")
@click.argument("modules", metavar="[MODULE]...", nargs=-1)
@click.option("--mutants", type=click.IntRange(min=1), default=240, show_default=True, help="Of each module.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes at the same time.")
@json_option
def mutate_(modules: tuple[str, ...], mutants: int, jobs: int, as_json: bool) -> None:
    """Change a module in many small ways and see that each is found.

    The exit status is 1 where simulation finds less than 97 % of those that matter, or a proof gave no answer.
    """
    from hwsim.verify.mutate import mutate, subjects

    say = partial(click.echo, err=True)
    named = _told(modules or tuple(subjects()), "module")
    found = [mutate(module, mutants=mutants, jobs=jobs, say=say) for module in named]
    columns: list[tuple[str, Callable[[Any], str]]] = [
        ("module", lambda row: row.module),
        ("checked as", lambda row: row.unit),
        ("mutants", lambda row: f"{row.mutants:,}"),
        ("killed", lambda row: f"{row.killed:,}"),
        ("no difference (proved)", lambda row: f"{row.equivalent:,}"),
        ("rate", lambda row: f"{100 * row.rate:.1f} %"),
    ]
    _show("mutate", found, columns, as_json)
    if not as_json:
        for report in found:
            for survivor in report.survivors:
                click.echo(f"{report.module}: survived: {survivor.change}: {WHY[survivor.verdict]}")
    if any(report.rate < 0.97 or any(s.verdict == "open" for s in report.survivors) for report in found):
        click.get_current_context().exit(1)


def _units(units: tuple[str, ...], every: bool) -> list[str]:
    from hwsim.verify.catalog import RTL_UNITS

    if units and every:
        raise click.UsageError("--unit and --all exclude each other")
    return list(RTL_UNITS) if every else list(units) or [UNIT]


def _told(names: Sequence[str], what: str) -> Any:
    """The names one after the other, each said on stderr when its turn comes."""
    for name in names:
        click.echo(f"{what} {name}", err=True)
        yield name


def _show(verb: str, rows: list[Any], columns: Sequence[tuple[str, Callable[[Any], str]]], as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        emit_json(f"hwsim.rtl.{verb}/1", {"rows": [asdict(row) for row in rows]})
        return
    right = [
        at for at, (name, _) in enumerate(columns) if name not in ("unit", "what", "module", "network", "method", "")
    ]
    click.echo(table([name for name, _ in columns], [[cell(row) for _, cell in columns] for row in rows], right=right))
