"""A graph bound to a target: which unit computes what, in which order, and what leaves it in which storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.emulate import tflite
from hwsim.errors import RecipeError
from hwsim.ir import OPS, Arithmetic, Graph, Node, Value, VectorWork, Workload, check
from hwsim.ir.graph import BATCH
from hwsim.ir.infer import elements
from hwsim.ir.workload import MatrixWork, Work
from hwsim.numerics import QTensor, units
from hwsim.numerics.codec import element_format
from hwsim.numerics.unit import IntegerUnit

if TYPE_CHECKING:
    from hwsim.target import Precision, Target

CLAMPS = ("Relu", "Clip")
"""Operations that an epilogue applies to sums before they are stored."""


@dataclass(frozen=True, slots=True)
class MatrixStep:
    """A matrix product with its epilogue: sums, then ``clamps``, then storage as ``output``."""

    node: Node
    clamps: tuple[Node, ...]
    output: str
    work: MatrixWork
    epilogue: VectorWork


@dataclass(frozen=True, slots=True)
class VectorStep:
    """Any other operation; ``work`` is None where it costs nothing (a reshape)."""

    node: Node
    work: VectorWork | None


@dataclass(frozen=True, slots=True)
class CodesStep:
    """A vector operation that the target computes on codes, from stored inputs to the stored ``output``."""

    node: Node
    clamps: tuple[Node, ...]
    output: str
    work: VectorWork | None


Step = MatrixStep | VectorStep | CodesStep


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Steps in execution order, for one batch size.

    Attributes:
        graph: the quantized graph.
        target: the chip; ``precision`` is the mode it runs in, ``precision_name`` its name.
        batch: inferences that the sizes in ``workload`` cover. Execution takes any number.
        steps: what runs.
    """

    graph: Graph
    target: Target
    precision_name: str
    precision: Precision
    batch: int
    steps: tuple[Step, ...]

    @property
    def workload(self) -> Workload:
        """Sizes and formats of the steps, for the cycle and energy models."""
        ops: list[Work] = []
        for step in self.steps:
            if isinstance(step, MatrixStep):
                ops += [step.work, step.epilogue]
            elif step.work is not None:
                ops.append(step.work)
        return Workload(self.graph.name, self.batch, tuple(ops), self.precision_name)


def bind(graph: Graph, target: Target, precision: str | None = None, batch: int = 1) -> Program:
    """Bind a quantized graph to a target's precision.

    Raises:
        TargetError: no such precision.
        RecipeError: a matrix product's operands are stored in formats that the precision's unit does not take.
        ModelError: the graph does not check.
    """
    check(graph)
    mode = target.precision(precision)
    steps: list[Step] = []
    taken: set[str] = set()
    for node in graph.nodes:
        if node.name in taken:
            continue
        if _on_matrix_unit(graph, node):
            step = _matrix_step(graph, node, mode, _mode_of(graph, node, target, mode), batch)
            taken |= {n.name for n in step.clamps}
            stored = graph.producer(step.output)
            if stored is not None:
                taken.add(stored.name)
            steps.append(step)
        elif mode.requantize in tflite.RULES and (chain := _on_codes(graph, node)) is not None:
            clamps, output = chain
            taken |= {n.name for n in (*clamps, graph.producer(output)) if n is not None}
            steps.append(CodesStep(node, clamps, output, _vector_work(graph, node, "int32", batch)))
        else:
            steps.append(VectorStep(node, _vector_work(graph, node, mode.vector_format, batch)))
    return Program(graph, target, precision or target.default_precision, mode, batch, tuple(steps))


def _on_matrix_unit(graph: Graph, node: Node) -> bool:
    """A product whose operands are both stored in low bits; one that a recipe kept in float runs on the vector unit."""
    if OPS[node.op].kind != "matrix":
        return False
    a, b = node.inputs[:2]
    held = graph.constants.get(b)
    return _quantized(graph, a) and (isinstance(held, QTensor) if held is not None else _quantized(graph, b))


def _mode_of(graph: Graph, node: Node, target: Target, mode: Precision) -> Precision:
    """The precision whose unit computes a product: another one for two run-time values where the target says so."""
    dynamic = node.inputs[1] not in graph.constants
    return mode if mode.attention is None or not dynamic else target.precision(mode.attention)


def _quantized(graph: Graph, name: str) -> bool:
    return name in graph.values and graph.value(name).quant is not None


def _on_codes(graph: Graph, node: Node) -> tuple[tuple[Node, ...], str] | None:
    """The clamps and the stored result of an operation that TensorFlow Lite computes on codes; None for others."""
    if node.op not in tflite.ON_CODES or not all(_quantized(graph, i) for i in node.inputs):
        return None
    clamps, output = _chain(graph, node)
    return (clamps, output) if _quantized(graph, output) else None


def _chain(graph: Graph, node: Node) -> tuple[tuple[Node, ...], str]:
    """The clamps and the Quantize that follow ``node`` alone, and the value that results."""
    clamps: list[Node] = []
    value = node.output
    while value not in graph.outputs:
        readers = graph.consumers(value)
        if len(readers) != 1:
            break
        reader = readers[0]
        if reader.op in CLAMPS:
            clamps.append(reader)
            value = reader.output
            continue
        if reader.op == "Quantize":
            value = reader.output
        break
    return tuple(clamps), value


