"""``rtl/mac_tile_axis.v``, under cocotb or compiled: gaps, stalls, reloads back to back, resets; values and cycles."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ToolError
from hwsim.verify.catalog import RTL_UNITS, RtlUnit, array_parameters, pe_parameters
from hwsim.verify.checks import extreme_scales
from hwsim.verify.compare import UNKNOWN, Outcome, as_float, fold_cycles, golden, operands
from hwsim.verify.drive import pack_lanes
from hwsim.verify.multipliers import MULTIPLIERS, fixed_point
from hwsim.verify.result import Point
from hwsim.verify.script import finite_codes
from hwsim.verify.simulator import SIMULATORS, Design, simulate

QUEUED = 1
"""Cycles from the array's last row to the last result beat: the queue's."""
DEPTH = 8
MALFORMED = (
    *("a weight row too few", "a weight row too many", "more rows than the memory has"),
    *("a row too few in a later fold", "a row too many in a later fold"),
)
"""Packets that must raise ``error``."""


@dataclass(frozen=True)
class Engine:
    """One parametrisation of the tile engine: unit, array, bits of a sum (few, so that ends are reached)."""

    name: str
    unit: str
    rows: int = 4
    cols: int = 4
    acc_bits: int = 32


ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine("mac_tile_axis", "hwsim.rtl.int4_sat", acc_bits=10),
        Engine("mac_tile_axis.small", "hwsim.rtl.int4_sat", rows=3, cols=2, acc_bits=10),
        Engine("mac_tile_axis.int4_sm", "hwsim.rtl.int4_sm", rows=3, cols=2),
        Engine("mac_tile_axis.nvfp4", "hwsim.rtl.nvfp4", rows=16, cols=2),
    )
}


@dataclass(frozen=True)
class Tile:
    """One tile: codes w [folds, rows, cols] and a [folds, m, rows]; scales of w [folds, cols] and of a [folds, m]."""

    w: NDArray[np.uint8]
    a: NDArray[np.uint8]
    scales: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None


@dataclass(frozen=True)
class EnginePlan:
    """What to drive: the engine, its sources, how many tiles a check."""

    engine: Engine
    sources: tuple[Path, ...]
    sim: str
    seed: int
    tiles: int

    @property
    def unit(self) -> str:
        """Name of the array's unit."""
        return self.engine.unit

    @property
    def entry(self) -> RtlUnit:
        """Entry of the array's unit."""
        return RTL_UNITS[self.engine.unit]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.engine.rows, self.engine.cols

    def design(self) -> Design:
        """What is built."""
        own = array_parameters(self.entry, *self.shape)
        scaled = {"SCALED": 1} if self.entry.scaled else {"ACC_W": self.engine.acc_bits}
        return Design.of("mac_tile_axis", self.sources, {**own, **scaled, "DEPTH": DEPTH})


def engine_checks(plan: EnginePlan) -> Mapping[str, Callable[[], Outcome]]:
    """Check -> its run."""
    return {name: partial(_run, plan, name) for name in ("operands", "packets", "reloads", "resets", "malformed")}


