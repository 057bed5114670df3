"""Quantize to block formats whose rule fixes everything: GGML's, HiF4, and MX9, MX6, MX4.

All of them are defined on float32, so other inputs are rounded to float32 first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import FormatError
from hwsim.numerics.codec import decode, decode_table, element_format, encode
from hwsim.numerics.format import BlockFormat
from hwsim.numerics.geometry import normalise_axis
from hwsim.numerics.qtensor import QTensor
from hwsim.numerics.threads import split

Blocks = NDArray[np.float32]
Fields = dict[str, NDArray[Any]]
Parts = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32] | None, Fields]
"""Codes [blocks, size]; effective scales and offsets [blocks, groups]; stored fields [blocks, groups]."""


def quantize_levels(array: NDArray[Any], block: BlockFormat, axis: int, mode: str, where: str) -> QTensor:
    """Quantize along ``axis``; the last block of a row is filled with zeros, but GGML's must be whole.

    Raises:
        FormatError: NaN or infinity; a row that does not hold whole GGML blocks; a scale beyond its stored format.
    """
    axis = normalise_axis(axis, array.ndim)
    rows = np.moveaxis(array, axis, -1)
    size, length = block.block_size, rows.shape[-1]
    count = -(-length // size)
    if block.rule == "ggml" and length % size:
        raise FormatError(f"{block.name!r} takes whole blocks of {size}; dimension {axis} is {length}", where=where)
    x = np.ascontiguousarray(rows, dtype=np.float32)
    if not np.isfinite(x).all():
        raise FormatError("x holds NaN or infinity, so no scale can be found from it", where=where)
    if length % size:
        x = np.concatenate([x, np.zeros((*x.shape[:-1], count * size - length), np.float32)], axis=-1)
    codes, scale, offset, fields = _RULES[block.rule](x.reshape(-1, size), block, mode)
    if not np.isfinite(scale).all():
        raise FormatError("a block's scale exceeds float16", where=where)

    def place(values: NDArray[Any], each: int) -> NDArray[Any]:
        spread = values.reshape(*rows.shape[:-1], count * size // each)[..., : -(-length // each)]
        return np.ascontiguousarray(np.moveaxis(spread, -1, axis))

    return QTensor(
        place(codes, 1),
        block.element,
        place(scale, block.scale_size),
        None,
        axis,
        block.scale_size,
        block.scale_format,
        None,
        block.name,
        None if offset is None else place(offset, block.scale_size),
        {entry.name: place(fields[entry.name], entry.size) for entry in block.fields},
    )


def _run(kernel: Callable[..., int], *arrays: Any, blocks: int, elements: int) -> None:
    split(lambda first, last: kernel(*arrays, first, last), blocks, elements)


def _float16(x: NDArray[np.float32]) -> NDArray[np.uint16]:
    with np.errstate(over="ignore"):
        return x.astype(np.float16).view(np.uint16)


def _ggml(x: Blocks, block: BlockFormat, mode: str) -> Parts:
    from hwsim.numerics import _kernels_ggml as kernels

    if block.name == "q4_k":
        return _q4_k(x)
    codes = np.empty(x.shape, np.uint8)
    scale, offset = np.empty(len(x), np.float32), np.empty(len(x), np.float32)
    if block.name == "iq4_nl":
        values = decode_table(block.element)
        tries = 7 if mode == "search" else -1
        _run(kernels.quantize_iq4_nl, x, codes, scale, values, tries, blocks=len(x), elements=x.size)
    else:
        kernel = {
            "q4_0": kernels.quantize_q4_0,
            "q4_1": kernels.quantize_q4_1,
            "q8_0": kernels.quantize_q8_0,
        }[block.name]
        _run(kernel, x, codes, scale, offset, blocks=len(x), elements=x.size)
    fields: Fields = {"d": _float16(scale)}
    if block.name != "q4_1":
        return codes, ggml_scales(block, fields)[0], None, fields
    fields["m"] = _float16(offset)
    return codes, *ggml_scales(block, fields), fields


def _q4_k(x: Blocks) -> Parts:
    from hwsim.numerics import _kernels_ggml as kernels
    from hwsim.numerics.catalog import formats

    groups = x.reshape(-1, 32)
    scale, minimum = np.empty(len(groups), np.float32), np.empty(len(groups), np.float32)
    codes = np.empty(groups.shape, np.uint8)
    _run(kernels.groups_q4_k, groups, codes, scale, minimum, blocks=len(groups), elements=x.size * 32)
    fields: Fields = {}
    top = np.float32(63)
    for whole, part, each in (("d", "scale", scale), ("dmin", "min", minimum)):
        found = each.reshape(-1, 8)
        most = np.maximum(found.max(axis=1, initial=0), np.float32(0))[:, None]
        inverse = np.divide(top, most, out=np.zeros_like(most), where=most > 0)
        fields[whole] = _float16(most / top)
        fields[part] = np.minimum(np.rint(inverse * found), top).astype(np.uint8)
    block = formats["q4_k"]
    assert isinstance(block, BlockFormat)
    stored, offset = ggml_scales(block, fields)
    assert offset is not None
    _run(
        kernels.codes_q4_k, groups, codes, stored.reshape(-1), -offset.reshape(-1), blocks=len(groups), elements=x.size
    )
    return codes, stored, offset, fields


def ggml_scales(block: BlockFormat, fields: Fields) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Effective scales and offsets that stored fields stand for, in the shape of the finest field."""

    def half(name: str) -> NDArray[np.float32]:
        return fields[name].view(np.float16).astype(np.float32)

    if block.name == "q4_k":
        times = np.float32
        return half("d") * fields["scale"].astype(times), -(half("dmin") * fields["min"].astype(times))
    return half("d"), half("m") if "m" in fields else None


