"""The verifier: what must hold of a graph before and after every pass."""

from __future__ import annotations

import numpy as np

from hwsim.errors import HwsimError, ModelError, unknown
from hwsim.ir.graph import (
    ACCUMULATOR_OVERFLOWS,
    ACCUMULATORS,
    BATCH,
    REQUANTIZERS,
    Arithmetic,
    Attr,
    Constant,
    Graph,
    Node,
    QuantParams,
    Shape,
)
from hwsim.ir.ops import OPS, OpDef
from hwsim.numerics import BlockFormat, QTensor, formats
from hwsim.numerics.codec import element_format
from hwsim.numerics.format import NEGATIVE_ZEROS, OVERFLOWS, ROUNDINGS
from hwsim.numerics.quantize import check_mode


def check(graph: Graph) -> Graph:
    """Verify ``graph`` and return it unchanged.

    Single assignment and definition before use; known operators with the right inputs and attributes; every declared
    shape equal to the inferred one; constants finite and of a known type; storage annotations that their format can
    hold.

    Raises:
        ModelError: the first violation, with ``where`` as ``graph:node``.
    """
    _check_names(graph)
    for name, constant in graph.constants.items():
        _check_constant(constant, f"{graph.name}:{name}")
    defined = set(graph.inputs) | set(graph.constants)
    seen: set[str] = set()
    for node in graph.nodes:
        where = f"{graph.name}:{node.name}"
        if node.name in seen:
            raise ModelError("two nodes have this name", where=where)
        seen.add(node.name)
        for name in node.inputs:
            if name not in defined:
                raise ModelError(f"input {name!r} is not defined before this node", where=where)
        if node.output in defined:
            raise ModelError(f"output {node.output!r} is assigned twice", where=where)
        _check_node(graph, node, where)
        defined.add(node.output)
    for what, names in (("graph output", graph.outputs), ("cached value", graph.cached)):
        for name in names:
            if name not in defined:
                raise ModelError(f"{what} {name!r} is never computed", where=graph.name)
    for value in graph.values.values():
        if value.quant is not None:
            _check_quant(value.quant, value.shape, f"{graph.name}:{value.name}")
    return graph


def _check_names(graph: Graph) -> None:
    if not graph.inputs or not graph.outputs:
        raise ModelError("a graph needs at least one input and one output", where=graph.name)
    for name in (*graph.inputs, *(n.output for n in graph.nodes)):
        if name not in graph.values:
            raise ModelError(f"{name!r} has no declared value", where=graph.name)
        if name in graph.constants:
            raise ModelError(f"{name!r} is both a value and a constant", where=graph.name)
    for key, value in graph.values.items():
        if key != value.name:
            raise ModelError(f"value {value.name!r} is filed under {key!r}", where=graph.name)
        for d in value.shape:
            if not (d == BATCH or (isinstance(d, int) and d >= 1)):
                raise ModelError(
                    f"value {key!r} has a dimension {d!r}; only numbers >= 1 and 'N' are", where=graph.name
                )


def _check_node(graph: Graph, node: Node, where: str) -> None:
    op = OPS.get(node.op)
    if op is None:
        raise unknown(ModelError, "operator", node.op, OPS, where=where)
    low, high = op.inputs
    if not low <= len(node.inputs) <= high:
        wanted = f"{low}" if low == high else f"{low} to {high}"
        raise ModelError(f"{node.op} takes {wanted} inputs, found {len(node.inputs)}", where=where)
    _check_attrs(op, node, where)
    try:
        inferred = op.infer([graph.shape_of(i) for i in node.inputs], node.attrs)
    except ModelError as e:
        raise ModelError(e.message, where=where) from None
    declared = graph.value(node.output).shape
    if inferred != declared:
        raise ModelError(f"output shape is declared {list(declared)}, but is {list(inferred)}", where=where)
    quant = graph.value(node.output).quant
    if op.kind == "quantize" and quant is None:
        raise ModelError("Quantize needs an output value with quantization parameters", where=where)
    if node.arithmetic is not None:
        if op.kind != "matrix":
            raise ModelError(f"{node.op} is no matrix product and has no arithmetic of sums", where=where)
        _check_arithmetic(node.arithmetic, int(inferred[1 if node.op == "Conv" else -1]), where)


