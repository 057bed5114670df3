"""The public verbs: they take names and files as well as loaded values, and join the rooms below.

Everything here can be done by hand with the rooms' own functions; nothing is computed here.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.errors import DataError, ModelError, RecipeError, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from hwsim.emulate import Run
    from hwsim.emulate.matrix import Product
    from hwsim.io import Dataset
    from hwsim.ir import Graph, Workload
    from hwsim.perf import Estimate
    from hwsim.quant import Recipe
    from hwsim.report import Comparison
    from hwsim.target import Target

    Source = str | os.PathLike[str]

CALIBRATION = 256
"""Inputs that ranges are calibrated on, at most."""


def quantize(
    model: Graph | Source,
    recipe: Recipe | Target | Source,
    data: Dataset | NDArray[Any] | Source | None = None,
    *,
    precision: str | None = None,
    calibrator: str = "mse",
    progress: Callable[[str, int, int], None] | None = None,
) -> Graph:
    """Quantize a network after training.

    Args:
        model: a float graph, a model file, or a zoo name.
        recipe: a recipe, or a target (name, file or loaded) whose ``precision`` declares one.
        data: calibration inputs [n, ...], a data set, a .npz file or a zoo name; None is the zoo model's own.
        precision: of the target; None is its default. Ignored with a recipe.
        calibrator: a name in ``hwsim.quant.CALIBRATORS``; how the target's ranges are picked. Ignored with a recipe.
        progress: called with (stage, done, total).

    Raises:
        ModelError, TargetError, RecipeError, DataError: something cannot be read, or the parts do not fit together.

    Example:
        >>> graph = quantize("mnist-cnn", "ascend-910b4")
        >>> graph.constants["conv1.weight"].format  # doctest: +SKIP
        'int4'
    """
    from hwsim.quant import Recipe, recipe_for
    from hwsim.quant import quantize as rewrite

    count = recipe.samples if isinstance(recipe, Recipe) else CALIBRATION
    inputs = inputs_of(calibration_data(model, count) if data is None else data)
    if isinstance(recipe, Recipe):
        return rewrite(as_graph(model), recipe, inputs, progress=progress)
    chip = as_target(recipe)
    how = recipe_for(chip, precision, calibrator)
    return noted(rewrite(as_graph(model), how, inputs, progress=progress), chip, precision)


def mixed_precision(
    model: Graph | Source,
    target: Target | Source,
    budget: float,
    data: Dataset | NDArray[Any] | Source | None = None,
    *,
    metric: str = "bytes",
    formats: Sequence[str] = ("int8", "int4"),
    precision: str | None = None,
) -> Recipe:
    """A recipe with a weight format for each layer: the least loss that a budget buys on a target.

    Args:
        model: a float graph, a model file, or a zoo name.
        target: name, file or loaded target; its precision says how all else is stored.
        budget: what the layers' weights may take in bytes, or the network's matrix products in seconds or joules.
        data: calibration inputs; None is the zoo model's own.
        metric: ``bytes``, ``seconds`` or ``joules``.
        formats: weight formats to choose from; the target's unit must take them.
        precision: of the target; None is its default.

    Raises:
        RecipeError: an unknown metric, a format that the unit does not take, or a budget that is too small.
        ModelError, TargetError, DataError, ToolError: something cannot be read, or is missing.
    """
    from hwsim.emulate import bind
    from hwsim.perf import estimate as walk
    from hwsim.quant import quantize as rewrite
    from hwsim.quant import recipe_for
    from hwsim.quant.mixed import mixed, weight_bytes

    if metric not in ("bytes", "seconds", "joules"):
        raise unknown(RecipeError, "metric", metric, ("bytes", "seconds", "joules"))
    graph, chip = as_graph(model), as_target(target)
    inputs = inputs_of(calibration_data(model) if data is None else data)
    recipe = recipe_for(chip, precision)
    schemes = [replace(recipe.weights, format=fmt) for fmt in formats]
    costs: dict[tuple[str, str], float] = {}
    for scheme in schemes:
        alike = replace(recipe.with_calibrator("minmax"), weights=replace(scheme, calibrator="minmax"))
        program = bind(rewrite(graph, alike, inputs[:1]), chip, precision)
        for row in walk(program.workload, chip, precision).rows:
            costs[row.name, scheme.format] = row.seconds if metric == "seconds" else sum(row.energy_pj.values()) * 1e-12
    size = weight_bytes(graph)
    cost = size if metric == "bytes" else lambda name, scheme: costs[name, scheme.format]
    return mixed(graph, recipe, schemes, inputs, cost, budget)


def emulate(
    graph: Graph | Source,
    target: Target | Source,
    data: Dataset | NDArray[Any] | Source,
    *,
    precision: str | None = None,
    reference: Graph | None = None,
    progress: Callable[[int, int], None] | None = None,
    matmul: Mapping[str, Product] | None = None,
) -> Run:
    """Run a quantized network on a target, bit for bit.

    Args:
        graph: a quantized graph (from :func:`quantize`) or a .qir file.
        target: name, file or loaded target.
        data: inputs [n, ...], a data set, a .npz file or a zoo name.
        precision: a mode of the target; None is its default.
        reference: the float graph, to measure each layer's signal-to-noise ratio against.
        progress: called with (inputs done, inputs in all).
        matmul: node name -> a function that computes that node's products instead of the golden model.

    Returns:
        ``outputs`` (name -> float32 [n, ...]) and ``trace`` (tiles and numeric health).

    Raises:
        RecipeError: the graph is not quantized, or its formats are not the target's.
        ModelError, TargetError, DataError: something cannot be read or does not fit.

    Example:
        >>> import hwsim
        >>> run = emulate(quantize("mnist-cnn", "ascend-910b4"), "ascend-910b4", hwsim.load_data("mnist-cnn").head(5))
        >>> run.output.shape, run.trace.health[0].layer
        ((5, 10), 'conv1')
    """
    from hwsim.emulate import emulate as run

    loaded = as_graph(graph)
    if not is_quantized(loaded):
        raise RecipeError("the graph is not quantized", where=loaded.name, hint="hwsim.quantize(graph, target) does it")
    return run(
        loaded,
        as_target(target),
        inputs_of(data),
        precision=precision,
        reference=reference,
        progress=progress,
        matmul=matmul,
    )


def workload(
    model: Graph | Source,
    target: Target | Source | None = None,
    *,
    precision: str | None = None,
    batch: int = 1,
    weights: str | None = None,
    activations: str | None = None,
    new_tokens: int = 1,
    context: int = 512,
    kv_cache: str | None = None,
    chips: int = 1,
) -> Workload:
    """What a network asks of a chip: its matrix products and vector operations, with sizes and formats.

    Args:
        model: a network known by its shapes (``hwsim.perf.workloads.NAMES``: ``resnet50``, ``llama2-7b``, ...), a
            graph, a model file or a zoo name. A float graph is stored as the target's precision says; its numbers do
            not matter.
        target: whose precision says how tensors are stored. Graphs need one.
        precision: a mode of the target; None is its default.
        batch: images, or sequences.
        weights, activations: formats of a network known by its shapes; default: the target's, else fp16.
        new_tokens, context: of language models known by their shapes; tokens to add, and tokens attended to.
        kv_cache: format of a transformer's cached keys and values; default: the activations'.
        chips: that share a transformer by tensor parallelism.

    Raises:
        ModelError, TargetError, RecipeError, FormatError, DataError: something is unknown, unreadable or does not fit.

    Example:
        >>> workload("resnet50", batch=8, weights="int8").batch
        8
    """
    from hwsim.perf import workload as known
    from hwsim.perf.workloads import NAMES, spelled

    chip = None if target is None else as_target(target)
    if _is_source(model) and spelled(str(model)) in NAMES:
        if chip is not None and weights is None:
            mode = chip.precision(precision)
            weights, activations = mode.weights.format, activations or mode.activations.format
        return known(
            str(model),
            batch=batch,
            new_tokens=new_tokens,
            context=context,
            weights=weights or "fp16",
            activations=activations,
            kv_cache=kv_cache,
            chips=chips,
        )
    from hwsim import zoo
    from hwsim.emulate import bind

    if chips != 1 or kv_cache is not None:
        raise DataError("chips and kv_cache are for transformers known by their shapes", where=str(model)[:80])
    if _is_source(model) and _bare(str(model)) and str(model) not in zoo.names():
        raise unknown(ModelError, "model", str(model), (*zoo.names(), *NAMES))
    graph = as_graph(model)
    if chip is None:
        raise DataError("expected a target, which says how the graph is stored, found none", where=graph.name)
    if weights or activations:
        raise DataError("a graph is stored as its target's precision says; it takes no other formats", where=graph.name)
    if batch < 1:
        raise DataError(f"batch must be at least 1, found {batch}", where=graph.name)
    if not is_quantized(graph):
        graph = quantize(graph, chip, _any_inputs(graph), precision=precision, calibrator="minmax")
    return bind(graph, chip, precision, batch).workload


def estimate(
    work: Graph | Workload | Source,
    target: Target | Source,
    *,
    precision: str | None = None,
    batch: int = 1,
    **sizes: Any,
) -> Estimate:
    """Time and energy on a target.

    Args:
        work: a workload (``hwsim.gemm``, :func:`workload`), or what :func:`workload` takes.
        target: name, file or loaded target.
        precision: a mode of the target; None is the one that fits the workload, or the target's default.
        batch: inferences at once; a workload has its own.
        sizes: further arguments of :func:`workload`.

    Raises:
        ModelError, TargetError, RecipeError, FormatError, DataError: as :func:`workload`.

    Example:
        >>> from hwsim.ir import gemm
        >>> estimate(gemm(16, 16, 16, weights="int4", activations="int4"), "hwsim-int4-ws16").macs
        4096
    """
    from hwsim.ir import Workload
    from hwsim.perf import estimate as walk

    chip = as_target(target)
    if not isinstance(work, Workload):
        work = workload(work, chip, precision=precision, batch=batch, **sizes)
    return walk(work, chip, precision)


def report(comparison: Comparison, path: Source) -> Path:
    """Write a comparison as its suffix says: .html, .json, .csv or .md. An old file stays until the new one is whole.

    Raises:
        DataError: an unknown suffix, or the file cannot be written.

    Example:
        >>> import hwsim, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = report(hwsim.compare("mnist-cnn", "ascend-910b4", limit=5), f"{folder}/report.html")
        ...     page.name
        'report.html'
    """
    from hwsim.report import write_report

    return write_report(comparison, Path(path))


def noted(graph: Graph, target: Target, precision: str | None) -> Graph:
    """``graph`` with a note of what it is stored for."""
    stored_for = {"target": target.name, "precision": precision or target.default_precision}
    return replace(graph, notes={**graph.notes, **stored_for})


def as_graph(model: Graph | Source) -> Graph:
    """A graph as it is, or loaded by file or zoo name."""
    from hwsim.io import load_model
    from hwsim.ir import Graph

    return model if isinstance(model, Graph) else load_model(model)


def as_target(target: Any) -> Target:
    """A target as it is, or loaded by name or file."""
    from hwsim.target import load_target

    return load_target(target if isinstance(target, Path) else str(target)) if _is_source(target) else target


def inputs_of(data: Dataset | NDArray[Any] | Source) -> NDArray[Any]:
    """The inputs of a data set, of a file or zoo name, or the array itself."""
    from hwsim.io import Dataset, load_data

    if isinstance(data, str | os.PathLike):
        data = load_data(data)
    return data.inputs if isinstance(data, Dataset) else data


def is_quantized(graph: Graph) -> bool:
    """Some value is stored in low bits."""
    return any(value.quant is not None for value in graph.values.values())


def calibration_data(model: Graph | Source, count: int = CALIBRATION) -> Dataset:
    """The first ``count`` calibration inputs of a zoo model, or its test inputs where it has no others.

    Raises:
        DataError: not a zoo model, so data must be given.
    """
    from hwsim import zoo

    name = str(model) if _is_source(model) else getattr(model, "name", "")
    if name not in zoo.names():
        raise DataError("needs calibration inputs, found none", where=name, hint="give a .npz file")
    splits = zoo.entry(name).splits
    return zoo.data(name, "calib" if "calib" in splits else splits[0]).head(count)


def _bare(name: str) -> bool:
    """A name, not a path."""
    return not Path(name).suffix and len(Path(name).parts) == 1 and not Path(name).exists()


def _is_source(value: object) -> bool:
    return isinstance(value, str | os.PathLike)


def _any_inputs(graph: Graph) -> NDArray[Any]:
    """Inputs of the right shape for a graph whose sizes alone matter."""
    import numpy as np

    if len(graph.inputs) != 1:
        raise DataError(f"takes graphs with one input, found {len(graph.inputs)}", where=graph.name)
    shape = [dim if isinstance(dim, int) else 1 for dim in graph.value(graph.inputs[0]).shape]
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
