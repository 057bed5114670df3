"""What every calibrator takes and gives: rows of numbers, perhaps counted, in; a scale and a zero point a row out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwsim.numerics import quantize_tensor
from hwsim.numerics.codec import element_format
from hwsim.quant.recipe import Scheme

Rows = NDArray[np.float32]
Counts = NDArray[np.float64]
Ends = NDArray[np.float64]

ENOUGH = 512
"""Numbers in a row from which a distribution can be read; shorter rows take the range of least square error."""


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Scale (float32) and zero point (int32, None when symmetric), one a row."""

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int32] | None


class Calibrator(Protocol):
    """A rule that picks ranges."""

    def fit(self, rows: Rows, scheme: Scheme, counts: Counts | None = None) -> Range:
        """Ranges for ``rows`` [rows, numbers]; every row gets its own.

        ``counts`` [rows, numbers] says how often each number occurs (a histogram's bins); None is once each. A number
        that occurs zero times still bounds the range of a rule that looks at extremes alone.
        """
        ...


def to_range(low: Ends, high: Ends, scheme: Scheme) -> Range:
    """The scale and zero point with which a format covers [low, high] (which holds zero), a row each.

    Symmetric: scale = max(-low, high) / largest value. Asymmetric: scale = (high - low) / (codes - 1), and zero is
    exact. A range of nothing gets scale 1.
    """
    entry = element_format(scheme.format)
    least, most = float(entry.min_value), float(entry.max_value)
    wide = np.maximum(-low, high) / most if scheme.symmetric else (high - low) / (most - least)
    scale = np.where(wide < np.finfo(np.float32).tiny, 1.0, wide).astype(np.float32)
    if scheme.symmetric:
        return Range(scale, None)
    zero = np.clip(np.rint(least - low / scale.astype(np.float64)), least, most)
    return Range(scale, zero.astype(np.int32))


def extremes(rows: Rows) -> tuple[Ends, Ends]:
    """Least and largest number of each row, widened to hold zero."""
    low = np.minimum(rows.min(axis=1), 0).astype(np.float64)
    return low, np.maximum(rows.max(axis=1), 0).astype(np.float64)


def square_error(rows: Rows, found: Range, scheme: Scheme, counts: Counts | None) -> Ends:
    """Sum of squared quantization errors of each row, with the format's own encoder."""
    stored = quantize_tensor(rows, scheme.format, axis=0, scale=found.scale, zero_point=found.zero_point)
    difference = stored.dequantize() - rows
    if counts is None:
        error: Ends = np.einsum("rs,rs->r", difference, difference, dtype=np.float64)
        return error
    weighted: Ends = np.einsum("rs,rs,rs->r", difference, difference, counts, dtype=np.float64)
    return weighted


class RangeSearch:
    """The range, inside the extremes, with the least loss.

    A grid over the fraction of the range kept, then, for asymmetric schemes, over each end alone.
    """

    fractions = np.linspace(1.0, 0.2, 81, dtype=np.float64)

    def loss(self, rows: Rows, found: Range, scheme: Scheme, counts: Counts | None) -> Ends:
        """What is to be made small, a row each."""
        return square_error(rows, found, scheme, counts)

    def fit(self, rows: Rows, scheme: Scheme, counts: Counts | None = None) -> Range:
        """Ranges for ``rows`` [rows, numbers] with the least loss."""
        low, high = extremes(rows)
        return to_range(*self.search(rows, scheme, counts, low, high), scheme)

    def search(self, rows: Rows, scheme: Scheme, counts: Counts | None, low: Ends, high: Ends) -> tuple[Ends, Ends]:
        """The ends with the least loss inside [low, high], a row each."""
        best = np.ones((2, len(rows)))
        turns = ((True, True),) if scheme.symmetric else ((True, True), (True, False), (False, True))
        for ends in turns:
            least = np.full(len(rows), np.inf)
            start = best.copy()
            for fraction in self.fractions:
                trial = np.stack([np.where(end, fraction * start[i], start[i]) for i, end in enumerate(ends)])
                error = self.loss(rows, to_range(low * trial[0], high * trial[1], scheme), scheme, counts)
                better = error < least
                least[better] = error[better]
                best[:, better] = trial[:, better]
        return low * best[0], high * best[1]
