"""Ranges from the order of the numbers alone: extremes and percentiles."""

from __future__ import annotations

import numpy as np

from hwsim.quant.calibrators.base import Counts, Range, Rows, extremes, to_range
from hwsim.quant.recipe import Scheme


class MinMax:
    """The range covers every number."""

    def fit(self, rows: Rows, scheme: Scheme, counts: Counts | None = None) -> Range:
        """Ranges for ``rows`` [rows, numbers] from their extremes; zero is always inside."""
        return to_range(*extremes(rows), scheme)


class Percentile:
    """The range covers all but a share of the numbers: half of the share at each end, or all of it in magnitude where
    the scheme is symmetric. The percentile is a number that occurs (numpy's ``inverted_cdf``)."""

    def __init__(self, percent: float = 99.99) -> None:
        self.percent = percent

    def fit(self, rows: Rows, scheme: Scheme, counts: Counts | None = None) -> Range:
        """Ranges for ``rows`` [rows, numbers]; zero is always inside."""
        if scheme.symmetric:
            high = self._at(np.abs(rows), self.percent, counts)
            return to_range(-high, high, scheme)
        outside = (100 - self.percent) / 2
        low, high = self._at(rows, outside, counts), self._at(rows, 100 - outside, counts)
        return to_range(np.minimum(low, 0), np.maximum(high, 0), scheme)

    def _at(self, rows: Rows, percent: float, counts: Counts | None) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        found = [
            np.percentile(
                row.astype(np.float64), percent, method="inverted_cdf", weights=None if counts is None else counts[at]
            )
            for at, row in enumerate(rows)
        ]
        return np.array(found, dtype=np.float64)
