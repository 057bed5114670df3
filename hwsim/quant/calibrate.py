"""Where to put a tensor's range: one class a rule, from rows of samples to a scale and a zero point a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwsim.numerics import quantize_tensor
from hwsim.numerics.codec import element_format
from hwsim.quant.recipe import Scheme

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Scale (float32) and zero point (int32, None when symmetric), one a row."""

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int32] | None


class Calibrator(Protocol):
    """A rule that picks ranges."""

    def fit(self, rows: Rows, scheme: Scheme) -> Range:
        """Ranges for ``rows`` [rows, samples]; every row gets its own."""
        ...


class MinMax:
    """The range covers every sample."""

    def fit(self, rows: Rows, scheme: Scheme) -> Range:
        """Ranges for ``rows`` [rows, samples] from their extremes; zero is always inside."""
        return to_range(*_extremes(rows), scheme)


class MSE:
    """The range, inside the extremes, whose quantization error has the least mean square.

    A grid over the fraction of the range kept, then, for asymmetric schemes, over each end alone. The error is
    measured with the format's own encoder. (Clipping for least mean square error: Sung, Shin and Hwang, arXiv
    1511.06488.)
    """

    fractions = np.linspace(1.0, 0.2, 81, dtype=np.float64)

    def fit(self, rows: Rows, scheme: Scheme) -> Range:
        """Ranges for ``rows`` [rows, samples] with the least mean square error."""
        low, high = _extremes(rows)
        best = np.ones((2, len(rows)))
        self._search(rows, scheme, low, high, best, (True, True))
        if not scheme.symmetric:
            self._search(rows, scheme, low, high, best, (True, False))
            self._search(rows, scheme, low, high, best, (False, True))
        return to_range(low * best[0], high * best[1], scheme)

    def _search(
        self,
        rows: Rows,
        scheme: Scheme,
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        best: NDArray[np.float64],
        ends: tuple[bool, bool],
    ) -> None:
        least = np.full(len(rows), np.inf)
        start = best.copy()
        for fraction in self.fractions:
            trial = np.stack([np.where(end, fraction * start[i], start[i]) for i, end in enumerate(ends)])
            error = _error(rows, to_range(low * trial[0], high * trial[1], scheme), scheme)
            better = error < least
            least[better] = error[better]
            best[:, better] = trial[:, better]


CALIBRATORS: Mapping[str, Calibrator] = {"minmax": MinMax(), "mse": MSE()}


def to_range(low: NDArray[np.float64], high: NDArray[np.float64], scheme: Scheme) -> Range:
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


def _extremes(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low = np.minimum(rows.min(axis=1), 0).astype(np.float64)
    return low, np.maximum(rows.max(axis=1), 0).astype(np.float64)


def _error(rows: Rows, found: Range, scheme: Scheme) -> NDArray[Any]:
    stored = quantize_tensor(rows, scheme.format, axis=0, scale=found.scale, zero_point=found.zero_point)
    difference = stored.dequantize() - rows
    error: NDArray[np.float64] = np.einsum("rs,rs->r", difference, difference, dtype=np.float64)
    return error