def _check_arithmetic(held: Arithmetic, channels: int, where: str) -> None:
    for what, word, words in (
        ("accumulator", held.accumulator, ACCUMULATORS),
        ("overflow of an accumulator", held.overflow, ACCUMULATOR_OVERFLOWS),
        ("requantization", held.requantize, REQUANTIZERS),
    ):
        if word not in words:
            raise unknown(ModelError, what, word, words, where=where)
    if (held.multiplier is None) != (held.shift is None):
        raise ModelError("a multiplier needs its shift, and a shift its multiplier", where=where)
    if held.multiplier is None or held.shift is None:
        return
    if held.requantize != "fixed_point" or not held.multiplier.shape == held.shift.shape == (channels,):
        raise ModelError(f"multiplier and shift are for fixed_point, one each of {channels} channels", where=where)
    if held.multiplier.min() < 0 or held.multiplier.max() >= 1 << 31 or held.shift.min() < 1 or held.shift.max() > 62:
        raise ModelError("multipliers lie in 0..2^31 - 1 and shifts in 1..62", where=where)


def _check_attrs(op: OpDef, node: Node, where: str) -> None:
    for name in node.attrs:
        if name not in op.attrs:
            raise unknown(ModelError, f"attribute of {op.name}", name, op.attrs, where=where)
    for name, kind in op.attrs.items():
        if name not in node.attrs:
            raise ModelError(f"{op.name} needs attribute {name!r}", where=where)
        value = node.attrs[name]
        if not _has_type(value, kind):
            wanted = f"{kind[1] or 'some'} {kind[0].__name__}s" if isinstance(kind, tuple) else f"one {kind.__name__}"
            raise ModelError(f"attribute {name!r} must be {wanted}, found {value!r}", where=where)
    for name in ("strides", "dilations", "kernel_shape", "group"):
        value = node.attrs.get(name, 1)
        if min(value if isinstance(value, tuple) else (value,)) < 1:
            raise ModelError(f"attribute {name!r} must be at least 1, found {value!r}", where=where)
    if op.name != "Pad" and min(node.attrs.get("pads", (0,))) < 0:
        raise ModelError(f"attribute 'pads' must not be negative, found {node.attrs['pads']!r}", where=where)


def _has_type(value: Attr, kind: type | tuple[type, int]) -> bool:
    if isinstance(kind, tuple):
        each, length = kind
        return isinstance(value, tuple) and length in (0, len(value)) and all(type(v) is each for v in value)
    return type(value) is kind or (kind is float and type(value) is int)


def _check_constant(constant: Constant, where: str) -> None:
    if isinstance(constant, QTensor):
        return
    if constant.dtype == np.float32:
        bad = int(np.count_nonzero(~np.isfinite(constant)))
        if bad:
            raise ModelError(f"{bad} of {constant.size} numbers are NaN or infinite", where=where)
    elif constant.dtype != np.int32:
        raise ModelError(f"a constant must be float32, int32 or quantized, found {constant.dtype}", where=where)


def _check_quant(quant: QuantParams, shape: Shape, where: str) -> None:
    try:
        element = element_format(quant.format)
        block = None if quant.block_format is None else formats[quant.block_format]
        if block is not None and not isinstance(block, BlockFormat):
            raise ModelError(f"{quant.block_format!r} is no block format")
        check_mode(block, quant.mode, "mode")
        element_format(quant.scale_format)
        element.profile(quant.profile)
        for what, word, words in (
            ("rounding", quant.rounding, ROUNDINGS),
            ("overflow", quant.overflow, OVERFLOWS),
            ("negative-zero policy", quant.negative_zero or "keep", NEGATIVE_ZEROS),
        ):
            if word not in words:
                raise unknown(ModelError, what, word, words)
    except HwsimError as e:
        raise ModelError(e.message, where=where, hint=e.hint) from None
    if quant.axis is not None and not -len(shape) <= quant.axis < len(shape):
        raise ModelError(f"quantization axis {quant.axis} is outside shape {list(shape)}", where=where)
    if quant.scale is None:
        return
    scale = quant.scale
    if not np.all(np.isfinite(scale)) or not np.all(scale > 0):
        raise ModelError("scales must be positive and finite", where=where)
    if quant.axis is None and scale.shape != ():
        raise ModelError(f"a per-tensor scale has shape (), found {list(scale.shape)}", where=where)
    if quant.axis is not None:
        dim = shape[quant.axis]
        wanted = (dim,) if quant.block_size is None else None
        if wanted is not None and scale.shape != wanted:
            raise ModelError(
                f"scales along axis {quant.axis} must have shape {list(wanted)}, found {list(scale.shape)}", where=where
            )
    if quant.zero_point is not None:
        if quant.zero_point.shape != scale.shape:
            raise ModelError("zero points must have the shape of the scales", where=where)
        low, high = element.min_value, element.max_value
        if np.any(quant.zero_point < low) or np.any(quant.zero_point > high):
            raise ModelError(f"zero points of {quant.format} lie in {low:g}..{high:g}", where=where)
