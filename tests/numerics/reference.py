"""A slow, exact second opinion on rounding: values as fractions, neighbours by search, no bit tricks."""

from __future__ import annotations

import bisect
from fractions import Fraction
from functools import lru_cache

import numpy as np

from hwsim.numerics import Format, decode
from hwsim.numerics.format import FloatLayout, TableLayout


@lru_cache(maxsize=64)
def finite_codes(fmt: Format) -> tuple[list[Fraction], list[int]]:
    """Values that an encoder may produce, ascending, with their codes (+0 alone for zero)."""
    codes = np.arange(1 << fmt.bits, dtype=fmt.code_dtype)
    best: dict[Fraction, int] = {}
    for code, value in zip(codes.tolist(), decode(codes, fmt).tolist(), strict=True):
        if np.isfinite(value) and fmt.min_value <= value <= fmt.max_value:
            best.setdefault(Fraction(value), code)
    values = sorted(best)
    return values, [best[value] for value in values]


def is_even(fmt: Format, code: int) -> bool:
    """Even last place: of the code's magnitude for floats and of the value for integers."""
    if isinstance(fmt.layout, FloatLayout):
        return code % 2 == 0
    return int(decode(np.asarray(code), fmt) * (1 << fmt.layout.fraction_bits)) % 2 == 0


def encode_exact(x: float, fmt: Format, rounding: str, random: int = 0) -> int:
    """Saturating code of a finite ``x``; a zero result is the code of +0."""
    values, codes = finite_codes(fmt)
    exact = Fraction(x)
    if exact <= values[0]:
        return codes[0]
    if exact >= values[-1]:
        return codes[-1]
    index = bisect.bisect_right(values, exact) - 1
    low, high = values[index], values[index + 1]
    if exact == low:
        return codes[index]
    outward = index + 1 if exact > 0 else index
    inward = 2 * index + 1 - outward
    if rounding == "up":
        return codes[index + 1]
    if rounding == "down":
        return codes[index]
    if rounding == "toward_zero":
        return codes[inward]
    if rounding == "stochastic":
        cut = abs(exact - values[inward]) / (high - low)
        return codes[outward] if int(cut * 2**32) + random >= 2**32 else codes[inward]
    if isinstance(fmt.layout, TableLayout):
        return codes[index + _table_steps_up(fmt.layout, exact, low, high)]
    if exact - low != high - exact:
        return codes[index] if exact - low < high - exact else codes[index + 1]
    if rounding == "nearest_away":
        return codes[outward]
    return codes[index] if is_even(fmt, codes[index]) else codes[index + 1]


def _table_steps_up(layout: TableLayout, exact: Fraction, low: Fraction, high: Fraction) -> bool:
    """Whether nearest rounding in a table takes the higher of two neighbours."""
    mirrored = layout.symmetric and exact < 0
    if mirrored:
        exact, low, high = -exact, -high, -low
    if layout.thresholds:
        half = layout.values[: len(layout.values) >> layout.symmetric]
        limit = Fraction(layout.thresholds[sorted(Fraction(v) for v in np.float32(half).tolist()).index(low)])
        return (exact > limit) != mirrored
    middle = (low + high) / 2
    return (exact > middle or (exact == middle and layout.ties == "upper")) != mirrored


def critical_points(fmt: Format, dtype: type) -> np.ndarray:
    """Every value and every midpoint of a format, and their neighbours in ``dtype``."""
    values = np.array([float(v) for v in finite_codes(fmt)[0]])
    beyond = np.array([2 * values[-1] - values[-2], 2 * values[-1], 2 * values[0] - values[1], 2 * values[0]])
    points = np.unique(np.concatenate([values, (values[1:] + values[:-1]) / 2, beyond, (values[-1:] + beyond[:1]) / 2]))
    points = points[np.abs(points) <= np.finfo(dtype).max].astype(dtype)
    return np.concatenate([points, np.nextafter(points, dtype(-np.inf)), np.nextafter(points, dtype(np.inf))])


def bits_of(x: np.ndarray) -> np.ndarray:
    return x.view(np.uint32 if x.dtype == np.float32 else np.uint64)


def random_floats(dtype: type, count: int, seed: int) -> np.ndarray:
    """Half random bit patterns (NaN, infinities and subnormals among them), half normal numbers over 40 octaves."""
    rng = np.random.default_rng(seed)
    word = np.uint32 if dtype is np.float32 else np.uint64
    patterns = rng.integers(0, np.iinfo(word).max, count // 2, dtype=word, endpoint=True).view(dtype)
    ranged = rng.standard_normal(count // 2) * np.exp2(rng.integers(-20, 20, count // 2))
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max]
    return np.concatenate([patterns, ranged.astype(dtype), np.array(special, dtype=dtype)])
