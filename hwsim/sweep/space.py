"""From dimensions to points: the choices of each, and the order in which a grid visits them."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from hwsim.errors import DataError
from hwsim.limits import limit
from hwsim.sweep.spec import Interval, Range, Scalar, Spec

Point = Mapping[str, Scalar]
"""Dimension -> choice."""


def choices(dimension: Range | list[Scalar] | Scalar) -> tuple[Scalar, ...]:
    """The values of a dimension that is not an interval, in order.

    Raises:
        DataError: a range of more than a million values, or of numbers that no float can be.
    """
    if isinstance(dimension, list):
        return tuple(dimension)
    if not isinstance(dimension, Range):
        return (dimension,)
    if dimension.factor is not None:
        step = dimension.factor
        count = _few((math.log(dimension.to) - math.log(dimension.first)) / math.log(step) + 1e-9)
        try:
            return tuple(_whole(dimension.first * step**index) for index in range(count))
        except OverflowError:
            raise DataError(f"a range from {dimension.first} by factors of {step} leaves the numbers") from None
    assert dimension.step is not None
    count = _few((dimension.to - dimension.first) / dimension.step + 1e-9)
    return tuple(_whole(dimension.first + index * dimension.step) for index in range(count))


def grid(spec: Spec) -> Iterator[dict[str, Scalar]]:
    """Every combination; the last dimension changes fastest."""
    names = list(spec.space)
    for picked in itertools.product(*_axes(spec)):
        yield dict(zip(names, picked, strict=True))


def size(spec: Spec) -> int:
    """Points that the sweep will try.

    Raises:
        DataError: a grid of more than a million points.
    """
    if spec.points is not None:
        return spec.points
    return _few(math.prod(len(axis) for axis in _axes(spec)) - 1)


def key_of(point: Point) -> str:
    """The point as text, the same for equal points: what the store knows it by."""
    return json.dumps(dict(point), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _axes(spec: Spec) -> list[tuple[Scalar, ...]]:
    axes = []
    for dimension in spec.space.values():
        if isinstance(dimension, Interval):
            raise DataError("a grid has no intervals", where=spec.name)
        axes.append(choices(dimension))
    return axes


def _few(steps: float) -> int:
    """Points of so many steps."""
    if steps >= (most := limit("sweep_points")):
        raise DataError(f"expected at most {most} points, found {steps + 1:.0f}")
    return math.floor(steps) + 1


def _whole(value: float) -> Scalar:
    """The int that it is, so that a field which counts gets one; otherwise the value without the last bits' noise."""
    rounded: Any = round(value, 12) if abs(value) < 1e6 else value
    return int(rounded) if float(rounded).is_integer() and abs(rounded) < 2**53 else float(rounded)
