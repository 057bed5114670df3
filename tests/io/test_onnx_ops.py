"""Every imported operator computes what onnxruntime computes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

from hwsim.errors import DataError, ModelError
from hwsim.io._onnx_file import DOMAINS
from hwsim.io._onnx_table import HANDLERS
from hwsim.io.onnx import SUPPORTED, from_model
from hwsim.ir.float_layout import COORDINATES, NEAREST
from hwsim.ir.reference import run
from tests.io.models import agree, build, close, judge, one
from tests.oracles import need_module

need_module("onnxruntime")
RNG = np.random.default_rng(1)


def f32(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.standard_normal(shape).astype(np.float32)


IMAGE = ("N", 4, 9, 11)
I64 = np.int64

CASES: dict[str, ModelProto] = {
    "Add": one("Add", IMAGE, f32(4, 1, 1)),
    "Sub": one("Sub", IMAGE, f32(11)),
    "Mul": one("Mul", IMAGE, f32(1, 4, 9, 1)),
    "Div": one("Div", IMAGE, f32()),
    "Sum": one("Sum", IMAGE, f32(4, 1, 1), f32(11), f32()),
    "Sum of one": build([helper.make_node("Sum", ["x"], ["a"]), helper.make_node("Relu", ["a"], ["y"])], IMAGE),
    "Relu": one("Relu", IMAGE),
    "Sigmoid": one("Sigmoid", IMAGE),
    "Clip attributes": one("Clip", IMAGE, opset=7, min=-0.5, max=0.25),
    "Clip inputs": one("Clip", IMAGE, np.float32(-0.5), np.float32(0.25)),
    "Clip max only": one("Clip", IMAGE, None, np.float32(0.25)),
    "Clip open": one("Clip", IMAGE, np.float32(0), np.float32(np.inf)),
    "Conv bias": one("Conv", IMAGE, f32(6, 4, 3, 3), f32(6), pads=[1, 0, 2, 1]),
    "Conv depthwise": one("Conv", IMAGE, f32(8, 1, 3, 2), group=4, dilations=[2, 1]),
    "Conv 1-D": one("Conv", ("N", 4, 17), f32(6, 2, 5), f32(6), group=2, strides=[2], pads=[1, 3], dilations=[2]),
    "Conv 1-D same": one("Conv", ("N", 4, 17), f32(6, 4, 4), auto_pad="SAME_LOWER", strides=[3]),
    "MaxPool": one("MaxPool", IMAGE, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
    "MaxPool ceil": one("MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "MaxPool ceil, last window outside": one(
        "MaxPool", ("N", 2, 6, 7), kernel_shape=[2, 2], strides=[3, 3], pads=[0, 0, 1, 1], ceil_mode=1
    ),
    "MaxPool same": one("MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    "MaxPool 1-D": one("MaxPool", ("N", 3, 10), kernel_shape=[3], strides=[2], pads=[0, 1]),
    "AveragePool": one("AveragePool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "AveragePool with pad": one("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "AveragePool ceil": one("AveragePool", IMAGE, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "AveragePool same lower": one("AveragePool", IMAGE, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER"),
    "GlobalAveragePool": one("GlobalAveragePool", IMAGE),
    "GlobalAveragePool 1-D": one("GlobalAveragePool", ("N", 4, 9)),
    "ReduceMean kept": one("ReduceMean", IMAGE, axes=[2, 3]),
    "ReduceMean dropped": one("ReduceMean", IMAGE, axes=[-1, -2], keepdims=0),
    "ReduceMean input": one("ReduceMean", IMAGE, np.array([2, 3], I64), opset=18, keepdims=0),
    "Gemm": one("Gemm", ("N", 5), f32(5, 7), f32(7)),
    "Gemm folded": one("Gemm", ("N", 5), f32(7, 5), f32(1, 7), transB=1, alpha=0.5, beta=-2.0),
    "Gemm scalar bias": one("Gemm", ("N", 5), f32(5, 7), f32(1)),
    "Gemm bare": one("Gemm", ("N", 5), f32(7, 5), transB=1),
    "MatMul": one("MatMul", ("N", 3, 5), f32(5, 7)),
    "MatMul of ones": one("MatMul", ("N", 3, 5), f32(1, 5, 7)),
    "Flatten": one("Flatten", IMAGE),
    "Flatten negative": one("Flatten", IMAGE, axis=-3),
    "Reshape batch": one("Reshape", IMAGE, np.array([-1, 36, 11], I64)),
    "Reshape zero": one("Reshape", IMAGE, np.array([0, 0, -1], I64)),
    "Squeeze": one("Squeeze", ("N", 4, 1, 1), np.array([2, 3], I64)),
    "Squeeze attribute": one("Squeeze", ("N", 4, 1, 3), opset=11, axes=[2]),
    "Unsqueeze": one("Unsqueeze", ("N", 4), np.array([2, -1], I64)),
    "Transpose": one("Transpose", IMAGE, perm=[0, 2, 3, 1]),
    "BatchNormalization": one("BatchNormalization", IMAGE, f32(4), f32(4), f32(4), np.abs(f32(4)), epsilon=0.01),
    "BatchNormalization 2-D": one("BatchNormalization", ("N", 4), f32(4), f32(4), f32(4), np.abs(f32(4))),
    "Softmax": one("Softmax", ("N", 4, 5)),
    "Softmax middle": one("Softmax", ("N", 4, 5), axis=1),
    "Softmax before 13": one("Softmax", ("N", 4, 5, 2), opset=11),
    "Softmax before 13, axis 2": one("Softmax", ("N", 4, 5, 2), opset=11, axis=2),
    "Pad": one("Pad", IMAGE, np.array([0, 0, 1, 2, 0, 0, 0, 3], I64), np.float32(0.5)),
    "Pad attributes": one("Pad", IMAGE, opset=7, pads=[0, 1, 0, 0, 0, 0, 2, 0], value=-1.0),
    "Pad axes": one("Pad", IMAGE, np.array([1, 2, 3, 4], I64), None, np.array([-1, 2], I64), opset=18),
    "Abs": one("Abs", IMAGE),
    "Erf": one("Erf", IMAGE),
    "Exp": one("Exp", IMAGE),
    "Floor": one("Floor", IMAGE),
    "Neg": one("Neg", IMAGE),
    "Reciprocal": one("Reciprocal", IMAGE),
    "Tanh": one("Tanh", IMAGE),
    "HardSwish": one("HardSwish", IMAGE, opset=14),
    "HardSigmoid": one("HardSigmoid", IMAGE),
    "HardSigmoid set": one("HardSigmoid", IMAGE, alpha=0.3, beta=0.1),
    "LeakyRelu": one("LeakyRelu", IMAGE, alpha=0.3),
    "Gelu": one("Gelu", IMAGE, opset=20),
    "Gelu tanh": one("Gelu", IMAGE, opset=20, approximate="tanh"),
    "Swish": one("Swish", IMAGE, opset=24, alpha=1.5),
    "Pow": one("Pow", IMAGE, np.float32(2)),
    "Max": one("Max", IMAGE, f32(11), f32(4, 1, 1)),
    "Min": one("Min", IMAGE, f32(11)),
    "LayerNormalization": one("LayerNormalization", IMAGE, f32(11), f32(11), opset=17, epsilon=0.01),
    "LayerNormalization two": one("LayerNormalization", IMAGE, f32(9, 11), opset=17, axis=2),
    "LayerNormalization spread": one("LayerNormalization", IMAGE, f32(1), opset=17, axis=-2),
    "RMSNormalization": one("RMSNormalization", IMAGE, f32(11), opset=23),
    "RMSNormalization two": one("RMSNormalization", IMAGE, f32(9, 11), opset=23, axis=-2, epsilon=0.1),
    "ReduceMean last": one("ReduceMean", IMAGE, axes=[-1]),
    "ReduceMean channels": one("ReduceMean", IMAGE, axes=[1], keepdims=0),
    "ReduceSum": one("ReduceSum", IMAGE, np.array([1, 3], I64)),
    "ReduceSum dropped": one("ReduceSum", IMAGE, np.array([-1], I64), keepdims=0),
    "ReduceMax": one("ReduceMax", IMAGE, axes=[2]),
    "GlobalMaxPool": one("GlobalMaxPool", IMAGE),
    "DepthToSpace": one("DepthToSpace", ("N", 12, 3, 2), blocksize=2),
    "DepthToSpace CRD": one("DepthToSpace", ("N", 18, 3, 2), blocksize=3, mode="CRD"),
    "Slice": one("Slice", IMAGE, *(np.array(v, I64) for v in ([1, -4], [3, 1 << 62], [1, 3], [1, 2]))),
    "Slice backwards": one("Slice", IMAGE, *(np.array(v, I64) for v in ([-1], [-(1 << 62)], [2], [-2]))),
    "Slice attributes": one("Slice", IMAGE, opset=9, starts=[0, 2], ends=[1 << 62, 3], axes=[0, 1]),
    "Expand": one("Expand", ("N", 4, 1, 11), np.array([1, 4, 5, 1], I64)),
    "Greater, Where": build(
        [helper.make_node("Greater", ["x", "c"], ["g"]), helper.make_node("Where", ["g", "x", "d"], ["y"])],
        ("N", 4),
        {"c": f32(4), "d": f32(1)},
    ),
    "Less, Not, Cast": build(
        [
            helper.make_node("Less", ["x", "c"], ["l"]),
            helper.make_node("Not", ["l"], ["n"]),
            helper.make_node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["x", "f"], ["y"]),
        ],
        ("N", 4),
        {"c": f32(4)},
    ),
    "Log, Sqrt": build(
        [
            helper.make_node("Abs", ["x"], ["a"]),
            helper.make_node("Sqrt", ["a"], ["b"]),
            helper.make_node("Log", ["b"], ["y"]),
        ],
        ("N", 4),
    ),
    "Gather fixed": one("Gather", IMAGE, np.array([2, 0, -1], I64), axis=1),
    "Gather one": one("Gather", IMAGE, np.array(1, I64), axis=2),
    **{
        f"Resize {mode} {where} {rule} {scale}": one(
            "Resize",
            ("N", 2, 5, 4),
            None,
            np.array([1, 1, scale, 1.5], np.float32),
            mode=mode,
            coordinate_transformation_mode=where,
            nearest_mode=rule,
        )
        for mode, rules in (("nearest", NEAREST), ("linear", ("floor",)))
        for where in COORDINATES
        for rule in rules
        for scale in (2.0, 0.6)
    },
    "Resize to a size": one("Resize", (2, 2, 5, 4), None, None, np.array([2, 2, 7, 8], I64), mode="linear"),
    "Pad cropping": one("Pad", IMAGE, np.array([0, 0, -1, 0, 0, 0, 0, -2], I64)),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_onnxruntime(case: str) -> None:
    agree(CASES[case])


def node(op: str, inputs: str, output: str, **attrs: Any) -> Any:
    return helper.make_node(op, inputs.split(), [output], **attrs)


def test_two_run_time_operands() -> None:
    model = build(
        [
            node("MatMul", "a b", "m"),
            node("Softmax", "m", "s", axis=-1),
            node("MatMul", "s c", "t"),
            node("Concat", "t a", "u", axis=2),
            node("Sub", "u u", "z"),
            node("Div", "u k", "d"),
            node("Add", "z d", "y"),
        ],
        (),
        {"k": np.array(2, np.float32)},
        inputs={"a": ("N", 3, 4), "b": ("N", 4, 6), "c": ("N", 6, 5)},
    )
    graph = agree(model)
    assert [n.op for n in graph.nodes][:3] == ["MatMul", "Softmax", "MatMul"]


def test_removed_and_folded_operators_leave_nothing() -> None:
    model = build(
        [
            node("Constant", "", "half", value_float=0.5),
            node("Mul", "w half", "w2"),
            node("Transpose", "w2", "w3", perm=[1, 0]),
            node("Identity", "x", "x2"),
            node("Gemm", "x2 w3", "g"),
            node("Cast", "g", "g2", to=TensorProto.FLOAT),
            node("Dropout", "g2", "y"),
        ],
        ("N", 4),
        {"w": f32(3, 4)},
    )
    graph = agree(model)
    assert [(n.op, n.output) for n in graph.nodes] == [("Gemm", "y")]
    assert graph.outputs == ("y",)


@pytest.mark.parametrize("opset", [7, 11, 13, 18])
def test_constants_computed_from_constants(opset: int) -> None:
    axes = {"axes": [1, 2]} if opset < 13 else {}
    unsqueeze = helper.make_node("Unsqueeze", ["w", "at"] if opset >= 13 else ["w"], ["w2"], **axes)
    nodes = [unsqueeze, node("Sub", "w2 one", "w3"), node("Mul", "x w3", "y")]
    graph = agree(build(nodes, IMAGE, {"w": f32(4), "at": np.array([1, 2], I64), "one": f32(1)}, opset=opset))
    assert [n.op for n in graph.nodes] == ["Mul"]


def test_shape_arithmetic_that_exporters_leave_is_folded() -> None:
    model = build(
        [
            node("Shape", "x", "s"),
            node("Gather", "s zero", "n", axis=0),
            node("Unsqueeze", "n axes", "n1"),
            node("Concat", "n1 rest", "shape", axis=0),
            node("Reshape", "x shape", "y"),
        ],
        IMAGE,
        {"zero": np.array(0, I64), "axes": np.array([0], I64), "rest": np.array([-1], I64)},
    )
    graph = agree(model, batch=5)
    assert [n.op for n in graph.nodes] == ["Reshape"]
    assert graph.nodes[0].attrs["shape"] == (-1, 4 * 9 * 11)


@pytest.mark.parametrize("shape", [[1, 396], [1, -1], [1, 4, 99]])
def test_reshape_to_a_fixed_batch_of_one_is_opened(shape: list[int]) -> None:
    graph = agree(one("Reshape", (1, 4, 9, 11), np.array(shape, I64)), batch=1)
    assert graph.shape_of("y")[0] == "N"
    assert graph.shape_of("x") == ("N", 4, 9, 11)


def test_a_traced_reshape_under_a_symbolic_batch_is_opened() -> None:
    graph = from_model(one("Reshape", IMAGE, np.array([1, 396], I64)), name="g")
    assert graph.shape_of("y") == ("N", 396)


@pytest.mark.parametrize("bias", [(6, 1, 1), (1, 6, 1, 1)])
def test_a_constant_added_to_a_convolution_becomes_its_bias(bias: tuple[int, ...]) -> None:
    nodes = [node("Conv", "x w", "c"), node("Add", "b c", "y")]
    graph = agree(build(nodes, IMAGE, {"w": f32(6, 4, 3, 3), "b": f32(*bias)}))
    assert [n.op for n in graph.nodes] == ["Conv"]
    assert len(graph.nodes[0].inputs) == 3


def test_a_constant_added_after_matmul_becomes_its_bias_only_where_it_is_one() -> None:
    nodes = [node("MatMul", "x w", "c"), node("Add", "c b", "y")]
    assert [n.op for n in agree(build(nodes, ("N", 3, 5), {"w": f32(5, 7), "b": f32(7)})).nodes] == ["Gemm"]
    other = agree(build(nodes, ("N", 3, 5), {"w": f32(5, 7), "b": f32(3, 1)}))
    assert [n.op for n in other.nodes] == ["Gemm", "Add"]
    shared = build([*nodes, node("Relu", "c", "z")], ("N", 5), {"w": f32(5, 7), "b": f32(7)}, outputs=("y", "z"))
    assert [n.op for n in agree(shared).nodes] == ["Gemm", "Add", "Relu"]


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_other_floats_become_float32(kind: str) -> None:
    w: np.ndarray[Any, Any] = f32(7, 5).astype(kind)
    elem = helper.np_dtype_to_tensor_dtype(w.dtype)
    model = build([node("Gemm", "x w", "y", transB=1)], ("N", 5), {"w": w}, elem_type=elem)
    graph = from_model(model, name="g")
    np.testing.assert_array_equal(graph.float_constant("w"), w.astype(np.float32))


def test_every_supported_operator_is_tested() -> None:
    covered = {op for name in CASES for op in re.findall(r"[A-Z]\w+", name)} & set(HANDLERS)
    covered |= {"Concat", "Identity", "Dropout", "Cast", "Equal", "Split", "LSTM", "GRU"}  # see test_onnx_recurrent
    assert set(HANDLERS) == covered | set(DOMAINS)  # the latter are tested in test_onnx_quant and test_qonnx
    assert set(SUPPORTED) >= set(HANDLERS)


@st.composite
def convolutions(draw: Any) -> ModelProto:
    group = draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 4)) for _ in range(2)]
    size = [draw(st.integers(4, 10)) for _ in range(2)]
    attrs: dict[str, Any] = {
        "strides": [draw(st.integers(1, 3)) for _ in range(2)],
        "dilations": [draw(st.integers(1, 2)) for _ in range(2)],
        "group": group,
    }
    mode = draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if mode == "NOTSET":
        attrs["pads"] = [draw(st.integers(0, 2)) for _ in range(4)]
    else:
        attrs["auto_pad"] = mode
        # onnxruntime does not take SAME with dilations
        attrs["dilations"] = [1, 1] if mode.startswith("SAME") else attrs["dilations"]
    pads = attrs.get("pads", [0] * 4)
    for i in range(2):
        room = size[i] + pads[i] + pads[i + 2] if not mode.startswith("SAME") else 99
        assume(room >= (kernel[i] - 1) * attrs["dilations"][i] + 1)
    w = f32(group * draw(st.integers(1, 3)), draw(st.integers(1, 3)), *kernel)
    bias = [f32(w.shape[0])] if draw(st.booleans()) else []
    return one("Conv", ("N", w.shape[1] * group, *size), w, *bias, **attrs)


@settings(max_examples=80, deadline=None)
@given(convolutions())
def test_any_convolution_equals_onnxruntime(model: ModelProto) -> None:
    agree(model)


@settings(max_examples=60, deadline=None)
@given(
    op=st.sampled_from(["MaxPool", "AveragePool"]),
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(*[st.integers(0, 1)] * 4),
    ceil=st.booleans(),
)
def test_any_pooling_equals_onnxruntime(
    op: str, size: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...], pads: tuple[int, ...], ceil: bool
) -> None:
    assume(all(p < kernel[i % 2] for i, p in enumerate(pads)))
    model = one(op, ("N", 2, *size), kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=int(ceil))
    try:
        graph = from_model(model, name="g")
    except ModelError as err:  # padding grown by rounding up may not reach the kernel's size
        if not ceil or "smaller than the kernel" not in str(err):
            raise
        return
    assert graph.nodes
    agree(model)


def test_split_into_uneven_parts_of_which_one_is_unused() -> None:
    nodes = [helper.make_node("Split", ["x", "sizes"], ["a", "b", "c"], axis=1), node("Sub", "c a", "y")]
    graph = agree(build(nodes, ("N", 7, 3), {"sizes": np.array([2, 3, 2], I64)}))
    assert [n.op for n in graph.nodes] == ["Slice", "Slice", "Sub"]


def test_token_ids_pick_from_a_table_and_make_their_mask() -> None:
    """The shape of an embedding: whole-number inputs, a table, a mask of the padding, a masked mean."""
    nodes = [
        node("Gather", "table x", "e"),
        node("Equal", "x pad", "p"),
        node("Not", "p", "keep"),
        node("Cast", "keep", "m", to=TensorProto.FLOAT),
        node("Unsqueeze", "m last", "m3"),
        node("Mul", "e m3", "em"),
        node("ReduceSum", "em one", "s", keepdims=0),
        node("ReduceSum", "m one", "n", keepdims=1),
        node("Div", "s n", "y"),
    ]
    weights = {"table": f32(9, 5), "pad": np.array(0, I64), "last": np.array([2], I64), "one": np.array([1], I64)}
    model = build(nodes, (), weights, inputs={"x": ("N", 4)}, elem_type=TensorProto.INT64)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    graph = from_model(model, name="g")
    ids = np.array([[3, 8, 0, 0], [1, 2, 4, 7]], I64)
    close(run(graph, {"x": ids})["y"], judge(model, {"x": ids})[0])
    with pytest.raises(DataError, match="index 9 is not one of the table's 9 entries"):
        run(graph, {"x": ids + 1})
    with pytest.raises(DataError, match="beyond 2\\^24"):
        run(graph, {"x": ids + (1 << 25)})
