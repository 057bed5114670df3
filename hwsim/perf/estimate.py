"""Walk a workload over a target's machine model: cycles, then energy, then totals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwsim.errors import DataError, TargetError
from hwsim.ir.workload import MatrixWork, Workload
from hwsim.perf.analog import AnalogModel
from hwsim.perf.array import ArrayMachine
from hwsim.perf.constraints import check
from hwsim.perf.energy import ACTIONS, EnergyTable
from hwsim.perf.gpu import GpuModel
from hwsim.perf.machine import (
    Machine,
    Placement,
    input_bytes,
    named,
    output_bytes,
    signature,
    sparse_rate,
    weight_bytes,
)
from hwsim.perf.result import COMPONENTS, Estimate, LayerEstimate
from hwsim.perf.sizes import bits_per_element
from hwsim.perf.systolic import ceil_div

if TYPE_CHECKING:
    from hwsim.target import Precision, Target


def estimate(workload: Workload, target: Target, precision: str | None = None) -> Estimate:
    """Time and energy of one pass of ``workload`` on ``target``.

    Args:
        workload: matrix products and vector operations in order.
        target: from :func:`hwsim.target.load_target`.
        precision: a precision of the target; default: the one the workload was bound to, else the one that takes its
            operand formats (weights may be stored in fewer bits and widened on the way in).

    Raises:
        TargetError: no such precision, none that takes the workload's formats, or 2:4 weights at one without them.
        DataError: a workload without operations.

    Several chips (``Workload.chips``) work in step: rows and time are one's, energy and MACs all of theirs.
    """
    if not workload.ops:
        raise DataError("expected at least one operation, found none", where=workload.name)
    name = precision or workload.precision or matching_precision(workload, target)
    spec = target.precision(name)
    if workload.chips > 1 and (target.machine.kind != "gpu" or target.machine.link is None):
        raise TargetError(
            f"{target.name} declares no links to other chips",
            where=workload.name,
            hint="machine.link, as targets/nvidia-h100.yaml has it",
        )
    sparse = any(isinstance(op, MatrixWork) and op.sparse for op in workload.ops)
    if sparse and spec.sparse_2to4 is None:
        have = [name for name, mode in target.precisions.items() if mode.sparse_2to4]
        raise TargetError(
            f"{target.name} takes no 2:4 weights at precision {name}",
            where=workload.name,
            hint=f"it does at {', '.join(have)}" if have else "no precision of it does",
        )
    machine = _machine(target, spec, workload)
    table = EnergyTable.of(target, spec)
    rows, held_hz = machine.run(workload) if isinstance(machine, GpuModel) else (_walk(workload, machine, table), None)
    held = machine.lowering.held(workload) if isinstance(machine, GpuModel) else workload
    energy = {part: workload.chips * sum(row.energy_pj[part] for row in rows) for part in COMPONENTS}
    counts = {action: sum(row.actions[action] for row in rows) for action in ACTIONS}
    low_pj, high_pj = table.band(energy, counts)
    seconds = sum(row.seconds for row in rows)
    joules = sum(energy.values()) / 1e12
    return Estimate(
        workload=workload.name,
        target=target.name,
        precision=name,
        batch=workload.batch,
        clock_hz=machine.clock_hz,
        cycles=sum(row.cycles for row in rows),
        seconds=seconds,
        joules=joules,
        rows=rows,
        energy_pj=energy,
        peak_macs_per_s=machine.peak_macs_per_s * max(sparse_rate(op, spec) for op in workload.ops),
        dram_bytes_per_s=machine.dram_bytes_per_s,
        inferences_per_s=workload.batch / seconds if seconds else 0.0,
        macs=workload.macs,
        evidence=_evidence(target, spec, table, sparse, workload.chips),
        held_clock_hz=held_hz or machine.clock_hz,
        constraints=check(held, target, seconds=seconds, joules=joules / workload.chips),
        chips=workload.chips,
        joules_low=low_pj / 1e12,
        joules_high=high_pj / 1e12,
    )


def peak_macs_per_s(target: Target, precision: str | None = None) -> float:
    """Most multiply-accumulates a second of a target at a precision (its default where none is given).

    Raises:
        TargetError: no such precision.
    """
    return _machine(target, target.precision(precision)).peak_macs_per_s


def matching_precision(workload: Workload, target: Target) -> str:
    """The target's precision for the operand formats of the workload's largest product.

    Formats equal to a precision's come first; then equal activations with weights stored in fewer bits than the
    precision's.

    Raises:
        TargetError: none fits; names what the target has.
    """
    products = [op for op in workload.ops if isinstance(op, MatrixWork)]
    if not products:
        return target.default_precision
    main = max(products, key=lambda op: op.macs)
    order = sorted(target.precisions, key=lambda name: name != target.default_precision)
    for name in order:
        spec = target.precisions[name]
        if (main.weight_format, main.input_format) == (spec.weights.format, spec.activations.format):
            return name
    for name in order:
        spec = target.precisions[name]
        narrower = bits_per_element(main.weight_format) <= bits_per_element(spec.weights.format)
        if main.input_format == spec.activations.format and narrower:
            return name
    have = ", ".join(f"{name} ({p.weights.format} x {p.activations.format})" for name, p in target.precisions.items())
    bits = bits_per_element(main.weight_format)
    takes = [p.activations.format for p in target.precisions.values() if bits <= bits_per_element(p.weights.format)]
    under = f"; {main.weight_format} weights go with activations in {', '.join(dict.fromkeys(takes))}" if takes else ""
    raise TargetError(
        f"{target.name} has no precision for {main.weight_format} weights and {main.input_format} activations",
        where=main.name,
        hint=f"it has: {have}{under}",
    )


def _machine(target: Target, precision: Precision, workload: Workload | None = None) -> Machine | GpuModel:
    if target.machine.kind == "gpu":
        return GpuModel(target, target.machine, precision)
    if target.machine.kind == "analog":
        return AnalogModel(target, target.machine, precision, workload)
    return ArrayMachine(target, target.machine, precision)


def _walk(workload: Workload, machine: Machine, table: EnergyTable) -> tuple[LayerEstimate, ...]:
    """One row an operation. A tensor stays on the chip when it takes at most half of the machine's home memory (its
    neighbour needs the other half); the network's input and output always cross the memory interface."""
    room = machine.home_bytes // 2
    weights = sum(weight_bytes(op) for op in workload.ops if isinstance(op, MatrixWork) and op.weights_static)
    last = max(index for index, op in enumerate(workload.ops) if not getattr(op, "fused", False) or index == 0)
    rows: list[LayerEstimate] = []
    known: dict[tuple[object, ...], LayerEstimate] = {}
    slack = 0
    for index, op in enumerate(workload.ops):
        place = Placement(
            input_resident=index > 0 and input_bytes(op) <= room,
            output_resident=index < last and output_bytes(op) <= room,
            first=index == 0,
            last=index == last,
            weights_resident=weights <= machine.resident_weights_bytes,
        )
        # Analog arrays are shared out by name; elsewhere operations that are alike cost alike.
        alike = (op,) if isinstance(machine, AnalogModel) else signature(op)
        key = (*alike, place, 0 if isinstance(op, MatrixWork) else slack)
        if key not in known:
            known[key] = (
                machine.matrix(op, place, table)
                if isinstance(op, MatrixWork)
                else machine.vector(op, place, table, slack)
            )
        rows.append(named(known[key], op.name))
        if isinstance(op, MatrixWork):
            slack = rows[-1].cycles
        else:
            slack = max(0, slack - ceil_div(op.operations, machine.vector_rate)) if op.fused else 0
    return tuple(rows)


