"""Textual form of a graph (``.qir``): readable, diffable, and exact both ways.

One line a thing: ``note``, ``format``, ``input``, ``const``, ``node``, ``output``, ``cached``; each is a name, a type
``format[shape]`` and, where needed, a JSON object. The numbers of the constants follow under ``data``: deflated base64,
or places in a file beside the text (`hwsim.ir.payload`). Reading executes nothing and checks every size before it takes
memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

from hwsim.errors import ModelError
from hwsim.ir.document import SCHEMA, Document, document, graph_of
from hwsim.ir.graph import BATCH, Graph, Shape
from hwsim.ir.payload import Store

__all__ = ["HEADER", "dumps", "dumps_json", "loads", "loads_json"]

HEADER = "hwsim-qir 2"
_ODD = re.compile(r"[\s\",()%\x00-\x1f\x7f\x85]")
_LINE = re.compile(r"^(?P<kind>note|format|input|const|node|output|cached) (?P<rest>.*)$")
_NAMED = re.compile(r"^(?P<name>\S+) (?P<json>\{.*\}|\".*\")$")
_TYPED = re.compile(r"^(?P<name>\S+) : (?P<format>\w+)\[(?P<shape>[^\]]*)\](?: (?P<json>\{.*\}))?$")
_NODE = re.compile(
    r"^(?P<name>\S+) = (?P<op>\w+)\((?P<inputs>[^)]*)\)(?: (?P<attrs>\{.*?\}))?(?: in (?P<arithmetic>\{.*?\}))?"
    r" -> (?P<out>\S+) : (?P<format>\w+)\[(?P<shape>[^\]]*)\](?: quant (?P<quant>\{.*\}))?$"
)


def dumps(graph: Graph, store: Store | None = None) -> str:
    """The text of ``graph``; ``store`` keeps the constants' bytes (None: inside the text). Characters of names that
    the lines need for themselves are written as in URLs (``%20``).

    Raises:
        ModelError: the graph does not check.
    """
    doc = document(graph, store)
    lines = [HEADER, f"graph {_word(graph.name)}"]
    lines += [f"note {_word(key)} {json.dumps(text)}" for key, text in doc["notes"].items()]
    lines += [f"format {name} {json.dumps(entry)}" for name, entry in doc["formats"].items()]
    values = doc["values"]
    for name in graph.inputs:
        lines.append(f"input {_word(name)} : {_type(graph, name)}{_brace(values[name].get('quant'))}")
    payloads: list[str] = []
    for name, entry in doc["constants"].items():
        shape = ",".join(map(str, entry["shape"]))
        lines.append(f"const {_word(name)} : {entry['format']}[{shape}]{_brace(entry.get('quantized'))}")
        payloads += [f"{_word(name)} {part} {word}" for part, word in entry["parts"].items()]
    for node in doc["nodes"]:
        quant, arithmetic = values[node["output"]].get("quant"), node.get("arithmetic")
        lines.append(
            f"node {_word(node['name'])} = {node['op']}({', '.join(map(_word, node['inputs']))}){_brace(node['attrs'])}"
            + (f" in {json.dumps(arithmetic)}" if arithmetic else "")
            + f" -> {_word(node['output'])} : {_type(graph, node['output'])}"
            + (f" quant {json.dumps(quant)}" if quant else "")
        )
    lines += [f"output {_word(name)}" for name in graph.outputs]
    lines += [f"cached {_word(name)}" for name in graph.cached]
    return "\n".join([*lines, "data", *payloads, ""])


def loads(text: str, *, where: str = "<text>", store: Store | None = None) -> Graph:
    """The graph of a text; ``store`` holds the constants' bytes where they are not inside it.

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
    reader.payloads(lines)
    if reader.name is None:
        raise ModelError("expected a line 'graph NAME'", where=where)
    return graph_of({**reader.doc, "name": reader.name}, where, store, reader.places)


