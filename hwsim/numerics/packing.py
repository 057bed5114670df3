"""Codes to bytes and back, in the layouts that vendors use.

A tensor packs as one flat sequence in C order. A layout says how the sequence becomes bytes:

========== ===========================================================================================================
low_first  a bit stream from the least significant bit up: NVIDIA, ONNX, torchao (4 bits: first code in the low nibble)
high_first a bit stream from the most significant bit down: bitsandbytes
awq        8 codes of 4 bits in a little-endian int32, nibbles from the low end: codes 0 2 4 6 1 3 5 7 (AWQ's order
           0,4,1,5,2,6,3,7 read from the code's side)
gptq       8 codes of 4 bits in a little-endian int32, low nibble first
ggml       4 bits, blocks of 32: byte j holds codes j (low) and j + 16 (high)
ascend     8 codes of 4 bits in an int32, low nibble first
========== ===========================================================================================================

AWQ packs along a weight's output channels and GPTQ along its input channels: put that axis last before packing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import FormatError, unknown
from hwsim.numerics.codec import Codes, check_codes, element_format
from hwsim.numerics.format import Format, Source
from hwsim.numerics.threads import split


@dataclass(frozen=True)
class PackingLayout:
    """How codes lie in bytes.

    Attributes:
        name, source: as in a `Format`.
        bits: the only code width it takes, or 0 for any.
        unit: codes in the smallest piece that can stand alone; a tensor must hold a multiple, unless ``unit`` is 1,
            when the last byte is filled with zero bits.
        positions: which code of a unit each successive nibble (from the low end) holds; empty for bit streams.
        high_first: bit streams only: from the most significant bit down.
    """

    name: str
    bits: int
    unit: int
    positions: tuple[int, ...]
    high_first: bool
    source: Source


_READ = "2026-11-23"
_AWQ = (0, 2, 4, 6, 1, 3, 5, 7)
_GGML = tuple(position for j in range(16) for position in (j, j + 16))

LAYOUTS: Final = {
    entry.name: entry
    for entry in (
        PackingLayout(
            "low_first", 0, 1, (), False, Source("ONNX documentation, int4", "packing, low nibble first", _READ)
        ),
        PackingLayout(
            "high_first", 0, 1, (), True, Source("bitsandbytes csrc/kernels.cu", "kQuantizeBlockwise", _READ)
        ),
        PackingLayout("awq", 4, 8, _AWQ, False, Source("AWQ", "pack order of WQLinear_GEMM", _READ)),
        PackingLayout("gptq", 4, 8, (), False, Source("GPTQ", "qweight packing", _READ)),
        PackingLayout("ggml", 4, 32, _GGML, False, Source("GGML", "block q4_0", _READ)),
        PackingLayout("ascend", 4, 8, (), False, Source("CANN", "INT4 in INT32 tensors", _READ)),
    )
}


def _layout(name: str, fmt: Format) -> PackingLayout:
    if name not in LAYOUTS:
        raise unknown(FormatError, "packing layout", name, LAYOUTS)
    layout = LAYOUTS[name]
    if layout.bits and fmt.storage_bits != layout.bits:
        raise FormatError(f"layout {name!r} packs {layout.bits}-bit codes; {fmt.name!r} has {fmt.storage_bits} bits")
    return layout


def packed_bytes(count: int, fmt: str | Format, layout: str = "low_first") -> int:
    """Bytes that ``count`` codes take.

    Raises:
        FormatError: unknown name, a width the layout does not take, or a count that does not fill its words.
    """
    entry = element_format(fmt)
    chosen = _layout(layout, entry)
    if count % chosen.unit:
        raise FormatError(f"layout {layout!r} packs {chosen.unit} codes at a time; {count} is not a multiple")
    return -(-count * entry.storage_bits // 8)


def pack(codes: ArrayLike, fmt: str | Format, layout: str = "low_first") -> NDArray[np.uint8]:
    """``codes`` (any shape, taken in C order) as a flat uint8 array.

    Raises:
        FormatError: unknown name, codes out of range, or sizes that the layout does not take.

    Example:
        >>> pack([1, 2, 3], "int4")  # the first in the low half
        array([33,  3], dtype=uint8)
    """
    entry = element_format(fmt)
    chosen = _layout(layout, entry)
    flat = np.ascontiguousarray(check_codes(codes, entry)).reshape(-1)
    raw = np.empty(packed_bytes(flat.size, entry, layout), np.uint8)
    if entry.storage_bits >= 8:
        return _bytes_of(flat, entry, chosen)
    from hwsim.numerics import _kernels_pack as kernels

    width, high = entry.storage_bits, chosen.high_first
    piece, count, codes_type, raw_type = _pieces(chosen, width)
    whole = flat.size // count if piece else 0
    if piece:
        kernel = getattr(kernels, f"pack_{piece}")
        source = flat[: whole * count].view(codes_type)
        target = raw[: whole * count * width // 8].view(raw_type)
        sides = (high,) if piece in ("one", "two", "four") else ()
        split(lambda first, last: kernel(source, target, *sides, first, last), whole, flat.size)
    kernels.pack_stream(flat, raw, width, high, whole * count, whole * count * width // 8)
    return raw


def unpack(raw: ArrayLike, fmt: str | Format, shape: int | tuple[int, ...], *, layout: str = "low_first") -> Codes:
    """Codes of ``shape`` (or that many in one dimension) from the bytes that `pack` made.

    Raises:
        FormatError: unknown name, ``raw`` is not uint8, or its size is not what ``shape`` needs.

    Example:
        >>> import numpy as np
        >>> unpack(np.array([33, 3], np.uint8), "int4", 3)
        array([1, 2, 3], dtype=uint8)
    """
    entry = element_format(fmt)
    chosen = _layout(layout, entry)
    dims = (shape,) if isinstance(shape, int) else tuple(shape)
    count = math.prod(dims)
    data = np.asarray(raw)
    if data.dtype != np.uint8:
        raise FormatError(
            f"packed data must be uint8, found {data.dtype}", hint="view words as bytes: words.view('u1')"
        )
    needed = packed_bytes(count, entry, layout)
    if data.size != needed:
        raise FormatError(f"shape {dims} of {entry.name!r} takes {needed} bytes, found {data.size}")
    data = np.ascontiguousarray(data).reshape(-1)
    if entry.storage_bits >= 8:
        return _codes_of(data, entry, chosen).reshape(dims)
    from hwsim.numerics import _kernels_pack as kernels

    out = np.empty(count, np.uint8)
    width, high = entry.storage_bits, chosen.high_first
    piece, each, codes_type, raw_type = _pieces(chosen, width)
    whole = count // each if piece else 0
    if piece:
        kernel = getattr(kernels, f"unpack_{piece}")
        source = data[: whole * each * width // 8].view(raw_type)
        target = out[: whole * each].view(codes_type)
        sides = (high,) if piece in ("one", "two", "four") else ()
        split(lambda first, last: kernel(source, target, *sides, first, last), whole, count)
    kernels.unpack_stream(data, out, width, high, whole * each, whole * each * width // 8)
    return out.reshape(dims)


def _pieces(layout: PackingLayout, width: int) -> tuple[str, int, str, str]:
    """The fast kernel for a layout and a width, the codes it takes at a time, and the types it sees codes and bytes as.

    No name where only the bit stream kernel serves.
    """
    if layout.positions == _GGML:
        return "halves", 32, "<u8", "<u8"
    if layout.positions == _AWQ:
        return "interleaved", 8, "<u8", "<u4"
    if width == 6 and not layout.high_first:
        return "six", 32, "<u8", "<u8"
    return {
        1: ("one", 8, "<u8", "u1"),
        2: ("two", 4, "<u4", "u1"),
        4: ("four", 2, "u1", "u1"),
    }.get(width, ("", 1, "u1", "u1"))


def _bytes_of(flat: Codes, fmt: Format, layout: PackingLayout) -> NDArray[np.uint8]:
    order = ">" if layout.high_first else "<"
    stored: NDArray[Any] = flat.astype(f"{order}u{fmt.storage_bits // 8}")
    return stored.view(np.uint8)


def _codes_of(data: NDArray[np.uint8], fmt: Format, layout: PackingLayout) -> Codes:
    order = ">" if layout.high_first else "<"
    return check_codes(data.view(f"{order}u{fmt.storage_bits // 8}").astype(fmt.code_dtype), fmt)
