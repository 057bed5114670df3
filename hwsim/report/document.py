"""A comparison as JSON, and back: plain dicts with a schema number, every field checked on the way in."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from hwsim.errors import DataError, unknown
from hwsim.limits import limit
from hwsim.report.model import Comparison

SCHEMA = "hwsim.comparison/1"
"""Name and version of the JSON form; a reader refuses any other."""

_EXACT = 2**53

_SIGNED = {"sqnr_db", "measured", "float32"}
"""Fields that may be negative or infinite; every other number must be finite and at least 0."""


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Plain dicts, lists, strings and numbers; an infinite ``sqnr_db`` becomes the string ``"inf"`` or ``"-inf"``."""
    return {"schema": SCHEMA, **plain(comparison)}


def dumps(comparison: Comparison) -> str:
    """JSON text, the same bytes for the same comparison."""
    return as_text(to_json(comparison))


def as_text(document: Mapping[str, Any]) -> str:
    """JSON text of plain dicts."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(document: object, *, where: str = "comparison") -> Comparison:
    """Rebuild a comparison from what ``to_json`` gave.

    Raises:
        DataError: a wrong schema, an unknown or missing key, a value of the wrong type or out of range; names its path.
    """
    if not isinstance(document, Mapping):
        raise DataError(f"expected an object, found {_kind(document)}", where=where)
    schema = document.get("schema")
    if schema != SCHEMA:
        raise DataError(f"expected schema {SCHEMA!r}, found {schema!r}", where=where)
    body = {key: value for key, value in document.items() if key != "schema"}
    comparison: Comparison = _typed(Comparison, body, where, "")
    return comparison


def read(path: str | Path) -> Comparison:
    """Read a comparison from a JSON file.

    Raises:
        DataError: no such file, too large, not JSON, or not a comparison.
    """
    path = Path(path)
    try:
        if path.stat().st_size > (most := limit("json_bytes")):
            raise DataError(f"larger than {most} bytes, too large for a comparison", where=str(path))
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse, object_pairs_hook=_unique)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected JSON, found something else: {error}", where=str(path)) from error
    return from_json(document, where=str(path))


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise ValueError(f"key {key!r} appears twice")
        out[key] = value
    return out


def plain(value: Any) -> Any:
    """A frozen value as dicts, lists, strings and numbers for JSON; infinities become ``"inf"`` and ``"-inf"``."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        # A reader may hand back 1 for 1.0; written alike, a document survives any number of round trips.
        return int(value)
    # numpy scalars become Python numbers; bool is checked first because it is an int.
    return bool(value) if isinstance(value, bool) else int(value) if hasattr(value, "__index__") else float(value)


def _typed(kind: Any, value: Any, where: str, path: str) -> Any:
    """``value`` as ``kind`` (a dataclass, a scalar type, tuple[...], Mapping[str, ...] or a union with None)."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _typed(next(a for a in arguments if a is not type(None)), value, where, path)
    if is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value, where, path)
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong("a list", value, where, path)
        if arguments[-1] is Ellipsis:
            return tuple(_typed(arguments[0], item, where, f"{path}[{index}]") for index, item in enumerate(value))
        if len(value) != len(arguments):
            raise _wrong(f"a list of {len(arguments)}", value, where, path)
        pairs = zip(arguments, value, strict=True)
        return tuple(
            _typed(item_kind, item, where, f"{path}[{index}]") for index, (item_kind, item) in enumerate(pairs)
        )
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong("an object", value, where, path)
        return {key: _typed(arguments[1], item, where, f"{path}.{key}") for key, item in value.items()}
    return _scalar(kind, value, where, path)


def _dataclass(kind: type[Any], value: Any, where: str, path: str) -> Any:
    if not isinstance(value, Mapping):
        raise _wrong("an object", value, where, path)
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    for key in value:
        if key not in known:
            raise unknown(DataError, "key", key, known, where=f"{where}: {path}" if path else where)
    prefix = f"{path}." if path else ""
    for name, field in known.items():
        if name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise DataError(f"key {prefix + name!r} is missing", where=where)
    ready = {name: _typed(hints[name], item, where, prefix + name) for name, item in value.items()}
    try:
        return kind(**ready)
    except DataError as error:
        raise DataError(str(error), where=f"{where}: {path}" if path else where) from error


def _scalar(kind: Any, value: Any, where: str, path: str) -> Any:
    if kind is str:
        if not isinstance(value, str):
            raise _wrong("a string", value, where, path)
        return value
    signed = path.rsplit(".", 1)[-1] in _SIGNED
    if signed and value in ("inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong("a whole number" if kind is int else "a number", value, where, path)
    if kind is int and not isinstance(value, int):
        raise _wrong("a whole number", value, where, path)
    try:
        number = kind(value)
        finite = math.isfinite(number)
    except OverflowError:
        finite = False
    if not finite or (number < 0 and not signed):
        raise _wrong("a finite number" if signed else "a finite number, at least 0", value, where, path)
    return number


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _wrong(expected: str, value: object, where: str, path: str) -> DataError:
    shown = repr(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else _kind(value)
    if len(shown) > 60:
        shown = shown[:57] + "..."
    return DataError(f"{path}: expected {expected}, found {shown}", where=where)
