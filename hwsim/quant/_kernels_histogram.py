"""Counting numbers into bins, one pass each for the range and the counts (numba)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def reach(flat: Any) -> tuple[Any, Any, Any, Any, int]:
    """Least and greatest number of float32 [n]; the same of those that are not zero; and how many are zero."""
    none = np.float32(np.inf)
    low, high, least, most = none, -none, none, -none
    zeros = 0
    for x in flat:  # without branches: zeros come at random after a Relu
        zeros += x == 0
        low, high = min(low, x), max(high, x)
        least, most = min(least, none if x == 0 else x), max(most, -none if x == 0 else x)
    return low, high, least, most, zeros


@njit(cache=True, nogil=True)
def count(flat: Any, per_width: float, first: int, counts: Any, sums: Any) -> None:
    """Add float32 [n] to the bins: number x belongs to bin floor(x * per_width) - first."""
    for x in flat:
        at = int(np.floor(np.float64(x) * per_width)) - first
        counts[at] += 1
        sums[at] += x
