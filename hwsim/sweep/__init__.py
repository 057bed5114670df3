"""Many points of a design space: spec -> points -> engine -> store -> Pareto set.

``hwsim.sweep("spec.yaml", "out")`` is the verb; a spec is one YAML file (:mod:`hwsim.sweep.spec`), a point one choice
of each of its dimensions (:mod:`hwsim.sweep.space`), and a result that is once in the store is never computed again
(:mod:`hwsim.sweep.store`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.sweep.metrics import METRICS
    from hwsim.sweep.result import Row, SweepResult
    from hwsim.sweep.run import sweep
    from hwsim.sweep.spec import Spec, load_spec, presets

_HOMES = {
    "METRICS": "metrics",
    **dict.fromkeys(("Row", "SweepResult"), "result"),
    "sweep": "run",
    **dict.fromkeys(("Spec", "load_spec", "presets"), "spec"),
}

__all__ = ["METRICS", "Row", "Spec", "SweepResult", "load_spec", "presets", "sweep"]


def __getattr__(name: str) -> Any:
    """Load a name when it is first used (PEP 562)."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"hwsim.sweep.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'hwsim.sweep' has no attribute {name!r}")
