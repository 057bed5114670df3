"""A histogram of any number of numbers, in one pass and without a sample: bins that double in width when the range
grows, so that no count is ever shared out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 8192


class Histogram:
    """Counts and sums of numbers in bins [i w, (i + 1) w), w a power of two; exact zeros and both extremes apart.

    Two neighbours merge into the bin of twice the width, so the result does not depend on the order or the batches in
    which numbers come, up to the rounding of the sums.
    """

    def __init__(self, bins: int = BINS) -> None:
        self._bins = bins
        self._exponent: int | None = None
        self._first = 0
        self._counts = np.zeros(0)
        self._sums = np.zeros(0)
        self.zeros = 0
        self.low = np.float32(np.inf)
        self.high = np.float32(-np.inf)

    @property
    def width(self) -> float:
        """Width of a bin; 0 before any number that is not zero."""
        return 0.0 if self._exponent is None else 2.0**self._exponent

    @property
    def total(self) -> int:
        """Numbers seen."""
        return self.zeros + int(self._counts.sum())

    def add(self, x: NDArray[np.floating[Any]]) -> None:
        """Count the numbers of ``x``, which are finite."""
        from hwsim.quant._kernels_histogram import count, reach

        flat = np.ascontiguousarray(x, dtype=np.float32).reshape(-1)
        if flat.size == 0:
            return
        low, high, least, most, zeros = reach(flat)
        self.low, self.high = min(self.low, np.float32(low)), max(self.high, np.float32(high))
        self.zeros += zeros
        if zeros == flat.size:
            return
        self._widen(float(least), float(most))
        first, last = (int(np.floor(end / self.width)) for end in ((least, most) if not zeros else (low, high)))
        last += 1
        if self._counts.size:
            first, last = min(self._first, first), max(self._first + self._counts.size, last)
        counts, sums = np.zeros(last - first), np.zeros(last - first)
        place = slice(self._first - first, self._first - first + self._counts.size)
        counts[place], sums[place] = self._counts, self._sums
        count(flat, 1 / self.width, first, counts, sums)
        if zeros:
            counts[-first] -= zeros
        self._first, self._counts, self._sums = first, counts, sums

    def _widen(self, low: float, high: float) -> None:
        low, high = min(low, float(self.low), 0.0), max(high, float(self.high), 0.0)
        if self._exponent is None:
            self._exponent = int(np.floor(np.log2(max(high - low, 1e-36)))) - int(np.log2(self._bins)) + 1
        while np.floor(high / self.width) - np.floor(low / self.width) >= self._bins:
            self._exponent += 1
            if self._counts.size:
                odd = self._first % 2
                counts = np.concatenate([np.zeros(odd), self._counts, np.zeros((odd + self._counts.size) % 2)])
                sums = np.concatenate([np.zeros(odd), self._sums, np.zeros((odd + self._sums.size) % 2)])
                self._first = (self._first - odd) // 2
                self._counts, self._sums = counts.reshape(-1, 2).sum(axis=1), sums.reshape(-1, 2).sum(axis=1)

    def points(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Values in rising order and how often each occurs: the mean of every bin that is not empty, exact zero, and
        both extremes, which occur zero times more than their bins say."""
        used = self._counts > 0
        means = self._sums[used] / self._counts[used]
        values = np.concatenate([[self.low], means, [0.0, self.high]]).astype(np.float32)
        counts = np.concatenate([[0.0], self._counts[used], [float(self.zeros), 0.0]])
        order = np.argsort(values, kind="stable")
        return values[order], counts[order]
