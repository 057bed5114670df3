"""From an ONNX file to a checked protobuf: limits, external data, the opset. Nothing of a file is ever executed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError, EncodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, numpy_helper

from hwsim.errors import ModelError, nearest
from hwsim.limits import limit

MAX_MODEL_BYTES = 2_000_000_000
"""Largest model that is written (protobuf ends at 2 GiB)."""
OLDEST_OPSET = 7
"""Before opset 7 broadcasting was an attribute and Dropout and BatchNormalization had a training mode by default."""

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
WHOLE = (TensorProto.INT64, TensorProto.INT32, TensorProto.INT16, TensorProto.INT8, TensorProto.UINT8, TensorProto.BOOL)
PACKED: Mapping[int, int] = {
    TensorProto.INT2: 4,
    TensorProto.UINT2: 4,
    TensorProto.INT4: 2,
    TensorProto.UINT4: 2,
    TensorProto.FLOAT4E2M1: 2,
}
"""Elements in a byte of the types that share one."""
LOW = (
    *PACKED,
    TensorProto.FLOAT8E4M3FN,
    TensorProto.FLOAT8E4M3FNUZ,
    TensorProto.FLOAT8E5M2,
    TensorProto.FLOAT8E5M2FNUZ,
    TensorProto.FLOAT8E8M0,
)
"""Types that only hold codes."""
QONNX = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
BLOCK_DOMAIN = "hwsim"
BLOCK_FUNCTIONS: Mapping[str, tuple[str, int]] = {
    "StoreMxfp4": ("mxfp4", -1),
    "StoreMxfp4Channels": ("mxfp4", 1),
    "StoreNvfp4": ("nvfp4", -1),
    "StoreNvfp4Channels": ("nvfp4", 1),
}
"""Functions of ours (``_onnx_blocks``): the block format and the axis that each stores a value by."""
DOMAINS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(BLOCK_FUNCTIONS, (BLOCK_DOMAIN,)),
    "QuantizeLinear": ("", "ai.onnx", "com.microsoft"),
    "DequantizeLinear": ("", "ai.onnx", "com.microsoft"),
    **dict.fromkeys(("Quant", "IntQuant", "BipolarQuant", "FloatQuant", "Trunc"), QONNX),
}
"""Where operators outside the standard's own domain may live."""
STORAGE = "hwsim.storage"
"""Key of a node's metadata that name what an element type of ONNX's does not say: our formats, as a JSON object."""
_LONGEST_LINE = 300


def one_line(error: object) -> str:
    """The first lines of an outside library's complaint, joined and cut to a readable length."""
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST_LINE else text[:_LONGEST_LINE] + " ..."


def type_name(elem_type: int) -> str:
    """ONNX's element type, in words."""
    try:
        return str(TensorProto.DataType.Name(elem_type)).lower()
    except ValueError:
        return f"type {elem_type}"


def read(path: Path) -> ModelProto:
    """Parse the file at ``path``; external data are read in.

    Raises:
        ModelError: missing, empty, too large, not ONNX, or external data that are absent or leave the model's folder.
    """
    where = str(path)
    try:
        if not path.is_file():
            raise ModelError(
                "expected an ONNX file, found " + ("a folder" if path.is_dir() else "nothing"), where=where
            )
        size = path.stat().st_size
        if size == 0:
            raise ModelError("expected an ONNX file, found an empty one", where=where)
        if size > (most := limit("model_bytes")):
            raise ModelError(f"{size} bytes are over the limit of {most}", where=where)
        data = path.read_bytes()
    except (OSError, ValueError) as err:
        raise ModelError(f"cannot be read: {one_line(getattr(err, 'strerror', None) or err)}", where=where) from None
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, TypeError, RecursionError) as err:
        raise ModelError(f"not an ONNX file, or a truncated one: {one_line(err)}", where=where) from None
    _check_text(model, where)
    _read_external(model, path, size)
    return model


def verify(model: ModelProto, supported: Iterable[str], where: str) -> int:
    """Check the protobuf and its operators; its opset version.

    Raises:
        ModelError: no graph, an unsupported operator or opset, or whatever onnx's own checker refuses.
    """
    if not model.HasField("graph") or not model.graph.node:
        raise ModelError("not an ONNX model: it holds no operations", where=where)
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise ModelError(
            f"opset {opset} is outside {OLDEST_OPSET}..{newest}",
            where=where,
            hint="convert it with onnx.version_converter.convert_version",
        )
    names = sorted(supported)
    for node in model.graph.node:
        if node.domain not in DOMAINS.get(node.op_type, ("", "ai.onnx")) or node.op_type not in names:
            op = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"
            close = nearest(op, names)
            raise ModelError(
                f"operator {op!r} is not supported" + (f"; the nearest is {close!r}" if close else ""),
                where=f"{where}: node {node.name or (node.output[0] if node.output else '?')!r}",
                hint=f"supported: {', '.join(names)}",
            )
    if model.graph.sparse_initializer:
        raise ModelError("sparse initializers are not supported", where=where)
    for tensor in tensors(model):
        _check_size(tensor, where)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, RuntimeError, TypeError, EncodeError) as err:
        raise ModelError(f"onnx's checker refuses it: {one_line(err)}", where=where) from None
    return int(opset)


def tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor that the main graph holds: initializers and tensor attributes."""
    yield from model.graph.initializer
    for node in model.graph.node:
        for attr in node.attribute:
            if attr.type == AttributeProto.TENSOR:
                yield attr.t
            yield from attr.tensors


def array(tensor: TensorProto, where: str) -> NDArray[Any]:
    """A tensor's numbers, in its own type.

    Raises:
        ModelError: the bytes do not fit the declared shape and type.
    """
    _check_size(tensor, where)
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, RuntimeError, OverflowError) as err:
        raise ModelError(f"tensor {tensor.name!r} cannot be read: {one_line(err)}", where=where) from None


def attributes(node: NodeProto, where: str) -> dict[str, Any]:
    """A node's attributes as Python values (strings decoded, lists as tuples)."""
    out: dict[str, Any] = {}
    for attr in node.attribute:
        if attr.type == AttributeProto.TENSOR:
            out[attr.name] = array(attr.t, where)
            continue
        try:
            value = onnx.helper.get_attribute_value(attr)
        except (ValueError, TypeError) as err:
            raise ModelError(f"attribute {attr.name!r}: {one_line(err)}", where=where) from None
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        out[attr.name] = tuple(value) if isinstance(value, (list, tuple)) else value
    return out


def _check_text(model: ModelProto, where: str) -> None:
    """Protobuf hands text that is not UTF-8 out as bytes; refuse it once, here."""
    graph = model.graph
    words: list[object] = [graph.name, *(o.domain for o in model.opset_import)]
    for node in graph.node:
        words += [node.name, node.op_type, node.domain, *node.input, *node.output, *(a.name for a in node.attribute)]
    for info in (*graph.input, *graph.output, *graph.value_info):
        words += [info.name, *(d.dim_param for d in info.type.tensor_type.shape.dim)]
    for tensor in tensors(model):
        words += [tensor.name, *(word for entry in tensor.external_data for word in (entry.key, entry.value))]
    if not all(isinstance(word, str) for word in words):
        raise ModelError("not an ONNX file, or a damaged one: it holds names that are not UTF-8", where=where)


def _check_size(tensor: TensorProto, where: str) -> None:
    """Hold the declared shape against the bytes present, before anything of that size is allocated."""
    here = f"{where}: tensor {tensor.name!r}"
    if tensor.data_type not in (*FLOATS, *WHOLE, *LOW, TensorProto.UINT16):
        raise ModelError(f"element type {type_name(tensor.data_type)} is not supported", where=here)
    if any(d < 0 for d in tensor.dims):
        raise ModelError(f"shape {list(tensor.dims)} has a negative dimension", where=here)
    count = prod(tensor.dims)
    if tensor.HasField("raw_data"):
        held = len(tensor.raw_data)
        width = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
        wanted = -(-count // PACKED.get(tensor.data_type, 1)) * width
        unit = "bytes"
    else:
        held = max(len(tensor.float_data), len(tensor.double_data), len(tensor.int32_data), len(tensor.int64_data))
        wanted, unit = -(-count // PACKED.get(tensor.data_type, 1)), "numbers"
    if held != wanted:
        raise ModelError(f"shape {list(tensor.dims)} needs {wanted} {unit}, found {held}", where=here)


def _read_external(model: ModelProto, path: Path, held: int) -> None:
    folder = os.path.realpath(path.parent)
    for tensor in tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        here = f"{path}: tensor {tensor.name!r}"
        entries = {e.key: e.value for e in tensor.external_data}
        location = entries.get("location", "")
        target = os.path.realpath(os.path.join(folder, location)) if "\0" not in location else ""
        if not location or os.path.isabs(location) or os.path.commonpath([folder, target or os.sep]) != folder:
            raise ModelError(f"external data {location!r} lies outside the model's folder", where=here)
        if not os.path.isfile(target):
            raise ModelError(f"external data {location!r} is not there", where=here)
        there = os.path.getsize(target)
        try:
            offset = int(entries.get("offset", "0"))
            length = int(entries.get("length", str(there - offset)))
        except ValueError:
            raise ModelError("external data has an offset or length that is not a number", where=here) from None
        if offset < 0 or length < 0 or offset + length > there:
            raise ModelError(
                f"external data {location!r} holds {there} bytes, the model asks for {length} from {offset}", where=here
            )
        held += length
        if held > (most := limit("model_bytes")):
            raise ModelError(f"with external data over the limit of {most} bytes", where=str(path))
        with open(target, "rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
