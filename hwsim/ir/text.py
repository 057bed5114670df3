"""Textual form of a graph (``.qir``): readable, diffable, and exact both ways.

One line a thing: ``input``, ``const``, ``node``, ``output``; each is a name, a type ``format[shape]`` and, where
needed, a JSON object. The numbers of the constants follow under ``data`` as base64 of little-endian bytes, deflated.
Reading executes nothing and checks every size before it takes memory.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError, ModelError
from hwsim.ir.check import check
from hwsim.ir.graph import BATCH, Attr, Constant, Graph, Node, QuantParams, Shape, Value
from hwsim.numerics import QTensor

HEADER = "hwsim-qir 1"
MAX_BYTES = 2 << 30
_NAME = re.compile(r"^[^\s\"]+$")
_LINE = re.compile(r"^(?P<kind>input|const|node|output) (?P<rest>.*)$")
_TYPED = re.compile(r"^(?P<name>\S+) : (?P<format>\w+)\[(?P<shape>[^\]]*)\](?: (?P<json>\{.*\}))?$")
_NODE = re.compile(
    r"^(?P<name>\S+) = (?P<op>\w+)\((?P<inputs>[^)]*)\)(?: (?P<attrs>\{.*\}))? -> (?P<out>\S+) : "
    r"(?P<format>\w+)\[(?P<shape>[^\]]*)\](?: quant (?P<quant>\{.*\}))?$"
)
_QUANT_KEYS = {"format", "scale", "zero_point", "axis", "block_size", "block_format", "rounding"}


def dumps(graph: Graph) -> str:
    """The text of ``graph``.

    Raises:
        ModelError: the graph does not check, or a name holds white space.
    """
    check(graph)
    for name in (graph.name, *graph.values, *graph.constants, *(n.name for n in graph.nodes)):
        if not _NAME.match(name):
            raise ModelError(f"name {name!r} holds white space or quotes and cannot be written", where=graph.name)
    lines = [HEADER, f"graph {graph.name}"]
    for name in graph.inputs:
        lines.append(f"input {_typed(graph.values[name])}{_brace(_quant_json(graph.values[name].quant))}")
    payloads: list[str] = []
    for name, constant in graph.constants.items():
        meta, arrays = _constant_parts(constant)
        fmt = constant.format if isinstance(constant, QTensor) else _DTYPES[constant.dtype.name]
        lines.append(f"const {name} : {fmt}[{_shape(tuple(constant.shape))}]{_brace(meta)}")
        payloads += [f"{name} {part} {_pack(array)}" for part, array in arrays.items()]
    for node in graph.nodes:
        value = graph.values[node.output]
        quant = _quant_json(value.quant)
        lines.append(
            f"node {node.name} = {node.op}({', '.join(node.inputs)}){_brace(dict(node.attrs))} -> {_typed(value)}"
            + (f" quant {json.dumps(quant)}" if quant else "")
        )
    lines += [f"output {name}" for name in graph.outputs]
    return "\n".join([*lines, "data", *payloads, ""])


def loads(text: str, *, where: str = "<text>") -> Graph:
    """The graph of a text.

    Raises:
        ModelError: not such a text, or a graph that does not check; ``where`` gains the line number.
    """
    lines = enumerate(text.splitlines(), start=1)
    if next(lines, (0, ""))[1] != HEADER:
        raise ModelError(f"expected the first line to be {HEADER!r}", where=f"{where}:1")
    reader = _Reader(where)
    for number, line in lines:
        if line == "data":
            break
        reader.line(number, line)
    payloads = reader.payloads(lines)
    try:
        return check(reader.graph(payloads))
    except HwsimError as e:
        raise ModelError(e.message, where=f"{where}: {e.where}" if e.where else where, hint=e.hint) from None


_DTYPES = {"float32": "fp32", "int32": "int32"}
_PARTS = ("value", "codes", "scale", "zero_point", "tensor_scale")


def _shape(shape: Shape) -> str:
    return ",".join(str(d) for d in shape)


def _typed(value: Value) -> str:
    return f"{value.name} : {value.format}[{_shape(value.shape)}]"


def _brace(content: dict[str, Any]) -> str:
    return f" {json.dumps(content)}" if content else ""


def _quant_json(quant: QuantParams | None) -> dict[str, Any]:
    if quant is None:
        return {}
    out: dict[str, Any] = {"format": quant.format}
    if quant.scale is not None:
        out["scale"] = np.asarray(quant.scale, np.float64).tolist()
    if quant.zero_point is not None:
        out["zero_point"] = quant.zero_point.tolist()
    for key in ("axis", "block_size", "block_format"):
        if getattr(quant, key) is not None:
            out[key] = getattr(quant, key)
    if quant.rounding != "nearest_even":
        out["rounding"] = quant.rounding
    return out


def _constant_parts(constant: Constant) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    if not isinstance(constant, QTensor):
        return {}, {"value": constant}
    meta: dict[str, Any] = {"scale_shape": list(constant.scale.shape), "code": constant.codes.dtype.name}
    for key in ("axis", "block_size", "block_format"):
        if getattr(constant, key) is not None:
            meta[key] = getattr(constant, key)
    if constant.scale_format != "fp32":
        meta["scale_format"] = constant.scale_format
    arrays: dict[str, NDArray[Any]] = {"codes": constant.codes, "scale": constant.scale}
    if constant.zero_point is not None:
        arrays["zero_point"] = constant.zero_point
    if constant.tensor_scale is not None:
        arrays["tensor_scale"] = np.asarray(constant.tensor_scale, np.float32)
    return meta, arrays


def _pack(array: NDArray[Any]) -> str:
    raw = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def _unpack(payload: str, dtype: str, shape: tuple[int, ...], where: str) -> NDArray[Any]:
    size = prod(shape) * np.dtype(dtype).itemsize
    if size > MAX_BYTES:
        raise ModelError(f"a constant of {size} bytes is over the limit of {MAX_BYTES}", where=where)
    try:
        inflate = zlib.decompressobj()
        raw = inflate.decompress(base64.b64decode(payload, validate=True), size + 1)
    except (zlib.error, binascii.Error, ValueError):
        raise ModelError("payload is not deflated base64", where=where) from None
    if len(raw) != size:
        raise ModelError(f"payload must hold {size} bytes for {dtype}{list(shape)}, found {len(raw)}", where=where)
    return np.frombuffer(raw, dtype=np.dtype(dtype).newbyteorder("<")).reshape(shape).astype(dtype)


class _Reader:
    """What the lines before ``data`` declared."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.name: str | None = None
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self.constants: dict[str, tuple[str, tuple[int, ...], dict[str, Any], str]] = {}

    def line(self, number: int, line: str) -> None:
        at = f"{self.where}:{number}"
        if not line.strip() or line.startswith("#"):
            return
        if line.startswith("graph ") and self.name is None:
            self.name = line.removeprefix("graph ").strip()
            return
        match = _LINE.match(line)
        if match is None:
            raise ModelError("expected graph, input, const, node, output or data", where=at)
        kind, rest = match["kind"], match["rest"]
        if kind == "output":
            self.outputs.append(rest.strip())
        elif kind == "node":
            self._node(rest, at)
        else:
            typed = _TYPED.match(rest)
            if typed is None:
                raise ModelError(f"expected '{kind} NAME : FORMAT[SHAPE]'", where=at)
            shape, extra = _parse_shape(typed["shape"], at), _parse_json(typed["json"], at)
            if kind == "input":
                self.inputs.append(typed["name"])
                self._value(Value(typed["name"], shape, _parse_quant(extra, at)), at)
            else:
                if BATCH in shape or typed["name"] in self.constants:
                    raise ModelError(f"constant {typed['name']!r} is declared twice or has a batch", where=at)
                self.constants[typed["name"]] = (typed["format"], tuple(int(d) for d in shape), extra, at)

    def _node(self, rest: str, at: str) -> None:
        match = _NODE.match(rest)
        if match is None:
            raise ModelError("expected 'node NAME = OP(INPUTS) {ATTRS} -> VALUE : FORMAT[SHAPE]'", where=at)
        attrs = {key: _attr(value, at) for key, value in _parse_json(match["attrs"], at).items()}
        inputs = tuple(i.strip() for i in match["inputs"].split(",") if i.strip())
        self.nodes.append(Node(match["name"], match["op"], inputs, match["out"], attrs))
        quant = _parse_quant(_parse_json(match["quant"], at), at)
        self._value(Value(match["out"], _parse_shape(match["shape"], at), quant), at)

    def _value(self, value: Value, at: str) -> None:
        if value.name in self.values:
            raise ModelError(f"value {value.name!r} is declared twice", where=at)
        self.values[value.name] = value

    def payloads(self, lines: Iterator[tuple[int, str]]) -> dict[tuple[str, str], tuple[str, str]]:
        out: dict[tuple[str, str], tuple[str, str]] = {}
        for number, line in lines:
            if not line.strip():
                continue
            at = f"{self.where}:{number}"
            fields = line.split(" ")
            if len(fields) != 3 or fields[0] not in self.constants or fields[1] not in _PARTS:
                raise ModelError("expected 'CONSTANT PART BASE64' of a declared constant", where=at)
            if (fields[0], fields[1]) in out:
                raise ModelError(f"{fields[1]} of {fields[0]!r} is given twice", where=at)
            out[fields[0], fields[1]] = (fields[2], at)
        return out

    def graph(self, payloads: dict[tuple[str, str], tuple[str, str]]) -> Graph:
        if self.name is None:
            raise ModelError("expected a line 'graph NAME'", where=self.where)
        constants: dict[str, Constant] = {}
        for name, (fmt, shape, meta, at) in self.constants.items():

            def part(
                key: str, dtype: str, dims: tuple[int, ...], name: str = name, at: str = at
            ) -> NDArray[Any] | None:
                found = payloads.get((name, key))
                return None if found is None else _unpack(found[0], dtype, dims, found[1])

            constants[name] = _constant(name, fmt, shape, meta, at, part)
        return Graph(self.name, tuple(self.inputs), tuple(self.outputs), tuple(self.nodes), self.values, constants)


