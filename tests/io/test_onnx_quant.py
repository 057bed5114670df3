"""Quantized networks as ONNX: QDQ held against onnx's evaluator and onnxruntime, QONNX against its own golden files."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import hwsim
from hwsim.errors import ModelError
from hwsim.io import gguf, safetensors
from hwsim.io.onnx import from_model, load, save, to_model
from hwsim.ir import Graph, Node, QuantParams, Value
from hwsim.ir.reference import run
from hwsim.numerics import QTensor
from hwsim.quant import Recipe
from hwsim.quant.recipe import Scheme
from hwsim.quant.simulate import simulate
from tests.io import decoders
from tests.io.models import build, close, draw
from tests.io.qonnx_cases import ODD, odd_input, truncated_input
from tests.io.test_onnx_ops import CASES
from tests.oracles import need_heavy_module, need_module

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
NOT_IN_ONNXRUNTIME = ("fp4", "nvfp4", "mxfp4", "mxfp4 blocks", "nvfp4 blocks")
"""onnxruntime 1.32 has no kernel of DequantizeLinear for FLOAT4E2M1 on a CPU."""


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


@pytest.mark.parametrize("case", RECIPES)
def test_what_is_written_runs_in_onnx_with_equal_codes(case: str) -> None:
    """Every stored value equals ours, in onnx's evaluator bit for bit; the answer to float32's accuracy."""
    from onnx.reference import ReferenceEvaluator

    graph, (_, data) = quantized(case), network()
    names = stored(graph)
    assert len(names) >= 4
    want = simulate(graph, {"x": data}, keep=names)
    model = opened(to_model(graph), names)
    order = [o.name for o in model.graph.output]
    theirs = [dict(zip(order, ReferenceEvaluator(model).run(None, {"x": data}), strict=True))]
    if case not in NOT_IN_ONNXRUNTIME:
        theirs.append(runtime(model, {"x": data}))
    for found in theirs:
        for name in names:
            np.testing.assert_array_equal(found[name], want[name], err_msg=name)
        np.testing.assert_allclose(found["y"], want["y"], rtol=1e-5, atol=1e-5 * float(np.abs(want["y"]).max()))


def test_onnxruntime_lacks_what_this_file_says_it_lacks() -> None:
    need_module("onnxruntime")
    for case in NOT_IN_ONNXRUNTIME:
        with pytest.raises(Exception, match="NOT_IMPLEMENTED"):
            runtime(to_model(quantized(case)), {"x": network()[1]})


@pytest.mark.parametrize("case", RECIPES)
def test_there_and_back_codes_scales_and_zero_points_stay(case: str, tmp_path: Path) -> None:
    graph, (_, data) = quantized(case), network()
    save(graph, tmp_path / "net.onnx")
    again = load(tmp_path / "net.onnx")
    for name, held in graph.constants.items():
        found = again.constants[name]
        if isinstance(held, QTensor):
            assert isinstance(found, QTensor)
            if case == "int4_sm":  # ONNX has no -0
                found, held = replace(found, codes=found.codes & 7), replace(held, codes=held.codes & 7)
            assert found.equals(held), name
    for name in stored(graph):
        ours, theirs = graph.values[name].quant, again.values[name].quant
        assert ours is not None
        assert theirs is not None
        assert (theirs.format, theirs.axis, theirs.scale) == (ours.format, ours.axis, ours.scale)
        assert theirs.block_format == ours.block_format
        assert (theirs.zero_point or 0) == (ours.zero_point or 0)
    feeds = {"x": data}
    np.testing.assert_array_equal(simulate(again, feeds)["y"], simulate(graph, feeds)["y"])
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_what_comes_back_runs_on_the_target_as_before(tmp_path: Path) -> None:
    graph, data = network()
    target = "hwsim-int4-ws16"
    small = hwsim.quantize(graph, target, data, calibrator="minmax")
    save(small, tmp_path / "net.onnx")
    before, after = (hwsim.emulate(g, target, data).outputs["y"] for g in (small, load(tmp_path / "net.onnx")))
    np.testing.assert_array_equal(after, before)


def test_ties_with_an_odd_zero_point_round_as_onnx_says() -> None:
    """round(x / scale) + zero_point: to even before the zero point is added."""
    from onnx.reference import ReferenceEvaluator

    graph, _ = network()
    x = ((np.arange(3 * 196) % 31 - 15) / 2).astype(np.float32).reshape(1, 3, 14, 14)
    quant = QuantParams("uint4", np.float32(1).reshape(()), np.array(7, np.int32))
    node = replace(graph.nodes[0], name="q", op="Quantize", inputs=("x",), output="y", attrs={})
    values = {"x": graph.values["x"], "y": replace(graph.values["x"], name="y", quant=quant)}
    alone = replace(graph, nodes=(node,), values=values, constants={}, outputs=("y",))
    ours = quant.quantize(x).dequantize()
    np.testing.assert_array_equal(ReferenceEvaluator(to_model(alone)).run(None, {"x": x})[0], ours)
    np.testing.assert_array_equal(runtime(to_model(alone), {"x": x})["y"], ours)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", ["QInt8", "QUInt8"])
def test_onnxruntimes_own_quantizer_comes_in_as_it_is(tmp_path: Path, per_channel: bool, kind: str) -> None:
    """quantize_static: codes, scales and zero points are its initializers; each QuantizeLinear gives its codes."""
    need_module("onnxruntime")
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    graph, data = network()
    (tmp_path / "float.onnx").write_bytes(to_model(graph).SerializeToString())

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows = iter([{"x": data}])

        def get_next(self) -> dict[str, Array] | None:
            return next(self.rows, None)

    quantize_static(
        tmp_path / "float.onnx", tmp_path / "int8.onnx", Reader(), quant_format=QuantFormat.QDQ,
        per_channel=per_channel, activation_type=QuantType[kind], weight_type=QuantType.QInt8,
    )  # fmt: skip
    model = onnx.load(tmp_path / "int8.onnx")
    held = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    ours = load(tmp_path / "int8.onnx")
    weights = 0
    for node in model.graph.node:
        codes = held.get(node.input[0], np.zeros(()))
        if node.op_type == "DequantizeLinear" and codes.dtype == np.int8 and codes.ndim > 1:
            found = ours.constants[node.output[0]]
            assert isinstance(found, QTensor)
            scale = held[node.input[1]]
            turned = codes.T if found.shape != codes.shape or node.output[0].startswith("w3") else codes
            np.testing.assert_array_equal(found.codes.view(np.int8), turned)
            np.testing.assert_array_equal(found.scale.reshape(-1), scale.reshape(-1))
            weights += 1
    assert weights == 4
    pairs = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    wide = opened(model, [p.input[0] for p in pairs])
    kinds = {"QInt8": TensorProto.INT8, "QUInt8": TensorProto.UINT8}
    wide.graph.output.extend(helper.make_tensor_value_info(p.output[0], kinds[kind], None) for p in pairs)
    theirs = runtime(wide, {"x": data})
    theirs["x"] = data
    for pair in pairs:
        back = next(n.output[0] for n in model.graph.node if pair.output[0] in n.input)
        quant = ours.values[back].quant
        assert quant is not None
        assert quant.scale == held[pair.input[1]]
        assert (quant.zero_point or 0) == held[pair.input[2]]
        codes = quant.quantize(theirs[pair.input[0]]).codes
        np.testing.assert_array_equal(codes, theirs[pair.output[0]].view(np.uint8))
    answer = simulate(ours, {"x": data})["y"]
    np.testing.assert_allclose(answer, theirs["y"], atol=float(ours.values["y"].quant.scale) * 1.01)  # type: ignore[union-attr,arg-type]


def test_stored_weights_behind_a_transpose_and_quantized_at_load() -> None:
    """PyTorch's way: float weights, QuantizeLinear, DequantizeLinear, Transpose, MatMul."""
    node = helper.make_node
    w = f32(7, 5)
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], ["wq"], axis=0),
        node("DequantizeLinear", ["wq", "s", "z"], ["wd"], axis=0),
        node("Transpose", ["wd"], ["wt"], perm=[1, 0]),
        node("MatMul", ["x", "wt"], ["y"]),
    ]
    scale = (np.abs(w).max(axis=1) / 127).astype(np.float32)
    model = build(nodes, ("N", 3, 5), {"w": w, "s": scale, "z": np.zeros(7, np.int8)})
    graph = from_model(model, name="g")
    found = graph.constants[graph.nodes[0].inputs[1]]
    assert isinstance(found, QTensor)
    assert (found.shape, found.axis) == ((7, 5), 0)
    np.testing.assert_array_equal(found.codes.view(np.int8), np.rint(w / scale[:, None]).astype(np.int8))
    x = f32(2, 3, 5)
    np.testing.assert_allclose(simulate(graph, {"x": x})["y"], runtime(model, {"x": x})["y"], rtol=1e-5, atol=1e-5)


