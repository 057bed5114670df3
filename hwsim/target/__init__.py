"""Target specifications: one chip, one YAML file, every number with its source.

``load_target("nvidia-h100")`` or ``load_target("my_chip.yaml")`` gives a frozen :class:`Target`; ``names()`` lists
the shipped ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.target.fields import with_fields
    from hwsim.target.load import load_target, loads_target, names, path_of
    from hwsim.target.nodes import at_node
    from hwsim.target.schema import (
        KINDS,
        AnalogErrors,
        AnalogMachine,
        Count,
        Energy,
        EnergyTable,
        GpuMachine,
        Kind,
        Precision,
        Quantity,
        Source,
        SystolicMachine,
        Target,
        TensorFormat,
        TileChoice,
    )

_HOMES = {
    "with_fields": "fields",
    "at_node": "nodes",
    **dict.fromkeys(("load_target", "loads_target", "names", "path_of"), "load"),
    **dict.fromkeys(
        (
            "KINDS",
            "AnalogErrors",
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
        ),
        "schema",
    ),
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
