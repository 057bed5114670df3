"""Result tiles of a matrix product on a GPU: which compete, what each costs, and the one that a library would take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, inf
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir.workload import MatrixWork
from hwsim.perf.gpu_kernels import OVERLAP
from hwsim.perf.gpu_traced import (
    ALIGNED_BYTES,
    CLEAR_S,
    COLUMN_STEP,
    EVEN_LAST,
    GROUP_ROWS,
    SMALL_CLUSTER,
    SMALL_TILE,
    STEP_BYTES,
    STEP_CYCLES,
)
from hwsim.perf.machine import output_bytes, weight_bits
from hwsim.perf.sizes import bits_per_element, code_bits
from hwsim.perf.systolic import ceil_div

if TYPE_CHECKING:
    from hwsim.perf.gpu_matrix import Rates


@lru_cache(maxsize=64)
def tiles(largest: int) -> tuple[tuple[int, int], ...]:
    """(m, n) of a warp group's result tiles of at most ``largest`` results, the largest first."""
    found = {
        side
        for rows in range(GROUP_ROWS, 513, GROUP_ROWS)
        for columns in range(COLUMN_STEP, 257, COLUMN_STEP)
        if rows * columns <= largest and (rows == GROUP_ROWS or columns >= GROUP_ROWS)
        for side in ((rows, columns), (columns, rows))
    }
    return ordered(found)


