"""cocotb test: drive the inputs that lie in this folder, one value a port and cycle, and record every valid result.

Inputs change at falling edges; a result belongs to the cycle in whose middle it is seen. Cycle t is the one in which
row t of the inputs is set, and the rising edge that ends it takes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

PERIOD_NS = 10


@cocotb.test()
async def replay(dut: Any) -> None:
    """Replay ``inputs.npz`` (port -> uint8 [cycles, bytes], little-endian) and write ``outputs.npz``."""
    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    with np.load("inputs.npz", allow_pickle=False) as inputs:
        ports = [
            (getattr(dut, name), [int.from_bytes(row.tobytes(), "little") for row in inputs[name]])
            for name in inputs.files
        ]
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
    np.savez(
        "outputs.npz",
        cycles=np.array(cycles, dtype=np.int64),
        rows=np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, size),
        known=np.array(known, dtype=np.bool_),
    )
