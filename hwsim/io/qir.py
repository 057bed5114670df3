"""``.qir`` text and ``.qir.json`` files; large constants lie in ``NAME.bin`` beside them, raw and mapped when read."""

from __future__ import annotations

from pathlib import Path

from hwsim.errors import ModelError
from hwsim.io import atomic
from hwsim.io.tensors import mapped
from hwsim.ir import Graph, dumps, dumps_json, loads, loads_json
from hwsim.ir.payload import Beside
from hwsim.limits import limit
from hwsim.numerics import QTensor

SUFFIXES = (".qir", ".qir.json")
INLINE_BYTES = 4 << 20
"""Constants up to this size in all are written into the text itself."""


def is_qir(path: Path) -> bool:
    """The name ends as a quantized graph's does."""
    return path.name.endswith(SUFFIXES)


def load(path: Path) -> Graph:
    """The graph of a ``.qir`` or ``.qir.json`` file.

    Raises:
        ModelError: unreadable, too large, damaged, or separated from the file with its constants.
    """
    text, side = _text(path), _side(path)
    store = Beside(mapped(side)) if side.is_file() and _beside(text) else None
    try:
        read = loads_json if path.suffix == ".json" else loads
        return read(text, where=str(path), store=store)
    except ModelError as e:
        if _beside(text) and not side.is_file():
            raise ModelError(
                f"expected its constants in {side.name!r} beside it, found nothing", where=str(path)
            ) from e
        raise


def save(graph: Graph, path: Path) -> None:
    """Write a graph as JSON where the suffix says so, else as text; whole or not at all.

    Raises:
        ModelError: the graph does not check, or the file cannot be written.
    """
    store = Beside() if _size(graph) > INLINE_BYTES else None
    text = (dumps_json if path.suffix == ".json" else dumps)(graph, store)
    if store is not None:
        atomic.write(_side(path), b"".join(store.parts), ModelError)
    atomic.write(path, text.encode(), ModelError)


def _side(path: Path) -> Path:
    return path.with_name(f"{path.name}.bin")


def _beside(text: str) -> bool:
    """The text places constants in another file."""
    return any(word in text for word in (" @0+", '"@0+'))


def _size(graph: Graph) -> int:
    return sum(held.nbytes_packed if isinstance(held, QTensor) else held.nbytes for held in graph.constants.values())


def _text(path: Path) -> str:
    where = str(path)
    try:
        if not path.is_file():
            raise ModelError("expected a .qir file, found " + ("a folder" if path.is_dir() else "nothing"), where=where)
        if path.stat().st_size > (most := limit("model_bytes")):
            raise ModelError(f"{path.stat().st_size} bytes are over the limit of {most}", where=where)
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ModelError("expected text, found other bytes", where=where) from None
    except (OSError, ValueError) as err:
        raise ModelError(f"cannot be read: {err}", where=where) from None
