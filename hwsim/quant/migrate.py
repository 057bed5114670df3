"""A quantized graph in another target's storage: weights, activations and biases, each with what became of it.

Three passes, the graph verified before and after each: activations keep their step and zero where the new format has
them, else take a new range (from data, where given); weights are recoded row by row (`migrate_tensor`); biases join the
new accumulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import RecipeError
from hwsim.ir import OPS, Graph, Node, QuantParams
from hwsim.ir.ops import KEEPS_STORAGE
from hwsim.ir.passes import run_passes
from hwsim.numerics import BlockFormat, QTensor, decode, formats
from hwsim.numerics.codec import element_format
from hwsim.quant.calibrators import Range
from hwsim.quant.histogram import Histogram
from hwsim.quant.migrate_tensor import Rows, best_range, candidates, difference, recode
from hwsim.quant.observe import calibration_rows, observe
from hwsim.quant.quantize import activation_storage, store_activations, store_biases
from hwsim.quant.recipe import Recipe, Scheme
from hwsim.quant.simulate import simulate
from hwsim.quant.store import takes_range

Kind = Literal["weight", "activation", "bias"]
How = Literal["same", "lossless", "finer", "as seen", "requantized"]
MEASURED = 32
"""Inputs on which activations are compared, at most."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one stored tensor.

    Attributes:
        name: of the constant, or of the value.
        kind: ``weight``, ``activation`` or ``bias``.
        before, after: how it was and is stored.
        how: ``same`` storage; ``lossless``: other codes, the same numbers (of activations: every number is stored as
            before); ``finer``: every level there was is still there, and others between; ``as seen``: levels are gone,
            but none that the calibration inputs used; ``requantized``.
        elements: numbers compared: of activations, those that the first inputs give, or without data the old levels.
        changed: how many are another number now.
        max_error: the largest difference.
        sqnr_db: old numbers over differences, in decibels; infinite where nothing changed. None: nothing to compare.
        negative_zeros: codes of -0 that became +0.
    """

    name: str
    kind: Kind
    before: str
    after: str
    how: How
    elements: int
    changed: int
    max_error: float
    sqnr_db: float | None
    negative_zeros: int = 0


def migrate(graph: Graph, recipe: Recipe, data: NDArray[Any] | None = None) -> tuple[Graph, tuple[Change, ...]]:
    """``graph`` stored as ``recipe`` says, and what became of each stored tensor, in the order of the nodes.

    Args:
        graph: a quantized graph. What it keeps in float stays in float; but where only weights are stored (GPTQ, AWQ),
            what they multiply is stored too.
        recipe: of the target (`recipe_for`); its calibrators pick the ranges that must be new.
        data: calibration inputs [n, ...]; ranges of activations that must be new come from them. Without data they come
            from the old levels alone.

    Raises:
        RecipeError: an activation was stored in a way that says nothing of its range, and there are no data.
        ModelError, DataError: the graph does not check; data do not fit.
    """
    rows = None if data is None else calibration_rows(graph, data, recipe.samples)
    if not any(value.quant is not None for value in graph.values.values()):
        graph = store_activations(graph, replace(recipe, keep=(*recipe.keep, *_in_float(graph))), rows)
    work = _Migration(recipe, rows)
    moved = run_passes(graph, work.activations, work.weights, work.biases)
    order: dict[str, int] = {}
    for at, node in enumerate(moved.nodes):
        for name in (*node.inputs, node.output):
            order.setdefault(name, at)
    changes = sorted(work.changes, key=lambda change: order.get(change.name, -1))
    return replace(moved, nodes=tuple(replace(node, arithmetic=None) for node in moved.nodes)), tuple(changes)


def _in_float(graph: Graph) -> list[str]:
    """Products whose weights no file has stored in low bits."""
    products = [node for node in graph.nodes if OPS[node.op].kind == "matrix"]
    return [node.name for node in products if isinstance(graph.constants.get(node.inputs[1]), np.ndarray)]


class _Migration:
    """The passes of one migration, and what they did."""

    def __init__(self, recipe: Recipe, data: NDArray[Any] | None) -> None:
        self.recipe = recipe
        self.data = data
        self.changes: list[Change] = []

    def activations(self, graph: Graph) -> Graph:
        """New storage for every run-time value that has one."""
        if _is_blocks(self.recipe.activations):
            graph = _sunk(graph)
        stored = [v.name for v in graph.values.values() if v.quant is not None and not _moved(graph, v.name)]
        schemes = {name: self._scheme(graph, name) for name in stored}
        made = {name: graph.producer(name) for name in stored}
        real = {name: node.inputs[0] for name, node in made.items() if node is not None and node.op == "Quantize"}
        seen = self._observed(graph, {real[name] for name in real if takes_range(schemes[name].format)})
        measured = self._measured(graph, set(real.values()))
        values = dict(graph.values)
        for name, scheme in schemes.items():
            old = graph.value(name).quant
            assert old is not None
            if _is_blocks(scheme) and not _feeds_weights(graph, name):
                values[name] = replace(values[name], quant=None)
                continue
            axis = 1 if len(graph.shape_of(name)) == 4 else -1
            source = real.get(name, name)
            new = _storage(old, scheme, seen.get(source), axis, f"{graph.name}:{name}")
            values[name] = replace(values[name], quant=new)
            self.changes.append(_compared(name, old, new, measured.get(source), seen.get(source)))
        for name, value in graph.values.items():
            if value.quant is not None and _moved(graph, name):
                values[name] = replace(value, quant=values[_origin(graph, name)].quant)
        return _without_empty(graph.rebuilt(values=values))

    def _scheme(self, graph: Graph, name: str) -> Scheme:
        """How the target stores a value: as the operand that it, or what is moved from it, is of its first product."""
        waiting = [name]
        while waiting:
            value = waiting.pop(0)
            for node in graph.consumers(value):
                if OPS[node.op].kind == "matrix":
                    return self.recipe.operand(node.inputs.index(value), node.inputs[1] not in graph.constants)
                if node.op in KEEPS_STORAGE:
                    waiting.append(node.output)
        return self.recipe.activations

    def weights(self, graph: Graph) -> Graph:
        """New storage for the stored weights of matrix products."""
        constants = dict(graph.constants)
        for node in graph.nodes:
            name = node.inputs[1] if OPS[node.op].kind == "matrix" else ""
            held = graph.constants.get(name)
            if not isinstance(held, QTensor) or constants[name] is not held:
                continue
            new = constants[name] = recode(held, self.recipe.weights_of(node.name))
            gap = difference(held.dequantize(), new.dequantize())
            how: How = "same" if new is held else "requantized" if gap["changed"] else "lossless"
            lost = _negative_zeros(held) - _negative_zeros(new) if not gap["changed"] else 0
            self.changes.append(
                Change(
                    name, "weight", described(held), described(new), how, held.codes.size, **gap, negative_zeros=lost
                )
            )
        return graph.rebuilt(constants=constants)

    def biases(self, graph: Graph) -> Graph:
        """Biases as codes of the new accumulator, or as real numbers where it has none."""
        moved = store_biases(graph, self.recipe)
        for old, new in zip(graph.nodes, moved.nodes, strict=True):
            if OPS[new.op].kind != "matrix" or len(new.inputs) < 3 or new.inputs[2] not in moved.constants:
                continue
            before, after = graph.constants[old.inputs[2]], moved.constants[new.inputs[2]]
            if not isinstance(before, QTensor) and not isinstance(after, QTensor):
                continue
            real = graph.float_constant(old.inputs[2])
            gap = difference(real, moved.float_constant(new.inputs[2]))
            same = isinstance(before, QTensor) and isinstance(after, QTensor) and before.equals(after)
            how: How = "same" if same else "requantized" if gap["changed"] else "lossless"
            was, now = (described(held) if isinstance(held, QTensor) else "fp32" for held in (before, after))
            self.changes.append(Change(new.inputs[2], "bias", was, now, how, real.size, **gap))
        return moved

    def _observed(self, graph: Graph, names: set[str]) -> dict[str, Histogram]:
        if self.data is None or not names:
            return {}
        return observe(graph, self.data, sorted(names), self.recipe.samples)

    def _measured(self, graph: Graph, names: set[str]) -> dict[str, NDArray[np.float32]]:
        """What enters each Quantize on the first inputs."""
        if self.data is None:
            return {}
        feed = {graph.inputs[0]: np.ascontiguousarray(self.data[:MEASURED], dtype=np.float32)}
        return simulate(graph, feed, keep=names)


def _is_blocks(scheme: Scheme) -> bool:
    return isinstance(formats[scheme.format], BlockFormat)


def _storage(old: QuantParams, scheme: Scheme, seen: Histogram | None, axis: int, where: str) -> QuantParams:
    """A value's storage after ``scheme``: the old step where it serves, else a new range."""
    entry = formats[scheme.format]
    if isinstance(entry, BlockFormat):
        same = old.block_format == scheme.format
        return old if same else QuantParams(format=entry.element, block_format=scheme.format, axis=axis)
    if not takes_range(scheme.format):
        return QuantParams(format=scheme.format)
    rows = _levels(old)
    if rows is not None:
        tried = [_as_storage(scheme, found) for found in candidates(rows, scheme)]
        kept = next((q for q in tried if _holds(q, rows.reals[0]) or (seen and _alike(old, q, seen))), None)
        if kept is not None:
            return old if _same_levels(old, kept) and old.format == kept.format else kept
        if seen is None:
            return _as_storage(scheme, best_range(rows, scheme))
    if seen is None:
        raise RecipeError(
            f"is stored as {described(old)}, which says nothing of its range",
            where=where,
            hint="give calibration data",
        )
    return activation_storage(scheme, seen, axis)


