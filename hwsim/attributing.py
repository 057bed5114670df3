"""Why a network loses accuracy on a chip: each cause and each layer swapped, one at a time, between float and chip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.api import as_graph, as_target, is_quantized
from hwsim.comparing import (
    Recipes,
    Source,
    calibration_of,
    dataset_of,
    hashes,
    limited,
    metric_of,
    now,
    provenance_of,
    recipe_of,
    title_of,
    versions,
)
from hwsim.emulate import bind, emulate
from hwsim.emulate.epilogue import REAL
from hwsim.emulate.program import MatrixStep
from hwsim.emulate.run import chunk_of
from hwsim.errors import RecipeError
from hwsim.io import Dataset
from hwsim.io.metric import Metric, classes_of
from hwsim.ir import Graph, Node, Value, check
from hwsim.ir import reference as float_reference
from hwsim.ir.passes import fold_batchnorm
from hwsim.numerics import decode, units
from hwsim.numerics.threads import product
from hwsim.numerics.unit import ScaledFusedUnit
from hwsim.quant import Recipe, quantize
from hwsim.quant.equalize import equalized
from hwsim.quant.observe import calibration_rows
from hwsim.quant.simulate import simulate
from hwsim.report import Attribution, Measure, Swap, summarise

if TYPE_CHECKING:
    from hwsim.target import Target

INPUTS = 256
"""Inputs to try where nobody says how many: noise is known well by then, a share of right answers to a point or two."""

_ROWS = 1 << 14
"""Rows of an exact product that are computed at a time."""

Array = NDArray[np.float32]
Progress = Callable[[str, int, int], None]


def attribute(
    model: Graph | Source,
    target: Target | Source,
    data: Dataset | Source | None = None,
    *,
    calibration: Dataset | Source | None = None,
    precision: str | None = None,
    calibrator: str = "mse",
    recipe: Recipes | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Attribution:
    """Say which causes and which layers a chip's loss comes from.

    Weights and activations are swapped in the graph, between their stored and their float numbers; sums, requantization
    and vector operations in the emulator, between what the target declares and exact arithmetic.

    Args:
        model: a float graph, a model file, or a zoo name.
        target: name, file or loaded target.
        data: inputs: a data set, a .npz file or a zoo name; None is the zoo model's own test set. Labels are not
            needed.
        calibration, precision, calibrator, recipe, command: as in :func:`hwsim.comparing.compare`.
        limit: use only so many inputs; None is ``INPUTS``.
        progress: called with (stage, inputs done, inputs in all), inputs counted once for each mixture.

    Raises:
        RecipeError: the network is quantized already, so that there is no float network to compare with, or the
            target stores none of its products.
        ModelError, TargetError, DataError: something cannot be read, or the parts do not fit.

    Example:
        >>> why = attribute("mnist-cnn", "ascend-910b4", limit=4)
        >>> [cause.name for cause in why.causes]
        ['weights', 'activations', 'accumulator', 'requantization', 'vector operations']
    """
    show = progress or (lambda stage, done, total: None)
    graph, chip = as_graph(model), as_target(target)
    if is_quantized(graph):
        raise RecipeError("is quantized already; a loss is told from the float network", where=graph.name)
    chip.precision(precision)
    test = limited(graph, dataset_of(graph, data, "data"), INPUTS if limit is None else limit)
    ranges, notes = calibration_of(graph, data, calibration, test)
    how = recipe_of(recipe, graph, chip, precision, calibrator, ranges.inputs)
    bench = Bench(graph, how, chip, precision, ranges.inputs)
    metric = metric_of(graph)
    table = _measured(bench, test, metric, lambda done, total: show(f"{chip.name}: why", done, total))
    metric_name = metric.name if metric is not None else "top-1" if test.labels is not None else ""
    return Attribution(
        model=graph.name,
        title=f"Why {title_of(graph)} loses on {chip.title}",
        data=test.name,
        n=len(test),
        target=summarise(chip, precision),
        metric=metric_name,
        lower_is_better=metric is not None and metric.lower_is_better,
        float32=table["float"].score,
        chip=table["chip"],
        causes=tuple(_causes(bench, table)),
        steps=tuple(_steps(table)),
        layers=tuple(Swap(name, bench.words(name), table["only", name], table["but", name]) for name in bench.layers),
        created=now(),
        command=command,
        versions=versions(),
        hashes=dict(hashes(model, graph, test, [chip])),
        notes=tuple(note for note in (*provenance_of(graph), test.note, *notes) if note),
    )


class Bench:
    """One network on one chip, and every mixture of the two that is asked for.

    Attributes:
        graph: the float network; ``stored`` the same with the chip's storage; ``twin`` the float network that
            ``stored`` was made from (batch normalization folded, channels equalized where the recipe does).
        layers: names of the matrix products that are stored, in execution order.
    """

    def __init__(
        self, graph: Graph, recipe: Recipe, target: Target, precision: str | None, ranges: NDArray[Any]
    ) -> None:
        self.graph, self.target = graph, target
        self.precision = precision or target.default_precision
        self.stored = quantize(graph, recipe, ranges)
        twin = fold_batchnorm(graph)
        if recipe.equalize != "none":
            twin = check(equalized(twin, recipe, calibration_rows(twin, ranges, recipe.samples)))
        self.twin = twin
        program = bind(self.stored, target, self.precision)
        self.steps = {step.node.name: step for step in program.steps if isinstance(step, MatrixStep)}
        self.layers = tuple(self.steps)
        if not self.layers:
            raise RecipeError("stores no product of this network, so nothing is lost", where=target.name)

    @cached_property
    def vector_format(self) -> str:
        return self.target.precision(self.precision).vector_format

    def words(self, layer: str) -> str:
        """What a layer is: its operation and sizes."""
        work = self.steps[layer].work
        return f"{work.op} {work.m}×{work.k}×{work.n}" + (f" ×{work.groups}" if work.groups > 1 else "")

    def float_run(self, x: Array) -> Array:
        """The float network."""
        return float_reference.run(self.graph, {self.graph.inputs[0]: x})[self.graph.outputs[0]]

    def ideal_run(self, x: Array, weights: tuple[str, ...], activations: tuple[str, ...]) -> Array:
        """Exact arithmetic, with the weights and the operands of these layers as stored and all others in float."""
        mixed = floated(
            self.stored,
            self.twin,
            tuple(name for name in self.layers if name not in weights),
            tuple(name for name in self.layers if name not in activations),
        )
        return simulate(mixed, {mixed.inputs[0]: x})[mixed.outputs[0]]

    def chip_run(self, x: Array, *, sums: bool = True, requantize: bool = True, vector: bool = True) -> Array:
        """The emulator, with exact arithmetic in place of what is False."""
        changes = {**({} if requantize else {"requantize": REAL}), **({} if vector else {"vector_format": "fp32"})}
        mode = self.target.precision(self.precision).model_copy(update=changes)
        target = self.target.model_copy(update={"precisions": {**self.target.precisions, self.precision: mode}})
        exact = None if sums else dict.fromkeys(self.layers, exact_product)
        return emulate(self.stored, target, x, precision=self.precision, matmul=exact).output

    def without(self, x: Array, layer: str) -> Array:
        """The emulator, with one layer in float: its weights and its operands as the float network has them."""
        mixed = floated(self.stored, self.twin, (layer,), (layer,))
        return emulate(mixed, self.target, x, precision=self.precision).output


def floated(stored: Graph, twin: Graph, weights: tuple[str, ...], activations: tuple[str, ...]) -> Graph:
    """``stored`` with some products' weights and biases, and some products' run-time operands, as ``twin`` has them.

    Args:
        stored: a quantized graph; ``twin`` the float graph with the same products by name.
        weights, activations: names of matrix products.
    """
    values, constants = dict(stored.values), dict(stored.constants)
    copies: dict[str, list[Node]] = {}

    def unstored(name: str) -> str:
        """The float value behind a stored one; movers that carry codes are doubled."""
        made = stored.producer(name)
        if made is None or stored.value(name).quant is None:
            return name
        if made.op == "Quantize":
            return made.inputs[0]
        twin_name = f"{name}.float"
        if twin_name not in values:
            source = unstored(made.inputs[0])
            values[twin_name] = Value(twin_name, stored.value(name).shape)
            copy = replace(made, name=f"{made.name}.float", inputs=(source, *made.inputs[1:]), output=twin_name)
            copies.setdefault(made.name, []).append(copy)
        return twin_name

    changed: dict[str, Node] = {}
    for node in stored.nodes:
        inputs = list(node.inputs)
        if node.name in activations:
            inputs[:2] = [unstored(name) if name in stored.values else name for name in inputs[:2]]
        if node.name in weights and node.inputs[1] in stored.constants:
            for place, name in enumerate(twin.node(node.name).inputs[1:], 1):
                inputs[place] = f"{node.name}.float{place}"
                constants[inputs[place]] = twin.constants[name]
        changed[node.name] = replace(node, inputs=tuple(inputs))
    nodes = [each for node in stored.nodes for each in (changed[node.name], *copies.get(node.name, ()))]
    used, kept = set(stored.outputs), list[Node]()
    for node in reversed(nodes):
        if node.output in used:
            used.update(node.inputs)
            kept.append(node)
    return check(stored.rebuilt(nodes=kept[::-1], values=values, constants=constants))


def exact_product(
    a: NDArray[Any],
    b: NDArray[Any],
    c: NDArray[Any] | None,
    unit: str,
    *,
    a_scale: NDArray[Any] | None = None,
    b_scale: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """What ``hwsim.mma`` approaches: c + a b^T in float64, then held in int32 (nearest) or float32."""
    held = units[unit]
    right = _reals(b, held.b_format, b_scale, unit).T
    out = np.empty((len(a), len(b)), np.int32 if held.accumulator == "int32" else np.float32)
    for start in range(0, len(a), _ROWS):
        rows = slice(start, start + _ROWS)
        sums = product(_reals(a[rows], held.a_format, None if a_scale is None else a_scale[rows], unit), right)
        if c is not None:
            sums += c[rows]
        out[rows] = np.clip(np.rint(sums), -(2.0**31), 2.0**31 - 1) if out.dtype == np.int32 else sums
    return out


def _reals(codes: NDArray[Any], fmt: str, scale: NDArray[Any] | None, unit: str) -> NDArray[np.float64]:
    numbers = decode(codes, fmt).astype(np.float64)
    held = units[unit]
    if scale is None or not isinstance(held, ScaledFusedUnit):
        return numbers
    wide = np.repeat(decode(scale, held.scale_format).astype(np.float64), held.block_size, axis=1)
    return numbers * wide[:, : numbers.shape[1]]


Key = str | tuple[str, str]


def _runs(bench: Bench) -> Iterator[tuple[Key, Key, Callable[[Array], Array]]]:
    """Name of each mixture, name of the one that its noise is told against, and how to run it.

    One that others are told against comes before them.
    """
    every, none = bench.layers, ()
    yield "chip", "float", lambda x: bench.chip_run(x)
    yield "stored", "float", lambda x: bench.chip_run(x, sums=False, requantize=False, vector=False)
    yield ("alone", "weights"), "float", lambda x: bench.ideal_run(x, every, none)
    yield ("alone", "activations"), "float", lambda x: bench.ideal_run(x, none, every)
    yield ("alone", "accumulator"), "stored", lambda x: bench.chip_run(x, requantize=False, vector=False)
    yield ("alone", "requantization"), "stored", lambda x: bench.chip_run(x, sums=False, vector=False)
    yield ("without", "accumulator"), "float", lambda x: bench.chip_run(x, sums=False)
    yield ("without", "requantization"), "float", lambda x: bench.chip_run(x, requantize=False)
    yield ("step", "accumulator"), "float", lambda x: bench.chip_run(x, requantize=False, vector=False)
    if bench.vector_format != "fp32":
        yield ("alone", "vector operations"), "stored", lambda x: bench.chip_run(x, sums=False, requantize=False)
        yield ("without", "vector operations"), "float", lambda x: bench.chip_run(x, vector=False)
    for layer in bench.layers:
        yield ("only", layer), "float", lambda x, one=(layer,): bench.ideal_run(x, one, one)  # type: ignore[misc]
        yield ("but", layer), "float", lambda x, one=layer: bench.without(x, one)  # type: ignore[misc]


def _measured(
    bench: Bench, test: Dataset, metric: Metric | None, show: Callable[[int, int], None]
) -> Mapping[Key, Measure]:
    """What each mixture of float and chip answers, told against the mixture that it is held to."""
    runs = list(_runs(bench))
    meters = {key: _Meter(metric) for key, _, _ in runs}
    meters["float"] = _Meter(metric)
    step = chunk_of(bench.stored)
    done, total = 0, len(test) * len(runs)
    show(done, total)
    for start in range(0, len(test), step):
        x = test.inputs[start : start + step]
        labels = None if test.labels is None else test.labels[start : start + step]
        reference = bench.float_run(x)
        kept = {"float": reference}
        meters["float"].add(reference, reference, reference, x, labels)
        for key, against, run in runs:
            y = run(x)
            if key == "stored":
                kept["stored"] = y
            meters[key].add(y, kept[str(against)], reference, x, labels)
            done += len(x)
            show(done, total)
    return {key: meter.measure() for key, meter in meters.items()}


class _Meter:
    """Sums over inputs that a ``Measure`` is made of."""

    def __init__(self, metric: Metric | None) -> None:
        self.metric = metric
        self.signal = self.noise = self.cosines = 0.0
        self.agreed = self.right = self.n = 0
        self.labelled = True
        self.figures: list[NDArray[Any]] = []
        self.labels: list[NDArray[np.int64]] = []

    def add(self, y: Array, against: Array, reference: Array, x: Array, labels: NDArray[np.int64] | None) -> None:
        """Outputs of one chunk: of this mixture, of the one it is told against, and of the float network."""
        flat, base, true = (np.asarray(each, np.float64).reshape(len(x), -1) for each in (y, against, reference))
        with np.errstate(invalid="ignore", over="ignore"):
            self.signal += float(np.sum(true**2))
            self.noise += float(np.sum((flat - base) ** 2))
            size = np.linalg.norm(flat, axis=1) * np.linalg.norm(true, axis=1)
            cosine = np.sum(flat * true, axis=1) / np.where(size > 0, size, 1)
        self.cosines += float(np.sum(np.where(np.isfinite(cosine), cosine, 0)))
        self.n += len(x)
        if self.metric is not None:
            self.figures.append(self.metric.figures(y, x))
            if labels is not None:
                self.labels.append(labels)
            return
        self.agreed += int(np.count_nonzero(classes_of(y) == classes_of(reference)))
        self.labelled = labels is not None
        if labels is not None:
            self.right += int(np.count_nonzero(classes_of(y) == labels))

    def measure(self) -> Measure:
        noise = self.noise if np.isfinite(self.noise) else np.inf
        share = noise / self.signal if self.signal > 0 else float(noise > 0)
        sqnr = float(np.inf if share == 0 else -10 * np.log10(share))
        score = agreement = None
        if self.metric is not None:
            labels = np.concatenate(self.labels) if self.labels else None
            score = float(self.metric.score(np.concatenate(self.figures), labels))
        else:
            agreement = self.agreed / self.n
            score = self.right / self.n if self.labelled else None
        return Measure(sqnr, self.cosines / self.n, agreement, score)


def _causes(bench: Bench, table: Mapping[Key, Measure]) -> Iterator[Swap]:
    mode = bench.target.precision(bench.precision)
    rule = {"fp32": "by a float32 factor", "fixed_point": "by an integer and a shift"}.get(
        mode.requantize, f"by the rules of {mode.requantize}"
    )
    text = {
        "weights": f"weights and biases stored in {mode.weights.format}",
        "activations": f"operands stored in {mode.activations.format}",
        "accumulator": f"sums as {mode.unit} makes them",
        "requantization": f"sums scaled {rule} before they are stored",
        "vector operations": f"values between vector operations held in {bench.vector_format}",
    }
    exact = replace(table["stored"], sqnr_db=float("inf"))
    without = {"weights": table["alone", "activations"], "activations": table["alone", "weights"]}
    for name, words in text.items():
        alone = table.get(("alone", name), exact)
        yield Swap(name, words, alone, without.get(name) or table.get(("without", name), table["chip"]))


def _steps(table: Mapping[Key, Measure]) -> Iterator[tuple[str, Measure]]:
    """From float to chip, one cause more at each step; all told against the float network."""
    yield "weights", table["alone", "weights"]
    yield "activations", table["stored"]
    yield "accumulator", table["step", "accumulator"]
    yield "requantization", table.get(("without", "vector operations"), table["chip"])
    yield "vector operations", table["chip"]
