"""Bytes that tensors take in memory, scales of block formats included."""

from __future__ import annotations

from functools import lru_cache

_ACCUMULATORS = {"int32": 32.0, "int64": 64.0}


@lru_cache(maxsize=256)
def bits_per_element(fmt: str) -> float:
    """Stored bits of an element: padding of tf32 included, and its share of scale and zero point in block formats.

    Raises:
        FormatError: unknown format; names the nearest.
    """
    from hwsim.numerics import formats
    from hwsim.numerics.format import BlockFormat

    if fmt in _ACCUMULATORS:
        return _ACCUMULATORS[fmt]
    entry = formats[fmt]
    if isinstance(entry, BlockFormat) and entry.fields:
        return bits_per_element(entry.element) + entry.field_bits
    if isinstance(entry, BlockFormat):
        scale = bits_per_element(entry.scale_format)
        zero = bits_per_element(entry.element) if entry.zero_points else 0.0
        return bits_per_element(entry.element) + (scale + zero) / entry.block_size
    return float(entry.storage_bits)


@lru_cache(maxsize=256)
def code_bits(fmt: str) -> float:
    """Stored bits of an element's code alone: block formats keep their scales apart, so rows are made of codes.

    Raises:
        FormatError: unknown format; names the nearest.
    """
    from hwsim.numerics import formats
    from hwsim.numerics.format import BlockFormat

    entry = None if fmt in _ACCUMULATORS else formats[fmt]
    return code_bits(entry.element) if isinstance(entry, BlockFormat) else bits_per_element(fmt)


def tensor_bytes(elements: int, fmt: str) -> int:
    """Whole bytes of ``elements`` packed elements."""
    bits = elements * bits_per_element(fmt)
    return int(-(-bits // 8))
