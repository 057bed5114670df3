"""A quantized network from one target's storage to another's: what became of each tensor, and of the answers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hwsim.api import CALIBRATION, as_graph, as_target, calibration_data, inputs_of, is_quantized, quantize
from hwsim.comparing import compare, limited
from hwsim.emulate.declare import declare
from hwsim.emulate.program import arithmetic_of
from hwsim.errors import DataError, RecipeError
from hwsim.ir import Graph
from hwsim.numerics import QTensor
from hwsim.quant import recipe_for
from hwsim.quant.migrate import Change, is_lossless, migrate

if TYPE_CHECKING:
    from hwsim.io import Dataset
    from hwsim.target import Target

Source = str | os.PathLike[str]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a network scores on a target, emulated bit for bit.

    Attributes:
        target, precision: where it ran.
        metric: what is measured, e.g. ``top-1``.
        value: of the metric.
        interval: 95 % interval of an accuracy; None for other metrics.
        n: inputs.
    """

    target: str
    precision: str
    metric: str
    value: float
    interval: tuple[float, float] | None
    n: int


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """A network in the storage of ``target``.

    Attributes:
        graph: the network; it runs only on targets that sum as this one does.
        source: the target that it was stored for; empty when nothing said so.
        target, precision: the chip and the mode whose storage it has.
        changes: what became of each stored tensor, in the order of execution.
        arithmetic: (what, before, after) that differ between the targets although no tensor shows it.
        before, after: answers on the old target and on the new one; None where there was nothing to measure with.
        notes: what a reader must know besides.
    """

    graph: Graph
    source: str
    target: str
    precision: str
    changes: tuple[Change, ...]
    arithmetic: tuple[tuple[str, str, str], ...]
    before: Answers | None
    after: Answers | None
    notes: tuple[str, ...]

    @property
    def lossless(self) -> bool:
        """Every stored number is what it was."""
        return is_lossless(self.changes)

    def to_dict(self) -> dict[str, Any]:
        """All but the graph, for JSON."""
        return {
            "model": self.graph.name,
            "source": self.source,
            "target": self.target,
            "precision": self.precision,
            "lossless": self.lossless,
            "tensors": [asdict(change) for change in self.changes],
            "arithmetic": [dict(zip(("what", "before", "after"), row, strict=True)) for row in self.arithmetic],
            "before": None if self.before is None else asdict(self.before),
            "after": None if self.after is None else asdict(self.after),
            "notes": list(self.notes),
        }


