"""A chip as a picture in text: its cores with their units, its memories, and the rates between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hwsim.report.humanise import THIN, si

if TYPE_CHECKING:
    from hwsim.target import AnalogMachine, GpuMachine, SystolicMachine, Target

WIDTH = 76
"""Of the picture, characters."""


def draw_chip(target: Target) -> str:
    """Boxes from the cores down to the memory chips; an arrow carries the rate between two of them.

    Example:
        >>> from hwsim.target import load_target
        >>> print(draw_chip(load_target("hwsim-int4-ws16")).splitlines()[0][:29])
        ┌─ hwsim-int4-ws16: hwsim 16x
    """
    machine = target.machine
    if machine.kind == "gpu":
        parts = _gpu(target, machine)
    elif machine.kind == "analog":
        parts = _analog(target, machine)
    else:
        parts = _systolic(target, machine)
    return "\n".join(_box(f"{target.name}: {target.title}", parts, WIDTH))


def _gpu(target: Target, machine: GpuMachine) -> list[str]:
    rates = ", ".join(
        f"{name} {mode.macs_per_cycle.value:,}" for name, mode in target.precisions.items() if mode.macs_per_cycle
    )
    core = [*_lines("tensor unit", f"{rates} MAC/cycle"), *_lines("vector unit", _vector(target))]
    port = machine.port_bytes_per_cycle
    link = [f"links to other chips: {_si(machine.link.bytes_per_s.value, 'B/s')} each way"] if machine.link else []
    return [
        *_inner(f"{machine.sms.value} SMs at {_si(machine.clock_hz.value, 'Hz')}", core),
        _arrow(
            _si(machine.shared.bytes_per_s.value, "B/s") + (f", {port.value:g} B/cycle an SM at most" if port else "")
        ),
        *_inner("L2", [_si(machine.shared.capacity_bytes.value, "B")]),
        *_memory(machine.dram.bytes_per_s.value, machine.dram.capacity_bytes.value),
        f"{_si(machine.power_limit_w.value, 'W')} at most, {_si(target.energy.static_w.value, 'W')} idle",
        *link,
    ]


def _systolic(target: Target, machine: SystolicMachine) -> list[str]:
    pads = machine.memory
    if machine.rows and machine.cols:
        array = f"{machine.rows.value} x {machine.cols.value}, {_FLOWS[machine.dataflow]}"
    else:
        blocks = (
            f"{name} {mode.block.m.value} x {mode.block.k.value} x {mode.block.n.value}"
            for name, mode in target.precisions.items()
            if mode.block
        )
        array = f"a block [m, k] x [k, n] a cycle: {', '.join(blocks)}"
    both = ", double-buffered" if pads.double_buffered else ""
    core = [
        *_lines("array", array),
        *_lines("vector unit", _vector(target)),
        *_lines(
            "memories",
            f"activations {_si(pads.activations_bytes.value, 'B')}, weights {_si(pads.weights_bytes.value, 'B')}, "
            f"sums {_si(pads.accumulators_bytes.value, 'B')}{both}",
        ),
    ]
    if pads.staging_bytes:
        core += _lines("staging", _si(pads.staging_bytes.value, "B"))
    cores = f"{machine.cores.value} core{'s' if machine.cores.value > 1 else ''} at {_si(machine.clock_hz.value, 'Hz')}"
    parts = [*_inner(cores, core)]
    if machine.shared:
        parts += [
            _arrow(_si(machine.shared.bytes_per_s.value, "B/s")),
            *_inner("shared memory", [_si(machine.shared.capacity_bytes.value, "B")]),
        ]
    parts += _memory(machine.dram.bytes_per_s.value, machine.dram.capacity_bytes.value)
    if machine.host:
        parts.append(f"host link: {_si(machine.host.bytes_per_s.value, 'B/s')}")
    return [*parts, f"{_si(target.energy.static_w.value, 'W')} whatever it does"]


def _analog(target: Target, machine: AnalogMachine) -> list[str]:
    what = "crossbar" if machine.medium == "resistive" else "mesh of light"
    core = [
        *_lines("cells", f"{machine.rows.value} x {machine.cols.value}, {machine.cell_bits.value} bits each"),
        *_lines("inputs", f"{machine.input_bits.value} bits a step"),
        *_lines(
            "converters",
            f"{machine.adc_bits.value} bits, {_si(machine.adc_hz.value, '')}samples/s, "
            f"one for {machine.columns_per_adc.value} columns",
        ),
    ]
    errors = machine.errors
    if errors:
        named = {
            "programming noise": errors.programming_noise,
            "read noise": errors.read_noise,
            "loss, dB": errors.loss_db,
            "drift exponent": errors.drift.exponent if errors.drift else None,
        }
        core += _lines("errors", ", ".join(f"{name} {found.value:g}" for name, found in named.items() if found))
    return [
        *_inner(f"{machine.arrays.value} arrays, each a {what}", core),
        *_lines("vector unit", _vector(target)),
        *_inner("buffer", [_si(machine.buffer_bytes.value, "B")]),
        *_memory(machine.dram.bytes_per_s.value, machine.dram.capacity_bytes.value),
        f"{_si(target.energy.static_w.value, 'W')} whatever it does",
    ]


_FLOWS = {"ws": "weights stay", "is": "inputs stay", "os": "sums stay"}


def _vector(target: Target) -> str:
    return f"{target.vector.operations_per_cycle.value:,} operations/cycle"


def _si(value: float, unit: str) -> str:
    return si(value, unit).replace(THIN, " ")


def _memory(bytes_per_s: float, capacity_bytes: int) -> list[str]:
    return [_arrow(_si(bytes_per_s, "B/s")), *_inner("memory chips", [_si(capacity_bytes, "B")])]


def _arrow(rate: str) -> str:
    return f"      ↕ {rate}"


def _lines(label: str, text: str) -> list[str]:
    """``label  text``, wrapped under the text."""
    room, words, out = WIDTH - 8 - 13, text.split(), [""]
    for word in words:
        if out[-1] and len(out[-1]) + len(word) + 1 > room:
            out.append(word)
        else:
            out[-1] = f"{out[-1]} {word}".strip()
    return [f"{label if not at else '':12} {line}" for at, line in enumerate(out)]


def _inner(title: str, lines: Iterable[str]) -> list[str]:
    return _box(title, lines, WIDTH - 4)


def _box(title: str, lines: Iterable[str], width: int) -> list[str]:
    head = f"┌─ {title[: width - 6]} "
    body = [f"│ {line:{width - 4}} │" for line in lines]
    return [f"{head}{'─' * (width - len(head) - 1)}┐", *body, f"└{'─' * (width - 2)}┘"]
