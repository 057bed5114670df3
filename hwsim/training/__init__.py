"""Training by recipe: what a chip reads in torch's place, and ``hwsim train``.

``load_plan(path)``, ``run_plan(plan, folder)``, ``chip_values(target)``, ``differing(network, target, inputs)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.emulate.values import chip_values
    from hwsim.training.chip import Differing, differing
    from hwsim.training.run import Trained, run_plan
    from hwsim.training.spec import Plan, load_plan

_HOMES = {
    **dict.fromkeys(("Differing", "chip_values", "differing"), "chip"),
    **dict.fromkeys(("Plan", "load_plan"), "spec"),
    **dict.fromkeys(("Trained", "run_plan"), "run"),
}

__all__ = ["Differing", "Plan", "Trained", "chip_values", "differing", "load_plan", "run_plan"]


def __getattr__(name: str) -> Any:
    """Load pydantic and the emulator only when they are asked for (PEP 562)."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"hwsim.training.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'hwsim.training' has no attribute {name!r}")
