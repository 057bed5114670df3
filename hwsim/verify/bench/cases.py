"""cocotb test: drive the cases that lie in this folder and record what every output shows.

With a clock, case t is set in the middle of cycle t and what the outputs show is seen just before; without one, outputs
are seen after they settle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer
from cocotb.types import Logic

PERIOD_NS = 10


@cocotb.test()
async def cases(dut: Any) -> None:
    """Drive ``<port>.bin`` (``bytes`` little-endian bytes a case); write ``<output>.out`` and which cases hold no X."""
    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    ports = []
    for name, size in job["bytes"].items():
        raw = Path(f"{name}.bin").read_bytes()
        values = [int.from_bytes(raw[at : at + size], "little") for at in range(0, len(raw), size)]
        ports.append((getattr(dut, name), values))
    outputs = {name: getattr(dut, name) for name in job["outputs"]}
    sizes = {name: (len(port) + 7) // 8 for name, port in outputs.items()}
    rows: dict[str, list[bytes]] = {name: [] for name in outputs}
    known: list[bool] = []
    held: list[int | None] = [None] * len(ports)

    def see() -> None:
        clean = True
        for name, port in outputs.items():
            value = port.value
            clean &= value.is_resolvable
            word = 0
            if value.is_resolvable:
                word = int(value) if isinstance(value, Logic) else value.to_unsigned()
            rows[name].append(word.to_bytes(sizes[name], "little"))
        known.append(clean)

    if job["clocked"]:
        Clock(dut.clk, PERIOD_NS, unit="ns").start()
        if hasattr(dut, "rst"):
            dut.rst.value = 1
            await FallingEdge(dut.clk)
            await FallingEdge(dut.clk)
            dut.rst.value = 0
    for case in range(job["cases"]):
        if job["clocked"]:
            await FallingEdge(dut.clk)
            see()
        for index, (port, values) in enumerate(ports):
            if values[case] != held[index]:
                port.value = held[index] = values[case]
        if not job["clocked"]:
            await Timer(PERIOD_NS, "ns")
            see()
    for name, seen in rows.items():
        Path(f"{name}.out").write_bytes(b"".join(seen))
    Path("result.json").write_text(json.dumps({"known": known, "bytes": sizes}), encoding="utf-8")
