"""Sweeps for the tests, and a process that runs one and can be killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any


def small(**more: Any) -> dict[str, Any]:
    """Sixteen points that take milliseconds each; every fourth fails (no such number of banks of memory)."""
    return {
        "name": "small",
        "space": {
            "model": ["mnist-cnn", "resnet50"],
            "target": "hwsim-int4-ws16",
            "machine.rows": {"from": 8, "to": 64, "factor": 2},
            "machine.cols": [16, -1],
        },
        "objectives": ["latency_s", "energy_j"],
        **more,
    }


SPEC_200 = """\
name: two-hundred
search: {search}
{points}
space:
  model: [mnist-cnn, resnet50]
  target: [hwsim-int4-ws16, gemmini]
  machine.rows: [8, 12, 16, 24, 32, 48, 64, 96, 128, 160]
  machine.clock_hz: [1.0e+8, 2.0e+8, 3.0e+8, 4.0e+8, 5.0e+8]
objectives: [latency_s, energy_j]
constraints:
  power_w: {{max: 1}}
"""


def run_sweep(spec: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """``hwsim sweep`` in a process of its own, in its own group."""
    return subprocess.Popen(
        [sys.executable, "-m", "hwsim", "sweep", str(spec), "--out", str(out), *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def answer_or_die(point: Any) -> Any:
    """An outcome at once, but for points with ``die``: they take the worker down; ``once``: only the first time."""
    import os
    import signal
    import time

    from hwsim.sweep.evaluate import Outcome

    mark = Path(str(point.get("mark", "")))
    if point.get("die") or (point.get("once") and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return Outcome({"latency_s": float(point["n"])})
