"""From a workload's operations to the kernels that a GPU runs.

A compiled workload fuses what it marks as fused. An eager one (``Workload.eager``) runs as PyTorch does: scale and bias
ride on products; every other vector operation is a kernel of its own; attention is one fused kernel; values between
kernels are 16 bits wide, so products of narrower formats are preceded by a cast.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING

from hwsim.ir.workload import MatrixWork, VectorWork, Workload
from hwsim.perf.energy import ActionCounts, EnergyTable
from hwsim.perf.gpu_kernels import Kernel
from hwsim.perf.gpu_matrix import FRAGMENT_ROWS, Rates, product, share
from hwsim.perf.machine import Placement, input_bytes, output_bytes
from hwsim.perf.sizes import bits_per_element
from hwsim.perf.systolic import ceil_div

if TYPE_CHECKING:
    from hwsim.target import GpuMachine, Precision, Target

RIDING = ("Requantize", "Dequantize")
"""Epilogues that library products take in: scale and bias."""

LANE_OPERATIONS = {"Normalization": 73, "Softmax": 134, "CausalSoftmax": 134, "Activation": 35}
"""Lane-cycles for an element where a kernel is slower than its published operations say: PyTorch's layer norm, softmax
and GELU, from their measured rates on one H100; they include reductions across lanes."""

QUERY_BLOCK = 128
"""Rows of queries that a block of the attention kernel holds (FlashAttention-2)."""


@dataclass(frozen=True, slots=True)
class Lowering:
    """Kernels of a target at one precision."""

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
            key = (workload.eager, edge, *map(_signature, group))
            if key not in self.known:
                self.known[key] = list(self._lower(group, workload.eager, *edge))
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
            yield self._riding(op) if rides else self._vector(op, place)
        elif not eager:
            yield product(op, place, self.rates, self.table)
        else:
            yield from self._eager(asked, op, place)

    def _place(self, op: MatrixWork | VectorWork, first: bool, last: bool) -> Placement:
        """A tensor of at most half of the L2 is still there when the next kernel reads it."""
        room = self.spec.shared.capacity_bytes.value // 2
        return Placement(
            input_resident=not first and input_bytes(op) <= room,
            output_resident=not last and output_bytes(op) <= room,
        )

    def _widened(self, op: MatrixWork | VectorWork) -> MatrixWork | VectorWork:
        """As an eager framework stores it: results in the vector format; run-time operands too."""
        wide = self.wide_format
        if isinstance(op, VectorWork):
            return replace(op, input_format=wide, output_format=wide)
        if op.weights_static:
            return replace(op, output_format=wide)
        return replace(op, input_format=wide, weight_format=wide, output_format=wide)

    def _eager(self, asked: MatrixWork | VectorWork, op: MatrixWork, place: Placement) -> Iterator[Kernel]:
        """A product with what a framework runs around it: a cast to the product's input format; for convolutions of
        NCHW tensors, turning them to NHWC and back."""
        if bits_per_element(asked.input_format) < bits_per_element(self.wide_format):
            yield self._moved("Cast", op.input_elements, self.wide_format, op.input_format)
        if op.op != "Conv" or op.groups > 1:
            yield product(op, place, self.rates, self.table)
        else:
            yield self._moved("Transpose", op.input_elements, op.input_format, op.input_format)
            launch_s = (self.spec.convolution_launch_s or self.spec.launch_s).value
            yield replace(product(op, place, self.rates, self.table), launch_s=launch_s)
            yield self._moved("Transpose", op.output_elements, op.output_format, op.output_format)

    def _moved(self, op: str, elements: int, before: str, after: str) -> Kernel:
        """A kernel that only rewrites a tensor."""
        work = VectorWork("", op, elements, elements, elements, before, after)
        return self._vector(work, self._place(work, False, False))

    def _riding(self, op: VectorWork) -> Kernel:
        return Kernel(0.0, table=self.table, counts=ActionCounts(vector_op=op.operations))

    def _vector(self, op: VectorWork, place: Placement) -> Kernel:
        """Elementwise, norm, softmax, pooling: bytes through memory or the L2 against lanes."""
        read, written = input_bytes(op), output_bytes(op)
        dram = (0 if place.input_resident else read) + (0 if place.output_resident else written)
        operations = max(op.operations, LANE_OPERATIONS.get(op.op, 0) * op.output_elements)
        return Kernel(
            launch_s=(self.spec.vector_launch_s or self.spec.launch_s).value,
            cycles=operations / self.lanes,
            shared_s=(read + written) / self.spec.shared.bytes_per_s.value,
            memory_s=dram / (self.spec.dram.bytes_per_s.value * share(self.spec.dram_stream_share)),
            table=self.table,
            counts=ActionCounts(vector_op=operations, shared_bytes=read + written - dram, dram_bytes=dram),
        )

    def _attention(self, scores: MatrixWork, values: MatrixWork, causal: bool) -> Kernel:
        """Scores, softmax and values in one kernel that keeps the scores on the chip. With one query a head, blocks
        split the keys, so that all SMs work."""
        cached = sum(work.weight_elements for work in (scores, values)) * bits_per_element(self.wide_format) / 8
        launch_s = (self.spec.attention_launch_s or self.spec.launch_s).value
        macs = scores.macs + values.macs
        panels = ceil_div(scores.m, QUERY_BLOCK)
        blocks = scores.groups * panels
        rate = self.wide_rates.macs_per_cycle * share(self.spec.attention_share)
        if causal:
            macs = macs * (panels + 1) // (2 * panels)
        cycles = macs / rate / (self.rates.sms if scores.m == 1 else blocks / ceil_div(blocks, self.rates.sms))
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
                scratchpad_bytes=panels * cached + macs * padded * bits_per_element(self.wide_format) / 8,
                shared_bytes=fetched,
                dram_bytes=dram,
            ),
        )


_MATRIX = attrgetter(*(field.name for field in fields(MatrixWork) if field.name != "name"))
_VECTOR = attrgetter(*(field.name for field in fields(VectorWork) if field.name != "name"))


def _signature(op: MatrixWork | VectorWork) -> object:
    """All of an operation but its name."""
    return _MATRIX(op) if isinstance(op, MatrixWork) else _VECTOR(op)


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
