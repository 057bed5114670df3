"""Importers of stored values: QuantizeLinear and DequantizeLinear.

Codes, scales and zero points come over as they are. A value between a QuantizeLinear and its DequantizeLinear stands
for the real numbers that its codes mean, so the pair becomes one ``Quantize``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from hwsim.errors import FormatError
from hwsim.io._onnx_file import STORAGE, type_name
from hwsim.io._onnx_graph import Op
from hwsim.io._onnx_shapes import TRIALS, Known, Live
from hwsim.io._quant_layout import same_storage
from hwsim.ir import Node, QuantParams
from hwsim.numerics import BlockFormat, QTensor, decode, encode, formats
from hwsim.numerics.format import Format

ELEMENTS: Mapping[int, str] = {
    TensorProto.INT2: "int2",
    TensorProto.UINT2: "uint2",
    TensorProto.INT4: "int4",
    TensorProto.UINT4: "uint4",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "uint8",
    TensorProto.INT32: "int32",
    TensorProto.FLOAT4E2M1: "fp4_e2m1",
    TensorProto.FLOAT8E4M3FN: "fp8_e4m3fn",
    TensorProto.FLOAT8E4M3FNUZ: "fp8_e4m3fnuz",
    TensorProto.FLOAT8E5M2: "fp8_e5m2",
    TensorProto.FLOAT8E5M2FNUZ: "fp8_e5m2fnuz",
    TensorProto.FLOAT8E8M0: "e8m0",
}
"""ONNX's element types and our formats of the same codes."""
INTEGERS = ("int2", "uint2", "int4", "uint4", "int8", "uint8", "int32")


def constant(held: QTensor, *, coded: bool = False) -> Known:
    """A stored constant, as its real numbers and as its codes."""
    return Known((held.dequantize(),) * len(TRIALS), held, coded)


def quantize_linear(op: Op) -> str | Known:
    """QuantizeLinear: of a constant, its codes; of a run-time value, a ``Quantize`` whose output it stands for."""
    kind = int(op.attrs.get("output_dtype", 0)) or (_elem(op, 2) if op.has(2) else TensorProto.UINT8)
    if kind not in ELEMENTS or kind in (TensorProto.INT32, TensorProto.FLOAT8E8M0):
        raise op.error(f"storing as {type_name(kind)} is not supported")
    if not op.attrs.get("saturate", 1):
        raise op.error("saturate=0 is not supported: what overflows must saturate")
    x = op.inputs[0]
    if isinstance(x, Known):
        value = op.floats(0, "value")
        quant = _params(op, ELEMENTS[kind], value.shape)
        return constant(stored(op, quant, value), coded=True)
    live = op.live()
    quant = _params(op, ELEMENTS[kind], tuple(-1 if isinstance(d, str) else d for d in live.shape))
    fmt = _said(op).get("format", quant.format)
    if fmt != quant.format and not _holds(quant.format, fmt):
        raise op.error(f"metadata say {fmt}, which {quant.format} does not hold")
    quant = replace(quant, format=fmt)
    op.elem, op.coded = kind, quant
    held = op.importer.values[live.name].quant
    if held is not None and held.format == quant.format and held.plain and same_storage(held, quant):
        name, outputs = _name(op), {op.importer.clean(o.name) for o in op.importer.model.graph.output}
        if live.name in outputs or name in op.importer.values:
            return live.name
        op.importer.rename(live.name, name)  # moved codes, stored as they were
        return name
    return quantized(op, quant, live.name, _name(op))


def dequantize_linear(op: Op) -> str | Known:
    """DequantizeLinear: a stored constant, or the end of a pair."""
    x = op.inputs[0]
    op.elem, op.coded = TensorProto.FLOAT, None
    if isinstance(x, Live):
        if x.coded is None:
            raise op.error(f"input {x.name!r} must come from a QuantizeLinear")
        given = _params(op, x.coded.format, tuple(-1 if isinstance(d, str) else d for d in x.shape))
        if not same_storage(given, x.coded):
            raise op.error("scale, zero point or axis differ from those of its QuantizeLinear")
        return x.name
    held = x.stored if isinstance(x, Known) else None
    if isinstance(x, Known) and held is not None and x.coded:
        if not same_storage(_params(op, held.format, held.shape), _storage(held)):
            raise op.error("scale, zero point or axis differ from those of its QuantizeLinear")
        return replace(x, coded=False)
    codes = op.known(0, "codes")
    kind = _elem(op, 0)
    if kind not in ELEMENTS:
        return _wide(op, codes)
    quant = _params(op, ELEMENTS[kind], codes.shape)
    scales = op.inputs[1].stored if isinstance(op.inputs[1], Known) else None
    try:
        bits = formats[quant.format].storage_bits  # type: ignore[union-attr]
        raw = codes.astype(np.int8).view(np.uint8) if codes.dtype.name in ("int2", "int4") else codes
        raw = np.ascontiguousarray(raw).view(np.uint32 if bits == 32 else np.uint8)
        raw = raw & np.uint8((1 << bits) - 1) if bits < 8 else raw
        scale, zero = np.asarray(quant.scale, np.float32), quant.zero_point
        if scales is not None and quant.block_size is not None and scales.scale.shape == ():  # scales of scales
            block = "nvfp4" if (quant.format, quant.block_size) == ("fp4_e2m1", 16) else None
            parts = (scales.format if block is None else "ue4m3", np.float32(scales.scale), block)
            whole = replace(scales, scale=np.ones((), np.float32)).dequantize()
            return constant(QTensor(raw, quant.format, whole, None, quant.axis, quant.block_size, *parts))
        return constant(_restored(QTensor(raw, quant.format, scale, zero, quant.axis, quant.block_size), _said(op)))
    except FormatError as err:
        raise op.error(f"stored constant {op.node.input[0]!r}: {err.message}") from None


