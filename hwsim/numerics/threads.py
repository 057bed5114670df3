"""Split work over threads. Kernels release the GIL; results do not depend on the number of threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

_SERIAL_ELEMENTS = 1 << 17  # below this a second thread costs more than it saves

_BLOCK = 1024  # rows of a float product that one call of BLAS takes
_SERIAL_MACS = 1 << 22

_pool: ThreadPoolExecutor | None = None
_blas: ThreadpoolController | None = None
_blas_lock = Lock()
_blas_users = 0
_blas_before: Any = None
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


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS takes one thread inside: how it cuts a product over threads shows in the last bits of float sums."""
    global _blas, _blas_users, _blas_before
    with _blas_lock:  # the limit is the whole process's: the last to leave gives it back
        if _blas is None:
            from threadpoolctl import ThreadpoolController

            _blas = ThreadpoolController()
        if _blas_users == 0:
            _blas_before = _blas.limit(limits=1, user_api="blas")
        _blas_users += 1
    try:
        yield
    finally:
        with _blas_lock:
            _blas_users -= 1
            if _blas_users == 0:
                _blas_before.restore_original_limits()


def product(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """``a`` [..., m, k] @ ``b`` [..., k, n] of floats: the same bits for any number of threads.

    A stack of matrices is cut between matrices, a single large one at every 1,024 rows, whoever computes the parts.
    """
    if a.ndim == b.ndim == 2:
        shape: tuple[int, ...] = (len(a), b.shape[1])
        items = -(-len(a) // _BLOCK)
    else:
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        shape, items = (*stack, a.shape[-2], b.shape[-1]), stack[0]
        a, b = (np.broadcast_to(part, (*stack, *part.shape[-2:])) for part in (a, b))
    out = np.empty(shape, np.result_type(a, b))

    def kernel(first: int, last: int) -> int:
        for at in range(first, last):
            part = slice(at * _BLOCK, (at + 1) * _BLOCK) if a.ndim == 2 else slice(at, at + 1)
            np.matmul(a[part], b if a.ndim == 2 else b[part], out=out[part])
        return 0

    with one_blas_thread():
        macs = out.size * a.shape[-1]
        split(kernel, items, _SERIAL_ELEMENTS if macs >= _SERIAL_MACS else 0)
    return out
