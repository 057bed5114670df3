"""Quantized networks as ONNX: QDQ held against onnx's evaluator and onnxruntime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import hwsim
from hwsim.errors import ModelError
from hwsim.io.onnx import from_model, load, save, to_model
from hwsim.ir import Graph, Node, QuantParams, Value
from hwsim.numerics import QTensor
from hwsim.quant import Recipe
from hwsim.quant.recipe import Scheme
from hwsim.quant.simulate import simulate
from tests.io.models import build
from tests.io.onnx_quantized import RECIPES, Array, f32, network, opened, quantized, runtime, stored
from tests.oracles import need_module

NOT_IN_ONNXRUNTIME = ("fp4", "nvfp4", "mxfp4", "mxfp4 blocks", "nvfp4 blocks")
"""onnxruntime 1.32 has no kernel of DequantizeLinear for FLOAT4E2M1 on a CPU."""


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
