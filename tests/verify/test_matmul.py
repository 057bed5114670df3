"""A matrix product on the simulated array against numpy, and the packing of lanes that it stands on."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.errors import DataError, UnitError
from hwsim.verify import rtl_matmul
from hwsim.verify.drive import pack_lanes, unpack_lanes
from tests.oracles import need_tool


@pytest.mark.parametrize(("bits", "lanes"), [(1, 1), (4, 16), (4, 3), (8, 5), (32, 4), (24, 3), (13, 7)])
def test_lanes_round_trip(bits: int, lanes: int) -> None:
    values = np.random.default_rng(bits).integers(-(1 << (bits - 1)), 1 << (bits - 1), (20, lanes))
    packed = pack_lanes(values, bits)
    assert packed.shape == (20, -(-lanes * bits // 8))
    np.testing.assert_array_equal(unpack_lanes(packed, lanes, bits), values)
    whole = int.from_bytes(packed[0].tobytes(), "little")
    assert [(whole >> (lane * bits)) % (1 << bits) for lane in range(lanes)] == (values[0] % (1 << bits)).tolist()


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (5, 4, 4), (7, 13, 9), (40, 8, 3)])
@pytest.mark.parametrize("with_c", [False, True])
def test_product_equals_numpy_and_takes_the_modelled_cycles(m: int, k: int, n: int, with_c: bool) -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")
    rng = np.random.default_rng([m, k, n])
    a, b = rng.integers(-8, 8, (m, k)), rng.integers(-8, 8, (n, k))
    c = rng.integers(-(1 << 31), 1 << 31, (m, n)).astype(np.int32) if with_c else None
    got, cycles = rtl_matmul(a & 15, b & 15, c, rows=4, cols=4)
    exact = a @ b.T + (0 if c is None else c.astype(np.int64))
    np.testing.assert_array_equal(got, exact.astype(np.int32))
    assert got.dtype == np.int32
    assert cycles == -(-k // 4) * -(-n // 4) * (2 * 4 + 4 + m - 2)


def test_more_rows_than_the_smallest_memory_holds() -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")
    rng = np.random.default_rng(0)
    a, b = rng.integers(-8, 8, (1500, 4)), rng.integers(-8, 8, (2, 4))
    got, _ = rtl_matmul(a & 15, b & 15, rows=2, cols=2)
    np.testing.assert_array_equal(got, a @ b.T)


def test_operands_that_do_not_fit() -> None:
    good = np.zeros((2, 3), dtype=np.uint8)
    with pytest.raises(DataError, match="must share K"):
        rtl_matmul(good, np.zeros((2, 4), dtype=np.uint8))
    with pytest.raises(DataError, match="non-empty matrix"):
        rtl_matmul(np.zeros((0, 3), dtype=np.uint8), good)
    with pytest.raises(UnitError, match=r"codes 0\.\.15"):
        rtl_matmul(good.astype(np.int64) - 1, good)
    with pytest.raises(UnitError, match=r"codes 0\.\.15"):
        rtl_matmul(good.astype(np.float32), good)
    with pytest.raises(DataError, match=r"c must be int32 \(2, 2\)"):
        rtl_matmul(good, good, np.zeros((2, 3), dtype=np.int32))
    with pytest.raises(DataError, match="1 or more rows"):
        rtl_matmul(good, good, rows=0)
