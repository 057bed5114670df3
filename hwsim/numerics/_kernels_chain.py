"""Compiled loops of integer units and of chains of fused multiply-adds (numba).

Each public kernel works on items ``first .. last`` (elements, rows or tiles of the result) and returns 0, as
`threads.split` expects. Items are independent of each other, so no result depends on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.extending import intrinsic

from hwsim.numerics._kernels_codes import TILE_M, TILE_N, read_panel, read_tile, write_tile

COUNT_TILE = 256  # rows and columns of a tile of `count_bits`
_CHUNK = 64  # K indices decoded at a time


@njit(cache=True, nogil=True)
def look_up(table: Any, codes: Any, row0: int, column0: int, out: Any, first: int, last: int) -> int:
    """out[i, j] = table[codes[row0 + i, column0 + j]] for rows first .. last of out."""
    for i in range(first, last):
        for j in range(out.shape[1]):
            out[i, j] = table[codes[row0 + i, column0 + j]]
    return 0


@njit(cache=True, nogil=True)
def add_integers(terms: Any, out: Any, row0: int, column0: int, first: int, last: int) -> int:
    """out[row0 + i, column0 + j] += terms[i, j] modulo 2**32 for rows first .. last of terms.

    terms: integers of at most 24 bits, float32; out: int32.
    """
    for i in range(first, last):
        for j in range(terms.shape[1]):
            out[row0 + i, column0 + j] += np.int32(terms[i, j])
    return 0


@njit(cache=True, nogil=True)
def add_offsets(rows: Any, columns: Any, out: Any, first: int, last: int) -> int:
    """out[i, j] += rows[i] + columns[j] modulo 2**32 for rows first .. last; all int32."""
    for i in range(first, last):
        for j in range(out.shape[1]):
            out[i, j] += np.int32(rows[i] + columns[j])
    return 0


@njit(cache=True, nogil=True)
def integer_chain(
    a: Any, b: Any, out: Any, a_table: Any, b_table: Any, products: int, low: int, high: int, first: int, last: int
) -> int:
    """out[m, n] += ``products`` products at a time along K, held within low..high after each such step.

    a, b: codes [M, K] and [N, K]; the tables hold their integers; out: int32 [M, N], rows first .. last.
    """
    width = a.shape[1]
    row = np.empty(width, np.int64)
    for m in range(first, last):
        for k in range(width):
            row[k] = a_table[a[m, k]]
        for n in range(b.shape[0]):
            acc = np.int64(out[m, n])
            for k0 in range(0, width, products):
                for k in range(k0, min(k0 + products, width)):
                    acc += row[k] * b_table[b[n, k]]
                acc = np.int64(low) if acc < low else np.int64(high) if acc > high else acc
            out[m, n] = acc
    return 0


def _count_ones(_context: Any, word: Any) -> Any:
    """Number of ones in a word: one instruction where the host has it."""
    return word(word), lambda _context, builder, _signature, args: builder.ctpop(args[0])


_ones: Any = intrinsic(_count_ones)


@njit(cache=True, nogil=True)
def _pack_rows(codes: Any, row0: int, rows: int, out: Any) -> None:
    """Bits of ``rows`` rows as 64-bit words, the first in the lowest place; zeros beyond the end."""
    width = codes.shape[1]
    for i in range(rows):
        for w in range(out.shape[1]):
            word = np.uint64(0)
            for k in range(64 * w, min(64 * w + 64, width)):
                word |= np.uint64(codes[row0 + i, k]) << np.uint64(k - 64 * w)
            out[i, w] = word


@njit(cache=True, nogil=True)
def count_bits(a: Any, b: Any, out: Any, both: bool, start: int, gain: int, first: int, last: int) -> int:
    """out[m, n] += start + gain * the number of ones in a[m] AND b[n] (``both``) or in a[m] XOR b[n].

    a, b: one-bit codes [M, K] and [N, K]; out: int32 [M, N] in tiles of COUNT_TILE squared, row by row.
    """
    across = (b.shape[0] + COUNT_TILE - 1) // COUNT_TILE
    words = (a.shape[1] + 63) // 64
    x, y = np.empty((COUNT_TILE, words), np.uint64), np.empty((COUNT_TILE, words), np.uint64)
    for tile in range(first, last):
        m0, n0 = tile // across * COUNT_TILE, tile % across * COUNT_TILE
        rows, cols = min(COUNT_TILE, a.shape[0] - m0), min(COUNT_TILE, b.shape[0] - n0)
        _pack_rows(a, m0, rows, x)
        _pack_rows(b, n0, cols, y)
        for m in range(rows):
            for n in range(cols):
                count = np.uint64(0)
                if both:
                    for w in range(words):
                        count += _ones(x[m, w] & y[n, w])
                else:
                    for w in range(words):
                        count += _ones(x[m, w] ^ y[n, w])
                out[m0 + m, n0 + n] += np.int32(start + gain * np.int64(count))
    return 0


def _fuse(_context: Any, _x: Any, _y: Any, z: Any) -> Any:
    """x * y + z, rounded once; all of z's type."""
    return z(z, z, z), lambda _context, builder, _signature, args: builder.fma(*args)


_fma: Any = intrinsic(_fuse)


@njit(cache=True, nogil=True, error_model="numpy")
def fma_chain(
    a: Any, b: Any, acc: Any, a_reader: Any, b_reader: Any, reader: Any, nan: int, like: Any, first: int, last: int
) -> int:
    """acc[m, n] = fma(a[m, k], b[n, k], acc[m, n]) for each k in turn, in the type of the empty array ``like``.

    a, b, acc and their readers, nan, and the tiles first .. last: as in `_kernels_mma.fused_matmul`.
    """
    across = (b.shape[0] + TILE_N - 1) // TILE_N
    ap, bp = np.empty((_CHUNK, TILE_M), like.dtype), np.empty((_CHUNK, TILE_N), like.dtype)
    for tile in range(first, last):
        m0, n0 = tile // across * TILE_M, tile % across * TILE_N
        rows, cols = min(TILE_M, a.shape[0] - m0), min(TILE_N, b.shape[0] - n0)
        kept = np.empty((rows, cols), like.dtype)
        read_tile(acc, reader, m0, n0, kept)
        width = a.shape[1] // a_reader.size
        for k0 in range(0, width, _CHUNK):
            read_panel(a, a_reader, m0, rows, k0, ap)
            read_panel(b, b_reader, n0, cols, k0, bp)
            for m in range(rows):
                line = kept[m]
                for k in range(min(_CHUNK, width - k0)):
                    x, y = ap[k, m], bp[k]
                    for j in range(cols):
                        line[j] = _fma(x, y[j], line[j])
        write_tile(acc, reader.size, nan, m0, n0, kept)
    return 0
