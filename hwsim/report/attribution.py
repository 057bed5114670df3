"""Where a chip's loss comes from, as plain frozen values, and the sentences that say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hwsim.report.humanise import count, decibels, percent, points, short_percent, significant
from hwsim.report.model import Evidence, TargetSummary

WHY_SCHEMA = "hwsim.attribution/1"


@dataclass(frozen=True, slots=True)
class Measure:
    """What one mixture of float and chip answers.

    Attributes:
        sqnr_db: power of the float network's outputs over that of the difference; infinite when equal.
        cosine: mean cosine of an output with the float network's.
        agreement: share of inputs with the float network's answer; None where outputs are no classes.
        score: share of right answers, or what the network is scored by; None without labels.
    """

    sqnr_db: float
    cosine: float
    agreement: float | None = None
    score: float | None = None

    @property
    def noise(self) -> float:
        """Noise power over signal power."""
        return float(10 ** (-self.sqnr_db / 10))


@dataclass(frozen=True, slots=True)
class Swap:
    """One cause or one layer.

    Attributes:
        name: of the cause or layer; ``text`` says what it is.
        alone: everything else float; its ``sqnr_db`` is of the noise that this one adds.
        without: everything else as on the chip.
    """

    name: str
    text: str
    alone: Measure
    without: Measure


@dataclass(frozen=True, slots=True)
class Attribution:
    """A chip's loss by cause and by layer.

    Attributes:
        model, title, data, n, created, command, versions, hashes, seed, notes: as in ``Comparison``.
        target: the chip.
        metric: what ``score`` is; empty without labels. ``float32`` is the float network's.
        chip: everything as on the chip.
        causes: weights, activations, accumulator, requantization, vector operations.
        steps: the same causes added one after another, from float to chip.
        layers: matrix products in execution order.
    """

    model: str
    title: str
    data: str
    n: int
    target: TargetSummary
    metric: str
    lower_is_better: bool
    float32: float | None
    chip: Measure
    causes: tuple[Swap, ...]
    steps: tuple[tuple[str, Measure], ...]
    layers: tuple[Swap, ...]
    created: str
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    notes: tuple[str, ...] = ()

    @property
    def evidence(self) -> Evidence | None:
        """What the chip's arithmetic rests on."""
        return self.target.evidence.get("arithmetic")

    def share(self, noise: float) -> float | None:
        """``noise`` as a share of the chip's; None where the chip has none."""
        return noise / self.chip.noise if self.chip.noise > 0 else None

    def taken_away(self, swap: Swap) -> float | None:
        """Share of the chip's noise that is gone without ``swap``; negative where errors had cancelled."""
        left = self.share(swap.without.noise)
        return None if left is None else 1 - left

    def score_text(self, value: float | None) -> str:
        """A score in the words of its metric."""
        if value is None:
            return "–"
        return percent(value) if self.metric == "top-1" else significant(value, 4)

    def loss_text(self, value: float | None) -> str:
        """How far a score is from the float network's."""
        if value is None or self.float32 is None:
            return "–"
        if self.metric == "top-1":
            return points(value - self.float32)
        change = significant(value - self.float32, 3)
        return change if value < self.float32 else f"+{change}"


def sentences(why: Attribution) -> tuple[str, ...]:
    """What is lost, which cause makes most of it, and which layer; no more than the numbers carry."""
    if why.chip.noise == 0:
        return (f"Nothing is lost: every output of {count(why.n)} is the float network's.",)
    said = [f"The outputs are {decibels(why.chip.sqnr_db)} above their noise."]
    if why.float32 is not None and why.chip.score is not None:
        metric, change = f"{why.metric[:1].upper()}{why.metric[1:]}", why.loss_text(why.chip.score)
        said = [
            f"{metric} is {why.score_text(why.chip.score)}, {change} against float, on {count(why.n)} "
            f"input{'s' if why.n != 1 else ''}; the outputs are {decibels(why.chip.sqnr_db)} above their noise."
        ]
    cause = max(why.causes, key=lambda swap: swap.alone.noise)
    alone = why.share(cause.alone.noise)
    verb = "make" if cause.name.endswith("s") else "makes"
    said.append(f"{cause.name.capitalize()} {verb} the most of it: alone, {_of_noise(alone)}.")
    if why.layers:
        layer = max(why.layers, key=lambda swap: why.taken_away(swap) or 0.0)
        gone = why.taken_away(layer) or 0.0
        if gone > 0:
            said.append(f"{layer.name} is the layer to mend: kept in float, it takes {short_percent(gone)} of it away.")
        else:
            said.append("No single layer, kept in float, would take noise away: their errors cancel in part.")
    return tuple(said)


def _of_noise(share: float | None) -> str:
    if share is None:
        return "–"
    return f"{short_percent(share)} of the chip’s noise" if share < 1.995 else f"{share:.1f} times the chip’s noise"
