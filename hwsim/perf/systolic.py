"""What arrays do with a matrix product: cycles of their folds, and words in and out of the memories beside them.

One class a dataflow. A product is [m, k] x [k, n] on ``rows`` x ``cols`` elements; a fold is what fits the array at
once. Differences from SCALE-Sim (:mod:`hwsim.perf.scalesim` has its own numbers): totals are one cycle longer, since
its totals are indices of the last cycle; output-stationary folds also drain, ``rows`` cycles more; folds may overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Words:
    """Elements that cross between the array and its memories: operands read, partial sums updated (read, added,
    written)."""

    activations: int
    weights: int
    partial_sums: int


@dataclass(frozen=True, slots=True, order=True)
class Tiling:
    """A product in result tiles of (m, n), and its cycles."""

    cycles: int
    tile: tuple[int, int]


class Dataflow(Protocol):
    """What the machine model asks of an array."""

    @property
    def macs_per_cycle(self) -> int:
        """Peak rate."""

    def cycles(self, m: int, n: int, k: int, accumulators: int) -> int:
        """Cycles of one product, cut where its partial sums exceed the number of ``accumulators``."""

    def words(self, m: int, n: int, k: int) -> Words:
        """Traffic of that product."""

    def first_operands(self) -> tuple[int, int]:
        """Activations and weights that must be there before the first useful cycle."""

    def result_tile(self, m: int, n: int, k: int, accumulators: int) -> tuple[int, int]:
        """The (m, n) part of the product whose sums are finished before another part starts, at least cycles."""

    def tilings(self, m: int, n: int, k: int, accumulators: int) -> Sequence[Tiling]:
        """The choices of such a part that no other beats in both sides, fewest cycles first."""

    def granule(self) -> tuple[int, int]:
        """Steps of m and n by which a product is best cut among cores."""


def ceil_div(a: int, b: int) -> int:
    """Smallest whole number at least a / b."""
    return -(-a // b)


def ws_fold_cycles(rows: int, cols: int, m: int) -> int:
    """Cycles of one weight-stationary fold on ``rows`` x ``cols``.

    Load the weights (``rows``), stream ``m`` activation rows, and let the last one cross the array (``rows + cols -
    2``): 2*rows + cols + m - 2, what ``rtl/array_ws.v`` takes.
    """
    return 2 * rows + cols + m - 2


@dataclass(frozen=True, slots=True)
class WeightStationary:
    """k down the rows, n across the columns; weights stay, activations stream, sums leave at the bottom.

    ``overlap`` False: ceil(k/rows) * ceil(n/cols) folds of 2*rows + cols + m - 2 cycles, as in ``rtl/array_ws.v``.
    True: the next weights load behind the stream, so a further fold costs max(m, rows).
    """

    rows: int
    cols: int
    overlap: bool = False

    @property
    def macs_per_cycle(self) -> int:
        return self.rows * self.cols

    def cycles(self, m: int, n: int, k: int, accumulators: int) -> int:
        height, _ = self.result_tile(m, n, k, accumulators)
        whole, rest = divmod(m, height)
        return whole * self._uncut(height, n, k) + (self._uncut(rest, n, k) if rest else 0)

    def _uncut(self, m: int, n: int, k: int) -> int:
        folds = ceil_div(k, self.rows) * ceil_div(n, self.cols)
        fold = ws_fold_cycles(self.rows, self.cols, m)
        return fold + (folds - 1) * max(m, self.rows) if self.overlap else folds * fold

    def words(self, m: int, n: int, k: int) -> Words:
        return Words(m * k * ceil_div(n, self.cols), k * n, m * n * ceil_div(k, self.rows))

    def first_operands(self) -> tuple[int, int]:
        return self.rows, self.rows * self.cols

    def result_tile(self, m: int, n: int, k: int, accumulators: int) -> tuple[int, int]:
        height = m if k <= self.rows else min(m, max(1, accumulators // self.cols))
        return height, min(n, self.cols)

    def tilings(self, m: int, n: int, k: int, accumulators: int) -> Sequence[Tiling]:
        return (Tiling(self.cycles(m, n, k, accumulators), self.result_tile(m, n, k, accumulators)),)

    def granule(self) -> tuple[int, int]:
        return 1, self.cols


@dataclass(frozen=True, slots=True)
class InputStationary:
    """The mirror of weight-stationary: activations stay (m across the columns), weights stream n at a time."""

    rows: int
    cols: int
    overlap: bool = False

    @property
    def macs_per_cycle(self) -> int:
        return self.rows * self.cols

    def _mirror(self) -> WeightStationary:
        return WeightStationary(self.rows, self.cols, self.overlap)

    def cycles(self, m: int, n: int, k: int, accumulators: int) -> int:
        return self._mirror().cycles(n, m, k, accumulators)

    def words(self, m: int, n: int, k: int) -> Words:
        return Words(m * k, k * n * ceil_div(m, self.cols), m * n * ceil_div(k, self.rows))

    def first_operands(self) -> tuple[int, int]:
        return self.rows * self.cols, self.rows

    def result_tile(self, m: int, n: int, k: int, accumulators: int) -> tuple[int, int]:
        tile_n, tile_m = self._mirror().result_tile(n, m, k, accumulators)
        return tile_m, tile_n

    def tilings(self, m: int, n: int, k: int, accumulators: int) -> Sequence[Tiling]:
        return (Tiling(self.cycles(m, n, k, accumulators), self.result_tile(m, n, k, accumulators)),)

    def granule(self) -> tuple[int, int]:
        return self.cols, 1


@dataclass(frozen=True, slots=True)
class OutputStationary:
    """m down the rows, n across the columns; sums stay, both operands stream k long, results drain down the columns.

    ``overlap`` False: ceil(m/rows) * ceil(n/cols) folds of 2*rows + cols + k - 2 cycles (skew, k, drain). True:
    draining hides behind the next fold, so a further fold costs max(k, rows).
    """

    rows: int
    cols: int
    overlap: bool = False

    @property
    def macs_per_cycle(self) -> int:
        return self.rows * self.cols

    def cycles(self, m: int, n: int, k: int, accumulators: int) -> int:
        folds = ceil_div(m, self.rows) * ceil_div(n, self.cols)
        fold = 2 * self.rows + self.cols + k - 2
        return fold + (folds - 1) * max(k, self.rows) if self.overlap else folds * fold

    def words(self, m: int, n: int, k: int) -> Words:
        return Words(m * k * ceil_div(n, self.cols), k * n * ceil_div(m, self.rows), m * n)

    def first_operands(self) -> tuple[int, int]:
        return self.rows, self.cols

    def result_tile(self, m: int, n: int, k: int, accumulators: int) -> tuple[int, int]:
        return min(m, self.rows), min(n, self.cols)

    def tilings(self, m: int, n: int, k: int, accumulators: int) -> Sequence[Tiling]:
        return (Tiling(self.cycles(m, n, k, accumulators), self.result_tile(m, n, k, accumulators)),)

    def granule(self) -> tuple[int, int]:
        return self.rows, self.cols


@dataclass(frozen=True, slots=True)
class Cube:
    """A fixed block [m0, k0] x [k0, n0] every cycle, ``pipeline`` cycles deep; sums collect in a separate memory
    (Ascend's L0C).

    Operands are assumed to arrive at the block rate from the memory beside the cube.
    """

    m0: int
    k0: int
    n0: int
    pipeline: int

    @property
    def macs_per_cycle(self) -> int:
        return self.m0 * self.k0 * self.n0

    def cycles(self, m: int, n: int, k: int, accumulators: int) -> int:
        return self.tilings(m, n, k, accumulators)[0].cycles

    def words(self, m: int, n: int, k: int) -> Words:
        return Words(m * k * ceil_div(n, self.n0), k * n * ceil_div(m, self.m0), m * n * ceil_div(k, self.k0))

    def first_operands(self) -> tuple[int, int]:
        return self.m0 * self.k0, self.k0 * self.n0

    def result_tile(self, m: int, n: int, k: int, accumulators: int) -> tuple[int, int]:
        return self.tilings(m, n, k, accumulators)[0].tile

    def tilings(self, m: int, n: int, k: int, accumulators: int) -> Sequence[Tiling]:
        room = max(1, accumulators // (self.m0 * self.n0))
        down, across = ceil_div(m, self.m0), ceil_div(n, self.n0)
        blocks = down * across * ceil_div(k, self.k0)
        found = []
        wide: int = 1
        while wide <= min(across, room):
            tall = min(down, room // wide)
            columns = ceil_div(across, wide)
            tile = min(m, tall * self.m0), min(n, wide * self.n0)
            found.append(Tiling(blocks + self.pipeline * ceil_div(down, tall) * columns, tile))
            if columns == 1:
                break
            wide = ceil_div(across, columns - 1)  # the narrowest that needs fewer columns of tiles, so the tallest
        return sorted(found)

    def granule(self) -> tuple[int, int]:
        return self.m0, self.n0


@dataclass(frozen=True, slots=True)
class Packed:
    """An array whose elements multiply ``depth`` pairs a cycle and add them up: k is ``depth`` times shorter."""

    inner: Dataflow
    depth: int

    @property
    def macs_per_cycle(self) -> int:
        return self.inner.macs_per_cycle * self.depth

    def cycles(self, m: int, n: int, k: int, accumulators: int) -> int:
        return self.inner.cycles(m, n, ceil_div(k, self.depth), accumulators)

    def words(self, m: int, n: int, k: int) -> Words:
        short = self.inner.words(m, n, ceil_div(k, self.depth))
        return Words(short.activations * self.depth, short.weights * self.depth, short.partial_sums)

    def first_operands(self) -> tuple[int, int]:
        activations, weights = self.inner.first_operands()
        return activations * self.depth, weights * self.depth

    def result_tile(self, m: int, n: int, k: int, accumulators: int) -> tuple[int, int]:
        return self.inner.result_tile(m, n, ceil_div(k, self.depth), accumulators)

    def tilings(self, m: int, n: int, k: int, accumulators: int) -> Sequence[Tiling]:
        return self.inner.tilings(m, n, ceil_div(k, self.depth), accumulators)

    def granule(self) -> tuple[int, int]:
        return self.inner.granule()


DATAFLOWS: dict[str, Callable[[int, int, bool], Dataflow]] = {
    "ws": WeightStationary,
    "os": OutputStationary,
    "is": InputStationary,
}
"""Array dataflows by the name that a target gives; ``cube`` has blocks instead of rows and columns."""
