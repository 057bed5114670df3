"""What a name given to ``hwsim verify`` stands for: an array, a module that answers cases, or the tile engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from hwsim.errors import DataError, UnitError, unknown
from hwsim.io.cache import cache_dir
from hwsim.verify.array_vectors import array_vectors
from hwsim.verify.case_catalog import case_names, case_unit
from hwsim.verify.case_checks import VECTORS, CasePlan
from hwsim.verify.catalog import RTL_UNITS
from hwsim.verify.checks import Plan, checks_of
from hwsim.verify.compare import Outcome
from hwsim.verify.drive import Array
from hwsim.verify.portmap import PortMap, read_portmap, wrapper
from hwsim.verify.simulator import SIMULATORS, Design
from hwsim.verify.sources import rtl_sources
from hwsim.verify.tile_engine import ENGINES, EnginePlan, engine_checks
from hwsim.verify.widths import PORTMAPS

CASES_A_TILE = 10
DEFAULT_ROWS = 16


@dataclass(frozen=True)
class Subject:
    """Check -> its run; shape of the array, 0 where there is none; ``digest`` names recordings by what made them."""

    checks: Mapping[str, Callable[[], Outcome]]
    rows: int
    cols: int
    digest: str


def verifiable() -> tuple[str, ...]:
    """Every name that ``verify_rtl`` takes."""
    return (*RTL_UNITS, *ENGINES, *(name for name in case_names() if name not in RTL_UNITS))


def subject_of(
    unit: str,
    *,
    sim: str,
    seed: int,
    tiles: int,
    rows: int | None,
    cols: int,
    m: int,
    sources: Sequence[str | Path],
    vectors: Path | None,
    ports: str | Path | None,
) -> Subject:
    """What to check; arguments as ``verify_rtl`` has them.

    Raises:
        UnitError: no such unit or module. DataError: sources, vectors or a port map that do not fit.
    """
    if unit in RTL_UNITS:
        entry = RTL_UNITS[unit]
        rows = (entry.block or DEFAULT_ROWS) if rows is None else rows
        told = _port_map(ports, f"mul_{entry.multiplier}", sources)
        array = Array(entry, rows, cols, _files(sources, told), sim, seed)
        plan = Plan(array, m, tiles)
        checks = {name: partial(check, plan) for name, check in checks_of(entry).items()}
        if vectors is not None:
            checks[VECTORS] = partial(array_vectors, array, vectors)
        return Subject(checks, rows, cols, _digest(sim, array.array_design(), seed, m, tiles))
    if unit in ENGINES:
        engine = EnginePlan(
            ENGINES[unit], _files(sources, _port_map(ports, "mac_tile_axis", sources)), sim, seed, tiles
        )
        if vectors is not None:
            raise UnitError("the tile engine takes no file of vectors; its array does", where=unit, hint=engine.unit)
        shape = engine.shape
        return Subject(engine_checks(engine), *shape, _digest(sim, engine.design(), seed, tiles))
    module = case_unit(unit)
    if module is None:
        raise unknown(UnitError, "unit or module with Verilog", unit, verifiable())
    told = _port_map(ports, module.top, sources)
    case = CasePlan(module, _files(sources, told), sim, seed, CASES_A_TILE * tiles, vectors=vectors)
    case = replace(case, latency=0 if told is None else told.latency)
    return Subject(case.checks(), 0, 0, _digest(sim, case.design(), seed, tiles))


def _port_map(ports: str | Path | None, top: str, sources: Sequence[str | Path]) -> PortMap | None:
    if ports is None:
        return None
    return read_portmap(Path(ports), top=top, sources=tuple(Path(source) for source in sources))


def _files(sources: Sequence[str | Path], told: PortMap | None) -> tuple[Path, ...]:
    """Every Verilog file; with a port map, its wrapper among those of the caller."""
    if told is None:
        return rtl_sources(sources)
    text = wrapper(told)
    folder = cache_dir() / PORTMAPS / hashlib.sha256(text.encode()).hexdigest()[:16]
    path = folder / f"{told.replaces}.v"
    if not path.is_file():
        from hwsim.io import atomic

        folder.mkdir(parents=True, exist_ok=True)
        atomic.write(path, text.encode(), DataError)
    return rtl_sources([*sources, path])


def _digest(sim: str, design: Design, *rest: int) -> str:
    """Names a recording after what made it: runs that differ never overwrite each other, a repeated run does."""
    return hashlib.sha256(repr((design.key(SIMULATORS[sim].program), *rest)).encode()).hexdigest()[:8]
