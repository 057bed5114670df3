"""Turn what a caller asks for (rounding, overflow, profile, negative zero) into the plain numbers that kernels take.

Names are checked here, once, so that a kernel never meets an option that its format does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import FormatError, unknown
from hwsim.numerics.format import (
    NEGATIVE_ZEROS,
    OVERFLOWS,
    ROUNDINGS,
    FloatLayout,
    Format,
    IntegerLayout,
    Profile,
    TableLayout,
)

_REFUSED, _PAYLOAD = -1, -2
_NEGATIVE = ("overflow", "magnitude", "nan", "error")


@dataclass(frozen=True)
class Options:
    """Checked choices for one format."""

    rounding: str
    overflow: str
    negative_zero: str
    profile: Profile

    @property
    def nan_codes(self) -> tuple[int, int]:
        nan = self.profile.nan
        if nan == "error":
            return _REFUSED, _REFUSED
        if nan in ("payload", "truncate"):
            return _PAYLOAD, _PAYLOAD
        assert isinstance(nan, tuple)
        return nan

    def zero_codes(self, negative_zero_code: int | None, positive_zero_code: int = 0) -> tuple[int, int]:
        """Codes of an input -0 and of negative underflow; refused ones are negative."""
        if negative_zero_code is None or self.negative_zero in ("none", "canonicalise"):
            return positive_zero_code, positive_zero_code
        if self.negative_zero == "trap":
            return _REFUSED, _REFUSED
        keep = "negative_zero"
        return (
            negative_zero_code if self.profile.negative_zero_input == keep else positive_zero_code,
            negative_zero_code if self.profile.negative_underflow == keep else positive_zero_code,
        )


def resolve(
    fmt: Format,
    rounding: str | None = None,
    overflow: str | None = None,
    profile: str | None = None,
    negative_zero: str | None = None,
) -> Options:
    """Check the four choices against the format; None takes the profile's, then the format's own.

    Raises:
        FormatError: an unknown name (with the nearest one), or a choice that the format cannot follow.
    """
    chosen = fmt.profile(profile)
    rounding = rounding or chosen.rounding
    overflow = overflow or chosen.overflow
    negative_zero = negative_zero or chosen.negative_zero or fmt.negative_zero
    for kind, name, names in (
        ("rounding", rounding, ROUNDINGS),
        ("overflow rule", overflow, OVERFLOWS),
        ("negative zero policy", negative_zero, NEGATIVE_ZEROS),
    ):
        if name not in names:
            raise unknown(FormatError, kind, name, names, where=f"format {fmt.name!r}")
    if overflow == "inf" and not fmt.has_infinity:
        raise FormatError(f"format {fmt.name!r} has no infinity to overflow to", hint="overflow: saturate or error")
    if overflow == "nan" and not fmt.has_nan:
        raise FormatError(f"format {fmt.name!r} has no NaN to overflow to", hint="overflow: saturate or error")
    if overflow == "nan" and isinstance(fmt.layout, TableLayout):
        raise FormatError(f"format {fmt.name!r} is a table and does not overflow to NaN", hint="overflow: inf")
    if overflow == "wrap" and not _wraps(fmt):
        raise FormatError(f"format {fmt.name!r} cannot wrap: its integers do not fill its codes", hint="use saturate")
    if negative_zero in ("keep", "trap") and fmt.negative_zero_code is None:
        raise FormatError(f"format {fmt.name!r} has no negative zero to {negative_zero}", hint="negative_zero: none")
    return Options(rounding, overflow, negative_zero, chosen)


def _wraps(fmt: Format) -> bool:
    layout = fmt.layout
    return isinstance(layout, IntegerLayout) and layout.maximum - layout.minimum + 1 == 1 << fmt.bits


def float_spec(fmt: Format, layout: FloatLayout, options: Options) -> tuple[Any, ...]:
    """Numbers of `_kernels.FloatSpec`, in its order."""
    sign = 1 << layout.magnitude_bits if layout.signed else 0
    offset = 0 if layout.zero else 1 << layout.mantissa_bits  # no zero: rounded as if a subnormal binade lay below
    nan_positive, nan_negative = options.nan_codes
    if options.overflow == "inf":
        over_positive, over_negative = layout.infinity_code, layout.infinity_code | sign
    elif options.overflow == "nan":
        over_positive, over_negative = layout.nan_code, layout.nan_code | sign
    else:
        over_positive = layout.max_code
        over_negative = layout.max_code | sign if layout.signed else 0
    minus_zero, underflow = options.zero_codes(fmt.negative_zero_code)
    zero = 0
    if not layout.zero:
        zero = _REFUSED if options.profile.zero == "error" else options.profile.zero
        minus_zero = zero
    return (
        *_modes(options),
        int(options.overflow == "error"),
        int(layout.signed),
        sign,
        layout.mantissa_bits,
        1023 + layout.zero - layout.bias,
        offset,
        layout.max_code + offset,
        layout.infinity_code,
        over_positive,
        over_negative,
        nan_positive,
        nan_negative,
        zero,
        minus_zero,
        underflow,
        _NEGATIVE.index(options.profile.negative),
    )


def _modes(options: Options) -> tuple[int, ...]:
    """The rounding as flags: nearest, ties away, outward where positive, outward where negative, stochastic."""
    rounding = options.rounding
    away = rounding == "nearest_away"
    flags = (rounding == "nearest_even" or away, away, rounding == "up", rounding == "down", rounding == "stochastic")
    return tuple(map(int, flags))


def int_spec(fmt: Format, layout: IntegerLayout, options: Options) -> tuple[Any, ...]:
    """Numbers of `_kernels.IntSpec`, in its order."""
    half = 1 << (fmt.bits - 1)
    return (
        *_modes(options),
        int(options.overflow == "error"),
        int(options.overflow == "wrap"),
        float(layout.minimum),
        float(layout.maximum),
        float(1 << fmt.bits),
        float(1 << layout.fraction_bits),
        half if layout.kind == "offset_binary" else 0,
        (1 << fmt.bits) - 1,
        half if layout.kind == "sign_magnitude" else 0,
        *options.nan_codes,
        *options.zero_codes(fmt.negative_zero_code),
    )


def table_spec(fmt: Format, layout: TableLayout, options: Options) -> tuple[Any, ...]:
    """Numbers of `_kernels.TableSpec`, in its order."""
    return (
        ROUNDINGS.index(options.rounding),
        OVERFLOWS.index(options.overflow),
        int(layout.symmetric),
        len(layout.values) // 2 if layout.symmetric else 0,
        *options.nan_codes,
        *options.zero_codes(fmt.negative_zero_code, _zero_code(layout)),
    )


def _zero_code(layout: TableLayout) -> int:
    """The code of +0, or 0 where the table has none."""
    return next((code for code, value in enumerate(layout.values) if value == 0), 0)


@lru_cache(maxsize=32)
def sorted_table(
    layout: TableLayout, infinite: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Ascending values (an infinity last, if ``infinite``), their codes, and the thresholds between neighbours."""
    values = np.array(layout.values, dtype=np.float32)
    if layout.symmetric:
        values = values[: len(values) // 2]
    keep = np.isfinite(values) | (infinite & (values == np.inf))
    codes = np.flatnonzero(keep)
    order = codes[np.argsort(values[codes], kind="stable")]
    ordered = values[order].astype(np.float64)
    finite = ordered[np.isfinite(ordered)]
    middle = (finite[:-1] + finite[1:]) / 2
    if layout.thresholds:
        middle = np.array(layout.thresholds)
    elif layout.ties == "upper":
        middle = np.nextafter(middle, -np.inf)
    if finite.size < ordered.size:
        middle = np.append(middle, np.nextafter(layout.overflows_at, -np.inf))
    return ordered, order.astype(np.int64), middle
