"""Matrix products whose rows do not start at 16 bytes: kernels of older generations copy operands a few bytes at a
time, and the copies hold them back."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from hwsim.ir.workload import MatrixWork
from hwsim.perf.gpu_kernels import side_by_side
from hwsim.perf.gpu_traced import (
    SHORT_COPIES,
    SHORT_COPY_BYTES,
    UNALIGNED_CUTS,
    UNALIGNED_RATE,
    UNALIGNED_REDUCE_BYTES_PER_S,
    UNALIGNED_TILES,
)
from hwsim.perf.machine import output_bytes
from hwsim.perf.systolic import ceil_div

if TYPE_CHECKING:
    from hwsim.perf.gpu_matrix import Rates


@dataclass(frozen=True, slots=True)
class ShortCopies:
    """How such a product runs.

    Attributes:
        cycles: of the busiest SM.
        copies: of all SMs.
        tile: sides of a result tile.
        shared_bytes: through the L2.
        reduce_s: to launch a kernel that adds the parts, and to add them; 0 where k is whole.
    """

    cycles: float
    copies: float
    tile: tuple[int, int]
    shared_bytes: float
    reduce_s: float


def short_copies(
    work: MatrixWork,
    aligned: int,
    element_bytes: tuple[float, float],
    rates: Rates,
    memory_s: float,
) -> ShortCopies:
    """The fastest tile and cut of a product whose rows start at multiples of ``aligned`` bytes, fewer than 16, beside
    ``memory_s``.

    Copies are of 4 bytes, or of as few as rows are aligned to. The smallest ones go through registers in blocks that
    share an SM, so beyond two blocks an SM waves need not be whole.
    """
    step = min(aligned, SHORT_COPY_BYTES)
    best: ShortCopies | None = None
    least = inf
    for tile in UNALIGNED_TILES if step == SHORT_COPY_BYTES else UNALIGNED_TILES[:1]:
        sides = min(tile[0], work.m), min(tile[1], work.n)
        tiles = ceil_div(work.m, tile[0]) * ceil_div(work.n, tile[1]) * work.groups
        each = (sides[0] * element_bytes[0] + sides[1] * element_bytes[1]) / step
        slot = max(each / SHORT_COPIES, tile[0] * tile[1] / (rates.macs_per_cycle * UNALIGNED_RATE))
        for parts in UNALIGNED_CUTS if tiles < rates.sms else (1,):
            blocks, k = tiles * parts, ceil_div(work.k, parts)
            shared_out = step < SHORT_COPY_BYTES and blocks > 2 * rates.sms
            waves = blocks / rates.sms if shared_out else ceil_div(blocks, rates.sms)
            added_bytes = 4 * work.m * work.n * work.groups * parts
            added_s = rates.reduce_launch_s + added_bytes / UNALIGNED_REDUCE_BYTES_PER_S
            reduce_s = added_s if parts > 1 else 0.0
            shared = each * step * tiles * work.k + output_bytes(work)
            found = ShortCopies(waves * k * slot, each * blocks * k, tile, shared, reduce_s)
            seconds = side_by_side(found.cycles / rates.clock_hz, shared / rates.shared_bytes_per_s, memory_s)
            seconds += reduce_s
            if seconds < least:
                best, least = found, seconds
    assert best is not None
    return best
