"""Named tensors of a file, mapped lazily: what GGUF and safetensors readers have in common.

A file is mapped, not read: a tensor's bytes are touched when it is asked for. Every size is held against the file
before anything of that size is allocated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ModelError, unknown
from hwsim.limits import limit
from hwsim.numerics import QTensor, decode

CODED = ("fp8_e4m3fn", "fp8_e5m2", "e8m0")
"""Storage types whose bytes are codes of our formats."""
MAX_DIMS = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one tensor lies: its type's name, its shape (slowest dimension first), its bytes."""

    kind: str
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Tensors:
    """The tensors of one or more mapped files.

    Attributes:
        where: file or folder, for errors.
        entries: name -> (mapped bytes of its file, entry).
    """

    where: str
    entries: Mapping[str, tuple[NDArray[np.uint8], Entry]]

    def kind(self, name: str) -> str:
        """Storage type of a tensor."""
        return self._entry(name)[1].kind

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self._entry(name)[1].shape

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def weight(self, name: str, shape: tuple[int, ...] | None = None) -> NDArray[np.float32] | QTensor:
        """A weight as a graph holds it: here its real numbers, as :meth:`load`."""
        return self.load(name, shape)

    def order(self, name: str) -> NDArray[np.int64] | None:
        """Which input each column of a weight takes; None: as they come."""
        return None

    def stored(self, name: str) -> NDArray[Any]:
        """A tensor's numbers in the file's own type (8-bit floats: their codes).

        Raises:
            ModelError: no such tensor, or a type of blocks.
        """
        raw, entry = self._entry(name)
        decoder = DECODERS[entry.kind]
        if decoder.block != 1:
            raise ModelError(f"type {entry.kind} is stored in blocks", where=f"{self.where}: tensor {name!r}")
        kind = "uint8" if decoder.kind in CODED else "uint16" if decoder.kind == "bfloat16" else decoder.kind
        data = raw[entry.start : entry.start + entry.size].tobytes()
        return np.frombuffer(data, np.dtype(kind).newbyteorder("<")).reshape(entry.shape).astype(kind, copy=False)

    def load(self, name: str, shape: tuple[int, ...] | None = None) -> NDArray[np.float32]:
        """A tensor's real numbers as float32, checked against ``shape`` where that is given.

        Raises:
            ModelError: no such tensor (names the nearest), another shape, or NaN or infinite numbers.
        """
        raw, entry = self._entry(name)
        here = f"{self.where}: tensor {name!r}"
        if shape is not None and entry.shape != shape:
            raise ModelError(f"must have shape {list(shape)}, found {list(entry.shape)}", where=here)
        data = raw[entry.start : entry.start + entry.size]
        with np.errstate(over="ignore"):
            value = np.ascontiguousarray(DECODERS[entry.kind].decode(data), dtype=np.float32).reshape(entry.shape)
        if not np.isfinite(value).all():
            raise ModelError("holds NaN or infinite numbers", where=here)
        return value

    def _entry(self, name: str) -> tuple[NDArray[np.uint8], Entry]:
        try:
            return self.entries[name]
        except KeyError:
            raise unknown(ModelError, "tensor", name, self.entries, where=self.where) from None


@dataclass(frozen=True, slots=True)
class Decoder:
    """A storage type: ``block`` elements in ``size`` bytes; ``kind`` is how bytes become numbers."""

    block: int
    size: int
    kind: str

    def decode(self, raw: NDArray[np.uint8]) -> NDArray[Any]:
        """The real numbers of whole blocks."""
        if self.kind in ("float32", "float16", "float64", "int8", "uint8", "int16", "int32", "int64"):
            return np.frombuffer(raw.tobytes(), np.dtype(self.kind).newbyteorder("<"))
        if self.kind == "bfloat16":
            return (np.frombuffer(raw.tobytes(), "<u2").astype(np.uint32) << 16).view(np.float32)
        if self.kind in CODED:
            return decode(np.ascontiguousarray(raw), self.kind)
        blocks = raw.reshape(-1, self.size)
        scale = _half(blocks[:, 0:2])
        if self.kind == "q8_0":
            return scale * blocks[:, 2:].view(np.int8).astype(np.float32)
        low = 2 if self.kind == "q4_0" else 4
        packed = blocks[:, low:]
        codes = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32)
        return scale * (codes - 8) if self.kind == "q4_0" else scale * codes + _half(blocks[:, 2:4])


def _half(raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(raw).view("<f2").astype(np.float32)


DECODERS: Mapping[str, Decoder] = {
    "F64": Decoder(1, 8, "float64"),
    "F32": Decoder(1, 4, "float32"),
    "F16": Decoder(1, 2, "float16"),
    "BF16": Decoder(1, 2, "bfloat16"),
    "F8_E4M3": Decoder(1, 1, "fp8_e4m3fn"),
    "F8_E5M2": Decoder(1, 1, "fp8_e5m2"),
    "F8_E8M0": Decoder(1, 1, "e8m0"),
    "I8": Decoder(1, 1, "int8"),
    "U8": Decoder(1, 1, "uint8"),
    "I16": Decoder(1, 2, "int16"),
    "I32": Decoder(1, 4, "int32"),
    "I64": Decoder(1, 8, "int64"),
    "Q4_0": Decoder(32, 18, "q4_0"),
    "Q4_1": Decoder(32, 20, "q4_1"),
    "Q8_0": Decoder(32, 34, "q8_0"),
}
"""Storage types by the names that GGUF and safetensors share. Blocks: ggml-common.h, block_q4_0, q4_1 and q8_0."""


def entry(kind: str, shape: tuple[int, ...], start: int, held: int, where: str) -> Entry:
    """An entry whose declared shape and place lie within the ``held`` bytes of the file.

    Raises:
        ModelError: an unknown type, an absurd shape, or bytes outside the file.
    """
    if kind not in DECODERS:
        raise ModelError(f"storage type {kind!r} is not supported", where=where, hint=f"one of: {', '.join(DECODERS)}")
    decoder = DECODERS[kind]
    most = limit("tensor_elements")
    if len(shape) > MAX_DIMS or any(d < 1 for d in shape) or prod(shape) > most:
        raise ModelError(f"shape {list(shape)} is empty, or over {most} elements or 4 dimensions", where=where)
    if (shape[-1] if shape else 1) % decoder.block:
        raise ModelError(f"rows of {shape[-1]} are not whole blocks of {decoder.block}", where=where)
    size = prod(shape) // decoder.block * decoder.size
    if start < 0 or start + size > held:
        raise ModelError(f"bytes {start} to {start + size} lie outside the file's {held}", where=where)
    return Entry(kind, shape, start, size)


def mapped(path: Path) -> NDArray[np.uint8]:
    """A file's bytes, mapped read-only.

    Raises:
        ModelError: missing, empty or unreadable.
    """
    where = str(path)
    try:
        if not path.is_file():
            raise ModelError("expected a file, found " + ("a folder" if path.is_dir() else "nothing"), where=where)
        if path.stat().st_size == 0:
            raise ModelError("expected a model, found an empty file", where=where)
        return np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as err:
        raise ModelError(f"cannot be read: {err}", where=where) from None
