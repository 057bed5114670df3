"""Matrix products on a GPU: the tile that a library would take, and the kernel it makes.

Three kinds of kernel. Warp-group kernels (Hopper's wgmma) feed tensor cores straight from shared memory, in clusters
that fetch a common operand once; libraries offer result tiles in fine steps, or the few that a precision declares. Warp
kernels (mma.sync) copy operands to registers first, come in few tiles, and store results when the arithmetic is over.
Skinny products with a long k are cut along k, and a second kernel adds the parts. Dequantizing kernels (4-bit weights
under 16-bit activations) give every 8 columns a block of their own, which widens its weights and reads all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd, inf
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import TargetError
from hwsim.ir.workload import MatrixWork
from hwsim.perf.energy import ActionCounts, EnergyTable
from hwsim.perf.gpu_kernels import OVERLAP, Kernel
from hwsim.perf.gpu_traced import (
    ALIGNED_BYTES,
    CLEAR_S,
    COLUMN_STEP,
    DEPTHWISE_OPERATIONS,
    FRAGMENT_COLUMNS,
    FRAGMENT_ROWS,
    GROUP_ROWS,
    LEAST_SPLIT,
    SHORT_OPERATIONS,
    SMALL_CLUSTER,
    SMALL_TILE,
    SPLIT_STEPS,
    STEP_BYTES,
    STEP_CYCLES,
    UNALIGNED_LOADS,
)
from hwsim.perf.gpu_unaligned import short_copies
from hwsim.perf.machine import Placement, input_bytes, output_bytes, weight_bits, weight_bytes
from hwsim.perf.sizes import bits_per_element, code_bits
from hwsim.perf.systolic import ceil_div

if TYPE_CHECKING:
    from hwsim.target import GpuMachine, Precision, Quantity, Target, TileChoice


def share(quantity: Quantity | None) -> float:
    """A share of a rate; all of it where a target does not say."""
    return quantity.value if quantity else 1.0


@dataclass(frozen=True, slots=True)
class Rates:
    """What a product needs to know of the chip at one precision; units in the names, rates per SM where they say so."""

    sms: int
    lanes: int
    clock_hz: float
    launch_s: float
    macs_per_cycle: float
    sparse: int
    store_share: float
    multicast: int
    operand_bytes_per_cycle: float | None
    tiles: tuple[tuple[int, int], ...]
    choices: tuple[TileChoice, ...]
    reduce_launch_s: float
    shared_bytes_per_s: float
    port_bytes_per_cycle: float
    load_bytes_per_s: float
    store_bytes_per_s: float
    dequantized_per_cycle: float | None
    fragment_bytes_per_cycle: float
    fragment_cache_bytes: int
    fetched_per_byte: float
    operations_per_weight: float

    @classmethod
    def of(cls, target: Target, spec: GpuMachine, precision: Precision) -> Rates:
        """Read a target. Raises TargetError where it lacks the tensor rate."""
        if precision.macs_per_cycle is None:
            raise TargetError(f"{target.name}: a gpu needs macs_per_cycle in its precision")
        widen, choices = spec.dequantize, precision.tiles or ()
        return cls(
            sms=spec.sms.value,
            lanes=target.vector.operations_per_cycle.value,
            clock_hz=spec.clock_hz.value,
            launch_s=(precision.launch_s or spec.launch_s).value,
            macs_per_cycle=precision.macs_per_cycle.value * share(spec.matrix_share),
            sparse=precision.sparse_2to4.rate.value if precision.sparse_2to4 else 1,
            store_share=share(precision.store_share),
            multicast=precision.multicast.value if precision.multicast else 1,
            operand_bytes_per_cycle=precision.operand_bytes_per_cycle.value
            if precision.operand_bytes_per_cycle
            else None,
            tiles=_ordered(side for choice in choices if choice.free for side in (choice.sides, choice.sides[::-1]))
            or tiles(spec.tile_m.value * spec.tile_n.value),
            choices=choices,
            reduce_launch_s=(spec.vector_launch_s or spec.launch_s).value,
            shared_bytes_per_s=spec.shared.bytes_per_s.value,
            port_bytes_per_cycle=spec.port_bytes_per_cycle.value if spec.port_bytes_per_cycle else inf,
            load_bytes_per_s=spec.dram.bytes_per_s.value * share(precision.dram_load_share or spec.dram_matrix_share),
            store_bytes_per_s=spec.dram.bytes_per_s.value * share(spec.dram_matrix_share),
            dequantized_per_cycle=widen.weights_per_cycle.value if widen else None,
            fragment_bytes_per_cycle=widen.fragment_bytes_per_cycle.value if widen else 1.0,
            fragment_cache_bytes=widen.cache_bytes.value if widen else 0,
            fetched_per_byte=widen.fetched_per_byte.value if widen else 1.0,
            operations_per_weight=widen.operations_per_weight.value if widen else 0.0,
        )


def product(work: MatrixWork, place: Placement, rates: Rates, table: EnergyTable) -> Iterator[Kernel]:
    """The kernels of one product; groups run side by side. 2:4 weights reach the tensor cores as they are stored."""
    if work.sparse:
        rates = replace(rates, macs_per_cycle=rates.macs_per_cycle * rates.sparse)
    if rates.dequantized_per_cycle and work.weights_static and _widens(work):
        yield _dequantizing(work, place, rates, table, rates.dequantized_per_cycle)
    elif work.op == "Conv" and work.groups > 1 and work.n == 1:
        yield _depthwise(work, place, rates, table)
    else:
        yield from _tiled(work, place, rates, table)


def _widens(work: MatrixWork) -> bool:
    return bits_per_element(work.weight_format) < 8 and bits_per_element(work.input_format) == 16


def dram_bytes(work: MatrixWork, place: Placement) -> tuple[int, int]:
    """Bytes read and written."""
    second_stays = place.input_resident and not work.weights_static
    read = (0 if place.input_resident else input_bytes(work)) + (0 if second_stays else weight_bytes(work))
    return read, 0 if place.output_resident else output_bytes(work)


@lru_cache(maxsize=64)
def tiles(largest: int) -> tuple[tuple[int, int], ...]:
    """(m, n) of a warp group's result tiles of at most ``largest`` results, the largest first."""
    found = {
        side
        for rows in range(GROUP_ROWS, 513, GROUP_ROWS)
        for columns in range(COLUMN_STEP, 257, COLUMN_STEP)
        if rows * columns <= largest
        for side in ((rows, columns), (columns, rows))
    }
    return _ordered(found)


