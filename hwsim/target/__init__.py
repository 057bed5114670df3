"""Target specifications: one chip, one YAML file, every number with its source.

``load_target("nvidia-h100")`` or ``load_target("my_chip.yaml")`` gives a frozen :class:`Target`; ``names()`` lists
the shipped ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.target.fields import with_fields
    from hwsim.target.load import load_target, loads_target, names, path_of
    from hwsim.target.machines import AnalogErrors, AnalogMachine, GpuMachine, SystolicMachine
    from hwsim.target.nodes import at_node
    from hwsim.target.quantities import KINDS, Count, Energy, Kind, Quantity, Source
    from hwsim.target.schema import EnergyTable, Precision, Target, TensorFormat, TileChoice

_HOMES = {
    "with_fields": "fields",
    **dict.fromkeys(("load_target", "loads_target", "names", "path_of"), "load"),
    **dict.fromkeys(("AnalogErrors", "AnalogMachine", "GpuMachine", "SystolicMachine"), "machines"),
    "at_node": "nodes",
    **dict.fromkeys(("KINDS", "Count", "Energy", "Kind", "Quantity", "Source"), "quantities"),
    **dict.fromkeys(("EnergyTable", "Precision", "Target", "TensorFormat", "TileChoice"), "schema"),
}

__all__ = [
    "KINDS",
    "AnalogErrors",
    "AnalogMachine",
    "Count",
    "Energy",
    "EnergyTable",
    "GpuMachine",
    "Kind",
    "Precision",
    "Quantity",
    "Source",
    "SystolicMachine",
    "Target",
    "TensorFormat",
    "TileChoice",
    "at_node",
    "load_target",
    "loads_target",
    "names",
    "path_of",
    "with_fields",
]


def __getattr__(name: str) -> Any:
    """Load pydantic only when a target is asked for (PEP 562)."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"hwsim.target.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'hwsim.target' has no attribute {name!r}")
