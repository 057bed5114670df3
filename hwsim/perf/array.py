"""The systolic machine: cores with an array, scratchpads, an optional shared memory, DRAM, and a vector unit each.

A product is cut among the cores; each core's array works through its folds while the next operands arrive, so a layer
takes the longest of computing, reading shared memory and reading DRAM, after the time in which its first operands
come, and after its launch where the target declares one. Weights are read from DRAM in every pass unless the target
declares room for a whole network's; activations are, too, unless they stay on the chip between layers. Where a host
link is declared, a network's input and output cross it before and after the work instead. Not modelled: bank conflicts,
refresh, and the network between cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, inf
from typing import TYPE_CHECKING

from hwsim.errors import TargetError
from hwsim.ir.workload import MatrixWork, VectorWork
from hwsim.perf.energy import ActionCounts, EnergyTable
from hwsim.perf.machine import (
    Placement,
    Timing,
    input_bytes,
    output_bytes,
    row,
    sparse_rate,
    stored_bytes,
    weight_bits,
    weight_bytes,
)
from hwsim.perf.result import LayerEstimate
from hwsim.perf.sizes import bits_per_element
from hwsim.perf.systolic import DATAFLOWS, Cube, Dataflow, Packed, ceil_div
from hwsim.perf.tiling import Traffic, operand_traffic

if TYPE_CHECKING:
    from hwsim.target import Precision, SystolicMachine, Target

ACCUMULATOR_BYTES = 4

RESULT_OPERATIONS = 2
"""Of the vector unit on each result that leaves the array: a scale, and a function."""


@dataclass(frozen=True, slots=True)
class Split:
    """A product cut among cores: ``products`` parts of at most [m, k] x [k, n], up to ``rounds`` of them on one
    core."""

    products: int
    rounds: int
    m: int
    n: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A split with its time, and the bytes into the cores, through shared memory and over the memory interface."""

    split: Split
    timing: Timing
    into_cores: int
    shared: int
    dram: int


