"""Split an elementwise kernel over threads. Kernels release the GIL; results do not depend on the number of threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_SERIAL_ELEMENTS = 1 << 17  # below this a second thread costs more than it saves

_pool: ThreadPoolExecutor | None = None
_workers = 1


def _open_pool() -> ThreadPoolExecutor:
    global _pool, _workers
    if _pool is None:
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        _workers = max(1, int(os.environ.get("NUMBA_NUM_THREADS", available)))
        _pool = ThreadPoolExecutor(_workers, thread_name_prefix="hwsim")
    return _pool


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def split(kernel: Callable[[int, int], int], items: int, elements: int) -> int:
    """Call ``kernel(first, last)`` over 0..items, in parallel where ``elements`` are many; OR the results together."""
    if items == 0:
        return 0
    if elements < _SERIAL_ELEMENTS or items == 1:
        return int(kernel(0, items))
    pool = _open_pool()
    if _workers == 1:
        return int(kernel(0, items))
    parts = min(items, _workers)
    edges = [items * part // parts for part in range(parts + 1)]
    futures = [pool.submit(kernel, edges[part], edges[part + 1]) for part in range(1, parts)]
    status = int(kernel(edges[0], edges[1]))
    for future in futures:
        status |= int(future.result())
    return status
