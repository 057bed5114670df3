"""cocotb test of the tile engine behind AXI4-Stream (cocotbext-axi), with functional coverage (cocotb-coverage).

Beats are watched at falling edges, in the middle of the cycle at whose end they move.
"""

from __future__ import annotations

import json
import random
from itertools import repeat
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge
from cocotb_coverage.coverage import CoverCross, CoverPoint, coverage_db
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

PERIOD_NS = 10
GAP_SHARE = 0.4


class Bench:
    """Sources, sink, what they saw, and the points of coverage."""

    def __init__(self, dut: Any, job: dict[str, Any]) -> None:
        self.dut, self.job = dut, job
        ends = {"clock": dut.aclk, "reset": dut.aresetn, "reset_active_level": False}
        self.w = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis_w"), **ends)
        self.a = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis_a"), **ends)
        self.m = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), **ends)
        for end in (self.w, self.a, self.m):
            end.log.setLevel("WARNING")
        self.cycle = 0
        self.beats: list[dict[str, Any]] = []
        self.began: int | None = None
        self.expected: list[list[int]] = []
        self.sample = _points(job["points"])

    def send(self, fold: dict[str, Any]) -> None:
        """Queue the two packets of a fold."""
        for source, key, user in ((self.w, "w", 0), (self.a, "a", fold["user"])):
            size = len(source.bus.tdata) // 8
            data = b"".join(beat.to_bytes(size, "little") for beat in fold[key])
            source.send_nowait(AxiStreamFrame(data, tuser=user))
        self.sample["length"](len(fold["a"]))
        for row in fold["a_codes"]:
            for a, weights in zip(row, fold["w_codes"], strict=True):
                for w in weights:
                    self.sample["operands"](a, w)
        for scale in (code for side in fold["scales"] for code in side):
            self.sample["scale"](scale)

    async def watch(self) -> None:
        """Every cycle: beats that move, and whether they waited."""
        dut = self.dut
        streams = {
            name: tuple(getattr(dut, f"{prefix}_{part}") for part in ("tvalid", "tready", "tlast"))
            for name, prefix in (("w", "s_axis_w"), ("a", "s_axis_a"), ("m", "m_axis"))
        }
        waited = dict.fromkeys(streams, False)
        while True:
            await FallingEdge(dut.aclk)
            self.cycle += 1
            if dut.aresetn.value != 1:
                waited = dict.fromkeys(streams, False)
                continue
            for name, (valid, ready, last) in streams.items():
                if valid.value != 1:
                    continue
                if ready.value != 1:
                    waited[name] = True
                    continue
                if name == "w" and self.began is None:
                    self.began = self.cycle
                if name == "m":
                    self.take(bool(last.value == 1))
                self.sample["stall"](name, waited[name], bool(last.value == 1))
                waited[name] = False

    def take(self, last: bool) -> None:
        """A result beat."""
        value, bits = self.dut.m_axis_tdata.value, self.job["bits"]
        word = value.to_unsigned() if value.is_resolvable else 0
        signed = bool(self.job["points"]["ends"]) or self.job["points"]["nan_scale"] is None
        row = []
        for lane in range(self.job["lanes"]):
            part = word >> (lane * bits) & ((1 << bits) - 1)
            row.append(part - (1 << bits) if signed and part >> (bits - 1) else part)
        if len(self.beats) < len(self.expected):
            for number in self.expected[len(self.beats)]:
                self.sample["sum"](number)
        self.beats.append({"cycle": self.cycle, "row": row if value.is_resolvable else [None] * len(row), "last": last})

    def pause(self, gaps: bool, slow: bool = False) -> None:
        """Random gaps at both sources and stalls at the sink, or none."""
        for end in (self.w, self.a, self.m):
            long = slow and end is self.m
            end.set_pause_generator((_long_pauses() if long else _random_pauses()) if gaps else repeat(False))

    async def reset(self, cycles: int) -> None:
        """aresetn low; what is queued at the sources is dropped."""
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, cycles)
        for end in (self.w, self.a, self.m):
            end.clear()
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 1)

    async def act(self, told: dict[str, Any]) -> dict[str, Any]:
        """Drive one act; what came of it."""
        self.beats, self.began = [], None
        self.expected = [row for tile in told["sums"] for row in tile]
        self.pause(told["gaps"], told["slow"])
        for tile in told["packets"]:
            for fold in tile:
                self.send(fold)
        if told["reset_after"] is not None:
            if told["reset_after"]:
                await ClockCycles(self.dut.aclk, told["reset_after"])
            error = self.dut.error.value == 1
            self.pause(False)
            await self.reset(random.randint(1, 3))
            self.sample["reset"](bool(self.beats), self.began is not None)
        else:
            limit = self.cycle + self.job["limit"]
            while len(self.beats) < len(self.expected) and self.cycle < limit:
                await FallingEdge(self.dut.aclk)
            await ClockCycles(self.dut.aclk, 3)  # a beat too many would come now
            error = self.dut.error.value == 1
        last = self.beats[-1]["cycle"] if self.beats else 0
        return {"beats": self.beats, "cycles": last - (self.began or 0), "error": bool(error)}


