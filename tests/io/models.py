"""Build small ONNX models, and hold hwsim's answers against onnxruntime's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from hwsim.io.onnx import from_model
from hwsim.ir import Graph
from hwsim.ir.reference import run
from tests.oracles import need_module

Dims = Sequence[int | str | None]


def build(
    nodes: Sequence[NodeProto],
    shape: Dims,
    weights: dict[str, np.ndarray[Any, Any]] | None = None,
    *,
    opset: int = 13,
    outputs: Sequence[str] = ("y",),
    inputs: dict[str, Dims] | None = None,
    elem_type: int = TensorProto.FLOAT,
) -> ModelProto:
    """A model with input ``x`` of ``shape`` (or ``inputs``) and outputs whose shapes onnx infers."""
    infos = [helper.make_tensor_value_info(k, elem_type, list(s)) for k, s in (inputs or {"x": shape}).items()]
    graph = helper.make_graph(
        list(nodes),
        "g",
        infos,
        [helper.make_empty_tensor_value_info(o) for o in outputs],
        [numpy_helper.from_array(v, k) for k, v in (weights or {}).items()],
    )
    for out in graph.output:
        out.type.tensor_type.elem_type = elem_type
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    for out in model.graph.output:  # the checker wants a shape, even one without dimensions known
        out.type.tensor_type.shape.SetInParent()
    return model


def one(op: str, shape: Dims, *weights: Any, opset: int = 13, **attrs: Any) -> ModelProto:
    """A model of one node: ``x`` first, then constants (None: an absent optional input)."""
    held = {f"w{i}": np.asarray(w) for i, w in enumerate(weights) if w is not None}
    names = ["" if w is None else f"w{i}" for i, w in enumerate(weights)]
    return build([helper.make_node(op, ["x", *names], ["y"], name="it", **attrs)], shape, held, opset=opset)


def draw(graph: Graph, batch: int, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Random inputs of a graph."""
    rng = np.random.default_rng(seed)
    shapes = {i: [batch if d == "N" else int(d) for d in graph.value(i).shape] for i in graph.inputs}
    return {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()}


def judge(model: ModelProto | Path, feeds: dict[str, Any]) -> list[np.ndarray[Any, Any]]:
    """onnxruntime's answer."""
    ort = need_module("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def agree(model: ModelProto, *, batch: int = 2) -> Graph:
    """Import ``model`` and assert that every output equals onnxruntime's within 1e-4 of its largest value."""
    graph = from_model(model, name="g")
    feeds = draw(graph, batch)
    ours = run(graph, feeds)
    theirs = judge(model, feeds)
    for name, want in zip(graph.outputs, theirs, strict=True):
        close(ours[name], want)
    return graph


def close(ours: np.ndarray[Any, Any], want: np.ndarray[Any, Any]) -> None:
    """Equal shapes, and equal numbers within 1e-4 relative."""
    assert ours.shape == want.shape
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, want, rtol=1e-4, atol=1e-4 * max(float(np.abs(want).max()), 1e-3))


def save(model: ModelProto, path: Path) -> Path:
    """Write a model."""
    path.write_bytes(onnx.ModelProto.SerializeToString(model))
    return path
