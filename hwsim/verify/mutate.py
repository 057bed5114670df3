"""Mutants: every small wrong change of a module must be found, by ``verify_rtl`` or by a proof that it changes nothing.

Yosys elaborates one module, makes N changes (an inverted, stuck or swapped bit each) and writes all of them into one
Verilog file, of which an environment variable switches one on when a simulation starts. The file takes the place of the
module and ``verify_rtl`` runs as a user would run it: compiled once, started N times. A mutant lives where every check
passes; for those a proof decides whether the change can be seen at all.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from hwsim.errors import DataError, ToolError, unknown
from hwsim.verify.catalog import RTL_UNITS, array_parameters, pe_parameters, rtl_unit
from hwsim.verify.checks import OUTPUT_STATIONARY
from hwsim.verify.multipliers import MULTIPLIERS
from hwsim.verify.mutants import SWITCH, Elaborated, Verdict, make, told, verdict
from hwsim.verify.tile_engine import ENGINES, EnginePlan

MUTANTS = 240
SHAPE = 4
"""Rows and columns of the array around a mutated element, and of a mutated array."""
SCALED_COLS = 2
"""Columns of a mutated array with scales; it has the rows of one block."""
TILES = 100
CASE_TILES = 500
"""For modules that answer case by case, ten cases each."""


@dataclass(frozen=True)
class Subject:
    """What is mutated and what looks for the mutants.

    Attributes:
        what: the module. unit: what ``verify_rtl`` is asked to prove; checks: those it runs, quick ones first; None for
            all of a module that answers case by case. cols: of the array.
    """

    what: Elaborated
    unit: str
    checks: tuple[str, ...] | None = None
    cols: int = SHAPE


ARRAY_CHECKS = ("random_tiles", "gaps", "reset", "corner_tiles", "k_chain")
OS_CHECKS = tuple(check.__name__ for check in OUTPUT_STATIONARY)
ENGINE_CHECKS = ("reloads", "resets", "packets", "malformed", "operands")
DOT_CHECKS = ("random", "special", "cancel", "corners")
"""The quick ones first."""


def _subjects() -> Iterator[Subject]:
    for name in MULTIPLIERS:
        yield _of(f"mul_{name}", f"mul_{name}", {})
    plain, stopping, scaled = (rtl_unit(f"hwsim.rtl.{name}") for name in ("int4", "int4_sat", "nvfp4"))
    element, array = pe_parameters(plain), array_parameters(plain, SHAPE, SHAPE)
    adder = {name: value for name, value in pe_parameters(stopping).items() if name in ("P_W", "ACC_W", "SATURATE")}
    blocks = array_parameters(scaled, scaled.block or SHAPE, SCALED_COLS)
    yield _of("accumulator", stopping.name, adder, checks=("corner_tiles", "pe_exhaustive", *OS_CHECKS))
    yield _of("pe_ws", plain.name, element, checks=(*ARRAY_CHECKS, "pe_exhaustive"))
    yield _of("pe_os", plain.name, element, checks=OS_CHECKS)
    yield _of("array_ws", plain.name, array, checks=ARRAY_CHECKS)
    yield _of("array_os", plain.name, array, checks=OS_CHECKS)
    found = _of("array_ws_scaled", scaled.name, blocks, checks=("blocks", *ARRAY_CHECKS))
    yield replace(found, cols=SCALED_COLS)
    # a requantizer's own defaults are those of int4
    yield _of("requantizer", "requantizer_int4", {})
    for module, unit, checks in (
        ("dot_fused", "nvidia.volta.mma.f16", DOT_CHECKS),
        ("scale_add", "nvidia.blackwell.tcgen05.nvf4", DOT_CHECKS),
        ("dot_scaled", "nvidia.blackwell.tcgen05.nvf4", (*DOT_CHECKS, "pairs")),
        ("round_float", "round_float", None),
        ("sparse_2to4", "sparse_2to4", None),
        ("zero_point", "zero_point", None),
    ):
        yield _case(module, unit, checks)
    engine = EnginePlan(ENGINES["mac_tile_axis.small"], (), "verilator", 0, 0)
    built = engine.design()
    for module in ("tile_controller", "mac_tile_axis"):
        yield _of(module, engine.engine.name, dict(built.parameters), top=built.top, checks=ENGINE_CHECKS)


def _of(
    module: str,
    unit: str,
    parameters: Mapping[str, int | str],
    *,
    top: str | None = None,
    checks: tuple[str, ...] | None = None,
) -> Subject:
    return Subject(Elaborated(module, top or module, parameters), unit, checks)


def _case(module: str, unit: str, checks: tuple[str, ...] | None) -> Subject:
    from hwsim.verify.case_catalog import case_unit

    entry = case_unit(unit)
    assert entry is not None
    return _of(module, unit, entry.parameters, top=entry.top, checks=checks)


def subjects() -> Mapping[str, Subject]:
    """Every module that is mutated, by its name."""
    return {subject.what.module: subject for subject in _subjects()}


@dataclass(frozen=True)
class Survivor:
    """A mutant that every check passed: what was changed, and whether it makes a difference."""

    change: str
    verdict: Verdict


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
        return sum(survivor.verdict in ("equal", "unseen", "bounded") for survivor in self.survivors)

    @property
    def rate(self) -> float:
        """Share of the mutants that make a difference, or may, which simulation killed, 0 to 1."""
        return self.killed / (self.mutants - self.equivalent) if self.mutants > self.equivalent else 1.0


def mutate(
    name: str,
    *,
    mutants: int = MUTANTS,
    seed: int = 1,
    jobs: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> MutationReport:
    """Mutate one module and look for every mutant, in ``jobs`` processes at the same time.

    ``say`` is told how many the checks passed, then of each what its proof says.

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
        changes = make(subject.what, mutants, seed, home)
        bad = home / f"{name}.v"
        if not _passes(subject, bad, 0):
            raise ToolError("the module fails its checks before anything is changed", where=f"module {name}")
        with _workers(min(jobs, len(changes))) as each:
            passed = each(partial(_passes, subject, bad), range(1, len(changes) + 1))
            lived = [change for change, lives in zip(changes, passed, strict=True) if lives]
            say(f"{name}: {len(lived)} of {len(changes)} mutants pass every check")
            survivors = []
            said = each(partial(verdict, home=home, cycles=subject.what.cycles), lived)
            for change, found in zip(lived, said, strict=True):
                survivors.append(Survivor(told(change), found))
                say(f"{name}: {found}: {survivors[-1].change}")
    return MutationReport(name, subject.unit, len(changes), len(changes) - len(lived), tuple(survivors))


@contextmanager
def _workers(jobs: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """``map``, in this process or in several: each has an environment, and so a mutant, of its own."""
    if jobs <= 1:
        yield map
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield pool.map


def _passes(subject: Subject, bad: Path, mutant: int) -> bool:
    from hwsim.verify.verify import verify_rtl

    plain = subject.unit in RTL_UNITS and not RTL_UNITS[subject.unit].scaled
    with _switched(mutant):
        for check in subject.checks or (None,):
            report = verify_rtl(
                subject.unit,
                sim="verilator",
                tiles=TILES if subject.unit in RTL_UNITS or subject.unit in ENGINES else CASE_TILES,
                rows=SHAPE if plain else None,
                cols=subject.cols,
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
