"""A network on simulated Verilog: chosen layers compute on the array and must give the emulator's integers."""

from __future__ import annotations

import fnmatch
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError, ModelError, unknown
from hwsim.numerics import mma
from hwsim.verify.catalog import rtl_unit
from hwsim.verify.compare import fold_cycles
from hwsim.verify.drive import Array, in_parts
from hwsim.verify.matmul import matmul_on
from hwsim.verify.result import CheckRow, VerifyReport
from hwsim.verify.simulator import need_simulator
from hwsim.verify.sources import rtl_sources

if TYPE_CHECKING:
    from hwsim.emulate.matrix import Product
    from hwsim.ir import Graph
    from hwsim.target import Target


EVERY = "all"
PART_ROWS = 128
"""Rows of activations that are worth an array of their own, where nobody counts cycles."""


def rtl_products(
    graph: Graph, target: Target, *, precision: str | None = None, sim: str = "verilator"
) -> dict[str, Product]:
    """Every matrix product of a quantized network on the simulated array, as ``emulate(.., matmul=..)`` takes it.

    Raises:
        DataError: the target is not an array. UnitError: no Verilog realises its unit. ToolError: no such simulator.
    """
    unit, rows, cols, names = _array(graph, target, precision)
    need_simulator(sim)
    array = Array(rtl_unit(unit), rows, cols, rtl_sources(), sim)

    def product(a: NDArray[Any], b: NDArray[Any], c: NDArray[Any] | None, unit: str, **scales: Any) -> NDArray[Any]:
        parts = os.cpu_count() or 1
        if len(b) > cols or len(a) < parts * PART_ROWS:  # several chains run side by side already
            return matmul_on(array, a, b, c, **scales)[0]

        def part(cut: slice) -> NDArray[Any]:
            mine = {name: held[cut] if name == "a_scale" else held for name, held in scales.items()}
            return matmul_on(array, a[cut], b, None if c is None else c[cut], **mine)[0]

        return np.concatenate(in_parts(part, len(a), parts))

    return dict.fromkeys(names, product)


def _array(graph: Graph, target: Target, precision: str | None) -> tuple[str, int, int, list[str]]:
    """The target's unit and array shape, and the names of the graph's matrix products on that unit."""
    from hwsim.emulate import MatrixStep, bind

    program = bind(graph, target, precision)
    unit = program.precision.unit
    rtl_unit(unit)
    machine = target.machine
    if machine.kind != "systolic" or machine.rows is None or machine.cols is None:
        raise DataError(f"expected a systolic array, found {machine.kind}", where=f"target {target.name}")
    return (
        unit,
        machine.rows.value,
        machine.cols.value,
        [step.node.name for step in program.steps if isinstance(step, MatrixStep) and step.work.unit == unit],
    )


def _chosen(layers: Sequence[str], names: list[str], where: str) -> list[str]:
    """Names and patterns (``blk.0.*``) as names, each once, in the order of the graph."""
    found: set[str] = set()
    for layer in layers:
        hits = names if layer == EVERY else fnmatch.filter(names, layer)
        if not hits:
            raise unknown(ModelError, "matrix product", layer, [*names, EVERY], where=where)
        found.update(hits)
    return [name for name in names if name in found]


def verify_network(
    graph: Graph,
    target: Target,
    data: NDArray[Any],
    *,
    layers: Sequence[str] | None = None,
    precision: str | None = None,
    sim: str = "icarus",
    sources: Sequence[str] = (),
    on_check: Callable[[CheckRow], None] | None = None,
) -> VerifyReport:
    """Run a quantized network with the matrix products of ``layers`` on the simulated array, then as the emulator does.

    The array's shape is the target's, its unit the one of the precision. A row a layer compares every sum with the
    golden unit and the cycles with the model; the last row compares the network's outputs.

    Args:
        graph: a quantized graph. target: a target of kind ``systolic`` whose unit has Verilog.
        data: inputs [n, ...]. layers: names of matrix products, or patterns such as ``blk.0.*``, or ``["all"]``;
            None is the first one.

    Raises:
        ModelError: a layer is not a matrix product of the graph.
        DataError: the target is not an array, or the data do not fit.
        UnitError: no Verilog realises the target's unit.
        ToolError: the simulator is missing or failed.
    """
    from hwsim.emulate import emulate

    unit, rows, cols, names = _array(graph, target, precision)
    chosen = _chosen(layers, names, graph.name) if layers else names[:1]

    found: dict[str, CheckRow] = {}
    array = Array(rtl_unit(unit), rows, cols, rtl_sources(sources), sim)

    def on_array(layer: str) -> Callable[..., NDArray[Any]]:
        def product(a: NDArray[Any], b: NDArray[Any], c: NDArray[Any] | None, name: str, **scales: Any) -> NDArray[Any]:
            began = time.perf_counter()
            got, cycles = matmul_on(array, a, b, c, **scales)
            want = mma(a, b, c, name, **scales)
            modelled = -(-a.shape[1] // rows) * -(-b.shape[0] // cols) * fold_cycles(rows, cols, len(a))
            found[layer] = _row(layer, unit, got, want, cycles, modelled, time.perf_counter() - began, found.get(layer))
            return got

        return product

    on_rtl = emulate(
        graph, target, data, precision=precision, matmul={name: on_array(name) for name in chosen}, chunk=len(data)
    )
    for name in chosen:
        if on_check is not None:
            on_check(found[name])
    began = time.perf_counter()
    golden = emulate(graph, target, data, precision=precision)
    outputs = _row(
        "outputs", unit, on_rtl.output, golden.output, 0, 0, time.perf_counter() - began, None, counts_cycles=False
    )
    if on_check is not None:
        on_check(outputs)
    return VerifyReport(
        unit=unit,
        simulator=sim,
        array_rows=rows,
        array_cols=cols,
        m=len(data),
        tiles=0,
        seed=0,
        sources=tuple(str(s) for s in sources),
        rows=(*(found[name] for name in chosen), outputs),
    )


def _row(
    check: str,
    unit: str,
    got: NDArray[Any],
    want: NDArray[Any],
    cycles: int,
    modelled: int,
    seconds: float,
    before: CheckRow | None,
    counts_cycles: bool = True,
) -> CheckRow:
    """One comparison, added to what an earlier product of the same layer (a group, a segment) gave."""
    pattern = f"u{got.dtype.itemsize}"
    wrong = np.argwhere(np.ascontiguousarray(got).view(pattern) != np.ascontiguousarray(want).view(pattern))
    first = None
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        first = f"{check}{list(at)}: expected {want[at]}, got {got[at]}"
    return CheckRow(
        check=check,
        unit=unit,
        compared=got.size + (before.compared if before else 0),
        mismatches=len(wrong) + (before.mismatches if before else 0),
        cycles_compared=int(counts_cycles) + (before.cycles_compared if before else 0),
        cycle_mismatches=int(cycles != modelled) + (before.cycle_mismatches if before else 0),
        seconds=seconds + (before.seconds if before else 0.0),
        simulated_cycles=cycles + (before.simulated_cycles if before else 0),
        first_mismatch=(before.first_mismatch if before else None) or first,
    )
