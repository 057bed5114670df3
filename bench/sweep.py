"""How fast a sweep goes, and that it loses nothing when it is killed.

    python -m bench.sweep rate --workers 1 2              processes of this machine
    python -m bench.sweep rate --workers 1 2 --dask       workers of a real dask cluster on loopback
    python -m bench.sweep rate --workers 1 2 --apart      sweeps that know nothing of each other: the machine itself
    python -m bench.sweep kill --times 20                 kill -9 of the sweep with its workers, and again
    python -m bench.sweep kill --times 20 --dask          kill -9 of workers of a dask cluster while it runs
    python -m bench.sweep page --write reports/sweeps.md  the page, from what these left in sweeps.jsonl

Each adds a line to ``--log`` (sweeps.jsonl). ``kill`` ends with status 1 where the result differs by a byte.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RATE = {
    "name": "rate",
    "search": "random",
    "space": {
        "model": ["resnet50", "mobilenet_v2", "vit_b_16"],
        "target": "hwsim-int4-ws16",
        "machine.rows": {"low": 8, "high": 256, "whole": True},
        "machine.cols": {"low": 8, "high": 256, "whole": True},
        "machine.clock_hz": {"low": 1e8, "high": 1e9},
    },
    "objectives": ["latency_s", "energy_j"],
}
KILLED = """\
name: two-hundred
limit: 20
space:
  model: mnist-cnn
  target: hwsim-int4-ws16
  calibrator: [minmax, percentile]
  machine.rows: [8, 12, 16, 24, 32, 48, 64, 96, 128, 160]
  machine.clock_hz: {from: 1.0e+8, to: 1.0e+9, step: 1.0e+8}
objectives: [accuracy, latency_s, energy_j]
constraints:
  power_w: {max: 1}
"""
POINTS_A_WORKER = 2000
ENVIRONMENT = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """A scheduler and workers of one thread each, in processes of their own, on loopback."""
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None, "silence_logs": 50}
    with LocalCluster(n_workers=workers, **options) as up:
        yield up


def rate(workers: int, dask: bool) -> dict[str, Any]:
    """Points a minute, from the call to the result on disk; workers are up and have imported hwsim before."""
    from hwsim.sweep import sweep

    with tempfile.TemporaryDirectory() as folder:
        spec, warm = {**RATE, "points": POINTS_A_WORKER * workers}, {**RATE, "points": 40 * workers, "seed": 1}
        if dask:
            with cluster(workers) as up:
                sweep(warm, scheduler=up.scheduler_address)
                begun = time.perf_counter()
                found = sweep(spec, folder, scheduler=up.scheduler_address)
                took = time.perf_counter() - begun
        else:
            sweep(warm, jobs=workers)
            begun = time.perf_counter()
            found = sweep(spec, folder, jobs=workers)
            took = time.perf_counter() - begun
    assert len(found.rows) == POINTS_A_WORKER * workers
    assert not found.failed
    return {"workers": workers, "points": len(found.rows), "seconds": took, "a_minute": 60 * len(found.rows) / took}


def apart(workers: int) -> dict[str, Any]:
    """Points a minute of so many sweeps at once, each in a process and a folder of its own."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers + 1)
    processes = [context.Process(target=_apart, args=(barrier, seed)) for seed in range(2, 2 + workers)]
    for process in processes:
        process.start()
    barrier.wait()
    begun = time.perf_counter()
    for process in processes:
        process.join()
    took = time.perf_counter() - begun
    points = POINTS_A_WORKER * workers
    return {"workers": workers, "points": points, "seconds": took, "a_minute": 60 * points / took}


def _apart(barrier: Any, seed: int) -> None:
    from hwsim.sweep import sweep

    sweep({**RATE, "points": 40, "seed": 1}, jobs=1)
    barrier.wait()
    with tempfile.TemporaryDirectory() as folder:
        sweep({**RATE, "points": POINTS_A_WORKER, "seed": seed}, folder, jobs=1)


def start(spec: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """``hwsim sweep`` in a group of its own."""
    command = [sys.executable, "-m", "hwsim", "sweep", str(spec), "--out", str(out), *more]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=ENVIRONMENT, text=True, start_new_session=True, **pipes)


def ended(process: subprocess.Popen[str], out: Path) -> bytes:
    _, said = process.communicate()
    if process.returncode:
        sys.exit(said)
    return (out / "results.json").read_bytes()


def killed(times: int, folder: Path) -> dict[str, Any]:
    """Kill the sweep and its workers at random moments, go on each time, and hold the end against a whole run."""
    spec = folder / "spec.yaml"
    spec.write_text(KILLED)
    begun = time.perf_counter()
    want = ended(start(spec, folder / "whole", "--jobs", "2"), folder / "whole")
    took = time.perf_counter() - begun
    draw, hits, kept = random.Random(20), 0, []
    while hits < times:
        process = start(spec, folder / "killed", "--jobs", "2")
        try:
            process.wait(took * draw.random() * 3 / times + 1.5)
        except subprocess.TimeoutExpired:
            hits += 1
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
        process.communicate()
        kept.append(_points(folder / "killed"))
        if process.returncode == 0:  # all done before the last kill: begin again in another folder
            assert (folder / "killed/results.json").read_bytes() == want
            (folder / "killed").rename(folder / f"done{len(kept)}")
    same = ended(start(spec, folder / "killed", "--jobs", "2"), folder / "killed") == want
    return {"times": hits, "points": len(json.loads(want)["rows"]), "kept": kept, "same": same, "whole_s": took}