def _as_storage(scheme: Scheme, found: Range) -> QuantParams:
    zero = found.zero_point
    return QuantParams(scheme.format, found.scale.reshape(()), None if zero is None else zero.reshape(()))


def _levels(old: QuantParams) -> Rows | None:
    """Every number that a per-tensor storage of up to 8 bits has; None for others."""
    if old.block_format is not None or old.scale is None or old.scale.shape != ():
        return None
    entry = element_format(old.format)
    if entry.bits > 8:
        return None
    zero = 0 if old.zero_point is None else int(old.zero_point)
    codes = decode(np.arange(1 << entry.bits, dtype=np.uint8), old.format)
    whole = codes[np.isfinite(codes) & (codes >= entry.min_value) & (codes <= entry.max_value)]
    reals = (np.unique(whole).astype(np.float32) - np.float32(zero)) * np.float32(old.scale)
    point = None if old.zero_point is None else np.asarray([zero], np.int32)
    return Rows(reals[None].astype(np.float32), np.asarray(old.scale, np.float32).reshape(1), point, entry)


def _holds(quant: QuantParams, levels: NDArray[np.float32]) -> bool:
    return bool(np.array_equal(quant.quantize(levels).dequantize(), levels))


def _alike(old: QuantParams, new: QuantParams, seen: Histogram) -> bool:
    """Both store all that was seen as the same numbers."""
    x = seen.points()[0]
    return bool(np.array_equal(old.quantize(x).dequantize(), new.quantize(x).dequantize()))


