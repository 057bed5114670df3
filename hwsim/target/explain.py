"""One clear line out of pydantic's list of faults, with the file and the line that it is about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from hwsim.errors import HwsimError, nearest
from hwsim.target.yaml import Document, Key


def explain(document: Document, error: ValidationError, root: type[BaseModel], raises: type[HwsimError]) -> HwsimError:
    """Turn pydantic's list into one line about the first fault in the file; count the others.

    A misspelt key is two faults to pydantic, an unknown key and a missing one; it is one here.

    Args:
        document: the file, which knows each value's line.
        error: what pydantic found.
        root: the model that the whole file was checked against.
        raises: class of the error that comes back.
    """
    faults = error.errors(include_url=False)
    misspelt = {
        (*fault["loc"][:-1], nearest(str(fault["loc"][-1]), _fields(root, fault["loc"][:-1])))
        for fault in faults
        if fault["type"] == "extra_forbidden"
    }
    found = []
    for fault in faults:
        if fault["type"] == "missing" and fault["loc"] in misspelt:
            continue
        key = _in_file(document.data, fault["loc"])
        where = document.where(key)
        found.append((int(where.rpartition(":")[2]), where, key, fault))
    found.sort(key=lambda item: item[0])
    _, where, key, fault = found[0]
    message, hint = _sentence(root, key, fault)
    if len(found) > 1:
        more = f"{len(found) - 1} more fault{'s' if len(found) > 2 else ''} in the file"
        hint = f"{hint}; {more}" if hint else more
    return raises(message, where=where, hint=hint)


def _in_file(data: Any, location: tuple[int | str, ...]) -> Key:
    """pydantic's location without the union tags that are not in the file. A missing last key stays."""
    key: list[int | str] = []
    for index, part in enumerate(location):
        inside = isinstance(data, dict) and part in data
        if inside or (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            key.append(part)
            data = data[part]
        elif index == len(location) - 1:
            key.append(part)
    return tuple(key)


def _sentence(root: type[BaseModel], key: Key, fault: Any) -> tuple[str, str | None]:
    """What was expected and found, and a hint, for one of pydantic's faults."""
    kind, found, context = fault["type"], fault.get("input"), fault.get("ctx", {})
    path = ".".join(map(str, key))
    if kind == "extra_forbidden":
        fields = sorted(_fields(root, fault["loc"][:-1]))
        close = nearest(str(key[-1]), fields)
        hint = f"did you mean {close!r}?" if close else f"one of: {', '.join(fields)}"
        return f"unknown key {str(key[-1])!r}" + (f" in {'.'.join(map(str, key[:-1]))}" if len(key) > 1 else ""), hint
    if kind == "missing":
        parent = ".".join(map(str, key[:-1])) or "the file"
        return f"expected the key {str(key[-1])!r} in {parent}, found none", None
    if kind == "literal_error":
        return _choice(path, found, context.get("expected", ""))
    if kind == "union_tag_invalid":
        return _choice(f"{path}.kind", context.get("tag"), context.get("expected_tags", ""))
    if kind == "union_tag_not_found":
        return f"expected the key 'kind' in {path}, found none", None
    expected = {
        "float_type": "a number",
        "int_type": "a whole number",
        "string_type": "text",
        "bool_type": "true or false",
        "dict_type": "a mapping",
        "model_type": "a mapping",
        "model_attributes_type": "a mapping",
        "finite_number": "a finite number",
        "greater_than": f"a number above {context.get('gt')}",
        "greater_than_equal": f"a whole number of at least {context.get('ge')}",
        "string_pattern_mismatch": f"text like {context.get('pattern')}",
        "string_too_short": "text, not empty",
        "string_too_long": f"text of at most {context.get('max_length')} characters",
        "too_short": "at least one entry",
    }.get(kind, fault["msg"])
    return f"{path}: expected {expected}, found {_show(found)}", None


def _choice(path: str, found: Any, expected: str) -> tuple[str, str | None]:
    choices = [word.strip("' ") for word in expected.replace(" or ", ",").split(",") if word.strip()]
    close = nearest(str(found), choices)
    return f"{path}: expected one of {', '.join(choices)}, found {_show(found)}", close and f"did you mean {close!r}?"


def _show(found: Any) -> str:
    if isinstance(found, dict):
        return "a mapping"
    if isinstance(found, list):
        return "a list"
    if found is None:
        return "nothing"
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fields(root: type[BaseModel], location: tuple[int | str, ...]) -> set[str]:
    """Keys that the models take at a pydantic location."""
    here: list[Any] = [root]
    for part in location:
        below: list[Any] = []
        for model in here:
            if part in model.model_fields:
                below.extend(_models(model.model_fields[part].annotation))
            elif (tag := model.model_fields.get("kind")) is not None and part in get_args(tag.annotation):
                below.append(model)  # pydantic puts a union's tag into the location
        here = below or here
    return {field for model in here for field in model.model_fields}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models inside a field's annotation (optional, union, or a dict's values)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
