"""One network on several targets: answers, speed and energy side by side, with what it takes to do it again."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.api import CALIBRATION, as_graph, as_target, is_quantized
from hwsim.emulate import Run, bind, emulate
from hwsim.emulate.run import float_outputs
from hwsim.errors import DataError, RecipeError, unknown
from hwsim.io import Dataset, load_data
from hwsim.io.metric import METRICS, Metric, classes_of
from hwsim.ir import Graph
from hwsim.numerics import QTensor
from hwsim.perf import Estimate, estimate
from hwsim.quant import CALIBRATORS, Recipe, quantize, recipe_for
from hwsim.report import Accuracy, Comparison, HealthRow, Score, TargetResult, target_result
from hwsim.report.words import left_range

if TYPE_CHECKING:
    from hwsim.target import Target

Source = str | os.PathLike[str]
Progress = Callable[[str, int, int], None]
BACKENDS = ("model", "rtl")
Recipes = Callable[[Graph, "Target", str | None, NDArray[Any]], Recipe]


def compare(
    model: Graph | Source,
    targets: Target | Source | Sequence[Target | Source],
    data: Dataset | Source | None = None,
    *,
    calibration: Dataset | Source | None = None,
    precision: str | None = None,
    calibrator: str = "mse",
    limit: int | None = None,
    batch: int = 1,
    backend: str = "model",
    progress: Progress | None = None,
    command: str = "",
    recipe: Recipes | None = None,
) -> Comparison:
    """Quantize a network for each target, run it bit for bit, estimate time and energy.

    Args:
        model: a float or quantized graph, a model file, or a zoo name.
        targets: one or several; names, files or loaded targets.
        data: inputs with labels: a data set, a .npz file or a zoo name; None is the zoo model's own test set.
        calibration: inputs that ranges are picked on; None is the zoo model's own calibration set, else the first 256
            inputs of ``data`` (a note says so). A quantized graph needs none.
        precision: a mode that every target has; None is each target's default.
        calibrator: a name in ``hwsim.quant.CALIBRATORS``.
        limit: use only so many inputs.
        batch: inferences at once, for time and energy (answers do not depend on it).
        backend: who computes the matrix products: ``model``, the golden units, or ``rtl``, each target's simulated
            Verilog, at the same result.
        progress: called with (stage, inputs done, inputs in all).
        command: what reproduces the run, for the report.
        recipe: makes the recipe for a target, from (graph, target, precision, calibration inputs); None takes what the
            target declares, with ``calibrator``.

    Returns:
        A comparison; ``hwsim.report`` writes it. Accuracy is left out where the data have no labels.

    Raises:
        ModelError, TargetError, DataError, RecipeError, ToolError: something cannot be read, or the parts do not fit.

    Example:
        >>> found = compare("mnist-cnn", ["ascend-910b4", "hwsim-int4-ws16"], limit=50)
        >>> [(result.target.name, result.accuracy.correct) for result in found.results]
        [('ascend-910b4', 50), ('hwsim-int4-ws16', 50)]
    """
    show = progress or (lambda stage, done, total: None)
    graph = as_graph(model)
    chips = targets_of(targets)
    for chip in chips:
        chip.precision(precision)
    test = limited(graph, dataset_of(graph, data, "data"), limit)
    ranges, notes = (None, ()) if is_quantized(graph) else calibration_of(graph, data, calibration, test)
    if recipe is not None and ranges is None:
        raise RecipeError("the model is quantized already, and no recipe changes it", where=graph.name)
    if calibrator not in CALIBRATORS:
        raise unknown(RecipeError, "calibrator", calibrator, CALIBRATORS)
    if backend not in BACKENDS:
        raise unknown(DataError, "backend", backend, BACKENDS)
    setting = _Setting(graph, test, ranges, precision, calibrator, batch, backend, recipe, metric_of(graph))
    # Whatever does not fit shows here, before the long work.
    bound = [_bound(setting, chip, show) for chip in chips]
    baseline = _float_answers(setting, show)
    results = tuple(_on_target(setting, *each, baseline, show) for each in bound)
    names = ", ".join(chip.title for chip in chips)
    return Comparison(
        model=graph.name,
        title=f"{title_of(graph)} on {names}" if len(chips) == 1 else f"{title_of(graph)} on {len(chips)} chips",
        data=test.name,
        n=len(test),
        results=results,
        created=now(),
        command=command,
        versions=versions(),
        hashes=dict(hashes(model, graph, test, chips)),
        notes=tuple(note for note in (*provenance_of(graph), test.note, *notes, *left_range(results)) if note),
    )


@dataclass(frozen=True, slots=True)
class _Setting:
    """What is the same for every target."""

    graph: Graph
    test: Dataset
    ranges: Dataset | None
    precision: str | None
    calibrator: str
    batch: int
    backend: str
    recipe: Recipes | None
    metric: Metric | None


def _bound(setting: _Setting, chip: Target, show: Progress) -> tuple[Target, Graph, Estimate]:
    """The graph as the target stores it, and what it costs there."""
    quantized = setting.graph
    if setting.ranges is not None:
        inputs = setting.ranges.inputs
        how = recipe_of(setting.recipe, setting.graph, chip, setting.precision, setting.calibrator, inputs)
        quantized = quantize(
            setting.graph, how, inputs, progress=lambda stage, done, total: show(f"{chip.name}: {stage}", done, total)
        )
    workload = bind(quantized, chip, setting.precision, setting.batch).workload
    return chip, quantized, estimate(workload, chip, setting.precision)


def _on_target(
    setting: _Setting,
    chip: Target,
    quantized: Graph,
    costs: Estimate,
    baseline: NDArray[Any] | None,
    show: Progress,
) -> TargetResult:
    test = setting.test
    products = None
    if setting.backend == "rtl":
        from hwsim.verify import rtl_products

        products = rtl_products(quantized, chip, precision=setting.precision)
    run = emulate(
        quantized,
        chip,
        test.inputs,
        precision=setting.precision,
        reference=setting.graph if setting.ranges is not None else None,
        progress=lambda done, total: show(f"{chip.name}: emulate", done, total),
        reduce=None if setting.metric is None else setting.metric.figures,
        matmul=products,
    )
    accuracy = score = None
    metric = setting.metric
    if metric is not None:
        whole = None if baseline is None else metric.score(baseline, test.labels)
        measured = metric.score(run.output, test.labels)
        score = Score(metric.name, measured, len(test), whole, metric.lower_is_better)
    elif test.labels is not None:
        accuracy = Accuracy.of(classes_of(run.output), test.labels, baseline, metric="top-1")
    health = list(_health(run))
    return target_result(chip, costs, accuracy=accuracy, trace=run.trace.tiles, health=health, score=score)


def _health(run: Run) -> Iterator[HealthRow]:
    """The report's words for the emulator's counts: a sum that left the accumulator has saturated; a code at an end of
    its format is as far as the calibrated range goes."""
    for row in run.trace.health:
        yield HealthRow(
            layer=row.layer,
            elements=row.elements,
            saturated=row.overflowed,
            clipped=row.saturated,
            zeros=row.zeros,
            negative_zeros=row.negative_zeros,
            sqnr_db=row.sqnr_db,
        )


def _float_answers(setting: _Setting, show: Progress) -> NDArray[Any] | None:
    """Answers of the float network, or the figures that its metric needs; None where there is none, or nothing to hold
    them against."""
    graph, test, metric = setting.graph, setting.test, setting.metric
    if (test.labels is None and metric is None) or setting.ranges is None:
        return None
    return float_outputs(
        graph,
        test.inputs,
        reduce=(lambda y, x: classes_of(y)) if metric is None else metric.figures,
        progress=lambda done, total: show("float32 reference", done, total),
    )


def metric_of(graph: Graph) -> Metric | None:
    """What a zoo network is scored by; None where right answers are counted."""
    from hwsim import zoo

    return METRICS.get(zoo.entry(graph.name).metric) if graph.name in zoo.names() else None


def recipe_of(
    make: Recipes | None, graph: Graph, chip: Target, precision: str | None, calibrator: str, inputs: NDArray[Any]
) -> Recipe:
    """What ``make`` makes for the chip, or what the chip declares, with ``calibrator``."""
    return recipe_for(chip, precision, calibrator) if make is None else make(graph, chip, precision, inputs)


def targets_of(targets: Target | Source | Sequence[Target | Source]) -> list[Target]:
    """The one target, or all that were named.

    Raises:
        DataError: none was.
    """
    given = targets if isinstance(targets, list | tuple) else [targets]
    if not given:
        raise DataError("expected at least one target, found none")
    return [as_target(target) for target in given]


def dataset_of(graph: Graph, data: Dataset | Source | None, what: str) -> Dataset:
    """The inputs that were named, or the zoo network's own."""
    from hwsim import zoo

    if isinstance(data, Dataset):
        return data
    if data is not None:
        return load_data(data)
    if graph.name not in zoo.names():
        raise DataError(
            f"expected {what} for a model that is not of the zoo, found none",
            where=graph.name,
            hint="--data FILE.npz with x and y",
        )
    return zoo.data(graph.name)


