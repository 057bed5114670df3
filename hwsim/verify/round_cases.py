"""``round_float`` by itself: sums of every length and exponent, ties, subnormals and what is too large."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.verify.cases import CaseUnit, Port, Values, columns
from hwsim.verify.result import Point

SUM_BITS = 30


def rounding() -> CaseUnit:
    """``round_float`` as FP16 with rounding to nearest, the one that uses all of it."""
    from hwsim.numerics import formats
    from hwsim.numerics.format import FloatLayout, Format

    entry = formats["fp16"]
    assert isinstance(entry, Format)
    assert isinstance(entry.layout, FloatLayout)
    exponent, mantissa = entry.layout.exponent_bits, entry.layout.mantissa_bits
    least = -(1 << (exponent - 1)) + 2 - mantissa  # exponent of the last bit of a subnormal

    def draw(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """Sums of every length, of few bits and of many, at every exponent and past both ends."""
        count *= 4
        length = rng.integers(0, SUM_BITS, count)
        size = rng.integers(0, 1 << length)
        kept = -(1 << np.maximum(length - rng.integers(1, mantissa + 3, count), 0))  # few bits: numbers and ties
        size = np.where(rng.random(count) < 0.5, size & kept, size)
        size = np.where(rng.random(count) < 0.3, size | (1 << length) >> 1, size) + rng.integers(-1, 2, count)
        place = rng.integers(least - 3, (1 << (exponent - 1)) + 4, count)  # of the leading bit
        # one of eight far past an end, by each power of two that the port holds
        far = (1 << rng.integers(0, 15, count)) * rng.choice([-1, 1], count)
        unit = np.where(rng.random(count) < 0.125, far, place - length)
        return columns(sum=np.where(rng.random(count) < 0.5, size, -size), unit=unit)

    def ends(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """The least and the largest sums, of every power of two and next to it, at the ends of what the port holds."""
        power = 1 << np.arange(SUM_BITS - 1)
        sums = np.unique(np.concatenate([power, -power, power - 1, 1 - power, -2 * power[-1:], [2 * power[-1] - 1]]))
        held = [-(1 << 15), 1 - (1 << 15), (1 << 15) - 2, (1 << 15) - 1]
        size, unit = np.meshgrid(sums, [*held, *range(least - SUM_BITS, 1 << (exponent - 1))], indexing="ij")
        return columns(sum=size.ravel(), unit=unit.ravel())

    def ties(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """Each code of one binade, halfway to the next, a little below and above; subnormal, normal and the last."""
        code, off, length = np.meshgrid(np.arange(1 << (mantissa + 1)), [-1, 0, 1], [mantissa + 2, 20], indexing="ij")
        size = ((2 * code + 1) << (length - mantissa - 2)) + off
        found = [
            columns(sum=sign * size.ravel(), unit=(place - length).ravel())
            for place in (least + mantissa + 1, 1, (1 << (exponent - 1)))
            for sign in (1, -1)
        ]
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}

    def lone(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """Ties but for one bit, anywhere below: of subnormal numbers of every length, and of normal ones."""
        count *= 4
        kept = rng.integers(0, mantissa + 2, count)  # bits of d
        kept = np.where(rng.random(count) < 0.3, mantissa + 1, kept)
        below = SUM_BITS - 2 - kept
        code = rng.integers(0, 1 << kept) | (1 << kept) >> 1
        bit = 1 << rng.integers(0, below) >> rng.integers(0, 2, count)
        size = (2 * code + 1 << below) + bit
        last = np.where(kept <= mantissa, least, rng.integers(least, 6, count))  # exponent of d's last bit
        return columns(sum=np.where(rng.random(count) < 0.5, size, -size), unit=last - 1 - below)

    def golden(values: Values) -> dict[str, NDArray[Any]]:
        from hwsim.numerics import encode

        with np.errstate(over="ignore"):
            exact = np.ldexp(values["sum"][:, 0].astype(np.float64), values["unit"][:, 0].astype(np.int64))
        d = encode(exact, "fp16", overflow="inf").astype(np.int64)
        d[d & ((1 << (exponent + mantissa)) - 1) == 0] = 0  # the module knows no negative zero
        return {"d": d.reshape(-1, 1)}

    def points(values: Values, answers: Values) -> tuple[Point, ...]:
        d = answers["d"][:, 0] & ((1 << (exponent + mantissa)) - 1)
        lengths = np.unique(np.frexp(np.abs(values["sum"][:, 0]).astype(np.float64))[1])
        return (
            Point("lengths of a sum", len(lengths), SUM_BITS),
            Point("exponents", np.unique(d >> mantissa).size, 1 << exponent),
            Point("zero from a sum", int(((d == 0) & (values["sum"][:, 0] != 0)).any())),
        )

    return CaseUnit(
        name="round_float",
        top="round_float",
        parameters={"W": SUM_BITS, "CE": exponent, "CM": mantissa, "DM": mantissa, "NEAREST": 1},
        inputs=(Port("sum", SUM_BITS, signed=True), Port("unit", 16, signed=True)),
        outputs=(Port("d", entry.bits, fmt="fp16"),),
        checks={"random": draw, "ends": ends, "lone": lone, "ties": ties},
        golden=golden,
        points=points,
        rows={},
    )
