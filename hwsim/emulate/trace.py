"""What a run leaves behind: which tiles it computed, and how its numbers fared. A row a tile class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hwsim.target import Precision, Target


@dataclass(frozen=True, slots=True)
class TileRow:
    """Tiles of one size in one layer: ``count`` products [m, k] x [k, n] on ``unit``."""

    layer: str
    op: str
    unit: str
    m: int
    n: int
    k: int
    count: int
    macs: int


@dataclass(frozen=True, slots=True)
class HealthRow:
    """How one stored value fared over the whole run.

    Attributes:
        layer: node whose result is stored; ``value`` is its name, ``format`` its storage.
        elements: numbers stored.
        saturated: codes at the largest or smallest value that the format holds.
        zeros: codes whose real value is zero; ``negative_zeros`` of them are -0.
        overflowed: sums that left the accumulator's range (integer units); results of a vector operation that left its
            format's. A vector operation has a row only where that happened.
        peak_sum: largest magnitude in the accumulator.
        sqnr_db: signal to quantization noise against the float network, dB, on the first inputs; None without a
        reference.
    """

    layer: str
    value: str
    format: str
    elements: int
    saturated: int
    zeros: int
    negative_zeros: int
    overflowed: int
    peak_sum: float
    sqnr_db: float | None


@dataclass(frozen=True, slots=True)
class Trace:
    """``tiles`` in execution order; ``health`` a row a layer."""

    tiles: tuple[TileRow, ...]
    health: tuple[HealthRow, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the run."""
        return sum(row.macs for row in self.tiles)

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Plain lists of dicts for JSON."""
        return {"tiles": [asdict(r) for r in self.tiles], "health": [asdict(r) for r in self.health]}


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Result of :func:`hwsim.emulate`.

    Attributes:
        outputs: graph output -> float32 [n, ...]; what ``reduce`` kept, where it was given.
        trace: tiles and numeric health.
    """

    outputs: Mapping[str, NDArray[np.float32]]
    trace: Trace

    @property
    def output(self) -> NDArray[np.float32]:
        """The first output."""
        return next(iter(self.outputs.values()))


def tile_rows(
    target: Target, mode: Precision, layer: str, op: str, m: int, n: int, k: int, groups: int, unit: str
) -> Iterator[TileRow]:
    """The at most eight classes of tiles that a target cuts [m, k] x [k, n] into, ``groups`` times."""
    sizes = _tile_size(target, mode, m, n, k)
    for tm, cm in _parts(m, sizes[0]):
        for tn, cn in _parts(n, sizes[1]):
            for tk, ck in _parts(k, sizes[2]):
                count = cm * cn * ck * groups
                yield TileRow(layer, op, unit, tm, tn, tk, count, tm * tn * tk * count)


def _tile_size(target: Target, mode: Precision, m: int, n: int, k: int) -> tuple[int, int, int]:
    machine = target.machine
    if machine.kind == "gpu":
        return machine.tile_m.value, machine.tile_n.value, k
    if machine.kind == "analog":
        return m, machine.cols.value, machine.rows.value
    if machine.dataflow == "cube" and mode.block is not None:
        return mode.block.m.value, mode.block.n.value, mode.block.k.value
    rows = machine.rows.value if machine.rows else 1
    cols = machine.cols.value if machine.cols else 1
    return {"ws": (m, cols, rows), "os": (rows, cols, k), "is": (cols, n, rows)}[machine.dataflow]


def _parts(size: int, tile: int) -> Iterator[tuple[int, int]]:
    whole, rest = divmod(size, tile)
    if whole:
        yield tile, whole
    if rest:
        yield rest, 1
