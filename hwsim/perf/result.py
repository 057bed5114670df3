"""What an estimate says: one frozen row a layer, and the totals of the run.

Energy components are always the keys of ``COMPONENTS``; the parts of a row, and the parts of an estimate, add up to
its total.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

COMPONENTS = ("mac", "accumulator", "scratchpad", "vector", "dram", "static", "link")
"""Where energy goes: multipliers and adders; partial-sum storage; every other on-chip memory; the vector unit; memory
chips and their interface; power that flows whether or not work is done (leakage, clock trees, idle circuits); and the
links to other chips that share the work."""

SHOWN = 12
"""Operations that a notebook shows of an estimate, the longest ones."""


@dataclass(frozen=True, slots=True)
class LayerEstimate:
    """One operation of the workload on the target.

    Attributes:
        name, op: of the workload's operation.
        engine: ``matrix`` or ``vector``.
        m, n, k, groups: sizes of a matrix product (0 for vector operations).
        macs: multiply-accumulates; 0 for vector operations.
        operations: scalar operations of a vector operation; for a matrix product 2 x macs.
        cycles: from the end of the previous operation to the end of this one; ``compute_cycles`` + ``stall_cycles``.
        compute_cycles: while the engine works, pipeline fill included.
        stall_cycles: while it waits for memory, for a launch, or for a lowered clock.
        seconds: the same in time.
        utilisation: useful MACs (or vector operations) over what the engine's peak does in ``cycles``; 0 to 1.
        bound: ``compute``, ``memory``, ``vector``, ``launch`` or ``power``: what sets ``cycles``.
        dram_bytes: moved to and from memory chips.
        sram_bytes: moved in and out of on-chip memories, accumulators excluded.
        actions: action name -> count; the unit is in the name (``mac``, ``dram_bytes``, ...).
        energy_pj: component -> pJ; every one of ``COMPONENTS`` is present.
    """

    name: str
    op: str
    engine: str
    m: int
    n: int
    k: int
    groups: int
    macs: int
    operations: int
    cycles: int
    compute_cycles: int
    stall_cycles: int
    seconds: float
    utilisation: float
    bound: str
    dram_bytes: int
    sram_bytes: int
    actions: Mapping[str, float]
    energy_pj: Mapping[str, float]

    @property
    def total_pj(self) -> float:
        """Energy of the layer, pJ."""
        return sum(self.energy_pj.values())


@dataclass(frozen=True, slots=True)
class Constraint:
    """One limit and what was found, both in ``unit``.

    Attributes:
        name: ``power``, ``latency`` or ``memory``.
        unit: ``W``, ``s`` or ``B``.
        kind: evidence of the limit.
    """

    name: str
    unit: str
    limit: float
    found: float
    kind: str

    @property
    def meets(self) -> bool:
        return self.found <= self.limit

    @property
    def ratio(self) -> float:
        """What was found over what is allowed: 1.2 misses by a fifth, 0.5 leaves half."""
        return self.found / self.limit


@dataclass(frozen=True, slots=True)
class Estimate:
    """A workload on a target.

    Attributes:
        workload, target, precision: names.
        batch: inferences that the totals cover.
        clock_hz: the clock that ``cycles`` count (nominal; a power-limited layer shows as stall cycles).
        cycles, seconds, joules: totals for the whole batch.
        rows: a row an operation, in execution order.
        energy_pj: component -> pJ over all rows.
        peak_macs_per_s, dram_bytes_per_s: the target's ceilings at this precision, for a roofline.
        macs: multiply-accumulates of the batch.
        inferences_per_s: batch / seconds.
        evidence: claim -> weakest kind of evidence that it rests on (``silicon``, ``rtl``, ``published``, ``derived``,
            ``assumed``); keys ``arithmetic``, ``timing``, ``energy``.
        held_clock_hz: the clock it runs at; below ``clock_hz`` where power limits it.
        joules_low, joules_high: ``joules`` when every price is at the low end of its band, and at the high end.
        chips: that share the work; ``rows`` are one's, ``joules``, ``energy_pj`` and ``macs`` all of theirs.
    """

    workload: str
    target: str
    precision: str
    batch: int
    clock_hz: float
    cycles: int
    seconds: float
    joules: float
    rows: tuple[LayerEstimate, ...]
    energy_pj: Mapping[str, float]
    peak_macs_per_s: float
    dram_bytes_per_s: float
    inferences_per_s: float
    macs: int
    evidence: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[Constraint, ...] = ()
    held_clock_hz: float = 0.0
    chips: int = 1
    joules_low: float = 0.0
    joules_high: float = 0.0

    @property
    def watts(self) -> float:
        """Mean power, W."""
        return self.joules / self.seconds if self.seconds > 0 else 0.0

    @property
    def layers(self) -> pd.DataFrame:
        """A data frame, one row a layer; ``actions`` and ``energy_pj`` are spread as ``actions.mac``,
        ``energy_pj.dram``, ..."""
        import pandas as pd

        flat: list[dict[str, Any]] = []
        for row in self.rows:
            cells = asdict(row)
            for group in ("actions", "energy_pj"):
                cells.update({f"{group}.{key}": value for key, value in cells.pop(group).items()})
            flat.append(cells)
        return pd.DataFrame(flat)

    def _repr_html_(self) -> str:
        """The totals and the longest operations, for a notebook."""
        from hwsim.perf.notebook import amount, html_table

        longest = sorted(range(len(self.rows)), key=lambda at: (-self.rows[at].seconds, at))[:SHOWN]
        rows = [
            (
                row.name,
                amount(row.seconds, "s"),
                f"{row.seconds / self.seconds:.0%}" if self.seconds > 0 else "–",
                f"{row.utilisation:.0%}" if row.macs else "–",
                row.bound,
                amount(row.total_pj * 1e-12, "J"),
            )
            for row in (self.rows[at] for at in sorted(longest))
        ]
        timing, energy = (f" ({self.evidence[name]})" if name in self.evidence else "" for name in ("timing", "energy"))
        notes = [
            f"latency {amount(self.seconds, 's')}, {amount(self.inferences_per_s, '/s')}{timing}; "
            f"energy {amount(self.joules / self.batch, 'J')} an inference, {amount(self.watts, 'W')}{energy}",
            *(f"{limit.name} limit {'met' if limit.meets else 'missed'}" for limit in self.constraints),
        ]
        if len(self.rows) > SHOWN:
            notes.insert(0, f"and {len(self.rows) - SHOWN} shorter operations")
        title = f"{self.workload} on {self.target}, {self.precision}, batch {self.batch}"
        return html_table(title, ("layer", "time", "of time", "of peak", "bound", "energy"), rows, notes)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dicts, ready for JSON; ``rows`` becomes a list of dicts."""
        out = asdict(self)
        out["rows"] = [dict(row) for row in out["rows"]]
        out["constraints"] = [
            {**limit, "meets": found.meets} for limit, found in zip(out["constraints"], self.constraints, strict=True)
        ]
        return out
