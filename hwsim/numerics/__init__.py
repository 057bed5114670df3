"""Encodings, rounding, packing, block scales and the arithmetic of matrix units. Nothing here imports numba until used."""

from __future__ import annotations

from hwsim.numerics.catalog import formats
from hwsim.numerics.codec import decode_table, int_table
from hwsim.numerics.format import BlockFormat, Format

__all__ = ["BlockFormat", "Format", "decode_table", "formats", "int_table"]
