"""A target with some of its fields changed: what sweeps and what-if questions ask for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hwsim.errors import TargetError, unknown
from hwsim.target.load import build_target, load_target, names, path_of
from hwsim.target.schema import Target
from hwsim.target.yaml import Document, read_yaml

Scalar = bool | int | float | str


def with_fields(name_or_path: str, fields: Mapping[str, Scalar]) -> Target:
    """A target with ``fields`` set: dotted path -> value (``machine.rows``). Numbers that are set count as assumed.

    Raises:
        TargetError: no such target or field, or a value that the field does not take.

    Example:
        >>> with_fields("hwsim-int4-ws16", {"machine.rows": 32}).machine.rows.value
        32
    """
    if not fields:
        return load_target(name_or_path)
    document = _document(name_or_path)
    data = document.data
    for path, value in fields.items():
        data = _with_field(data, path.split("."), value, where=f"{name_or_path}: {path}")
    return build_target(Document(document.path, data, document.lines))


@lru_cache(maxsize=64)
def _document(name: str) -> Document:
    return read_yaml(path_of(name) if name in names() else name)


def _with_field(data: Any, path: list[str], value: Scalar, where: str) -> Any:
    """``data`` with one field set; what it shares with the old is not copied."""
    head, *rest = path
    if not isinstance(data, dict):
        raise TargetError(f"expected a field of a mapping, found {head!r}", where=where)
    if head not in data:
        raise unknown(TargetError, "field", head, data, where=where)
    old = data[head]
    if rest:
        return {**data, head: _with_field(old, rest, value, where)}
    number = next((key for key in ("value", "value_pj") if isinstance(old, dict) and key in old), None)
    if number is None:
        return {**data, head: value}
    kept = {key: item for key, item in old.items() if key not in ("low", "high", "low_pj", "high_pj")}
    return {**data, head: {**kept, number: value, "kind": "assumed"}}
