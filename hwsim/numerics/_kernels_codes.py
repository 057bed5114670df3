"""Compiled access to operands and accumulators as they lie in memory (numba), a tile at a time.

Every array of codes comes as its bytes, so that one compiled loop serves all code widths and no operand is ever decoded
as a whole. The host is little-endian, as the views of `matrix` are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

TILE_M = 64  # rows and columns of a tile of the result
TILE_N = 128


class Reader(NamedTuple):
    """How bytes become values.

    Attributes:
        table: float32, the value of every code of 1 or 2 bytes; not read for wider codes.
        size: bytes of a code: 1, 2, 4 or 8.
        shift: a 4-byte code moved up by it is a binary32 pattern; an 8-byte code is a binary64 pattern.
    """

    table: NDArray[np.float32]
    size: int
    shift: int


@njit(cache=True, nogil=True, error_model="numpy")
def read(codes: Any, reader: Any, row: int, k: int) -> float:
    """Value of element k of a row."""
    if reader.size == 1:
        return np.float64(reader.table[codes[row, k]])
    if reader.size == 2:
        return np.float64(reader.table[np.int64(codes[row, 2 * k]) | np.int64(codes[row, 2 * k + 1]) << 8])
    bits = np.int64(0)
    for i in range(reader.size):
        bits |= np.int64(codes[row, reader.size * k + i]) << (8 * i)
    if reader.size == 4:
        return np.float64(np.uint32(bits << reader.shift).view(np.float32))
    return np.int64(bits).view(np.float64)


@njit(cache=True, nogil=True, error_model="numpy")
def read_panel(codes: Any, reader: Any, row0: int, rows: int, k0: int, out: Any) -> None:
    """out[k, j] = element k0 + k of row row0 + j, for j < rows; 0 beyond the end of a row."""
    width = codes.shape[1] // reader.size
    for k in range(out.shape[0]):
        line = out[k]
        for j in range(rows):
            line[j] = read(codes, reader, row0 + j, k0 + k) if k0 + k < width else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def read_tile(store: Any, reader: Any, m0: int, n0: int, out: Any) -> None:
    """out[m, n] = element [m0 + m, n0 + n] of the accumulators."""
    for m in range(out.shape[0]):
        for n in range(out.shape[1]):
            out[m, n] = read(store, reader, m0 + m, n0 + n)


@njit(cache=True, nogil=True, error_model="numpy")
def _half(x: float) -> Any:
    """Bits of a number that FP16 holds exactly."""
    bits = np.float64(x).view(np.int64)
    sign = (bits >> 48) & 0x8000
    exponent = ((bits >> 52) & 0x7FF) - 1023
    if exponent > 15:
        return sign | 0x7C00
    if exponent < -14:
        return sign | np.int64(abs(x) * 2.0**24)
    return sign | (exponent + 15) << 10 | (bits >> 42) & 0x3FF


@njit(cache=True, nogil=True, error_model="numpy")
def _write(store: Any, size: int, nan: int, row: int, column: int, x: float) -> None:
    """Put x, which the accumulator's type of that size holds, at [row, column]; any NaN as the bits ``nan``."""
    bits: Any = nan
    if x != x:
        pass
    elif size == 2:
        bits = _half(x)
    elif size == 4:
        bits = np.int64(np.float32(x).view(np.uint32))
    else:
        bits = np.float64(x).view(np.int64)
    for i in range(size):
        store[row, size * column + i] = (bits >> (8 * i)) & 0xFF


@njit(cache=True, nogil=True, error_model="numpy")
def write_tile(store: Any, size: int, nan: int, m0: int, n0: int, values: Any) -> None:
    """Put values[m, n] at [m0 + m, n0 + n] of the accumulators."""
    for m in range(values.shape[0]):
        for n in range(values.shape[1]):
            _write(store, size, nan, m0 + m, n0 + n, values[m, n])
