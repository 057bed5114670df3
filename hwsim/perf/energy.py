"""Energy = action counts x energy table. Counts come from a machine model, prices from the target; neither knows the
other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hwsim.perf.result import COMPONENTS

if TYPE_CHECKING:
    from hwsim.target import Precision, Target

ACTIONS = {
    "mac": "mac",
    "accumulate": "accumulator",
    "scratchpad_bytes": "scratchpad",
    "shared_bytes": "scratchpad",
    "vector_op": "vector",
    "dram_bytes": "dram",
    "static_s": "static",
    "link_bytes": "link",
}
"""Action -> component. ``mac``: multiply-accumulates switched; ``accumulate``: partial sums read, added and written
outside the array; ``*_bytes``: bytes into or out of a memory; ``vector_op``: scalar operations; ``static_s``: seconds
that pass; ``link_bytes``: sent to other chips."""


@dataclass(frozen=True, slots=True)
class ActionCounts:
    """What one operation makes the hardware do; fields are the names of ``ACTIONS``."""

    mac: float = 0.0
    accumulate: float = 0.0
    scratchpad_bytes: float = 0.0
    shared_bytes: float = 0.0
    vector_op: float = 0.0
    dram_bytes: float = 0.0
    static_s: float = 0.0
    link_bytes: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """Action -> count."""
        return {name: float(getattr(self, name)) for name in ACTIONS}


@dataclass(frozen=True, slots=True)
class EnergyTable:
    """Price of each action, pJ (``static_s``: pJ a second), at one precision of a target; ``low`` and ``high`` are the
    ends of its band, the price itself where it has none."""

    pj: Mapping[str, float]
    kinds: Mapping[str, str] = field(default_factory=dict)
    low: Mapping[str, float] = field(default_factory=dict)
    high: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, target: Target, precision: Precision) -> EnergyTable:
        """The target's table with the precision's multiply-accumulate. Entries that a target leaves out cost 0: its MAC
        energy includes them."""
        table = target.energy
        link = target.machine.link if target.machine.kind == "gpu" else None
        entries = {
            "mac": precision.mac_pj,
            "accumulate": table.accumulate_pj,
            "scratchpad_bytes": table.scratchpad_pj_per_byte,
            "shared_bytes": table.shared_pj_per_byte,
            "vector_op": table.vector_pj,
            "dram_bytes": table.dram_pj_per_byte,
            "link_bytes": link.pj_per_byte if link else None,
        }
        kinds: dict[str, str] = {name: entry.kind for name, entry in entries.items() if entry}
        idle = table.static_w
        pj, low, high = (
            {
                **{name: (getattr(entry, end) or entry.value_pj) if entry else 0.0 for name, entry in entries.items()},
                "static_s": (getattr(idle, end.removesuffix("_pj")) or idle.value) * 1e12,
            }
            for end in ("value_pj", "low_pj", "high_pj")
        )
        return cls(pj, {**kinds, "static_s": idle.kind}, low, high)

    def band(self, energy: Mapping[str, float], counts: Mapping[str, float]) -> tuple[float, float]:
        """Where the sum of ``energy`` (component -> pJ, as priced) lies when every price of the actions ``counts`` is
        at the low end of its band, and at the high end; pJ."""
        ends = []
        for prices in (self.low, self.high):
            total = 0.0
            for part, pj in energy.items():
                mine = [action for action, component in ACTIONS.items() if component == part]
                middle = sum(counts[action] * self.pj[action] for action in mine)
                end = sum(counts[action] * prices[action] for action in mine)
                total += pj * end / middle if middle else pj
            ends.append(total)
        return ends[0], ends[1]

    def price(self, counts: ActionCounts) -> dict[str, float]:
        """Component -> pJ; every component is present."""
        out = dict.fromkeys(COMPONENTS, 0.0)
        for action, component in ACTIONS.items():
            out[component] += float(getattr(counts, action)) * self.pj[action]
        return out

    def dynamic_pj(self, counts: ActionCounts) -> float:
        """Energy without the static part, pJ."""
        return sum(float(getattr(counts, action)) * self.pj[action] for action in ACTIONS if action != "static_s")
