"""What a use of a chip allows against what an estimate needs: power, latency, memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwsim.ir.workload import MatrixWork, Workload
from hwsim.perf.machine import input_bytes, output_bytes, weight_bytes
from hwsim.perf.result import Constraint

if TYPE_CHECKING:
    from hwsim.target import Target


def memory_needed(workload: Workload) -> int:
    """Bytes that must be held at once: weights, every second operand made at run time (a cache of keys and values is
    kept for all layers), and the largest operation's input and output."""
    products = [op for op in workload.ops if isinstance(op, MatrixWork)]
    return sum(map(weight_bytes, products)) + max(input_bytes(op) + output_bytes(op) for op in workload.ops)


def check(workload: Workload, target: Target, *, seconds: float, joules: float) -> tuple[Constraint, ...]:
    """Every limit that the target declares, and always its memory."""
    declared = target.constraints
    out = []
    if declared is not None and declared.power_w is not None and seconds > 0:
        limit = declared.power_w
        out.append(Constraint("power", "W", limit.value, joules / seconds, limit.kind))
    if declared is not None and declared.latency_s is not None:
        limit = declared.latency_s
        out.append(Constraint("latency", "s", limit.value, seconds, limit.kind))
    if declared is not None and declared.memory_bytes is not None:
        size, kind = declared.memory_bytes.value, declared.memory_bytes.kind
    else:
        own = target.machine.dram.capacity_bytes
        size, kind = own.value, own.kind
    out.append(Constraint("memory", "B", size, memory_needed(workload), kind))
    return tuple(out)