def convert(
    model: Graph | Source,
    target: Target | Source,
    *,
    precision: str | None = None,
    source: Target | Source | None = None,
    source_precision: str | None = None,
    data: Dataset | Source | None = None,
    calibration: Dataset | Source | None = None,
    calibrator: str = "mse",
    limit: int | None = None,
    run: bool = True,
    progress: Progress | None = None,
) -> Conversion:
    """Store a quantized network as another target stores it: without loss where the numbers allow it.

    Args:
        model: a quantized graph, its file, or a float model or zoo name, which is quantized for ``source`` first.
        target: where it is to run: name, file or loaded target.
        precision: of ``target``; None is its default.
        source, source_precision: where it ran; None is what the graph's notes say.
        data: inputs and labels that the answers are measured on: a data set, a .npz file or a zoo name; None is the zoo
            model's own test set.
        calibration: inputs for ranges that must be new; None is the zoo model's own, else the first of ``data``, else
            the old ranges.
        calibrator: how ranges that must be new are picked, a name in ``hwsim.quant.CALIBRATORS``.
        limit: measure the answers on so many inputs.
        run: False measures no answers.
        progress: called with (stage, inputs done, inputs in all).

    Raises:
        RecipeError: the graph is not quantized and no source is given; an activation's range is unknown.
        ModelError, TargetError, DataError, ToolError: something cannot be read or does not fit.

    Example:
        >>> done = convert("mnist-cnn", "hwsim-uint4-ws16", source="hwsim-int4-ws16", run=False)
        >>> done.lossless
        True
    """
    chip = as_target(target)
    recipe = recipe_for(chip, precision, calibrator)
    graph = as_graph(model)
    notes: list[str] = []
    ranges = _calibration(graph, data, calibration, notes)
    if source is None:
        source, source_precision = graph.notes.get("target"), source_precision or graph.notes.get("precision")
    old = None if source is None else as_target(source)
    if not is_quantized(graph) and not any(isinstance(held, QTensor) for held in graph.constants.values()):
        if old is None:
            raise RecipeError("is not quantized", where=graph.name, hint="name the target it is to come from: --from")
        if ranges is None:
            raise DataError("needs calibration inputs, found none", where=graph.name, hint="give a .npz file")
        graph = quantize(graph, old, ranges, precision=source_precision, calibrator=calibrator)
    moved, changes = migrate(graph, recipe, None if ranges is None else inputs_of(ranges))
    moved = declare(moved, chip, precision)
    if ranges is None and any(c.kind == "activation" and c.how == "requantized" for c in changes):
        notes.append("New ranges of activations come from the old ones alone, as no calibration inputs were given.")
    before = after = None
    test = _test(graph, data) if run else None
    if test is not None:
        shown = limited(graph, test, limit)
        if old is not None and is_quantized(graph):
            before = _answers(graph, old, source_precision, shown, progress)
        after = _answers(moved, chip, precision, shown, progress)
    if old is None:
        notes.append("Nothing says which target the network was stored for, so its answers there are not measured.")
    return Conversion(
        moved,
        "" if old is None else old.name,
        chip.name,
        precision or chip.default_precision,
        changes,
        () if old is None else _differences(old, source_precision, chip, precision),
        before,
        after,
        tuple(notes),
    )


def _calibration(
    graph: Graph, data: Dataset | Source | None, calibration: Dataset | Source | None, notes: list[str]
) -> Dataset | None:
    from hwsim import zoo
    from hwsim.io import Dataset, load_data

    given = calibration if calibration is not None else data
    if given is None:
        return calibration_data(graph) if graph.name in zoo.names() else None
    found = given if isinstance(given, Dataset) else load_data(given)
    if calibration is None:
        notes.append("New ranges were picked on the very inputs that the answers are measured on.")
    return found.head(CALIBRATION)


def _test(graph: Graph, data: Dataset | Source | None) -> Dataset | None:
    """What answers are measured on; None where there is nothing, or nothing says which are right."""
    from hwsim import zoo
    from hwsim.io import Dataset, load_data

    if data is None:
        return zoo.data(graph.name) if graph.name in zoo.names() else None
    found = data if isinstance(data, Dataset) else load_data(data)
    return found if found.labels is not None else None


def _answers(graph: Graph, chip: Target, precision: str | None, test: Dataset, progress: Progress | None) -> Answers:
    (result,) = compare(graph, chip, test, precision=precision, progress=progress).results
    where = (chip.name, precision or chip.default_precision)
    if result.score is not None:
        return Answers(*where, result.score.metric, result.score.measured, None, len(test))
    assert result.accuracy is not None
    return Answers(*where, result.accuracy.metric, result.accuracy.value, result.accuracy.interval, len(test))


def _differences(
    old: Target, old_precision: str | None, new: Target, new_precision: str | None
) -> tuple[tuple[str, str, str], ...]:
    """How sums are made and rounded, where the targets differ."""
    modes = old.precision(old_precision), new.precision(new_precision)
    sums = [arithmetic_of(mode) for mode in modes]
    rows = [
        ("accumulator", *(held.accumulator for held in sums)),
        ("overflow", *(held.overflow for held in sums)),
        ("requantization", *(held.requantize for held in sums)),
        ("vector operations", *(mode.vector_format for mode in modes)),
    ]
    return tuple((what, before, after) for what, before, after in rows if before != after)