def _constant(name: str, fmt: str, shape: tuple[int, ...], meta: dict[str, Any], at: str, part: Any) -> Constant:
    dtype = {v: k for k, v in _DTYPES.items()}.get(fmt)
    if dtype is not None and not meta:
        value: NDArray[Any] | None = part("value", dtype, shape)
        if value is None:
            raise ModelError(f"constant {name!r} has no data", where=at)
        return value
    code, scale_shape = meta.get("code"), meta.get("scale_shape")
    if code not in ("uint8", "uint16", "uint32") or scale_shape is None or not _is_shape(scale_shape):
        raise ModelError("a quantized constant needs 'code' (uint8, uint16 or uint32) and 'scale_shape'", where=at)
    dims = tuple(scale_shape)
    codes, scale = part("codes", code, shape), part("scale", "float32", dims)
    if codes is None or scale is None:
        raise ModelError(f"constant {name!r} has no codes or no scale", where=at)
    tensor_scale = part("tensor_scale", "float32", ())
    try:
        return QTensor(
            codes=codes,
            format=fmt,
            scale=scale,
            zero_point=part("zero_point", "int32", dims),
            axis=meta.get("axis"),
            block_size=meta.get("block_size"),
            scale_format=meta.get("scale_format", "fp32"),
            tensor_scale=None if tensor_scale is None else np.float32(tensor_scale),
            block_format=meta.get("block_format"),
        )
    except HwsimError as e:
        raise ModelError(e.message, where=at, hint=e.hint) from None
    except (TypeError, ValueError, IndexError) as e:
        raise ModelError(f"constant {name!r}: {e}", where=at) from None


