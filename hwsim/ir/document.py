"""A graph as plain data: words, numbers, lists and objects, with each constant's bytes in a `Store`.

The text form and the JSON form are two ways to write the same document, so both are exact and both refuse the same
things. Nothing is executed, and every size is checked before memory is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError, ModelError
from hwsim.ir import own_formats
from hwsim.ir.check import check
from hwsim.ir.graph import BATCH, Arithmetic, Attr, Constant, Graph, Node, QuantParams, Shape, Value
from hwsim.ir.payload import Inline, Store, from_bytes, to_bytes
from hwsim.numerics import BlockFormat, QTensor, formats

SCHEMA = "hwsim.qir/2"
DTYPES = {"float32": "fp32", "int32": "int32"}
PARTS = {
    "value": None,
    "codes": None,
    "scale": "float32",
    "zero_point": "int32",
    "tensor_scale": "float32",
    "offset": "float32",
}
"""What a constant's payloads may be, with their types; fields of block formats are ``field.NAME``."""
ARRAYS = {"scale": np.float32, "zero_point": np.int32, "multiplier": np.int64, "shift": np.int64}
Document = dict[str, Any]
Places = Mapping[tuple[str, str], str]
"""(kind, name) -> where it was read, for errors."""


def document(graph: Graph, store: Store | None = None) -> Document:
    """The document of a graph that checks; ``store`` keeps the constants' bytes (None: inside the document).

    Raises:
        ModelError: the graph does not check.
    """
    check(graph)
    store = Inline() if store is None else store
    return {
        "schema": SCHEMA,
        "name": graph.name,
        "notes": dict(graph.notes),
        "formats": own_formats.definitions(_formats(graph)),
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "cached": list(graph.cached),
        "values": {
            name: {"shape": list(value.shape), **({"quant": given(value.quant)} if value.quant else {})}
            for name, value in graph.values.items()
        },
        "constants": {name: _constant(held, store) for name, held in graph.constants.items()},
        "nodes": [_node(node) for node in graph.nodes],
    }


def given(record: Any) -> dict[str, Any]:
    """The fields of a quantization or an arithmetic that are not at their defaults, arrays as (nested) lists."""
    out: dict[str, Any] = {}
    for entry in fields(record):
        value = getattr(record, entry.name)
        if isinstance(value, np.ndarray | np.generic):
            wide = value.astype(np.float64) if value.dtype == np.float32 else value
            out[entry.name] = wide.tolist()
        elif entry.default is MISSING or value != entry.default:
            out[entry.name] = value
    return out


def _formats(graph: Graph) -> list[str]:
    names: list[str | None] = []
    records: list[QuantParams | QTensor] = [value.quant for value in graph.values.values() if value.quant]
    records += [held for held in graph.constants.values() if isinstance(held, QTensor)]
    for record in records:
        names += [record.format, record.block_format, record.scale_format]
    return [name for name in names if name]


def _node(node: Node) -> dict[str, Any]:
    attrs = {key: list(value) if isinstance(value, tuple) else value for key, value in node.attrs.items()}
    out = {"name": node.name, "op": node.op, "inputs": list(node.inputs), "output": node.output, "attrs": attrs}
    return out if node.arithmetic is None else {**out, "arithmetic": given(node.arithmetic)}


def _constant(held: Constant, store: Store) -> dict[str, Any]:
    shape = [int(d) for d in held.shape]
    if not isinstance(held, QTensor):
        return {"format": DTYPES[held.dtype.name], "shape": shape, "parts": {"value": store.put(to_bytes(held))}}
    meta: dict[str, Any] = {"code": held.codes.dtype.name, "scale_shape": list(held.scale.shape)}
    for key in ("axis", "block_size", "block_format"):
        if getattr(held, key) is not None:
            meta[key] = getattr(held, key)
    if held.scale_format != "fp32":
        meta["scale_format"] = held.scale_format
    parts = {"codes": store.put(to_bytes(held.codes, held.format)), "scale": store.put(to_bytes(held.scale))}
    for key in ("zero_point", "tensor_scale", "offset"):
        if getattr(held, key) is not None:
            parts[key] = store.put(to_bytes(np.asarray(getattr(held, key), PARTS[key])))
    if held.fields:
        meta["fields"] = {key: {"code": a.dtype.name, "shape": list(a.shape)} for key, a in held.fields.items()}
        parts |= {f"field.{key}": store.put(to_bytes(a)) for key, a in held.fields.items()}
    return {"format": held.format, "shape": shape, "quantized": meta, "parts": parts}


