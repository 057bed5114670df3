"""The GPU machine: a workload becomes kernels, kernels take time at a clock, and power sets the clock."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from hwsim.ir.workload import MatrixWork, VectorWork, Workload
from hwsim.perf.energy import ActionCounts
from hwsim.perf.gpu_kernels import Kernel, Power
from hwsim.perf.gpu_lower import Lowering
from hwsim.perf.machine import named, signature, sparse_rate
from hwsim.perf.result import COMPONENTS, LayerEstimate

if TYPE_CHECKING:
    from hwsim.target import GpuMachine, Precision, Target


class GpuModel:
    """A :class:`~hwsim.target.GpuMachine` at one precision."""

    def __init__(self, target: Target, spec: GpuMachine, precision: Precision) -> None:
        self.spec, self.precision = spec, precision
        self.lowering = Lowering.of(target, spec, precision)
        assert precision.macs_per_cycle is not None
        self.rate = precision.macs_per_cycle.value * spec.sms.value
        self.power = Power(
            highest_hz=spec.clock_hz.value,
            limit_w=spec.power_limit_w.value,
            slope=spec.voltage_slope.value if spec.voltage_slope else 0.0,
            static_w=target.energy.static_w.value,
            active_w=spec.active_w.value if spec.active_w else 0.0,
        )

    @property
    def clock_hz(self) -> float:
        return self.spec.clock_hz.value

    @property
    def peak_macs_per_s(self) -> float:
        return self.rate * self.clock_hz

    @property
    def dram_bytes_per_s(self) -> float:
        return self.spec.dram.bytes_per_s.value

    def run(self, workload: Workload) -> tuple[tuple[LayerEstimate, ...], float]:
        """One row an operation, and the SM clock that power allows, Hz."""
        kernels = self.lowering.kernels(workload)
        clock_hz = self.power.clock_hz([kernel for each in kernels for kernel in each])
        rows: list[LayerEstimate] = []
        known: dict[tuple[object, ...], LayerEstimate] = {}
        for op, each in zip(workload.ops, kernels, strict=True):
            key = (*signature(op), *map(id, each))
            if key not in known:
                known[key] = self._row(op, each, clock_hz)
            rows.append(named(known[key], op.name))
        return tuple(rows), clock_hz

    def _row(self, op: MatrixWork | VectorWork, kernels: list[Kernel], clock_hz: float) -> LayerEstimate:
        """Sum the kernels of an operation. Cycles count the highest clock; what a lowered one adds is stall."""
        seconds = sum(kernel.seconds(clock_hz) for kernel in kernels)
        counts = _total([kernel.counts for kernel in kernels], seconds)
        energy = dict.fromkeys(COMPONENTS, 0.0)
        for kernel in kernels:
            for part, pj in self.power.price(kernel, clock_hz).items():
                energy[part] += pj
        longest = max(kernels, key=lambda kernel: kernel.seconds(clock_hz), default=None)
        bound = longest.bound(clock_hz) if longest else "vector"
        if bound == "compute":
            bound = "power" if clock_hz < self.clock_hz else bound if isinstance(op, MatrixWork) else "vector"
        cycles = ceil(seconds * self.clock_hz)
        busy = min(cycles, ceil(sum(kernel.cycles for kernel in kernels)))
        matrix = isinstance(op, MatrixWork)
        macs = op.macs if isinstance(op, MatrixWork) else 0
        peak = self.rate * sparse_rate(op, self.precision) if matrix else self.lowering.lanes
        useful = macs if isinstance(op, MatrixWork) else op.operations
        sizes = (op.m, op.n, op.k, op.groups) if isinstance(op, MatrixWork) else (0, 0, 0, 0)
        return LayerEstimate(
            name=op.name,
            op=op.op,
            engine="matrix" if matrix else "vector",
            m=sizes[0],
            n=sizes[1],
            k=sizes[2],
            groups=sizes[3],
            macs=macs,
            operations=2 * macs if matrix else useful,
            cycles=cycles,
            compute_cycles=busy,
            stall_cycles=cycles - busy,
            seconds=seconds,
            utilisation=min(1.0, useful / (peak * cycles)) if cycles else 0.0,
            bound=bound,
            dram_bytes=round(counts.dram_bytes),
            sram_bytes=round(counts.scratchpad_bytes + counts.shared_bytes),
            actions=counts.as_dict(),
            energy_pj=energy,
        )


def _total(counts: list[ActionCounts], seconds: float) -> ActionCounts:
    parts = {name: sum(getattr(count, name) for count in counts) for name in ActionCounts().as_dict()}
    return ActionCounts(**{**parts, "static_s": seconds})
