"""Run a bound program on data, bit for bit as the target's declared arithmetic says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate import tflite
from hwsim.emulate.epilogue import to_format
from hwsim.emulate.health import HealthMeter
from hwsim.emulate.matrix import MatrixEngine, Product
from hwsim.emulate.program import CodesStep, MatrixStep, Program, VectorStep, bind
from hwsim.emulate.stored import Held, Stored, max_pool, real
from hwsim.emulate.trace import Run, TileRow, Trace, tile_rows
from hwsim.errors import DataError, ModelError
from hwsim.ir import OPS, Graph
from hwsim.ir import reference as float_reference
from hwsim.ir.infer import elements
from hwsim.ir.ops import KEEPS_STORAGE
from hwsim.ir.reference import check_input

if TYPE_CHECKING:
    from hwsim.target import Target

Progress = Callable[[int, int], None]
COMPARED = 64
"""Inputs on which the signal-to-noise ratio against the float network is measured, at most."""
CHUNK = 128
"""Inputs computed at a time, at most."""
CHUNK_ELEMENTS = 1 << 25
"""Elements that the largest value of a chunk may have, where one input has no more."""
Tamper = Callable[[str, Stored], Stored]
Watch = Callable[[str, Held], None]
Reduce = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[Any]]
"""(outputs [n, ...], inputs [n, ...]) -> what is kept of them, an array [n, ...]."""


def emulate(
    graph: Graph,
    target: Target,
    data: NDArray[Any],
    *,
    precision: str | None = None,
    reference: Graph | None = None,
    progress: Progress | None = None,
    matmul: Mapping[str, Product] | None = None,
    chunk: int | None = None,
    reduce: Reduce | None = None,
    tamper: Tamper | None = None,
    watch: Watch | None = None,
) -> Run:
    """Run a quantized graph on a target.

    Args:
        graph: a quantized graph (``hwsim.quantize``).
        target: the chip.
        data: float inputs [n, ...]; the graph has one input.
        precision: a mode of the target; None is its default.
        reference: the float graph, to measure each layer's signal-to-noise ratio against.
        progress: called with (inputs done, inputs in all).
        matmul: node name -> a function that computes that node's integer products instead of the golden model (an RTL
            simulation); it takes and returns what ``hwsim.mma`` does.
        chunk: inputs at a time; results do not depend on it. None picks a number that fits memory; formats with a
            scale for a whole tensor (NVFP4) always go one by one, so that no input's scale depends on another.
        reduce: what to keep of each chunk's outputs where all of them are too large to keep (logits of a decoder).
        tamper: called with the name and the codes of each stored value when it is made; what it returns is used in
            its place (faults in memory).
        watch: called with the name of each value when it is made, and what is held of it: real numbers, or codes.

    Returns:
        Outputs as float32 and the trace.

    Raises:
        DataError: data are empty, misshapen or not finite.
        RecipeError, ModelError, TargetError: the graph does not fit the target.
    """
    program = bind(graph, target, precision)
    if len(graph.inputs) != 1:
        raise DataError(f"emulation takes graphs with one input, found {len(graph.inputs)}", where=graph.name)
    name = graph.inputs[0]
    x = check_input(name, np.asarray(data), graph.value(name).shape, graph.name)
    unknown_nodes = set(matmul or {}) - {s.node.name for s in program.steps if isinstance(s, MatrixStep)}
    if unknown_nodes:
        raise ModelError(f"{sorted(unknown_nodes)[0]!r} is not a matrix product of this graph", where=graph.name)
    executor = _Executor(program, {**_analog(program), **(matmul or {})}, tamper, watch)
    step = chunk_of(graph) if chunk is None or _whole_tensor_scale(graph) else chunk
    parts: dict[str, list[NDArray[Any]]] = {out: [] for out in graph.outputs}
    for start in range(0, len(x), step):
        rows = x[start : start + step]
        compared = None
        if start == 0 and reference is not None:
            stored = [s.output for s in program.steps if isinstance(s, MatrixStep)]
            compared = _float_values(reference, stored, rows[:COMPARED])
        for out, value in executor.run(rows, compared).items():
            parts[out].append(value if reduce is None else reduce(value, rows))
        if progress is not None:
            progress(min(start + step, len(x)), len(x))
    outputs = {out: np.concatenate(values) for out, values in parts.items()}
    return Run(outputs, Trace(_tiles(program, len(x)), executor.health.rows()))


def _analog(program: Program) -> dict[str, Product]:
    """Products that an analog target's errors change, by layer."""
    machine = program.target.machine
    if machine.kind != "analog":
        return {}
    from hwsim.emulate.analog import analog_products

    return {**analog_products(machine, [s.node.name for s in program.steps if isinstance(s, MatrixStep)])}


