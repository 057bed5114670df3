"""Encodings, rounding, packing, block scales and the arithmetic of matrix units; numba is imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwsim.numerics.catalog import formats
from hwsim.numerics.chance import random_bits
from hwsim.numerics.codec import decode, decode_table, encode, int_table
from hwsim.numerics.format import BlockFormat, Format
from hwsim.numerics.packing import pack, unpack
from hwsim.numerics.qtensor import QTensor
from hwsim.numerics.quantize import quantize_tensor
from hwsim.numerics.scaled import encode_scaled

if TYPE_CHECKING:
    from hwsim.numerics.matrix import mma
    from hwsim.numerics.unit import MatrixUnit
    from hwsim.numerics.unit_catalog import units

__all__ = [
    "BlockFormat",
    "Format",
    "MatrixUnit",
    "QTensor",
    "decode",
    "decode_table",
    "encode",
    "encode_scaled",
    "formats",
    "int_table",
    "mma",
    "pack",
    "quantize_tensor",
    "random_bits",
    "units",
    "unpack",
]

_LAZY = {"MatrixUnit": "unit", "mma": "matrix", "units": "unit_catalog"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value
