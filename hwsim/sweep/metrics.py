"""What a point can be judged by: names, units, which way is good, and what must be run to know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Needs = Literal["estimate", "answers"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a point.

    Attributes:
        name: as objectives and constraints name it.
        unit: of the number; empty for shares and counts.
        better: ``min`` or ``max``.
        needs: ``estimate`` (the machine model alone) or ``answers`` (the network is emulated too).
        text: one line for people.
    """

    name: str
    unit: str
    better: Literal["min", "max"]
    needs: Needs
    text: str


METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric("latency_s", "s", "min", "estimate", "from a batch's first input to its last output"),
        Metric("energy_j", "J", "min", "estimate", "an inference"),
        Metric("throughput_per_s", "/s", "max", "estimate", "inferences a second"),
        Metric("power_w", "W", "min", "estimate", "mean while it runs"),
        Metric("energy_delay_js", "J s", "min", "estimate", "energy of an inference times latency"),
        Metric("utilisation", "", "max", "estimate", "share of the peak multiply-accumulate rate"),
        Metric("memory_bytes", "B", "min", "estimate", "held at once: weights, caches, the largest operation"),
        Metric("peak_macs_per_s", "/s", "max", "estimate", "multiply-accumulates a second at best"),
        Metric("multipliers", "", "min", "estimate", "multiply-accumulates a cycle at best: the size of the arrays"),
        Metric("accuracy", "", "max", "answers", "share of right answers, bit for bit as the chip gives them"),
        Metric("accuracy_loss", "", "min", "answers", "accuracy of the float network minus the chip's"),
        Metric("agreement", "", "max", "answers", "share of answers that are the float network's"),
        Metric("perplexity", "", "min", "answers", "of a language model"),
        Metric("rank_correlation", "", "max", "answers", "of a sentence encoder with its labels"),
    )
}