def chunk_of(graph: Graph) -> int:
    """Inputs at a time so that no value of a chunk grows past ``CHUNK_ELEMENTS``, where one input's does not."""
    if _whole_tensor_scale(graph):
        return 1
    largest = max(elements(value.shape) for value in graph.values.values())
    return max(1, min(CHUNK, CHUNK_ELEMENTS // largest))


def float_outputs(
    graph: Graph,
    data: NDArray[Any],
    *,
    reduce: Reduce | None = None,
    progress: Progress | None = None,
) -> NDArray[Any]:
    """First output of a float network, in chunks; arguments as in :func:`emulate`."""
    parts: list[NDArray[Any]] = []
    step = chunk_of(graph)
    for start in range(0, len(data), step):
        rows = data[start : start + step]
        output = float_reference.run(graph, {graph.inputs[0]: rows})[graph.outputs[0]]
        parts.append(output if reduce is None else reduce(output, rows))
        if progress is not None:
            progress(min(start + step, len(data)), len(data))
    return np.concatenate(parts)


def _whole_tensor_scale(graph: Graph) -> bool:
    return any(value.quant is not None and value.quant.block_format == "nvfp4" for value in graph.values.values())


def _float_values(reference: Graph, stored: list[str], x: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What the float graph computes for each stored value (``conv1.q`` is ``conv1``, stored)."""
    origin = {name: re.sub(r"\.q\d*$", "", name) for name in stored}
    keep = {o for o in origin.values() if o in reference.values}
    found = float_reference.run(reference, {reference.inputs[0]: x}, keep=keep)
    return {name: found[o] for name, o in origin.items() if o in found}


def _tiles(program: Program, n: int) -> tuple[TileRow, ...]:
    full = bind(program.graph, program.target, program.precision_name, n)
    rows: list[TileRow] = []
    for step in full.steps:
        if isinstance(step, MatrixStep):
            w = step.work
            rows += tile_rows(program.target, program.precision, w.name, w.op, w.m, w.n, w.k, w.groups, w.unit)
    return tuple(rows)


class _Executor:
    """Values of one chunk at a time; activations are NCHW views of NHWC memory, as products make them."""

    def __init__(
        self,
        program: Program,
        matmul: dict[str, Product],
        tamper: Tamper | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.program = program
        self.tamper, self.watch = tamper, watch
        self.graph = program.graph
        used = dict.fromkeys(s.work.unit for s in program.steps if isinstance(s, MatrixStep))
        self.engines = {unit: MatrixEngine(program, matmul, unit) for unit in used}
        self.health = HealthMeter()
        self.constants = {
            name: program.graph.float_constant(name)
            for step in program.steps
            if isinstance(step, VectorStep)
            for name in step.node.inputs
            if name in program.graph.constants
        }
        last = {name: at for at, step in enumerate(program.steps) for name in step.node.inputs}
        self.dead = {at: [n for n, use in last.items() if use == at] for at in range(len(program.steps))}

    def run(
        self, x: NDArray[np.float32], compared: Mapping[str, NDArray[np.float32]] | None
    ) -> dict[str, NDArray[np.float32]]:
        env: dict[str, Held] = {self.graph.inputs[0]: x}
        results: dict[str, NDArray[np.float32]] = {}
        for at, step in enumerate(self.program.steps):
            if isinstance(step, MatrixStep):
                held, peak, overflowed = self.engines[step.work.unit].run(step, env)
                env[step.output] = held
                self.health.add(step, held, peak, overflowed, None if compared is None else compared.get(step.output))
                made = step.output
            elif isinstance(step, CodesStep):
                made = step.output
                env[made] = self._codes(step, env)
            else:
                made = step.node.output
                env[made] = self._vector(step, env)
            held = env[made]
            if self.tamper is not None and isinstance(held, Stored):
                env[made] = self.tamper(made, held)
            if self.watch is not None:
                self.watch(made, env[made])
            if made in self.graph.outputs:
                results[made] = np.ascontiguousarray(real(env[made]))
            for name in self.dead[at]:
                env.pop(name, None)
        return results

    def _codes(self, step: CodesStep, env: dict[str, Held]) -> Held:
        quant = self.graph.value(step.output).quant
        ins = [held for name in step.node.inputs if isinstance(held := env[name], Stored)]
        assert quant is not None
        assert len(ins) == len(step.node.inputs)
        return tflite.on_codes(step.node, ins, step.clamps, quant, self.program.precision.requantize)

    def _vector(self, step: VectorStep, env: dict[str, Held]) -> Held:
        node = step.node
        quant = self.graph.value(node.output).quant
        first = env.get(node.inputs[0])
        if node.op == "Quantize":
            assert quant is not None
            assert first is not None
            return Stored.of(real(first), quant)
        if node.op in KEEPS_STORAGE and isinstance(first, Stored) and first.scales is None:
            if node.op == "MaxPool":
                return max_pool(first, node.attrs)
            return Stored(OPS[node.op].run([first.codes], node.attrs), first.quant)
        ins = [self.constants[i] if i in self.constants else real(env[i]) for i in node.inputs]
        y = OPS[node.op].run(ins, node.attrs)
        fmt = self.program.precision.vector_format
        if OPS[node.op].kind == "shape" or fmt == "fp32":
            return y
        kept = to_format(y, fmt)
        self.health.add_vector(node, fmt, ins, y, kept)
        return kept
