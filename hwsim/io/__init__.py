"""Files in and out: ONNX models, hwsim's own text form, data sets. Reading executes nothing and checks sizes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.io.data import Dataset, load_data
    from hwsim.io.model import load_model, save_model

_HOMES = {"Dataset": "data", "load_data": "data", "load_model": "model", "save_model": "model"}

__all__ = ["Dataset", "load_data", "load_model", "save_model"]


def __getattr__(name: str) -> Any:
    """Load numpy and the readers only when one is asked for (PEP 562)."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"hwsim.io.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'hwsim.io' has no attribute {name!r}")
