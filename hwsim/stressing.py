"""One network, float beside each target: under attack, in bad light, among strangers, with flipped bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.api import as_graph, is_quantized
from hwsim.comparing import (
    Progress,
    Source,
    calibration_of,
    dataset_of,
    hashes,
    now,
    targets_of,
    title_of,
    versions,
)
from hwsim.emulate import bind
from hwsim.errors import DataError, ModelError, RecipeError, unknown
from hwsim.io import Dataset
from hwsim.io.metric import classes_of
from hwsim.ir import Graph
from hwsim.quant import CALIBRATORS, quantize, recipe_for
from hwsim.report.stress import AttackRow, Column, CorruptionRow, StrangerRow, Stress
from hwsim.robust import CORRUPTIONS, SCORES, STRANGERS, FaultRow, FlipRow
from hwsim.robust.attacks import Attack, Victim, attack, toolbox, victim, whole_victim
from hwsim.robust.corruptions import SEVERITIES, corrupt
from hwsim.robust.ood import auroc, strangers
from hwsim.robust.storage import flip_study
from hwsim.robust.study import fault_study

if TYPE_CHECKING:
    from hwsim.quant import Recipe
    from hwsim.target import Target

Scores = NDArray[np.float32]
FLOAT = "float32"
_QUICK = "Gradients of attacks were taken at torch's sums, not at the chip's."


def stress(
    model: Graph | Source,
    targets: Target | Source | Sequence[Target | Source],
    data: Dataset | Source | None = None,
    *,
    attacks: Sequence[Attack] = (),
    corruptions: Sequence[str] = (),
    others: Sequence[str] = (),
    rates: Sequence[float] = (),
    repeats: int = 5,
    calibration: Dataset | Source | None = None,
    precision: str | None = None,
    calibrator: str = "mse",
    limit: int | None = None,
    span: tuple[float, float] | None = None,
    exact: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
    command: str = "",
) -> Stress:
    """Measure what a network withstands, float beside each target, through the bit-exact emulator.

    Args:
        model: a float or quantized graph, a model file, or a zoo name. A quantized one has no float column.
        targets: one or several; names, files or loaded targets.
        data: inputs with labels; None is the zoo model's own test set.
        attacks: each is made against every column, and tested on every column (transfer).
        corruptions: names in ``hwsim.robust.CORRUPTIONS``, at five severities each.
        others: names in ``hwsim.robust.STRANGERS``, told from the data by each score in ``hwsim.robust.SCORES``.
        rates: probabilities that a stored bit flips; with any, every single flip is tried too.
        repeats: draws of the faults, for an interval.
        calibration, precision, calibrator: as :func:`hwsim.comparing.compare` has them.
        limit: use only so many inputs, spread evenly over the data.
        span: the network's values of black and of white; None: 0..1 or -1..1, whichever the data fit.
        exact: gradients at the chip's own values; False: at torch's, sooner.
        seed: of attacks, noise, strangers and faults.
        progress: called with (stage, done, total).
        command: what reproduces the run, for the report.

    Raises:
        ModelError, TargetError, DataError, RecipeError, ToolError: something cannot be read, is missing, or the parts
            do not fit.
    """
    show = progress or (lambda stage, done, total: None)
    graph = as_graph(model)
    chips = targets_of(targets)
    _check_names(chips, corruptions, others)
    slopes = any(how.kind != "square" for how in attacks)
    if attacks:
        toolbox(gradients=slopes)
    for chip in chips:
        chip.precision(precision)
    if calibrator not in CALIBRATORS:
        raise unknown(RecipeError, "calibrator", calibrator, CALIBRATORS)
    test = dataset_of(graph, data, "data")
    if test.labels is None:
        raise DataError("expected labels, found none", where=test.name)
    ranges, notes = (None, ()) if is_quantized(graph) else calibration_of(graph, data, calibration, test)
    test = test.spread(limit)
    if span is None and (attacks or corruptions or others):
        span = span_of(test)
    found = _Stressed(test, span or (0.0, 1.0), exact, precision, seed, show)
    held: list[tuple[Graph, Target, Recipe]] = []
    for chip in chips:
        recipe = recipe_for(chip, precision, calibrator)
        quantized = graph if ranges is None else quantize(graph, recipe, ranges.inputs)
        bind(quantized, chip, precision)  # what does not fit shows before the long work
        held.append((quantized, chip, recipe))
    victims = [victim(q, chip, recipe, precision=precision, exact=exact) for q, chip, recipe in held]
    if ranges is not None:
        first, _, recipe = held[0]
        if slopes and not _learns(first):
            raise ModelError("attacks need gradients, and an operator of this network has none here", where=graph.name)
        victims = [whole_victim(graph, first, recipe, name=FLOAT), *victims]
    clean = found.clean(victims)
    faults, flips = found.faults(held, rates, repeats)
    return Stress(
        model=graph.name,
        title=f"{title_of(graph)}: what it withstands",
        data=test.name,
        n=len(test),
        columns=tuple(found.columns(victims, clean, held)),
        attacks=tuple(found.attacks(victims, attacks)),
        corruptions=tuple(found.corruptions(victims, corruptions)),
        strangers=tuple(found.strangers(victims, clean, others)),
        faults=faults,
        flips=flips,
        made_of={name: (STRANGERS[name].__doc__ or "").strip() for name in others},
        seed=seed,
        created=now(),
        command=command,
        versions=versions(),
        hashes=dict(hashes(model, graph, test, chips)),
        notes=tuple(note for note in (test.note, *notes, _QUICK if attacks and not exact else "") if note),
    )


def span_of(data: Dataset) -> tuple[float, float]:
    """0..1 or -1..1, whichever the data fit first.

    Raises:
        DataError: neither.
    """
    low, high = float(data.inputs.min()), float(data.inputs.max())
    for span in ((0.0, 1.0), (-1.0, 1.0)):
        if span[0] <= low and high <= span[1]:
            return span
    raise DataError(
        f"expected values of 0 to 1 or of -1 to 1, found {low:g} to {high:g}",
        where=data.name,
        hint="--span LOW,HIGH says what black and white are",
    )


def _check_names(chips: Sequence[Target], corruptions: Sequence[str], others: Sequence[str]) -> None:
    for kind, given, known in (("corruption", corruptions, CORRUPTIONS), ("set of strangers", others, STRANGERS)):
        for name in given:
            if name not in known:
                raise unknown(DataError, kind, name, known)
    names = [chip.name for chip in chips]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"target {name!r} was given twice")


def _learns(graph: Graph) -> bool:
    from hwsim.quant.qat.operators import TORCH_OPS

    return all(node.op == "Quantize" or node.op in TORCH_OPS for node in graph.nodes)


@dataclass(frozen=True, slots=True)
class _Stressed:
    """What is the same for every table."""

    test: Dataset
    span: tuple[float, float]
    exact: bool
    precision: str | None
    seed: int
    show: Progress

    def right(self, scores: Scores) -> int:
        return int((classes_of(scores) == self.labels).sum())

    @property
    def labels(self) -> NDArray[np.int64]:
        assert self.test.labels is not None
        return self.test.labels

    def clean(self, victims: Sequence[Victim]) -> list[Scores]:
        """Each victim's scores of the data as they are."""
        found: list[Scores] = []
        for one in victims:
            found.append(one.scores(self.test.inputs))
            self.show("as they are", len(found), len(victims))
        return found

    def columns(
        self, victims: Sequence[Victim], clean: Sequence[Scores], held: Sequence[tuple[Graph, Target, Any]]
    ) -> Iterator[Column]:
        chips = {chip.name: chip for _, chip, _ in held}
        for one, scores in zip(victims, clean, strict=True):
            chip = chips.get(one.name)
            weights = activations = FLOAT
            if chip is not None:
                mode = chip.precision(self.precision)
                weights, activations = mode.weights.format, mode.activations.format
            title = one.name if chip is None else chip.title
            yield Column(one.name, title, weights, activations, self.right(scores))

    def attacks(self, victims: Sequence[Victim], attacks: Sequence[Attack]) -> Iterator[AttackRow]:
        for how in attacks:
            how = replace(how, seed=self.seed)
            for one in victims:
                stage = f"{how.kind} {how.epsilon:g} against {one.name}"
                shown = partial(self.show, stage)
                made = attack(one, self.test.inputs, self.labels, how, span=self.span, progress=shown)
                self.show(stage, 1, 1)  # it may have ended early
                for other in victims:
                    right = self.right(other.scores(made))
                    yield AttackRow(how.kind, how.epsilon, how.steps, one.name, other.name, right)

    def corruptions(self, victims: Sequence[Victim], names: Sequence[str]) -> Iterator[CorruptionRow]:
        total, done = len(names) * len(SEVERITIES) * len(victims), 0
        for name in names:
            kind = CORRUPTIONS[name]
            for severity in SEVERITIES:
                x = corrupt(self.test.inputs, name, severity, seed=self.seed + severity, span=self.span)
                for one in victims:
                    strength = kind.strengths[severity - 1]
                    yield CorruptionRow(name, severity, strength, kind.unit, one.name, self.right(one.scores(x)))
                    done += 1
                    self.show("corruptions", done, total)

    def strangers(
        self, victims: Sequence[Victim], clean: Sequence[Scores], names: Sequence[str]
    ) -> Iterator[StrangerRow]:
        total, done = len(names) * len(victims), 0
        for name in names:
            x = strangers(self.test.inputs, name, seed=self.seed, span=self.span)
            for one, own in zip(victims, clean, strict=True):
                found = one.scores(x)
                for score, tell in SCORES.items():
                    if score == "energy" and one.normalised:
                        continue
                    area = auroc(tell(own), tell(found), seed=self.seed)
                    yield StrangerRow(name, score, one.name, *area)
                done += 1
                self.show("strangers", done, total)

    def _show_of(self, name: str, stage: str, done: int, total: int) -> None:
        self.show(f"{name}: {stage}", done, total)

    def faults(
        self, held: Sequence[tuple[Graph, Target, Any]], rates: Sequence[float], repeats: int
    ) -> tuple[tuple[FaultRow, ...], tuple[FlipRow, ...]]:
        if not rates:
            return (), ()
        flips: list[FlipRow] = []
        for graph, chip, _ in held:
            shown = partial(self._show_of, chip.name)
            flips += flip_study(graph, chip, self.test.inputs, precision=self.precision, progress=shown)
        rows = fault_study(
            [(graph, chip) for graph, chip, _ in held],
            self.test,
            rates=rates,
            repeats=repeats,
            seed=self.seed,
            precision=self.precision,
            progress=self.show,
        )
        return rows, tuple(flips)
