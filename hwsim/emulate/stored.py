"""Values between operations: real float32 arrays, or codes with how to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import QuantParams
from hwsim.numerics import QTensor, decode
from hwsim.numerics.codec import element_format
from hwsim.numerics.threads import split


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """Codes of a value.

    Attributes:
        codes: one an element, in the value's shape.
        quant: its storage.
        scales: of a block format, the tensor as encoded with its block scales; None for per-tensor storage.
    """

    codes: NDArray[Any]
    quant: QuantParams
    scales: QTensor | None = None

    @classmethod
    def of(cls, x: NDArray[np.float32], quant: QuantParams) -> Stored:
        """Store real numbers, keeping their memory order."""
        order = _memory_order(x)
        if quant.block_format is not None:
            held = quant.quantize(x)
            return cls(held.codes, quant, held)
        flat = np.ascontiguousarray(x.transpose(order))
        return cls(quant.quantize(flat).codes.transpose(np.argsort(order)), quant)

    def with_codes(self, codes: NDArray[Any]) -> Stored:
        """Other codes, stored alike."""
        return Stored(codes, self.quant, None if self.scales is None else replace(self.scales, codes=codes))


Held = NDArray[np.float32] | Stored


def _memory_order(x: NDArray[Any]) -> tuple[int, ...]:
    """Dimensions from the slowest to the fastest in memory."""
    return tuple(int(i) for i in np.argsort([-s for s in x.strides], kind="stable"))


def real(held: Held) -> NDArray[np.float32]:
    """The real numbers of a value, float32."""
    if not isinstance(held, Stored):
        return held
    if held.scales is not None:
        return held.scales.dequantize()
    quant = held.quant
    x = decode(held.codes, quant.format).astype(np.float32, copy=False)
    if quant.zero_point is not None:
        x = x - np.float32(quant.zero_point)
    return x if quant.scale is None else x * np.float32(quant.scale)


@cache
def _ranks(fmt: str) -> tuple[NDArray[np.uint16], NDArray[Any]]:
    """Rank of each code by value (-0 below +0, NaN above all), and the code of each rank."""
    entry = element_format(fmt)
    codes = np.arange(1 << entry.bits, dtype=entry.code_dtype)
    with np.errstate(invalid="ignore"):  # widening a signalling NaN raises the flag; NaNs are ranked apart below
        values = decode(codes, fmt).astype(np.float64)
    order = np.lexsort((~np.signbit(values), np.where(np.isnan(values), np.inf, values), np.isnan(values)))
    rank = np.empty(len(codes), np.uint16)
    rank[order] = np.arange(len(codes), dtype=np.uint16)
    return rank, codes[order]


def max_pool(held: Stored, attrs: Mapping[str, Any]) -> Stored:
    """Max pooling on codes; storage is unchanged because a quantizer keeps order."""
    from hwsim.emulate._kernels import max_pool as kernel

    x = np.ascontiguousarray(held.codes.transpose(0, 2, 3, 1))
    (top, left, bottom, right), size, stride = attrs["pads"], attrs["kernel_shape"], attrs["strides"]
    oh = (x.shape[1] + top + bottom - size[0]) // stride[0] + 1
    ow = (x.shape[2] + left + right - size[1]) // stride[1] + 1
    out = np.empty((x.shape[0], oh, ow, x.shape[3]), x.dtype)
    rank, code_of = _ranks(held.quant.format)
    pads = (top, left, bottom, right)
    split(partial(kernel, x, rank, code_of, tuple(size), tuple(stride), pads, out), len(x) * oh, out.size)
    return Stored(out.transpose(0, 3, 1, 2), held.quant)
