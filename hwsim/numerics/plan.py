"""Choose the kernel for a format and its options, once, and keep the choice."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from hwsim.numerics.format import FloatLayout, Format, IntegerLayout, TableLayout
from hwsim.numerics.options import Options, float_spec, int_spec, resolve, sorted_table, table_spec

_NAN, _OVERFLOW, _NEGATIVE_ZERO = 1, 2, 4


@dataclass(frozen=True, eq=False)
class Plan:
    """Kernel numbers for one format and one set of options.

    Attributes:
        spec: the general kernel's numbers.
        fast: kind of the float32 shortcut (``bits``, ``levels``, ``whole``, ``top``, ``cells``) or None.
        fast_spec: that shortcut's numbers.
    """

    fmt: Format
    options: Options
    spec: Any
    fast: str | None
    fast_spec: Any


@lru_cache(maxsize=256)
def plan(
    fmt: Format, rounding: str | None, overflow: str | None, profile: str | None, negative_zero: str | None
) -> Plan:
    """The plan for these options, checked.

    Raises:
        FormatError: see `options.resolve`.
    """
    from hwsim.numerics import _kernels

    options = resolve(fmt, rounding, overflow, profile, negative_zero)
    layout = fmt.layout
    fast: str | None = None
    fast_spec: Any = None
    nearest = options.rounding == "nearest_even"
    spec: Any
    if isinstance(layout, FloatLayout):
        spec = _kernels.FloatSpec(*float_spec(fmt, layout, options))
        if nearest and layout.signed and layout.zero and layout.padding == 0:
            fast, fast_spec = _fast_float(fmt, layout, options, spec)
    elif isinstance(layout, IntegerLayout):
        spec = _kernels.IntSpec(*int_spec(fmt, layout, options))
        plain = layout.kind in ("twos_complement", "unsigned", "offset_binary")
        if nearest and plain and options.overflow == "saturate" and fmt.bits <= 8:
            fast, fast_spec = "whole", _whole(spec)
    else:
        assert isinstance(layout, TableLayout)
        spec = _kernels.TableSpec(*table_spec(fmt, layout, options))
        ordinary = options.rounding in ("nearest_even", "nearest_away") and options.overflow != "error"
        if ordinary and min(spec.minus_zero, spec.underflow) >= 0:
            fast_spec = _cells(layout, options, spec)
            fast = None if fast_spec is None else "cells"
    return Plan(fmt, options, spec, fast, fast_spec)


def _code(code: int) -> np.uint32:
    return np.uint32(max(code, 0))  # a refused code is flagged, never stored


def _pattern(value: Fraction | float) -> np.uint32:
    return np.uint32(np.float32(float(value)).view(np.uint32))


def _fast_float(fmt: Format, layout: FloatLayout, options: Options, spec: Any) -> tuple[str | None, Any]:
    from hwsim.numerics import _kernels_fast as fast

    if layout.mantissa_bits == 0:  # its last place is the exponent's: only comparisons serve
        if layout.magnitude_bits != 3 or layout.nan != "none" or options.overflow != "saturate":
            return None, None
        t = [_limit(layout, code) for code in range(7)]
        return "levels", fast.Levels(
            *(t[0], t[1], t[2], t[3], t[4], t[5], t[6]),
            _code(spec.nan_positive),
            _code(spec.nan_negative),
            _code(spec.minus_zero),
            _code(spec.underflow),
            np.uint32(_NAN if spec.nan_positive < 0 else 0),
            np.uint32(_NEGATIVE_ZERO if min(spec.minus_zero, spec.underflow) < 0 else 0),
        )
    top = layout.exponent_bits == 8 and layout.bias == 127 and layout.mantissa_bits < 23
    if top and (options.overflow != "inf" or {spec.minus_zero, spec.underflow} != {spec.sign_bit}):
        return None, None
    plain = spec.minus_zero == spec.underflow >= 0
    overflows_at = (layout.max_code >> layout.mantissa_bits) - layout.bias + 1
    fits = layout.bias <= 127 and overflows_at + 23 - layout.mantissa_bits <= 127
    if not top and (not fits or not 1 <= layout.mantissa_bits < 23 or fmt.bits > 16):
        return None, None
    limit = (
        np.uint32(0x7F800000)
        if options.overflow == "saturate" or top
        else _pattern(float(_limit(layout, layout.max_code)))
    )
    return "top" if top else "bits", fast.Bits32(
        np.uint32(plain),
        limit,
        _pattern(layout.magnitude(layout.max_code)),
        np.uint32(spec.sign_bit),
        _code(spec.underflow),
        _pattern(0.0 if top else 2.0**overflows_at),
        _pattern(2.0 ** (1 - layout.bias)),
        np.uint32((23 - layout.mantissa_bits) << 23),
        np.uint32(23 - layout.mantissa_bits),
        np.uint32(spec.max_code),
        _code(spec.overflow_positive),
        _code(spec.overflow_negative),
        _code(spec.nan_positive),
        _code(spec.nan_negative),
        np.uint32(1 << layout.mantissa_bits),
        _code(spec.minus_zero),
        _code(spec.underflow),
        np.uint32(_NAN if spec.nan_positive < 0 else 0),
        np.uint32(_OVERFLOW if options.overflow == "error" else 0),
        np.uint32(_NEGATIVE_ZERO if min(spec.minus_zero, spec.underflow) < 0 else 0),
    )


def _limit(layout: FloatLayout, code: int) -> np.float32:
    """Greatest float32 magnitude that nearest-even rounding still sends to ``code`` or below."""
    step = layout.magnitude(code) - layout.magnitude(code - 1) if code == layout.max_code else 0
    above = layout.magnitude(code) + step if step else layout.magnitude(code + 1)
    middle = np.float32(float((layout.magnitude(code) + above) / 2))
    return np.float32(np.nextafter(middle, np.float32(0))) if code % 2 else middle


def _cells(layout: TableLayout, options: Options, spec: Any) -> Any:
    """The table as cells, or None where thresholds lie too close for the top 16 bits of binary32."""
    from hwsim.numerics import _kernels_fast as fast

    values, codes, thresholds = sorted_table(layout, options.overflow == "inf")
    limits = thresholds.astype(np.float32)
    above = limits.astype(np.float64) > thresholds
    limits[above] = np.nextafter(limits[above], np.float32(-np.inf))  # no float32 lies between limit and threshold
    top = np.arange(1 << 16, dtype=np.uint32) << np.uint32(16)
    ends = np.stack([top, top | np.uint32(0xFFFF)]).view(np.float32)
    ends = np.where(np.isnan(ends) & ~np.isnan(ends[0]), np.copysign(np.float32(np.inf), ends[0]), ends)
    nan = np.isnan(ends[0])
    ends = np.abs(ends) if layout.symmetric else ends
    low, high = ends.min(axis=0), ends.max(axis=0)
    begins = np.searchsorted(limits, low, side="left")
    if np.any((np.searchsorted(limits, high, side="left") - begins > 1) & ~nan):
        return None
    begins = np.where(nan, 0, begins)
    cell_codes, cell_limits = codes, np.append(limits, np.float32(np.inf))
    if layout.symmetric:
        negative = np.where(values == 0, spec.underflow, codes | spec.sign_bit)
        begins = np.where(top >= 1 << 31, begins + values.size, begins)
        cell_codes, cell_limits = np.append(codes, negative), np.tile(cell_limits, 2)
    return fast.Cells(
        begins.astype(np.uint8),
        cell_limits,
        cell_codes.astype(np.uint8),
        np.uint32(layout.symmetric),
        _code(spec.minus_zero),
        _code(spec.nan_positive),
        _code(spec.nan_negative),
        np.uint32(_NAN if spec.nan_positive < 0 else 0),
    )


def _whole(spec: Any) -> Any:
    from hwsim.numerics import _kernels_fast as fast

    return fast.Whole32(
        np.float32(spec.minimum),
        np.float32(spec.maximum),
        np.float32(spec.multiplier),
        np.int32(spec.offset),
        np.int32(spec.mask),
        np.int32(max(spec.nan_positive, 0)),
        np.int32(max(spec.nan_negative, 0)),
        np.int32(_NAN if spec.nan_positive < 0 else 0),
    )
