"""Training for low bits: the graph that a chip will run, with weights and scales that learn.

``QatNetwork`` is a quantized graph in torch. What it stores, it stores by the catalog's own ``quantize_tensor``, the
one that the emulator uses; only the gradients are estimates. Needs torch (``pip install 'hwsim[qat]'``); the graph
that it exports does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.quant.qat.adversary import Adversary
    from hwsim.quant.qat.course import Course, Epoch, train
    from hwsim.quant.qat.fake import ESTIMATORS, FakeQuant, Learning
    from hwsim.quant.qat.network import QatNetwork
    from hwsim.quant.qat.outliers import Outliers
    from hwsim.quant.qat.straight import input_gradient

_HOMES = {
    "Adversary": "adversary",
    "input_gradient": "straight",
    "Outliers": "outliers",
    **dict.fromkeys(("ESTIMATORS", "FakeQuant", "Learning"), "fake"),
    "QatNetwork": "network",
    **dict.fromkeys(("Course", "Epoch", "train"), "course"),
}

__all__ = [
    "ESTIMATORS",
    "Adversary",
    "Course",
    "Epoch",
    "FakeQuant",
    "Learning",
    "Outliers",
    "QatNetwork",
    "input_gradient",
    "train",
]


def __getattr__(name: str) -> Any:
    """Load torch only when training is asked for (PEP 562)."""
    if name in _HOMES:
        from importlib import import_module

        from hwsim.errors import ToolError

        try:
            return getattr(import_module(f"hwsim.quant.qat.{_HOMES[name]}"), name)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ToolError("training needs torch", hint="pip install 'hwsim[qat]'") from None
    raise AttributeError(f"module 'hwsim.quant.qat' has no attribute {name!r}")
