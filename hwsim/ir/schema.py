"""JSON Schema (draft 2020-12) of the JSON form, made from what the reader uses: dataclasses, operators, words."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from hwsim.ir.document import ARRAYS, PARTS, SCHEMA
from hwsim.ir.graph import ACCUMULATOR_OVERFLOWS, ACCUMULATORS, BATCH, REQUANTIZERS, Arithmetic, QuantParams
from hwsim.ir.ops import OPS, OpDef
from hwsim.numerics.format import NEGATIVE_ZEROS, OVERFLOWS, ROUNDINGS

Schema = dict[str, Any]
_WORDS: dict[tuple[type, str], tuple[str, ...]] = {
    (QuantParams, "rounding"): ROUNDINGS,
    (QuantParams, "overflow"): OVERFLOWS,
    (QuantParams, "negative_zero"): NEGATIVE_ZEROS,
    (Arithmetic, "accumulator"): ACCUMULATORS,
    (Arithmetic, "overflow"): ACCUMULATOR_OVERFLOWS,
    (Arithmetic, "requantize"): REQUANTIZERS,
}
_NAME: Schema = {"type": "string"}
_SIZE: Schema = {"type": "integer", "minimum": 1}
_LABEL: Schema = {"type": "string", "minLength": 1}


def json_schema() -> Schema:
    """The schema of a document of this version; formats may be hwsim's own or the document's."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hwsim Quantized IR",
        "description": "docs/qir.md says what each part means.",
        **_object(
            {
                "schema": {"const": SCHEMA},
                "name": _NAME,
                "inputs": _list(_NAME),
                "outputs": _list(_NAME),
                "values": _map({"$ref": "#/$defs/value"}),
                "constants": _map({"$ref": "#/$defs/constant"}),
                "nodes": _list({"$ref": "#/$defs/node"}),
            },
            {"notes": _map(_NAME), "formats": _map({"$ref": "#/$defs/format"}), "cached": _list(_NAME)},
        ),
        "$defs": {
            "shape": _list({"anyOf": [_SIZE, {"const": BATCH}]}),
            "fixed_shape": _list(_SIZE),
            "payload": {
                "description": "deflated base64 of little-endian bytes, or @offset+size:crc32 in the file beside",
                "type": "string",
                "pattern": "^([A-Za-z0-9+/]*={0,2}|@[0-9]+\\+[0-9]+:[0-9a-f]{8})$",
            },
            "value": _object({"shape": {"$ref": "#/$defs/shape"}}, {"quant": {"$ref": "#/$defs/quant"}}),
            "quant": _record(QuantParams),
            "arithmetic": _record(Arithmetic),
            "constant": _constant(),
            "node": _node(),
            "format": {
                "type": "object",
                "properties": {"kind": {"enum": ["float", "integer", "table", "block"]}},
                "required": ["kind", "title", "source"],
            },
        },
    }


def _object(needed: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    properties = {**needed, **(optional or {})}
    return {
        "type": "object",
        "properties": properties,
        "required": list(needed),
        "additionalProperties": False,
    }


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _map(item: Schema) -> Schema:
    return {"type": "object", "additionalProperties": item}


def _record(kind: type[Any]) -> Schema:
    """A dataclass whose fields are words, whole numbers and arrays."""
    needed: dict[str, Schema] = {}
    optional: dict[str, Schema] = {}
    for entry in fields(kind):
        if entry.name in ARRAYS:
            number = "number" if ARRAYS[entry.name].__name__ == "float32" else "integer"
            each: Schema = {"type": ["array", number]}
        elif (kind, entry.name) in _WORDS:
            each = {"enum": list(_WORDS[kind, entry.name])}
        else:
            each = {"type": "integer"} if entry.name in ("axis", "block_size") else _LABEL
        (needed if entry.default is MISSING else optional)[entry.name] = each
    return _object(needed, optional)


def _constant() -> Schema:
    code = {"enum": ["uint8", "uint16", "uint32"]}
    shape = {"$ref": "#/$defs/fixed_shape"}
    meta = _object(
        {"code": code, "scale_shape": shape},
        {
            "axis": {"type": "integer"},
            "block_size": _SIZE,
            "block_format": _LABEL,
            "scale_format": _LABEL,
            "fields": _map(_object({"code": {"enum": ["uint8", "uint16"]}, "shape": shape})),
        },
    )
    parts = {
        "type": "object",
        "properties": {name: {"$ref": "#/$defs/payload"} for name in PARTS},
        "patternProperties": {"^field\\.": {"$ref": "#/$defs/payload"}},
        "additionalProperties": False,
    }
    return _object({"format": _LABEL, "shape": shape, "parts": parts}, {"quantized": meta})


def _node() -> Schema:
    """A node of any operator; its attributes are those of its operator. ``False`` is a schema that nothing fits."""
    node = _object(
        {"name": _NAME, "op": {"enum": sorted(OPS)}, "inputs": _list(_NAME), "output": _NAME},
        {"attrs": {"type": "object"}, "arithmetic": {"$ref": "#/$defs/arithmetic"}},
    )
    node["allOf"] = [
        {"if": {"properties": {"op": {"const": name}}}, "then": {"properties": _of_op(op)}} for name, op in OPS.items()
    ]
    return node


def _of_op(op: OpDef) -> dict[str, Any]:
    low, high = op.inputs
    attrs = _object({name: _attr(kind) for name, kind in op.attrs.items()})
    found: dict[str, Any] = {"inputs": {"minItems": low, "maxItems": high}, "attrs": attrs}
    return found if op.kind == "matrix" else {**found, "arithmetic": False}


def _attr(kind: type | tuple[type, int]) -> Schema:
    words = {int: "integer", float: "number", str: "string"}
    if not isinstance(kind, tuple):
        return {"type": words[kind]}
    each, length = kind
    sizes = {"minItems": length, "maxItems": length} if length else {}
    return {"type": "array", "items": {"type": words[each]}, **sizes}


if __name__ == "__main__":
    import json

    print(json.dumps(json_schema(), indent=1))
