"""Matrix products on a GPU: the tile that a library would take, and the kernel it makes.

Three kinds of kernel. Warp-group kernels (Hopper's wgmma) feed tensor cores straight from shared memory, in clusters
that fetch a common operand once; libraries offer result tiles in fine steps. Warp kernels (mma.sync) copy operands to
registers first, come in few tiles, and store results when the arithmetic is over. Dequantizing kernels (4-bit weights
under 16-bit activations) give every 8 columns a block of their own, which widens its weights and reads all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING

from hwsim.errors import TargetError
from hwsim.ir.workload import MatrixWork
from hwsim.perf.energy import ActionCounts, EnergyTable
from hwsim.perf.gpu_kernels import Kernel, side_by_side
from hwsim.perf.machine import Placement, input_bytes, output_bytes, weight_bytes
from hwsim.perf.sizes import bits_per_element
from hwsim.perf.systolic import ceil_div

if TYPE_CHECKING:
    from hwsim.target import GpuMachine, Precision, Quantity, Target

WARP_TILES = ((256, 128), (128, 256), (256, 64), (64, 256), (64, 64))
"""Result tiles of warp kernels, chosen on the measured int8 products among those that CUTLASS ships."""

GROUP_ROWS = 64
"""Rows that a warp group's instruction always takes; its columns go in steps, up to 256 (PTX ISA, wgmma shapes)."""

COLUMN_STEP = 16
DEPTHWISE_OPERATIONS = 4
"""Lane operations for each multiply-accumulate of a depthwise convolution: two loads, an index, the product (assumed).
"""

FRAGMENT_ROWS, FRAGMENT_COLUMNS = 16, 8
"""Result tile of a dequantizing block: one m16n8 instruction (PyTorch's tinygemm)."""


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
    store_share: float
    multicast: int
    operand_bytes_per_cycle: float | None
    largest_tile: int
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
        widen = spec.dequantize
        return cls(
            sms=spec.sms.value,
            lanes=target.vector.operations_per_cycle.value,
            clock_hz=spec.clock_hz.value,
            launch_s=spec.launch_s.value,
            macs_per_cycle=precision.macs_per_cycle.value * share(spec.matrix_share),
            store_share=share(precision.store_share),
            multicast=precision.multicast.value if precision.multicast else 1,
            operand_bytes_per_cycle=precision.operand_bytes_per_cycle.value
            if precision.operand_bytes_per_cycle
            else None,
            largest_tile=spec.tile_m.value * spec.tile_n.value,
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


def product(work: MatrixWork, place: Placement, rates: Rates, table: EnergyTable) -> Kernel:
    """The kernel of one product; groups run side by side in it."""
    if rates.dequantized_per_cycle and work.weights_static and _widens(work):
        return _dequantizing(work, place, rates, table, rates.dequantized_per_cycle)
    if work.op == "Conv" and work.groups > 1 and work.n == 1:
        return _depthwise(work, place, rates, table)
    return _tiled(work, place, rates, table)


def _widens(work: MatrixWork) -> bool:
    return bits_per_element(work.weight_format) < 8 and bits_per_element(work.input_format) == 16


def dram_bytes(work: MatrixWork, place: Placement) -> tuple[int, int]:
    """Bytes read and written."""
    second_stays = place.input_resident and not work.weights_static
    read = (0 if place.input_resident else input_bytes(work)) + (0 if second_stays else weight_bytes(work))
    return read, 0 if place.output_resident else output_bytes(work)


@lru_cache(maxsize=64)
def tiles(largest: int, warp: bool) -> tuple[tuple[int, int], ...]:
    """(m, n) of result tiles, the largest first."""
    if warp:
        found = {(m, n) for m, n in WARP_TILES if m * n <= largest}
    else:
        found = {
            side
            for rows in range(GROUP_ROWS, 257, GROUP_ROWS)
            for columns in range(COLUMN_STEP, 257, COLUMN_STEP)
            if rows * columns <= largest
            for side in ((rows, columns), (columns, rows))
        }
    return tuple(sorted(found, key=lambda side: (-side[0] * side[1], -side[0])))


def _tiled(work: MatrixWork, place: Placement, rates: Rates, table: EnergyTable) -> Kernel:
    """Warp-group or warp kernel with the tile that is fastest at the highest clock."""
    read, written = dram_bytes(work, place)
    memory_s = read / rates.load_bytes_per_s
    store_s = written / rates.store_bytes_per_s
    in_bytes = bits_per_element(work.input_format) / 8
    second_bytes = bits_per_element(work.weight_format) / 8
    stored = output_bytes(work)
    warp = rates.operand_bytes_per_cycle is not None
    best: tuple[float, float, float, int, int] | None = None
    for tile_m, tile_n in tiles(rates.largest_tile, warp):
        blocks = ceil_div(work.m, tile_m) * ceil_div(work.n, tile_n) * work.groups
        sides = tile_m * in_bytes, tile_n * second_bytes
        step = tile_m * tile_n / rates.macs_per_cycle
        if rates.operand_bytes_per_cycle is not None:
            step += sum(sides) / rates.operand_bytes_per_cycle
        fetched = min(sides) + max(sides) / rates.multicast  # neighbouring blocks share the longer side
        cycles = ceil_div(blocks, rates.sms) * side_by_side(step, fetched / rates.port_bytes_per_cycle) * work.k
        shared = blocks * fetched * work.k + stored
        seconds = side_by_side(cycles / rates.clock_hz, shared / rates.shared_bytes_per_s)
        if best is None or seconds < best[0] * (1 - 1e-9):
            best = (seconds, cycles, shared, tile_m, tile_n)
    assert best is not None
    _, cycles, shared, tile_m, tile_n = best
    # Operands are read for whole tiles, also where the product does not fill them.
    padded = ceil_div(work.m, tile_m) * tile_m * ceil_div(work.n, tile_n) * tile_n * work.k * work.groups
    scratchpad = padded * (in_bytes + second_bytes) / 2 * (1 / GROUP_ROWS + 1 / _columns(tile_m, tile_n))
    return Kernel(
        launch_s=rates.launch_s,
        table=table,
        cycles=cycles,
        shared_s=shared / rates.shared_bytes_per_s,
        memory_s=memory_s + (1 - rates.store_share) * store_s,
        tail_s=rates.store_share * store_s,
        counts=ActionCounts(mac=work.macs, scratchpad_bytes=scratchpad, shared_bytes=shared, dram_bytes=read + written),
    )


def _columns(tile_m: int, tile_n: int) -> int:
    """Columns of one instruction: the side that the other, in whole groups of rows, leaves; the longer if both may."""
    return max(
        [side for side, other in ((tile_m, tile_n), (tile_n, tile_m)) if other % GROUP_ROWS == 0],
        default=max(tile_m, tile_n),
    )


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
            scratchpad_bytes=fragments,
            shared_bytes=shared,
            dram_bytes=read + written,
        ),
    )
