"""Modelled against simulated cycles: random products on arrays of many shapes, for each dataflow with Verilog."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hwsim.errors import DataError, unknown
from hwsim.numerics import mma
from hwsim.verify.catalog import rtl_unit
from hwsim.verify.drive import Array, Codes, Sums
from hwsim.verify.matmul import matmul_on
from hwsim.verify.output_stationary import os_matmul
from hwsim.verify.sources import rtl_sources

SHAPES = ((1, 1), (1, 4), (4, 1), (2, 3), (3, 2), (4, 4), (5, 8), (8, 5), (8, 8), (16, 16))
"""Rows and columns of the arrays, each built once."""
UNIT = "hwsim.rtl.int4"
LARGEST = 40
"""M, N and K are drawn from 1 to this."""


@dataclass(frozen=True)
class CycleCase:
    """One product on one array: cycles by the model and in simulation; sums that differ from the golden ones."""

    rows: int
    cols: int
    m: int
    n: int
    k: int
    modelled: int
    simulated: int
    wrong_sums: int

    @property
    def agrees(self) -> bool:
        """Cycles and sums are the model's."""
        return self.modelled == self.simulated and self.wrong_sums == 0


def _ws(array: Array, a: Codes, b: Codes) -> tuple[Sums, int, int]:
    from hwsim.perf.systolic import WeightStationary

    model = WeightStationary(array.rows, array.cols)
    return *matmul_on(array, a, b), model.cycles(len(a), len(b), a.shape[1], accumulators=1 << 62)


def _os(array: Array, a: Codes, b: Codes) -> tuple[Sums, int, int]:
    from hwsim.perf.systolic import OutputStationary

    model = OutputStationary(array.rows, array.cols)
    return *os_matmul(array, a, b), model.cycles(len(a), len(b), a.shape[1], accumulators=1 << 62)


DATAFLOWS: Mapping[str, Callable[[Array, Codes, Codes], tuple[Sums, int, int]]] = {"ws": _ws, "os": _os}


def compare_cycles(dataflow: str, cases: int, *, seed: int = 0, sim: str = "verilator") -> Iterator[CycleCase]:
    """Draw products [m, k] x [k, n] and arrays; run each on the simulated array and in the cycle model.

    Args:
        dataflow: ``ws`` (``rtl/array_ws.v``) or ``os`` (``rtl/array_os.v``). cases: how many.

    Raises:
        DataError: an unknown dataflow, or no cases. ToolError: the simulator is missing or failed.
    """
    if dataflow not in DATAFLOWS:
        raise unknown(DataError, "dataflow with Verilog", dataflow, DATAFLOWS)
    if cases < 1:
        raise DataError(f"expected 1 or more cases, found {cases}", where="compare_cycles")
    rng = np.random.default_rng([seed, *dataflow.encode()])
    files = rtl_sources()
    for _ in range(cases):
        rows, cols = SHAPES[rng.integers(len(SHAPES))]
        m, n, k = (int(size) for size in rng.integers(1, LARGEST, 3, endpoint=True))
        a, b = (rng.integers(0, 16, (size, k), dtype=np.uint8) for size in (m, n))
        array = Array(rtl_unit(UNIT), rows, cols, files, sim, seed)
        sums, simulated, modelled = DATAFLOWS[dataflow](array, a, b)
        wrong = int(np.count_nonzero(sums != mma(a, b, None, UNIT)))
        yield CycleCase(rows, cols, m, n, k, modelled, simulated, wrong)
