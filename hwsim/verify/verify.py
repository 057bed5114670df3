"""``verify_rtl``: a unit's Verilog against golden and cycle model; ``rtl_matmul``: a matrix product on that Verilog."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import DataError, ToolError, UnitError, unknown
from hwsim.verify.catalog import rtl_unit
from hwsim.verify.checks import CHECKS, Plan
from hwsim.verify.compare import Outcome, fold_cycles
from hwsim.verify.drive import Array, Sums, run_stream, sum_dtype
from hwsim.verify.multipliers import MULTIPLIERS, fixed_point
from hwsim.verify.result import CheckRow, VerifyReport
from hwsim.verify.simulator import SIMULATORS, cache_dir, need_simulator
from hwsim.verify.sources import rtl_sources

Waves = Literal["on_failure", "never"]


def verify_rtl(
    unit: str = "hwsim.rtl.int4",
    *,
    sim: str = "icarus",
    tiles: int = 200,
    rows: int = 16,
    cols: int = 16,
    m: int = 16,
    seed: int = 0,
    waves: Waves = "on_failure",
    waves_dir: str | Path | None = None,
    sources: Sequence[str | Path] = (),
    checks: Sequence[str] | None = None,
    on_check: Callable[[CheckRow], None] | None = None,
) -> VerifyReport:
    """Simulate the Verilog of a matrix unit and compare every value and every cycle count with the models.

    Args:
        unit: a name in ``hwsim.verify.RTL_UNITS``; the golden model is ``hwsim.mma`` with that unit.
        sim: simulator: ``icarus`` (under cocotb) or ``verilator`` (compiled, some thousand times faster).
        tiles: random tiles of m x cols x rows.
        rows, cols: shape of the array. m: activation rows a tile.
        seed: of everything random; the same seed drives the same values.
        waves: ``on_failure`` records the failing case of each check that fails (FST, or VCD); ``never`` does not.
        waves_dir: where recordings go; default ``waves`` in the cache folder (``$HWSIM_CACHE`` or ``~/.cache/hwsim``).
        sources: Verilog files of your own; a module they define takes the place of ours of the same name.
        checks: names of the checks to run, in order; default all of ``hwsim.verify.CHECKS``.
        on_check: called with each row as soon as it is there (for progress).

    Returns:
        One row a check; ``report.passed`` says whether everything agreed. A difference is a result, not an error.

    Raises:
        UnitError: no Verilog realises ``unit``.
        DataError: an argument out of range, an unknown check, or Verilog files that cannot stand in for ours.
        ToolError: the simulator is missing, or does not accept the Verilog.

    Example:
        >>> verify_rtl(tiles=20, rows=4, cols=4).passed  # doctest: +SKIP
        True
    """
    entry = rtl_unit(unit)
    names = list(CHECKS) if checks is None else list(checks)
    for name in names:
        if name not in CHECKS:
            raise unknown(DataError, "check", name, CHECKS)
    for what, number in (("tiles", tiles), ("rows", rows), ("cols", cols), ("m", m)):
        if number < 1:
            raise DataError(f"{what} must be 1 or more, not {number}", where="verify_rtl")
    if not names or waves not in ("on_failure", "never"):
        expected = "waves 'on_failure' or 'never'" if names else "at least one check"
        raise DataError(f"expected {expected}", where="verify_rtl")
    files = rtl_sources(sources)
    need_simulator(sim)
    plan = Plan(Array(entry, rows, cols, files, sim, seed), m, tiles)
    recordings = Path(waves_dir) if waves_dir is not None else cache_dir() / "waves"

    found = []
    for name in names:
        began = time.perf_counter()
        outcome = CHECKS[name](plan)
        bad = outcome.mismatches + outcome.cycle_mismatches > 0
        recording = f"{unit}-{name}-{_digest(plan)}{SIMULATORS[sim].wave_suffix}"
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
        )
        found.append(row)
        if on_check is not None:
            on_check(row)
    return VerifyReport(
        unit=unit,
        simulator=sim,
        array_rows=rows,
        array_cols=cols,
        m=m,
        tiles=tiles,
        seed=seed,
        sources=tuple(str(Path(path)) for path in sources),
        rows=tuple(found),
    )


def rtl_matmul(
    a_codes: ArrayLike,
    b_codes: ArrayLike,
    c: ArrayLike | None = None,
    *,
    unit: str = "hwsim.rtl.int4",
    rows: int = 16,
    cols: int = 16,
    sim: str = "icarus",
    sources: Sequence[str | Path] = (),
) -> tuple[Sums, int]:
    """c + a b^T computed by the simulated array, split into folds along K and N; K chains through psum_in.

    Args:
        a_codes: operand codes [M, K] of the unit's A format.
        b_codes: operand codes [N, K] of its B format.
        c: sums to start from [M, N], int32 (int64 where a sum is wider), entering through psum_in; None is zero.
        rows, cols: shape of the array. sim: simulator. sources: as in ``verify_rtl``.

    Returns:
        The sums [M, N], typed like c, and the cycles that the array took, counted in simulation:
        ceil(K / rows) * ceil(N / cols) folds of 2 * rows + cols + M - 2.

    Raises:
        UnitError: no Verilog realises ``unit``, or a code does not fit its format.
        DataError: shapes that do not multiply, or an empty operand.
        ToolError: the simulator is missing or failed, or the array gave an incomplete answer.
    """
    array = Array(rtl_unit(unit), rows, cols, rtl_sources(sources), sim)
    a = _operand("a_codes", a_codes, array.width("A_W"))
    b = _operand("b_codes", b_codes, array.width("W_W"))
    if a.shape[1] != b.shape[1]:
        raise DataError(
            f"a_codes {a.shape} and b_codes {b.shape} must share K, their last dimension", where="rtl_matmul"
        )
    (m, k), n = a.shape, b.shape[0]
    multiplier = MULTIPLIERS[array.unit.multiplier]
    folds, chains = -(-k // rows), -(-n // cols)
    if k % rows and any(fixed_point(f)[0][0] for f in (multiplier.a_format, multiplier.b_format)):
        raise UnitError(f"{unit} has no zero to fill K = {k} with: expected a multiple of {rows}", where="rtl_matmul")
    # code 0 is zero in every other format the array multiplies, so what is added at the edges adds nothing
    a_padded = np.pad(a, ((0, 0), (0, folds * rows - k)))
    b_padded = np.pad(b, ((0, chains * cols - n), (0, folds * rows - k)))
    a_folds = a_padded.reshape(m, folds, rows).transpose(1, 0, 2)
    w = b_padded.reshape(chains, cols, folds, rows).transpose(0, 2, 3, 1)
    limit = 2 * chains * folds * fold_cycles(rows, cols, m) + 1000
    dtype = sum_dtype(array.width("ACC_W"))
    start = np.zeros((m, chains * cols), dtype=dtype)
    if c is not None:
        given = np.asarray(c)
        if given.shape != (m, n) or given.dtype != dtype:
            raise DataError(f"c must be {dtype} {(m, n)}, found {given.dtype} {given.shape}", where="rtl_matmul")
        start[:, :n] = given
    start = np.ascontiguousarray(start.reshape(m, chains, cols).transpose(1, 0, 2))
    got = run_stream(array, w, np.broadcast_to(a_folds, (chains, *a_folds.shape)), start, limit_cycles=limit)
    if not got.done or got.stray or not got.good.all():
        came = f"{got.came} of {chains * m} result rows, {got.stray} unasked"
        hint = "verify_rtl says what is wrong with it"
        raise ToolError(f"the array gave {came}", where="rtl_matmul", hint=hint)
    return np.ascontiguousarray(got.sums.transpose(1, 0, 2).reshape(m, chains * cols)[:, :n]), got.cycles


def _operand(name: str, codes: ArrayLike, bits: int) -> NDArray[np.uint8]:
    array = np.asarray(codes)
    if array.ndim != 2 or array.size == 0:
        raise DataError(f"{name} must be a non-empty matrix, not of shape {array.shape}", where="rtl_matmul")
    if array.dtype.kind not in "iu" or int(array.min()) < 0 or int(array.max()) >= 1 << bits:
        raise UnitError(
            f"{name} must hold codes 0..{(1 << bits) - 1}", where="rtl_matmul", hint="encode the values first"
        )
    return array.astype(np.uint8)


def _digest(plan: Plan) -> str:
    """Names a recording after what made it: runs that differ never overwrite each other, a repeated run does."""
    array = plan.array
    design = array.array_design().key(SIMULATORS[array.sim].program)
    return hashlib.sha256(repr((design, array.seed, plan.m, plan.tiles)).encode()).hexdigest()[:8]


def _record(outcome: Outcome, wave: Path) -> str | None:
    if outcome.record is None:
        return None
    outcome.record(wave)
    return str(wave) if wave.is_file() else None
