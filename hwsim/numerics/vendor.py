"""Quantized tensors in the containers that vendors' programs read: GPTQ, AWQ, Ascend and GGML.

GPTQ, AWQ and Ascend hold a weight [outputs, inputs] of ``uint4`` or ``int4`` with scales in groups along its inputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import FormatError
from hwsim.numerics.catalog import formats
from hwsim.numerics.codec import decode
from hwsim.numerics.format import BlockFormat
from hwsim.numerics.levels import ggml_scales
from hwsim.numerics.packing import pack, unpack
from hwsim.numerics.qtensor import QTensor

Container = dict[str, NDArray[Any]]
GGML = {"q4_0": 18, "q4_1": 20, "q8_0": 34, "q4_k": 144, "iq4_nl": 18, "mxfp4": 17}
"""Bytes of a block, by block format."""


def _weight(q: QTensor, fmt: str, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Codes [outputs, inputs] and zero points [outputs, groups], checked."""
    if q.codes.ndim != 2 or q.format != fmt or q.axis != 1 or q.block_size is None:
        raise FormatError(f"expected a {fmt} weight [outputs, inputs] with groups along its inputs", where=where)
    if q.shape[0] % 8 or q.shape[1] % 8 or q.shape[1] % q.block_size:
        raise FormatError(f"expected outputs and inputs in eights and whole groups, found {q.shape}", where=where)
    zeros = np.zeros(q.scale.shape, np.int32) if q.zero_point is None else q.zero_point
    return q.codes, zeros


