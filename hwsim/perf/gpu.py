"""The GPU machine: a tile roofline with a power cap.

A product is cut into result tiles, one a thread block; a wave is one tile on every SM. Time is the launch floor plus
the longest of: waves at the tensor rate, operand tiles through the L2, and distinct bytes through memory. Of the tile
shapes a library offers, and of cutting k among blocks when tiles are few, the fastest is taken. Where energy over
time would pass the power limit, the clock falls until it does not (energy per operation is taken as constant: voltage
scaling is left out).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from hwsim.errors import TargetError
from hwsim.ir.workload import MatrixWork, VectorWork
from hwsim.perf.energy import ActionCounts, EnergyTable
from hwsim.perf.machine import Placement, Timing, input_bytes, output_bytes, row, weight_bytes
from hwsim.perf.result import LayerEstimate
from hwsim.perf.sizes import bits_per_element
from hwsim.perf.systolic import ceil_div

if TYPE_CHECKING:
    from hwsim.target import GpuMachine, Precision, Target

SMALLEST_TILE = 64
SHORTEST_K = 256
"""A block's share of k is never cut below this: prologue and epilogue would dominate."""

SPLITS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Tiling:
    """One way to run a product: seconds of tensor work and of L2 traffic, and the bytes of that."""

    compute_s: float
    shared_s: float
    shared_bytes: float

    @property
    def seconds(self) -> float:
        return max(self.compute_s, self.shared_s)


class GpuModel:
    """A :class:`~hwsim.target.GpuMachine` at one precision."""

    def __init__(self, target: Target, spec: GpuMachine, precision: Precision) -> None:
        if precision.macs_per_cycle is None:
            raise TargetError(f"{target.name}: a gpu needs macs_per_cycle in its precision")
        self.spec = spec
        self.sms = spec.sms.value
        self.rate = precision.macs_per_cycle.value
        self.multicast = precision.multicast.value if precision.multicast else 1
        self.vector_rate = target.vector.operations_per_cycle.value * self.sms
        self.tiles = [(m, n) for m in _halvings(spec.tile_m.value) for n in _halvings(spec.tile_n.value)]

    @property
    def clock_hz(self) -> float:
        return self.spec.clock_hz.value

    @property
    def peak_macs_per_s(self) -> float:
        return self.rate * self.sms * self.clock_hz

    @property
    def dram_bytes_per_s(self) -> float:
        return self.spec.dram.bytes_per_s.value

    @property
    def home_bytes(self) -> int:
        return self.spec.shared.capacity_bytes.value

    def matrix(self, work: MatrixWork, place: Placement, table: EnergyTable) -> LayerEstimate:
        """Time and count one product as one kernel (groups run side by side in it)."""
        dram = (0 if place.input_resident else input_bytes(work)) + weight_bytes(work)
        if not work.weights_static and place.input_resident:
            dram -= weight_bytes(work)
        dram += 0 if place.output_resident else output_bytes(work)
        dram_s, launch_s = dram / self.dram_bytes_per_s, self.spec.launch_s.value
        options = [
            option
            for tile_m, tile_n in self.tiles
            for split in SPLITS
            if (option := self._tiling(work, tile_m, tile_n, split)) is not None
        ]
        fixed_pj = work.macs * table.pj["mac"] + dram * table.pj["dram_bytes"]

        def seconds(option: Tiling) -> float:
            powered_s = (fixed_pj + option.shared_bytes * table.pj["shared_bytes"]) / 1e12 / self._head_room_w(table)
            return max(option.seconds + launch_s, dram_s + launch_s, powered_s)

        best = min(options, key=seconds)  # the largest tile among equals
        counts = ActionCounts(mac=work.macs, shared_bytes=best.shared_bytes, dram_bytes=dram)
        bound = "compute" if best.compute_s >= max(best.shared_s, dram_s) else "memory"
        busy = max(best.seconds, dram_s)
        return self._row(work, best.compute_s, busy, bound, counts, table, self.rate * self.sms)

    def vector(self, work: VectorWork, place: Placement, table: EnergyTable, slack_cycles: int) -> LayerEstimate:
        """Time and count a vector operation: its own kernel, or where fused whatever ``slack_cycles`` lack."""
        compute_s = work.operations / (self.vector_rate * self.clock_hz)
        if work.fused:
            late = max(0, ceil(compute_s * self.clock_hz) - slack_cycles)
            counts = ActionCounts(vector_op=work.operations)
            timing = Timing(late, late, "vector")
            return row(work, timing, counts, table, clock_hz=self.clock_hz, peak_per_cycle=self.vector_rate)
        read, written = input_bytes(work), output_bytes(work)
        dram = (0 if place.input_resident else read) + (0 if place.output_resident else written)
        # Bytes from memory pay their way through the L2 in the memory's price.
        counts = ActionCounts(vector_op=work.operations, shared_bytes=read + written - dram, dram_bytes=dram)
        memory_s = max(dram / self.dram_bytes_per_s, (read + written) / self.spec.shared.bytes_per_s.value)
        bound = "vector" if compute_s >= memory_s else "memory"
        return self._row(work, compute_s, max(compute_s, memory_s), bound, counts, table, self.vector_rate)

    def _head_room_w(self, table: EnergyTable) -> float:
        """Power that work may take: the limit less what flows anyway."""
        return self.spec.power_limit_w.value - table.pj["static_s"] / 1e12

    def _tiling(self, work: MatrixWork, tile_m: int, tile_n: int, split: int) -> Tiling | None:
        tiles = ceil_div(work.m, tile_m) * ceil_div(work.n, tile_n) * work.groups
        share_k = ceil_div(work.k, split)
        if split > 1 and (tiles * split > self.sms or share_k < SHORTEST_K):
            return None
        waves = ceil_div(tiles * split, self.sms)
        compute_s = waves * tile_m * tile_n * share_k / (self.rate * self.clock_hz)
        # Neighbouring blocks share the longer side of the tile.
        short, long = sorted(
            (
                tile_m * bits_per_element(work.input_format),
                tile_n * bits_per_element(work.weight_format),
            )
        )
        shared = tiles * (short + long / self.multicast) * work.k / 8 + output_bytes(work)
        if split > 1:
            shared += 2 * split * work.output_elements * bits_per_element(work.accumulator_format) / 8
        shared_s = shared / self.spec.shared.bytes_per_s.value
        return Tiling(compute_s, shared_s, shared)

    def _row(
        self,
        work: MatrixWork | VectorWork,
        compute_s: float,
        busy_s: float,
        bound: str,
        counts: ActionCounts,
        table: EnergyTable,
        peak: float,
    ) -> LayerEstimate:
        """Add the launch, hold the power limit, and round up to cycles."""
        launch_s = self.spec.launch_s.value
        seconds = busy_s + launch_s
        if launch_s > busy_s:
            bound = "launch"
        powered_s = table.dynamic_pj(counts) / 1e12 / self._head_room_w(table)
        if powered_s > seconds:
            seconds, bound = powered_s, "power"
        cycles = ceil(seconds * self.clock_hz)
        timing = Timing(cycles, min(cycles, ceil(compute_s * self.clock_hz)), bound)
        return row(work, timing, counts, table, clock_hz=self.clock_hz, peak_per_cycle=peak, seconds=seconds)


def _halvings(side: int) -> list[int]:
    """``side`` and its halves down to the smallest tile; ``side`` alone where it is smaller still."""
    sides = [side]
    while sides[-1] // 2 >= SMALLEST_TILE:
        sides.append(sides[-1] // 2)
    return sides
