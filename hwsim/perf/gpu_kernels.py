"""A kernel of a GPU: what it asks of the chip, how long it takes at a clock, and what it costs.

The clock is one for a whole workload, for a chip averages its power over many kernels: it is the highest at which
energy over time stays within the power limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hwsim.perf.energy import ActionCounts, EnergyTable

OVERLAP = 4.0
"""Streams that run side by side (tensor cores, L2, memory) take the OVERLAP-norm of their times: the longest where one
dominates, 19% more where two are equal."""

UNSCALED = ("dram", "static", "link")
"""Components that the voltage of the SMs does not change."""


def side_by_side(*parts: float) -> float:
    """Time of streams that run at once."""
    longest = max(parts)
    if not longest:
        return 0.0
    total = 0.0
    for part in parts:
        total += (part / longest) ** OVERLAP
    return float(longest * total ** (1 / OVERLAP))


@dataclass(frozen=True, slots=True)
class Kernel:
    """One launch.

    Attributes:
        launch_s: from the end of the kernel before to the first useful cycle.
        table: prices of its actions, at the highest clock.
        counts: actions, without the seconds that pass.
        cycles: SM clock cycles that the busiest SM works.
        shared_s: time its bytes take through the L2, whose clock does not follow the SMs'.
        memory_s: time that memory works while the SMs do.
        tail_s: time that memory works when the SMs have nothing left to do.
    """

    launch_s: float
    table: EnergyTable
    counts: ActionCounts = field(default_factory=ActionCounts)
    cycles: float = 0.0
    shared_s: float = 0.0
    memory_s: float = 0.0
    tail_s: float = 0.0

    def seconds(self, clock_hz: float) -> float:
        """Time from the end of the kernel before, at an SM clock."""
        return self.launch_s + side_by_side(self.cycles / clock_hz, self.shared_s, self.memory_s) + self.tail_s

    def bound(self, clock_hz: float) -> str:
        """What takes longest: ``launch``, ``compute`` or ``memory`` (the L2 included)."""
        parts = {
            "launch": self.launch_s,
            "compute": self.cycles / clock_hz,
            "memory": max(self.shared_s, self.memory_s) + self.tail_s,
        }
        return max(parts, key=lambda name: parts[name])


@dataclass(frozen=True, slots=True)
class Power:
    """Power against SM clock: idle power flows anyway; memory's share goes with its bytes; clock trees of a busy chip
    switch with every cycle; all else goes with what kernels do. The last two go with voltage squared, and voltage falls
    in a straight line with the clock.

    Attributes:
        highest_hz: the clock when power does not limit.
        limit_w: mean power that is never passed.
        slope: part of the voltage lost per part of the clock.
        static_w: what flows anyway.
        active_w: of the clock trees, at the highest clock.
    """

    highest_hz: float
    limit_w: float
    slope: float
    static_w: float
    active_w: float = 0.0

    LOWEST = 0.25
    """Of the highest clock; a limit that asks for less is passed."""

    def voltage_squared(self, clock_hz: float) -> float:
        """Relative to the highest clock."""
        return max(0.0, 1.0 - self.slope * (1.0 - clock_hz / self.highest_hz)) ** 2

    def clocking_w(self, clock_hz: float) -> float:
        """Power of the clock trees."""
        return self.active_w * clock_hz / self.highest_hz * self.voltage_squared(clock_hz)

    def price(self, kernel: Kernel, clock_hz: float) -> dict[str, float]:
        """Component -> pJ; power that flows while time passes is ``static``."""
        seconds = kernel.seconds(clock_hz)
        counts = ActionCounts(**{**kernel.counts.as_dict(), "static_s": seconds})
        scale = self.voltage_squared(clock_hz)
        out = {part: pj * (1.0 if part in UNSCALED else scale) for part, pj in kernel.table.price(counts).items()}
        out["static"] += self.clocking_w(clock_hz) * seconds * 1e12
        return out

    def clock_hz(self, kernels: Sequence[Kernel]) -> float:
        """The highest clock at which the kernels, run in turn for ever, stay within the limit."""
        times = Counter(id(kernel) for kernel in kernels)  # repeated layers share their kernels
        runs = [(kernel, times[id(kernel)]) for kernel in {id(kernel): kernel for kernel in kernels}.values()]
        fixed_j = sum(n * kernel.counts.dram_bytes * kernel.table.pj["dram_bytes"] for kernel, n in runs) / 1e12
        fixed_j += sum(n * kernel.counts.link_bytes * kernel.table.pj["link_bytes"] for kernel, n in runs) / 1e12
        core_j = sum(n * kernel.table.dynamic_pj(kernel.counts) for kernel, n in runs) / 1e12 - fixed_j
        room_w = self.limit_w - self.static_w

        def fits(clock_hz: float) -> bool:
            seconds = sum(n * kernel.seconds(clock_hz) for kernel, n in runs)
            return fixed_j + core_j * self.voltage_squared(clock_hz) <= (room_w - self.clocking_w(clock_hz)) * seconds

        low, high = self.LOWEST * self.highest_hz, self.highest_hz
        if fits(high):
            return high
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low
