"""hwsim: what a low-bit chip will do to your network: answers, speed and energy, bit for bit, before you have the chip.

    import hwsim

    run = hwsim.emulate(hwsim.quantize("mnist-cnn", "ascend-910b4"), "ascend-910b4", hwsim.load_data("mnist-cnn"))
    run.outputs, run.trace

The names below are the public ones; everything else can be imported and is not promised. Nothing heavy is loaded before
a name is used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hwsim.errors import HwsimError

if TYPE_CHECKING:
    from hwsim.api import emulate, estimate, quantize, report, workload
    from hwsim.comparing import compare
    from hwsim.converting import convert
    from hwsim.io import load_data, load_model
    from hwsim.ir.workload import gemm
    from hwsim.numerics import QTensor, decode, encode, formats, mma, pack, quantize_tensor, units, unpack
    from hwsim.sweep import sweep
    from hwsim.target import load_target
    from hwsim.verify import verify_rtl

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(("emulate", "estimate", "quantize", "report", "workload"), "api"),
    "sweep": "sweep.run",
    **dict.fromkeys(
        ("QTensor", "decode", "encode", "formats", "mma", "pack", "quantize_tensor", "units", "unpack"), "numerics"
    ),
    **dict.fromkeys(("load_data", "load_model"), "io"),
    "compare": "comparing",
    "convert": "converting",
    "gemm": "ir.workload",
    "load_target": "target",
    "verify_rtl": "verify",
}

_ROOMS = {"emulate": "api", "report": "api", "sweep": "sweep.run"}
"""Verbs that have the name of the package that serves them, and where they live."""

__all__ = [
    "HwsimError",
    "QTensor",
    "__version__",
    "compare",
    "convert",
    "decode",
    "emulate",
    "encode",
    "estimate",
    "formats",
    "gemm",
    "load_data",
    "load_model",
    "load_target",
    "mma",
    "pack",
    "quantize",
    "quantize_tensor",
    "report",
    "sweep",
    "units",
    "unpack",
    "verify_rtl",
    "workload",
]


class _Room(ModuleType):
    """A package named like the verb it serves: ``hwsim.emulate.bind`` is in it, ``hwsim.emulate(...)`` is the verb."""

    @property
    def _verb(self) -> Any:
        verb = self.__name__.rpartition(".")[2]
        return getattr(import_module(f"hwsim.{_ROOMS[verb]}"), verb)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._verb(*args, **kwargs)

    @property
    def __signature__(self) -> Any:
        import inspect

        return inspect.signature(self._verb)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # The import system binds a package here when anyone first loads it; the verb of that name goes on working.
        if name in _ROOMS and isinstance(value, ModuleType):
            value.__class__ = _Room
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name in _ROOMS:
        return import_module(f"hwsim.{name}")
    if name in _HOMES:
        found = getattr(import_module(f"hwsim.{_HOMES[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'hwsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