def killed_workers(times: int, folder: Path) -> dict[str, Any]:
    """Kill workers of a dask cluster at random moments while one sweep runs, again and again until enough."""
    spec = folder / "spec.yaml"
    spec.write_text(KILLED)
    want = ended(start(spec, folder / "whole", "--jobs", "2"), folder / "whole")
    draw, hits, runs, same = random.Random(21), 0, 0, True
    with cluster(2) as up:
        while hits < times and same:
            out = folder / f"dask{runs}"
            process = start(spec, out, "--engine", "dask", "--scheduler", up.scheduler_address)
            time.sleep(2)
            while process.poll() is None and hits < times:
                time.sleep(0.5 + 2 * draw.random())
                live = [worker.process.pid for worker in up.workers.values() if worker.process and worker.process.pid]
                if live and process.poll() is None:
                    os.kill(draw.choice(live), signal.SIGKILL)
                    hits += 1
            same = ended(process, out) == want
            runs += 1
    return {"times": hits, "points": len(json.loads(want)["rows"]), "runs": runs, "same": same}


def _points(folder: Path) -> int:
    """Points that the folder holds."""
    import sqlite3

    if not (folder / "points.sqlite").exists():
        return 0
    with sqlite3.connect(folder / "points.sqlite") as base:
        tables = base.execute("SELECT name FROM sqlite_master WHERE name = 'points'").fetchall()
        return int(base.execute("SELECT count(*) FROM points").fetchone()[0]) if tables else 0


PAGE = """\
# Sweeps: how fast, and what a kill costs

A point is a network on a chip, timed and priced: ResNet-50, MobileNet v2 or ViT-B/16 on our INT4 array with random
rows, columns and clock (`bench/sweep.py`, `RATE`). The time runs from the call to the result on disk; workers are up.

```
python -m bench.sweep rate --workers 1 2          # --dask: workers of a dask cluster on loopback
```

| engine | workers | points | points a minute | of ideal | machine, and its load |
|---|--:|--:|--:|--:|---|
{rates}

Ideal is the rate of one worker of the same engine on the same machine, times the workers. With as many workers as
cores, the sweep and the scheduler, a process more, share a core with a worker; and two "cores" may be threads of one.
`--apart` tells what the machine itself makes of more processes: sweeps that know nothing of each other.

A sweep keeps each point in a transaction of its own. It was killed with `kill -9`, all its processes at once, at
random moments, and started again each time; and its workers were killed while it ran. In the end the result was held
against an uninterrupted run, byte for byte. The points emulate a CNN, so that a kill finds work to interrupt.

```
python -m bench.sweep kill --times 20             # --dask: only the workers of a cluster
pytest -m slow tests/sweep                        # 20 kills of 200 points that are only estimated
```

| what was killed | points | kills | result |
|---|--:|--:|---|
{kills}
"""


def page(log: Path) -> str:
    """What the log holds, as Markdown."""
    held = [json.loads(line) for line in log.read_text().splitlines()]
    ones: dict[tuple[str, str], float] = {}
    rates, kills = [], []
    for line in held:
        found = line["found"]
        if line["what"] == "rate":
            key = (line["engine"], line["machine"])
            if found["workers"] == 1:
                ones[key] = found["a_minute"]
            ideal = f"{found['a_minute'] / (ones[key] * found['workers']):.0%}" if key in ones else ""
            rates.append(
                f"| {line['engine']} | {found['workers']} | {found['points']:,} | {found['a_minute']:,.0f} | {ideal} "
                f"| {line['machine']}, load {line['load']:.1f} |"
            )
        else:
            what = "workers of a dask cluster" if line["engine"] == "dask" else "the sweep and its workers"
            said = "the same bytes" if found["same"] else "**other bytes**"
            kills.append(f"| {what} | {found['points']} | {found['times']} | {said} |")
    return PAGE.format(rates="\n".join(rates), kills="\n".join(kills))


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m bench.sweep")
    ask.add_argument("what", nargs="?", choices=("rate", "kill", "page"), default="rate")
    ask.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    ask.add_argument("--times", type=int, default=20)
    ask.add_argument("--dask", action="store_true")
    ask.add_argument("--apart", action="store_true")
    ask.add_argument("--log", type=Path, default=Path("sweeps.jsonl"))
    ask.add_argument("--write", type=Path)
    told = ask.parse_args()
    if told.what == "page":
        text = page(told.log)
        told.write.write_text(text) if told.write else print(text)
        return 0
    engine = "apart" if told.apart else "dask" if told.dask else "joblib"
    machine = f"{len(os.sched_getaffinity(0))} cores"
    about = {"what": told.what, "engine": engine, "machine": machine}
    good = True
    for workers in told.workers if told.what == "rate" else (0,):
        load = os.getloadavg()[0]
        if told.what == "rate":
            found = apart(workers) if told.apart else rate(workers, told.dask)
        else:
            with tempfile.TemporaryDirectory() as folder:
                found = (killed_workers if told.dask else killed)(told.times, Path(folder))
            good &= found["same"]
        line = json.dumps({**about, "load": load, "found": found})
        print(line)
        with told.log.open("a") as log:
            print(line, file=log)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
