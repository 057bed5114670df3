"""From a graph to an ONNX model: operators as they are, storage as QuantizeLinear pairs or as QONNX's Quant."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from hwsim.errors import ModelError, unknown
from hwsim.io._onnx_blocks import OPSET as BLOCKS_OPSET
from hwsim.io._onnx_blocks import function, name_of
from hwsim.io._onnx_emit import Writer, emit, whole_inputs
from hwsim.io._onnx_file import BLOCK_DOMAIN, MAX_MODEL_BYTES, STORAGE, one_line
from hwsim.io._onnx_qonnx import ROUNDINGS
from hwsim.io._onnx_quant import ELEMENTS
from hwsim.io._quant_layout import spread, transposed
from hwsim.ir import Graph, Node, QuantParams, check
from hwsim.ir.graph import BATCH
from hwsim.ir.ops import KEEPS_STORAGE
from hwsim.numerics import QTensor, decode, encode, formats, pack
from hwsim.numerics.format import FloatLayout, Format, IntegerLayout

_QONNX = "qonnx.custom_op.general"
_KINDS = {name: kind for kind, name in ELEMENTS.items()}
_WHOLE = ("int2", "uint2", "int4", "uint4", "int8", "uint8")
_SINCE = {"int2": 25, "uint2": 25, "fp4_e2m1": 23}
_QDQ_OPSET = 21
"""Since then QuantizeLinear takes 4-bit integers and blocks."""
_WIDE = {"fp16": (TensorProto.FLOAT16, 65504.0), "bf16": (TensorProto.BFLOAT16, float.fromhex("0x1.fep127"))}
_IR_VERSION = 10
"""The oldest model version with metadata on nodes."""


def to_model(graph: Graph, dialect: str = "qdq") -> ModelProto:
    """A graph as an ONNX model, checked by the onnx package.

    Raises:
        ModelError: an unknown dialect, storage that the dialect cannot say, or a model over protobuf's 2 GB.
    """
    if dialect not in DIALECTS:
        raise unknown(ModelError, "dialect", dialect, DIALECTS)
    constant, value, base = DIALECTS[dialect]
    check(graph)
    size = sum(
        c.codes.nbytes + c.scale.nbytes if isinstance(c, QTensor) else c.nbytes for c in graph.constants.values()
    )
    if size * (1 if dialect == "qdq" else 4) > MAX_MODEL_BYTES:
        raise ModelError(f"constants of {size} bytes do not fit an ONNX file of 2 GB", where=graph.name)
    writer = Writer(graph)
    writer.opset = base
    folded = {n.inputs[1] for n in graph.nodes if n.op == "Gather"}  # indices are written where they are read
    for name, held in graph.constants.items():
        if isinstance(held, QTensor):
            constant(writer, name, transposed(held, (1, 0)) if name in writer.turned else held)
        elif name not in folded or any(n.op != "Gather" or n.inputs[0] == name for n in graph.consumers(name)):
            real = graph.float_constant(name)
            writer.tensor(name, real.T if name in writer.turned else real)
    for node in graph.nodes:
        quant = graph.value(node.output).quant
        if node.op == "Quantize" and quant is not None:
            value(writer, node, quant)
        elif dialect == "qdq" and node.op in KEEPS_STORAGE and quant is not None and quant.scale is not None:
            # Codes moved: storing them again changes nothing, and keeps runtimes from moving the pair themselves.
            moved = writer.fresh(f"{node.output}.moved")
            emit(writer, replace(node, output=moved))
            value(writer, Node(f"{node.name}.again", "Quantize", (moved,), node.output), quant)
        else:
            emit(writer, node)
    return _model(writer)


def _model(writer: Writer) -> ModelProto:
    graph, whole = writer.graph, whole_inputs(writer.graph)

    def info(name: str) -> onnx.ValueInfoProto:
        kind = TensorProto.INT64 if name in whole else TensorProto.FLOAT
        return helper.make_tensor_value_info(
            name, kind, [BATCH if d == BATCH else int(d) for d in graph.shape_of(name)]
        )

    inner = helper.make_graph(
        writer.nodes, graph.name, [info(i) for i in graph.inputs], [info(o) for o in graph.outputs], writer.tensors
    )
    opsets = [helper.make_opsetid("", writer.opset)]
    if any(n.domain == _QONNX for n in writer.nodes):
        opsets.append(helper.make_opsetid(_QONNX, 1))
    functions = [function(name) for name in sorted({n.op_type for n in writer.nodes if n.domain == BLOCK_DOMAIN})]
    if functions:
        opsets.append(helper.make_opsetid(BLOCK_DOMAIN, 1))
    model = helper.make_model(inner, opset_imports=opsets, producer_name="hwsim", functions=functions)
    model.ir_version = max(_IR_VERSION, int(helper.find_min_ir_version_for(opsets[:1], ignore_unknown=True)))
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as err:
        raise ModelError(f"onnx's checker refuses what was written: {one_line(err)}", where=graph.name) from None
    return model


# QuantizeLinear and DequantizeLinear --------------------------------------------------------------------------------
def _element(writer: Writer, name: str, fmt: str, low: float, high: float) -> tuple[str, int]:
    """Our format that ONNX has, and ONNX's type, which hold numbers low..high of ``fmt``."""
    found: str | None = fmt if fmt in _KINDS else None
    if found is None and isinstance(_format(fmt).layout, IntegerLayout) and not _format(fmt).layout.fraction_bits:  # type: ignore[union-attr]
        found = next((w for w in _WHOLE if _format(w).min_value <= low and _format(w).max_value >= high), None)
    if found is None:
        raise writer.error(name, f"ONNX has no type for {fmt}", hint=f"it has: {', '.join(_KINDS)}")
    writer.opset = max(writer.opset, _SINCE.get(found, 0))
    return found, _KINDS[found]