def graph_of(doc: object, where: str, store: Store | None = None, places: Places | None = None) -> Graph:
    """The checked graph of a document.

    Raises:
        ModelError: not such a document, or a graph that does not check.
    """
    store = Inline() if store is None else store
    found = places or {}
    top = typed(doc, dict, "the document", where)
    if top.get("schema") != SCHEMA:
        raise ModelError(f"expected schema {SCHEMA!r}, found {top.get('schema')!r}", where=where)
    optional: Document = {"notes": {}, "formats": {}, "cached": []}
    _keys(top, {"schema", "name", "inputs", "outputs", "values", "constants", "nodes"}, set(optional), where)
    top = {**optional, **top}
    for name, definition in typed(top["formats"], dict, "formats", where).items():
        at = found.get(("format", name), where)
        own_formats.learn(name, typed(definition, dict, f"format {name!r}", at), at)
    values: dict[str, Value] = {}
    for name, entry in typed(top["values"], dict, "values", where).items():
        at = found.get(("value", name), where)
        entry = typed(entry, dict, f"value {name!r}", at)
        _keys(entry, {"shape"}, {"quant"}, at)
        values[name] = Value(name, shape_of(entry["shape"], at), _quant(entry.get("quant"), at))
    constants: dict[str, Constant] = {}
    for name, entry in typed(top["constants"], dict, "constants", where).items():
        at = found.get(("constant", name), where)
        constants[name] = _read_constant(name, typed(entry, dict, f"constant {name!r}", at), store, at)
    nodes = []
    for number, entry in enumerate(typed(top["nodes"], list, "nodes", where)):
        at = found.get(("node", str(number)), where)
        nodes.append(_read_node(typed(entry, dict, "a node", at), at))
    words = [_words(top[key], key, where) for key in ("inputs", "outputs", "cached")]
    notes = typed(top["notes"], dict, "notes", where)
    _words(list(notes.values()), "notes", where)
    graph = Graph(
        typed(top["name"], str, "name", where), words[0], words[1], tuple(nodes), values, constants, words[2], notes
    )
    try:
        return check(graph)
    except HwsimError as e:
        raise ModelError(e.message, where=f"{where}: {e.where}" if e.where else where, hint=e.hint) from None