def _ordered(found: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(set(found), key=lambda side: (-side[0] * side[1], -side[0])))


def _candidates(work: MatrixWork, rates: Rates) -> tuple[tuple[int, int], ...]:
    """Tiles that compete: the one whose declared conditions hold, both ways round, or all that have none."""
    for choice in rates.choices:
        sides = choice.sides, choice.sides[::-1]
        waves = min(_blocks(work, side) for side in sides) / rates.sms
        fits = (choice.least_waves or 0) <= waves <= (choice.most_waves or inf)
        fits = fits and (choice.least_k or 0) <= work.k <= (choice.most_k or inf)
        if fits and not choice.free:
            return _ordered(sides)
    return rates.tiles


def _blocks(work: MatrixWork, tile: tuple[int, int]) -> int:
    return ceil_div(work.m, tile[0]) * ceil_div(work.n, tile[1]) * work.groups


@dataclass(frozen=True, slots=True)
class _Tiling:
    """A tile's blocks; cycles of the busiest SM; bytes through the L2, and from shared memory."""

    tile: tuple[int, int]
    blocks: int
    cycles: float
    shared: float
    scratchpad: float


def _fastest(work: MatrixWork, rates: Rates, memory_s: float) -> _Tiling:
    """The tile that takes the least time at the highest clock beside ``memory_s``; of equals the one that
    moves the fewest bytes."""
    tiles = np.array(_candidates(work, rates), np.float64)
    blocks = np.ceil(work.m / tiles[:, 0]) * np.ceil(work.n / tiles[:, 1]) * work.groups
    sides = np.minimum(tiles, (work.m, work.n)) * np.array(_element_bytes(work))  # nothing is fetched beyond the edges
    step = tiles[:, 0] * tiles[:, 1] / rates.macs_per_cycle
    if rates.operand_bytes_per_cycle is not None:
        step += sides.sum(axis=1) / rates.operand_bytes_per_cycle
    fetched = _fetched(work, rates, tiles, sides)
    port = fetched * _lines(work, rates) / rates.port_bytes_per_cycle
    cycles = np.ceil(blocks / rates.sms) * _side_by_side(step, port) * work.k
    if rates.multicast > 1:
        cycles = np.maximum(cycles, _steps(work) * STEP_CYCLES)
    shared = blocks * fetched * work.k + output_bytes(work)
    seconds = _side_by_side(cycles / rates.clock_hz, shared / rates.shared_bytes_per_s)
    seconds = _side_by_side(seconds, np.full_like(seconds, memory_s)) + CLEAR_S * _cleared(blocks, rates)
    equals = np.flatnonzero(seconds <= seconds.min() * (1 + 1e-9))
    scratchpad = _scratchpad(work, tiles[equals], blocks[equals])
    chosen = int(np.argmin(shared[equals] + scratchpad))
    at = equals[chosen]
    tile = int(tiles[at, 0]), int(tiles[at, 1])
    return _Tiling(tile, int(blocks[at]), float(cycles[at]), float(shared[at]), float(scratchpad[chosen]))