def _micro(x: Blocks, block: BlockFormat, mode: str) -> Parts:
    from hwsim.numerics import _kernels_levels as kernels

    bits = element_format(block.element).bits
    codes = np.empty(x.shape, np.uint8)
    exponent, shift = np.empty((len(x), 1), np.uint8), np.empty((len(x), x.shape[1] // 2), np.uint8)
    _run(kernels.micro_exponents, x, codes, exponent[:, 0], shift, bits, blocks=len(x), elements=x.size)
    power = exponent.astype(np.int32) - 127 - shift - (bits - 2)
    return codes, np.ldexp(np.float32(1), power), None, {"exponent": exponent, "shift": shift}


def _hif4(x: Blocks, block: BlockFormat, mode: str) -> Parts:
    from hwsim.numerics import _kernels_levels as kernels

    def bfloat16(y: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(decode(encode(y, "bf16"), "bf16"), np.float32)

    amax = np.empty(len(x), np.float32)
    _run(kernels.hif4_amax, x, amax, blocks=len(x), elements=x.size)
    least, most = np.float32(2.0**-48), np.float32(49152)
    wanted = np.clip(bfloat16(amax * bfloat16(np.array([1 / 7], np.float32))), least, most)
    scale = encode(wanted, block.scale_format)
    factor = np.asarray(decode(scale, block.scale_format), np.float32)
    codes = np.empty(x.shape, np.uint8)
    double8, double4 = np.empty((len(x), x.shape[1] // 8), np.uint8), np.empty((len(x), x.shape[1] // 4), np.uint8)
    inverse = bfloat16(np.reciprocal(factor))
    _run(kernels.hif4_codes, x, codes, inverse, double8, double4, blocks=len(x), elements=x.size)
    effective = np.ldexp(factor[:, None], np.repeat(double8, 2, axis=1).astype(np.int32) + double4)
    return codes, effective.astype(np.float32), None, {"scale": scale[:, None], "double8": double8, "double4": double4}


_RULES: dict[str, Callable[[Blocks, BlockFormat, str], Parts]] = {
    "ggml": _ggml,
    "micro_exponent": _micro,
    "hif4": _hif4,
}
