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
    from hwsim.api import (
        compare,
        emulate,
        estimate,
        load_data,
        load_model,
        load_target,
        quantize,
        report,
        verify_rtl,
        workload,
    )
    from hwsim.ir.workload import gemm
    from hwsim.numerics import QTensor, decode, encode, formats, mma, pack, quantize_tensor, units, unpack

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(
        ("QTensor", "decode", "encode", "formats", "mma", "pack", "quantize_tensor", "units", "unpack"),
        "hwsim.numerics",
    ),
    "gemm": "hwsim.ir.workload",
    **dict.fromkeys(
        (
            "compare",
            "emulate",
            "estimate",
            "load_data",
            "load_model",
            "load_target",
            "quantize",
            "report",
            "verify_rtl",
            "workload",
        ),
        "hwsim.api",
    ),
}

__all__ = [
    "HwsimError",
    "QTensor",
    "__version__",
    "compare",
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
    "units",
    "unpack",
    "verify_rtl",
    "workload",
]


class _Room(ModuleType):
    """A room that has the name of the verb it serves: ``hwsim.emulate`` is the package, and calling it is the verb."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._verb(*args, **kwargs)

    @property
    def _verb(self) -> Any:
        return getattr(import_module("hwsim.api"), self.__name__.rpartition(".")[2])

    @property
    def __signature__(self) -> Any:
        import inspect

        return inspect.signature(self._verb)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # The import system binds a submodule here when it is first loaded, whoever asks for it; the verb of that name
        # must go on working then.
        if isinstance(value, ModuleType) and name in _HOMES:
            value.__class__ = _Room
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'hwsim' has no attribute {name!r}")
    if name in ("emulate", "report"):
        return import_module(f"hwsim.{name}")
    found = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
