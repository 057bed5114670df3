"""A model by file or by zoo name, and the way back to a file."""

from __future__ import annotations

import os
from pathlib import Path

from hwsim.errors import ModelError, unknown
from hwsim.io import qir
from hwsim.ir import Graph

SUFFIXES = (".onnx", *qir.SUFFIXES, ".gguf", ".tflite")


def load_model(source: str | os.PathLike[str]) -> Graph:
    """A graph from an ``.onnx``, ``.qir``, ``.qir.json``, ``.gguf`` or ``.tflite`` file, a folder with config.json and
    safetensors, or the zoo by name (fetched on first use).

    Raises:
        ModelError: unreadable or unsupported file; a name that is neither a file nor in the zoo.
        ToolError: a zoo model that is not here and cannot be fetched.

    Example:
        >>> graph = load_model("mnist-cnn")
        >>> graph.inputs, [node.op for node in graph.nodes][:3]
        (('image',), ['Conv', 'Relu', 'MaxPool'])
    """
    path = Path(source)
    if path.suffix == ".onnx":
        from hwsim.io.onnx import load

        return load(path)
    if qir.is_qir(path):
        return qir.load(path)
    if path.suffix == ".gguf":
        from hwsim.io import gguf

        return gguf.load(path)
    if path.suffix == ".tflite":
        from hwsim.io import tflite

        return tflite.load(path)
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
    """Write a graph, whole or not at all: as ``.qir`` text or ``.qir.json`` (large constants go into ``NAME.bin``), as
    ``.onnx`` (QuantizeLinear pairs) or as ``.qonnx.onnx`` (QONNX).

    Raises:
        ModelError: the graph does not check or cannot be said that way, the suffix is another, or the file cannot be
            written.
    """
    file = checked_suffix(path)
    if file.suffix != ".onnx":
        qir.save(graph, file)
        return
    from hwsim.io import onnx

    onnx.save(graph, file)


def checked_suffix(path: str | os.PathLike[str]) -> Path:
    """The path, where :func:`save_model` can write to it.

    Raises:
        ModelError: another suffix.
    """
    file = Path(path)
    if not qir.is_qir(file) and file.suffix != ".onnx":
        wanted = (*qir.SUFFIXES, ".onnx")
        raise ModelError(f"expected a path that ends in {', '.join(wanted)}, found {file.name!r}", where=str(file))
    return file
