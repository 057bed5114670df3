"""What a report shows, as plain frozen values: one network and one data set on one or more targets.

A ``Comparison`` holds everything a page needs, dates and versions included, so that the same comparison always gives
the same bytes. ``hwsim.report.document`` writes it as JSON and reads it back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hwsim.errors import DataError, unknown
from hwsim.perf.result import Estimate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

KINDS = ("silicon", "rtl", "published", "derived", "assumed")
"""Kinds of evidence, the strongest first."""

SUBJECTS = ("arithmetic", "timing", "energy")
"""What evidence is attached to, as in ``Estimate.evidence``: accuracy rests on arithmetic, speed on timing."""

UNITS = {"latency": "s", "throughput": "/s", "energy": "J"}
"""Unit of each number that a machine model gives."""

Z_95 = 1.959963984540054
"""Two-sided 95% point of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a number comes from.

    Attributes:
        kind: ``silicon``, ``rtl``, ``published``, ``derived`` or ``assumed``.
        source: document, table or measurement, in words; shown on hover and in print.
    """

    kind: str
    source: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown(DataError, "kind of evidence", self.kind, KINDS)


@dataclass(frozen=True, slots=True)
class Declared:
    """A number of the target's file: dotted path, value, band where known, kind of evidence, source in words."""

    path: str
    value: float
    kind: str
    source: str = ""
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown(DataError, "kind of evidence", self.kind, KINDS, where=self.path)


@dataclass(frozen=True, slots=True)
class TargetSummary:
    """What a page says of a chip.

    Attributes:
        name: the target's name, unique in a comparison together with ``precision``.
        title: for people.
        precision: the mode it ran in.
        unit: matrix unit whose arithmetic the emulator used (a name in ``hwsim.units``).
        weights, activations: format and granularity, in words (``int4 per channel``).
        evidence: for ``arithmetic``, ``timing`` and ``energy``: the kind and the source, in words. A subject left out
            takes its kind from the estimate, without a source.
        numbers: what the target's file declares, for the page's appendix.
        drawing: the chip as a picture in text (``hwsim.report.chip``), where there is one.
    """

    name: str
    title: str
    precision: str
    unit: str
    weights: str = ""
    activations: str = ""
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    numbers: tuple[Declared, ...] = ()
    drawing: str = ""

    def __post_init__(self) -> None:
        for subject in self.evidence:
            if subject not in SUBJECTS:
                raise unknown(DataError, "subject of evidence", subject, SUBJECTS, where=self.name)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often the emulated chip answers right.

    Attributes:
        value: share of right answers, 0 to 1.
        n: inputs tried; ``correct`` of them right.
        interval: 95% Wilson score interval of ``value`` (Wilson 1927), low and high.
        baseline: the same share for the float32 network on the same inputs.
        agreement: share of inputs where the chip's answer is the float32 network's, right or wrong; None when not
            compared.
        metric: its name.
    """

    value: float
    n: int
    correct: int
    interval: tuple[float, float]
    baseline: float | None = None
    agreement: float | None = None
    metric: str = "top-1"

    def __post_init__(self) -> None:
        if self.n < 1 or not 0 <= self.correct <= self.n:
            raise DataError(
                f"needs 0 <= correct <= n and n >= 1, found correct {self.correct}, n {self.n}", where="accuracy"
            )
        for name in ("value", "baseline", "agreement"):
            number = getattr(self, name)
            if number is not None and not 0 <= number <= 1:
                raise DataError(f"must lie in 0..1, found {number}", where=f"accuracy.{name}")
        low, high = self.interval
        if not 0 <= low <= high <= 1:
            raise DataError(f"must satisfy 0 <= low <= high <= 1, found {low}, {high}", where="accuracy.interval")

    @classmethod
    def of(
        cls,
        predictions: ArrayLike,
        labels: ArrayLike,
        baseline_predictions: ArrayLike | None = None,
        *,
        metric: str = "top-1",
    ) -> Accuracy:
        """Count right answers: class indices of the chip [n], labels [n] and the float32 network's class indices [n].

        Raises:
            DataError: no inputs, or arrays of different lengths.
        """
        import numpy as np

        chip, truth = np.asarray(predictions).ravel(), np.asarray(labels).ravel()
        if truth.size == 0:
            raise DataError("no labelled inputs to measure accuracy on")
        if chip.shape != truth.shape:
            raise DataError(f"expected {truth.size} predictions, one a label, found {chip.size}")
        correct = int(np.count_nonzero(chip == truth))
        baseline = agreement = None
        if baseline_predictions is not None:
            reference = np.asarray(baseline_predictions).ravel()
            if reference.shape != truth.shape:
                raise DataError(f"expected {truth.size} baseline predictions, one a label, found {reference.size}")
            baseline = float(np.count_nonzero(reference == truth) / truth.size)
            agreement = float(np.count_nonzero(chip == reference) / truth.size)
        return cls(correct / truth.size, truth.size, correct, wilson(correct, truth.size), baseline, agreement, metric)


@dataclass(frozen=True, slots=True)
class Score:
    """A network's score where it is no share of right answers: a perplexity, a rank correlation.

    Attributes:
        metric: its name; ``lower_is_better`` says which way is good.
        measured: of the emulated chip; ``float32`` of the float network on the same inputs, None when not run.
        n: inputs tried.
    """

    metric: str
    measured: float
    n: int
    float32: float | None = None
    lower_is_better: bool = False


def wilson(correct: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of a proportion (Wilson 1927, JASA 22:209): it stays inside 0..1 and holds near the ends.

    Example:
        >>> tuple(round(bound, 4) for bound in wilson(1970, 2000))
        (0.9787, 0.9895)
    """
    share = correct / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if correct == 0 else max(0.0, centre - half)
    high = 1.0 if correct == n else min(1.0, centre + half)
    return low, high