class ArrayMachine:
    """A :class:`~hwsim.target.SystolicMachine` at one precision."""

    def __init__(self, target: Target, spec: SystolicMachine, precision: Precision) -> None:
        self.spec = spec
        self.precision = precision
        self.flow = _dataflow(target, spec, precision)
        self.plans: dict[tuple[MatrixWork, Placement], Plan] = {}
        self.cores = spec.cores.value
        self.vector_rate = target.vector.operations_per_cycle.value * self.cores
        memory = spec.memory
        halves = 2 if memory.double_buffered else 1
        self.accumulators = max(1, memory.accumulators_bytes.value // halves // ACCUMULATOR_BYTES)
        if memory.staging_bytes is not None:
            share = memory.staging_bytes.value // 2 // halves
            self.activation_capacity = self.weight_capacity = share
        else:
            self.activation_capacity = memory.activations_bytes.value // halves
            self.weight_capacity = memory.weights_bytes.value // halves

    @property
    def clock_hz(self) -> float:
        return self.spec.clock_hz.value

    @property
    def peak_macs_per_s(self) -> float:
        return self.flow.macs_per_cycle * self.cores * self.clock_hz

    @property
    def dram_bytes_per_s(self) -> float:
        return self.spec.dram.bytes_per_s.value

    @property
    def home_bytes(self) -> int:
        shared = self.spec.shared
        return shared.capacity_bytes.value if shared else self.spec.memory.activations_bytes.value * self.cores

    @property
    def resident_weights_bytes(self) -> int:
        held = self.spec.resident_weights_bytes
        return held.value if held else 0

    def matrix(self, work: MatrixWork, place: Placement, table: EnergyTable) -> LayerEstimate:
        """Time and count one product; see the module for what is and is not in it."""
        place, host = self._host(work, place)
        plan = self._best_plan(work, place, table)
        timing = plan.timing
        late = host + (self._tail(plan.split, work.k) if self.spec.barrier else 0)
        timing = Timing(timing.cycles + late, timing.compute_cycles, timing.bound)
        split = plan.split
        flow = self._flow(work)
        words = flow.words(split.m, split.n, work.k)
        bits = words.activations * bits_per_element(work.input_format) + words.weights * weight_bits(work)
        array_bytes = split.products * bits / 8
        counts = ActionCounts(
            mac=work.macs / sparse_rate(work, self.precision),
            accumulate=split.products * words.partial_sums,
            scratchpad_bytes=array_bytes + plan.into_cores + output_bytes(work),
            shared_bytes=plan.shared,
            dram_bytes=plan.dram,
        )
        return self._row(work, timing, counts, table, flow.macs_per_cycle * self.cores)

    def _flow(self, work: MatrixWork) -> Dataflow:
        """The array as this product finds it: with 2:4 weights that it takes as they are, k is shorter."""
        rate = sparse_rate(work, self.precision)
        return Packed(self.flow, rate) if rate > 1 else self.flow

    def _expanding(self, work: MatrixWork, split: Split) -> int:
        """Cycles of the decompressor of 2:4 weights, beside the array."""
        sparse = self.precision.sparse_2to4
        if not work.sparse or sparse is None or sparse.codes_per_cycle is None:
            return 0
        codes = self._flow(work).words(split.m, split.n, work.k).weights
        return split.rounds * ceil_div(codes, sparse.codes_per_cycle.value)

    def vector(self, work: VectorWork, place: Placement, table: EnergyTable, slack_cycles: int) -> LayerEstimate:
        """Time and count a vector operation; a fused one reads and writes no memory and costs what ``slack_cycles``
        lack."""
        compute = ceil_div(work.operations, self.vector_rate)
        if work.fused:
            late = max(0, compute - slack_cycles)
            timing = Timing(late, late, "vector")
            return self._row(work, timing, ActionCounts(vector_op=work.operations), table, self.vector_rate)
        place, host = self._host(work, place)
        read, written = input_bytes(work), output_bytes(work)
        dram = (0 if place.input_resident else read) + (0 if place.output_resident else written)
        counts = ActionCounts(
            vector_op=work.operations,
            scratchpad_bytes=read + written,
            shared_bytes=read + written if self.spec.shared else 0,
            dram_bytes=dram,
        )
        timing = self._overlap(compute, dram, counts.shared_bytes, 0)
        bound = "vector" if timing.bound == "compute" else timing.bound
        timing = Timing(timing.cycles + host, timing.compute_cycles, bound)
        return self._row(work, timing, counts, table, self.vector_rate)

    def _host(self, work: MatrixWork | VectorWork, place: Placement) -> tuple[Placement, int]:
        """Cycles of the host link, and the placement of what is then on the chip."""
        if self.spec.host is None:
            return place, 0
        size = (input_bytes(work) if place.first else 0) + (output_bytes(work) if place.last else 0)
        cycles = ceil(size * self.clock_hz / self.spec.host.bytes_per_s.value)
        on_chip = replace(
            place,
            input_resident=place.input_resident or place.first,
            output_resident=place.output_resident or place.last,
        )
        return on_chip, cycles

    def _tail(self, split: Split, k: int) -> int:
        """Cycles that the last result tile takes through the vector unit, in rows as wide as the array."""
        height, _ = self.flow.result_tile(split.m, split.n, k, self.accumulators)
        _, width = self.flow.granule()
        rows = split.m % height or height
        return ceil_div(rows * width * RESULT_OPERATIONS * self.cores, self.vector_rate)

    def _best_plan(self, work: MatrixWork, place: Placement, table: EnergyTable) -> Plan:
        """The fastest split and tiling, of equals the one whose bytes cost least; layers of the same sizes share it."""
        key = (replace(work, name=""), place)
        if key not in self.plans:
            splits = dict.fromkeys(self._splits(work))
            plans = (plan for split in splits for plan in self._plans(work, split, place))
            self.plans[key] = min(plans, key=lambda plan: (plan.timing.cycles, _bytes_pj(plan, table)))
        return self.plans[key]

    def _splits(self, work: MatrixWork) -> Iterator[Split]:
        """Ways to use all cores; a product is cut in m and n only where there are fewer groups than cores."""
        together = min(work.groups, self.cores)
        rounds = ceil_div(work.groups, together)
        step_m, step_n = self.flow.granule()
        available = self.cores // together
        for parts_m in range(1, available + 1):
            m = min(work.m, ceil_div(ceil_div(work.m, step_m), parts_m) * step_m)
            n = min(work.n, ceil_div(ceil_div(work.n, step_n), available // parts_m) * step_n)
            yield Split(work.groups * ceil_div(work.m, m) * ceil_div(work.n, n), rounds, m, n)

    def _plans(self, work: MatrixWork, split: Split, place: Placement) -> Iterator[Plan]:
        """A split with each tiling that may be the best: fewest cycles first, until nothing is read twice or the array
        alone takes longer than a plan before."""
        expanding = self._expanding(work, split)
        first = self._first_bytes(split, bits_per_element(work.input_format), weight_bits(work))
        least = input_bytes(work) + self._weight_bytes(work)
        longest = inf
        for tiling in self._flow(work).tilings(split.m, split.n, work.k, self.accumulators):
            compute = max(split.rounds * tiling.cycles, expanding)
            if compute > longest:
                return
            for into_cores, dram in self._traffic(work, split, place, tiling.tile):
                shared = into_cores + output_bytes(work) if self.spec.shared else 0
                timing = self._overlap(compute, dram, shared, first)
                longest = min(longest, timing.cycles)
                yield Plan(split, timing, into_cores, shared, dram)
                if into_cores <= least:
                    return

    def _traffic(
        self, work: MatrixWork, split: Split, place: Placement, tile: tuple[int, int]
    ) -> Iterator[tuple[int, int]]:
        """Operand bytes into the cores, and all bytes over the memory interface, with result tiles of (m, n), for each
        order in which operands may be read."""
        inputs, weights = input_bytes(work), self._weight_bytes(work)
        per_core = operand_traffic(
            split.m,
            split.n,
            max(1, inputs * split.m // (work.groups * work.m)),
            max(1, weights * split.n // (work.groups * work.n)),
            activation_capacity=self.activation_capacity,
            weight_capacity=self.weight_capacity,
            tile=tile,
        )
        stays = place.weights_resident if work.weights_static else place.input_resident
        written = 0 if place.output_resident else output_bytes(work)
        for choice in per_core:
            read_in = max(inputs, choice.activations * split.products)
            read_weights = max(weights, choice.weights * split.products)
            for above in self._above(work, inputs, weights):
                again_in = min(read_in, above.activations) if above else read_in
                again_weights = min(read_weights, above.weights) if above else read_weights
                dram = (0 if place.input_resident else again_in) + (0 if stays else again_weights)
                yield read_in + read_weights, dram + written

    def _above(self, work: MatrixWork, inputs: int, weights: int) -> tuple[Traffic | None, ...]:
        """Ways to read the operands into the shared memory; none where there is no such memory."""
        if self.spec.shared is None:
            return (None,)
        half = self.spec.shared.capacity_bytes.value // 2
        tile = max(1, work.m // 2), max(1, work.n // 2)
        return operand_traffic(
            work.m, work.n, inputs, weights, activation_capacity=half, weight_capacity=half, tile=tile
        )

    def _weight_bytes(self, work: MatrixWork) -> int:
        """Bytes of the second operand as moved, zeros that fill tiles included."""
        if not self.spec.whole_tiles:
            return weight_bytes(work)
        _, tile = self.flow.first_operands()
        _, step_n = self.flow.granule()
        step_k = tile // step_n
        padded = ceil_div(work.k, step_k) * step_k * ceil_div(work.n, step_n) * step_n * work.groups
        return stored_bytes(work, padded) + work.weight_scale_bytes

    def _first_bytes(self, split: Split, in_bits: float, weight_bits: float) -> int:
        """Bytes that all cores together need before their first useful cycle."""
        activations, weights = self.flow.first_operands()
        return ceil((activations * in_bits + weights * weight_bits) * min(self.cores, split.products) / 8)

    def _overlap(self, compute: int, dram: float, shared: float, first: int) -> Timing:
        """The longest of three streams, after the first bytes have come (memory latency included)."""
        per_cycle = self.clock_hz / self.dram_bytes_per_s
        memory = ceil(dram * per_cycle)
        if self.spec.shared is not None:
            memory = max(memory, ceil(shared * self.clock_hz / self.spec.shared.bytes_per_s.value))
        exposed = ceil(self.spec.dram.latency_s.value * self.clock_hz + first * per_cycle) if dram else 0
        launch = ceil(self.spec.launch_s.value * self.clock_hz) if self.spec.launch_s else 0
        busy = max(compute, memory) + exposed
        bound = "launch" if launch > busy else "memory" if memory > compute else "compute"
        return Timing(busy + launch, compute, bound)

    def _row(
        self, work: MatrixWork | VectorWork, timing: Timing, counts: ActionCounts, table: EnergyTable, peak: float
    ) -> LayerEstimate:
        return row(work, timing, counts, table, clock_hz=self.clock_hz, peak_per_cycle=peak)


def _bytes_pj(plan: Plan, table: EnergyTable) -> float:
    pj = table.pj
    return plan.into_cores * pj["scratchpad_bytes"] + plan.shared * pj["shared_bytes"] + plan.dram * pj["dram_bytes"]


def _dataflow(target: Target, spec: SystolicMachine, precision: Precision) -> Dataflow:
    if spec.dataflow == "cube":
        if precision.block is None or spec.pipeline_cycles is None:
            raise TargetError(f"{target.name}: a cube needs a block in its precision and pipeline_cycles")
        block = precision.block
        return Cube(block.m.value, block.k.value, block.n.value, spec.pipeline_cycles.value)
    if spec.rows is None or spec.cols is None:
        raise TargetError(f"{target.name}: dataflow {spec.dataflow} needs rows and cols")
    array = DATAFLOWS[spec.dataflow](spec.rows.value, spec.cols.value, spec.fold_overlap == "full")
    return Packed(array, precision.macs_per_element.value) if precision.macs_per_element else array
