"""cocotb test: drive the inputs that lie in this folder, one value a port and cycle, and record every valid result.

Inputs change at falling edges; a result belongs to the cycle in whose middle it is seen. Cycle t is the one in which
row t of the inputs is set, and the rising edge that ends it takes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

PERIOD_NS = 10


@cocotb.test()
async def replay(dut: Any) -> None:
    """Replay ``<port>.bin`` (``bytes`` little-endian bytes a cycle); write each result row, and its cycle and kind."""
    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    ports = []
    for name, size in job["bytes"].items():
        raw = Path(f"{name}.bin").read_bytes()
        values = [int.from_bytes(raw[at : at + size], "little") for at in range(0, len(raw), size)]
        ports.append((getattr(dut, name), values))
    valid, result = getattr(dut, job["valid"]), getattr(dut, job["result"])
    size = (len(result) + 7) // 8
    cycles: list[int] = []
    rows: list[bytes] = []
    known: list[bool] = []
    held: list[int | None] = [None] * len(ports)

    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    for cycle in range(job["cycles"]):
        await FallingEdge(dut.clk)
        if valid.value == 1:
            value = result.value
            clean = value.is_resolvable
            cycles.append(cycle)
            rows.append(value.to_unsigned().to_bytes(size, "little") if clean else bytes(size))
            known.append(clean)
        for index, (port, values) in enumerate(ports):
            if values[cycle] != held[index]:
                port.value = held[index] = values[cycle]
    Path("rows.bin").write_bytes(b"".join(rows))
    Path("result.json").write_text(json.dumps({"cycles": cycles, "known": known, "bytes": size}), encoding="utf-8")
