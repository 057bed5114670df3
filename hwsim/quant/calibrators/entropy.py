"""The range that loses least information: Kullback-Leibler divergence between a histogram and its quantized self."""

from __future__ import annotations

import numpy as np

from hwsim.numerics import decode, quantize_tensor
from hwsim.numerics.codec import element_format
from hwsim.quant.calibrators.base import ENOUGH, Calibrator, Counts, Ends, Range, RangeSearch, Rows, to_range
from hwsim.quant.histogram import Histogram
from hwsim.quant.recipe import Scheme


def divergence(values: Rows, counts: Counts, found: Range, scheme: Scheme) -> float:
    """KL(P || Q) in nats of one row: ``values`` [n] occur ``counts`` [n] times; ``found`` holds one range.

    P is the histogram with all that lies outside the range moved to the outermost bins inside it. Q spreads what each
    code holds, from inside alone, evenly over that code's bins that are not empty. (Migacz, "8-bit inference with
    TensorRT", GTC 2017; here with any format's own encoder.) Infinite where the range holds nothing.
    """
    entry = element_format(scheme.format)
    zero = 0 if found.zero_point is None else int(found.zero_point[0])
    ends = (np.array([entry.min_value, entry.max_value]) - zero) * float(found.scale[0])
    inside = (values >= ends[0]) & (values <= ends[1]) & (counts > 0)
    if not inside.any():
        return float("inf")
    held, kept = values[inside], counts[inside]
    codes = quantize_tensor(
        held, scheme.format, scale=found.scale[0], zero_point=None if found.zero_point is None else zero
    ).codes
    same = np.unique(decode(codes, scheme.format), return_inverse=True)[1]
    spread = (np.bincount(same, weights=kept) / np.bincount(same))[same]
    p = kept.astype(np.float64)
    p[np.argmin(held)] += counts[values < ends[0]].sum()
    p[np.argmax(held)] += counts[values > ends[1]].sum()
    p, q = p / p.sum(), spread / spread.sum()
    return float(np.sum(p * np.log(p / q)))


class KLDivergence(RangeSearch):
    """The range, inside the extremes, whose quantized histogram diverges least from the histogram.

    Numbers that are exactly zero do not count: they are exact in every range. Rows of fewer than ``ENOUGH`` numbers
    have no histogram worth the name and take the range of least square error.
    """

    fractions = np.linspace(1.0, 0.05, 96, dtype=np.float64)

    def loss(self, rows: Rows, found: Range, scheme: Scheme, counts: Counts | None) -> Ends:
        """The divergence of each row."""
        assert counts is not None
        return np.array([divergence(rows[at], counts[at], _row(found, at), scheme) for at in range(len(rows))])

    def fit(self, rows: Rows, scheme: Scheme, counts: Counts | None = None) -> Range:
        """Ranges for ``rows`` [rows, numbers] with the least divergence."""
        if counts is None:
            if rows.shape[1] < ENOUGH:
                return RangeSearch().fit(rows, scheme)
            return histogram_rows(self, rows, scheme)
        busy = np.where(rows == 0, 0.0, counts)
        low = np.minimum(np.where(busy > 0, rows, 0).min(axis=1), 0).astype(np.float64)
        high = np.maximum(np.where(busy > 0, rows, 0).max(axis=1), 0).astype(np.float64)
        if not busy.any():
            return to_range(low, high, scheme)
        return to_range(*self.search(rows, scheme, busy, low, high), scheme)


def histogram_rows(rule: Calibrator, rows: Rows, scheme: Scheme) -> Range:
    """Ranges that ``rule`` picks for the histogram of each row."""
    parts = []
    for row in rows:
        seen = Histogram()
        seen.add(row)
        values, counts = seen.points()
        parts.append(rule.fit(values[None], scheme, counts[None]))
    zeros = [p.zero_point for p in parts if p.zero_point is not None]
    return Range(np.concatenate([p.scale for p in parts]), np.concatenate(zeros) if zeros else None)


def _row(found: Range, at: int) -> Range:
    zero = None if found.zero_point is None else found.zero_point[at : at + 1]
    return Range(found.scale[at : at + 1], zero)