def typed(value: Any, kind: type, what: str, at: str) -> Any:
    """``value``, if it is of this type."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ModelError(f"{what} must be of type {kind.__name__}, found {type(value).__name__}", where=at)
    return value


def shape_of(value: object, at: str) -> Shape:
    """A shape from a list of whole numbers >= 1 and ``N``."""
    for d in typed(value, list, "a shape", at):
        if d != BATCH and not (type(d) is int and 1 <= d < 1 << 40):
            raise ModelError(f"a dimension must be a number >= 1 or N, found {d!r}", where=at)
    return tuple(value)  # type: ignore[arg-type]


def _keys(found: Mapping[str, Any], needed: set[str], allowed: set[str], at: str) -> None:
    if missing := sorted(needed - set(found)):
        raise ModelError(f"{missing[0]!r} is missing", where=at)
    if extra := sorted(set(found) - needed - allowed):
        raise ModelError(f"unknown key {extra[0]!r}; takes {', '.join(sorted(needed | allowed))}", where=at)


def _words(value: object, what: str, at: str) -> tuple[str, ...]:
    return tuple(typed(word, str, f"each of {what}", at) for word in typed(value, list, what, at))


def _quant(found: Any, at: str) -> QuantParams | None:
    return None if found is None else _record(QuantParams, found, "quantization", at)


def _record(kind: type[Any], found: Any, what: str, at: str) -> Any:
    """A dataclass of words, whole numbers and arrays from an object with the same keys."""
    given_keys = typed(found, dict, what, at)
    entries = {entry.name: entry for entry in fields(kind)}
    needed = {name for name, entry in entries.items() if entry.default is MISSING}
    _keys(given_keys, needed, set(entries) - needed, at)
    out: dict[str, Any] = {}
    for key, value in given_keys.items():
        if key in ARRAYS:
            out[key] = _array(value, key, at)
        else:
            out[key] = typed(value, int if key in ("axis", "block_size") else str, key, at)
    return kind(**out)


def _array(value: object, key: str, at: str) -> NDArray[Any]:
    dtype = ARRAYS[key]
    try:
        read = np.asarray(value)
        if read.dtype.kind not in ("iuf" if dtype is np.float32 else "iu"):
            raise ValueError
        held = read.astype(dtype)
        if dtype is not np.float32 and not np.array_equal(held, read):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ModelError(f"{key} must be {'numbers' if dtype is np.float32 else 'whole numbers'}", where=at) from None
    return held


def _read_node(found: dict[str, Any], at: str) -> Node:
    _keys(found, {"name", "op", "inputs", "output"}, {"attrs", "arithmetic"}, at)
    name, op, output = (typed(found[key], str, key, at) for key in ("name", "op", "output"))
    attrs = {key: _attr(value, at) for key, value in typed(found.get("attrs", {}), dict, "attrs", at).items()}
    arithmetic = found.get("arithmetic")
    held = None if arithmetic is None else _record(Arithmetic, arithmetic, "arithmetic", at)
    return Node(name, op, _words(found["inputs"], "inputs", at), output, attrs, held)


def _attr(value: object, at: str) -> Attr:
    if isinstance(value, list) and all(type(v) in (int, float) for v in value):
        return tuple(value)
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        return value
    raise ModelError(f"an attribute must be a number, a string or a list of numbers, found {value!r}", where=at)


def _read_constant(name: str, found: dict[str, Any], store: Store, at: str) -> Constant:
    _keys(found, {"format", "shape", "parts"}, {"quantized"}, at)
    fmt, parts = typed(found["format"], str, "format", at), typed(found["parts"], dict, "parts", at)
    shape = shape_of(found["shape"], at)
    if BATCH in shape:
        raise ModelError(f"constant {name!r} has a batch", where=at)
    dims = tuple(int(d) for d in shape)

    def part(key: str, dtype: str, size: tuple[int, ...], codes: str | None = None) -> NDArray[Any] | None:
        if key not in parts:
            return None
        return from_bytes(store, typed(parts[key], str, key, at), dtype, size, codes, at)

    meta = found.get("quantized")
    if meta is None:
        dtype = {v: k for k, v in DTYPES.items()}.get(fmt)
        if dtype is None or set(parts) != {"value"}:
            raise ModelError(f"constant {name!r} needs format fp32 or int32 and one payload, 'value'", where=at)
        value = part("value", dtype, dims)
        assert value is not None
        return value
    try:
        return _read_tensor(name, fmt, dims, typed(meta, dict, "quantized", at), set(parts), part, at)
    except ModelError:
        raise
    except HwsimError as e:
        raise ModelError(e.message, where=at, hint=e.hint) from None
    except (TypeError, ValueError, IndexError, OverflowError) as e:
        raise ModelError(f"constant {name!r}: {e}", where=at) from None


def _read_tensor(
    name: str, fmt: str, dims: tuple[int, ...], meta: dict[str, Any], parts: set[str], part: Any, at: str
) -> QTensor:
    _keys(meta, {"code", "scale_shape"}, {"axis", "block_size", "block_format", "scale_format", "fields"}, at)
    code, scales = meta["code"], shape_of(meta["scale_shape"], at)
    if code not in ("uint8", "uint16", "uint32") or BATCH in scales:
        raise ModelError("a quantized constant needs 'code' (uint8, uint16 or uint32) and 'scale_shape'", where=at)
    for key in ("axis", "block_size"):
        typed(meta.get(key, 0), int, key, at)
    declared = typed(meta.get("fields", {}), dict, "fields", at)
    if extra := sorted(parts - set(PARTS) - {f"field.{key}" for key in declared} | (parts & {"value"})):
        raise ModelError(f"{extra[0]!r} is no payload of {name!r}", where=at)
    codes, scale = part("codes", code, dims, fmt), part("scale", "float32", scales)
    if codes is None or scale is None:
        raise ModelError(f"constant {name!r} has no codes or no scale", where=at)
    tensor_scale = part("tensor_scale", "float32", ())
    held: dict[str, NDArray[Any]] = {}
    for key, entry in declared.items():
        if (dtype := typed(entry, dict, "a field", at).get("code")) not in ("uint8", "uint16"):
            raise ModelError(f"field {key!r} needs 'code' uint8 or uint16", where=at)
        array = part(f"field.{key}", dtype, shape_of(entry.get("shape"), at))
        if array is None:
            raise ModelError(f"field {key!r} of {name!r} has no data", where=at)
        held[key] = array
    block = meta.get("block_format")
    _check_fields(block, held, dims, meta.get("axis"), at)
    return QTensor(
        codes=codes,
        format=fmt,
        scale=scale,
        zero_point=part("zero_point", "int32", scales),
        axis=meta.get("axis"),
        block_size=meta.get("block_size"),
        scale_format=meta.get("scale_format", "fp32"),
        tensor_scale=None if tensor_scale is None else np.float32(tensor_scale),
        block_format=block,
        offset=part("offset", "float32", scales),
        fields=held or None,
    )


def _check_fields(block: Any, held: dict[str, NDArray[Any]], dims: tuple[int, ...], axis: Any, at: str) -> None:
    """What blocks store beside their elements: all of it or none, as many as there are blocks, as wide as declared."""
    entry = formats[typed(block, str, "block_format", at)] if block is not None else None
    declared = {field.name: field for field in entry.fields} if isinstance(entry, BlockFormat) else {}
    if held and set(held) != set(declared):
        raise ModelError(
            f"{block} blocks store {', '.join(declared) or 'no fields'}; found {', '.join(held)}", where=at
        )
    for key, array in held.items():
        want = list(dims)
        want[axis] = -(-dims[axis] // declared[key].size)
        if list(array.shape) != want or (array.size and int(array.max()) >> declared[key].bits):
            raise ModelError(f"field {key!r} must be {want} of {declared[key].bits} bits", where=at)
