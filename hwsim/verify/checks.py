"""The checks of a unit: each drives the simulated hardware and holds it against the golden and the cycle model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.verify.catalog import RtlUnit, scaled_unit
from hwsim.verify.compare import NOTHING, UNKNOWN, Outcome, compare_rows, difference, fold_cycles, golden
from hwsim.verify.coverage import pe_points
from hwsim.verify.drive import Array, Codes, Scales, StreamRun, Sums, run_replay, run_stream, sum_dtype
from hwsim.verify.float_sums import EXTREMES, sums_against
from hwsim.verify.multipliers import MULTIPLIERS, fixed_point, is_finite
from hwsim.verify.output_stationary import output_stationary, output_stationary_pe, output_stationary_reset
from hwsim.verify.result import Point
from hwsim.verify.script import ArrayScript, finite_codes, pe_script

K_CHAIN_FOLDS = 4
SCALED_TURNS = 4
"""Pairs of extreme scales that each corner tile meets."""


@dataclass(frozen=True)
class Plan:
    """What to drive: the array, rows of activations a tile, number of random tiles."""

    array: Array
    m: int
    tiles: int

    def rng(self, check: str) -> np.random.Generator:
        """Random numbers of one check: they depend on the seed and the check's name alone."""
        return np.random.default_rng([self.array.seed, *check.encode()])


def pe_exhaustive(plan: Plan) -> Outcome:
    """Every operand pair, with sums at and around both ends of the accumulator and around zero."""
    array = plan.array
    low, high = _ends(array)
    edges = [0, 1, -1, high, high - 31, low, low + 31, 1 << 23, -(1 << 23)]
    drawn = plan.rng("pe_exhaustive").integers(low, high, 3, endpoint=True)
    widths = (array.width("A_W"), array.width("W_W"), array.width("ACC_W"))
    inputs, expected = pe_script(array.unit, widths, np.array([*edges, *drawn], dtype=np.int64))

    def run(wave: Path | None = None) -> Any:
        return run_replay(array.pe_design(), inputs, lanes=1, bits=widths[2], sim=array.sim, seed=array.seed, wave=wave)

    got = run()
    outcome, _ = compare_rows(array.unit, expected, got.cycles, got.lanes, got.known, len(inputs["rst"]))
    return outcome.recorded_by(run).reaching(pe_points(array.unit, expected))


def corner_tiles(plan: Plan) -> Outcome:
    """Constant tiles of every pair of extreme codes onto sums at both ends, an identity, and single elements."""
    array, m = plan.array, plan.m
    multiplier = MULTIPLIERS[array.unit.multiplier]
    (a_extremes, a_one), (w_extremes, w_one) = (_extremes(f) for f in (multiplier.a_format, multiplier.b_format))
    rng = plan.rng("corner_tiles")
    w, a, c = [], [], []
    for a_code in a_extremes:
        for w_code in w_extremes:
            for start in (0, *_ends(array)):
                w.append(np.full((array.rows, array.cols), w_code))
                a.append(np.full((m, array.rows), a_code))
                c.append(np.full((m, array.cols), start))
    identity = np.eye(array.rows, array.cols, dtype=np.int64) * w_one
    single_w, single_a = np.zeros_like(identity), np.zeros((m, array.rows), dtype=np.int64)
    single_w[-1, -1], single_a[-1, -1] = w_one, a_one
    for weights, activations in ((identity, _activations(rng, array, (m, array.rows))), (single_w, single_a)):
        w.append(weights)
        a.append(activations)
        c.append(_sums(rng, array, (m, array.cols)))
    sums = np.array(c, dtype=sum_dtype(array.width("ACC_W")))
    if array.unit.scaled:
        return _scaled_corners(plan, np.array(w, np.uint8), np.array(a, np.uint8))
    return _stream(plan, _one_fold(w), _one_fold(a), sums)


def _scaled_corners(plan: Plan, w: Codes, a: Codes) -> Outcome:
    """The corner tiles, each with pairs of extreme scales in turn, so that all occur, onto extreme FP32 sums."""
    array = plan.array
    extremes = extreme_scales(array.unit)
    of_w, of_a = (axis.ravel() for axis in np.meshgrid(extremes, extremes, indexing="ij"))
    tiles = SCALED_TURNS * len(w)
    w, a = np.repeat(w, SCALED_TURNS, axis=0)[:, None], np.repeat(a, SCALED_TURNS, axis=0)[:, None]
    c = np.resize(np.array(EXTREMES["fp32"], np.uint32), (tiles, plan.m, array.cols)).view(np.int32)
    scales = (
        np.broadcast_to(np.resize(of_w, tiles)[:, None, None], (tiles, 1, array.cols)),
        np.broadcast_to(np.resize(of_a, tiles)[:, None, None], (tiles, 1, plan.m)),
    )
    return _stream(plan, w, a, c, scales)


