"""A small network quantized by many recipes, and what runs its file: for the tests of QDQ and QONNX."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

import hwsim
from hwsim.io.onnx import from_model
from hwsim.ir import Graph
from hwsim.quant import Recipe
from hwsim.quant.recipe import Scheme
from tests.io.models import build
from tests.oracles import need_module

Array = np.ndarray[Any, Any]


RECIPES = {
    "int8": Recipe(Scheme("int8", "per_channel"), Scheme("int8")),
    "uint8": Recipe(Scheme("int8"), Scheme("uint8", symmetric=False)),
    "int4": Recipe(Scheme("int4", "per_channel"), Scheme("int4")),
    "uint4 groups": Recipe(Scheme("uint4", "per_group", 8, symmetric=False), Scheme("uint4", symmetric=False)),
    "int4_sym": Recipe(Scheme("int4_sym", "per_channel"), Scheme("int4_sym")),
    "int4_sm": Recipe(Scheme("int4_sm", "per_channel"), Scheme("int4_sm")),
    "int2": Recipe(Scheme("int2", "per_channel"), Scheme("uint2", symmetric=False)),
    "fp8": Recipe(Scheme("fp8_e4m3fn", "per_channel"), Scheme("fp8_e5m2"), accumulator="fp32"),
    "fnuz": Recipe(Scheme("fp8_e4m3fnuz"), Scheme("fp8_e5m2fnuz"), accumulator="fp32"),
    "fp4": Recipe(Scheme("fp4_e2m1", "per_channel"), Scheme("fp4_e2m1"), accumulator="fp32"),
    "nvfp4": Recipe(Scheme("nvfp4"), Scheme("fp16"), accumulator="fp32"),
    "mxfp4": Recipe(Scheme("mxfp4"), Scheme("fp8_e4m3fn"), accumulator="fp32"),
    "mxfp4 blocks": Recipe(Scheme("mxfp4"), Scheme("mxfp4"), accumulator="fp32"),
    "nvfp4 blocks": Recipe(Scheme("nvfp4"), Scheme("nvfp4"), accumulator="fp32"),
}


def f32(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@cache
def network() -> tuple[Graph, Array]:
    """A small CNN with every kind of weight: plain, grouped and depthwise convolutions, matrices over 2 and 3 ranks."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2", "b2"], ["c2"], group=2, strides=[2, 2]),
        node("Clip", ["c2", "low", "high"], ["r2"]),
        node("MaxPool", ["r2"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Reshape", ["p", "rows"], ["t"]),
        node("MatMul", ["t", "w3"], ["m"]),
        node("Add", ["m", "b3"], ["a"]),
        node("Flatten", ["a"], ["f"]),
        node("Gemm", ["f", "w4", "b4"], ["y"], transB=1),
    ]
    held = {
        "w1": f32(8, 3, 3, 3, seed=1), "b1": f32(8, seed=2), "w2": f32(16, 4, 3, 3, seed=3), "b2": f32(16, seed=4),
        "low": np.float32(-2), "high": np.float32(6), "rows": np.array([-1, 9, 16]), "w3": f32(16, 24, seed=5),
        "b3": f32(24, seed=6), "w4": f32(10, 216, seed=7), "b4": f32(10, seed=8),
    }  # fmt: skip
    return from_model(build(nodes, ("N", 3, 14, 14), held), name="net"), f32(6, 3, 14, 14, seed=9)


@cache
def quantized(case: str) -> Graph:
    graph, data = network()
    return hwsim.quantize(graph, RECIPES[case].with_calibrator("minmax"), data)


def stored(graph: Graph) -> list[str]:
    return [n.output for n in graph.nodes if n.op == "Quantize"]


def opened(model: ModelProto, names: list[str]) -> ModelProto:
    """The model with further values among its outputs."""
    wide = ModelProto()
    wide.CopyFrom(model)
    have = {o.name for o in model.graph.output}
    wide.graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names if n not in have)
    return wide


def runtime(model: ModelProto, feeds: dict[str, Array]) -> dict[str, Array]:
    """onnxruntime's answer, node by node as the file says: its fusions round elsewhere."""
    ort = need_module("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in model.graph.output], session.run(None, feeds), strict=True))
