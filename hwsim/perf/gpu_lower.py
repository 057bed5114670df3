"""From a workload's operations to the kernels that a GPU runs.

A compiled workload fuses what it marks as fused. An eager one (``Workload.eager``) runs as PyTorch does: scale and bias
ride on products; every other vector operation is a kernel of its own; attention is one fused kernel; values between
kernels are 16 bits wide, so products of narrower formats are preceded by a cast.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from hwsim.ir.workload import MatrixWork, VectorWork, Workload
from hwsim.perf.energy import ActionCounts, EnergyTable
from hwsim.perf.gpu_kernels import Kernel
from hwsim.perf.gpu_links import COLLECTIVES, collective_s, sent_bytes
from hwsim.perf.gpu_matrix import Rates, product, share
from hwsim.perf.gpu_traced import (
    BATCH_NORM_S,
    BLOCK_CYCLES,
    BLOCKS_TOGETHER,
    CAUSAL_MORE,
    CAUSAL_ROWS,
    EAGER_LANE_OPERATIONS,
    EXPONENTIALS_PER_CYCLE,
    FRAGMENT_ROWS,
    IMAGE_KERNELS,
    IMAGE_RATE,
    IMAGE_TILE,
    KEY_BLOCK,
    KEY_BYTES_PER_CYCLE,
    LANE_OPERATIONS,
    NORM_ELEMENT_S,
    NORM_ROW_CYCLES,
    NORM_S,
    NORM_SETUP_KERNELS,
    NORM_SETUP_S,
    POOL_S,
    QUERY_BLOCK,
    SPLIT_KEYS,
    STEM_FILTERS,
    STEM_INPUTS,
    STEM_RATE,
    STREAM_SHARE,
)
from hwsim.perf.machine import Placement, input_bytes, output_bytes, signature
from hwsim.perf.sizes import bits_per_element
from hwsim.perf.systolic import ceil_div

if TYPE_CHECKING:
    from hwsim.target import GpuMachine, Precision, Target

RIDING = ("Requantize", "Dequantize")
"""Epilogues that library products take in: scale and bias."""


@dataclass(frozen=True, slots=True)
class Lowering:
    """Kernels of a target at one precision."""

    target: Target
    spec: GpuMachine
    rates: Rates
    table: EnergyTable
    wide_rates: Rates
    wide_table: EnergyTable
    wide_format: str
    lanes: int
    known: dict[tuple[object, ...], list[Kernel]] = field(default_factory=dict)

    @classmethod
    def of(cls, target: Target, spec: GpuMachine, precision: Precision) -> Lowering:
        """For a target. Attention and vector operations run in the precision's ``vector_format``, at the rates of the
        target's precision of that format where it has one."""
        wide = next(
            (
                other
                for other in target.precisions.values()
                if other.weights.format == other.activations.format == precision.vector_format
            ),
            precision,
        )
        return cls(
            target=target,
            spec=spec,
            rates=Rates.of(target, spec, precision),
            table=EnergyTable.of(target, precision),
            wide_rates=Rates.of(target, spec, wide),
            wide_table=EnergyTable.of(target, wide),
            wide_format=precision.vector_format,
            lanes=target.vector.operations_per_cycle.value * spec.sms.value,
        )

    def kernels(self, workload: Workload) -> list[list[Kernel]]:
        """For each operation its kernels, in order; none where it is part of another's. Networks repeat their layers,
        and repeated layers share their kernels."""
        ops = workload.ops
        last = max(index for index, op in enumerate(ops) if not getattr(op, "fused", False) or index == 0)
        out: list[list[Kernel]] = []
        while (index := len(out)) < len(ops):
            group = ops[index : index + 3] if workload.eager and _attends(ops, index) else ops[index : index + 1]
            edge = index == 0, index >= last
            key = (workload.eager, workload.chips, edge, *map(signature, group))
            if key not in self.known:
                collective = COLLECTIVES.get(ops[index].op)
                self.known[key] = (
                    [self._collective(ops[index], collective, workload.chips)]
                    if collective
                    else list(self._lower(group, workload.eager, *edge))
                )
            out += [self.known[key], *([] for _ in group[1:])]
        return out

    def _lower(
        self, group: tuple[MatrixWork | VectorWork, ...], eager: bool, first: bool, last: bool
    ) -> Iterator[Kernel]:
        """One operation, or the three of attention."""
        asked = group[0]
        op = self._widened(asked) if eager else asked
        place = self._place(op, first, last)
        if len(group) == 3:
            values = self._widened(group[2])
            assert isinstance(op, MatrixWork)
            assert isinstance(values, MatrixWork)
            yield self._attention(op, values, group[1].op == "CausalSoftmax")
        elif isinstance(op, VectorWork):
            rides = op.fused and (not eager or op.op in RIDING)
            if eager and op.op == "BatchNormalization":
                yield from [self._launched(NORM_SETUP_S)] * NORM_SETUP_KERNELS
            yield self._riding(op) if rides else self._vector(op, place, eager)
        elif not eager:
            yield from product(op, place, self.rates, self.table)
        else:
            yield from self._eager(asked, op, place)

    def _collective(
        self, op: MatrixWork | VectorWork, operation: Literal["all_reduce", "all_gather"], chips: int
    ) -> Kernel:
        """The chips exchange what each holds; the SMs do little."""
        op = self._widened(op)
        size = output_bytes(op)
        counts = ActionCounts(link_bytes=sent_bytes(operation, size, chips))
        return Kernel(collective_s(operation, size, chips, self.target), table=self.table, counts=counts)

    def _place(self, op: MatrixWork | VectorWork, first: bool, last: bool) -> Placement:
        """A tensor of at most half of the L2 is still there when the next kernel reads it."""
        room = self.spec.shared.capacity_bytes.value // 2
        return Placement(
            input_resident=not first and input_bytes(op) <= room,
            output_resident=not last and output_bytes(op) <= room,
            first=first,
        )

    def held(self, workload: Workload) -> Workload:
        """What memory holds while it runs: an eager framework keeps values between kernels, and a cache of keys and
        values without a format of its own, in the vector format."""
        return replace(workload, ops=tuple(map(self._widened, workload.ops))) if workload.eager else workload

    def _widened(self, op: MatrixWork | VectorWork) -> MatrixWork | VectorWork:
        """As an eager framework stores it: results in the vector format; run-time operands too."""
        wide = self.wide_format
        if isinstance(op, VectorWork):
            return replace(op, input_format=wide, output_format=wide)
        if op.weights_static:
            return replace(op, output_format=wide)
        held = op.weight_format if op.weight_format != op.input_format else wide  # a cache may be narrower
        return replace(op, input_format=wide, weight_format=held, output_format=wide)

    def _eager(self, asked: MatrixWork | VectorWork, op: MatrixWork, place: Placement) -> Iterator[Kernel]:
        """A product with what a framework runs around it: a cast to the product's input format. Convolutions are of
        NHWC tensors (PyTorch's channels_last), which need no turning."""
        if bits_per_element(asked.input_format) < bits_per_element(self.wide_format):
            yield self._moved("Cast", op.input_elements, self.wide_format, op.input_format)
        thin = place.first and op.op == "Conv"
        if thin:
            yield from [self._moved("Transpose", op.input_elements, op.input_format, op.input_format)] * IMAGE_KERNELS
        for kernel in product(op, place, self.rates, self.table):
            windows = op.op == "Conv" and op.input_elements < op.m * op.k and op.groups == 1
            conv = windows and self.spec.convolution_launch_s
            launch = conv or self.spec.network_launch_s
            made = replace(kernel, launch_s=launch.value) if launch and kernel.counts.mac else kernel
            yield replace(made, cycles=max(made.cycles, self._image_cycles(op))) if thin else made

    def _image_cycles(self, op: MatrixWork) -> float:
        """Cycles of a convolution of an image, whose few channels leave tensor cores mostly empty."""
        rate = self.rates.sms * self.rates.macs_per_cycle
        if op.n == STEM_FILTERS and op.k < STEM_INPUTS:
            return op.macs / (rate * STEM_RATE)
        columns = min(op.n, IMAGE_TILE)
        blocks = ceil_div(op.m, IMAGE_TILE) * ceil_div(op.n, columns)
        return ceil_div(blocks, self.rates.sms) * self.rates.sms * IMAGE_TILE * columns * op.k / (rate * IMAGE_RATE)

    def _launched(self, more_s: float) -> Kernel:
        """A kernel so small that its launch is nearly all."""
        return Kernel((self.spec.vector_launch_s or self.spec.launch_s).value + more_s, table=self.table)

    def _moved(self, op: str, elements: int, before: str, after: str) -> Kernel:
        """A kernel that only rewrites a tensor."""
        work = VectorWork("", op, elements, elements, elements, before, after)
        return self._vector(work, self._place(work, False, False), eager=True)

    def _riding(self, op: VectorWork) -> Kernel:
        return Kernel(0.0, table=self.table, counts=ActionCounts(vector_op=op.operations))

    def _vector(self, op: VectorWork, place: Placement, eager: bool) -> Kernel:
        """Elementwise, norm, softmax, pooling: bytes through memory or the L2 against lanes."""
        read, written = input_bytes(op), output_bytes(op)
        dram = (0 if place.input_resident else read) + (0 if place.output_resident else written)
        each = LANE_OPERATIONS.get(op.op) or (EAGER_LANE_OPERATIONS.get(op.op, 0) if eager else 0)
        operations = max(op.operations, each * op.output_elements)
        cycles, launch_s = operations / self.lanes, (self.spec.vector_launch_s or self.spec.launch_s).value
        if op.row:
            cycles = max(cycles, op.output_elements / op.row * NORM_ROW_CYCLES / self.rates.sms)
            launch_s += NORM_S + NORM_ELEMENT_S * op.row
        if eager and op.op == "BatchNormalization":
            launch_s += BATCH_NORM_S
        elif eager and op.op == "GlobalAveragePool":
            launch_s += POOL_S
        return Kernel(
            launch_s=launch_s,
            cycles=cycles,
            shared_s=(read + written) / (self.spec.shared.bytes_per_s.value * STREAM_SHARE),
            memory_s=dram / (self.spec.dram.bytes_per_s.value * share(self.spec.dram_stream_share)),
            table=self.table,
            counts=ActionCounts(vector_op=operations, shared_bytes=read + written - dram, dram_bytes=dram),
        )

    def _attention(self, scores: MatrixWork, values: MatrixWork, causal: bool) -> Kernel:
        """Scores, softmax and values in one kernel that keeps the scores on the chip. With one query a head, blocks
        split the keys, so that all SMs work."""
        item_bytes = bits_per_element(scores.weight_format) / 8
        cached = sum(work.weight_elements for work in (scores, values)) * item_bytes
        launch_s = (self.spec.attention_launch_s or self.spec.launch_s).value
        macs = scores.macs + values.macs
        panels = ceil_div(scores.m, QUERY_BLOCK)
        blocks = scores.groups * panels
        kept = 1.0
        if causal:
            halves = ceil_div(scores.m, CAUSAL_ROWS)
            kept = min(1.0, (halves + CAUSAL_MORE) / (2 * halves))
            macs = round(macs * (panels + 1) / (2 * panels))
        if scores.m > 1:
            tile = 2 * scores.k / self.wide_rates.macs_per_cycle + 1 / EXPONENTIALS_PER_CYCLE
            keys = ceil_div(scores.n, KEY_BLOCK) * KEY_BLOCK * kept
            block = BLOCK_CYCLES + QUERY_BLOCK * keys * tile / share(self.spec.attention_share)
            cycles = ceil_div(blocks, self.rates.sms) * block
        else:
            room = self.rates.sms * BLOCKS_TOGETHER
            parts = max(1, min(ceil_div(scores.n, SPLIT_KEYS), room // blocks))
            keys_bytes = 2 * scores.n * scores.k * item_bytes / parts
            cycles = ceil_div(blocks * parts, room) * keys_bytes / KEY_BYTES_PER_CYCLE
        moved = cached + input_bytes(scores) + output_bytes(values)
        dram = 0.0 if scores.m > 1 and moved <= self.spec.shared.capacity_bytes.value // 2 else cached
        # A tile of keys is written to shared memory once a block and read once for every 16 rows of queries.
        padded = ceil_div(scores.m, FRAGMENT_ROWS) / scores.m
        fetched = panels * cached + input_bytes(scores) + output_bytes(values)
        return Kernel(
            launch_s=launch_s,
            cycles=cycles,
            shared_s=fetched / self.spec.shared.bytes_per_s.value,
            memory_s=dram / (self.spec.dram.bytes_per_s.value * share(self.spec.dram_read_share)),
            table=self.wide_table,
            counts=ActionCounts(
                mac=macs,
                vector_op=10 * macs / scores.k / 2,
                scratchpad_bytes=2 * cached if scores.m == 1 else panels * cached + macs * padded * item_bytes,
                shared_bytes=max(0.0, fetched - dram),
                dram_bytes=dram,
            ),
        )


def _attends(ops: tuple[MatrixWork | VectorWork, ...], index: int) -> bool:
    """Whether scores, softmax and values start here."""
    if index + 2 >= len(ops):
        return False
    scores, softmax, values = ops[index : index + 3]
    return (
        isinstance(scores, MatrixWork)
        and not scores.weights_static
        and softmax.op.endswith("Softmax")
        and isinstance(values, MatrixWork)
        and not values.weights_static
    )