def _format(name: str) -> Format:
    entry = formats[name]
    assert isinstance(entry, Format)
    return entry


def _codes(writer: Writer, name: str, kind: int, fmt: str, codes: NDArray[Any]) -> str:
    return writer.raw(name, kind, codes.shape, pack(codes, fmt).tobytes())


def _qdq_constant(writer: Writer, name: str, held: QTensor) -> None:
    """Codes, scales and zero points as initializers, and the DequantizeLinear that joins them."""
    if held.offset is not None:
        raise writer.error(name, f"{held.block_format} adds an offset to each block, which ONNX cannot say")
    reals = decode(np.unique(held.codes), held.format)
    ends = [float(reals.min()), float(reals.max())] if np.isfinite(reals).all() else [0.0, 0.0]
    fmt, kind = _element(writer, name, held.format, *ends)
    codes = held.codes if fmt == held.format else encode(decode(held.codes, held.format), fmt)
    inputs = [_codes(writer, writer.fresh(f"{name}.codes"), kind, fmt, codes), _scales(writer, name, held)]
    attrs: dict[str, Any] = {} if held.axis is None else {"axis": held.axis}
    if held.block_size is not None:
        attrs["block_size"] = held.block_size
    if held.zero_point is not None and held.zero_point.any():
        inputs.append(_points(writer, name, held.zero_point, fmt, kind))
    node = f"{name}.dequantize"
    writer.add("DequantizeLinear", inputs, name, node, **attrs)
    said = {"format": held.format, "block_format": held.block_format, "scale_format": held.scale_format}
    usual = {"format": fmt, "block_format": None, "scale_format": "fp32"}
    _say(writer, {key: word for key, word in said.items() if word != usual[key]})


def _scales(writer: Writer, name: str, held: QTensor) -> str:
    """Scales; those of two levels as codes with a scale of their own."""
    at = writer.fresh(f"{name}.scale")
    if held.tensor_scale is None:
        return writer.tensor(at, held.scale)
    small = encode(held.scale, "fp8_e4m3fn")
    if not np.array_equal(decode(small, "fp8_e4m3fn"), held.scale):
        return writer.tensor(at, held.scale * held.tensor_scale)
    parts = [_codes(writer, writer.fresh(f"{name}.scale.codes"), TensorProto.FLOAT8E4M3FN, "fp8_e4m3fn", small)]
    parts.append(writer.real(f"{name}.scale.scale", np.asarray(held.tensor_scale)))
    return writer.add("DequantizeLinear", parts, at)


def _points(writer: Writer, name: str, zero: NDArray[np.int32], fmt: str, kind: int) -> str:
    entry = _format(fmt)
    if zero.min() < entry.min_value or zero.max() > entry.max_value:
        raise writer.error(name, f"zero points {zero.min()}..{zero.max()} do not fit {fmt}, as ONNX wants them to")
    codes = encode(zero.astype(np.float32), fmt)
    return _codes(writer, writer.fresh(f"{name}.zero_point"), kind, fmt, codes)


