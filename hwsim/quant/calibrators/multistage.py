"""The multi-stage calibrator: tails set the range, divergence refines it, and the task decides what is left."""

from __future__ import annotations

import numpy as np

from hwsim.quant.calibrators.base import Counts, Range, RangeSearch, Rows, to_range
from hwsim.quant.calibrators.entropy import KLDivergence
from hwsim.quant.calibrators.tails import GaussianMixture, KernelDensity
from hwsim.quant.recipe import Scheme


class MultiStage:
    """Three stages, of which this class does two.

    1. A mixture and a kernel density each set a range; what neither wants is an outlier, so the wider end stays.
    2. The KL divergence refines scale and zero point inside that range, down to ``floor`` of each end.
    3. ``hwsim.quant.task`` then tries multiples of every activation's range on the calibration data, and keeps those
       that bring the network's outputs nearer to the float network's (``task_driven`` asks for it).

    Rows without counts are weights: all of their numbers are there, none stands for others that calibration did not
    see, so they take the range of least square error.
    """

    task_driven = True
    floor = 0.8

    def fit(self, rows: Rows, scheme: Scheme, counts: Counts | None = None) -> Range:
        """Ranges for ``rows`` [rows, numbers] after the first two stages.

        Raises:
            ToolError: scikit-learn or scipy is not installed.
        """
        if counts is None:
            return RangeSearch().fit(rows, scheme)
        ends = [model.ends(rows, scheme, counts) for model in (GaussianMixture(), KernelDensity())]
        low, high = np.minimum(ends[0][0], ends[1][0]), np.maximum(ends[0][1], ends[1][1])
        counted = np.where(rows == 0, 0.0, counts)
        if not counted.any():
            return to_range(low, high, scheme)
        refine = KLDivergence()
        refine.fractions = np.linspace(1.0, self.floor, 41)
        return to_range(*refine.search(rows, scheme, counted, low, high), scheme)
