"""Numeric health of each layer: saturation, zeros, overflow, and noise against the float network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate.program import MatrixStep
from hwsim.emulate.stored import Held, Stored, real
from hwsim.emulate.trace import HealthRow
from hwsim.ir import Node
from hwsim.numerics import decode
from hwsim.numerics.codec import element_format


@dataclass(slots=True)
class _Tally:
    value: str
    format: str
    elements: int = 0
    saturated: int = 0
    zeros: int = 0
    negative_zeros: int = 0
    overflowed: int = 0
    peak_sum: float = 0.0
    sqnr_db: float | None = None


@cache
def _kinds(fmt: str) -> tuple[NDArray[np.float64], int | None]:
    entry = element_format(fmt)
    codes = np.arange(1 << entry.bits, dtype=entry.code_dtype)
    return decode(codes, fmt).astype(np.float64), entry.negative_zero_code


class HealthMeter:
    """Adds up what the chunks of a run store."""

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}

    def add(
        self, step: MatrixStep, held: Held, peak: float, overflowed: int, float_value: NDArray[np.float32] | None
    ) -> None:
        """Count one step's result; ``float_value`` is what the float network has for its first inputs."""
        fmt = held.quant.block_format or held.quant.format if isinstance(held, Stored) else step.work.output_format
        tally = self._tallies.setdefault(step.node.name, _Tally(step.output, fmt))
        tally.peak_sum = max(tally.peak_sum, peak)
        tally.overflowed += overflowed
        if isinstance(held, Stored):
            self._codes(tally, held)
        else:
            tally.elements += held.size
            tally.zeros += int(np.count_nonzero(held == 0))
        if float_value is not None:
            tally.sqnr_db = _sqnr_db(float_value, real(held)[: len(float_value)])

    def add_vector(
        self, node: Node, fmt: str, operands: Sequence[NDArray[Any]], made: NDArray[np.float32], kept: NDArray[Any]
    ) -> None:
        """Count the numbers of a vector operation's result ``made`` that become infinite when ``kept`` in ``fmt``. What
        follows from an operand that is past the format already, as a mask's constant is, was meant. Only operations
        that have some get a row."""
        gone = np.isinf(kept)
        if not gone.any():
            return
        gone &= np.isfinite(made)
        limit = element_format(fmt).max_value
        for operand in operands:
            if _spreads(operand.shape, made.shape):
                gone &= np.abs(operand) <= limit
        left = int(np.count_nonzero(gone))
        if left > 0:
            tally = self._tallies.setdefault(node.name, _Tally(node.output, fmt))
            tally.elements += made.size
            tally.overflowed += left

    def _codes(self, tally: _Tally, held: Stored) -> None:
        entry = element_format(held.quant.format)
        tally.elements += held.codes.size
        if entry.bits > 8:
            return
        values, negative = _kinds(held.quant.format)
        counts = np.bincount(held.codes.reshape(-1, order="A"), minlength=len(values))
        zero = 0 if held.quant.zero_point is None else int(held.quant.zero_point)
        ends = (values >= entry.max_value) | (values <= entry.min_value)
        tally.saturated += int(counts[ends & (values != zero)].sum())
        tally.zeros += int(counts[values == zero].sum())
        tally.negative_zeros += 0 if negative is None else int(counts[negative])

    def rows(self) -> tuple[HealthRow, ...]:
        """A row a layer, in execution order."""
        return tuple(
            HealthRow(
                layer, t.value, t.format, t.elements, t.saturated, t.zeros, t.negative_zeros, t.overflowed,
                t.peak_sum, t.sqnr_db,
            )
            for layer, t in self._tallies.items()
        )  # fmt: skip


def _sqnr_db(signal: NDArray[Any], stored: NDArray[Any]) -> float | None:
    """10 log10(sum signal^2 / sum (signal - stored)^2); None where either is zero."""
    power = float(np.sum(np.square(signal, dtype=np.float64)))
    noise = float(np.sum(np.square(signal.astype(np.float64) - stored)))
    return None if power == 0 or noise == 0 else 10 * float(np.log10(power / noise))


def _spreads(shape: tuple[int, ...], onto: tuple[int, ...]) -> bool:
    """Numbers of ``shape`` each belong to numbers of ``onto``, as numpy broadcasts."""
    return len(shape) <= len(onto) and all(a in (1, b) for a, b in zip(shape[::-1], onto[::-1], strict=False))
