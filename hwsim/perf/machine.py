"""What every machine model shares: the facts it needs of a run, the parts it returns, and where tensors live between
layers."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import ceil
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol, cast

from hwsim.ir.workload import MatrixWork, VectorWork
from hwsim.perf.energy import ActionCounts, EnergyTable
from hwsim.perf.result import LayerEstimate
from hwsim.perf.sizes import bits_per_element, tensor_bytes

if TYPE_CHECKING:
    from hwsim.target import Precision


@dataclass(frozen=True, slots=True)
class Placement:
    """Which tensors of an operation stay on the chip, so that memory chips see nothing of them; and whether it is the
    network's first (its input comes from the host) or last (its output goes there). ``weights_resident``: the whole
    network's weights stay on the chip from pass to pass."""

    input_resident: bool
    output_resident: bool
    first: bool = False
    last: bool = False
    weights_resident: bool = False


class Machine(Protocol):
    """A machine model bound to a target and a precision."""

    @property
    def clock_hz(self) -> float:
        """Clock that cycles count."""

    @property
    def peak_macs_per_s(self) -> float:
        """Most MACs a second at the bound precision."""

    @property
    def dram_bytes_per_s(self) -> float:
        """Rate of the memory chips."""

    @property
    def home_bytes(self) -> int:
        """On-chip memory that tensors can stay in from one layer to the next."""

    @property
    def resident_weights_bytes(self) -> int:
        """Weights that stay on the chip from one pass to the next, at most; 0 where they always come anew."""

    @property
    def vector_rate(self) -> int:
        """Scalar operations a cycle of all vector units together."""

    def matrix(self, work: MatrixWork, place: Placement, table: EnergyTable) -> LayerEstimate:
        """A matrix product."""

    def vector(self, work: VectorWork, place: Placement, table: EnergyTable, slack_cycles: int) -> LayerEstimate:
        """A vector operation. A fused one hides in up to ``slack_cycles`` of the product it follows."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one operation, in cycles of the machine's clock."""

    cycles: int
    compute_cycles: int
    bound: str


def input_bytes(work: MatrixWork | VectorWork) -> int:
    """Bytes of an operation's activations, each element once."""
    return tensor_bytes(work.input_elements, work.input_format)


def output_bytes(work: MatrixWork | VectorWork) -> int:
    """Bytes of its results as stored."""
    return tensor_bytes(work.output_elements, work.output_format)


def sparse_rate(op: MatrixWork | VectorWork, precision: Precision) -> int:
    """By how much a unit is faster with this operation's weights than with dense ones."""
    sparse = isinstance(op, MatrixWork) and op.sparse and precision.sparse_2to4
    return sparse.rate.value if sparse else 1


def weight_bits(work: MatrixWork) -> float:
    """Stored bits of one element of the second operand. 2:4 keeps half of the elements, each with a place of 2 bits
    (``hwsim.numerics.sparse``)."""
    bits = bits_per_element(work.weight_format)
    return bits / 2 + 1 if work.sparse else bits


def weight_bytes(work: MatrixWork) -> int:
    """Bytes of the second operand with its scales and zero points."""
    return stored_bytes(work, work.weight_elements) + work.weight_scale_bytes


def stored_bytes(work: MatrixWork, elements: int) -> int:
    """Whole bytes of so many elements of the second operand, without scales."""
    return ceil(elements * weight_bits(work) / 8)


_MATRIX = attrgetter(*(field.name for field in fields(MatrixWork) if field.name != "name"))
_VECTOR = attrgetter(*(field.name for field in fields(VectorWork) if field.name != "name"))


def signature(op: MatrixWork | VectorWork) -> tuple[object, ...]:
    """All of an operation but its name: networks repeat their layers, and what is alike costs alike."""
    return cast("tuple[object, ...]", _MATRIX(op) if isinstance(op, MatrixWork) else _VECTOR(op))


def named(row: LayerEstimate, name: str) -> LayerEstimate:
    """The row of an operation that differs in its name alone."""
    return row if row.name == name else replace(row, name=name)


def row(
    work: MatrixWork | VectorWork,
    timing: Timing,
    counts: ActionCounts,
    table: EnergyTable,
    *,
    clock_hz: float,
    peak_per_cycle: float,
    seconds: float | None = None,
) -> LayerEstimate:
    """Build the result row; adds the static seconds to ``counts``. ``seconds`` defaults to cycles / clock."""
    elapsed = timing.cycles / clock_hz if seconds is None else seconds
    counts = ActionCounts(**{**counts.as_dict(), "static_s": elapsed})
    matrix = isinstance(work, MatrixWork)
    macs = work.macs if isinstance(work, MatrixWork) else 0
    operations = 2 * macs if matrix else work.operations if isinstance(work, VectorWork) else 0
    useful = macs if matrix else operations
    sizes = (work.m, work.n, work.k, work.groups) if isinstance(work, MatrixWork) else (0, 0, 0, 0)
    peak = peak_per_cycle * timing.cycles
    return LayerEstimate(
        name=work.name,
        op=work.op,
        engine="matrix" if matrix else "vector",
        m=sizes[0],
        n=sizes[1],
        k=sizes[2],
        groups=sizes[3],
        macs=macs,
        operations=operations,
        cycles=timing.cycles,
        compute_cycles=timing.compute_cycles,
        stall_cycles=timing.cycles - timing.compute_cycles,
        seconds=elapsed,
        utilisation=min(1.0, useful / peak) if peak else 0.0,
        bound=timing.bound,
        dram_bytes=round(counts.dram_bytes),
        sram_bytes=round(counts.scratchpad_bytes + counts.shared_bytes),
        actions=counts.as_dict(),
        energy_pj=table.price(counts),
    )
