"""The column loops of error-compensating rounding for integer formats (numba): rows are independent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def compensate(
    rows: Any,
    upper: Any,
    scale: Any,
    zero: Any,
    limits: tuple[int, int],
    block: tuple[int, int],
    out: Any,
    errors: Any,
    first: int,
    last: int,
) -> int:
    """Round a block of columns of each row in turn; what a column loses moves the columns after it in the block.

    Args:
        rows: float64 [G * rows, K], what is to be rounded; changed.
        upper: float64 [G, K, K], the upper triangular U with H^-1 = U' U, each for the rows of its group.
        scale, zero: float64 [G * rows, K]: of every number.
        limits: least and greatest integer of the format.
        block: the first column, and the one after the last.
        out: int32 [G * rows, K], the integers chosen.
        errors: float64 [G * rows, columns of the block], what the columns after the block are still to make up for.
        first, last: rows to work on.
    """
    least, most = limits
    start, end = block
    each = rows.shape[0] // upper.shape[0]
    for r in range(first, last):
        w, u = rows[r], upper[r // each]
        for at in range(start, end):
            s, z = scale[r, at], zero[r, at]
            q = min(max(np.rint(w[at] / s) + z, least), most) if s > 0 else min(max(z, least), most)
            out[r, at] = np.int32(q)
            error = (w[at] - (q - z) * s) / u[at, at]
            errors[r, at - start] = error
            line, rest = u[at, at:end], w[at:end]
            for j in range(rest.size):
                rest[j] -= error * line[j]
    return 0


@njit(cache=True, nogil=True)
def descend(
    wanted: Any,
    error: Any,
    slope: Any,
    hessian: Any,
    scale: Any,
    limits: tuple[int, int],
    block: tuple[int, int],
    out: Any,
    first: int,
    last: int,
) -> int:
    """Move each of a block of columns to where its row's error is least while the other columns stay.

    Args:
        wanted: float64 [G * rows, K], real numbers.
        error: float64 [G * rows, K], ``wanted`` less what is stored; changed.
        slope: float64 [G * rows, columns of the block], ``error`` times the block's columns of ``hessian``; changed.
        hessian: float64 [G, K, K], positive definite.
        scale: float64 [G * rows].
        limits, block, first, last: as in `compensate`.
        out: int32 [G * rows, K], the integers chosen.
    """
    least, most = limits
    start, end = block
    each = wanted.shape[0] // hessian.shape[0]
    for r in range(first, last):
        h, s = hessian[r // each], scale[r]
        for at in range(start, end):
            best = wanted[r, at] - error[r, at] + slope[r, at - start] / h[at, at]
            q = min(max(np.rint(best / s), least), most) if s > 0 else 0.0
            out[r, at] = np.int32(q)
            left = wanted[r, at] - q * s
            moved = left - error[r, at]
            if moved != 0:
                line, rest = h[at, start:end], slope[r]
                for j in range(line.size):
                    rest[j] += moved * line[j]
            error[r, at] = left
    return 0
