"""Ranges from a density fitted to the numbers, so that a single outlier weighs what the model says, not what it is.

The density stands in for the histogram: the range chosen has the least expected square error under it. Both fits come
from libraries: mixtures from scikit-learn, kernel densities from scipy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ToolError
from hwsim.quant.calibrators.base import ENOUGH, Counts, Ends, Range, RangeSearch, Rows, to_range
from hwsim.quant.recipe import Scheme

GRID = 2048
"""Points at which a density is read."""

QUANTILES = 4096
"""Evenly spaced quantiles that stand for a histogram where a library takes plain samples only."""

Density = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class TailModel(ABC):
    """A rule that fits a density, and picks the range with the least expected square error under it.

    Exact zeros are left out of the fit: they are exact in every range. Rows of fewer than ``ENOUGH`` numbers take the
    range of least square error.
    """

    fractions = np.linspace(1.0, 0.1, 91, dtype=np.float64)

    @abstractmethod
    def density(self, values: NDArray[np.float64], counts: Counts) -> Density:
        """The fitted density of numbers ``values`` [n], in rising order, that occur ``counts`` [n] > 0 times."""

    def fit(self, rows: Rows, scheme: Scheme, counts: Counts | None = None) -> Range:
        """Ranges for ``rows`` [rows, numbers].

        Raises:
            ToolError: the library that fits the density is not installed.
        """
        if counts is None and rows.shape[1] < ENOUGH:
            return RangeSearch().fit(rows, scheme)
        return to_range(*self.ends(rows, scheme, counts), scheme)

    def ends(self, rows: Rows, scheme: Scheme, counts: Counts | None) -> tuple[Ends, Ends]:
        """The range of each row as real numbers."""
        found = [self._ends(row, None if counts is None else counts[at], scheme) for at, row in enumerate(rows)]
        return np.array([f[0] for f in found]), np.array([f[1] for f in found])

    def _ends(self, row: Rows, counts: Counts | None, scheme: Scheme) -> tuple[float, float]:
        values, weights = busy(row, counts)
        if len(values) < 3 or values[0] == values[-1]:
            return min(float(row.min()), 0.0), max(float(row.max()), 0.0)
        grid = support(values)
        mass = self.density(values, weights)(grid)
        search = RangeSearch()
        search.fractions = self.fractions
        low, high = np.array([min(grid[0], 0.0)]), np.array([max(grid[-1], 0.0)])
        low, high = search.search(grid[None].astype(np.float32), scheme, mass[None], low, high)
        return float(low[0]), float(high[0])


class GaussianMixture(TailModel):
    """The density is a mixture of normal distributions (expectation maximisation, scikit-learn).

    A component that explains less than ``outliers`` of the numbers explains outliers, and is left out of the density.
    """

    def __init__(self, components: int = 4, outliers: float = 0.002) -> None:
        self.components = components
        self.outliers = outliers

    def density(self, values: NDArray[np.float64], counts: Counts) -> Density:
        """The mixture fitted to evenly spaced quantiles, standardised."""
        mixture = _library("sklearn.mixture").GaussianMixture
        sample = quantiles(values, counts, QUANTILES)
        centre, spread = sample.mean(), max(float(sample.std()), float(np.finfo(np.float32).tiny))
        few = min(self.components, len(np.unique(sample)))
        model = mixture(few, random_state=0, reg_covar=1e-6, max_iter=500, tol=1e-4)
        model.fit(((sample - centre) / spread)[:, None])
        kept = model.weights_ >= min(self.outliers, model.weights_.max())
        shares, means = model.weights_[kept] / model.weights_[kept].sum(), centre + spread * model.means_[kept, 0]
        widths = spread * np.sqrt(model.covariances_[kept, 0, 0])

        def density(x: NDArray[np.float64]) -> NDArray[np.float64]:
            bells = np.exp(-0.5 * ((x[:, None] - means) / widths) ** 2) / (widths * np.sqrt(2 * np.pi))
            return np.asarray(bells @ shares, dtype=np.float64)

        return density


class KernelDensity(TailModel):
    """The density is a sum of normal kernels (scipy), with Silverman's robust bandwidth (1986, equation 3.31)."""

    def density(self, values: NDArray[np.float64], counts: Counts) -> Density:
        """The kernel density of the histogram."""
        estimate = _library("scipy.stats").gaussian_kde
        if len(values) > GRID:
            values, counts = _coarser(values, counts)
        sample = quantiles(values, counts, QUANTILES)
        spread = float(np.sqrt(np.cov(values, aweights=counts)))
        quartiles = np.percentile(sample, [25, 75])
        robust = min(spread, float(quartiles[1] - quartiles[0]) / 1.34) or spread
        wide = 0.9 * robust * QUANTILES**-0.2
        fitted = estimate(values, bw_method=wide / spread, weights=counts)
        return lambda x: np.asarray(fitted(x), dtype=np.float64)


def busy(row: Rows, counts: Counts | None) -> tuple[NDArray[np.float64], Counts]:
    """The numbers of a row that occur and are not zero, in rising order, and how often each does."""
    weights = np.ones(len(row)) if counts is None else counts
    used = (row != 0) & (weights > 0)
    order = np.argsort(row[used], kind="stable")
    return row[used][order].astype(np.float64), weights[used][order]


def support(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where a density is read: the range of the numbers and a twentieth more, but not past a zero that they do not
    pass (what follows a Relu stays positive)."""
    low, high = values[0], values[-1]
    margin = (high - low) / 20
    low = max(low - margin, 0.0) if low >= 0 else low - margin
    high = min(high + margin, 0.0) if high <= 0 else high + margin
    return np.linspace(low, high, GRID)


def quantiles(values: NDArray[np.float64], counts: Counts, number: int) -> NDArray[np.float64]:
    """Evenly spaced quantiles of counted numbers in rising order, interpolated between their middles."""
    cumulated = np.cumsum(counts)
    middles = (cumulated - counts / 2) / cumulated[-1]
    return np.asarray(np.interp((np.arange(number) + 0.5) / number, middles, values), dtype=np.float64)


def _coarser(values: NDArray[np.float64], counts: Counts) -> tuple[NDArray[np.float64], Counts]:
    """At most ``GRID`` numbers, each the mean of its neighbours in an even grid."""
    at = ((values - values[0]) / (values[-1] - values[0]) * (GRID - 1)).astype(np.int64)
    total = np.bincount(at, weights=counts).astype(np.float64)
    used = total > 0
    return np.bincount(at, weights=counts * values)[used] / total[used], total[used]


def _library(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        package = {"sklearn": "scikit-learn"}.get(name.split(".")[0], name.split(".")[0])
        raise ToolError(f"density calibrators need {package}", hint="pip install 'hwsim[calib]'") from None