def _scratchpad(work: MatrixWork, tiles: NDArray[np.float64], blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bytes from shared memory to the tensor cores: of whole tiles, also where the product does not fill them. An
    instruction takes a group of rows and as many columns as the tile's other side has, the longer one if both may."""
    fitting = np.where(tiles[:, ::-1] % GROUP_ROWS == 0, tiles, 0).max(axis=1)
    columns = np.where(fitting > 0, fitting, tiles.max(axis=1))
    padded = blocks * tiles.prod(axis=1) * work.k
    return np.asarray(padded * sum(_element_bytes(work)) / 2 * (1 / GROUP_ROWS + 1 / columns))


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


def _cleared(blocks: Any, rates: Rates) -> Any:
    """Whether so many tiles are handed out by a counter."""
    return (blocks > 2 * rates.sms) & (rates.multicast > 1)


def _lines(work: MatrixWork, rates: Rates) -> float:
    """Cache lines that come for one line's worth of an operand: rows that do not start at a line straddle two.
    Measurements show it of warp-group kernels with tiles of every size only."""
    row = int(work.k * code_bits(work.input_format) / 8)
    if rates.multicast == 1 or rates.choices or _alignment(work) < ALIGNED_BYTES:
        return 1.0
    return 2 - gcd(STEP_BYTES, row) / STEP_BYTES


def _exposed(rates: Rates, blocks: int) -> float:
    """Part of the time to write results that no arithmetic hides. TF32's kernels (warp-group, few tiles) write a tile
    under the next one, so only the last wave's writes count."""
    waves = ceil_div(blocks, rates.sms) if rates.choices and rates.multicast > 1 else 1
    return rates.store_share / waves


def _element_bytes(work: MatrixWork) -> tuple[float, float]:
    """Of an activation and of a weight, as they are stored."""
    return bits_per_element(work.input_format) / 8, weight_bits(work) / 8


def _tiled(work: MatrixWork, place: Placement, rates: Rates, table: EnergyTable) -> Iterator[Kernel]:
    """Warp-group or warp kernel with the tile that is fastest at the highest clock, and what it needs around it."""
    read, written = dram_bytes(work, place)
    memory_s = read / rates.load_bytes_per_s
    store_s = written / rates.store_bytes_per_s
    aligned = _alignment(work)
    if aligned < ALIGNED_BYTES:
        yield from _unaligned(work, place, rates, table, aligned)
        return
    best = _fastest(work, rates, memory_s + (1 - rates.store_share) * store_s)
    exposed = _exposed(rates, best.blocks)
    memory_s += (1 - exposed) * store_s
    if _cleared(best.blocks, rates):
        yield Kernel(launch_s=CLEAR_S, table=table)
    yield Kernel(
        launch_s=rates.launch_s,
        table=table,
        cycles=best.cycles,
        shared_s=best.shared / rates.shared_bytes_per_s,
        memory_s=memory_s,
        tail_s=exposed * output_bytes(work) / rates.store_bytes_per_s,
        counts=ActionCounts(
            mac=work.macs / (rates.sparse if work.sparse else 1),
            scratchpad_bytes=best.scratchpad,
            shared_bytes=max(0.0, best.shared - read),  # the price of memory has the first way through the L2
            dram_bytes=read + written,
        ),
    )
    if rates.multicast > 1 and not rates.choices and _cut(work):
        yield Kernel(launch_s=rates.reduce_launch_s, table=table)


def _unaligned(work: MatrixWork, place: Placement, rates: Rates, table: EnergyTable, aligned: int) -> Iterator[Kernel]:
    """A kernel of an older generation, and the one that adds the parts of k."""
    read, written = dram_bytes(work, place)
    memory_s = (read / rates.load_bytes_per_s + written / rates.store_bytes_per_s) / UNALIGNED_LOADS
    sizes = _element_bytes(work)
    found = short_copies(work, aligned, sizes, rates, memory_s)
    rows, columns = found.tile
    blocks_k = work.k * ceil_div(work.m, rows) * ceil_div(work.n, columns) * work.groups
    yield Kernel(
        launch_s=rates.launch_s,
        table=table,
        cycles=found.cycles,
        shared_s=found.shared_bytes / rates.shared_bytes_per_s,
        memory_s=memory_s,
        counts=ActionCounts(
            mac=work.macs / (rates.sparse if work.sparse else 1),
            vector_op=SHORT_OPERATIONS * found.copies,
            scratchpad_bytes=blocks_k * rows * columns * sum(sizes) / 2 * (1 / GROUP_ROWS + 1 / columns),
            shared_bytes=max(0.0, found.shared_bytes - read),
            dram_bytes=read + written,
        ),
    )
    if found.reduce_s:
        yield Kernel(launch_s=found.reduce_s, table=table)


def _alignment(work: MatrixWork) -> int:
    """Bytes at which every row of the operands and of the result starts, up to 16; a single row has no next one."""
    if work.m == 1 or work.n == 1:
        return ALIGNED_BYTES
    rows = (work.k, work.input_format), (work.k, work.weight_format), (work.n, work.output_format)
    return gcd(ALIGNED_BYTES, *(max(1, int(size * code_bits(fmt) / 8)) for size, fmt in rows))


def _steps(work: MatrixWork) -> float:
    return work.k * bits_per_element(work.input_format) / 8 / STEP_BYTES


def _cut(work: MatrixWork) -> bool:
    """Whether k is cut among blocks."""
    steps = _steps(work)
    tiles = ceil_div(work.m, 64) * ceil_div(work.n, 128 if work.m <= FRAGMENT_ROWS else 64) * work.groups
    return steps >= SPLIT_STEPS * tiles and steps >= LEAST_SPLIT


def _depthwise(work: MatrixWork, place: Placement, rates: Rates, table: EnergyTable) -> Kernel:
    """One filter a channel gives tensor cores nothing to share: vector lanes do it, straight from the caches."""
    read, written = dram_bytes(work, place)
    operations = DEPTHWISE_OPERATIONS * work.macs
    shared = input_bytes(work) + output_bytes(work)
    return Kernel(
        launch_s=rates.launch_s,
        table=table,
        cycles=operations / (rates.lanes * rates.sms),
        shared_s=shared / rates.shared_bytes_per_s,
        memory_s=(read + written) / rates.store_bytes_per_s,
        counts=ActionCounts(vector_op=operations, shared_bytes=shared, dram_bytes=read + written),
    )


def _dequantizing(work: MatrixWork, place: Placement, rates: Rates, table: EnergyTable, widened: float) -> Kernel:
    """Each block of 8 columns widens its weights once for every 16 rows, and reads those rows whole."""
    read, written = dram_bytes(work, place)
    passes = ceil_div(work.m, FRAGMENT_ROWS)
    weights = work.n * work.k * work.groups * passes
    row_bytes = work.k * bits_per_element(work.input_format) / 8
    fragments = rates.fetched_per_byte * ceil_div(work.n, FRAGMENT_COLUMNS) * work.m * row_bytes * work.groups
    cycles = max(weights / widened, fragments / rates.fragment_bytes_per_cycle) / rates.sms
    # Rows that fit in an SM's cache come from the L2 once for the blocks that run there together.
    cached = FRAGMENT_ROWS * row_bytes <= rates.fragment_cache_bytes
    shared = weight_bytes(work) * passes + output_bytes(work) + (0 if cached else fragments)
    return Kernel(
        launch_s=rates.launch_s,
        table=table,
        cycles=cycles,
        shared_s=shared / rates.shared_bytes_per_s,
        memory_s=read / rates.load_bytes_per_s,
        tail_s=written / rates.store_bytes_per_s,
        counts=ActionCounts(
            mac=weights * FRAGMENT_ROWS,
            vector_op=rates.operations_per_weight * weights,
            scratchpad_bytes=fragments / rates.fetched_per_byte,
            shared_bytes=max(0.0, shared - read),
            dram_bytes=read + written,
        ),
    )
