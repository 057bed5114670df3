"""The check of ``rtl/array_os.v``: random tiles back to back and with gaps, every sum and the cycle of every row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ToolError
from hwsim.verify.catalog import array_parameters
from hwsim.verify.compare import Outcome, Rows, compare_rows, golden
from hwsim.verify.drive import Array, Codes, Sums, pack_lanes, run_replay, sum_dtype
from hwsim.verify.script import finite_codes
from hwsim.verify.simulator import Design

if TYPE_CHECKING:
    from hwsim.verify.checks import Plan

TOP = "array_os"
GAPPED = 8


def os_design(array: Array) -> Design:
    """The output-stationary array of a unit and shape."""
    return Design.of(TOP, array.sources, array_parameters(array.unit, array.rows, array.cols))


@dataclass(frozen=True)
class OsScript:
    """Inputs of the array (port -> uint8 [cycles, bytes]), and the cycle in which each result row is due.

    ``began``: the cycle that presents the first k. ``due``: int64 [tiles, rows], bottom row first.
    """

    inputs: dict[str, Any]
    began: int
    due: NDArray[np.int64]


def os_script(array: Array, a: Codes, w: Codes, pauses: NDArray[np.int64]) -> OsScript:
    """Tiles a [tiles, rows, k] by w [tiles, k, cols] back to back, with ``pauses`` [tiles, k] cycles before each k."""
    from hwsim.perf.systolic import OutputStationary

    tiles, rows, k = a.shape
    cols = w.shape[2]
    # a tile ends in the cycle that shows its last row; the next begins in it, or after a gap
    took = OutputStationary(rows, cols).cycles(rows, cols, k, accumulators=1 << 62)
    ends = 1 + np.cumsum(pauses.sum(axis=1) + took)
    begins = np.concatenate([[1], ends[:-1]])
    at = (begins[:, None] + np.cumsum(pauses, axis=1) + np.arange(k)).ravel()
    cycles = int(ends[-1]) + 2

    def held(values: Any, bits: int) -> Any:
        """``values`` in the cycles of a k; in the others some of them too, which nothing may take."""
        column = pack_lanes(np.resize(values, (cycles, values.shape[1])), bits)
        column[at] = pack_lanes(values, bits)
        return column

    mark = np.zeros((tiles, k), np.uint8)
    first, last = mark.copy(), mark.copy()
    first[:, 0] = last[:, -1] = 1
    reset, valid = np.zeros((2, cycles, 1), np.uint8)
    reset[0] = valid[at] = 1
    inputs = {
        "rst": reset,
        "k_valid": valid,
        "k_first": held(first.reshape(-1, 1), 1),
        "k_last": held(last.reshape(-1, 1), 1),
        "a_col": held(a.transpose(0, 2, 1).reshape(-1, rows), array.width("A_W")),
        "w_row": held(w.reshape(-1, cols), array.width("W_W")),
    }
    return OsScript(inputs, int(at[0]), ends[:, None] - np.arange(rows - 1, -1, -1))


def os_matmul(array: Array, a: Codes, b: Codes) -> tuple[Sums, int]:
    """a b^T on the output-stationary array, from zero: sums [M, N], and the cycles it took, counted in simulation.

    ``a`` codes [M, K], ``b`` codes [N, K], of formats in which code 0 is zero.

    Raises:
        ToolError: the simulation could not be run, or rows are missing.
    """
    (m, k), n = a.shape, b.shape[0]
    down, across = -(-m // array.rows), -(-n // array.cols)
    left = np.pad(a, ((0, down * array.rows - m), (0, 0))).reshape(down, array.rows, k)
    right = np.pad(b, ((0, across * array.cols - n), (0, 0))).reshape(across, array.cols, k).transpose(0, 2, 1)
    tiles_a = np.repeat(left, across, axis=0)
    tiles_w = np.ascontiguousarray(np.tile(right, (down, 1, 1)))
    script = os_script(array, tiles_a, tiles_w, np.zeros((down * across, k), np.int64))
    bits = array.width("ACC_W")
    got = run_replay(os_design(array), script.inputs, lanes=array.cols, bits=bits, sim=array.sim, seed=array.seed)
    if len(got.cycles) != script.due.size or not got.known.all():
        raise ToolError(f"{len(got.cycles)} of {script.due.size} result rows came", where="array_os")
    sums = got.lanes.reshape(down, across, array.rows, array.cols)[:, :, ::-1].transpose(0, 2, 1, 3)
    whole = sums.reshape(down * array.rows, across * array.cols)[:m, :n]
    return np.ascontiguousarray(whole), int(got.cycles[-1]) - script.began


def output_stationary(plan: Plan) -> Outcome:
    """``tiles`` tiles of rows x cols with K = m on the output-stationary array back to back, then some with gaps."""
    array, k, rng = plan.array, plan.m, plan.rng("output_stationary")
    rows, cols, tiles = array.rows, array.cols, plan.tiles + GAPPED
    a_codes, w_codes = finite_codes(array.unit)
    a = a_codes[rng.integers(0, len(a_codes), (tiles, rows, k), dtype=np.uint8)]
    w = w_codes[rng.integers(0, len(w_codes), (tiles, k, cols), dtype=np.uint8)]
    zero = np.zeros((tiles, rows, cols), sum_dtype(array.width("ACC_W")))
    sums = golden(array.unit, a, w, zero)
    pauses = np.zeros((tiles, k), np.int64)
    pauses[plan.tiles :] = rng.integers(0, 3, (GAPPED, k))
    script = os_script(array, a, w, pauses)
    cycles = len(script.inputs["rst"])
    expected = Rows(
        cycles=script.due.ravel(),
        a=a[:, ::-1].reshape(-1, k),
        w=np.repeat(w, rows, axis=0),
        c=zero.reshape(-1, cols),
        sums=sums[:, ::-1].reshape(-1, cols),
    )

    def run(upto: int, wave: Path | None = None) -> Any:
        driven = {name: values[:upto] for name, values in script.inputs.items()}
        bits = array.width("ACC_W")
        return run_replay(os_design(array), driven, lanes=cols, bits=bits, sim=array.sim, seed=array.seed, wave=wave)

    got = run(cycles)
    outcome, when = compare_rows(array.unit, expected, got.cycles, got.lanes, got.known, cycles)
    return outcome.recorded_by(lambda wave: run(min(when + 3, cycles), wave))
