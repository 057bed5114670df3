"""Numbers for people: SI prefixes, three significant digits, percentages and counts."""

from __future__ import annotations

import math

THIN = "\u202f"
"""Narrow no-break space, between a number and its unit and between groups of digits."""

MINUS = "\u2212"

_PREFIXES = ("q", "r", "y", "z", "a", "f", "p", "n", "µ", "m", "", "k", "M", "G", "T", "P", "E", "Z", "Y", "R", "Q")
_ZERO = 10


def significant(value: float, digits: int = 3) -> str:
    """``value`` with ``digits`` significant digits and no exponent, for values of ordinary size (below 10,000).

    Example:
        >>> significant(1.23456), significant(12.3456), significant(999.6), significant(0.0)
        ('1.23', '12.3', '1000', '0')
    """
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    # Rounding may carry into the next decade (9.996 -> 10.0), which then needs one decimal fewer.
    rounded = round(value, digits - 1 - magnitude)
    magnitude = math.floor(math.log10(abs(rounded))) if rounded else magnitude
    return f"{rounded:.{max(0, digits - 1 - magnitude)}f}".replace("-", MINUS)


def si(value: float | None, unit: str, digits: int = 3) -> str:
    """``value`` with its unit and an SI prefix.

    Example:
        >>> si(1.234e-6, "J").replace(THIN, " "), si(0, "s").replace(THIN, " ")
        ('1.23 µJ', '0 s')
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return f"{MINUS if value < 0 else ''}∞{THIN}{unit}"
    if value == 0:
        return f"0{THIN}{unit}"
    exponent = math.floor(math.log10(abs(value)) / 3)
    if float(f"{abs(value) / 1000.0**exponent:.{digits}g}") >= 1000:
        exponent += 1
    exponent = max(-_ZERO, min(_ZERO, exponent))
    scaled = value / 1000.0**exponent
    text = (
        significant(scaled, digits) if 0.001 <= abs(scaled) < 10_000 else f"{scaled:.{digits - 1}e}".replace("-", MINUS)
    )
    return f"{text}{THIN}{_PREFIXES[_ZERO + exponent]}{unit}"


def size(value: float | None) -> str:
    """Bytes with decimal prefixes; whole below 1000.

    Example:
        >>> size(12_300).replace(THIN, " "), size(17).replace(THIN, " ")
        ('12.3 kB', '17 B')
    """
    if value is not None and 0 < value < 1000 and value == round(value):
        return f"{round(value)}{THIN}B"
    return si(value, "B")


def per_second(value: float | None) -> str:
    """A rate.

    Example:
        >>> per_second(12_300).replace(THIN, " "), per_second(17.0).replace(THIN, " ")
        ('12.3 k/s', '17.0 /s')
    """
    return si(value, "/s")


def percent(share: float | None, digits: int = 2) -> str:
    """A share of 1 as a percentage.

    Example:
        >>> percent(0.98654).replace(THIN, " "), percent(None)
        ('98.65 %', '–')
    """
    return "–" if share is None or not math.isfinite(share) else f"{100 * share:.{digits}f}{THIN}%"


def short_percent(share: float | None) -> str:
    """A percentage for a narrow column: whole numbers, ``<1`` and ``>99`` kept honest.

    Example:
        >>> short_percent(0.004).replace(THIN, " "), short_percent(0.426).replace(THIN, " ")
        ('<1 %', '43 %')
    """
    if share is None or not math.isfinite(share):
        return "–"
    if 0 < share < 0.01:
        return f"<1{THIN}%"
    if 0.995 <= share < 1:
        return f">99{THIN}%"
    return f"{100 * share:.0f}{THIN}%"


def signed_percent(share: float | None) -> str:
    """A whole percentage that may be negative.

    Example:
        >>> signed_percent(-0.126).replace(THIN, " ").replace(MINUS, "-"), signed_percent(0.004).replace(THIN, " ")
        ('-13 %', '<1 %')
    """
    if share is None or not math.isfinite(share) or share >= 0:
        return short_percent(share)
    return f">{MINUS}1{THIN}%" if share > -0.01 else f"{MINUS}{short_percent(-share)}"


def points(difference: float | None, digits: int = 2) -> str:
    """A difference of two shares, in percentage points with its sign.

    Example:
        >>> points(-0.0015).replace(THIN, " ").replace(MINUS, "-"), points(0.0).replace(THIN, " ")
        ('-0.15 pt', '±0.00 pt')
    """
    if difference is None or not math.isfinite(difference):
        return "–"
    text = f"{abs(100 * difference):.{digits}f}"
    sign = "±" if float(text) == 0 else (MINUS if difference < 0 else "+")
    return f"{sign}{text}{THIN}pt"


def count(value: int | None) -> str:
    """A whole number in groups of three digits.

    Example:
        >>> count(1234567).replace(THIN, " ")
        '1 234 567'
    """
    return "–" if value is None else f"{value:,}".replace(",", THIN).replace("-", MINUS)


def decibels(value: float | None) -> str:
    """Signal over noise; infinity reads ``exact``.

    Example:
        >>> decibels(31.25).replace(THIN, " "), decibels(float("inf"))
        ('31.2 dB', 'exact')
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "exact" if value > 0 else f"{MINUS}∞{THIN}dB"
    return f"{value:.1f}{THIN}dB".replace("-", MINUS)


def times(ratio: float) -> str:
    """A ratio at least 1.

    Example:
        >>> times(3.14159), times(41.7), times(1234.0).replace(THIN, " ")
        ('3.1×', '42×', '1 234×')
    """
    return f"{ratio:.1f}×" if ratio < 10 else f"{count(round(ratio))}×"
