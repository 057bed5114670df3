"""Which encoding takes a bit flip best: one network on several chips, several places and rates, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate import bind, emulate
from hwsim.errors import DataError, ToolError
from hwsim.io.metric import classes_of
from hwsim.robust.faults import PLACES, Faults, Place, emulate_with_faults, sums_may_flip

if TYPE_CHECKING:
    from hwsim.io import Dataset
    from hwsim.ir import Graph
    from hwsim.target import Target


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One target, place and rate.

    Attributes:
        target, weights, activations: the chip and the formats that its codes have.
        place, rate, bits: as in `Faults`.
        flips: bits flipped in all repeats.
        accuracy: mean over the repeats; ``low`` and ``high`` its 95 % interval (Student's t over repeats).
        clean: accuracy without faults, on the same inputs.
        repeats, n: independent draws of the faults; inputs of each.
    """

    target: str
    weights: str
    activations: str
    place: str
    rate: float
    bits: tuple[int, ...]
    flips: int
    accuracy: float
    low: float
    high: float
    clean: float
    repeats: int
    n: int

    @property
    def harm(self) -> float:
        """Accuracy lost."""
        return self.clean - self.accuracy


def fault_study(
    chips: Sequence[tuple[Graph, Target]],
    data: Dataset,
    *,
    rates: Sequence[float] = (1e-4, 1e-3, 1e-2),
    places: Sequence[Place] = PLACES,  # type: ignore[assignment]
    bits: Sequence[tuple[int, ...]] = ((),),
    repeats: int = 8,
    seed: int = 0,
    precision: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[FaultRow, ...]:
    """Accuracy under bit flips, a row a target, place, set of bits and rate.

    There is no row for the accumulators of a chip that stores values in blocks.

    Args:
        chips: quantized graphs, each with its target.
        data: inputs with labels.
        rates: probabilities that a bit flips.
        places: names in ``PLACES``.
        bits: sets of bit positions to confine flips to; an empty one is all.
        repeats: independent draws; at least 2, for an interval.
        seed: of the first draw; draw ``r`` of every row takes ``seed + r``, so that targets meet the same luck.
        precision: a mode of every target; None is each one's default.
        progress: called with ("faults", runs done, runs in all).

    Raises:
        DataError: no labels, or fewer than two repeats.
    """
    if data.labels is None:
        raise DataError("a fault study needs labels, found none", where=data.name)
    if repeats < 2:
        raise DataError(f"expected at least 2 repeats, found {repeats}", where="fault study")
    show = progress or (lambda stage, done, total: None)
    known = [tuple(p for p in places if p != "accumulators" or sums_may_flip(graph)) for graph, _ in chips]
    total = sum(1 + len(mine) * len(bits) * len(rates) * repeats for mine in known)
    done = 0
    rows: list[FaultRow] = []
    for (graph, target), mine in zip(chips, known, strict=True):
        clean = _right(emulate(graph, target, data.inputs, precision=precision).output, data)
        done += 1
        mode = bind(graph, target, precision).precision
        for place in mine:
            for chosen in bits:
                for rate in rates:
                    found, flips = [], 0
                    for repeat in range(repeats):
                        faults = Faults(place, rate, chosen, seed=seed + repeat)
                        run, more = emulate_with_faults(graph, target, data.inputs, faults, precision=precision)
                        found.append(_right(run.output, data))
                        flips += more
                        done += 1
                        show("faults", done, total)
                    mean, low, high = interval(found)
                    low, high = max(low, 0.0), min(high, 1.0)  # of a share
                    rows.append(
                        FaultRow(
                            target.name,
                            mode.weights.format,
                            mode.activations.format,
                            place,
                            rate,
                            chosen,
                            flips,
                            mean,
                            low,
                            high,
                            clean,
                            repeats,
                            len(data),
                        )
                    )
    return tuple(rows)


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean, and the ends of its Student's t interval.

    Raises:
        DataError: fewer than two values.
    """
    try:
        from scipy.stats import t
    except ModuleNotFoundError:
        raise ToolError("an interval of several seeds needs scipy", hint="pip install 'hwsim[calib]'") from None
    if len(values) < 2:
        raise DataError(f"an interval needs at least two values, found {len(values)}")
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    half = float(t.ppf(0.5 + confidence / 2, len(values) - 1)) * spread / math.sqrt(len(values))
    return mean, mean - half, mean + half


def _right(outputs: NDArray[Any], data: Dataset) -> float:
    assert data.labels is not None
    return float(np.mean(classes_of(outputs) == data.labels))
