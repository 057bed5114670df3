"""A product of floats has the same bits for any number of threads, of BLAS and of our own."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from hwsim.numerics import threads
from hwsim.numerics.threads import product

SHAPES = [
    ((1, 512), (512, 1000)), ((7, 513), (513, 1001)), ((33, 70000), (70000, 17)), ((3000, 96), (96, 200)),
    ((5, 40, 300), (5, 300, 77)), ((40, 300), (3, 300, 7)), ((2, 3, 40, 30), (30, 8)),
]  # fmt: skip


@pytest.mark.parametrize(("a_shape", "b_shape"), SHAPES)
def test_bits_do_not_depend_on_threads(monkeypatch, a_shape: tuple[int, ...], b_shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(a_shape))
    a, b = rng.standard_normal(a_shape, dtype=np.float32), rng.standard_normal(b_shape, dtype=np.float32)
    threads._open_pool()
    monkeypatch.setattr(threads, "_SERIAL_MACS", 0)
    found = []
    for count in (1, 2, 3):
        monkeypatch.setattr(threads, "_workers", count)
        with threadpool_limits(count, user_api="blas"):
            found.append(product(a, b))
    assert found[0].dtype == np.float32
    np.testing.assert_allclose(found[0], a.astype(np.float64) @ b, rtol=0, atol=1e-5 * a.shape[-1] ** 0.5 * 5)
    assert {part.tobytes() for part in found} == {found[0].tobytes()}


def test_blas_has_its_threads_back() -> None:
    from threadpoolctl import threadpool_info

    def counts() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        before = counts()
        product(np.ones((4, 4), np.float32), np.ones((4, 4), np.float32))
        assert counts() == before


def test_blas_keeps_one_thread_until_the_last_has_left() -> None:
    from threadpoolctl import threadpool_info

    def counts() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        first, second = threads.one_blas_thread(), threads.one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert counts() == {1}
        second.__exit__(None, None, None)
        assert counts() == {2}