def _matrix_step(graph: Graph, node: Node, mode: Precision, where: Precision, batch: int) -> MatrixStep:
    clamps, output = _chain(graph, node)
    unit = units[where.unit]
    a, b = node.inputs[:2]
    held = graph.constants.get(b)
    weight_format = held.block_format or held.format if isinstance(held, QTensor) else graph.value(b).format
    _operand(graph, node, _element(graph, a), unit.a_format, where.unit, "activations")
    _operand(graph, node, _element(graph, b), unit.b_format, where.unit, "weights")
    _same_arithmetic(graph, node, mode, where.unit)
    out = graph.value(output)
    shape_a, shape_b, shape_y = graph.shape_of(a), graph.shape_of(b), graph.shape_of(node.output)
    groups = 1
    if node.op == "Conv":
        groups = int(node.attrs["group"])
        n, k = int(shape_b[0]) // groups, elements(shape_b[1:])
    elif node.op == "Gemm":
        n, k = int(shape_b[0]), int(shape_b[1])
    else:
        n, k = int(shape_y[-1]), int(shape_a[-1])
        groups = elements(shape_y[:-2], batch)
    total = elements(shape_y, batch)
    stored = out.format if out.quant is not None else mode.vector_format
    work = MatrixWork(
        name=node.name,
        op=node.op,
        m=total // (n * groups),
        n=n,
        k=k,
        groups=groups,
        input_elements=elements(shape_a, batch),
        weight_elements=elements(shape_b, batch),
        output_elements=total,
        input_format=graph.value(a).format,
        weight_format=weight_format,
        accumulator_format=unit.accumulator,
        output_format=stored,
        weight_scale_bytes=_side_bytes(held) if isinstance(held, QTensor) else 0,
        unit=where.unit,
        weights_static=held is not None,
    )
    epilogue = VectorWork(
        name=f"{node.name}.epilogue",
        op="Requantize" if out.quant is not None else "Dequantize",
        input_elements=total,
        output_elements=total,
        operations=total * (2 + len(clamps)),
        input_format=unit.accumulator,
        output_format=stored,
        compute_format="int32" if mode.requantize in ("fixed_point", *tflite.RULES) else "fp32",
        fused=True,
    )
    return MatrixStep(node, clamps, output, work, epilogue)


def _element(graph: Graph, name: str) -> str:
    """Element format of a stored value or constant."""
    held = graph.constants.get(name)
    if isinstance(held, QTensor):
        return held.format
    quant = graph.value(name).quant
    assert quant is not None
    return quant.format


def _operand(graph: Graph, node: Node, fmt: str, wanted: str, unit: str, what: str) -> None:
    from hwsim.emulate.operands import takes

    if not takes(fmt, wanted):
        raise RecipeError(f"{what} are stored as {fmt}, and {unit} takes {wanted}", where=f"{graph.name}:{node.name}")


def _same_arithmetic(graph: Graph, node: Node, mode: Precision, unit: str) -> None:
    """A node that fixes how it sums runs only where sums are made so."""
    fixed = node.arithmetic
    if fixed is None:
        return
    here = arithmetic_of(mode, unit)
    for what, wanted, found in (
        ("sums in", fixed.accumulator, here.accumulator),
        ("sums that overflow by", fixed.overflow, here.overflow),
        ("requantization by", fixed.requantize, here.requantize),
    ):
        if wanted != found:
            raise RecipeError(
                f"was made for {what} {wanted}, and {unit} has {found}",
                where=f"{graph.name}:{node.name}",
                hint="hwsim convert makes it fit",
            )


def arithmetic_of(mode: Precision, unit: str = "") -> Arithmetic:
    """How a precision sums, on its own unit or another, and requantizes."""
    held = units[unit or mode.unit]
    overflow = held.overflow if isinstance(held, IntegerUnit) else "wrap" if held.accumulator == "int32" else "inf"
    return Arithmetic(held.accumulator, overflow, mode.requantize)


def _side_bytes(weight: QTensor) -> int:
    """Bytes of scales and zero points."""
    scales = weight.scale.size * element_format(weight.scale_format).storage_bits
    points = 0 if weight.zero_point is None else weight.zero_point.size * element_format(weight.format).storage_bits
    return -(-(scales + points) // 8)


def _format(value: Value, vector_format: str) -> str:
    return value.format if value.quant is not None else vector_format


def _vector_work(graph: Graph, node: Node, vector_format: str, batch: int) -> VectorWork | None:
    op = OPS[node.op]
    if op.kind == "shape" and node.op not in ("Transpose", "Pad", "Concat"):
        return None
    ins = [tuple(batch if d == BATCH else d for d in graph.shape_of(i)) for i in node.inputs]
    out = tuple(batch if d == BATCH else d for d in graph.shape_of(node.output))
    first = node.inputs[0]
    operations = op.cost(ins, out, node.attrs)
    if op.kind == "matrix":
        operations = 2 * elements(out) * elements(ins[1]) // int(out[1] if node.op == "Conv" else ins[1][0])
    return VectorWork(
        name=node.name,
        op=node.op,
        input_elements=sum(elements(s) for s in ins),
        output_elements=elements(out),
        operations=int(operations),
        input_format=_format(graph.values[first], vector_format) if first in graph.values else "fp32",
        output_format=_format(graph.value(node.output), vector_format),
        compute_format=vector_format,
        fused=False,
    )
