"""``verify_rtl``: the Verilog of a unit or module against its golden model and its cycle model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from hwsim.errors import DataError, unknown
from hwsim.io.cache import cache_dir
from hwsim.verify.compare import Outcome
from hwsim.verify.result import CheckRow, VerifyReport
from hwsim.verify.simulator import SIMULATORS, need_simulator
from hwsim.verify.subject import subject_of

Waves = Literal["on_failure", "never"]


def verify_rtl(
    unit: str = "hwsim.rtl.int4",
    *,
    sim: str = "icarus",
    tiles: int = 200,
    rows: int | None = None,
    cols: int = 16,
    m: int = 16,
    seed: int = 0,
    waves: Waves = "on_failure",
    waves_dir: str | Path | None = None,
    sources: Sequence[str | Path] = (),
    checks: Sequence[str] | None = None,
    vectors: str | Path | None = None,
    ports: str | Path | None = None,
    on_check: Callable[[CheckRow], None] | None = None,
) -> VerifyReport:
    """Simulate the Verilog of a matrix unit and compare every value and every cycle count with the models.

    Args:
        unit: a matrix unit that an array is built for (``hwsim.verify.RTL_UNITS``) or whose dot product rtl/ has
            (``nvidia.hopper.wgmma.e4m3``), or a module by its name (``mul_int4``, ``requantizer_int4``,
            ``sparse_2to4``, ``mac_tile_axis``): ``hwsim.verify.verifiable()`` lists all.
        sim: simulator: ``icarus`` (under cocotb) or ``verilator`` (compiled, some thousand times faster).
        tiles: random tiles of m x cols x rows; ten random cases each for a module without memory.
        rows, cols: shape of the array; rows None is 16, or the block of a unit with block scales. m: rows a tile.
        seed: of everything random; the same seed drives the same values.
        waves: ``on_failure`` records the failing case of each check that fails (FST, or VCD); ``never`` does not.
        waves_dir: where recordings go; default ``waves`` in the cache folder (``$HWSIM_CACHE`` or ``~/.cache/hwsim``).
        sources: Verilog files of your own; a module they define takes the place of ours of the same name.
        checks: names of the checks to run, in order; default all that the unit has.
        vectors: a file of operands of your own, driven besides (``hwsim.verify.vectors``, ``array_vectors``).
        ports: a port map, where your module has another name, other ports or a pipeline (``hwsim.verify.portmap``).
        on_check: called with each row as soon as it is there (for progress).

    Returns:
        One row a check; ``report.passed`` says whether everything agreed. A difference is a result, not an error.

    Raises:
        UnitError: there is no such unit or module.
        DataError: an argument out of range, an unknown check, or Verilog files that cannot stand in for ours.
        ToolError: the simulator is missing, or does not accept the Verilog.

    Example:
        >>> verify_rtl(tiles=20, rows=4, cols=4).passed  # doctest: +SKIP
        True
    """
    for what, number in (("tiles", tiles), ("rows", 1 if rows is None else rows), ("cols", cols), ("m", m)):
        if number < 1:
            raise DataError(f"{what} must be 1 or more, not {number}", where="verify_rtl")
    if (checks is not None and not checks) or waves not in ("on_failure", "never"):
        raise DataError("expected waves 'on_failure' or 'never', and at least one check", where="verify_rtl")
    need_simulator(sim)
    own = Path(vectors) if vectors is not None else None
    subject = subject_of(
        unit, sim=sim, seed=seed, tiles=tiles, rows=rows, cols=cols, m=m, sources=sources, vectors=own, ports=ports
    )
    names = list(subject.checks) if checks is None else list(checks)
    for name in names:
        if name not in subject.checks:
            raise unknown(DataError, "check", name, subject.checks, where=unit)
    recordings = Path(waves_dir) if waves_dir is not None else cache_dir() / "waves"

    found = []
    for name in names:
        began = time.perf_counter()
        outcome = subject.checks[name]()
        bad = outcome.mismatches + outcome.cycle_mismatches > 0
        recording = f"{unit}-{name}-{subject.digest}{SIMULATORS[sim].wave_suffix}"
        wave = recordings.resolve() / recording if bad and waves == "on_failure" else None
        kept = _record(outcome, wave) if wave is not None else None
        row = CheckRow(
            check=name,
            unit=unit,
            compared=outcome.compared,
            mismatches=outcome.mismatches,
            cycles_compared=outcome.cycles_compared,
            cycle_mismatches=outcome.cycle_mismatches,
            seconds=time.perf_counter() - began,
            simulated_cycles=outcome.simulated_cycles,
            first_mismatch=outcome.first,
            wave_file=kept,
            points=outcome.points,
        )
        found.append(row)
        if on_check is not None:
            on_check(row)
    return VerifyReport(
        unit=unit,
        simulator=sim,
        array_rows=subject.rows,
        array_cols=subject.cols,
        m=m,
        tiles=tiles,
        seed=seed,
        sources=tuple(str(Path(path)) for path in sources),
        rows=tuple(found),
    )


def _record(outcome: Outcome, wave: Path) -> str | None:
    if outcome.record is None:
        return None
    outcome.record(wave)
    return str(wave) if wave.is_file() else None