def pair(**attrs: Any) -> list[Any]:
    node = helper.make_node
    return [
        node("QuantizeLinear", ["x", "s", "z"], ["c"], name="q", **attrs),
        node("DequantizeLinear", ["c", "s", "z"], ["y"]),
    ]


U8 = np.zeros((), np.uint8)
BAD: dict[str, tuple[ModelProto, str]] = {
    "codes read as numbers": (
        build([pair()[0], helper.make_node("Relu", ["c"], ["y"])], ("N", 4), {"s": f32(), "z": U8}, opset=14),
        "expected a DequantizeLinear first",
    ),
    "another scale": (
        build([pair()[0], helper.make_node("DequantizeLinear", ["c", "t", "z"], ["y"])], ("N", 4),
              {"s": np.float32(1), "t": np.float32(2), "z": U8}),
        "differ from those of its QuantizeLinear",
    ),
    "negative scale": (build(pair(), ("N", 4), {"s": np.float32(-1), "z": U8}), "positive and finite"),
    "no scale": (build(pair(), ("N", 4), {"s": np.float32(np.nan), "z": U8}), "scales must be finite"),
    "scales of another channel": (build(pair(), ("N", 4), {"s": np.ones(3, np.float32), "z": np.zeros(3, np.uint8)}),
                                  "must have shape"),
    "16 bits": (build(pair(), ("N", 4), {"s": np.float32(1), "z": np.zeros((), np.int16)}, opset=21),
                "storing as int16"),
    "run-time scale": (build(pair(), (), {"z": U8}, inputs={"x": ("N", 4), "s": ("N", 4)}), "must be a constant"),
    "codes from nowhere": (
        build([helper.make_node("DequantizeLinear", ["x", "s"], ["y"])], ("N", 4), {"s": np.float32(1)},
              elem_type=TensorProto.INT8),
        "must come from a QuantizeLinear",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_pairs_that_say_something_else_are_refused(case: str) -> None:
    model, says = BAD[case]
    with pytest.raises(ModelError, match=says):
        from_model(model, name="g")


def test_what_onnx_cannot_say_is_refused_by_name() -> None:
    graph, data = network()

    def refusal(recipe: Recipe, dialect: str = "qdq") -> str:
        made = hwsim.quantize(graph, recipe.with_calibrator("minmax"), data)
        with pytest.raises(ModelError) as err:
            to_model(made, dialect)
        return str(err.value)

    assert "ONNX has no type for fp6_e2m3" in refusal(Recipe(Scheme("fp6_e2m3"), Scheme("int8")))
    assert "follow from data" in refusal(Recipe(Scheme("mxfp8_e4m3"), Scheme("mxfp8_e4m3"), accumulator="fp32"))
    assert "QONNX has no way to say nf4" in refusal(Recipe(Scheme("nf4"), Scheme("int8"), accumulator="fp32"), "qonnx")
    with pytest.raises(ModelError, match=r"unknown dialect 'qdk' \(did you mean 'qdq'\?\)"):
        to_model(graph, "qdk")
    with pytest.raises(ModelError, match=r"ends in \.onnx"):
        save(graph, "net.pb")


# QONNX --------------------------------------------------------------------------------------------------------------
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


# Float operators out -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CASES)
def test_every_operator_goes_out_as_it_came_in(name: str) -> None:
    """What is written gives onnxruntime the numbers that our reference has, and comes in again."""
    graph = from_model(CASES[name], name="g")
    feeds, model = draw(graph, 2), to_model(graph)
    ours = run(graph, feeds)
    whole = {i.name for i in model.graph.input if i.type.tensor_type.elem_type == TensorProto.INT64}
    theirs = runtime(model, {k: v.astype(np.int64 if k in whole else np.float32) for k, v in feeds.items()})
    again = run(from_model(model, name="g"), feeds)
    for out in graph.outputs:
        close(ours[out], theirs[out])
        close(again[out], ours[out])


@pytest.mark.parametrize("source", ["folder", "gguf"])
def test_a_decoder_goes_out(tmp_path: Path, source: str) -> None:
    """Rotary embedding of both kinds, grouped attention, RMS norms, token ids: a Llama in onnxruntime, and back."""
    held = decoders.weights()
    if source == "folder":
        graph = safetensors.load(decoders.folder(tmp_path / "m", held), length=48)
    else:
        graph = gguf.load(decoders.gguf(tmp_path / "m.gguf", held), length=48)
    ids = np.random.default_rng(0).integers(0, 64, (2, 48))
    model = to_model(graph)
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.INT64
    ours = run(graph, {"tokens": ids})["logits"]
    close(runtime(model, {"tokens": ids})["logits"], ours)
    close(run(from_model(model, name="m"), {"tokens": ids})["logits"], ours)


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


@pytest.mark.parametrize("block", ["mxfp4", "nvfp4"])
@pytest.mark.parametrize("channels", [False, True])
def test_block_functions_at_their_ends(block: str, channels: bool) -> None:
    """Powers of two and their neighbours, zeros, tiny and huge numbers, short blocks: equal in onnx's evaluator."""
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng(0)
    powers = np.ldexp(np.float32(1), np.arange(-126, 127, 5)).astype(np.float32)
    tops = np.concatenate([np.nextafter(powers, 0), powers, np.nextafter(powers, np.float32(np.inf))])
    tops = np.concatenate([tops, [0, 1e-40, 1e-45, 3e38]]).astype(np.float32)
    x = (rng.uniform(-1, 1, (len(tops), 70)) * tops[:, None]).astype(np.float32)
    x[:, 3] = tops
    if channels:
        x = x.reshape(-1, 70, 1, 1)
    quant = QuantParams("fp4_e2m1", block_format=block, axis=1 if channels else -1)
    shape = ("N", *x.shape[1:])
    values = {"x": Value("x", shape), "y": Value("y", shape, quant)}
    graph = Graph("g", ("x",), ("y",), (Node("q", "Quantize", ("x",), "y"),), values, {})
    model = to_model(graph)
    parts = [x] if block == "mxfp4" else [x[i : i + 1] for i in range(len(x))]  # one scale a tensor: each on its own
    for part in parts:
        if block == "nvfp4" and 0 < np.abs(part).max() < 2.0**-114:
            continue
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(model).run(None, {"x": part})[0]
        np.testing.assert_array_equal(found, quant.quantize(part).dequantize())
    assert from_model(model, name="g").values["y"].format == block


@pytest.mark.parametrize("case", ["int8", "uint8"])
def test_eight_bits_run_in_onnxruntime_as_users_start_it(case: str) -> None:
    """With every optimization: fused kernels sum in integers, so a stored value may differ by a step."""
    ort = need_module("onnxruntime")
    graph, (_, data) = quantized(case), network()
    want = simulate(graph, {"x": data})["y"]
    session = ort.InferenceSession(to_model(graph).SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": data})[0], want, atol=0.02 * float(np.abs(want).max()))