def _same_levels(old: QuantParams, new: QuantParams) -> bool:
    """Both have the same numbers and decide ties alike, so every number is stored as it was."""
    a, b = _levels(old), _levels(new)
    if a is None or b is None or not np.array_equal(a.reals, b.reals) or old.rounding != new.rounding:
        return False
    if old.format == new.format or not a.element.is_integer:
        return old.format == new.format
    zeros = [0 if quant.zero_point is None else int(quant.zero_point) for quant in (old, new)]
    return b.element.is_integer and (zeros[0] - zeros[1]) % 2 == 0


def _compared(
    name: str, old: QuantParams, new: QuantParams, x: NDArray[np.float32] | None, seen: Histogram | None
) -> Change:
    """What the new storage makes of what the old one stored."""
    rows = _levels(old)
    if x is not None:
        reals = old.quantize(x).dequantize()
    elif rows is not None and new.block_format is None:
        reals = rows.reals[0]
    else:
        reals = np.zeros(0, np.float32)
    how: How = "requantized"
    if old is new:
        how = "same"
    elif _same_levels(old, new):
        how = "lossless"
    elif rows is not None and new.block_format is None and _holds(new, rows.reals[0]):
        how = "finer"
    elif seen is not None and rows is not None and new.block_format is None and _alike(old, new, seen):
        how = "as seen"
    words = (described(old), described(new))
    if not reals.size:
        return Change(name, "activation", *words, how, 0, 0, 0.0, None)
    gap = difference(reals, new.quantize(reals).dequantize())
    return Change(name, "activation", *words, how, reals.size, **gap)


