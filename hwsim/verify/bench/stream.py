"""cocotb test: start the job that lies in this folder on a streaming harness, and say when and how it ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge

PERIOD_NS = 10


@cocotb.test()
async def stream(dut: Any) -> None:
    """Reset, let the harness run its job, and stop when it is done or the limit of cycles is spent."""
    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    for name in ("chains", "folds", "m"):
        getattr(dut, name).value = job[name]
    dut.rst.value = 1
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    if dut.done.value != 1:
        await First(RisingEdge(dut.done), ClockCycles(dut.clk, job["limit_cycles"]))
    done = dut.done.value == 1
    Path("result.json").write_text(json.dumps({"done": bool(done), "stray": int(dut.stray.value)}), encoding="utf-8")
