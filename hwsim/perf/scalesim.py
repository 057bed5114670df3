"""SCALE-Sim 3's stall-free answers for one matrix product, quirks included, for comparing with published SCALE-Sim
numbers.

Quirks kept: totals are the index of the last cycle (one less than the cycles that pass); folds never overlap;
output-stationary folds do not drain (no second ``rows``); output-stationary result writes count ``rows + cols`` for
each fold besides the results.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.errors import DataError, unknown
from hwsim.perf.systolic import ceil_div

DATAFLOW_NAMES = ("ws", "os", "is")


@dataclass(frozen=True, slots=True)
class ScaleSim:
    """Cycles without stalls, and words (of one byte) in and out of the three scratchpads."""

    cycles: int
    sram_ifmap_reads: int
    sram_filter_reads: int
    sram_ofmap_writes: int


def scalesim(M: int, N: int, K: int, *, rows: int, cols: int, dataflow: str) -> ScaleSim:
    """What SCALE-Sim 3.0.0 prints for [M, K] x [K, N] on ``rows`` x ``cols`` with ``dataflow`` ws, os or is.

    Raises:
        DataError: a size below 1, or an unknown dataflow.
    """
    for name, size in (("M", M), ("N", N), ("K", K), ("rows", rows), ("cols", cols)):
        if size < 1:
            raise DataError(f"{name} must be at least 1, found {size}", where="scalesim")
    if dataflow == "ws":
        folds = ceil_div(K, rows) * ceil_div(N, cols)
        cycles = folds * (2 * rows + cols + M - 2) - 1
        return ScaleSim(cycles, M * K * ceil_div(N, cols), K * N, M * N * ceil_div(K, rows))
    if dataflow == "is":
        folds = ceil_div(K, rows) * ceil_div(M, cols)
        cycles = folds * (2 * rows + cols + N - 2) - 1
        return ScaleSim(cycles, M * K, K * N * ceil_div(M, cols), M * N * ceil_div(K, rows))
    if dataflow == "os":
        folds = ceil_div(M, rows) * ceil_div(N, cols)
        cycles = folds * (rows + cols + K - 2) - 1
        writes = M * N + folds * (rows + cols)
        return ScaleSim(cycles, M * K * ceil_div(N, cols), K * N * ceil_div(M, rows), writes)
    raise unknown(DataError, "dataflow", dataflow, DATAFLOW_NAMES, where="scalesim")
