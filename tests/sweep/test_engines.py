"""Local processes and a real dask cluster on loopback: all outcomes, none twice, also when workers are killed."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hwsim.errors import DataError, HwsimError, ToolError
from hwsim.sweep import engines, sweep
from hwsim.sweep.engines import Cluster, Local
from hwsim.sweep.evaluate import Task
from tests.oracles import need_module
from tests.sweep.sweeps import answer_or_die, small


def jobs(count: int, **more: Any) -> dict[str, dict[str, Any]]:
    return {f"job {n}": {"n": n, **more} for n in range(count)}


def test_local_processes() -> None:
    found = list(Local(2).run(answer_or_die, jobs(10)))
    assert sorted(key for key, _ in found) == sorted(jobs(10))
    assert all(outcome.values == {"latency_s": float(key.split()[1])} for key, outcome in found)


def test_a_point_that_kills_its_worker_is_recorded() -> None:
    given = jobs(8)
    given["job 3"]["die"] = True
    found = dict(Local(2).run(answer_or_die, given))
    assert len(found) == 8
    assert found["job 3"].values is None
    assert "died" in found["job 3"].error
    assert all(outcome.values for key, outcome in found.items() if key != "job 3")


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    given = jobs(8)
    given["job 5"].update(once=True, mark=str(tmp_path / "mark"))
    found = list(Local(2).run(answer_or_die, given))
    assert sorted(key for key, _ in found) == sorted(given)
    assert all(outcome.values for _, outcome in found)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = need_module("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as up:
        yield up


def test_a_cluster_gives_the_same_bytes(cluster: Any) -> None:
    here = sweep(small(), jobs=1)
    assert sweep(small(), scheduler=cluster.scheduler_address).to_json() == here.to_json()
    assert here.failed
    assert here.best


def test_killed_cluster_workers_lose_nothing(cluster: Any, tmp_path: Path) -> None:
    engine = Cluster(cluster.scheduler_address)
    given = jobs(40)
    found: dict[str, Any] = {}
    killed = 0
    for key, outcome in engine.run(answer_or_die, given):
        assert key not in found
        found[key] = outcome
        if len(found) in (5, 15):
            worker = list(cluster.workers.values())[killed % 2]
            os.kill(worker.process.pid, signal.SIGKILL)
            killed += 1
    engine.close()
    assert killed == 2
    assert sorted(found) == sorted(given)
    assert all(outcome.values for outcome in found.values())


def test_a_cluster_takes_short_points_together(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points of 20 ms go together in a task; a worker that dies of one takes none of its neighbours along."""
    engine = Cluster(cluster.scheduler_address)
    sizes: list[int] = []
    submit = engine._client.submit

    def counted(call: Any, **more: Any) -> Any:
        sizes.append(len(call.args[1]))
        return submit(call, **more)

    monkeypatch.setattr(engine._client, "submit", counted)
    given = jobs(150)
    given["job 90"].update(once=True, mark=str(tmp_path / "mark"))
    found = list(engine.run(answer_or_die, given))
    engine.close()
    assert sorted(key for key, _ in found) == sorted(given)
    assert all(outcome.values == {"latency_s": float(key.split()[1])} for key, outcome in found)
    assert sizes[0] == 1
    assert 4 < max(sizes) <= 25
    assert sum(sizes) == len(given)


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    need_module("distributed")
    monkeypatch.setattr(engines, "ANSWER_S", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(HwsimError) as caught:
        Cluster(f"tcp://127.0.0.1:{port}")
    assert isinstance(caught.value, ToolError | DataError)
    assert "\n" not in str(caught.value)


def test_an_error_of_a_point_is_one_line() -> None:
    outcome = Task(("latency_s",))({"model": "mnist-cnn", "target": "hwsim-int4-ws16", "machine.rows": -1})
    assert outcome.values is None
    assert "machine.rows" in outcome.error
    assert "\n" not in outcome.error
