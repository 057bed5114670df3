"""ONNX files in: parsed, checked and shape-inferred by the onnx package, then built into our graph.

    from hwsim.io.onnx import load
    graph = load("model.onnx")

Nothing of a file is executed. Supported are float networks of the operators in :data:`SUPPORTED`, opset 7 and later,
whose only varying dimension is the batch.
"""

from __future__ import annotations

import os
from pathlib import Path

from onnx import ModelProto

from hwsim.io._onnx_file import MAX_MODEL_BYTES, read, verify
from hwsim.io._onnx_graph import Importer
from hwsim.io._onnx_shapes import FOLDED
from hwsim.io._onnx_table import HANDLERS
from hwsim.ir import Graph

__all__ = ["MAX_MODEL_BYTES", "SUPPORTED", "from_model", "load"]

SUPPORTED = tuple(sorted({*HANDLERS, *FOLDED, "Constant", "Shape"}))
"""ONNX operators that :func:`load` takes (``ConstantOfShape``, ``Gather``, ``Slice`` where known at import)."""


def load(path: str | os.PathLike[str]) -> Graph:
    """Read an ONNX file.

    Float16, bfloat16 and double weights become float32. The graph is named after the file.

    Raises:
        ModelError: the file is missing, malformed or too large, uses an unsupported operator, varies in more than its
            batch, holds NaN or infinite weights, or points outside its folder.
    """
    file = Path(path)
    return from_model(read(file), name=file.stem, where=str(file))


def from_model(model: ModelProto, *, name: str, where: str = "<model>") -> Graph:
    """Build the graph of a parsed model (external data already read); ``where`` starts every error line.

    Raises:
        ModelError: as :func:`load`.
    """
    return Importer(model, verify(model, SUPPORTED, where), HANDLERS, where).run(name)
