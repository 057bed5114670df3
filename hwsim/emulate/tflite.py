"""TensorFlow Lite's integer arithmetic: what its int8 kernels store, code for code.

Kernels differ, and with them codes. ``tflite_reference`` are the reference kernels of TensorFlow Lite 2.14
(``OpResolverType.BUILTIN_REF``), which microcontrollers and Arm's NPUs follow: sums times a 31-bit multiplier, rounded
twice. ``litert_reference`` are those of LiteRT 2.3, whose dense layers round once. ``litert_xnnpack`` is what LiteRT's
interpreter runs by default on a CPU: sums times a float32 scale, rounded to even.
Sources: tensorflow/lite/kernels/internal/common.h (MultiplyByQuantizedMultiplier), reference/integer_ops/{conv,add,
pooling}.h, optimized_ops.h (Softmax by table), and XNNPACK's qs8-requantization and qs8-vadd; held against
tflite-runtime 2.14.0 and ai-edge-litert 2.3.0 by ``tests/io/test_tflite.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate.stored import Stored
from hwsim.errors import RecipeError
from hwsim.ir import Node, QuantParams
from hwsim.ir.float_ops import windows
from hwsim.numerics import encode, int_table
from hwsim.numerics.codec import element_format

XNNPACK = "litert_xnnpack"
RULES = ("tflite_reference", "litert_reference", XNNPACK)
ON_CODES = ("Add", "AveragePool", "Softmax")
"""Vector operations that TFLite computes on codes; a Quantize must follow, with Relu or Clip between at most."""

Integers = NDArray[np.int64]
Reals = NDArray[np.float64]


def multiplier_of(ratio: Reals | float) -> tuple[Integers, Integers]:
    """ratio = multiplier * 2^(shift - 31) with multiplier in [2^30, 2^31); zero below 2^-32 (QuantizeMultiplier)."""
    mantissa, exponent = np.frexp(np.asarray(ratio, np.float64))
    multiplier = np.floor(mantissa * 2.0**31 + 0.5).astype(np.int64)
    over = multiplier == 1 << 31
    multiplier = np.where(over, 1 << 30, multiplier)
    shift = exponent.astype(np.int64) + over
    tiny = shift < -31
    return np.where(tiny, 0, multiplier), np.where(tiny, 0, shift)


def twice(x: Integers, multiplier: Integers, shift: Integers) -> Integers:
    """x * ratio, rounded at bit 31 (half away from zero) and again at the shift (half away from zero)."""
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    product = _wrapped(x << left) * multiplier
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    mask = (np.int64(1) << right) - 1
    result: Integers = (high >> right) + ((high & mask) > (mask >> 1) + (high < 0))
    return result


def once(x: Integers, multiplier: Integers, shift: Integers) -> Integers:
    """x * ratio, rounded once, half up."""
    right = 31 - shift
    result: Integers = (x * multiplier + (np.int64(1) << (right - 1))) >> right
    return result


def _wrapped(x: Integers) -> Integers:
    return x.astype(np.int32).astype(np.int64)


def store_sums(
    acc: NDArray[np.int32], scale: Reals, clamps: Sequence[Node], quant: QuantParams, rule: str, op: str
) -> NDArray[Any]:
    """Codes of integer sums [rows, n] whose columns count in units of ``scale``, clamped as codes.

    ``scale`` is the exact product of the input's and the weights' float32 scales; the reference kernels' dense layers
    (``op`` Gemm) round that product to float32 first.
    """
    out_scale = np.float32(quant.scale)
    if rule == XNNPACK:
        factor = (scale.astype(np.float32) / out_scale).astype(np.float32)
        q = np.rint(acc.astype(np.float32) * factor).astype(np.int64)
    else:
        ratio = (scale.astype(np.float32).astype(np.float64) if op == "Gemm" else scale) / float(out_scale)
        rounded = once if op == "Gemm" and rule == "litert_reference" else twice
        q = rounded(acc.astype(np.int64), *multiplier_of(ratio))
    return _codes(q, clamps, quant)


def on_codes(node: Node, ins: Sequence[Stored], clamps: Sequence[Node], quant: QuantParams, rule: str) -> Stored:
    """One of :data:`ON_CODES` with its clamps, from stored inputs to storage ``quant``."""
    if node.op == "Add":
        q = _add(ins[0], ins[1], quant, rule)
    elif node.op == "AveragePool":
        if not _alike(ins[0].quant, quant):
            raise RecipeError("TFLite pools without changing the scale", where=node.name)
        q = _average(ins[0], node.attrs)
    else:
        q = _softmax(ins[0], quant, node.attrs["axis"])
    return Stored(_codes(q, clamps, quant, shifted=node.op != "Add"), quant)


def _codes(q: Integers, clamps: Sequence[Node], quant: QuantParams, *, shifted: bool = False) -> NDArray[Any]:
    """Codes of whole numbers, saturated and clamped; the zero point is added unless it is in them (``shifted``)."""
    from hwsim.emulate.epilogue import bounds

    entry = element_format(quant.format)
    zero = _zero(quant)
    limits = [int(entry.min_value), int(entry.max_value)]
    for at, limit in enumerate(bounds(tuple(clamps))):
        if np.isfinite(limit):
            real = float(np.float32(limit) / np.float32(quant.scale))
            code = zero + int(np.copysign(np.floor(abs(real) + 0.5), real))
            limits[at] = max(limits[0], code) if at == 0 else min(limits[1], code)
    held = np.clip(q if shifted else q + zero, limits[0], limits[1])
    return encode(held.astype(np.float32), quant.format)


def _zero(quant: QuantParams) -> int:
    return 0 if quant.zero_point is None else int(quant.zero_point)


def _alike(a: QuantParams, b: QuantParams) -> bool:
    return a.format == b.format and np.float32(a.scale) == np.float32(b.scale) and _zero(a) == _zero(b)


def _integers(held: Stored) -> Integers:
    found: Integers = int_table(held.quant.format)[held.codes].astype(np.int64)
    return found


def _add(a: Stored, b: Stored, quant: QuantParams, rule: str) -> Integers:
    """Sums of codes of two scales, without the output's zero point."""
    scales = [np.float32(held.quant.scale) for held in (a, b)]
    values = [_integers(held) - _zero(held.quant) for held in (a, b)]
    out_scale = np.float32(quant.scale)
    if rule == XNNPACK:
        ratios = [np.float32(scale / out_scale) for scale in scales]
        shift = 21 - int(np.frexp(max(ratios))[1])
        wide = sum(value * int(np.rint(np.ldexp(ratio, shift))) for value, ratio in zip(values, ratios, strict=True))
        return (np.asarray(wide, np.int64) + (1 << (shift - 1))) >> shift
    unit = 2 * float(max(scales))
    total = sum(
        twice(value << 20, *multiplier_of(float(scale) / unit)) for value, scale in zip(values, scales, strict=True)
    )
    return twice(np.asarray(total, np.int64), *multiplier_of(unit / ((1 << 20) * float(out_scale))))


