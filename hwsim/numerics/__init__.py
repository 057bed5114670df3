"""Encodings, rounding, packing, block scales and the arithmetic of matrix units; numba is imported on first use."""

from __future__ import annotations

from hwsim.numerics.catalog import formats
from hwsim.numerics.codec import decode, decode_table, encode, int_table
from hwsim.numerics.format import BlockFormat, Format
from hwsim.numerics.packing import pack, unpack
from hwsim.numerics.scaled import encode_scaled

__all__ = [
    "BlockFormat",
    "Format",
    "decode",
    "decode_table",
    "encode",
    "encode_scaled",
    "formats",
    "int_table",
    "pack",
    "unpack",
]
