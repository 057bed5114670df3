"""A model by file or by zoo name, and the way back to a file."""

from __future__ import annotations

import os
from pathlib import Path

from hwsim.errors import ModelError, unknown
from hwsim.io import atomic
from hwsim.ir import Graph, dumps, loads
from hwsim.ir.text import MAX_BYTES

SUFFIXES = (".onnx", ".qir", ".gguf")


def load_model(source: str | os.PathLike[str]) -> Graph:
    """A graph from an ``.onnx``, ``.qir`` or ``.gguf`` file, a folder with config.json and safetensors, or the zoo by
    name (fetched on first use).

    Raises:
        ModelError: unreadable or unsupported file; a name that is neither a file nor in the zoo.
        ToolError: a zoo model that is not here and cannot be fetched.
    """
    path = Path(source)
    if path.suffix == ".onnx":
        from hwsim.io.onnx import load

        return load(path)
    if path.suffix == ".qir":
        return loads(_text(path), where=str(path))
    if path.suffix == ".gguf":
        from hwsim.io import gguf

        return gguf.load(path)
    if (path / "config.json").is_file():
        from hwsim.io import safetensors

        return safetensors.load(path)
    from hwsim import zoo

    if str(source) in zoo.names():
        return zoo.model(str(source))
    if path.suffix or path.exists() or len(path.parts) != 1:
        found = "nothing there" if not path.exists() else "a folder" if path.is_dir() else f"suffix {path.suffix!r}"
        raise ModelError(
            f"expected a file of type {', '.join(SUFFIXES)} or a folder with config.json, found {found}",
            where=str(path),
        )
    raise unknown(ModelError, "model", str(source), zoo.names())


def save_model(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a graph as ``.qir`` text, whole or not at all.

    Raises:
        ModelError: the graph does not check, the suffix is not .qir, or the file cannot be written.
    """
    file = Path(path)
    if file.suffix != ".qir":
        raise ModelError(f"expected a path that ends in .qir, found suffix {file.suffix!r}", where=str(file))
    atomic.write(file, dumps(graph).encode(), ModelError)


def _text(path: Path) -> str:
    where = str(path)
    try:
        if not path.is_file():
            raise ModelError("expected a .qir file, found " + ("a folder" if path.is_dir() else "nothing"), where=where)
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path.stat().st_size} bytes are over the limit of {MAX_BYTES}", where=where)
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ModelError("expected text, found other bytes", where=where) from None
    except (OSError, ValueError) as err:
        raise ModelError(f"cannot be read: {err}", where=where) from None
