"""Codes to values and back, for one element format: `encode`, `decode` and the tables behind them."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import FormatError
from hwsim.numerics.catalog import formats
from hwsim.numerics.format import FloatLayout, Format, IntegerLayout, TableLayout
from hwsim.numerics.geometry import Runs, runs
from hwsim.numerics.options import sorted_table
from hwsim.numerics.plan import Plan, plan
from hwsim.numerics.threads import split

Codes = NDArray[Any]  # uint8, uint16 or uint32: `Format.code_dtype`


def element_format(fmt: str | Format) -> Format:
    """The element `Format` of that name (a `Format` passes through).

    Raises:
        FormatError: unknown name, or a block format, which has no codes of its own.
    """
    if isinstance(fmt, Format):
        return fmt
    entry = formats[fmt]
    if not isinstance(entry, Format):
        raise FormatError(
            f"{entry.name!r} is a block format and has no codes of its own",
            hint=f"its element is {entry.element!r}; quantize_tensor takes {entry.name!r}",
        )
    return entry


# Decoding -------------------------------------------------------------------------------------------------------------
def _value(fmt: Format, code: int) -> float:
    layout = fmt.layout
    if isinstance(layout, TableLayout):
        return layout.values[code]
    if isinstance(layout, IntegerLayout):
        integer = layout.integer(code, fmt.bits)
        return -0.0 if code == fmt.negative_zero_code else integer / (1 << layout.fraction_bits)
    code &= (1 << (fmt.bits - layout.padding)) - 1
    negative = layout.signed and bool(code >> layout.magnitude_bits)
    magnitude = code & ((1 << layout.magnitude_bits) - 1)
    if layout.nan == "negative_zero" and negative and magnitude == 0:
        return float("nan")
    if magnitude > layout.max_code:
        infinite = layout.infinity and magnitude == layout.infinity_code
        value = float("inf") if infinite else float("nan")
    else:
        value = float(layout.magnitude(magnitude))
    return -value if negative else value


@lru_cache(maxsize=128)
def _table(fmt: Format) -> NDArray[np.float32]:
    if fmt.bits > 8:
        raise FormatError(
            f"decode_table takes formats of at most 8 bits; {fmt.name!r} has {fmt.bits}", hint="use decode"
        )
    table = np.array([_value(fmt, code) for code in range(1 << fmt.bits)], dtype=np.float32)
    table.setflags(write=False)
    return table


def decode_table(fmt: str | Format) -> NDArray[np.float32]:
    """Value of every code, float32 [2**bits], read-only; NaN where the code is NaN, -0.0 where it is -0.

    Raises:
        FormatError: unknown format, a block format, or more than 8 bits.
    """
    return _table(element_format(fmt))


def int_table(fmt: str | Format) -> NDArray[np.int32]:
    """Integer of every code, int32 [2**bits], for integer-valued formats of at most 8 bits (-0 is 0).

    Raises:
        FormatError: unknown format, more than 8 bits, or a format whose values are not integers.
    """
    entry = element_format(fmt)
    if not entry.is_integer:
        raise FormatError(f"int_table takes integer formats; {entry.name!r} is not one", hint="use decode_table")
    return np.asarray(decode_table(entry), dtype=np.int32)


def check_codes(codes: ArrayLike, fmt: Format) -> Codes:
    """``codes`` as an array of `Format.code_dtype`.

    Raises:
        FormatError: not integers, or a code that needs more bits than the format has.
    """
    array = np.asarray(codes)
    if array.dtype.kind not in "ui" and array.size:
        raise FormatError(f"codes of {fmt.name!r} must be integers, found {array.dtype}")
    if array.dtype != fmt.code_dtype or fmt.bits < 8 * fmt.code_dtype.itemsize:
        if array.size and (int(array.max()) >> fmt.bits or int(array.min()) < 0):
            found = f"{int(array.min())}..{int(array.max())}"
            raise FormatError(f"codes of {fmt.name!r} must be in 0..{(1 << fmt.bits) - 1}, found {found}")
        array = array.astype(fmt.code_dtype, copy=False)
    return array


def decode(codes: ArrayLike, fmt: str | Format, *, negative_zero: str | None = None) -> NDArray[Any]:
    """Values of codes, in the codes' shape: float32 where the format is exact in it, else float64.

    Args:
        codes: unsigned codes, one an element.
        fmt: element format, by name or as a `Format`.
        negative_zero: ``keep`` (-0.0), ``canonicalise`` (+0.0) or ``trap``; None is the format's own policy.

    Raises:
        FormatError: unknown format, codes out of range, or a -0 under ``trap``.

    Example:
        >>> decode([0, 1, 7, 15], "fp4_e2m1")
        array([ 0. ,  0.5,  6. , -6. ], dtype=float32)
    """
    entry = element_format(fmt)
    array = check_codes(codes, entry)
    policy = plan(entry, None, None, None, negative_zero).options.negative_zero
    if policy == "trap" and bool(np.any(array == entry.negative_zero_code)):
        raise FormatError(f"codes of {entry.name!r} hold a negative zero, which policy 'trap' refuses")
    values = _decode(array, entry)
    if policy == "canonicalise":
        values += values.dtype.type(0)  # -0 + 0 is +0; nothing else changes
    return values


def _decode(codes: Codes, fmt: Format) -> NDArray[Any]:
    """Values of checked codes, a new array."""
    flat = np.ascontiguousarray(codes).reshape(-1)
    if fmt.name == "fp32":
        return flat.view(np.float32).reshape(codes.shape).copy()
    kind, spec = _decoder(fmt)
    if kind == "wide":
        return _decode_wide(codes, fmt)
    from hwsim.numerics import _kernels_decode as kernels

    out = np.empty(flat.shape, np.float32)
    if kind == "float":
        bits = out.view(np.uint32)
        split(lambda first, last: kernels.decode_float(flat, bits, spec, first, last), flat.size, flat.size)
    elif kind == "integer":
        split(lambda first, last: kernels.decode_integer(flat, out, spec, first, last), flat.size, flat.size)
    else:
        table = _table(fmt)
        split(lambda first, last: kernels.take(flat, table, out, first, last), flat.size, flat.size)
    return out.reshape(codes.shape)


@lru_cache(maxsize=128)
def _decoder(fmt: Format) -> tuple[str, Any]:
    """Which kernel decodes the format (``float``, ``integer``, ``table``, or ``wide`` for numpy) and its numbers."""
    from hwsim.numerics import _kernels_decode as kernels

    layout = fmt.layout
    if isinstance(layout, IntegerLayout) and layout.kind in ("twos_complement", "unsigned", "offset_binary"):
        half = 1 << (fmt.bits - 1)
        if fmt.bits <= 8:
            flip, bias = (half, half) if layout.kind == "twos_complement" else (0, 0)
            bias = half if layout.kind == "offset_binary" else bias
            step = np.float32(1 / (1 << layout.fraction_bits))
            return "integer", kernels.IntegerCodes(np.int32(flip), np.int32(bias), step)
    small = fmt.bits <= 19 and fmt.value_dtype == np.float32
    if isinstance(layout, FloatLayout) and layout.zero and layout.bias <= 127 and small:
        nowhere = np.uint32(0xFFFFFFFF)
        kept = 23 - layout.mantissa_bits
        return "float", kernels.FloatCodes(
            np.uint32((1 << layout.magnitude_bits) - 1),
            np.uint32(1 << layout.magnitude_bits if layout.signed else 0),
            np.uint32(kept),
            np.uint32((127 - layout.bias) << 23),
            np.uint32(1 << layout.mantissa_bits),
            np.float32(2.0 ** (1 - layout.bias - layout.mantissa_bits)),
            np.uint32(layout.max_code),
            np.uint32(layout.infinity_code) if layout.infinity else nowhere,
            np.uint32(layout.nan == "ieee" and fmt.bits > 8),
            np.uint32(1 << layout.magnitude_bits) if layout.nan == "negative_zero" else nowhere,
        )
    return ("table" if fmt.bits <= 8 else "wide"), None


def _decode_wide(codes: Codes, fmt: Format) -> NDArray[Any]:
    """Values of codes of more than 8 bits."""
    layout = fmt.layout
    if isinstance(layout, IntegerLayout):
        wide = codes.astype(np.int64)
        half = np.int64(1) << (fmt.bits - 1)
        if layout.kind == "twos_complement":
            wide -= (wide & half) << 1
        elif layout.kind == "offset_binary":
            wide -= half
        values = wide.astype(np.float64) / (1 << layout.fraction_bits)
        if layout.kind == "sign_magnitude":
            values = np.where(wide >= half, -(values - float(half)), values)
        return values.astype(fmt.value_dtype)
    assert isinstance(layout, FloatLayout)
    sign = codes.astype(np.int64) >> layout.magnitude_bits & int(layout.signed)
    magnitude = codes.astype(np.int64) & ((1 << layout.magnitude_bits) - 1)
    exponent = magnitude >> layout.mantissa_bits
    mantissa = magnitude & ((1 << layout.mantissa_bits) - 1)
    hidden = np.where((exponent > 0) | (not layout.zero), 1 << layout.mantissa_bits, 0)
    first = np.maximum(exponent, int(layout.zero))
    values = np.ldexp((mantissa + hidden).astype(np.float64), first - layout.bias - layout.mantissa_bits)
    special = np.where(layout.infinity & (magnitude == layout.infinity_code), np.inf, np.nan)
    values = np.where(magnitude > layout.max_code, special, values)
    if layout.nan == "negative_zero":
        values = np.where((sign == 1) & (magnitude == 0), np.nan, values)
    return np.where(sign == 1, -values, values).astype(fmt.value_dtype)


# Encoding -------------------------------------------------------------------------------------------------------------
def real_array(x: ArrayLike, where: str) -> NDArray[Any]:
    """``x`` as float32 or float64 without loss.

    Raises:
        FormatError: not real numbers, or integers that float64 does not hold exactly.
    """
    array = np.asarray(x)
    if array.dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        return array
    if array.dtype == np.float16 or array.dtype.kind == "b" or (array.dtype.kind in "ui" and array.dtype.itemsize <= 2):
        return array.astype(np.float32)
    if array.dtype.kind in "ui":
        wide = array.astype(np.float64)
        if array.dtype.itemsize == 8 and array.size and max(abs(wide.min()), abs(wide.max())) > 2.0**53:
            raise FormatError("integers beyond 2**53 are not exact in float64", where=where)
        return wide
    if array.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float4_e2m1fn"):  # ml_dtypes: exact in float32
        return array.astype(np.float32)
    raise FormatError(f"x must hold real numbers of at most 64 bits, found {array.dtype}", where=where)


def random_array(
    random_bits: ArrayLike | None, shape: tuple[int, ...], rounding: str, where: str
) -> NDArray[np.uint32]:
    """``random_bits`` checked and flattened; one zero where the rounding needs none."""
    if rounding != "stochastic":
        if random_bits is not None:
            raise FormatError(f"random_bits are for stochastic rounding; rounding is {rounding!r}", where=where)
        return np.zeros(1, np.uint32)
    if random_bits is None:
        raise FormatError("stochastic rounding needs random_bits: uint32, in the shape of x", where=where)
    bits = np.asarray(random_bits)
    if bits.shape != shape or bits.dtype != np.uint32:
        raise FormatError(
            f"random_bits must be uint32 of shape {shape}, found {bits.dtype} of shape {bits.shape}", where=where
        )
    return np.ascontiguousarray(bits).reshape(-1)


def _refuse(status: int, fmt: Format, chosen: Plan) -> FormatError:
    options = chosen.options
    where = f"encode to {fmt.name!r}"
    if status & 1:
        others = [p.name for p in fmt.profiles.values() if p.nan != "error"]
        hint = f"profiles that accept it: {', '.join(others)}" if others else "remove it first"
        return FormatError(f"x holds NaN, which profile {options.profile.name!r} refuses", where=where, hint=hint)
    if status & 2:
        return FormatError(
            f"x holds values outside {fmt.min_value:g}..{fmt.max_value:g} and overflow is {options.overflow!r}",
            where=where,
        )
    if status & 4:
        return FormatError("x holds or rounds to a negative zero, which policy 'trap' refuses", where=where)
    what = "zero" if status & 8 else "a negative number"
    return FormatError(f"x holds {what}, which profile {options.profile.name!r} refuses", where=where)


def encode(
    x: ArrayLike,
    fmt: str | Format,
    *,
    rounding: str | None = None,
    overflow: str | None = None,
    profile: str | None = None,
    negative_zero: str | None = None,
    random_bits: ArrayLike | None = None,
) -> Codes:
    """Codes of the numbers nearest to ``x``, rounded once, in the shape of ``x``.

    Args:
        x: real numbers: float64, float32, float16, bfloat16 or integers; each is used at its own precision.
        fmt: element format, by name or as a `Format`.
        rounding: ``nearest_even``, ``nearest_away``, ``toward_zero``, ``up``, ``down`` or ``stochastic``. None is the
            profile's, and every catalog default is ``nearest_even``.
        overflow: what becomes of numbers that round beyond the range, infinities among them: ``saturate``, ``wrap``
            (integers that fill their codes), ``nan``, ``inf``, ``error``. None is the profile's: ``saturate``, but
            ``inf`` for bf16, fp16, tf32 and fp32.
        profile: whose treatment of NaN, -0 and the defaults above; None is the format's first profile.
        negative_zero: ``keep``, ``canonicalise`` or ``trap``; None is the profile's, then the format's own policy.
        random_bits: uint32 of the shape of ``x``, for stochastic rounding: a magnitude rounds away from zero where
            floor(f * 2**32) + random_bits >= 2**32, f being the part of the last place that is cut off.

    Returns:
        uint8, uint16 or uint32 (`Format.code_dtype`), masked to ``bits``.

    Raises:
        FormatError: unknown name, a choice that the format does not have, or a value that the choices refuse.

    Example:
        >>> encode([0.25, 2.5, 100.0], "fp4_e2m1")  # ties to even, and the largest is 6
        array([0, 4, 7], dtype=uint8)
    """
    entry = element_format(fmt)
    chosen = plan(entry, rounding, overflow, profile, negative_zero)
    where = f"encode to {entry.name!r}"
    array = np.asarray(x)
    random = random_array(random_bits, array.shape, chosen.options.rounding, where)
    out = np.empty(array.shape, entry.code_dtype)
    ready = array.dtype in (np.dtype(np.float32), np.dtype(np.float64)) and array.flags.c_contiguous
    for part in [slice(None)] if ready else _slabs(array.shape):
        piece = real_array(array[part] if array.ndim else array, where)
        target = out[part] if array.ndim else out
        first = 0 if part.start is None else part.start * (array.size // array.shape[0])
        chances = random if random.size == 1 else random[first : first + piece.size]
        _encode(np.ascontiguousarray(piece).reshape(-1), chances, target.reshape(-1), chosen)
    return out


_SLAB = 1 << 20  # elements that are copied at a time, where the input must be converted or made contiguous


def _slabs(shape: tuple[int, ...]) -> list[slice]:
    """Cuts along the first axis into pieces of about ``_SLAB`` elements."""
    if not shape or 0 in shape:
        return [slice(None)]
    rows = max(1, _SLAB // math.prod(shape[1:]))
    return [slice(start, start + rows) for start in range(0, shape[0], rows)]


def _encode(flat: NDArray[Any], random: NDArray[np.uint32], out: Codes, chosen: Plan) -> None:
    """Fill ``out`` with codes of a flat float32 or float64 array."""
    layout = chosen.fmt.layout
    if flat.dtype == np.float32 and chosen.options.profile.nan == "payload" and chosen.fmt.name == "fp32":
        out[...] = flat.view(np.uint32)
        return
    if flat.dtype == np.float32 and chosen.fast is not None and _fast_plain(flat, out, chosen) == 0:
        return
    general(flat, np.ones(1, flat.dtype), None, random, out, runs(flat.shape, None, None), chosen)
    if chosen.options.profile.nan == "truncate" and isinstance(layout, FloatLayout):
        _truncate_nan(flat, out, layout)


def _truncate_nan(flat: NDArray[Any], out: Codes, layout: FloatLayout) -> None:
    """Replace the codes of NaN by the top bits of the input, signalling ones too (arithmetic would make them quiet)."""
    where = np.flatnonzero(np.isnan(flat))
    if where.size == 0:
        return
    kept = 23 if flat.dtype == np.float32 else 52
    bits = flat.view(np.uint32 if kept == 23 else np.uint64)[where].astype(np.uint64)
    payload = (bits & np.uint64((1 << kept) - 1)) >> np.uint64(kept - layout.mantissa_bits)
    payload[payload == 0] = 1 << (layout.mantissa_bits - 1)
    sign = np.signbit(flat[where]).astype(np.uint64) << np.uint64(layout.magnitude_bits)
    out[where] = (sign | np.uint64(layout.infinity_code) | payload).astype(out.dtype)


def _fast_plain(flat: NDArray[Any], out: Codes, chosen: Plan) -> int:
    from hwsim.numerics import _kernels_fast as fast

    if chosen.fast == "cells":
        one, geometry = np.ones(1, np.float32), runs(flat.shape, None, None)
        cells = chosen.fast_spec
        return split(
            lambda first, last: fast.cells_scaled(flat, one, out, geometry, cells, first, last),
            geometry.total,
            flat.size,
        )
    kernel = {
        "bits": fast.bits_plain,
        "levels": fast.levels_plain,
        "whole": fast.whole_plain,
        "top": fast.top_plain,
    }[chosen.fast or ""]
    return split(lambda first, last: kernel(flat, out, chosen.fast_spec, first, last), flat.size, flat.size)


def general(
    flat: NDArray[Any],
    scale: NDArray[Any],
    zero_point: NDArray[Any] | None,
    random: NDArray[np.uint32],
    out: Codes,
    geometry: Runs,
    chosen: Plan,
) -> None:
    """Fill ``out`` by the general kernels, or raise what they refuse."""
    from hwsim.numerics import _kernels

    spec, layout = chosen.spec, chosen.fmt.layout
    scale = scale.astype(flat.dtype, copy=False)
    if isinstance(layout, FloatLayout):
        status = split(
            lambda first, last: _kernels.encode_float(flat, scale, random, out, geometry, spec, first, last),
            geometry.total,
            flat.size,
        )
    elif isinstance(layout, IntegerLayout) and layout.kind == "bipolar":
        status = split(
            lambda first, last: _kernels.encode_bipolar(flat, scale, random, out, geometry, spec, first, last),
            geometry.total,
            flat.size,
        )
    elif isinstance(layout, IntegerLayout):
        zeros = np.zeros(scale.size, np.float32) if zero_point is None else zero_point.astype(np.float32)
        status = split(
            lambda first, last: _kernels.encode_int(flat, scale, zeros, random, out, geometry, spec, first, last),
            geometry.total,
            flat.size,
        )
    else:
        values, codes, limits = sorted_table(layout, chosen.options.overflow == "inf")
        status = split(
            lambda first, last: _kernels.encode_table(
                flat, scale, random, out, values, codes, limits, geometry, spec, first, last
            ),
            geometry.total,
            flat.size,
        )
    if status:
        raise _refuse(status, chosen.fmt, chosen)
