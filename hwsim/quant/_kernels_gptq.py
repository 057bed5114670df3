"""The column loop of error-compensating rounding for integer formats (numba): rows are independent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def compensate(
    rows: Any, upper: Any, scale: Any, zero: Any, least: int, most: int, out: Any, first: int, last: int
) -> int:
    """Round each row column by column; what a column loses moves the columns after it.

    Args:
        rows: float64 [rows, K]; changed.
        upper: float64 [K, K], the upper triangular U with H^-1 = U' U.
        scale, zero: float64 [rows, K]: of every number.
        least, most: integers of the format.
        out: int32 [rows, K], the integers chosen.
        first, last: rows to work on.
    """
    k = rows.shape[1]
    for r in range(first, last):
        w = rows[r]
        for at in range(k):
            s, z = scale[r, at], zero[r, at]
            q = min(max(np.rint(w[at] / s) + z, least), most) if s > 0 else min(max(z, least), most)
            out[r, at] = np.int32(q)
            error = (w[at] - (q - z) * s) / upper[at, at]
            line, rest = upper[at, at:], w[at:]
            for j in range(rest.size):
                rest[j] -= error * line[j]
    return 0