def _random_pauses() -> Any:
    while True:
        yield random.random() < GAP_SHARE


def _long_pauses() -> Any:
    """A sink that takes nothing for so long that whatever is queued before it is full."""
    while True:
        yield from repeat(True, random.randint(1, 200))
        yield from repeat(False, random.randint(1, 20))


def _points(named: dict[str, Any]) -> dict[str, Any]:
    """The functions that sample, by name; every point lives in ``coverage_db``."""
    least_a, least_w = named["least"]

    @CoverPoint("engine.a", xf=lambda a, w: a, bins=named["a"])
    @CoverPoint("engine.w", xf=lambda a, w: w, bins=named["w"])
    @CoverCross("engine.operand_cross", items=["engine.a", "engine.w"])
    @CoverPoint("engine.least_x_least", xf=lambda a, w: (a, w) == (least_a, least_w), bins=[True])
    @CoverPoint("engine.zeros", xf=lambda a, w: a, bins=named["zeros"])
    def operands(a: int, w: int) -> None: ...

    @CoverPoint("engine.packet_length", bins=named["lengths"])
    def length(m: int) -> None: ...

    @CoverPoint("engine.stream", xf=lambda stream, stalled, last: stream, bins=["w", "a", "m"])
    @CoverPoint("engine.stalled", xf=lambda stream, stalled, last: stalled, bins=[False, True])
    @CoverPoint("engine.last", xf=lambda stream, stalled, last: last, bins=[False, True])
    @CoverCross(
        "engine.stall_x_last",
        items=["engine.stream", "engine.stalled", "engine.last"],
        ign_bins=[("w", True, True)],  # once it takes weights the engine takes all rows, so only the first can wait
    )
    def stall(stream: str, stalled: bool, last: bool) -> None: ...

    @CoverPoint(
        "engine.reset",
        xf=lambda results, weights: (weights, results),
        bins=[(False, False), (True, False), (True, True)],
    )
    def reset(results: bool, weights: bool) -> None: ...

    def nothing(*_: object) -> None: ...

    sampled: dict[str, Any] = {"operands": operands, "length": length, "stall": stall, "reset": reset}
    if named["ends"]:

        @CoverPoint("engine.saturation", bins=named["ends"])
        def total(value: int) -> None: ...

        sampled["sum"] = total
    if named["nan_scale"] is not None:

        @CoverPoint("engine.nan_scale", bins=[named["nan_scale"]])
        def scale(code: int) -> None: ...

        sampled["scale"] = scale
    return {"sum": nothing, "scale": nothing, **sampled}


@cocotb.test()
async def axis(dut: Any) -> None:
    """Drive the acts of ``job.json``; write what came, the cycles, and the coverage."""
    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    dut.aresetn.value = 0
    bench = Bench(dut, job)
    Clock(dut.aclk, PERIOD_NS, unit="ns").start()
    cocotb.start_soon(bench.watch())
    await bench.reset(3)
    acts = [await bench.act(told) for told in job["acts"]]
    singles = ("engine", "engine.a", "engine.w", "engine.stream", "engine.stalled", "engine.last")
    points = [
        {"name": name.removeprefix("engine.").replace("_", " "), "hits": item.coverage, "of": item.size}
        for name, item in coverage_db.items()
        if name not in singles
    ]
    Path("result.json").write_text(
        json.dumps({"acts": acts, "cycles": bench.cycle, "points": points}), encoding="utf-8"
    )