def described(held: QTensor | QuantParams) -> str:
    """A storage in a few words: format, what shares a scale, zero points."""
    name = held.block_format or held.format
    if held.block_format is not None or held.scale is None:
        return name
    shared = "tensor" if held.axis is None else "channel" if held.block_size is None else f"group of {held.block_size}"
    zero = held.zero_point
    point = "" if zero is None else f", zero {int(zero)}" if zero.size == 1 else ", zeros"
    return f"{name} per {shared}{point}"


def _negative_zeros(held: QTensor) -> int:
    code = element_format(held.format).negative_zero_code
    return 0 if code is None else int(np.count_nonzero(held.codes == code))


# Where storage lies in the graph --------------------------------------------------------------------------------------
def _moved(graph: Graph, name: str) -> bool:
    """The value came stored out of an operation that keeps storage."""
    node = graph.producer(name)
    return node is not None and node.op in KEEPS_STORAGE and graph.value(node.inputs[0]).quant is not None


def _origin(graph: Graph, name: str) -> str:
    while _moved(graph, name):
        node = graph.producer(name)
        assert node is not None
        name = node.inputs[0]
    return name


def _feeds_weights(graph: Graph, name: str) -> bool:
    """Some product of this value and stored weights: what units with block scales take."""
    readers = [n for n in graph.consumers(name) if OPS[n.op].kind == "matrix"]
    return any(n.inputs[0] == name and isinstance(graph.constants.get(n.inputs[1]), QTensor) for n in readers)


def _sunk(graph: Graph) -> Graph:
    """Each Quantize below the operations that only move what it stores, as block formats follow the product's axis."""
    while (found := next(_hoisted(graph), None)) is not None:
        stored, mover = found
        quant = graph.value(stored.output).quant
        plain, below = f"{mover.output}.moved", mover.output
        nodes: list[Node] = []
        for node in graph.nodes:
            nodes.append(replace(mover, inputs=(stored.inputs[0],), output=plain) if node is mover else node)
            if node is mover:
                nodes.append(Node(f"{mover.name}.quantize", "Quantize", (plain,), below))
        values = {**graph.values, plain: replace(graph.value(below), name=plain, quant=None)}
        values[below] = replace(values[below], quant=quant)
        used = {i for n in nodes for i in n.inputs} | set(graph.outputs)
        graph = graph.rebuilt(nodes=[n for n in nodes if n.output in used], values=values)
    return graph


def _hoisted(graph: Graph) -> Iterator[tuple[Node, Node]]:
    """(Quantize, operation that moves what it stores)."""
    for node in graph.nodes:
        if node.op == "Quantize":
            yield from ((node, reader) for reader in graph.consumers(node.output) if reader.op in KEEPS_STORAGE)


def _without_empty(graph: Graph) -> Graph:
    """Without Quantize nodes whose output has no storage left: readers take their input."""
    gone = {n.output: n.inputs[0] for n in graph.nodes if n.op == "Quantize" and graph.value(n.output).quant is None}
    if not gone:
        return graph

    def source(name: str) -> str:
        while name in gone:
            name = gone[name]
        return name

    nodes = [replace(n, inputs=tuple(source(i) for i in n.inputs)) for n in graph.nodes if n.output not in gone]
    return graph.rebuilt(nodes=nodes, outputs=tuple(source(o) for o in graph.outputs))


def is_lossless(changes: tuple[Change, ...]) -> bool:
    """Every stored number is what it was."""
    return all(change.how in ("same", "lossless") for change in changes)
