"""The analog machine: crossbars of memory cells, or meshes of light, that multiply where the weights are held.

A product [m, k] x [k, n] takes ceil(k / rows) * ceil(n * columns a weight / cols) arrays, a copy; each of its m inputs
takes one step for every ``input_bits`` of it, and a step lasts as long as the columns that share a converter need.
Cells that keep their weights hold the whole network where it fits; arrays left over hold further copies of the slowest
layers, which then take their inputs side by side. A network that does not fit is written layer by layer. Operations
run one after another (ISAAC's pipeline between layers is left out, so latency is right and throughput low). Noise and
drift do not change time or energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heapreplace
from math import ceil
from typing import TYPE_CHECKING

from hwsim.ir.workload import MatrixWork, VectorWork, Workload
from hwsim.perf.energy import ActionCounts, EnergyTable
from hwsim.perf.machine import Placement, Timing, input_bytes, output_bytes, row, weight_bytes
from hwsim.perf.result import LayerEstimate
from hwsim.perf.sizes import bits_per_element
from hwsim.perf.systolic import ceil_div

if TYPE_CHECKING:
    from hwsim.target import AnalogMachine, Precision, Target


@dataclass(frozen=True, slots=True)
class Mapping:
    """Arrays that one copy of a product takes, all groups, and the columns in them that are converted."""

    arrays: int
    conversions: int


class AnalogModel:
    """A :class:`~hwsim.target.AnalogMachine` at one precision, for one workload (its weights share the arrays)."""

    def __init__(self, target: Target, spec: AnalogMachine, precision: Precision, workload: Workload | None) -> None:
        self.spec = spec
        self.steps = ceil_div(ceil(bits_per_element(precision.activations.format)), spec.input_bits.value)
        self.columns = ceil_div(ceil(bits_per_element(precision.weights.format)), spec.cell_bits.value)
        self.vector_rate = target.vector.operations_per_cycle.value
        self.copies = self._replicate(workload) if workload is not None else {}

    @property
    def clock_hz(self) -> float:
        """Steps a second."""
        return self.spec.adc_hz.value / self.spec.columns_per_adc.value

    @property
    def peak_macs_per_s(self) -> float:
        weights = self.spec.rows.value * (self.spec.cols.value // self.columns)
        return self.spec.arrays.value * weights * self.clock_hz / self.steps

    @property
    def dram_bytes_per_s(self) -> float:
        return self.spec.dram.bytes_per_s.value

    @property
    def home_bytes(self) -> int:
        return self.spec.buffer_bytes.value

    @property
    def resident_weights_bytes(self) -> int:
        return 0

    def matrix(self, work: MatrixWork, place: Placement, table: EnergyTable) -> LayerEstimate:
        """Time and count one product; see the module."""
        mapping = self._map(work)
        copies = self.copies.get(work.name, 0)
        writes = 0.0
        if copies:
            steps = ceil_div(work.m, copies) * self.steps
        else:
            # Not held: as many arrays as there are at a time, written before each use where that takes time.
            rounds = ceil_div(mapping.arrays, self.spec.arrays.value)
            side_by_side = max(1, min(work.m, self.spec.arrays.value // mapping.arrays))
            steps = rounds * ceil_div(work.m, side_by_side) * self.steps
            if self.spec.write_row_s is not None:
                writes = rounds * self.spec.rows.value * self.spec.write_row_s.value
        dram = (0 if place.input_resident else input_bytes(work)) + (0 if place.output_resident else output_bytes(work))
        dram += 0 if copies or (not work.weights_static and place.input_resident) else weight_bytes(work)
        counts = ActionCounts(
            mac=work.macs * self.columns * self.steps,
            accumulate=mapping.conversions * work.m * self.steps,
            scratchpad_bytes=input_bytes(work) + output_bytes(work),
            dram_bytes=dram,
        )
        compute = steps + ceil(writes * self.clock_hz)
        return row(work, self._timing(compute, dram), counts, table, clock_hz=self.clock_hz, peak_per_cycle=self._peak)

    def vector(self, work: VectorWork, place: Placement, table: EnergyTable, slack_cycles: int) -> LayerEstimate:
        """Time and count a vector operation; a fused one costs what ``slack_cycles`` lack."""
        compute = ceil_div(work.operations, self.vector_rate)
        if work.fused:
            late = max(0, compute - slack_cycles)
            timing, counts = Timing(late, late, "vector"), ActionCounts(vector_op=work.operations)
        else:
            read, written = input_bytes(work), output_bytes(work)
            dram = (0 if place.input_resident else read) + (0 if place.output_resident else written)
            counts = ActionCounts(vector_op=work.operations, scratchpad_bytes=read + written, dram_bytes=dram)
            timing = self._timing(compute, dram)
            bound = "vector" if timing.bound == "compute" else timing.bound
            timing = Timing(timing.cycles, timing.compute_cycles, bound)
        return row(work, timing, counts, table, clock_hz=self.clock_hz, peak_per_cycle=self.vector_rate)

    @property
    def _peak(self) -> float:
        return self.peak_macs_per_s / self.clock_hz

    def _timing(self, compute: int, dram: float) -> Timing:
        memory = ceil(dram * self.clock_hz / self.dram_bytes_per_s)
        exposed = ceil(self.spec.dram.latency_s.value * self.clock_hz) if dram else 0
        return Timing(max(compute, memory) + exposed, compute, "memory" if memory > compute else "compute")

    def _map(self, work: MatrixWork) -> Mapping:
        """Groups lie on the diagonal of an array where several fit; each needs rows and columns of its own."""
        rows, cols = self.spec.rows.value, self.spec.cols.value
        wide = work.n * self.columns
        down = ceil_div(work.k, rows)
        together = max(1, min(rows // work.k, cols // wide)) if work.k <= rows and wide <= cols else 1
        arrays = ceil_div(work.groups, together) * down * ceil_div(wide, cols)
        return Mapping(arrays, work.groups * down * wide)

    def _replicate(self, workload: Workload) -> dict[str, int]:
        """Copies of each layer with static weights, when all fit; the slowest layer gets the next copy."""
        if self.spec.medium != "resistive":
            return {}
        works = [op for op in workload.ops if isinstance(op, MatrixWork) and op.weights_static]
        sizes = {op.name: self._map(op).arrays for op in works}
        spare = self.spec.arrays.value - sum(sizes.values())
        if spare < 0:
            return {}
        copies = dict.fromkeys(sizes, 1)
        order = [(-op.m, op.name, op.m) for op in works]
        heapify(order)
        while order and sizes[order[0][1]] <= spare and copies[order[0][1]] < order[0][2]:
            _, name, m = order[0]
            copies[name] += 1
            spare -= sizes[name]
            heapreplace(order, (-ceil_div(m, copies[name]), name, m))
        return copies
