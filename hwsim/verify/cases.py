"""Modules without memory, and pipelines: case in, answer out. A unit's golden says what is right."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.verify.drive import pack_lanes
from hwsim.verify.result import Point
from hwsim.verify.simulator import SIMULATORS, Design, simulate

Values = Mapping[str, NDArray[Any]]
"""Port -> integers [cases, lanes]: codes, bit patterns or signed numbers; of type object above 62 bits."""


@dataclass(frozen=True)
class Port:
    """A port of a case: ``lanes`` values of ``bits`` bits, lane i in bits [i * bits +: bits].

    ``fmt``: the format whose codes it carries, for messages (``fp32`` and ``fp16`` too); None: plain integers.
    """

    name: str
    bits: int
    lanes: int = 1
    fmt: str | None = None
    signed: bool = False

    def packed(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Rows of little-endian bytes, uint8 [cases, bytes]."""
        if values.dtype != object:
            return pack_lanes(values, self.bits)
        size, mask = -(-self.bits * self.lanes // 8), (1 << self.bits) - 1
        words = [sum((int(v) & mask) << (self.bits * i) for i, v in enumerate(row)) for row in values]
        return np.frombuffer(b"".join(word.to_bytes(size, "little") for word in words), np.uint8).reshape(-1, size)

    def lane(self, row: NDArray[np.uint8], lane: int) -> int:
        """One value out of a row of bytes."""
        value = int.from_bytes(row.tobytes(), "little") >> (self.bits * lane) & ((1 << self.bits) - 1)
        return value - (1 << self.bits) if self.signed and value >> (self.bits - 1) else value

    def told(self, value: int) -> str:
        """``-8 (0x8)``: the number of a code and the code, or the integer."""
        if self.fmt is None:
            return str(value)
        from hwsim.numerics import decode

        code = np.array([value], np.uint8 if self.bits <= 8 else np.uint16 if self.bits <= 16 else np.uint32)
        return f"{float(decode(code, self.fmt)[0]):.9g} (0x{value:0{-(-self.bits // 4)}X})"


def columns(**values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Cases of ports with one lane each."""
    return {name: held.astype(np.int64).reshape(-1, 1) for name, held in values.items()}


@dataclass(frozen=True)
class CaseUnit:
    """A module that answers each case by itself.

    Attributes:
        name: what ``hwsim verify --unit`` calls it. top: the module. parameters: of the module.
        inputs, outputs: its ports, without clock and reset.
        checks: check -> cases it drives, from random numbers and a wanted number of random cases.
        golden: answers of the golden model. points: coverage that inputs and answers reach.
        rows: input -> how many rows of it are presented, one a cycle, before the case itself (weights of a fold); such
            a port's values are [cases, rows, lanes], and its module has ``clk``, ``w_valid`` and ``w_first``.
    """

    name: str
    top: str
    parameters: Mapping[str, int | str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    checks: Mapping[str, Callable[[np.random.Generator, int], dict[str, NDArray[Any]]]]
    golden: Callable[[Values], dict[str, NDArray[Any]]]
    points: Callable[[Values, Values], tuple[Point, ...]]
    rows: Mapping[str, int]

    def port(self, name: str) -> Port:
        """The input of that name."""
        return next(port for port in self.inputs if port.name == name)

    def described(self, values: Values, case: int) -> str:
        """``a=-8 (0x8), b=7 (0x7)``: every input of one case; lanes in brackets, of which only those that are not 0."""
        return ", ".join(f"{port.name}={_lanes(port, values[port.name][case])}" for port in self.inputs)


def _lanes(port: Port, values: NDArray[Any]) -> str:
    flat = np.asarray(values).ravel()
    mask = (1 << port.bits) - 1
    told = [port.told(int(v) if port.fmt is None else int(v) & mask) for v in flat]
    if len(told) == 1:
        return told[0]
    kept = np.flatnonzero(flat)
    if len(kept) <= 3 < len(flat):
        return "[" + ", ".join(f"{i}: {told[i]}" for i in kept) + (", else 0]" if len(kept) else "all 0]")
    return "[" + " ".join(text.split(" ")[0] for text in told) + "]"


def run_cases(
    unit: CaseUnit, design: Design, values: Values, *, latency: int, sim: str, seed: int, wave: Path | None = None
) -> tuple[dict[str, NDArray[np.uint8]], NDArray[np.bool_], int]:
    """What the module answers: output -> uint8 [cases, bytes]; whether all its bits are known, bool [cases]; cycles.

    ``latency``: cycles from inputs to outputs of a module with a clock; 0 for one without.

    Raises:
        ToolError: the simulation could not be run.
    """
    packed = {port.name: port.packed(values[port.name]) for port in unit.inputs if port.name not in unit.rows}
    cases = len(next(iter(packed.values())))
    read = np.arange(cases)
    clocked = latency > 0 or bool(unit.rows)
    if unit.rows:
        packed, read = _with_rows(unit, values, packed, cases)
    elif clocked:
        packed = {name: np.concatenate([rows, np.repeat(rows[-1:], latency, axis=0)]) for name, rows in packed.items()}
        read = read + latency
    outputs = [port.name for port in unit.outputs]
    seen, known = drive_ports(design, packed, outputs, clocked, sim, seed, wave)
    sizes = {port.name: -(-port.bits * port.lanes // 8) for port in unit.outputs}
    cut = {name: np.ascontiguousarray(rows[read, : sizes[name]]) for name, rows in seen.items()}
    return cut, known[read], len(next(iter(packed.values()))) if clocked else 0


def _with_rows(
    unit: CaseUnit, values: Values, packed: dict[str, NDArray[np.uint8]], cases: int
) -> tuple[dict[str, NDArray[np.uint8]], NDArray[np.int64]]:
    """Each case is its rows, one a cycle, then the case itself; its answer stands in the cycle after that."""
    ((name, rows),) = unit.rows.items()
    span = rows + 2
    port = unit.port(name)
    shown = values[name].reshape(cases * rows, port.lanes)
    long = np.zeros((cases, span, -(-port.bits * port.lanes // 8)), np.uint8)
    long[:, :rows] = port.packed(shown).reshape(cases, rows, -1)
    valid, first = np.zeros((cases, span, 1), np.uint8), np.zeros((cases, span, 1), np.uint8)
    valid[:, :rows] = 1
    first[:, 0] = 1
    every = {other: np.repeat(held, span, axis=0) for other, held in packed.items()}
    every |= {name: long.reshape(cases * span, -1), "w_valid": valid.reshape(-1, 1), "w_first": first.reshape(-1, 1)}
    return every, np.arange(cases) * span + span - 1


def drive_ports(
    design: Design,
    inputs: Mapping[str, NDArray[np.uint8]],
    outputs: list[str],
    clocked: bool,
    sim: str,
    seed: int,
    wave: Path | None,
) -> tuple[dict[str, NDArray[np.uint8]], NDArray[np.bool_]]:
    """What each output shows, uint8 [cases, bytes], and in which cases no bit of them is unknown.

    With a clock a case is a cycle, and what it shows stands before its inputs are taken.
    """
    count = len(next(iter(inputs.values())))
    if SIMULATORS[sim].compiled:
        from hwsim.verify.compiled import Compiled

        with Compiled(design, seed=seed, wave=wave) as model:
            drive = model.replay if clocked else model.evaluate
            return drive(inputs, outputs), np.ones(count, np.bool_)
    with tempfile.TemporaryDirectory(prefix="hwsim-") as temporary:
        job = Path(temporary)
        for name, values in inputs.items():
            (job / f"{name}.bin").write_bytes(values.tobytes())
        sizes = {name: values.shape[1] for name, values in inputs.items()}
        settings = {"cases": count, "bytes": sizes, "outputs": outputs, "clocked": clocked}
        (job / "job.json").write_text(json.dumps(settings), encoding="utf-8")
        simulate(sim, design, "cases", job, seed=seed, wave=wave)
        end = json.loads((job / "result.json").read_text(encoding="utf-8"))
        seen = {
            name: np.fromfile(job / f"{name}.out", dtype=np.uint8).reshape(count, end["bytes"][name])
            for name in outputs
        }
    return seen, np.array(end["known"], dtype=np.bool_)
