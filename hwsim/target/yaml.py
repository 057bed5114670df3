"""Read YAML so that every value knows its line, and nothing is guessed or silently lost.

PyYAML's constructors keep the last of two equal keys and read ``1e9`` as text (YAML 1.1); this reader works on its
node tree: duplicate keys are errors, scalars follow the YAML 1.2 core schema, anchors, aliases, tags and a second
document are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hwsim.errors import TargetError
from hwsim.limits import limit

MAX_DEPTH = 24

Key = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]+")
_RADIX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}

_Loader: type[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: plain dicts, lists and scalars, and the line of each path (keys and indices from the root)."""

    path: str
    data: Any
    lines: dict[Key, int]

    def where(self, key: Key) -> str:
        """``path:line`` of the value at ``key``, or of its nearest parent that the file has."""
        while key and key not in self.lines:
            key = key[:-1]
        return f"{self.path}:{self.lines.get(key, 1)}"


def read_yaml(path: str | Path) -> Document:
    """Read a file.

    Raises:
        TargetError: one line, ``path:line: ...``: missing, unreadable, over 1 MB, not UTF-8, not YAML, empty, not a
            mapping; a key twice; an anchor, alias, tag, second document or nesting deeper than 24.
    """
    shown, most = str(path), limit("yaml_bytes")
    try:
        with Path(path).open("rb") as stream:
            raw = stream.read(most + 1)
    except OSError as error:
        raise TargetError(f"cannot read the file: {error.strerror or error}", where=shown) from None
    if len(raw) > most:
        raise TargetError(f"expected at most {most} bytes, found more", where=shown)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise TargetError("expected UTF-8 text, found other bytes", where=f"{shown}:{line}") from None
    return parse_yaml(text, shown)


def parse_yaml(text: str, path: str = "<text>") -> Document:
    """Parse text; ``path`` is what errors name. Raises as :func:`read_yaml` does."""
    try:
        _refuse(text, path)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise TargetError(f"expected YAML, found a syntax error: {problem}", where=f"{path}:{line}") from None
    except yaml.YAMLError as error:
        raise TargetError(f"expected YAML text, found a character it cannot hold: {error}", where=path) from None
    if root is None:
        raise TargetError("expected a mapping of keys, found an empty file", where=f"{path}:1")
    if not isinstance(root, yaml.MappingNode):
        found = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        raise TargetError(f"expected a mapping of keys, found {found}", where=f"{path}:{root.start_mark.line + 1}")
    lines: dict[Key, int] = {(): 1}
    return Document(path, _build(root, (), lines, path), lines)


def _refuse(text: str, path: str) -> None:
    """Scan the flat event stream before anything recursive sees the text."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        mark = event.start_mark
        where = f"{path}:{mark.line + 1 if mark else 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise TargetError("expected plain YAML, found an anchor or alias (write the value out)", where=where)
        if tag := getattr(event, "tag", None):
            raise TargetError(f"expected plain YAML, found the tag {tag!r}", where=where)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise TargetError("expected one document, found a second", where=where)
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise TargetError(f"expected at most {MAX_DEPTH} levels of nesting, found more", where=where)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _build(node: yaml.Node, at: Key, lines: dict[Key, int], path: str) -> Any:
    if isinstance(node, yaml.MappingNode):
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise TargetError("expected a name as key, found a collection", where=f"{path}:{line}")
            key = str(key_node.value)
            if key in out:
                first = lines[(*at, key)]
                raise TargetError(
                    f"expected each key once, found {key!r} again (first on line {first})", where=f"{path}:{line}"
                )
            lines[(*at, key)] = line
            out[key] = _build(value_node, (*at, key), lines, path)
        return out
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            lines[(*at, index)] = item.start_mark.line + 1
            items.append(_build(item, (*at, index), lines, path))
        return items
    quoted = getattr(node, "style", None)
    return str(node.value) if quoted else _scalar(str(node.value))


def _scalar(text: str) -> Any:
    """A plain scalar by the YAML 1.2 core schema (section 10.3.2): null, bool, int, float, else text."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INT.fullmatch(text):
        return int(text) if len(text) < 400 else float(text)
    if _RADIX.fullmatch(text):
        return int(text[2:], 8 if text[1] == "o" else 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