def unread(target: Target, chips: int = 1) -> tuple[str, ...]:
    """Paths of numbers of a target's machine that no time rests on: a GPU's launch includes the wait for its memory,
    some of its numbers only price work, and one chip has no use for links."""
    if target.machine.kind != "gpu":
        return ()
    priced = ("machine.active_w", "machine.dequantize.operations_per_weight", "machine.link.pj_per_byte")
    return ("machine.dram.latency_s", *priced, *(("machine.link.",) if chips == 1 else ()))


def _evidence(target: Target, precision: Precision, table: EnergyTable, sparse: bool, chips: int) -> dict[str, str]:
    """The weakest kind of evidence under each claim."""
    from hwsim.numerics import units
    from hwsim.target import KINDS

    skipped = unread(target, chips)
    timing = [
        quantity.kind
        for path, quantity in target.quantities()
        if path.startswith(("machine.", "vector.")) and not path.startswith(skipped)
    ]
    timing += [
        count.kind for count in (precision.macs_per_cycle, precision.multicast, precision.macs_per_element) if count
    ]
    if sparse and precision.sparse_2to4:
        timing.append(precision.sparse_2to4.rate.kind)
    if precision.block:
        timing += [precision.block.m.kind, precision.block.k.kind, precision.block.n.kind]
    priced = [kind for action, kind in table.kinds.items() if action != "link_bytes" or chips > 1]
    order: dict[str, int] = {kind: index for index, kind in enumerate(KINDS)}
    return {
        "arithmetic": units[precision.unit].evidence,
        "timing": max(timing, key=lambda kind: order[kind]),
        "energy": max(priced, key=lambda kind: order[kind]),
    }