def _is_shape(value: object) -> bool:
    return isinstance(value, list) and all(type(d) is int and d >= 1 for d in value)


def _parse_shape(text: str, at: str) -> Shape:
    dims: list[int | str] = []
    for part in (p.strip() for p in text.split(",") if p.strip()):
        if part == BATCH:
            dims.append(BATCH)
        elif part.isdecimal() and 1 <= int(part) < 1 << 40:
            dims.append(int(part))
        else:
            raise ModelError(f"a dimension must be a number >= 1 or N, found {part!r}", where=at)
    return tuple(dims)


def _parse_json(text: str | None, at: str) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        raise ModelError("the part in braces is not JSON", where=at) from None
    if not isinstance(parsed, dict):
        raise ModelError("the part in braces must be a JSON object", where=at)
    return parsed


def _attr(value: object, at: str) -> Attr:
    if isinstance(value, list) and all(type(v) in (int, float) for v in value):
        return tuple(value)
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        return value
    raise ModelError(f"an attribute must be a number, a string or a list of numbers, found {value!r}", where=at)


def _parse_quant(found: dict[str, Any], at: str) -> QuantParams | None:
    if not found:
        return None
    if set(found) - _QUANT_KEYS or not isinstance(found.get("format"), str):
        raise ModelError(f"quantization takes {', '.join(sorted(_QUANT_KEYS))}; found {', '.join(found)}", where=at)
    try:
        scale = None if "scale" not in found else np.asarray(found["scale"], dtype=np.float32)
        zero = None if "zero_point" not in found else np.asarray(found["zero_point"], dtype=np.int32)
    except (TypeError, ValueError, OverflowError):
        raise ModelError("scales and zero points must be numbers", where=at) from None
    for key in ("axis", "block_size"):
        if type(found.get(key, 0)) is not int:
            raise ModelError(f"{key} must be a whole number, found {found[key]!r}", where=at)
    return QuantParams(
        format=found["format"],
        scale=scale,
        zero_point=zero,
        axis=found.get("axis"),
        block_size=found.get("block_size"),
        block_format=found.get("block_format"),
        rounding=str(found.get("rounding", "nearest_even")),
    )
