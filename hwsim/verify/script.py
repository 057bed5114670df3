"""Cycle-by-cycle scripts for the bare modules, together with the rows that each must give, and when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.verify.catalog import RtlUnit
from hwsim.verify.compare import Rows, fold_cycles, golden
from hwsim.verify.drive import Array, Codes, Scales, StreamRun, Sums, pack_lanes, run_replay, sum_dtype
from hwsim.verify.multipliers import MULTIPLIERS, is_finite

FULL_CROSS = 20_000
"""Up to so many cases every operand pair of a processing element meets every sum."""


@dataclass(frozen=True)
class _Due:
    cycle: int
    fold: int
    a: Codes
    c: Sums
    scale: int


class ArrayScript:
    """Builds the inputs of the bare array one cycle at a time and keeps account of what is in flight.

    A row is due ``fold_cycles(rows, cols, 1) - rows`` cycles after it is presented, unless a reset comes first.
    """

    def __init__(self, array: Array) -> None:
        self.array = array
        self._lag = fold_cycles(array.rows, array.cols, 1) - array.rows
        self._control: list[tuple[int, int, int]] = []
        self._w = [np.zeros(array.cols, np.uint8)]
        self._a = [np.zeros(array.rows, np.uint8)]
        self._c = [np.zeros(array.cols, sum_dtype(array.width("ACC_W")))]
        self._held: list[tuple[int, int, int]] = []
        self._w_scale = [np.zeros(array.cols, np.uint8)]
        self._a_scale = [0]
        self._folds: list[tuple[Codes, Codes]] = []
        self._due: list[_Due] = []

    @property
    def cycle(self) -> int:
        """The cycle that the next call writes."""
        return len(self._control)

    def idle(self, cycles: int = 1) -> None:
        """Nothing is presented."""
        for _ in range(cycles):
            self._step(0, 0, 0)

    def reset(self) -> None:
        """One cycle of rst: rows that would be shown later never come."""
        now = self.cycle
        self._due = [due for due in self._due if due.cycle <= now]
        self._step(1, 0, 0)

    def weights(self, w: Codes, rows: int | None = None, scale: Codes | None = None) -> None:
        """Load ``w`` [rows, cols], last row first, beside ``scale`` [cols]; ``rows``: stop after so many."""
        beside = self._w_scale[0] if scale is None else scale
        self._folds.append((w, beside))
        for row in w[::-1][:rows]:
            self._w.append(row)
            self._w_scale.append(beside)
            self._step(0, 1, 0)

    def row(self, a: Codes, c: Sums, scale: int = 0) -> None:
        """Present one row of activations [rows] with its incoming sums [cols] and the scale of its block."""
        self._due.append(_Due(self.cycle + self._lag, len(self._folds) - 1, a, c, scale))
        self._a.append(a)
        self._a_scale.append(scale)
        self._c.append(c)
        self._step(0, 0, 1)

    def drain(self) -> None:
        """Wait until the last row in flight has been shown."""
        self.idle(self._lag + 1)

    def inputs(self) -> dict[str, NDArray[np.uint8]]:
        """Port -> uint8 [cycles, bytes]; a bus keeps its last value where nothing is presented."""
        rst, w_valid, a_valid = np.array(self._control, dtype=np.uint8).T
        w_at, a_at, c_at = np.array(self._held).T
        width = self.array.width
        beside = {}
        if self.array.unit.scaled:
            beside["w_scale"] = pack_lanes(np.array(self._w_scale), 8)[w_at]
            beside["a_scale"] = np.array(self._a_scale, np.uint8)[a_at, None]
        return {
            **beside,
            "rst": rst[:, None],
            "w_valid": w_valid[:, None],
            "a_valid": a_valid[:, None],
            "w_row": pack_lanes(np.array(self._w), width("W_W"))[w_at],
            "a_row": pack_lanes(np.array(self._a), width("A_W"))[a_at],
            "psum_in": pack_lanes(np.array(self._c), width("ACC_W"))[c_at],
        }

    def expected(self) -> Rows:
        """The rows that must come, by the golden model and the cycle model."""
        a = np.stack([due.a for due in self._due])
        w = np.stack([self._folds[due.fold][0] for due in self._due])
        c = np.stack([due.c for due in self._due])
        scales = beside = None
        if self.array.unit.scaled:
            scales = (
                np.stack([self._folds[due.fold][1] for due in self._due]),
                np.array([due.scale for due in self._due], np.uint8),
            )
            beside = (scales[0][:, :, None], scales[1][:, None, None])
        sums = golden(self.array.unit, a[:, None], w, c[:, None], beside)[:, 0]
        return Rows(np.array([due.cycle for due in self._due], dtype=np.int64), a, w, c, sums, scales)

    def _step(self, rst: int, w_valid: int, a_valid: int) -> None:
        self._control.append((rst, w_valid, a_valid))
        self._held.append((len(self._w) - 1, len(self._a) - 1, len(self._c) - 1))


def pe_script(unit: RtlUnit, widths: tuple[int, int, int], sums: Sums) -> tuple[dict[str, NDArray[np.uint8]], Rows]:
    """Every operand pair through one processing element: inputs, and the rows that must come.

    ``widths``: bits of an activation code, of a weight code, of the accumulator. Each weight is loaded once and then
    meets every activation, one a cycle, with every sum, or where that would be many cases with one sum in turn; a row
    is due ``fold_cycles(1, 1, 1) - 1`` cycles after it is presented. Infinities and NaN are left out.
    """
    _, _, acc_bits = widths
    a_codes, weights = finite_codes(unit)
    blocks = len(weights)
    if len(a_codes) * blocks * len(sums) <= FULL_CROSS:
        a, c = (axis.ravel() for axis in np.meshgrid(a_codes, sums, indexing="ij"))
        c_all = np.tile(c, blocks)
    else:
        a = a_codes
        c_all = np.resize(sums, len(a) * blocks)
    cases = a.size

    def column(first: int, rest: NDArray[Any] | int) -> NDArray[np.int64]:
        """One block: the value while the weight loads, then the value of each case."""
        return np.tile(np.concatenate([[first], np.broadcast_to(rest, cases)]), blocks)

    head, tail = np.array([1, 1]), np.zeros(2, np.int64)  # two cycles of reset, two to see the last row
    streams = {
        "rst": np.concatenate([head, column(0, 0), tail]),
        "w_load": np.concatenate([0 * head, column(1, 0), tail]),
        "w_in": np.concatenate([0 * head, np.repeat(weights, cases + 1).astype(np.int64), tail]),
        "valid_in": np.concatenate([0 * head, column(0, 1), tail]),
        "a_in": np.concatenate([0 * head, column(0, a), tail]),
        "psum_in": np.concatenate(
            [0 * head, np.pad(c_all.reshape(blocks, cases), ((0, 0), (1, 0))).ravel().astype(np.int64), tail]
        ),
    }
    bits = {"w_in": widths[1], "a_in": widths[0], "psum_in": acc_bits}
    inputs = {name: pack_lanes(values[:, None], bits.get(name, 1)) for name, values in streams.items()}
    due = np.flatnonzero(streams["valid_in"]) + fold_cycles(1, 1, 1) - 1
    a_all = np.tile(a, blocks).astype(np.uint8)[:, None]
    w_all = np.repeat(weights, cases)[:, None, None]
    c_rows = c_all.astype(sum_dtype(acc_bits))[:, None]
    sums_all = golden(unit, a_all[:, None], w_all, c_rows[:, None])[:, 0]
    return inputs, Rows(due.astype(np.int64), a_all, w_all, c_rows, sums_all)


def finite_codes(unit: RtlUnit) -> tuple[Codes, Codes]:
    """Activation and weight codes that are numbers, uint8, in order."""
    multiplier = MULTIPLIERS[unit.multiplier]
    a, w = (np.flatnonzero(is_finite(name)).astype(np.uint8) for name in (multiplier.a_format, multiplier.b_format))
    return a, w


def stream_by_script(
    array: Array, w: Codes, a: Codes, c: Sums, scales: Scales, *, wave: Path | None = None
) -> StreamRun:
    """``run_stream`` for a simulator whose harness knows no scales: one script for each fold of every chain.

    Sums go from one script to the next here; the cycles of a fold are those of its own script.
    """
    chains, folds, m, _ = a.shape
    due = fold_cycles(array.rows, array.cols, m)
    sums, came, stray = c, chains * m, 0
    good = np.ones((chains, m), np.bool_)
    ended = np.full((chains, folds), -1, np.int64)
    for fold in range(folds):
        script = ArrayScript(array)
        script.reset()
        starts = []
        for chain in range(chains):
            starts.append(script.cycle)
            script.weights(w[chain, fold], scale=scales[0][chain, fold])
            for row in range(m):
                script.row(a[chain, fold, row], sums[chain, row], int(scales[1][chain, fold, row]))
            script.idle(starts[-1] + due - script.cycle)
        script.idle(2)
        got = run_replay(
            array.array_design(), script.inputs(), lanes=array.cols, bits=32, sim=array.sim, seed=array.seed, wave=wave
        )
        count = min(len(got.cycles), chains * m)
        stray += len(got.cycles) - count
        came = min(came, count)
        made = np.zeros((chains * m, array.cols), sums.dtype)
        made[:count] = got.lanes[:count]
        seen = np.zeros(chains * m, np.bool_)
        seen[:count] = got.known[:count]
        good &= seen.reshape(chains, m)
        sums = made.reshape(chains, m, array.cols)
        last = np.full(chains * m, -1, np.int64)
        last[:count] = got.cycles[:count]
        ended[:, fold] = last.reshape(chains, m)[:, -1] - np.array(starts)
    # folds follow one another in chains, as in a stream
    took = ended.ravel()
    whole = took >= 0
    ends = np.cumsum(np.where(whole, took, due))
    return StreamRun(
        sums=sums,
        good=good,
        came=came,
        began=(ends - np.where(whole, took, due))[whole],
        ended=ends[whole],
        stray=stray,
        done=bool(whole.all()),
    )
