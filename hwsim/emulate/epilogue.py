"""From sums to what is stored: clamp, scale, requantize, as the target declares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate import tflite
from hwsim.errors import RecipeError
from hwsim.ir import Arithmetic, Node, QuantParams
from hwsim.numerics import decode, encode
from hwsim.numerics.codec import element_format
from hwsim.numerics.threads import split

Float = NDArray[np.float32]
_INT32 = np.iinfo(np.int32)
REAL = "real"
"""No chip's rule: what requantizers come near. It is there to say what a chip's own rule costs."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Results of a matrix product before storage.

    Attributes:
        acc: [rows, n]; int32, float32 or float16. Real numbers are acc * scale + bias.
        scale: [n]; float64 where it is an exact product of two float32 scales.
        bias: float32 [n]; None where the sums already hold it.
    """

    acc: NDArray[Any]
    scale: NDArray[np.floating[Any]]
    bias: Float | None


def bounds(clamps: tuple[Node, ...]) -> tuple[float, float]:
    """The interval that a chain of Relu and Clip leaves."""
    low, high = -np.inf, np.inf
    for node in clamps:
        least, most = (0.0, np.inf) if node.op == "Relu" else (float(node.attrs["min"]), float(node.attrs["max"]))
        low, high = min(max(low, least), most), max(min(high, most), least)
    return low, high


def reals(sums: Sums, clamps: tuple[Node, ...], vector_format: str) -> Float:
    """Sums as real numbers [rows, n], clamped, rounded to the vector unit's format."""
    from hwsim.emulate._kernels import scale_sums

    low, high = bounds(clamps)
    scale = sums.scale.astype(np.float32)
    bias = np.zeros_like(scale) if sums.bias is None else sums.bias
    out = np.empty(sums.acc.shape, np.float32)
    limits = np.float32(low), np.float32(high)
    split(partial(scale_sums, sums.acc, scale, bias, *limits, out), len(out), out.size)
    return to_format(out, vector_format)


def to_format(x: Float, fmt: str) -> Float:
    """``x`` rounded once to a wide float format, as float32."""
    if fmt == "fp32":
        return x
    return decode(encode(x, fmt, rounding="nearest_even", overflow="inf"), fmt).astype(np.float32)


def store(
    sums: Sums,
    clamps: tuple[Node, ...],
    quant: QuantParams,
    requantize: str,
    arithmetic: Arithmetic | None = None,
    op: str = "",
) -> NDArray[Any]:
    """Codes [rows, n] of the clamped sums in storage ``quant`` (per tensor).

    Integer sums into an integer format requantize as declared: ``fp32`` multiplies by the float32 ratio of scales and
    rounds to nearest even; ``fixed_point`` multiplies by a 31-bit integer and shifts right, rounding half up; the rules
    of TensorFlow Lite, which depend on the operator ``op``, are in ``hwsim.emulate.tflite``. Everything else, and
    storage with a rounding or zeros of its own, is scaled to real numbers in float32 and encoded; so is all of it under
    ``REAL``.
    """
    entry = element_format(quant.format)
    whole = sums.acc.dtype == np.int32 and sums.bias is None and entry.is_integer and quant.plain
    if not whole or quant.scale is None or requantize == REAL:
        return quant.quantize(reals(sums, clamps, "fp32")).codes
    if requantize in tflite.RULES:
        return tflite.store_sums(sums.acc, sums.scale.astype(np.float64), clamps, quant, requantize, op)
    from hwsim.emulate._kernels import requantize_fixed, requantize_float

    low, high = bounds(clamps)
    wide = sums.scale.astype(np.float32).astype(np.float64)
    acc_low = _as_sums(low, wide)
    acc_high = _as_sums(high, wide)
    ratio = wide / float(quant.scale)
    zero = 0 if quant.zero_point is None else int(quant.zero_point)
    least, code_of = _integer_codes(quant.format)
    out = np.empty(sums.acc.shape, code_of.dtype)
    if requantize == "fixed_point":
        if arithmetic is not None and arithmetic.multiplier is not None and arithmetic.shift is not None:
            multiplier, shift = arithmetic.multiplier, arithmetic.shift
        else:
            multiplier, shift = fixed_point(ratio)
        kernel = partial(requantize_fixed, sums.acc, acc_low, acc_high, multiplier, shift, zero, least, code_of, out)
    else:
        factor = ratio.astype(np.float32)
        kernel = partial(requantize_float, sums.acc, acc_low, acc_high, factor, zero, least, code_of, out)
    split(kernel, len(out), out.size)
    return out


def _as_sums(limit: float, scale: NDArray[np.float64]) -> NDArray[np.int32]:
    """A real limit in units of each column's sums."""
    with np.errstate(invalid="ignore"):
        return np.clip(np.rint(np.full(len(scale), limit) / scale), _INT32.min, _INT32.max).astype(np.int32)


def fixed_point(ratio: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """ratio = multiplier * 2^-shift with multiplier in [2^30, 2^31).

    Raises:
        RecipeError: a ratio so large that the shift would not be positive.
    """
    mantissa, exponent = np.frexp(ratio)
    multiplier = np.rint(mantissa * 2.0**31).astype(np.int64)
    over = multiplier == 1 << 31
    multiplier = np.where(over, 1 << 30, multiplier)
    shift = 31 - (exponent.astype(np.int64) + over)
    if np.any(shift < 1):
        raise RecipeError(
            f"a requantization ratio of {ratio.max():.3g} is beyond fixed point; the output scale is too small"
        )
    tiny = shift > 62
    return np.where(tiny, 0, multiplier), np.where(tiny, 62, shift)


@cache
def _integer_codes(fmt: str) -> tuple[int, NDArray[Any]]:
    """Least integer of a format, and the code of each integer from it up."""
    entry = element_format(fmt)
    least, most = int(entry.min_value), int(entry.max_value)
    if most - least > 1 << 16:
        raise RecipeError(f"values are not requantized to {fmt}; formats of up to 16 bits are")
    return least, encode(np.arange(least, most + 1, dtype=np.float32), fmt)
