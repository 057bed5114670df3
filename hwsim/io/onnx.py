"""ONNX files in and out: parsed, checked and shape-inferred by the onnx package, built into our graph, and back.

    from hwsim.io.onnx import load, save
    graph = load("model.onnx")
    save(hwsim.quantize(graph, "ascend-910b4", data), "model-int4.onnx")

Nothing of a file is executed. Supported are networks of the operators in :data:`SUPPORTED`, opset 7 and later, whose
only varying dimension is the batch: float ones, and quantized ones as QuantizeLinear pairs (QDQ) or QONNX's Quant.
"""

from __future__ import annotations

import os
from pathlib import Path

from onnx import ModelProto

from hwsim.errors import ModelError
from hwsim.io import atomic
from hwsim.io._onnx_batch import batch_first
from hwsim.io._onnx_file import MAX_MODEL_BYTES, read, verify
from hwsim.io._onnx_graph import Importer
from hwsim.io._onnx_save import DIALECTS, to_model
from hwsim.io._onnx_shapes import FOLDED
from hwsim.io._onnx_table import HANDLERS
from hwsim.ir import Graph

__all__ = ["DIALECTS", "MAX_MODEL_BYTES", "SUPPORTED", "from_model", "load", "save", "to_model"]

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
    opset = verify(model, SUPPORTED, where)
    return Importer(batch_first(model), opset, HANDLERS, where).run(name)


def save(graph: Graph, path: str | os.PathLike[str], *, dialect: str | None = None) -> None:
    """Write a graph, float or quantized, as an ONNX file, whole or not at all.

    Args:
        graph: stored values become QuantizeLinear and DequantizeLinear, stored constants codes behind a
            DequantizeLinear (per tensor, channel or block); block formats of two levels become two of them.
        path: ends in .onnx.
        dialect: ``qdq``, or ``qonnx`` for Quant, BipolarQuant and FloatQuant nodes over real numbers; None is
            ``qonnx`` where the name ends in .qonnx.onnx.

    How a target adds and requantizes (``Node.arithmetic``) is not part of either and is left out.

    Raises:
        ModelError: the dialect cannot say how something is stored, another suffix, or the file cannot be written.
    """
    file = Path(path)
    if file.suffix != ".onnx":
        raise ModelError(f"expected a path that ends in .onnx, found suffix {file.suffix!r}", where=str(file))
    dialect = dialect or ("qonnx" if file.name.endswith(".qonnx.onnx") else "qdq")
    atomic.write(file, to_model(graph, dialect).SerializeToString(), ModelError)
