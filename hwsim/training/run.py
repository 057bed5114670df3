"""A training recipe from end to end: quantize, learn, export, measure on the chip, write the folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.comparing import calibration_of, classes_of, dataset_of, now, versions
from hwsim.emulate import emulate
from hwsim.emulate.run import float_outputs
from hwsim.emulate.values import chip_values
from hwsim.errors import DataError, RecipeError
from hwsim.io import Dataset, atomic, load_data, load_model
from hwsim.io.model import save_model
from hwsim.ir import Graph
from hwsim.quant import quantize, recipe_for
from hwsim.quant.qat import QatNetwork, train
from hwsim.quant.qat.augment import AUGMENTS
from hwsim.report.learning import Learned, render_learning
from hwsim.target import load_target
from hwsim.training.spec import Plan

if TYPE_CHECKING:
    from hwsim.quant.qat.course import Augment

Progress = Callable[[str, int, int], None]
CHECKPOINT, PLAN, MODEL, CURVE, PAGE = "checkpoint.npz", "recipe.json", "model.qir", "curve.json", "page.html"


@dataclass(frozen=True, slots=True)
class Trained:
    """What training came to.

    Attributes:
        learned: the curve and the accuracies, as ``curve.json`` and the page have them.
        graph: the quantized network, as ``model.qir`` holds it.
        files: what was written.
    """

    learned: Learned
    graph: Graph
    files: tuple[Path, ...]


def run_plan(
    plan: Plan,
    folder: Path,
    *,
    fresh: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
    command: str = "",
) -> Trained:
    """Train what ``plan`` says, and write ``model.qir``, ``curve.json`` and ``page.html`` into ``folder``.

    A run that was stopped goes on from its checkpoint in the folder, and ends with the same bits.

    Args:
        fresh: forget what the folder holds.
        threads: of torch, whose sums, and so the last bits, depend on it.
        progress: called with (stage, done, total).
        command: what reproduces the run, for the page.

    Raises:
        RecipeError: the folder holds another recipe's run; or the parts do not fit.
        ModelError, TargetError, DataError, ToolError: something cannot be read, or is missing.
    """
    show = progress or (lambda stage, done, total: None)
    graph, chip = load_model(plan.model), load_target(plan.target)
    chip.precision(plan.precision)
    data, test = _training_data(graph, plan), _head(dataset_of(graph, plan.test, "test data"), plan.limit)
    ranges, _ = calibration_of(graph, None if plan.test is None else test, plan.calibration, test)
    course = plan.course.course
    if test.labels is None:
        raise DataError("expected labels of the test data, found none", where=test.name)
    if data.labels is None and course.teacher < 1:
        raise DataError("expected labels, found none", where=data.name, hint="course.teacher: 1 learns without them")
    checkpoint = _claim(plan, folder, fresh)

    rule = recipe_for(chip, plan.precision, plan.calibrator)
    for part in ("weights", "activations"):
        wanted = getattr(plan, part).format
        if wanted is not None:
            rule = replace(rule, **{part: replace(getattr(rule, part), format=wanted)})
    quantized = quantize(graph, rule, ranges.inputs)
    teacher = QatNetwork(quantized, graph, rule, full=True).eval() if course.teacher else None
    network = QatNetwork(
        quantized,
        graph,
        rule,
        weights=plan.weights.learning,
        activations=plan.activations.learning,
        chip=chip_values(chip, plan.precision) if plan.sums == "chip" else None,
        seed=course.seed,
    )

    def right(held: Graph, stage: str) -> float:
        found = emulate(
            held,
            chip,
            test.inputs,
            precision=plan.precision,
            progress=lambda done, total: show(stage, done, total),
        )
        return float((classes_of(found.output) == test.labels).mean())

    whole = _float_accuracy(graph, test)
    before = right(quantized, "emulate, before training")
    labels = np.zeros(len(data.inputs), np.int64) if data.labels is None else data.labels
    curve = train(
        network,
        data.inputs,
        labels,
        course,
        teacher=teacher,
        augment=_augment(plan.augment),
        attack=None if plan.attack is None else plan.attack.adversary,
        penalty=None if plan.outliers is None else plan.outliers.regularizer,
        judge=lambda now: _accuracy(now, test),
        checkpoint=checkpoint,
        threads=threads,
        progress=show,
    )
    exported = network.export()
    learned = Learned(
        name=plan.name,
        model=graph.name,
        target=chip.title,
        data=f"{data.name}, n = {len(data.inputs)}",
        test=test.name,
        n=len(test.inputs),
        weights=rule.weights.format,
        activations=rule.activations.format,
        before=before,
        after=right(exported, "emulate, after training"),
        float32=whole,
        curve=tuple((row.step, row.loss, row.score) for row in curve),
        recipe=plan.model_dump(mode="json"),
        seed=course.seed,
        created=now(),
        command=command,
        versions={**versions(), **_torch_version()},
        notes=tuple(note for note in (test.note,) if note),
    )
    return Trained(learned, exported, _write(learned, exported, folder))


def _write(learned: Learned, graph: Graph, folder: Path) -> tuple[Path, ...]:
    save_model(graph, folder / MODEL)
    text = json.dumps({"schema": "hwsim.training/1", **asdict(learned)}, indent=1, ensure_ascii=False) + "\n"
    atomic.write(folder / CURVE, text.encode(), DataError)
    atomic.write(folder / PAGE, render_learning(learned, text).encode(), DataError)
    return folder / MODEL, folder / CURVE, folder / PAGE


def _claim(plan: Plan, folder: Path, fresh: bool) -> Path:
    """The checkpoint's path, in a folder that belongs to this recipe."""
    mark, checkpoint = folder / PLAN, folder / CHECKPOINT
    text = plan.model_dump_json(indent=1).encode()
    if fresh:
        checkpoint.unlink(missing_ok=True)
    elif mark.is_file() and mark.read_bytes() != text and checkpoint.is_file():
        raise RecipeError("holds the run of another recipe", where=str(folder), hint="--fresh forgets it")
    atomic.write(mark, text, DataError)
    return checkpoint


def _training_data(graph: Graph, plan: Plan) -> Dataset:
    from hwsim import zoo

    name = graph.name if plan.data is None else plan.data
    if name in zoo.names():
        if "train" not in zoo.entry(name).splits:
            raise DataError(f"the zoo has no training data of {name!r}", where=plan.name, hint="data: FILE.npz")
        return zoo.data(name, "train")
    if plan.data is None:
        raise DataError("expected data to learn from, found none", where=plan.name, hint="data: FILE.npz")
    return load_data(plan.data)


def _head(data: Dataset, limit: int | None) -> Dataset:
    return data if limit is None else data.head(limit)


def _augment(names: list[str]) -> Augment | None:
    if not names:
        return None

    def change(x: Any, dice: Any) -> Any:
        for name in names:
            x = AUGMENTS[name](x, dice)
        return x

    return change


def _accuracy(network: QatNetwork, test: Dataset) -> float:
    from hwsim.quant.qat.course import accuracy

    assert test.labels is not None
    chip, network.chip = network.chip, None  # the curve is torch's; the chip has its say at the end
    found = accuracy(network, test.inputs, test.labels)
    network.chip = chip
    return found


def _float_accuracy(graph: Graph, test: Dataset) -> float:
    answers = float_outputs(graph, test.inputs, reduce=lambda y, x: classes_of(y))
    return float((answers == test.labels).mean())


def _torch_version() -> dict[str, str]:
    from importlib.metadata import version

    return {"torch": version("torch")}