def _run(plan: EnginePlan, check: str) -> Outcome:
    rng = np.random.default_rng([plan.seed, *check.encode()])
    count = max(4, min(plan.tiles, 40))
    acts: list[dict[str, Any]] = []
    driven: list[list[Tile]] = []
    expected: list[list[NDArray[np.int64]]] = []
    for at, (tiles, gaps, reset) in enumerate(_acts(plan, check, count, rng)):
        packets = [_packets(plan, tile) for tile in tiles]
        if check == "malformed":
            _spoil(packets[0], MALFORMED[at % len(MALFORMED)])
        sums = [] if check == "malformed" else [_golden(plan, tile) for tile in tiles]
        driven.append(tiles)
        expected.append(sums)
        acts.append(
            {
                "packets": packets,
                "sums": [[[int(v) for v in row] for row in tile] for tile in sums],
                "gaps": gaps,
                # so slow a sink that whatever is queued before it is full
                "slow": gaps and at % 2 == 1,
                "reset_after": reset,
            }
        )
    bits = plan.engine.acc_bits
    job = {
        "acts": acts,
        "lanes": plan.engine.cols,
        "bits": bits,
        "limit": 4000 + 40 * sum(_cycles(plan, tile) for tiles in driven for tile in tiles),
        "points": _named(plan),
    }

    def simulated(wave: Path | None = None) -> Any:
        if SIMULATORS[plan.sim].compiled:
            from hwsim.verify.engine_compiled import run_acts

            return run_acts(plan.design(), job, plan.seed, wave)
        with tempfile.TemporaryDirectory(prefix="hwsim-") as temporary:
            folder = Path(temporary)
            (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
            simulate(plan.sim, plan.design(), "axis", folder, seed=plan.seed, wave=wave)
            return json.loads((folder / "result.json").read_text(encoding="utf-8"))

    for package in ("cocotbext.axi", "cocotb_coverage"):
        if not SIMULATORS[plan.sim].compiled and _lacks(package):
            raise ToolError(f"the AXI-Stream bench needs {package}", hint="pip install 'hwsim[rtl]'")
    try:
        got = simulated()
    except ToolError as error:
        if "non-0/1" not in str(error):  # what the AXI models say of a handshake or a beat that is neither
            raise

        def until_then(wave: Path) -> None:
            with suppress(ToolError):
                simulated(wave)

        told = f"{check}: a handshake or a result beat: expected bits of 0 or 1, got {UNKNOWN}"
        return Outcome(1, 1, 0, 0, 0, told).recorded_by(until_then)
    compared = mismatches = timed = late = 0
    first = None
    for act, (tiles, sums, seen) in enumerate(zip(driven, expected, got["acts"], strict=True)):
        want = [(row, at == len(tile) - 1, index, at) for index, tile in enumerate(sums) for at, row in enumerate(tile)]
        cut = acts[act]["reset_after"] is not None
        compared += plan.engine.cols * (min(len(seen["beats"]), len(want)) if cut else len(want))
        if len(seen["beats"]) != len(want) and not cut:
            mismatches += plan.engine.cols * abs(len(want) - len(seen["beats"]))
            first = first or f"{check} {act}: expected {len(want)} result beats, got {len(seen['beats'])}"
        wrong_error = bool(seen["error"]) != (check == "malformed")
        compared += 1
        if wrong_error:
            mismatches += 1
            why = f", {MALFORMED[act % len(MALFORMED)]}" if check == "malformed" else ""
            ends = ("low", "high") if seen["error"] else ("high", "low")
            first = first or f"{check} {act}{why}: expected error {ends[0]}, got error {ends[1]}"
        for beat, (row, last, index, at) in zip(seen["beats"], want, strict=False):
            wrong = [lane for lane, (x, y) in enumerate(zip(beat["row"], row.tolist(), strict=True)) if x != y]
            mismatches += len(wrong) + (beat["last"] != last)
            if wrong and first is None:
                first = (
                    f"{check} {act}, {_told(plan, tiles[index], index, at, wrong[0], int(row[wrong[0]]), beat['row'])}"
                )
            elif beat["last"] != last and first is None:
                first = f"{check} {act}, tile {index}, row {at}: expected tlast {int(last)}, got {int(beat['last'])}"
        if not acts[act]["gaps"] and not cut:
            timed += 1
            due = sum(_cycles(plan, tile) for tile in tiles) + QUEUED
            late += int(seen["cycles"] != due)
            if seen["cycles"] != due and first is None:
                first = f"{check} {act}: expected {due} cycles, got {seen['cycles']}"
    points = tuple(Point(p["name"], p["hits"], p["of"]) for p in got["points"])
    return Outcome(compared, mismatches, timed, late, got["cycles"], first, simulated, points)


def _acts(
    plan: EnginePlan, check: str, count: int, rng: np.random.Generator
) -> list[tuple[list[Tile], bool, int | None]]:
    """(tiles, gaps on both sides, cycles until a reset or None) of each act of a check."""
    if check == "operands":
        return [(_every_pair(plan, rng), False, None)]
    if check == "packets":
        lengths = [1 + at % DEPTH for at in range(count)]
        tiles = [_tile(plan, rng, m, 1 + at % 3) for at, m in enumerate(lengths)]
        return [(tiles[::2], True, None), (tiles[1::2], True, None)]
    if check == "reloads":
        return [
            ([_tile(plan, rng, int(rng.integers(1, DEPTH, endpoint=True)), 1 + at % 4)], False, None)
            for at in range(count)
        ]
    if check == "malformed":
        tiles = [_tile(plan, rng, int(rng.integers(2, DEPTH, endpoint=True)), 2) for _ in range(count)]
        return [([tile], bool(rng.random() < 0.5), 40 + 6 * (_cycles(plan, tile) + DEPTH)) for tile in tiles]
    acts: list[tuple[list[Tile], bool, int | None]] = []
    for at in range(count):
        tile = _tile(plan, rng, DEPTH if at < 2 else int(rng.integers(1, DEPTH, endpoint=True)), 2)
        # the first before anything has moved, the second while results leave, the others anywhere
        when = (0, _cycles(plan, tile))[at] if at < 2 else int(rng.integers(1, _cycles(plan, tile)))
        acts.append(([tile], at >= 2 and bool(rng.random() < 0.5), when))
        acts.append(([_tile(plan, rng, int(rng.integers(1, DEPTH, endpoint=True)), 1)], False, None))
    return acts


def _tile(plan: EnginePlan, rng: np.random.Generator, m: int, folds: int) -> Tile:
    rows, cols = plan.shape
    a_codes, w_codes = finite_codes(plan.entry)
    w = w_codes[rng.integers(0, len(w_codes), (folds, rows, cols))]
    a = a_codes[rng.integers(0, len(a_codes), (folds, m, rows))]
    if not plan.entry.scaled:
        return Tile(w, a, None)
    extreme = extreme_scales(plan.entry)
    scales = []
    for shape in ((folds, cols), (folds, m)):
        near = 0x38 + rng.integers(-10, 11, shape)
        scales.append(np.where(rng.random(shape) < 0.1, rng.choice(extreme, shape), near).astype(np.uint8))
    return Tile(w, a, (scales[0], scales[1]))


def _every_pair(plan: EnginePlan, rng: np.random.Generator) -> list[Tile]:
    """Tiles in which every pair of codes meets, extreme products pile up to both ends, extreme scales occur."""
    rows, cols = plan.shape
    a_codes, w_codes = finite_codes(plan.entry)
    tiles: list[Tile] = []
    for start in range(0, len(w_codes), cols):
        column = np.resize(np.roll(w_codes, -start), cols)
        for at in range(0, len(a_codes), DEPTH):
            part = a_codes[at : at + DEPTH]
            w = np.broadcast_to(column, (1, rows, cols))
            a = np.broadcast_to(part[None, :, None], (1, len(part), rows))
            tiles.append(_with_scales(plan, np.ascontiguousarray(w), np.ascontiguousarray(a), len(tiles)))
    multiplier = MULTIPLIERS[plan.entry.multiplier]
    a_values, w_values = fixed_point(multiplier.a_format)[0], fixed_point(multiplier.b_format)[0]
    folds = 1 + (1 << 10) // (rows * int(np.abs(a_values).max() * np.abs(w_values).max()))
    for of_a in (int(np.argmin(a_values)), int(np.argmax(a_values))):
        w = np.full((folds, rows, cols), int(np.argmin(w_values)), np.uint8)
        tiles.append(_with_scales(plan, w, np.full((folds, 2, rows), of_a, np.uint8), len(tiles)))
    return tiles


def _with_scales(plan: EnginePlan, w: NDArray[np.uint8], a: NDArray[np.uint8], turn: int) -> Tile:
    if not plan.entry.scaled:
        return Tile(w, a, None)
    extreme = extreme_scales(plan.entry)
    of_w = np.full((len(w), w.shape[2]), extreme[turn % len(extreme)], np.uint8)
    of_a = np.full(a.shape[:2], extreme[turn // len(extreme) % len(extreme)], np.uint8)
    return Tile(w, a, (of_w, of_a))


def _golden(plan: EnginePlan, tile: Tile) -> NDArray[np.int64]:
    """Sums [m, cols] of a tile, from zero; FP32 as bit patterns."""
    folds, m, rows = tile.a.shape
    a = tile.a.transpose(1, 0, 2).reshape(m, folds * rows)
    w = tile.w.reshape(folds * rows, -1)
    zero = np.zeros((m, w.shape[1]), np.int32)
    if tile.scales is not None:
        beside = (tile.scales[0].T, tile.scales[1].T)
        found = golden(plan.entry, a[None], w[None], zero[None], (beside[0][None], beside[1][None]))[0]
        patterns: NDArray[np.int64] = found.astype(np.int64) & 0xFFFFFFFF
        return patterns
    if plan.engine.acc_bits == plan.entry.acc_bits:
        same: NDArray[np.int64] = golden(plan.entry, a, w, zero).astype(np.int64)
        return same
    # narrower than the unit: the same chain, with ends of its own
    multiplier = MULTIPLIERS[plan.entry.multiplier]
    a_values, w_values = fixed_point(multiplier.a_format)[0][a], fixed_point(multiplier.b_format)[0][w]
    most = (1 << (plan.engine.acc_bits - 1)) - 1
    sums = zero.astype(np.int64)
    for k in range(folds * rows):
        sums = np.clip(sums + a_values[:, k, None] * w_values[None, k], ~most, most)
    total: NDArray[np.int64] = sums
    return total


def _packets(plan: EnginePlan, tile: Tile) -> list[dict[str, Any]]:
    """The folds of a tile as beats: weight beats (last row first), activation beats, tuser; codes for coverage."""
    bits = pe_parameters(plan.entry)
    folds = len(tile.w)
    found = []
    for fold in range(folds):
        w_rows, a_rows = tile.w[fold, ::-1], tile.a[fold]
        w = [int.from_bytes(row.tobytes(), "little") for row in pack_lanes(w_rows, int(bits["W_W"]))]
        a = [int.from_bytes(row.tobytes(), "little") for row in pack_lanes(a_rows, int(bits["A_W"]))]
        if tile.scales is not None:
            beside = int.from_bytes(tile.scales[0][fold].tobytes(), "little") << (plan.engine.cols * int(bits["W_W"]))
            w = [beat | beside for beat in w]
            shift = plan.engine.rows * int(bits["A_W"])
            a = [beat | int(scale) << shift for beat, scale in zip(a, tile.scales[1][fold], strict=True)]
        found.append(
            {
                "w": w,
                "a": a,
                "user": int(fold == 0) | int(fold == folds - 1) << 1,
                "w_codes": tile.w[fold].tolist(),
                "a_codes": a_rows.tolist(),
                "scales": [] if tile.scales is None else [s[fold].tolist() for s in tile.scales],
            }
        )
    return found


def _spoil(folds: list[dict[str, Any]], kind: str) -> None:
    """Make the packets of a tile of two folds malformed in one of the ways that ``error`` tells."""
    first, second = folds
    if kind == "a weight row too few":
        first["w"] = first["w"][1:]
    elif kind == "a weight row too many":
        first["w"] = [*first["w"], first["w"][-1]]
    elif kind == "more rows than the memory has":
        del folds[1:]  # one fold is the whole tile, so that nothing else is wrong with it
        first["user"], first["a"] = 3, (first["a"] * (DEPTH + 1))[: DEPTH + 1]
    else:  # no result leaves: there is nothing to add to in a row that the first fold did not have
        second["user"] = 0
        second["a"] = second["a"][1:] if kind == "a row too few in a later fold" else [*second["a"], second["a"][-1]]


def _named(plan: EnginePlan) -> dict[str, Any]:
    """What the bench's points are made of."""
    multiplier = MULTIPLIERS[plan.entry.multiplier]
    a_codes, w_codes = finite_codes(plan.entry)
    values = fixed_point(multiplier.a_format)[0], fixed_point(multiplier.b_format)[0]
    most = (1 << (plan.engine.acc_bits - 1)) - 1
    return {
        "a": a_codes.tolist(),
        "w": w_codes.tolist(),
        "least": [int(np.argmin(v)) for v in values],
        "zeros": np.flatnonzero(values[0] == 0).tolist(),
        "lengths": list(range(1, DEPTH + 1)),
        "ends": [~most, most] if plan.entry.saturate else [],
        "nan_scale": int(extreme_scales(plan.entry)[-1]) if plan.entry.scaled else None,
    }


def _cycles(plan: EnginePlan, tile: Tile) -> int:
    folds, m, _ = tile.a.shape
    return int(folds) * fold_cycles(*plan.shape, m)


def _told(plan: EnginePlan, tile: Tile, index: int, at: int, lane: int, want: int, row: list[int]) -> str:
    a, w = tile.a[:, at].ravel(), tile.w.reshape(-1, plan.engine.cols)[:, lane]
    scales = None if tile.scales is None else (tile.scales[0][:, lane], tile.scales[1][:, at])
    if tile.scales is not None:
        expected, got = as_float(want), as_float(row[lane])
    else:
        expected, got = str(want), str(row[lane])
    place = f"tile {index}, row {at}, column {lane}"
    return f"{place}: {operands(plan.entry, a, w, 0, scales)}: expected {expected}, got {got}"


def _lacks(package: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(package) is None
    except ModuleNotFoundError:  # its parent is missing
        return True