def _said(op: Op) -> dict[str, str]:
    """What metadata add to an element type: names of our formats."""
    text = next((entry.value for entry in op.node.metadata_props if entry.key == STORAGE), "{}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(v, str) and v in formats for v in found.values()):
        raise op.error(f"metadata {STORAGE} must name formats, found {text[:100]!r}")
    return found


def _holds(wide: str, fmt: str) -> bool:
    """Every whole number that ``fmt`` stores is one of ``wide``."""
    outer, inner = formats[wide], formats[fmt]
    if not isinstance(outer, Format) or not isinstance(inner, Format) or not (outer.is_integer and inner.is_integer):
        return False
    return outer.min_value <= inner.min_value and inner.max_value <= outer.max_value


def _restored(held: QTensor, said: Mapping[str, str]) -> QTensor:
    """A constant in the formats that metadata name, where its numbers fit them."""
    fmt, small, block = (said.get(key) for key in ("format", "scale_format", "block_format"))
    if fmt is not None and fmt != held.format:
        codes = encode(decode(held.codes, held.format), fmt)
        if not np.array_equal(decode(codes, fmt), decode(held.codes, held.format)):
            raise FormatError(f"metadata say {fmt}, which does not hold its numbers")
        held = replace(held, codes=codes, format=fmt)
    if small is not None:
        if not np.array_equal(decode(encode(held.scale, small), small), held.scale):
            raise FormatError(f"metadata say scales of {small}, which does not hold them")
        held = replace(held, scale_format=small)
    if block is not None:
        entry = formats[block]
        own = (entry.element, entry.block_size, entry.scale_format) if isinstance(entry, BlockFormat) else None
        if own != (held.format, held.block_size, held.scale_format):
            raise FormatError(f"metadata say {block}, which is stored otherwise")
        held = replace(held, block_format=block)
    return held


def _elem(op: Op, index: int) -> int:
    """ONNX element type of a constant input."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(op.known(index, "codes").dtype))


def _params(op: Op, fmt: str, shape: tuple[int, ...]) -> QuantParams:
    """Scale, zero point, axis and block of a Quantize- or DequantizeLinear of a tensor of ``shape``."""
    scale = op.known(1, "scale")
    if scale.dtype != np.float32 or not np.isfinite(scale).all() or scale.size == 0:
        raise op.error("scales must be finite float numbers")
    block, axis = int(op.attrs.get("block_size", 0)), int(op.attrs.get("axis", 1))
    zero: NDArray[np.int32] | None = None
    if op.has(2) and fmt in INTEGERS:
        held = op.known(2, "zero point")
        if held.shape != scale.shape and not held.size == scale.size == 1:
            raise op.error(f"zero point of shape {list(held.shape)} for scales of shape {list(scale.shape)}")
        zero = held.astype(np.int32).reshape(scale.shape) if np.any(held.astype(np.int32)) else None
    if block == 0 and scale.size == 1 and scale.ndim < 2:
        return QuantParams(fmt, scale.reshape(()), None if zero is None else zero.reshape(()))
    if not -len(shape) <= axis < len(shape):
        raise op.error(f"axis {axis} is outside {len(shape)} dimensions")
    axis %= len(shape)
    if block == 0:
        if scale.shape != (shape[axis],):
            raise op.error(f"scales along axis {axis} must have shape {[shape[axis]]}, found {list(scale.shape)}")
        return QuantParams(fmt, scale, zero, axis)
    wanted = (*shape[:axis], -(-shape[axis] // block) if block > 0 else 0, *shape[axis + 1 :])
    if scale.shape != wanted:
        raise op.error(
            f"blocks of {block} along axis {axis} need scales of shape {list(wanted)}, found {list(scale.shape)}"
        )
    return QuantParams(fmt, scale, zero, axis, block)


def _wide(op: Op, codes: NDArray[Any]) -> Known:
    """A constant of whole numbers that no format of ours holds, as real numbers."""
    if codes.dtype.kind not in "iu":
        raise op.error(f"codes of {codes.dtype} are not supported")
    quant = _params(op, "int32", codes.shape)
    if quant.axis is not None or quant.zero_point is not None:
        raise op.error(f"codes of {codes.dtype} take one scale and no zero point")
    return Known(((codes.astype(np.float32) * np.float32(quant.scale)),) * len(TRIALS))


def _storage(held: QTensor) -> QuantParams:
    return QuantParams(held.format, held.scale, held.zero_point, held.axis, held.block_size)


def _name(op: Op) -> str:
    """Name of the real value: what the only DequantizeLinear gives, else this node's output."""
    readers = [n for n in op.importer.model.graph.node if op.node.output[0] in n.input]
    alone = len(readers) == 1 and readers[0].op_type == "DequantizeLinear" and readers[0].output
    return op.importer.clean(readers[0].output[0]) if alone else op.out


def quantized(op: Op, quant: QuantParams, source: str, out: str) -> str:
    """A ``Quantize`` of ``source`` as a value ``out``; its name."""
    if op.importer.values.get(out) is not None:
        out = op.importer.fresh(out)
    node = Node(op.importer.fresh_node(op.name), "Quantize", (source,), out)
    op.importer.add(node, op.where, quant)
    return out


def stored(op: Op, quant: QuantParams, value: NDArray[np.float32]) -> QTensor:
    """A constant stored so."""
    try:
        return quant.quantize(value)
    except FormatError as err:
        raise op.error(err.message) from None