def random_tiles(plan: Plan) -> Outcome:
    """Random operands and sums, ``tiles`` tiles of m x cols x rows, back to back."""
    return _random(plan, "random_tiles", plan.tiles, 1)


def blocks(plan: Plan) -> Outcome:
    """Blocks of one product, of few and of many, under any scales, onto sums that cancel them, and small and large."""
    from hwsim.numerics import decode_table

    rng, array = plan.rng("blocks"), plan.array
    tiles, rows, cols = plan.tiles, array.rows, array.cols
    multiplier = MULTIPLIERS[array.unit.multiplier]
    share = rng.choice([2 / rows, 0.3, 1], (2, tiles, 1, 1, 1))
    w = np.where(rng.random((tiles, 1, rows, cols)) < share[0], _weights(rng, array, (tiles, 1, rows, cols)), 0)
    a = np.where(rng.random((tiles, 1, plan.m, rows)) < share[1], _activations(rng, array, (tiles, 1, plan.m, rows)), 0)
    of_w, of_a = (rng.integers(0, 256, (tiles, 1, n), dtype=np.uint8) for n in (cols, plan.m))
    values = [decode_table(fmt).astype(np.float64) for fmt in (multiplier.a_format, multiplier.b_format)]
    scale = np.nan_to_num(_scale_table(array.unit)).astype(np.float64)
    exact = (values[0][a[:, 0]] @ values[1][w[:, 0]]) * scale[of_a[:, 0]][:, :, None] * scale[of_w]
    c = sums_against(rng, exact, "fp32").astype(np.uint32).view(np.int32)
    return _stream(plan, w.astype(np.uint8), a.astype(np.uint8), c, (of_w, of_a))