def _say(writer: Writer, said: Mapping[str, str | None]) -> None:
    if said:
        entry = writer.nodes[-1].metadata_props.add()
        entry.key, entry.value = STORAGE, json.dumps(said)


def _qdq_value(writer: Writer, node: Node, quant: QuantParams) -> None:
    """A QuantizeLinear and its DequantizeLinear; a pair of Casts for 16-bit floats."""
    if not quant.plain:
        raise writer.error(node.name, f"QuantizeLinear rounds to nearest even and saturates, found {quant.rounding}")
    if quant.block_format is not None:
        name = name_of(quant, len(writer.graph.shape_of(node.output)))
        if name is None:
            what = f"{quant.block_format} along dimension {quant.axis}"
            raise writer.error(
                node.name, f"no function stores run-time values as {what}, whose scales follow from data"
            )
        writer.opset = max(writer.opset, BLOCKS_OPSET)
        writer.add(name, [node.inputs[0]], node.output, node.name, domain=BLOCK_DOMAIN)
        return
    x, out = node.inputs[0], node.output
    if quant.scale is None:
        _cast(writer, node, quant.format)
        return
    entry, zero = _format(quant.format), quant.zero_point
    fmt, kind = _element(writer, node.name, quant.format, entry.min_value, entry.max_value)
    if entry.is_integer and (_format(fmt).min_value, _format(fmt).max_value) != (entry.min_value, entry.max_value):
        if isinstance(entry.layout, IntegerLayout) and entry.layout.kind == "bipolar":
            raise writer.error(node.name, f"QuantizeLinear cannot round to {quant.format}, which has no zero")
        x = _clipped(writer, node, quant, entry)
    scale = writer.tensor(writer.fresh(f"{out}.scale"), quant.scale)
    points = np.zeros(quant.scale.shape, np.int32) if zero is None else zero
    parts = [scale, _points(writer, out, points, fmt, kind)]
    attrs: dict[str, Any] = {} if quant.axis is None else {"axis": quant.axis}
    if quant.block_size is not None:
        attrs["block_size"] = quant.block_size
    codes = writer.add("QuantizeLinear", [x, *parts], writer.fresh(f"{out}.codes"), node.name, **attrs)
    if fmt != quant.format:
        _say(writer, {"format": quant.format})
    writer.add("DequantizeLinear", [codes, *parts], out, f"{out}.dequantize", **attrs)


def _clipped(writer: Writer, node: Node, quant: QuantParams, entry: Format) -> str:
    """The input kept within what a restricted range holds."""
    zero = 0 if quant.zero_point is None else quant.zero_point
    ends = [((end - zero) * np.asarray(quant.scale)).astype(np.float32) for end in (entry.min_value, entry.max_value)]
    shape = writer.graph.shape_of(node.output)
    name = node.inputs[0]
    if quant.axis is None:
        limits = [writer.real(f"{node.name}.{key}", end) for key, end in zip(("min", "max"), ends, strict=True)]
        return writer.add("Clip", [name, *limits], writer.fresh(f"{name}.clipped"))
    for op, end in zip(("Max", "Min"), ends, strict=True):
        wide = spread(end, [1 if isinstance(d, str) else d for d in shape], quant.axis, quant.block_size)
        name = writer.add(
            op, [name, writer.real(f"{node.name}.{op.lower()}", wide)], writer.fresh(f"{name}.{op.lower()}")
        )
    return name


def _cast(writer: Writer, node: Node, fmt: str) -> None:
    if fmt not in _WIDE:
        raise writer.error(node.name, f"ONNX cannot store run-time values as {fmt} without a scale")
    kind, largest = _WIDE[fmt]
    ends = [writer.real(f"{node.name}.{key}", end) for key, end in (("min", -largest), ("max", largest))]
    x = writer.add("Clip", [node.inputs[0], *ends], writer.fresh(f"{node.name}.clipped"))
    stored = writer.add("Cast", [x], writer.fresh(f"{node.output}.stored"), node.name, to=kind)
    writer.add("Cast", [stored], node.output, to=TensorProto.FLOAT)


