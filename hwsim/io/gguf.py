"""GGUF files in: metadata and tensors, and the decoder that they describe.

Format: ggml's docs/gguf.md, versions 2 and 3, little endian. The file is mapped; counts and lengths are held against
what is left of it before they are believed.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ModelError
from hwsim.io.tensors import Entry, Tensors, entry, mapped
from hwsim.ir import Graph

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 8: "Q8_0", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64"}
_TYPES[30] = "BF16"
_LEAST_KEY, _LEAST_TENSOR = 13, 25
"""Fewest bytes that a metadata pair (length, type, value) and a tensor's description take."""


@dataclass(frozen=True, slots=True, eq=False)
class GgufFile:
    """A parsed file: ``meta`` is its metadata (arrays as lists), ``tensors`` its tensors."""

    meta: dict[str, Any]
    tensors: Tensors


def load(path: str | os.PathLike[str], *, length: int = 512) -> Graph:
    """The decoder of a GGUF file (architecture ``llama``) over windows of ``length`` tokens.

    Weights become float32: what a Q4_1 file holds is already rounded.

    Raises:
        ModelError: malformed, truncated, another architecture, tensors missing or of other shapes.
    """
    from hwsim.io._builder import naming
    from hwsim.io._llama import from_gguf

    file = read(Path(path))
    with naming(path):
        return from_gguf(file, Path(path).stem, length)


def read(path: Path) -> GgufFile:
    """Metadata and tensor directory of the file at ``path``.

    Raises:
        ModelError: not such a file, or a damaged one.
    """
    raw = mapped(path)
    cursor = _Cursor(raw, str(path))
    if bytes(raw[:4]) != b"GGUF":
        raise ModelError("not a GGUF file: it does not start with GGUF", where=str(path))
    cursor.at = 4
    version = cursor.number("<I")
    if version not in (2, 3):
        raise ModelError(f"GGUF version {version} is not supported, only 2 and 3", where=str(path))
    tensors = cursor.count(_LEAST_TENSOR, "tensors")
    pairs = cursor.count(_LEAST_KEY, "metadata pairs")
    meta: dict[str, Any] = {}
    for _ in range(pairs):
        key = cursor.text()
        if key in meta:
            raise ModelError(f"metadata {key!r} is given twice", where=str(path))
        meta[key] = cursor.value(int(cursor.number("<I")), key)
    found = [cursor.tensor() for _ in range(tensors)]
    alignment = meta.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 16:
        raise ModelError(f"general.alignment must be 1 to 65536, found {alignment!r}", where=str(path))
    base = -(-cursor.at // alignment) * alignment
    entries: dict[str, tuple[NDArray[np.uint8], Entry]] = {}
    for name, kind, shape, offset in found:
        if name in entries:
            raise ModelError(f"tensor {name!r} is given twice", where=str(path))
        entries[name] = (raw, entry(kind, shape, base + offset, raw.size, f"{path}: tensor {name!r}"))
    return GgufFile(meta, Tensors(str(path), entries))


class _Cursor:
    """A place in the file; every read is checked against its end."""

    def __init__(self, raw: NDArray[np.uint8], where: str) -> None:
        self.raw = raw
        self.at = 0
        self.where = where

    def take(self, size: int) -> bytes:
        if size > self.raw.size - self.at:
            raise ModelError(f"truncated: {size} bytes wanted at {self.at} of {self.raw.size}", where=self.where)
        self.at += size
        return self.raw[self.at - size : self.at].tobytes()

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def count(self, least: int, what: str) -> int:
        """A number of things of at least ``least`` bytes each: no more than the rest of the file holds."""
        found = int(self.number("<Q"))
        if found * least > self.raw.size - self.at:
            raise ModelError(f"declares {found} {what}, more than the file can hold", where=self.where)
        return found

    def text(self) -> str:
        try:
            return self.take(int(self.number("<Q"))).decode("utf-8")
        except UnicodeDecodeError:
            raise ModelError(f"a name or text before byte {self.at} is not UTF-8", where=self.where) from None

    def value(self, kind: int, key: str) -> Any:
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.text()
        inner = int(self.number("<I")) if kind == _ARRAY else -1
        if inner == _STRING:
            return [self.text() for _ in range(self.count(8, "texts"))]
        if inner not in _SCALARS:
            raise ModelError(f"metadata {key!r} has type {kind if kind != _ARRAY else inner}", where=self.where)
        layout = _SCALARS[inner]
        count = self.count(struct.calcsize(layout), "numbers")
        return np.frombuffer(self.take(count * struct.calcsize(layout)), layout).tolist()

    def tensor(self) -> tuple[str, str, tuple[int, ...], int]:
        """Name, type, shape (slowest first) and offset of one tensor."""
        name = self.text()
        dims = int(self.number("<I"))
        if dims > 4:
            raise ModelError(f"tensor {name!r} has {dims} dimensions; at most 4 are", where=self.where)
        shape = tuple(int(self.number("<Q")) for _ in range(dims))[::-1]
        kind = int(self.number("<I"))
        return name, _TYPES.get(kind, f"type {kind}"), shape, int(self.number("<Q"))
