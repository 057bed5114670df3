"""The checks of ``rtl/array_os.v`` and ``rtl/pe_os.v``: tiles back to back, with gaps, cut off by resets; every sum and
the cycle of every row, and every output of an element."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ToolError
from hwsim.verify.cases import drive_ports
from hwsim.verify.catalog import array_parameters, pe_parameters
from hwsim.verify.compare import UNKNOWN, Outcome, Rows, compare_rows, golden, operands
from hwsim.verify.drive import LONG_JOB, Array, Codes, ReplayRun, Sums, pack_lanes, run_replay, sum_dtype, unpack_lanes
from hwsim.verify.result import Point
from hwsim.verify.script import finite_codes
from hwsim.verify.simulator import SIMULATORS, Design, build

if TYPE_CHECKING:
    from hwsim.verify.checks import Plan

TOP, PE = "array_os", "pe_os"
GAPPED = 8
RESETS = 4
"""Tiles that are cut off in each of their three phases."""
PE_CYCLES = 1000


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
        packed = pack_lanes(values, bits)
        column = np.resize(packed, (cycles, packed.shape[1]))
        column[at] = packed
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
    got = _replay(array, script)
    if len(got.cycles) != script.due.size or not got.known.all():
        raise ToolError(f"{len(got.cycles)} of {script.due.size} result rows came", where="array_os")
    sums = got.lanes.reshape(down, across, array.rows, array.cols)[:, :, ::-1].transpose(0, 2, 1, 3)
    whole = sums.reshape(down * array.rows, across * array.cols)[:m, :n]
    return np.ascontiguousarray(whole), int(got.cycles[-1]) - script.began


def output_stationary(plan: Plan) -> Outcome:
    """``tiles`` tiles of rows x cols with K = m on the output-stationary array back to back, then some with gaps."""
    rng, tiles = plan.rng("output_stationary"), plan.tiles + GAPPED
    pauses = np.zeros((tiles, plan.m), np.int64)
    pauses[plan.tiles :] = rng.integers(0, 3, (GAPPED, plan.m))
    return _tiles(plan, rng, pauses)


def output_stationary_reset(plan: Plan) -> Outcome:
    """rst at a random cycle of stream, wait and drain: the rows still due never come, and the next tile is right."""
    rng, array = plan.rng("output_stationary_reset"), plan.array
    # the last k is taken, the sums wait until the far corner has its own, then the rows leave; in the cycle that shows
    # the last of them the next tile begins
    leaves = plan.m + array.rows + array.cols - 2
    phases = {"stream": (1, plan.m), "wait": (plan.m, leaves), "drain": (leaves, leaves + array.rows)}
    spans = {name: span for name, span in phases.items() if span[0] < span[1]}
    cuts = np.array([rng.integers(*span) for span in [*spans.values()] * RESETS for _ in range(2)]).reshape(-1, 2)
    cuts[:, 1] = 0  # every other tile runs to its end
    reached = (Point(f"reset in {name}", RESETS) for name in spans)
    return _tiles(plan, rng, np.zeros((cuts.size, plan.m), np.int64), cuts.ravel()).reaching(tuple(reached))


def _tiles(plan: Plan, rng: np.random.Generator, pauses: NDArray[np.int64], cuts: Any = None) -> Outcome:
    """Random tiles with ``pauses`` [tiles, k] before each k; ``cuts`` [tiles]: cycles from first k to reset."""
    array, k = plan.array, plan.m
    rows, cols, tiles = array.rows, array.cols, len(pauses)
    a_codes, w_codes = finite_codes(array.unit)
    a = a_codes[rng.integers(0, len(a_codes), (tiles, rows, k), dtype=np.uint8)]
    w = w_codes[rng.integers(0, len(w_codes), (tiles, k, cols), dtype=np.uint8)]
    zero = np.zeros((tiles, rows, cols), sum_dtype(array.width("ACC_W")))
    script = os_script(array, a, w, pauses)
    due = np.ones((tiles, rows), np.bool_)
    if cuts is not None:
        script, due = _cut(script, np.asarray(cuts))
    with ThreadPoolExecutor(1) as beside:  # compiled code runs while Python is busy with the golden model
        simulated = beside.submit(_in_parts if cuts is None else _replay, array, script)
        sums = golden(array.unit, a, w, zero)
        got = simulated.result()
    cycles = len(script.inputs["rst"])
    kept = due.ravel()
    expected = Rows(
        cycles=script.due.ravel()[kept],
        a=a[:, ::-1].reshape(-1, k)[kept],
        w=np.repeat(w, rows, axis=0)[kept],
        c=zero.reshape(-1, cols)[kept],
        sums=sums[:, ::-1].reshape(-1, cols)[kept],
    )
    outcome, when = compare_rows(array.unit, expected, got.cycles, got.lanes, got.known, cycles)
    return outcome.recorded_by(lambda wave: _replay(array, script, slice(min(when + 3, cycles)), wave))


def _replay(array: Array, script: OsScript, part: slice = slice(None), wave: Path | None = None) -> ReplayRun:
    """Run some cycles of a script."""
    driven = {name: values[part] for name, values in script.inputs.items()}
    bits = array.width("ACC_W")
    return run_replay(os_design(array), driven, lanes=array.cols, bits=bits, sim=array.sim, seed=array.seed, wave=wave)


def _in_parts(array: Array, script: OsScript) -> ReplayRun:
    """Run a script; a long one in parts on compiled arrays of their own, cut where a tile follows upon another."""
    tiles, cycles = len(script.due), len(script.inputs["rst"])
    parts = min(tiles, os.cpu_count() or 1)
    if parts == 1 or not SIMULATORS[array.sim].compiled or cycles < LONG_JOB:
        return _replay(array, script)
    # a tile's last row is shown in the cycle that presents the next one's first k
    ends = [int(script.due[tiles * at // parts - 1, -1]) for at in range(1, parts)]
    slices = [slice(begin, end) for begin, end in zip([0, *ends], [*(end + 1 for end in ends), cycles], strict=True)]
    build(array.sim, os_design(array))  # once, before the parts want it
    with ThreadPoolExecutor(parts) as pool:
        found = list(pool.map(partial(_replay, array, script), slices))
    return ReplayRun(
        cycles=np.concatenate([got.cycles + part.start for got, part in zip(found, slices, strict=True)]),
        lanes=np.concatenate([got.lanes for got in found]),
        known=np.concatenate([got.known for got in found]),
    )


def _cut(script: OsScript, cuts: NDArray[np.int64]) -> tuple[OsScript, NDArray[np.bool_]]:
    """The same script with a reset ``cuts`` cycles after a tile's first (0: none), and the next tile right behind it.

    What a tile would have presented or shown from then on falls out; which rows are due is the second of the two.
    """
    ends = script.due[:, -1]
    begins = np.concatenate([[script.began], ends[:-1]])
    kept = np.ones(len(script.inputs["rst"]), np.bool_)
    rst = script.inputs["rst"].copy()
    valid = script.inputs["k_valid"].copy()
    for begin, end, cut in zip(begins, ends, cuts, strict=True):
        if cut:
            rst[begin + cut] = 1
            valid[begin + cut] = 0
            kept[begin + cut + 1 : end] = False
    inputs = {**script.inputs, "rst": rst, "k_valid": valid}
    moved = np.cumsum(kept) - 1
    # the row that stands in the cycle of the reset has left already
    due = (cuts[:, None] == 0) | (script.due <= (begins + cuts)[:, None])
    shorter = {name: values[kept] for name, values in inputs.items()}
    return OsScript(shorter, script.began, moved[script.due]), due


def output_stationary_pe(plan: Plan) -> Outcome:
    """One element driven at random, resets and drains among it: every output in every cycle."""
    array, rng = plan.array, plan.rng("output_stationary_pe")
    widths = {"a_in": array.width("A_W"), "w_in": array.width("W_W"), "sum_above": array.width("ACC_W")}
    cycles, bits = PE_CYCLES, widths["sum_above"]
    a_codes, w_codes = finite_codes(array.unit)
    most = (1 << (bits - 1)) - 1
    driven = {
        "rst": rng.random(cycles) < 0.1,
        "drain": rng.random(cycles) < 0.2,
        "valid_in": rng.random(cycles) < 0.6,
        "first_in": rng.random(cycles) < 0.2,
        "a_in": rng.choice(a_codes, cycles),
        "w_in": rng.choice(w_codes, cycles),
        "sum_above": rng.choice([0, most, -most - 1, *rng.integers(-most, most, 5)], cycles),
    }
    driven["drain"][0] = True  # the sum is unknown until something enters it
    inputs = {name: pack_lanes(held.astype(np.int64)[:, None], widths.get(name, 1)) for name, held in driven.items()}
    design = Design.of(PE, array.sources, pe_parameters(array.unit))
    shown = ("valid_out", "first_out", "a_out", "w_out", "sum")

    def run(wave: Path | None = None) -> Any:
        return drive_ports(design, inputs, list(shown), True, array.sim, array.seed, wave)

    seen, known = run()
    sums, told = _element(array, driven)
    expected = {
        "valid_out": driven["valid_in"] & ~driven["rst"],
        "first_out": driven["first_in"],
        "a_out": driven["a_in"],
        "w_out": driven["w_in"],
        "sum": sums,
    }
    wrong, first = np.zeros((cycles - 1, len(shown)), np.bool_), None
    for at, port in enumerate(shown):
        want = np.asarray(expected[port], np.int64)[:-1]
        size = -(-bits // 8) if port == "sum" else 1
        raw = np.ascontiguousarray(seen[port][1:, :size])
        got = unpack_lanes(raw, 1, bits)[:, 0] if port == "sum" else raw[:, 0]
        wrong[:, at] = (got != want) | ~known[1:]
        cases = np.flatnonzero(wrong[:, at])
        if cases.size and (first is None or cases[0] < first[0]):
            answer = str(got[cases[0]]) if known[1 + cases[0]] else UNKNOWN
            first = (
                int(cases[0]),
                f"cycle {cases[0]}: {told[cases[0]]}: {port}: expected {want[cases[0]]}, got {answer}",
            )
    points = (Point("reset with valid_in", int((driven["rst"] & driven["valid_in"]).any())), Point("drain", 1))
    outcome = Outcome(wrong.size, int(wrong.sum()), 0, 0, cycles, None if first is None else first[1])
    return outcome.recorded_by(run).reaching(points)


def _element(array: Array, driven: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.int64], list[str]]:
    """The sum after each cycle by the golden model, and the cycle's inputs in words."""
    held, sums, told = 0, [], []
    kind = sum_dtype(array.width("ACC_W"))
    for at in range(len(driven["rst"])):
        a, w = driven["a_in"][at].reshape(1, 1), driven["w_in"][at].reshape(1, 1)
        start = 0 if driven["first_in"][at] else held
        marks = " ".join(name for name in ("rst", "drain", "valid_in", "first_in") if driven[name][at])
        if driven["drain"][at]:
            held = int(driven["sum_above"][at])
        elif driven["valid_in"][at]:
            held = int(golden(array.unit, a, w, np.full((1, 1), start, kind))[0, 0])
        told.append(
            f"{marks or 'no control'}, sum_above={driven['sum_above'][at]}, {operands(array.unit, a[0], w[0], start)}"
        )
        sums.append(held)
    return np.array(sums, np.int64), told