def _words(codes: NDArray[Any], layout: str) -> NDArray[np.int32]:
    """Codes of the last axis, eight an int32."""
    packed = pack(codes.astype(np.uint8), "uint4", layout).view("<i4")
    return packed.reshape(*codes.shape[:-1], codes.shape[-1] // 8).astype(np.int32, copy=False)


def _codes(words: ArrayLike, layout: str) -> NDArray[np.uint8]:
    array = np.ascontiguousarray(words, dtype="<i4")
    shape = (*array.shape[:-1], array.shape[-1] * 8)
    return unpack(array.reshape(-1).view(np.uint8), "uint4", shape, layout=layout)


def _grouped(codes: NDArray[Any], zeros: NDArray[Any], scales: ArrayLike) -> QTensor:
    size = codes.shape[1] // zeros.shape[1]
    scale = np.ascontiguousarray(np.asarray(scales).T, dtype=np.float32)
    return QTensor(np.ascontiguousarray(codes), "uint4", scale, zeros.astype(np.int32), 1, size, "fp16")


def to_gptq(q: QTensor) -> Container:
    """``qweight`` int32 [inputs / 8, outputs], ``qzeros`` int32 [groups, outputs / 8] holding zero point - 1 modulo 16,
    ``scales`` float16 [groups, outputs].

    Raises:
        FormatError: not a uint4 weight in whole groups along its inputs, or zero points outside 0..15.
    """
    codes, zeros = _weight(q, "uint4", "to_gptq")
    stored = _small(zeros, "to_gptq") - 1 & 15
    qweight = np.ascontiguousarray(_words(codes, "gptq").T)
    return {"qweight": qweight, "qzeros": _words(stored.T, "gptq"), "scales": q.scale.T.astype(np.float16)}


def from_gptq(qweight: ArrayLike, qzeros: ArrayLike, scales: ArrayLike) -> QTensor:
    """Inverse of `to_gptq`."""
    zeros = (_codes(qzeros, "gptq").astype(np.int32) + 1 & 15).T
    return _grouped(_codes(np.asarray(qweight).T, "gptq"), zeros, scales)


def to_awq(q: QTensor) -> Container:
    """``qweight`` int32 [inputs, outputs / 8], ``qzeros`` int32 [groups, outputs / 8], ``scales`` as `to_gptq`.

    Raises:
        FormatError: as `to_gptq`.
    """
    codes, zeros = _weight(q, "uint4", "to_awq")
    qzeros = _words(_small(zeros, "to_awq").T, "awq")
    return {"qweight": _words(codes.T, "awq"), "qzeros": qzeros, "scales": q.scale.T.astype(np.float16)}


def from_awq(qweight: ArrayLike, qzeros: ArrayLike, scales: ArrayLike) -> QTensor:
    """Inverse of `to_awq`."""
    return _grouped(_codes(qweight, "awq").T, _codes(qzeros, "awq").T.astype(np.int32), scales)


def _small(zeros: NDArray[np.int32], where: str) -> NDArray[np.int32]:
    if zeros.size and (int(zeros.min()) < 0 or int(zeros.max()) > 15):
        raise FormatError(f"zero points must be in 0..15, found {zeros.min()}..{zeros.max()}", where=where)
    return zeros


def to_ascend(q: QTensor) -> Container:
    """``weight`` int32 [inputs, outputs / 8], ``antiquant_scale`` and ``antiquant_offset`` float16 [groups, outputs].

    CANN computes (weight + offset) * scale, so the offset is the negated zero point.

    Raises:
        FormatError: not an int4 weight in whole groups along its inputs.
    """
    codes, zeros = _weight(q, "int4", "to_ascend")
    scale, offset = q.scale.T.astype(np.float16), (-zeros).T.astype(np.float16)
    return {"weight": _words(codes.T, "ascend"), "antiquant_scale": scale, "antiquant_offset": offset}


def from_ascend(weight: ArrayLike, antiquant_scale: ArrayLike, antiquant_offset: ArrayLike) -> QTensor:
    """Inverse of `to_ascend`."""
    codes = np.ascontiguousarray(_codes(weight, "ascend").T)
    zeros = -np.asarray(antiquant_offset).T.astype(np.int32)
    scale = np.ascontiguousarray(np.asarray(antiquant_scale).T, dtype=np.float32)
    return QTensor(codes, "int4", scale, zeros, 1, codes.shape[1] // zeros.shape[1], "fp16")


# GGML -----------------------------------------------------------------------------------------------------------------
def _ggml_block(name: str | None, where: str) -> BlockFormat:
    block = formats[name] if name in GGML else None
    if not isinstance(block, BlockFormat):
        raise FormatError(f"{name!r} is not a block format of GGML", where=where, hint=f"one of: {', '.join(GGML)}")
    return block


def to_ggml(q: QTensor) -> NDArray[np.uint8]:
    """The rows of a GGUF tensor, uint8 [..., bytes of a row]: each block's scale fields, then its elements.

    Raises:
        FormatError: a block format that GGML lacks, blocks along another axis than the last, or a short block.
    """
    block = _ggml_block(q.block_format, "to_ggml")
    size = block.block_size
    if q.axis != q.codes.ndim - 1 or q.shape[-1] % size:
        raise FormatError(f"expected whole blocks of {size} along the last axis", where="to_ggml")
    codes = q.codes.reshape(-1, size)
    parts: list[NDArray[np.uint8]] = []
    if block.name == "mxfp4":
        parts = [_exponents(q.scale).reshape(-1, 1), _nibbles(codes, 32)]
    else:
        assert q.fields is not None
        for name in ("d", "dmin", "m"):
            if name in q.fields:
                parts.append(np.ascontiguousarray(q.fields[name]).reshape(-1, 1).view(np.uint8))
        if block.name == "q4_k":
            parts.append(_six_bits(q.fields["scale"].reshape(-1, 8), q.fields["min"].reshape(-1, 8)))
        parts.append(codes if block.name == "q8_0" else _nibbles(codes, min(size, 64)))
    return np.concatenate(parts, axis=1).reshape(*q.shape[:-1], q.shape[-1] // size * GGML[block.name])


def from_ggml(raw: NDArray[np.uint8], name: str) -> QTensor:
    """A QTensor from rows of a GGUF tensor, uint8 [..., bytes of a row].

    Raises:
        FormatError: a block format that GGML lacks, or rows that do not hold whole blocks.
    """
    block = _ggml_block(name, "from_ggml")
    width, size = GGML[name], block.block_size
    if raw.dtype != np.uint8 or raw.ndim == 0 or raw.shape[-1] % width:
        raise FormatError(f"expected uint8 rows of whole {width}-byte blocks, found {raw.dtype} {raw.shape}")
    count = raw.shape[-1] // width
    lead, shape = raw.shape[:-1], (*raw.shape[:-1], count * size)
    blocks = raw.reshape(-1, width)
    axis = len(shape) - 1
    if name == "mxfp4":
        scale = np.asarray(decode(blocks[:, 0], "e8m0")).reshape(*lead, count)
        codes = _unnibble(blocks[:, 1:], 32).reshape(shape)
        return QTensor(codes, block.element, scale, None, axis, size, "e8m0", None, name)
    fields: Container = {}
    at = 0
    for entry in block.fields:
        if entry.bits == 16:
            fields[entry.name] = np.ascontiguousarray(blocks[:, at : at + 2]).view(np.uint16)
            at += 2
    if name == "q4_k":
        fields["scale"], fields["min"] = _unpack_six_bits(blocks[:, at : at + 12])
        at += 12
    codes = np.ascontiguousarray(blocks[:, at:]) if name == "q8_0" else _unnibble(blocks[:, at:], min(size, 64))
    scale, offset = ggml_scales(block, fields)
    return QTensor(
        codes.reshape(shape),
        block.element,
        scale.reshape(*lead, -1),
        None,
        axis,
        block.scale_size,
        block.scale_format,
        None,
        name,
        None if offset is None else offset.reshape(*lead, -1),
        {entry.name: fields[entry.name].reshape(*lead, -1) for entry in block.fields},
    )


def _exponents(scale: NDArray[np.float32]) -> NDArray[np.uint8]:
    """E8M0 codes of powers of two, 0xFF for NaN."""
    code: NDArray[np.uint8] = np.where(np.isnan(scale), 255, np.frexp(scale)[1] + 126).astype(np.uint8)
    return code


def _nibbles(codes: NDArray[np.uint8], run: int) -> NDArray[np.uint8]:
    """Byte j of each run holds codes j (low) and j + run / 2 (high)."""
    halves = codes.reshape(len(codes), -1, 2, run // 2)
    raw: NDArray[np.uint8] = halves[:, :, 0] | halves[:, :, 1] << np.uint8(4)
    return raw.reshape(len(codes), -1)


def _unnibble(raw: NDArray[np.uint8], run: int) -> NDArray[np.uint8]:
    halves = raw.reshape(len(raw), -1, run // 2)
    return np.stack([halves & 15, halves >> 4], axis=2).reshape(len(raw), -1)


def _six_bits(scale: NDArray[np.uint8], least: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Q4_K's 12 bytes: scales 0..3, minima 0..3, each with two bits of 4..7 above it, then the low nibbles of 4..7."""
    first = scale[:, :4] | scale[:, 4:] >> 4 << 6
    second = least[:, :4] | least[:, 4:] >> 4 << 6
    third = scale[:, 4:] & 15 | (least[:, 4:] & 15) << 4
    return np.concatenate([first, second, third], axis=1).astype(np.uint8)


def _unpack_six_bits(raw: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    first, second, third = raw[:, :4], raw[:, 4:8], raw[:, 8:]
    scale = np.concatenate([first & 63, third & 15 | first >> 6 << 4], axis=1)
    least = np.concatenate([second & 63, third >> 4 | second >> 6 << 4], axis=1)
    return scale, least
