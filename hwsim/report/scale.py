"""Axes: from values to positions between 0 and 1, with ticks that people expect."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hwsim.report.humanise import si, significant


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear or logarithmic axis over ``low``..``high``: ticks are (position 0..1, text), minor ones have no text."""

    low: float
    high: float
    log: bool
    ticks: tuple[tuple[float, str], ...]
    minor: tuple[float, ...] = ()

    def at(self, value: float) -> float:
        """Position of ``value``, held inside 0..1."""
        if self.log:
            if value <= 0:
                return 0.0
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))


def log_axis(values: Iterable[float], text: Callable[[float], str], *, labels: int = 5, pad: float = 1.35) -> Axis:
    """Logarithmic axis around the positive ``values``; ``labels`` is the most tick labels that fit."""
    positive = [value for value in values if value > 0 and math.isfinite(value)] or [1.0]
    low, high = _step_below(min(positive) / pad), _step_above(max(positive) * pad)
    marks = _one_two_five(low, high)
    decades = [value for value in marks if _leading(value) == 1]
    span = math.log10(high / low)
    shown = marks if len(marks) <= labels else decades
    if len(shown) > labels:
        first = math.floor(math.log10(decades[0]) + 0.5)
        stride = math.ceil(len(decades) / labels)
        shown = [value for value in decades if (round(math.log10(value)) - first) % stride == 0]
    elif len(shown) < 2:
        shown = [marks[0], marks[-1]]

    def place(value: float) -> float:
        return math.log10(value / low) / span

    minor = tuple(place(value) for value in (marks if span < 3 else decades) if value not in shown)
    return Axis(low, high, True, tuple((place(value), text(value)) for value in shown), minor)


def linear_axis(low: float, high: float, text: Callable[[float, int], str], *, labels: int = 5) -> Axis:
    """Linear axis over exactly ``low``..``high``; ``text(value, decimals)`` writes ticks as precisely as needed."""
    if high <= low:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / labels
    unit = 10.0 ** math.floor(math.log10(raw))
    factor = next(factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if unit * factor >= raw * (1 - 1e-9))
    step = unit * factor
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) + (factor == 2.5 and step < 25)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = tuple(
        ((index * step - low) / (high - low), text(index * step, decimals)) for index in range(first, last + 1)
    )
    return Axis(low, high, False, ticks)


def share_axis(low: float, high: float, *, labels: int = 5) -> Axis:
    """Linear axis of shares of 1 (accuracy), in percent, never beyond 0..1."""
    axis = linear_axis(
        100 * max(0.0, low), 100 * min(1.0, high), lambda value, decimals: f"{value:.{decimals}f}", labels=labels
    )
    return Axis(axis.low / 100, axis.high / 100, False, axis.ticks)


def tick_si(unit: str) -> Callable[[float], str]:
    """Tick text with an SI prefix: ``10 µJ``, ``500 nJ``."""

    def text(value: float) -> str:
        return si(value, unit, 1)

    return text


def tick_number(value: float) -> str:
    """Tick text of a bare number: 0.1, 1, 10, then with an SI prefix."""
    return significant(value, 1) if 1e-3 <= value < 1000 else si(value, "", 1).strip()


def _leading(value: float) -> int:
    return round(value / 10.0 ** math.floor(math.log10(value) + 1e-9))


def _one_two_five(low: float, high: float) -> list[float]:
    out = []
    for exponent in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1):
        for factor in (1, 2, 5):
            value = float(f"{factor}e{exponent}")
            if low * (1 - 1e-9) <= value <= high * (1 + 1e-9):
                out.append(value)
    return out


def _step_below(value: float) -> float:
    return max(
        float(f"{factor}e{_decade(value)}")
        for factor in (1, 2, 5)
        if float(f"{factor}e{_decade(value)}") <= value * 1.0000001
    )


def _step_above(value: float) -> float:
    return min(
        float(f"{factor}e{_decade(value)}")
        for factor in (1, 2, 5, 10)
        if float(f"{factor}e{_decade(value)}") >= value * 0.9999999
    )


def _decade(value: float) -> int:
    return math.floor(math.log10(value) + 1e-12)