def limited(graph: Graph, data: Dataset, limit: int | None) -> Dataset:
    """``limit`` of the inputs, evenly spread, with what the network's metric scores together; None is all."""
    metric = metric_of(graph)
    return data.spread(limit, 1 if metric is None else metric.together)


def calibration_of(
    graph: Graph, data: Dataset | Source | None, calibration: Dataset | Source | None, test: Dataset
) -> tuple[Dataset, tuple[str, ...]]:
    """Calibration inputs, and what a reader must know of them."""
    from hwsim import zoo

    if calibration is not None:
        found = dataset_of(graph, calibration, "calibration data").head(CALIBRATION)
        return found, (f"Ranges were picked on {len(found)} inputs of {found.name}.",)
    if data is None and "calib" in zoo.entry(graph.name).splits:
        found = zoo.data(graph.name, "calib").head(CALIBRATION)
        kind = "training inputs" if zoo.entry(graph.name).shipped else found.note
        return found, (f"Ranges were picked on {len(found)} {kind}.",)
    found = limited(graph, test, CALIBRATION)
    return found, (f"Ranges were picked on {len(found)} of the very inputs that accuracy is measured on.",)


def title_of(graph: Graph) -> str:
    """The network's name for people."""
    from hwsim import zoo

    return zoo.entry(graph.name).title if graph.name in zoo.names() else graph.name


