"""What one flipped bit does to the number that is read: every bit of every stored code, each in turn.

Nothing is drawn: all single flips of all stored codes are tried, a whole tensor at a time. A trial is one bit of one
stored code; what is recorded is how far the number that is read moves, in units of the tensor's own root mean square.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate import MatrixStep, bind
from hwsim.emulate.stored import Stored, real
from hwsim.emulate.values import stored_values
from hwsim.errors import DataError
from hwsim.numerics import QTensor
from hwsim.numerics.codec import element_format
from hwsim.robust.study import interval

if TYPE_CHECKING:
    from hwsim.ir import Graph
    from hwsim.target import Target

CHUNK = 64
"""Inputs whose values are flipped at a time."""


@dataclass(frozen=True, slots=True)
class FlipRow:
    """All single flips of one bit position in one place.

    Attributes:
        target, place, format: whose codes.
        bit: position, 0 the lowest; None: all bits together.
        trials: flips tried, all there are.
        moved: root mean square of the change, over the root mean square of the stored numbers.
        low, high: 95 % interval of ``moved`` over inputs, by Student's t; weights are all there are: ``moved`` itself.
        worst: largest change, in the same unit.
        lost: share of flips that read as NaN or infinity; not counted in the others.
    """

    target: str
    place: str
    format: str
    bit: int | None
    trials: int
    moved: float
    low: float
    high: float
    worst: float
    lost: float


def flip_study(
    graph: Graph,
    target: Target,
    data: NDArray[Any],
    *,
    precision: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[FlipRow, ...]:
    """Try every single flip of the weights, and of the activations that the inputs make.

    Args:
        graph: quantized. data: inputs [n, ...], at least two.

    Returns:
        A row a place and bit, and one a place for all bits.

    Raises:
        DataError: fewer than two inputs; no stored weights.
        HwsimError: as :func:`hwsim.emulate.emulate`.
    """
    if len(data) < 2:
        raise DataError(f"expected at least 2 inputs, found {len(data)}", where=graph.name)
    program = bind(graph, target, precision)
    show = progress or (lambda stage, done, total: None)
    products = [step.node.inputs[1] for step in program.steps if isinstance(step, MatrixStep)]
    weights = {name: held for name in products if isinstance(held := graph.constants.get(name), QTensor)}
    if not weights:
        raise DataError("expected stored weights, found none", where=graph.name)
    kept = _Tally(target.name, "weights")
    for name, held in weights.items():
        kept.add(name, held.format, held.codes, partial(_weights, held))
    made = _Tally(target.name, "activations")
    for start in range(0, len(data), CHUNK):
        parts, _ = stored_values(graph, data[start : start + CHUNK], target, precision)
        for name, found in parts.items():
            for part in found:
                made.add(name, part.quant.format, part.codes, partial(_activations, part))
        show("every flip", min(start + CHUNK, len(data)), len(data))
    return (*kept.rows(exact=True), *made.rows(exact=False))


def _weights(held: QTensor, codes: NDArray[Any]) -> NDArray[np.float32]:
    return replace(held, codes=codes).dequantize()


def _activations(held: Stored, codes: NDArray[Any]) -> NDArray[np.float32]:
    return real(held.with_codes(codes))


@dataclass(slots=True)
class _Sums:
    """Of one tensor: squares of its numbers, and of changes by bit, a number an input (or row of weights)."""

    squares: list[NDArray[np.float64]] = field(default_factory=list)
    changes: list[list[NDArray[np.float64]]] = field(default_factory=list)
    counts: list[list[NDArray[np.int64]]] = field(default_factory=list)
    worst: list[float] = field(default_factory=list)
    each: int = 0


class _Tally:
    """Squared changes of every tensor of one place."""

    def __init__(self, target: str, place: str) -> None:
        self.target, self.place, self.format = target, place, ""
        self.sums: dict[str, _Sums] = {}

    def add(
        self, name: str, fmt: str, codes: NDArray[Any], read: Callable[[NDArray[Any]], NDArray[np.float32]]
    ) -> None:
        """Flip each bit of ``codes`` [n, ...]; ``read`` gives the numbers that codes stand for."""
        bits = element_format(fmt).bits
        self.format = self.format or fmt
        held = self.sums.setdefault(name, _Sums([], [[] for _ in range(bits)], [[] for _ in range(bits)], [0.0] * bits))
        rows = len(codes)
        clean = read(codes).reshape(rows, -1).astype(np.float64)
        held.each = clean.shape[1]
        held.squares.append((clean * clean).mean(1))
        for bit in range(bits):
            with np.errstate(invalid="ignore"):
                moved = read(codes ^ codes.dtype.type(1 << bit)).reshape(rows, -1) - clean
            known = np.isfinite(moved)
            moved[~known] = 0.0
            held.changes[bit].append(np.square(moved).sum(1))
            held.counts[bit].append(known.sum(1))
            held.worst[bit] = max(held.worst[bit], float(np.abs(moved).max(initial=0.0)))

    def rows(self, *, exact: bool) -> tuple[FlipRow, ...]:
        """A row a bit, then one for all. ``exact``: what was flipped is all there is, so that no interval is needed."""
        width = max(len(held.worst) for held in self.sums.values())
        each = [self._row([bit], exact) for bit in range(width)]
        return (*each, self._row(list(range(width)), exact, every=True))

    def _row(self, bits: list[int], exact: bool, *, every: bool = False) -> FlipRow:
        trials, known, worst = 0, 0, 0.0
        squares: list[NDArray[np.float64]] = []
        counts: list[NDArray[np.int64]] = []
        for held in self.sums.values():
            power = float(np.concatenate(held.squares).mean())
            for bit in (bit for bit in bits if bit < len(held.worst)):
                count = np.concatenate(held.counts[bit])
                trials += len(count) * held.each
                known += int(count.sum())
                if power > 0:
                    squares.append(np.concatenate(held.changes[bit]) / power)
                    counts.append(count)
                    worst = max(worst, held.worst[bit] / math.sqrt(power))
        total = sum(float(part.sum()) for part in squares) / max(1, sum(int(part.sum()) for part in counts))
        low = high = total
        if not exact:
            rows = sum(squares) / np.maximum(1, sum(counts))
            _, low, high = interval(list(rows))
        return FlipRow(
            self.target,
            self.place,
            self.format,
            None if every else bits[0],
            trials,
            math.sqrt(total),
            math.sqrt(max(0.0, low)),
            math.sqrt(max(0.0, high)),
            worst,
            1 - known / trials,
        )