def dumps_json(graph: Graph, store: Store | None = None) -> str:
    """The same document as JSON, after the schema that ``hwsim.ir.schema`` makes.

    Raises:
        ModelError: the graph does not check.
    """
    return json.dumps(document(graph, store), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def loads_json(text: str, *, where: str = "<json>", store: Store | None = None) -> Graph:
    """The graph of a JSON document.

    Raises:
        ModelError: not such a document, or a graph that does not check.
    """
    return graph_of(_json(text, where), where, store)


def _word(name: str) -> str:
    return _ODD.sub(lambda found: quote(found[0], safe=""), name)


def _type(graph: Graph, name: str) -> str:
    value = graph.values[name]
    return f"{value.format}[{','.join(map(str, value.shape))}]"


def _brace(content: dict[str, Any] | None) -> str:
    return f" {json.dumps(content)}" if content else ""


class _Reader:
    """The document that lines declare, and where each part of it stood."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.name: str | None = None
        keys = ("notes", "formats", "values", "constants")
        self.doc: Document = {"schema": SCHEMA, **{key: {} for key in keys}}
        self.doc |= {"inputs": [], "outputs": [], "cached": [], "nodes": []}
        self.places: dict[tuple[str, str], str] = {}

    def line(self, number: int, line: str) -> None:
        at = f"{self.where}:{number}"
        if not line.strip():
            return
        if self.name is None:
            if not line.startswith("graph ") or len(line.split()) != 2:
                raise ModelError("expected a line 'graph NAME'", where=at)
            self.name = unquote(line[6:])
            return
        match = _LINE.match(line)
        if match is None:
            raise ModelError(
                f"expected note, format, input, const, node, output, cached or data, found {line[:40]!r}", where=at
            )
        kind, rest = match["kind"], match["rest"]
        if kind in ("output", "cached"):
            self.doc["outputs" if kind == "output" else "cached"].append(unquote(rest))
        elif kind in ("note", "format"):
            self._named(kind, rest, at)
        elif kind == "node":
            self._node(rest, at)
        else:
            typed = _TYPED.match(rest)
            if typed is None:
                raise ModelError(f"expected '{kind} NAME : FORMAT[SHAPE]'", where=at)
            self._typed(kind, typed, at)

    def _named(self, kind: str, rest: str, at: str) -> None:
        match = _NAMED.match(rest)
        if match is None:
            raise ModelError(f"expected '{kind} NAME JSON'", where=at)
        self._put(f"{kind}s", kind, unquote(match["name"]), _json(match["json"], at), at)

    def _typed(self, kind: str, match: re.Match[str], at: str) -> None:
        name, shape, extra = unquote(match["name"]), _shape(match["shape"], at), match["json"]
        if kind == "input":
            self.doc["inputs"].append(name)
            self._value(name, shape, extra, at)
            return
        entry: dict[str, Any] = {"format": match["format"], "shape": list(shape), "parts": {}}
        if extra:
            entry["quantized"] = _json(extra, at)
        self._put("constants", "constant", name, entry, at)

    def _node(self, rest: str, at: str) -> None:
        match = _NODE.match(rest)
        if match is None:
            raise ModelError("expected 'node NAME = OP(INPUTS) {ATTRS} -> VALUE : FORMAT[SHAPE]'", where=at)
        inputs = [unquote(i.strip()) for i in match["inputs"].split(",") if i.strip()]
        output = unquote(match["out"])
        node: dict[str, Any] = {"name": unquote(match["name"]), "op": match["op"], "inputs": inputs, "output": output}
        node |= {key: _json(match[key], at) for key in ("attrs", "arithmetic") if match[key]}
        self.places["node", str(len(self.doc["nodes"]))] = at
        self.doc["nodes"].append(node)
        self._value(output, _shape(match["shape"], at), match["quant"], at)

    def _value(self, name: str, shape: Shape, quant: str | None, at: str) -> None:
        entry: dict[str, Any] = {"shape": list(shape)}
        if quant:
            entry["quant"] = _json(quant, at)
        self._put("values", "value", name, entry, at)

    def _put(self, group: str, kind: str, name: str, entry: Any, at: str) -> None:
        if name in self.doc[group]:
            raise ModelError(f"{kind} {name!r} is declared twice", where=at)
        self.doc[group][name] = entry
        self.places[kind, name] = at

    def payloads(self, lines: Iterator[tuple[int, str]]) -> None:
        """The lines after ``data``."""
        for number, line in lines:
            if not line.strip():
                continue
            at = f"{self.where}:{number}"
            words = line.split(" ")
            name = unquote(words[0])
            if len(words) != 3 or name not in self.doc["constants"]:
                raise ModelError("expected 'CONSTANT PART BYTES' of a declared constant", where=at)
            parts = self.doc["constants"][name]["parts"]
            if words[1] in parts:
                raise ModelError(f"{words[1]} of {name!r} is given twice", where=at)
            parts[words[1]] = words[2]


def _shape(text: str, at: str) -> Shape:
    dims: list[int | str] = []
    for part in (p.strip() for p in text.split(",") if p.strip()):
        if part != BATCH and not (part.isascii() and part.isdecimal() and len(part) < 14):
            raise ModelError(f"a dimension must be a number >= 1 or N, found {part!r}", where=at)
        dims.append(BATCH if part == BATCH else int(part))
    return tuple(dims)


def _json(text: str, at: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ModelError("this is not JSON", where=at) from None
