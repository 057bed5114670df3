"""QONNX held against its own golden files, its functions and its executor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwsim.io.onnx import from_model, load, save, to_model
from hwsim.numerics import QTensor
from hwsim.quant.simulate import simulate
from tests.io.onnx_quantized import RECIPES, network, quantized, stored
from tests.io.qonnx_cases import ODD, odd_input, truncated_input
from tests.oracles import need_heavy_module

HERE = Path(__file__).parents[1] / "data" / "qonnx"


def test_qonnx_golden_files_of_floatquant() -> None:
    """qonnx 1.0.0 data/onnx/floatquant_exec, made with Brevitas: its activations bit for bit, its output to 1e-6."""
    graph = load(HERE / "floatquant.onnx")
    golden = np.load(HERE / "golden.npz")
    held = graph.constants[graph.nodes[1].inputs[1]]
    assert isinstance(held, QTensor)
    assert held.format == "fp8_e4m3fn"
    found = simulate(graph, {graph.inputs[0]: golden["input"]}, keep=stored(graph))
    np.testing.assert_array_equal(found[stored(graph)[0]], golden["activation_input_quant"])
    np.testing.assert_array_equal(held.dequantize(), golden["activation_weight_quant"])
    np.testing.assert_allclose(found[graph.outputs[0]], golden["output"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["subpixel", "nn_resize"])
def test_qonnx_super_resolution(name: str) -> None:
    """qonnx 1.0.0 data/onnx/bsd300x3-espcn on its own input: 196,608 output codes of qonnx's executor, all but a few
    (7 and 1 when recorded) equal, and those next to ours: two float32 convolutions sum in different orders."""
    graph = load(HERE / f"espcn_{name}.onnx")
    golden = np.load(HERE / "golden.npz")
    kinds = {c.format for c in graph.constants.values() if isinstance(c, QTensor)}
    assert kinds == {"int4_sym", "int8"}
    answer = simulate(graph, {graph.inputs[0]: golden["espcn_input"].astype(np.float32) / np.float32(255)})
    quant = graph.values[graph.outputs[0]].quant
    assert quant is not None
    codes = quant.quantize(answer[graph.outputs[0]]).codes.reshape(-1)
    apart = np.abs(codes.astype(int) - golden[f"espcn_{name}"].reshape(-1).astype(int))
    assert codes.size == 196608
    assert apart.max() <= 1
    assert np.count_nonzero(apart) <= 20


@pytest.mark.parametrize("case", [c for c in RECIPES if c not in ("nvfp4", "fnuz", "mxfp4 blocks", "nvfp4 blocks")])
def test_qonnx_there_and_back(case: str, tmp_path: Path) -> None:
    """Quant and FloatQuant nodes give back the same codes; only biases become real numbers."""
    graph, (_, data) = quantized(case), network()
    save(graph, tmp_path / "net.qonnx.onnx")
    again = load(tmp_path / "net.qonnx.onnx")
    assert {n.domain for n in onnx.load(tmp_path / "net.qonnx.onnx").graph.node} == {"", "qonnx.custom_op.general"}
    for name, held in graph.constants.items():
        found = again.constants[name]
        np.testing.assert_array_equal(again.float_constant(name), graph.float_constant(name), err_msg=name)
        if isinstance(held, QTensor) and held.format != "int32":
            assert isinstance(found, QTensor)
            if case != "int4_sm":  # QONNX has no -0 and no sign and magnitude
                assert found.format == held.format
                np.testing.assert_array_equal(found.codes, held.codes)
    np.testing.assert_array_equal(simulate(again, {"x": data})["y"], simulate(graph, {"x": data})["y"])


@pytest.mark.parametrize("case", ["int4", "uint4 groups", "int2", "fp8", "mxfp4"])
def test_qonnx_runs_in_qonnx(case: str) -> None:
    """qonnx's own executor: every stored value equal, the answer to float32's accuracy."""
    need_heavy_module("qonnx")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    graph, (_, data) = quantized(case), network()
    model = to_model(graph, "qonnx")
    for info in (*model.graph.input, *model.graph.output):
        info.type.tensor_type.shape.dim[0].dim_value = 1
    wrapped = ModelWrapper(model).transform(InferShapes())
    want = simulate(graph, {"x": data[:1]}, keep=stored(graph))
    found = execute_onnx(wrapped, {"x": data[:1]}, return_full_exec_context=True)
    np.testing.assert_allclose(found["y"], want["y"], rtol=1e-5, atol=1e-5 * float(np.abs(want["y"]).max()))
    for name in stored(graph):
        np.testing.assert_array_equal(found[name], want[name], err_msg=name)


@pytest.mark.parametrize(
    ("name", "constant"), [(n, c) for n, (op, _, _) in ODD.items() for c in (False, True) if not (c and op == "Trunc")]
)
def test_odd_widths_ranges_and_roundings_are_qonnxs(name: str, constant: bool) -> None:
    """Quant, BipolarQuant and Trunc against answers of qonnx 1.0.0's own functions, of run-time values and weights."""
    op, inputs, attrs = ODD[name]
    x = truncated_input() if op == "Trunc" else odd_input()
    held = {f"p{i}": np.asarray(v, np.float32) for i, v in enumerate(inputs)}
    node = helper.make_node(
        op, ["w" if constant else "x", *held], ["q"], name="q", domain="qonnx.custom_op.general", **attrs
    )
    nodes = [
        node,
        helper.make_node("Add", ["x", "q"], ["y"]) if constant else helper.make_node("Identity", ["q"], ["y"]),
    ]
    info = helper.make_tensor_value_info
    inner = helper.make_graph(
        nodes, "g", [info("x", TensorProto.FLOAT, ["N", 4, 64])], [info("y", TensorProto.FLOAT, ["N", 4, 64])],
        [numpy_helper.from_array(v, k) for k, v in ({**held, "w": x[:1]} if constant else held).items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("qonnx.custom_op.general", 1)]
    graph = from_model(helper.make_model(inner, opset_imports=opsets), name="g")
    want = np.load(HERE / "odd.npz")[name]
    if constant:
        found, want = simulate(graph, {"x": np.zeros_like(x)})["y"][:1], want[:1]
    else:
        found = simulate(graph, {"x": x})["y"]
    np.testing.assert_allclose(found, want, rtol=1e-6, atol=0)
