"""Made-up design spaces for tests of the page."""

from __future__ import annotations

import json

import numpy as np

from hwsim.report.points import Gauge, Limit, Points, Spot

GAUGES = {
    gauge.name: gauge
    for gauge in (
        Gauge("latency_s", "s", "min", "from first input to last output"),
        Gauge("energy_j", "J", "min", "an inference"),
        Gauge("accuracy", "", "max", "share of right answers"),
    )
}


def beaten(values: list[tuple[float, ...]], at: int) -> bool:
    """Some other point is as good everywhere and better somewhere; smaller is better."""
    mine = values[at]
    return any(all(a <= b for a, b in zip(o, mine, strict=True)) and o != mine for o in values)


def space(n: int = 60, *, failures: int = 2, limited: bool = True, tasks: int = 1, long_names: bool = False) -> Points:
    """``n`` points with three objectives; the best are found by holding every point against every other."""
    rng = np.random.default_rng(9)
    tail = "-with-a-name-that-nobody-would-like-to-read-twice" if long_names else ""
    latency, energy = 10 ** rng.uniform(-5, -2, n), 10 ** rng.uniform(-6, -3, n)
    share = rng.uniform(0.8, 0.99, n)
    allowed = [not limited or t < 5e-3 for t in latency]
    task = [f"model-{i % tasks}{tail}" for i in range(n)]
    best = []
    for i in range(n):
        rivals = [j for j in range(n) if allowed[j] and task[j] == task[i]]
        table = [(latency[j], energy[j], -share[j]) for j in rivals]
        best.append(allowed[i] and not beaten(table, rivals.index(i)))
    spots = [
        Spot(
            {"model": task[i], "target": f"chip-{i % 7}{tail}", "batch": str(2 ** (i % 5)), "context": "2048"},
            {"latency_s": float(latency[i]), "energy_j": float(energy[i]), "accuracy": float(share[i])},
            task[i] if tasks > 1 else "",
            allowed[i],
            best[i],
        )
        for i in range(n)
    ]
    spots += [
        Spot(
            {"model": "model-0", "target": f"broken-{i}", "batch": "1"},
            None,
            spots[0].task if spots else "",
            False,
            False,
            f"TargetError: broken-{i}.yaml:3: <b>no</b> such key",
        )
        for i in range(failures)
    ]
    return Points(
        name="made-up-space",
        description="A made-up design space.",
        gauges=GAUGES,
        objectives=("latency_s", "energy_j", "accuracy"),
        limits=(Limit("latency_s", None, 5e-3), Limit("accuracy", 0.85, None)) if limited else (),
        spots=tuple(spots),
        document=json.dumps([spot.error for spot in spots]),
        schema="hwsim.sweep.result/1",
        spec="name: made-up-space\n",
        command="hwsim sweep made-up-space.yaml",
        versions={"hwsim": "0.1.0"},
    )
