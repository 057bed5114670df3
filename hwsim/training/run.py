"""A training recipe from end to end: quantize, learn, export, measure on the chip, write the folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.comparing import calibration_of, dataset_of, now, versions
from hwsim.emulate import emulate
from hwsim.emulate.values import chip_values
from hwsim.errors import DataError, RecipeError
from hwsim.io import Dataset, atomic, load_data, load_model
from hwsim.io.model import save_model
from hwsim.ir import Graph, check
from hwsim.quant import quantize, recipe_for
from hwsim.quant.attention import log_scaled
from hwsim.quant.equalize import equalized
from hwsim.quant.qat import QatNetwork, train
from hwsim.quant.qat.augment import AUGMENTS
from hwsim.report.learning import Learned, render_learning
from hwsim.target import load_target
from hwsim.training.judge import Judge
from hwsim.training.spec import Plan

if TYPE_CHECKING:
    from hwsim.quant.qat.course import Augment, Penalty

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
    data, given = _training_data(graph, plan), dataset_of(graph, plan.test, "test data")
    judge = Judge.of(graph, given, plan.limit, plan.course.task)
    test = judge.test
    ranges, _ = calibration_of(graph, None if plan.test is None else test, plan.calibration, test)
    course = plan.course.course(judge.task)
    if data.labels is None and course.teacher < 1 and course.task == "labels":
        raise DataError("expected labels, found none", where=data.name, hint="course.teacher: 1 learns without them")
    if plan.attack is not None and course.task != "labels":
        raise RecipeError(f"attacks take labels; {plan.model} learns {course.task}", where=plan.name)
    data = _taken(data, plan.take, course.seed)
    mark = plan.model_dump_json(indent=1).encode()
    checkpoint = _claim(mark, folder, fresh)

    rule = recipe_for(chip, plan.precision, plan.calibrator)
    for part in ("weights", "activations"):
        wanted = getattr(plan, part).format
        if wanted is not None:
            rule = replace(rule, **{part: replace(getattr(rule, part), format=wanted)})
    heads = plan.attention
    start, factors = graph, None
    if plan.equalize != "none":
        start = check(equalized(start, replace(rule, equalize=plan.equalize), ranges.inputs))
    if heads is not None and heads.factors:
        start, factors = log_scaled(start, heads.factors)
    quantized = quantize(start, rule, ranges.inputs)
    network = QatNetwork(
        quantized,
        start,
        rule,
        weights=plan.weights.learning,
        activations=plan.activations.learning,
        chip=chip_values(chip, plan.precision) if plan.sums == "chip" else None,
        seed=course.seed,
        log_scales=factors,
    )
    if heads is not None and heads.alone:
        network.learn_only(network.logs())
    taught = bool(course.teacher or (heads and heads.distance))
    teacher = QatNetwork(quantized, start, rule, full=True).eval() if taught else None

    def on_chip(held: Graph, stage: str) -> float:
        found = emulate(
            held,
            chip,
            test.inputs,
            precision=plan.precision,
            reduce=judge.figures,
            progress=lambda done, total: show(stage, done, total),
        )
        return judge.score(found.output)

    atomic.write(folder / PLAN, mark, DataError)
    float32 = judge.of_float(graph)
    before = on_chip(quantized, "emulate, before training")
    curve = train(
        network,
        data.inputs,
        _labels(data) if course.task == "labels" else None,
        course,
        teacher=teacher if course.teacher else None,
        augment=_augment(plan.augment),
        attack=None if plan.attack is None else plan.attack.adversary,
        penalty=_penalty(plan, network, teacher),
        judge=partial(judge.of_torch, batch=course.batch),
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
        after=on_chip(exported, "emulate, after training"),
        float32=float32,
        curve=tuple((row.step, row.loss, row.score) for row in curve),
        metric=judge.name,
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


def _claim(mark: bytes, folder: Path, fresh: bool) -> Path:
    """The checkpoint's path, in a folder that belongs to the recipe ``mark`` or to none."""
    checkpoint = folder / CHECKPOINT
    if fresh:
        checkpoint.unlink(missing_ok=True)
    elif (folder / PLAN).is_file() and (folder / PLAN).read_bytes() != mark and checkpoint.is_file():
        raise RecipeError("holds the run of another recipe", where=str(folder), hint="--fresh forgets it")
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


def _taken(data: Dataset, count: int | None, seed: int) -> Dataset:
    """So many inputs, drawn without return."""
    if count is None or count >= len(data):
        return data
    return data.pick(np.random.default_rng(seed).permutation(len(data))[:count])


def _labels(data: Dataset) -> NDArray[np.int64]:
    """Zeros where there are none: the teacher alone teaches then."""
    return np.zeros(len(data), np.int64) if data.labels is None else data.labels


def _augment(names: list[str]) -> Augment | None:
    if not names:
        return None

    def change(x: Any, dice: Any) -> Any:
        for name in names:
            x = AUGMENTS[name](x, dice)
        return x

    return change


def _penalty(plan: Plan, network: QatNetwork, teacher: QatNetwork | None) -> Penalty | None:
    """The terms of the loss beside the course's own, added."""
    terms: list[Penalty] = []
    if plan.outliers is not None:
        terms.append(plan.outliers.regularizer)
    if teacher is not None and plan.attention is not None and plan.attention.distance:
        from hwsim.quant.qat.attention import attention_distance

        terms.append(attention_distance(network, teacher, plan.attention.distance))
    if len(terms) < 2:
        return terms[0] if terms else None
    return lambda learner, x, dice: sum(term(learner, x, dice) for term in terms)


def _torch_version() -> dict[str, str]:
    from importlib.metadata import version

    return {"torch": version("torch")}
