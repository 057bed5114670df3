"""Mutants: every small wrong change of a module must be found, by ``verify_rtl`` or by a proof that it changes nothing.

Yosys elaborates one module, makes N changes (an inverted, stuck or swapped bit each) and writes all of them into one
Verilog file, of which the environment variable ``HWSIM_MUTANT`` switches one on when a simulation starts. The file
takes the place of the module and ``verify_rtl`` runs as a user would run it: compiled once, started N times. A mutant
lives where every check passes; for those Yosys decides whether the change can be seen at all.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hwsim.errors import DataError, ToolError, unknown
from hwsim.verify.catalog import array_parameters, pe_parameters, rtl_unit
from hwsim.verify.formal import equivalence
from hwsim.verify.multipliers import MULTIPLIERS
from hwsim.verify.sources import rtl_dir, rtl_sources
from hwsim.verify.yosys import read_commands, run_yosys, try_yosys

SWITCH = "HWSIM_MUTANT"
MUTANTS = 240
SHAPE = 4
"""Rows and columns of the array around a mutated element, and of a mutated array."""

_HEADER = re.compile(r"^module\s+\w+.*?^\);", re.MULTILINE | re.DOTALL)
_PORTS = re.compile(r"^module mutated\((.*?)\);", re.MULTILINE)
_CONTROL = re.compile(r"-ctrl mutsel \d+ \d+ ")
_FIELD = re.compile(r"-(mode|cell|port|portbit|ctrlbit|wire|wirebit) (\S+)")


@dataclass(frozen=True)
class Subject:
    """What is mutated and what looks for the mutants.

    Attributes:
        module: Verilog module. unit: what ``verify_rtl`` is asked to prove; checks: those it runs, quick ones first;
        None for
            all of a module that answers case by case.
        parameters: with which the module is elaborated.
    """

    module: str
    unit: str
    parameters: Mapping[str, int | str]
    checks: tuple[str, ...] | None = None


def _subjects() -> Iterator[Subject]:
    from hwsim.verify.case_catalog import case_unit

    for name in MULTIPLIERS:
        yield Subject(f"mul_{name}", f"mul_{name}", {})
    element, stopping = pe_parameters(rtl_unit("hwsim.rtl.int4")), pe_parameters(rtl_unit("hwsim.rtl.int4_sat"))
    adder = {name: stopping[name] for name in ("P_W", "ACC_W", "SATURATE")}
    array = array_parameters(rtl_unit("hwsim.rtl.int4"), SHAPE, SHAPE)
    yield Subject("accumulator", "hwsim.rtl.int4_sat", adder, ("output_stationary", "corner_tiles", "pe_exhaustive"))
    yield Subject("pe_ws", "hwsim.rtl.int4", element, ("random_tiles", "gaps", "reset", "pe_exhaustive"))
    yield Subject("pe_os", "hwsim.rtl.int4", element, ("output_stationary",))
    yield Subject("array_ws", "hwsim.rtl.int4", array, ("random_tiles", "gaps", "reset", "corner_tiles", "k_chain"))
    yield Subject("array_os", "hwsim.rtl.int4", array, ("output_stationary",))
    yield Subject("requantizer", "requantizer_int4", {})  # its own defaults are those of int4
    for module in ("sparse_2to4", "zero_point"):
        entry = case_unit(module)
        if entry is not None:
            yield Subject(module, module, entry.parameters)


def subjects() -> Mapping[str, Subject]:
    """Every module that is mutated, by its name."""
    return {subject.module: subject for subject in _subjects()}


@dataclass(frozen=True)
class Survivor:
    """A mutant that every check passed: what was changed, and whether Yosys proved that it makes no difference."""

    change: str
    equivalent: bool


@dataclass(frozen=True)
class MutationReport:
    """One module's mutants.

    Attributes:
        module, unit: see ``Subject``. mutants: how many were made. killed: how many of them a check failed.
        survivors: the others.
    """

    module: str
    unit: str
    mutants: int
    killed: int
    survivors: tuple[Survivor, ...]

    @property
    def equivalent(self) -> int:
        """Survivors that no simulation could find, as they make no difference."""
        return sum(survivor.equivalent for survivor in self.survivors)

    @property
    def rate(self) -> float:
        """Share of the mutants that make a difference which simulation killed, 0 to 1."""
        return self.killed / (self.mutants - self.equivalent) if self.mutants > self.equivalent else 1.0


def mutate(
    name: str, *, mutants: int = MUTANTS, seed: int = 1, on_mutant: Callable[[int, int], None] | None = None
) -> MutationReport:
    """Mutate one module and look for every mutant.

    Raises:
        DataError: no such module. ToolError: Yosys, Verilator or a compiler is missing; or the module fails its checks
            before anything is changed.
    """
    known = subjects()
    if name not in known:
        raise unknown(DataError, "mutated module", name, known)
    subject = known[name]
    with tempfile.TemporaryDirectory(prefix="hwsim-mutants-") as folder:
        home = Path(folder)
        changes = _make(subject, mutants, seed, home)
        if len(changes) < mutants:  # a multiplier is one cell: cut into gates, it has more places to go wrong
            changes = _make(subject, mutants, seed, home, ("techmap", "opt -full"))
        bad = home / f"{name}.v"
        if not _passes(subject, bad, 0):
            raise ToolError("the module fails its checks before anything is changed", where=f"module {name}")
        lived = []
        for at in range(1, len(changes) + 1):
            if _passes(subject, bad, at):
                lived.append(at)
            if on_mutant is not None:
                on_mutant(at, len(changes))
        survivors = tuple(Survivor(_told(changes[at - 1]), _equivalent(changes[at - 1], home)) for at in lived)
    return MutationReport(name, subject.unit, len(changes), len(changes) - len(lived), survivors)


def _make(subject: Subject, mutants: int, seed: int, home: Path, finer: tuple[str, ...] = ()) -> list[str]:
    """Write the file that holds every mutant, and the unchanged module as RTLIL; the changes, as Yosys' commands."""
    width = (mutants + 1).bit_length()
    base, listed, made = home / "base.il", home / "changes.ys", home / "made.v"
    run_yosys(
        [
            *read_commands(rtl_sources(), subject.module, subject.parameters),
            *(
                "opt -full",
                "memory -nomap",
                "memory_map",
                *finer,
                "rename -top mutated",
                "opt_clean",
                f'write_rtlil "{base}"',
            ),
            f"mutate -list {mutants + 1} -seed {seed} -none -ctrl mutsel {width} 0 -o {listed}",
            *(f"script {listed}", "opt_clean", f'write_verilog -noattr "{made}"'),
        ],
        where=f"module {subject.module}",
    )
    source = (rtl_dir() / f"{subject.module}.v").read_text(encoding="utf-8")
    found = _HEADER.search(source)
    if found is None:
        raise ToolError("the module has no port list of its own", where=f"module {subject.module}")
    text = made.read_text(encoding="utf-8")
    ports = _PORTS.search(text)
    assert ports is not None
    pins = ", ".join(f".{port}({port})" for port in ports.group(1).split(", ") if port != "mutsel")
    wrapper = (
        f"{found.group().replace('output reg ', 'output wire')}\n"
        f"    reg [{width - 1}:0] mutsel;\n"
        f'    initial mutsel = $c32("std::atoi(std::getenv(", "\\"{SWITCH}\\"", "))");\n'
        f"    mutated m ({pins}, .mutsel(mutsel));\nendmodule\n"
    )
    (home / f"{subject.module}.v").write_text(wrapper + text, encoding="utf-8")
    lines = listed.read_text(encoding="utf-8").splitlines()
    return [_CONTROL.sub("", line) for line in lines if "-mode none" not in line]


