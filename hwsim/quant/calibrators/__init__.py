"""Where to put a tensor's range: one class a rule. A new rule is a class and a line in ``CALIBRATORS``."""

from __future__ import annotations

from collections.abc import Mapping

from hwsim.errors import RecipeError, unknown
from hwsim.quant.calibrators.base import Calibrator, Range, RangeSearch
from hwsim.quant.calibrators.entropy import KLDivergence
from hwsim.quant.calibrators.multistage import MultiStage
from hwsim.quant.calibrators.order import MinMax, Percentile
from hwsim.quant.calibrators.tails import GaussianMixture, KernelDensity

__all__ = ["CALIBRATORS", "Calibrator", "Range", "calibrator"]


class MSE(RangeSearch):
    """The range, inside the extremes, whose quantization error has the least mean square.

    The error is measured with the format's own encoder. (Clipping for least mean square error: Sung, Shin and Hwang,
    arXiv 1511.06488.)
    """


CALIBRATORS: Mapping[str, Calibrator] = {
    "minmax": MinMax(),
    "percentile": Percentile(),
    "mse": MSE(),
    "kl": KLDivergence(),
    "mixture": GaussianMixture(),
    "kde": KernelDensity(),
    "multistage": MultiStage(),
}


def calibrator(name: str) -> Calibrator:
    """The calibrator called ``name``.

    Raises:
        RecipeError: there is none of that name; names the nearest.
    """
    try:
        return CALIBRATORS[name]
    except KeyError:
        raise unknown(RecipeError, "calibrator", name, CALIBRATORS) from None