# QONNX --------------------------------------------------------------------------------------------------------------
def _qonnx_constant(writer: Writer, name: str, held: QTensor) -> None:
    """Real numbers as an initializer, and the Quant that makes them what they are; wide biases as real numbers."""
    if held.format == "int32":
        writer.tensor(name, held.dequantize())
        return
    if held.offset is not None:
        raise writer.error(name, f"{held.block_format} adds an offset to each block, which QONNX cannot say")
    scale = held.scale if held.tensor_scale is None else held.scale * held.tensor_scale
    reals = writer.tensor(writer.fresh(f"{name}.real"), held.dequantize())
    wide = spread(scale, held.shape, held.axis, held.block_size)
    zero = None if held.zero_point is None else spread(held.zero_point, held.shape, held.axis, held.block_size)
    _quant(writer, f"{name}.quant", reals, name, held.format, wide, zero, "nearest_even")


def _qonnx_value(writer: Writer, node: Node, quant: QuantParams) -> None:
    if quant.block_format is not None or quant.scale is None:
        what = quant.block_format or quant.format
        raise writer.error(node.name, f"QONNX takes scales that are fixed; {what} has none")
    if quant.overflow != "saturate" or quant.profile or quant.negative_zero:
        raise writer.error(node.name, "QONNX saturates and keeps to the format's own zeros")
    shape = [1 if isinstance(d, str) else d for d in writer.graph.shape_of(node.output)]
    wide = spread(quant.scale, shape, quant.axis, quant.block_size)
    zero = None if quant.zero_point is None else spread(quant.zero_point, shape, quant.axis, quant.block_size)
    _quant(writer, node.name, node.inputs[0], node.output, quant.format, wide, zero, quant.rounding)


def _quant(
    writer: Writer,
    name: str,
    x: str,
    out: str,
    fmt: str,
    scale: NDArray[Any],
    zero: NDArray[Any] | None,
    rounding: str,
) -> None:
    layout = _format(fmt).layout
    modes = {ours: theirs for theirs, ours in reversed(ROUNDINGS.items())}
    if rounding not in modes:
        raise writer.error(name, f"QONNX has no rounding mode {rounding}", hint=f"it has: {', '.join(modes)}")
    inputs = [x, writer.real(f"{out}.scale", scale)]

    def numbers(**held: float) -> list[str]:
        return [writer.real(f"{out}.{key}", value) for key, value in held.items()]

    if isinstance(layout, IntegerLayout) and layout.kind == "bipolar":
        writer.add("BipolarQuant", inputs, out, name, domain=_QONNX)
    elif isinstance(layout, IntegerLayout) and not layout.fraction_bits:
        signed, bits = layout.minimum < 0, max(layout.maximum.bit_length(), (-layout.minimum - 1).bit_length())
        narrow = int(signed and layout.minimum == -layout.maximum)
        inputs += [writer.real(f"{out}.zero_point", 0.0 if zero is None else zero), *numbers(bits=bits + signed)]
        attrs = {"signed": int(signed), "narrow": narrow, "rounding_mode": modes[rounding]}
        writer.add("Quant", inputs, out, name, domain=_QONNX, **attrs)
    elif isinstance(layout, FloatLayout) and layout.signed and layout.zero and _format(fmt).bits < 9:
        inputs += numbers(
            exponent_bits=layout.exponent_bits,
            mantissa_bits=layout.mantissa_bits,
            bias=layout.bias,
            largest=float(layout.magnitude(layout.max_code)),
        )
        flags = {"has_inf": int(layout.infinity), "has_nan": int(layout.nan != "none"), "has_subnormal": 1}
        attrs = {"signed": 1, "saturation": 1, "rounding_mode": modes[rounding], **flags}
        writer.add("FloatQuant", inputs, out, name, domain=_QONNX, **attrs)
    else:
        raise writer.error(name, f"QONNX has no way to say {fmt}")


_Dialect = tuple[Callable[[Writer, str, QTensor], None], Callable[[Writer, Node, QuantParams], None], int]
DIALECTS: Mapping[str, _Dialect] = {
    "qdq": (_qdq_constant, _qdq_value, _QDQ_OPSET),
    "qonnx": (_qonnx_constant, _qonnx_value, 18),
}
"""Ways to write storage: constants, run-time values, the least opset."""
