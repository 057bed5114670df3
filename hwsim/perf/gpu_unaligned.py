"""Matrix products whose rows do not start at 16 bytes: kernels of older generations copy operands a few bytes at a
time, and the copies hold them back."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

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


@dataclass(frozen=True, slots=True)
class ShortCopies:
    """How such a product runs.

    Attributes:
        cycles: of the busiest SM.
        copies: of all SMs.
        blocks: result tiles, times the parts that k is cut in.
        tile: sides of a result tile.
        shared_bytes: through the L2.
        reduce_s: to launch a kernel that adds the parts, and to add them; 0 where k is whole.
    """

    cycles: float
    copies: float
    blocks: int
    tile: tuple[int, int]
    shared_bytes: float
    reduce_s: float


def short_copies(
    work: MatrixWork,
    aligned: int,
    element_bytes: tuple[float, float],
    *,
    sms: int,
    macs_per_cycle: float,
    clock_hz: float,
    shared_bytes_per_s: float,
    memory_s: float,
    launch_s: float,
) -> ShortCopies:
    """The fastest tile and cut of a product whose rows start at multiples of ``aligned`` bytes, fewer than 16, beside
    ``memory_s``, where a kernel that adds parts of k takes ``launch_s`` before it works.

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
        slot = max(each / SHORT_COPIES, tile[0] * tile[1] / (macs_per_cycle * UNALIGNED_RATE))
        for parts in UNALIGNED_CUTS if tiles < sms else (1,):
            blocks, k = tiles * parts, ceil_div(work.k, parts)
            waves = blocks / sms if step < SHORT_COPY_BYTES and blocks > 2 * sms else ceil_div(blocks, sms)
            added_bytes = 4 * work.m * work.n * work.groups * parts
            reduce_s = launch_s + added_bytes / UNALIGNED_REDUCE_BYTES_PER_S if parts > 1 else 0.0
            shared = each * step * tiles * work.k + output_bytes(work)
            found = ShortCopies(waves * k * slot, each * blocks * k, blocks, tile, shared, reduce_s)
            seconds = side_by_side(found.cycles / clock_hz, shared / shared_bytes_per_s, memory_s) + reduce_s
            if seconds < least:
                best, least = found, seconds
    assert best is not None
    return best