def _average(held: Stored, attrs: Mapping[str, Any]) -> Integers:
    """Means of windows of codes, half away from zero; what lies outside does not count."""
    zeros = (1, 1)
    view = windows(_integers(held), attrs["kernel_shape"], attrs["strides"], attrs["pads"], zeros, np.int64(0))
    total = view.sum(axis=(4, 5))
    ones = np.ones((1, 1, *held.codes.shape[2:]), np.int64)
    count = windows(ones, attrs["kernel_shape"], attrs["strides"], attrs["pads"], zeros, np.int64(0)).sum(axis=(4, 5))
    half = count // 2
    result: Integers = np.where(total > 0, (total + half) // count, -((-total + half) // count))
    return result


def _softmax(held: Stored, quant: QuantParams, axis: int) -> Integers:
    """exp by a float32 table of the 256 differences from the largest code, summed in order."""
    x = np.moveaxis(_integers(held), axis, -1)
    steps = np.arange(256, dtype=np.float32)
    table = np.exp(-np.float32(held.quant.scale) * steps, dtype=np.float32)
    power = table[x.max(axis=-1, keepdims=True) - x]
    total = np.add.accumulate(power, axis=-1, dtype=np.float32)[..., -1:]
    share = power * (np.float32(1) / (total * np.float32(quant.scale)))
    q: Integers = np.rint(share).astype(np.int64) + _zero(quant)
    return np.moveaxis(q, -1, axis)