def ordered(found: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Each once, the largest first."""
    return tuple(sorted(set(found), key=lambda side: (-side[0] * side[1], -side[0])))


def _candidates(work: MatrixWork, rates: Rates) -> tuple[tuple[int, int], ...]:
    """Tiles that compete: the one whose declared conditions hold, both ways round, or all that have none."""
    for choice in rates.choices:
        waves = min(blocks_of(work, side) for side in choice.sides) / rates.sms
        fits = (choice.least_waves or 0) <= waves <= (choice.most_waves or inf)
        fits = fits and (choice.least_k or 0) <= work.k <= (choice.most_k or inf)
        if fits and not choice.free:
            return ordered(choice.sides)
    return rates.tiles


def blocks_of(work: MatrixWork, tile: tuple[int, int]) -> int:
    """Blocks of a product in tiles of (m, n), of all its groups."""
    return ceil_div(work.m, tile[0]) * ceil_div(work.n, tile[1]) * work.groups


@dataclass(frozen=True, slots=True)
class Tiling:
    """A tile's blocks; cycles of the busiest SM; bytes through the L2, and from shared memory."""

    tile: tuple[int, int]
    blocks: int
    cycles: float
    shared: float
    scratchpad: float


def fastest(work: MatrixWork, rates: Rates, memory_s: float) -> Tiling:
    """The tile that takes the least time at the highest clock beside ``memory_s``; of equals the one that
    moves the fewest bytes."""
    tiles = np.array(_candidates(work, rates), np.float64)
    blocks = np.ceil(work.m / tiles[:, 0]) * np.ceil(work.n / tiles[:, 1]) * work.groups
    sides = np.minimum(tiles, (work.m, work.n)) * np.array(element_bytes(work))  # nothing is fetched beyond the edges
    step = tiles[:, 0] * tiles[:, 1] / rates.macs_per_cycle
    if rates.operand_bytes_per_cycle is not None:
        step += sides.sum(axis=1) / rates.operand_bytes_per_cycle
    fetched = _fetched(work, rates, tiles, sides)
    port = fetched * _lines(work, rates) / rates.port_bytes_per_cycle
    cycles = _cycles(work, rates, tiles, blocks / rates.sms, _side_by_side(step, port))
    shared = blocks * fetched * work.k + output_bytes(work)
    seconds = _side_by_side(cycles / rates.clock_hz, shared / rates.shared_bytes_per_s)
    seconds = _side_by_side(seconds, np.full_like(seconds, memory_s)) + CLEAR_S * cleared(blocks, rates)
    equals = np.flatnonzero(seconds <= seconds.min() * (1 + 1e-9))
    scratchpad = scratchpad_bytes(work, tiles[equals], blocks[equals])
    chosen = int(np.argmin(shared[equals] + scratchpad))
    at = equals[chosen]
    tile = int(tiles[at, 0]), int(tiles[at, 1])
    return Tiling(tile, int(blocks[at]), float(cycles[at]), float(shared[at]), float(scratchpad[chosen]))


def _cycles(
    work: MatrixWork, rates: Rates, tiles: NDArray[np.float64], waves: NDArray[np.float64], each: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of the busiest SM, where a block takes ``each`` cycles for an element of k; other blocks of the SM hide what its
    steps take beside that."""
    if not rates.choices:
        least = STEP_CYCLES if rates.multicast > 1 else 0
        return np.ceil(waves) * np.maximum(each * work.k, least * steps_of(work))
    known = {side: choice for choice in rates.choices for side in choice.sides}
    mine = [known.get((int(rows), int(columns))) for rows, columns in tiles]  # none where all have conditions
    even = np.array([bool(choice and choice.even_k and work.k >= choice.even_k) for choice in mine])
    beside = np.array([choice.step_cycles or 0 if choice else 0 for choice in mine], np.float64)
    together = np.array([choice.together or 1 if choice else 1 for choice in mine], np.float64)
    full = np.where(even & (waves > 1) & (waves < 1 + EVEN_LAST), waves, np.ceil(waves))
    alone = np.maximum(full / together, 1) * (each * work.k + beside * steps_of(work))
    return np.asarray(np.maximum(full * each * work.k, alone))


def scratchpad_bytes(work: MatrixWork, tiles: NDArray[np.float64], blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bytes from shared memory to the tensor cores: of whole tiles, also where the product does not fill them. An
    instruction takes a group of rows and as many columns as the tile's other side has, the longer one if both may."""
    fitting = np.where(tiles[:, ::-1] % GROUP_ROWS == 0, tiles, 0).max(axis=1)
    columns = np.where(fitting > 0, fitting, tiles.max(axis=1))
    padded = blocks * tiles.prod(axis=1) * work.k
    return np.asarray(padded * sum(element_bytes(work)) / 2 * (1 / GROUP_ROWS + 1 / columns))


def _fetched(
    work: MatrixWork, rates: Rates, tiles: NDArray[np.float64], sides: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Bytes for a step along k that a block fetches itself. The blocks of a cluster lie along one side of the result
    and fetch the other side's operand once; where there are fewer blocks along it, fewer share."""
    small = tiles[:, 0] * tiles[:, 1] <= (SMALL_TILE if rates.multicast > 1 and not rates.choices else 0)
    cluster = np.where(small, SMALL_CLUSTER, rates.multicast)
    along_m, along_n = np.ceil(work.m / tiles[:, 0]), np.ceil(work.n / tiles[:, 1])
    across = sides[:, 0] / np.minimum(cluster, along_n) + sides[:, 1]
    down = sides[:, 0] + sides[:, 1] / np.minimum(cluster, along_m)
    return np.minimum(across, down)


def _side_by_side(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """:func:`side_by_side`, element by element."""
    longest = np.maximum(one, other)
    return np.asarray(longest * (1 + (np.minimum(one, other) / longest) ** OVERLAP) ** (1 / OVERLAP))


def cleared(blocks: Any, rates: Rates) -> Any:
    """Whether so many tiles are handed out by a counter."""
    return (blocks > 2 * rates.sms) & (rates.multicast > 1)


def _lines(work: MatrixWork, rates: Rates) -> float:
    """Cache lines that come for one line's worth of an operand: rows that do not start at a line straddle two.
    Measurements show it of warp-group kernels with tiles of every size only."""
    row = int(work.k * code_bits(work.input_format) / 8)
    if rates.multicast == 1 or rates.choices or alignment(work) < ALIGNED_BYTES:
        return 1.0
    return 2 - gcd(STEP_BYTES, row) / STEP_BYTES


def element_bytes(work: MatrixWork) -> tuple[float, float]:
    """Of an activation and of a weight, as they are stored."""
    return bits_per_element(work.input_format) / 8, weight_bits(work) / 8


def alignment(work: MatrixWork) -> int:
    """Bytes at which every row of the operands and of the result starts, up to 16; a single row has no next one."""
    if work.m == 1 or work.n == 1:
        return ALIGNED_BYTES
    rows = (work.k, work.input_format), (work.k, work.weight_format), (work.n, work.output_format)
    return gcd(ALIGNED_BYTES, *(max(1, int(size * code_bits(fmt) / 8)) for size, fmt in rows))


def steps_of(work: MatrixWork) -> float:
    """Steps of ``STEP_BYTES`` along k."""
    return work.k * bits_per_element(work.input_format) / 8 / STEP_BYTES