def k_chain(plan: Plan) -> Outcome:
    """Sums over a K of four folds: what one fold produced enters the next through psum_in."""
    return _random(plan, "k_chain", max(1, plan.tiles // 10), K_CHAIN_FOLDS)


def gaps(plan: Plan) -> Outcome:
    """Rows with random gaps between them, and loads at random distances: every row on time, none invented."""
    rng, array = plan.rng("gaps"), plan.array
    script = ArrayScript(array)
    script.reset()
    for _ in range(8):
        script.idle(int(rng.integers(0, 3)))
        script.weights(_weights(rng, array, (array.rows, array.cols)), scale=_weight_scale(rng, array))
        for _ in range(plan.m):
            script.idle(int(rng.integers(0, 4)) if rng.random() < 0.5 else 0)
            _random_row(rng, script)
        script.drain()
    return _replay(plan, script).reaching((Point("gap between rows", 1),))


def reset(plan: Plan) -> Outcome:
    """rst at a random cycle of load, stream and drain: rows in flight vanish, weights stay, the next fold is right."""
    rng, array = plan.rng("reset"), plan.array
    script = ArrayScript(array)
    script.reset()
    drain = array.rows + array.cols - 1

    def stream(rows: int) -> None:
        for _ in range(rows):
            _random_row(rng, script)

    for phase in ("load", "stream", "drain") * 4:
        w, beside = _weights(rng, array, (array.rows, array.cols)), _weight_scale(rng, array)
        if phase == "load":
            script.weights(w, rows=int(rng.integers(1, array.rows, endpoint=True)), scale=beside)
            script.reset()
            script.weights(w, scale=beside)
        else:
            script.weights(w, scale=beside)
            stream(plan.m if phase == "drain" else int(rng.integers(1, plan.m, endpoint=True)))
            script.idle(int(rng.integers(0, drain)) if phase == "drain" else 0)
            script.reset()
        stream(plan.m)  # after a reset in stream or drain: with the weights that were there before it
        script.drain()
    reached = (Point(f"reset in {phase}", 4) for phase in ("load", "stream", "drain"))
    return _replay(plan, script).reaching(tuple(reached))


OUTPUT_STATIONARY = (output_stationary, output_stationary_reset, output_stationary_pe)
CHECKS: Mapping[str, Callable[[Plan], Outcome]] = {
    check.__name__: check
    for check in (pe_exhaustive, corner_tiles, random_tiles, blocks, k_chain, gaps, reset, *OUTPUT_STATIONARY)
}


def checks_of(unit: RtlUnit) -> Mapping[str, Callable[[Plan], Outcome]]:
    """The checks of a unit: with block scales, those of the array that has them."""
    without = (pe_exhaustive, *OUTPUT_STATIONARY) if unit.scaled else (blocks,)
    return {name: check for name, check in CHECKS.items() if check not in without}


def _random_row(rng: np.random.Generator, script: ArrayScript) -> None:
    array = script.array
    scale = int(_scale_codes(rng, array, (1,))[0]) if array.unit.scaled else 0
    script.row(_activations(rng, array, (array.rows,)), _sums(rng, array, (array.cols,)), scale)


def _weight_scale(rng: np.random.Generator, array: Array) -> Codes | None:
    return _scale_codes(rng, array, (array.cols,)) if array.unit.scaled else None


def _scale_codes(rng: np.random.Generator, array: Array, shape: tuple[int, ...]) -> Codes:
    """Most near 1, some anywhere, one of fifty extreme."""
    one = int(np.flatnonzero(_scale_table(array.unit) == 1)[0])
    near = one + rng.integers(-12, 13, shape)
    kind = rng.random(shape)
    found = np.where(kind < 0.75, near, rng.integers(0, 256, shape))
    return np.where(kind > 0.98, rng.choice(extreme_scales(array.unit), shape), found).astype(np.uint8)


def _scale_table(unit: RtlUnit) -> NDArray[np.float32]:
    from hwsim.numerics import decode_table

    return decode_table(scaled_unit(unit.name).scale_format)


def extreme_scales(unit: RtlUnit) -> Codes:
    """Codes of the least scales, of 1, of the largest, and of NaN."""
    table = _scale_table(unit)
    numbers = np.flatnonzero(np.isfinite(table))
    last = numbers[np.argmax(table[numbers])]
    nan = int(np.flatnonzero(np.isnan(table))[0])
    codes = [0, 1, 7, 8, int(np.flatnonzero(table == 1)[0]), int(last), nan]
    return np.array(sorted(set(codes)), np.uint8)


def _activations(rng: np.random.Generator, array: Array, shape: tuple[int, ...]) -> Codes:
    codes: Codes = finite_codes(array.unit)[0]
    return codes[rng.integers(0, len(codes), shape, dtype=np.uint8)]


def _weights(rng: np.random.Generator, array: Array, shape: tuple[int, ...]) -> Codes:
    codes: Codes = finite_codes(array.unit)[1]
    return codes[rng.integers(0, len(codes), shape, dtype=np.uint8)]


def _ends(array: Array) -> tuple[int, int]:
    """Least and largest sum."""
    most = 1 << (array.width("ACC_W") - 1)
    return -most, most - 1


def _extremes(fmt: str) -> tuple[list[int], int]:
    """Codes of the least and the largest value, of zero or code 0, of the sign bit alone and of -1; the code of +1."""
    values = fixed_point(fmt)[0]
    sign_bit = len(values) >> 1  # the least value, or negative zero
    minus = np.flatnonzero(values == -1)[:1].tolist()
    finite = is_finite(fmt)
    codes = {int(np.argmin(values)), int(np.argmax(values)), 0, sign_bit, *minus}
    return sorted(code for code in codes if finite[code]), int(np.flatnonzero(values == 1)[0])


def _sums(rng: np.random.Generator, array: Array, shape: tuple[int, ...]) -> Sums:
    """Half of them anywhere, half within a few hundred of an end of the accumulator, where sums wrap or saturate.

    FP32 sums: most of the size of products, some any bits, some extreme.
    """
    if array.unit.scaled:
        kind = rng.random(shape)
        tame = (rng.normal(0, 1, shape) * np.exp2(rng.integers(-8, 12, shape))).astype(np.float32).view(np.int32)
        wild = rng.integers(0, 1 << 32, shape, dtype=np.uint64).astype(np.uint32).view(np.int32)
        extreme = rng.choice(np.array(EXTREMES["fp32"], np.uint32), shape).view(np.int32)
        return np.where(kind < 0.8, tame, np.where(kind < 0.95, wild, extreme)).astype(np.int32)
    low, high = _ends(array)
    anywhere = rng.integers(low, high, shape, dtype=np.int64, endpoint=True)
    offset = rng.integers(0, 512, shape)
    edge = np.where(rng.random(shape) < 0.5, high - offset, low + offset)
    return np.where(rng.random(shape) < 0.5, anywhere, edge).astype(sum_dtype(array.width("ACC_W")))


def _one_fold(tiles: list[NDArray[Any]]) -> Codes:
    return np.array(tiles, dtype=np.uint8)[:, None]


def _random(plan: Plan, check: str, chains: int, folds: int) -> Outcome:
    rng, array = plan.rng(check), plan.array
    w = _weights(rng, array, (chains, folds, array.rows, array.cols))
    a = _activations(rng, array, (chains, folds, plan.m, array.rows))
    c = _sums(rng, array, (chains, plan.m, array.cols))
    if not array.unit.scaled:
        return _stream(plan, w, a, c)
    shapes = ((chains, folds, array.cols), (chains, folds, plan.m))
    of_w, of_a = (_scale_codes(rng, array, shape) for shape in shapes)
    return _stream(plan, w, a, c, (of_w, of_a))


def _stream(plan: Plan, w: Codes, a: Codes, c: Sums, scales: Scales | None = None) -> Outcome:
    """Stream a job and compare: every sum of each chain's last fold, and the time of every fold."""
    array = plan.array
    chains, folds, m, rows = a.shape
    a_long = a.transpose(0, 2, 1, 3).reshape(chains, m, folds * rows)
    w_long = w.reshape(chains, folds * rows, array.cols)
    beside = None if scales is None else (scales[0].transpose(0, 2, 1), scales[1].transpose(0, 2, 1))
    due = fold_cycles(array.rows, array.cols, m)
    limit = 2 * due * chains * folds + 1000
    with ThreadPoolExecutor(1) as other:  # compiled code runs while Python is busy with the golden model
        simulated = other.submit(run_stream, array, w, a, c, scales, limit_cycles=limit)
        expected = golden(array.unit, a_long, w_long, c, beside)
        got = simulated.result()
    wrong = (got.sums != expected) | ~got.good[..., None]
    took = got.ended - got.began
    missing_folds = chains * folds - took.size
    late = int((took != due).sum()) + missing_folds + got.stray

    first, chain = None, 0
    came = np.argwhere(wrong & got.good[..., None])
    for index in (came if came.size else np.argwhere(wrong))[:1]:
        chain, row, col = (int(part) for part in index)
        arrived = chain * m + row < got.came
        value = int(got.sums[chain, row, col]) if got.good[chain, row] else UNKNOWN if arrived else NOTHING
        operands = (a_long[chain, row], w_long[chain, :, col], int(c[chain, row, col]))
        of_blocks = None if beside is None else (beside[0][chain, col], beside[1][chain, row])
        place = f"tile {chain}, row {row}, column {col}"
        first = difference(array.unit, place, *operands, int(expected[chain, row, col]), value, of_blocks)
    if not got.done:
        told = f"{got.came} of {chains * m} result rows came within {limit} cycles"
        first = f"{told}; {first}" if first else told
    elif late and first is None:
        first = f"{got.stray} result rows came when none was due"
        for fold in np.flatnonzero(took != due)[:1]:
            chain = int(fold) // folds
            first = f"fold {fold}: expected {due} cycles, got {took[fold]}"

    def record(wave: Path) -> None:
        """The failing tile alone; where it passes alone, everything up to it."""

        def run(part: slice) -> StreamRun:
            of_blocks = None if scales is None else (scales[0][part], scales[1][part])
            return run_stream(array, w[part], a[part], c[part], of_blocks, limit_cycles=limit, wave=wave)

        alone = run(slice(chain, chain + 1))
        if alone.done and alone.stray == 0 and alone.good.all() and bool((alone.sums[0] == expected[chain]).all()):
            run(slice(chain + 1))

    outcome = Outcome(
        compared=expected.size,
        mismatches=int(wrong.sum()),
        cycles_compared=chains * folds,
        cycle_mismatches=late,
        simulated_cycles=got.cycles,
        first=first,
    )
    return outcome.recorded_by(record)


def _replay(plan: Plan, script: ArrayScript) -> Outcome:
    array = plan.array
    inputs, expected = script.inputs(), script.expected()

    def run(cycles: int, wave: Path | None = None) -> Any:
        return run_replay(
            array.array_design(),
            {name: values[:cycles] for name, values in inputs.items()},
            lanes=array.cols,
            bits=array.width("ACC_W"),
            sim=array.sim,
            seed=array.seed,
            wave=wave,
        )

    got = run(script.cycle)
    outcome, when = compare_rows(array.unit, expected, got.cycles, got.lanes, got.known, script.cycle)
    return outcome.recorded_by(lambda wave: run(min(when + 3, script.cycle), wave))
