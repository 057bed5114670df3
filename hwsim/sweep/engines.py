"""Who computes the points: processes of this machine (joblib), or a cluster (dask.distributed).

Both yield outcomes as they come, and neither loses a point when a worker dies: it is tried again elsewhere, and a point
that takes its worker down each time is recorded as failed.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from hwsim.errors import DataError, ToolError
from hwsim.sweep.evaluate import Outcome
from hwsim.sweep.space import Point

Ask = Callable[[Point], Outcome]
Jobs = Mapping[str, Point]
"""Key -> point."""

AGAIN = 2
"""Times that a job is given to a cluster again when dask gives it up, after four dead workers."""
AHEAD = 3
"""Tasks that a cluster holds for each thread, so that none waits for the next."""
TASK_S = 0.5
"""What a task of several points may take; a point that takes longer is a task of its own."""
ANSWER_S = 10
"""Seconds that a scheduler has to answer."""

_DIED = "the worker process died (killed, or out of memory)"


class Engine(Protocol):
    """Computes points."""

    def run(self, ask: Ask, jobs: Jobs) -> Iterator[tuple[str, Outcome]]:
        """Outcomes of the jobs, as they come."""
        ...


class Local:
    """Processes of this machine.

    Args:
        workers: how many; None is one a core. With one, points are computed in this process.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))

    def run(self, ask: Ask, jobs: Jobs) -> Iterator[tuple[str, Outcome]]:
        """Outcomes of the jobs, as they come; one that kills its worker alone twice has failed."""
        if self.workers == 1 or len(jobs) == 1:
            for key, point in jobs.items():
                yield key, ask(point)
            return
        left, together = dict(jobs), 2
        while left and together:
            try:
                yield from self._pooled(ask, left, self.workers)
            except BrokenProcessPool:
                together -= 1
        for key in list(left):
            for _ in range(2):
                try:
                    yield from self._pooled(ask, {key: left[key]}, 1)
                    break
                except BrokenProcessPool:
                    continue
            else:
                yield key, Outcome(error=_DIED)

    @staticmethod
    def _pooled(ask: Ask, left: dict[str, Point], workers: int) -> Iterator[tuple[str, Outcome]]:
        """Compute ``left`` in worker processes and strike off what is done."""
        try:
            from joblib import Parallel, delayed, parallel_config
        except ModuleNotFoundError:
            raise ToolError("several processes need joblib", hint="pip install 'hwsim[sweep]', or --jobs 1") from None
        # A sweep that is broken off gives up what its workers are at; joblib would advise against it, line by line.
        warnings.filterwarnings("ignore", ".*(tasks which were still being processed|but not used)", UserWarning)
        threads = max(1, len(os.sched_getaffinity(0)) // workers)
        with parallel_config(backend="loky", n_jobs=max(workers, 2), inner_max_num_threads=threads):
            pool = Parallel(return_as="generator_unordered", batch_size=1 if len(left) < 64 else "auto")
            with _interrupts_held():
                results = pool(delayed(_keyed)(ask, key, left[key]) for key in list(left))
            for key, outcome in results:
                left.pop(key, None)
                yield key, outcome


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits. Processes that start here never see it: it is the parent's to say one line, and to end them."""
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as of_joblib

    heard, sys.warnoptions = sys.warnoptions, ["ignore"]  # what an interrupt leaves they clear, and need not tell
    for tracker in (resource_tracker, of_joblib):
        tracker.ensure_running()  # their start would let interrupts through again
    sys.warnoptions = heard
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


class Cluster:
    """A dask cluster that is already up; its workers see the same files and have hwsim installed.

    Args:
        scheduler: address, such as ``tcp://10.0.0.1:8786``, or a file that the scheduler wrote.

    Raises:
        ToolError: dask.distributed is missing, or the scheduler does not answer.
        DataError: the address cannot be read.
    """

    def __init__(self, scheduler: str) -> None:
        try:
            from distributed import Client
        except ModuleNotFoundError:
            raise ToolError("the engine dask needs dask.distributed", hint="pip install 'hwsim[cluster]'") from None
        place = {"scheduler_file": scheduler} if scheduler.endswith(".json") else {"address": scheduler}
        try:
            self._client: Any = Client(**place, timeout=ANSWER_S, set_as_default=False)
        except ValueError as error:
            raise DataError(f"expected an address such as tcp://127.0.0.1:8786: {error}", where=scheduler) from None
        except OSError as error:
            raise ToolError(f"the scheduler does not answer: {error}", where=scheduler) from None
        self._scheduler = scheduler

    def run(self, ask: Ask, jobs: Jobs) -> Iterator[tuple[str, Outcome]]:
        """Outcomes of the jobs, as they come; dask tries a task on other workers when one dies.

        A task holds as many points as take about ``TASK_S``: a scheduler spends a millisecond on each task.
        """
        from distributed import KilledWorker, as_completed

        waiting, left = deque(jobs), dict.fromkeys(jobs, AGAIN)
        held: dict[Any, list[str]] = {}
        coming = as_completed(loop=self._client.loop)

        def give(keys: list[str]) -> None:
            # One thing to the scheduler, which would look into a list of points.
            future = self._client.submit(partial(_timed, ask, [jobs[key] for key in keys]), pure=False)
            held[future] = keys
            coming.add(future)

        threads, counted, point_s = self._threads(), time.monotonic(), TASK_S
        while waiting or held:
            while waiting and len(held) < AHEAD * threads:
                share = math.ceil(len(waiting) / (AHEAD * threads))  # no worker ends long after the others
                size = max(1, min(round(TASK_S / point_s), share))
                give([waiting.popleft() for _ in range(min(size, len(waiting)))])
            future = next(coming)
            keys = held.pop(future)
            try:
                outcomes, took = future.result()
                point_s = max(took / len(keys), 1e-6)
            except KilledWorker:  # dask blames every task that a dead worker held; its points go on one by one
                lost = [key for key in keys if not left[key]]
                for key in keys:
                    if left[key]:
                        left[key] -= 1
                        give([key])
                keys, outcomes = lost, [Outcome(error=_DIED)] * len(lost)
            except Exception as error:
                raise ToolError(
                    f"the cluster failed: {error}", where=self._scheduler, hint="run the same command again to go on"
                ) from None
            yield from zip(keys, outcomes, strict=True)
            future.release()
            if time.monotonic() - counted > 1:  # workers come and go
                threads, counted = self._threads(), time.monotonic()

    def _threads(self) -> int:
        """Threads of all workers, at least one."""
        held: dict[str, int] = self._client.nthreads()
        return max(1, sum(held.values()))

    def close(self) -> None:
        """Leave the cluster; it stays up."""
        self._client.close()


def _timed(ask: Ask, points: list[Point]) -> tuple[list[Outcome], float]:
    """Outcomes, and the seconds that they took."""
    begun = time.perf_counter()
    return [ask(point) for point in points], time.perf_counter() - begun


def _keyed(ask: Ask, key: str, point: Point) -> tuple[str, Outcome]:
    return key, ask(point)
