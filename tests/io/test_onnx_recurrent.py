"""LSTM and GRU through their gates, and Transposes that move the batch, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper

from hwsim.errors import ModelError
from hwsim.io._onnx_batch import batch_first
from hwsim.io.onnx import from_model
from hwsim.ir.reference import run
from tests.io.models import build, close
from tests.oracles import need_module

ort = need_module("onnxruntime")
STEPS, SIZE, HIDDEN = 5, 3, 4
F32 = np.ndarray[Any, np.dtype[np.float32]]


def layer(op: str, *, direction: str = "forward", bias: bool = True, **attrs: int) -> tuple[ModelProto, F32]:
    """x [N, steps, size] -> Transpose -> the layer -> what torch exports behind it."""
    rng = np.random.default_rng(4)
    ways, gates = 2 if direction == "bidirectional" else 1, 4 if op == "LSTM" else 3
    weights = {
        "W": rng.normal(size=(ways, gates * HIDDEN, SIZE)).astype(np.float32),
        "R": rng.normal(size=(ways, gates * HIDDEN, HIDDEN)).astype(np.float32),
        "B": rng.normal(size=(ways, 2 * gates * HIDDEN)).astype(np.float32),
        "one": np.array([1], np.int64),
    }
    outs = ["Y", "h"] + (["c"] if op == "LSTM" else [])
    nodes = [
        helper.make_node("Transpose", ["x"], ["time"], perm=[1, 0, 2]),
        helper.make_node(
            op, ["time", "W", "R", *(["B"] if bias else [])], outs, hidden_size=HIDDEN, direction=direction, **attrs
        ),
    ]
    if ways == 1:
        nodes += [
            helper.make_node("Squeeze", ["Y", "one"], ["flat"]),
            helper.make_node("Relu", ["flat"], ["positive"]),
            helper.make_node("Transpose", ["positive"], ["y"], perm=[1, 0, 2]),
        ]
    else:
        nodes.append(helper.make_node("Transpose", ["Y"], ["y"], perm=[2, 0, 1, 3]))
    model = build(nodes, ["N", STEPS, SIZE], weights, opset=17, outputs=["y"])
    return model, rng.normal(size=(2, STEPS, SIZE)).astype(np.float32)


def judge(model: ModelProto, x: F32) -> F32:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: F32 = session.run(None, {"x": x})[0]
    return found


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", ["LSTM", "GRU"])
def test_layers_equal_onnxruntime(op: str, direction: str) -> None:
    model, x = layer(op, direction=direction)
    graph = from_model(model, name="g")
    close(run(graph, {"x": x})["y"], judge(model, x))
    assert {n.op for n in graph} >= {"Gemm", "Sigmoid", "Tanh"}


@pytest.mark.parametrize("linear", [0, 1])
@pytest.mark.parametrize("bias", [False, True])
def test_both_kinds_of_gru(linear: int, bias: bool) -> None:
    model, x = layer("GRU", linear_before_reset=linear, bias=bias)
    close(run(from_model(model, name="g"), {"x": x})["y"], judge(model, x))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("output", ["h", "c"])
def test_last_state(output: str, direction: str) -> None:
    model, x = layer("LSTM", direction=direction)
    model.graph.node.append(helper.make_node("Transpose", [output], ["last"], perm=[1, 0, 2]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("last", 1, None))
    graph = from_model(onnx.shape_inference.infer_shapes(model), name="g")
    close(run(graph, {"x": x})["last"], judge(model, x))


def test_what_is_not_supported_says_so() -> None:
    model, _ = layer("LSTM", input_forget=1)
    with pytest.raises(ModelError, match="input_forget"):
        from_model(model, name="g")
    bare, _ = layer("LSTM")
    del bare.graph.node[0]
    bare.graph.node[0].input[0] = "x"
    with pytest.raises(ModelError, match="time comes first"):
        from_model(bare, name="g")


def test_three_parts_of_one_product() -> None:
    """Queries, keys and values as exporters cut them: transposed to the front, sliced or gathered, squeezed."""
    weights: dict[str, np.ndarray[Any, Any]] = {
        f"{name}{at}": np.array([at + shift], np.int64) for at in range(3) for name, shift in (("start", 0), ("end", 1))
    }
    weights |= {"axis": np.array([0], np.int64), "second": np.array(1, np.int64)}
    nodes = [helper.make_node("Transpose", ["x"], ["t"], perm=[2, 0, 3, 1, 4])]
    for at in (0, 2):
        nodes.append(helper.make_node("Slice", ["t", f"start{at}", f"end{at}", "axis"], [f"s{at}"]))
        nodes.append(helper.make_node("Squeeze", [f"s{at}", "axis"], [f"p{at}"]))
    nodes.append(helper.make_node("Gather", ["t", "second"], ["p1"], axis=0))
    nodes.append(helper.make_node("Transpose", ["p1"], ["k"], perm=[0, 1, 3, 2]))
    nodes += [helper.make_node("MatMul", ["p0", "k"], ["w"]), helper.make_node("MatMul", ["w", "p2"], ["y"])]
    model = build(nodes, ["N", 6, 3, 2, 4], weights, opset=13)
    x = np.random.default_rng(0).normal(size=(2, 6, 3, 2, 4)).astype(np.float32)
    close(run(from_model(model, name="g"), {"x": x})["y"], judge(model, x))
    sunk = batch_first(model)
    np.testing.assert_array_equal(judge(sunk, x), judge(model, x))
    assert all(n.attribute[0].ints[0] == 0 for n in sunk.graph.node if n.op_type == "Transpose")


def test_models_that_keep_the_batch_are_not_touched() -> None:
    model = build([helper.make_node("Transpose", ["x"], ["y"], perm=[0, 2, 1])], ["N", 2, 3])
    assert batch_first(model) is model