def provenance_of(graph: Graph) -> tuple[str, ...]:
    """Where a zoo network comes from, as a sentence for the reader."""
    from hwsim import zoo

    if graph.name not in zoo.names():
        return ()
    entry = zoo.entry(graph.name)
    return (f"Network: {entry.source}. Licence: {entry.licence}.",)


def now() -> str:
    """Now in UTC, or the moment that SOURCE_DATE_EPOCH states, so that a build can repeat its bytes."""
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = int(stated) if stated.isdigit() else time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def versions() -> dict[str, str]:
    """hwsim, Python, and the packages that numbers may depend on."""
    import platform
    from importlib.metadata import version

    from hwsim import __version__

    found = {"hwsim": __version__, "python": platform.python_version()}
    return {**found, **{name: version(name) for name in ("numpy", "numba", "onnx")}}


def hashes(model: Graph | Source, graph: Graph, test: Dataset, chips: list[Target]) -> Iterator[tuple[str, str]]:
    """Of files where there are files, else of contents."""
    path = None if isinstance(model, Graph) else Path(model)
    known = path is not None and path.is_file()
    yield f"model {graph.name}", _sha256(path.read_bytes()) if path is not None and known else _fingerprint(graph)
    yield f"data {test.name}, {len(test)} inputs", _sha256(np.ascontiguousarray(test.inputs).tobytes())
    for chip in chips:
        yield f"target {chip.name}", _sha256(chip.model_dump_json().encode())


def _fingerprint(graph: Graph) -> str:
    """Hash of a graph's nodes, and of its numbers as they lie in memory: its text would be packed for minutes."""
    found = hashlib.sha256(repr((graph.inputs, graph.outputs, graph.nodes)).encode())
    for name, constant in sorted(graph.constants.items()):
        parts = (constant.codes, constant.scale, constant.zero_point) if isinstance(constant, QTensor) else (constant,)
        found.update(name.encode())
        for part in parts:
            if part is not None:
                found.update(np.ascontiguousarray(part).tobytes())
    return f"sha256:{found.hexdigest()}"


def _sha256(held: bytes) -> str:
    return f"sha256:{hashlib.sha256(held).hexdigest()}"