def _passes(subject: Subject, bad: Path, mutant: int) -> bool:
    from hwsim.verify.verify import verify_rtl

    with _switched(mutant):
        for check in subject.checks or (None,):
            report = verify_rtl(
                subject.unit,
                sim="verilator",
                tiles=20,
                rows=SHAPE,
                cols=SHAPE,
                m=SHAPE,
                waves="never",
                sources=[bad],
                checks=None if check is None else [check],
            )
            if not report.passed:
                return False
    return True


@contextmanager
def _switched(mutant: int) -> Iterator[None]:
    os.environ[SWITCH] = str(mutant)
    try:
        yield
    finally:
        del os.environ[SWITCH]


def _equivalent(change: str, home: Path) -> bool:
    """Whether Yosys proves that the changed module does the same, from any state."""
    base = f'read_rtlil "{home / "base.il"}"'
    script = [base, "rename mutated gold", "design -stash gold"]
    script += [base, change, "rename mutated gate", "design -stash gate", *equivalence("gold", "gate")]
    status, said = try_yosys(script)
    return status == 0 and "Equivalence successfully proven!" in said


def _told(change: str) -> str:
    """``inv of A[19] at $flatten\\adder.$add$..accumulator.v:26$11 (psum_in[19])``, without the folder."""
    found = dict(_FIELD.findall(change))
    cell = re.sub(r"\S*?([\w.]+\.v:\d+)", r"\1", found.get("cell", ""))
    bit = f"[{found['portbit']}]" if "portbit" in found else ""
    wire = f" ({found['wire']}[{found.get('wirebit', 0)}])" if "wire" in found else ""
    return f"{found['mode']} of {found.get('port', '?')}{bit} at {cell}{wire}"