@dataclass(frozen=True, slots=True)
class TileRow:
    """One class of tiles that the emulator ran: ``count`` products of m x n x k on ``unit`` for ``layer``."""

    layer: str
    op: str
    unit: str
    m: int
    n: int
    k: int
    count: int
    macs: int


@dataclass(frozen=True, slots=True)
class HealthRow:
    """What low precision did to one layer's result, over all inputs.

    Attributes:
        elements: values counted.
        saturated: sums that left the accumulator's range; a value may have several.
        clipped: values stored at an end of their format, as far as the calibrated range goes.
        zeros, negative_zeros: codes that mean +0 (or zero), and -0.
        sqnr_db: signal over quantization noise against the float32 network; infinite when equal, None when not
            measured.
    """

    layer: str
    elements: int
    saturated: int = 0
    clipped: int = 0
    zeros: int = 0
    negative_zeros: int = 0
    sqnr_db: float | None = None

    def __post_init__(self) -> None:
        if self.elements < 0:
            raise DataError(f"must not be negative, found {self.elements}", where=f"health of {self.layer}: elements")
        if self.saturated < 0:
            raise DataError(f"must not be negative, found {self.saturated}", where=f"health of {self.layer}: saturated")
        for name in ("clipped", "zeros", "negative_zeros"):
            count = getattr(self, name)
            if not 0 <= count <= self.elements:
                raise DataError(
                    f"must lie in 0..elements ({self.elements}), found {count}", where=f"health of {self.layer}: {name}"
                )


@dataclass(frozen=True, slots=True)
class TargetResult:
    """One target's answers, speed and energy.

    ``accuracy`` is None for an estimate without an emulation, and where ``score`` says how well instead; ``trace`` and
    ``health`` are empty without an emulation.
    """

    target: TargetSummary
    estimate: Estimate
    accuracy: Accuracy | None = None
    trace: tuple[TileRow, ...] = ()
    health: tuple[HealthRow, ...] = ()
    score: Score | None = None

    @property
    def energy_j(self) -> float:
        """Joules an inference."""
        return self.estimate.joules / self.estimate.batch

    @property
    def latency_s(self) -> float:
        """Seconds from a batch's first input to its last output."""
        return self.estimate.seconds

    def measure(self, metric: str) -> float:
        """``latency`` (s), ``throughput`` (inferences a second) or ``energy`` (J an inference); units in ``UNITS``."""
        if metric == "latency":
            return self.latency_s
        return self.estimate.inferences_per_s if metric == "throughput" else self.energy_j

    def evidence(self, subject: str) -> Evidence | None:
        """What ``arithmetic``, ``timing`` or ``energy`` rests on; None where nobody said."""
        stated = self.target.evidence.get(subject)
        if stated is not None:
            return stated
        kind = self.estimate.evidence.get(subject)
        return Evidence(kind) if kind else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One network and one data set on one or more targets.

    Attributes:
        model: the network's name; ``title`` heads the page.
        data: name of the inputs; ``n`` of them were run (0 when only estimated).
        results: one a target, in the order to show them.
        created: when, ISO 8601, as the caller states it: rendering never reads the clock.
        command: what reproduces it.
        versions: package name -> version.
        hashes: what was read (model, data, target files) -> ``sha256:<hex>``.
        seed: of everything random in the run.
        notes: sentences for the reader (provenance of the network and the data).
    """

    model: str
    title: str
    data: str
    n: int
    results: tuple[TargetResult, ...]
    created: str
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.results:
            raise DataError("a comparison needs at least one target", where="results")
        seen: set[tuple[str, str]] = set()
        for result in self.results:
            key = (result.target.name, result.target.precision)
            if key in seen:
                raise DataError(f"target {key[0]!r} in precision {key[1]!r} appears twice", where="results")
            seen.add(key)
            if result.estimate.batch < 1:
                raise DataError(f"batch must be at least 1, found {result.estimate.batch}", where=f"results: {key[0]}")

    def _repr_html_(self) -> str:
        """A row a target, each number with what it rests on, for a notebook."""
        from hwsim.perf.notebook import html_table
        from hwsim.report.figures import labels_of
        from hwsim.report.humanise import per_second, percent, si, significant
        from hwsim.report.words import verdicts

        rows = []
        for label, result in zip(labels_of(self.results), self.results, strict=True):
            score, accuracy = result.score, result.accuracy
            answer = (
                f"{score.metric} {significant(score.measured, 4)}"
                if score is not None
                else percent(accuracy.value if accuracy is not None else None)
            )
            speed = (si(result.latency_s, "s"), per_second(result.estimate.inferences_per_s), si(result.energy_j, "J"))
            kinds = [proof.kind if proof else "unstated" for proof in map(result.evidence, SUBJECTS)]
            rows.append((label, answer, *speed, ", ".join(kinds)))
        head = ("target", "answers", "latency", "throughput", "energy", f"evidence of {', '.join(SUBJECTS)}")
        return html_table(self.title, head, rows, tuple(verdicts(self).values()))
