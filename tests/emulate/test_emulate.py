"""The emulator against a slow re-statement, onnxruntime's integer kernels, and itself cut differently."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwsim.emulate import MatrixStep, bind, emulate
from hwsim.emulate.epilogue import fixed_point
from hwsim.errors import DataError, ModelError, RecipeError, TargetError
from hwsim.ir import Graph, Node, Value, reference
from hwsim.numerics import QTensor, mma
from hwsim.quant import Recipe, Scheme, quantize, recipe_for
from hwsim.target import load_target
from tests.emulate.plain import conv_columns, signed
from tests.ir.graphs import CONV, POOL, graph_of, small_cnn
from tests.oracles import need_module

G = small_cnn()
X = np.random.default_rng(3).standard_normal((16, 3, 8, 8)).astype(np.float32)
MODES = [
    ("hwsim-int4-ws16", "int4"),
    ("ascend-910b4", "int4"),
    ("ascend-910b4", "int8"),
    ("nvidia-h100", "fp8"),
    ("nvidia-h100", "fp16"),
]


def quantized(target: str, precision: str, graph: Graph = G, x: np.ndarray = X) -> tuple[Graph, Any]:
    chip = load_target(target)
    return quantize(graph, recipe_for(chip, precision), x), chip


@pytest.mark.parametrize(("target", "precision"), MODES)
def test_near_the_float_network(target: str, precision: str) -> None:
    graph, chip = quantized(target, precision)
    run = emulate(graph, chip, X, precision=precision, reference=G)
    want = reference.run(G, {"x": X})["y"]
    error = float(np.linalg.norm(run.output - want) / np.linalg.norm(want))
    assert 0 < error < {"int4": 0.5, "int8": 0.03, "fp8": 0.08, "fp16": 0.002}[precision]
    assert run.trace.macs == len(X) * (6 * 3 * 9 * 64 + 6 * 6 * 9 * 16 + 5 * 6)
    assert {row.layer for row in run.trace.health} == {"conv1", "conv2", "fc"}
    assert all(row.sqnr_db is None or row.sqnr_db > 3 for row in run.trace.health)


@pytest.mark.parametrize(("target", "precision"), MODES)
def test_independent_of_chunks_and_neighbours(target: str, precision: str) -> None:
    graph, chip = quantized(target, precision)
    whole = emulate(graph, chip, X, precision=precision).output
    np.testing.assert_array_equal(whole, emulate(graph, chip, X, precision=precision, chunk=3).output)
    np.testing.assert_array_equal(whole[5:6], emulate(graph, chip, X[5:6], precision=precision).output)


def one_conv(seed: int, **attrs: Any) -> tuple[Graph, np.ndarray]:
    """Conv - Relu - Conv (1x1) so that the first convolution's result is stored in low bits."""
    rng = np.random.default_rng(seed)
    merged = {**CONV, **attrs}
    channels, out = 4, 8
    w = (rng.standard_normal((out, channels // merged["group"], 3, 3)) * 0.5).astype(np.float32)
    w2 = (rng.standard_normal((3, out, 1, 1)) * 0.5).astype(np.float32)
    b = rng.standard_normal(out).astype(np.float32)
    x = rng.standard_normal((5, channels, 9, 7)).astype(np.float32)
    probe = Graph(
        "p",
        ("x",),
        ("y",),
        (Node("c", "Conv", ("x", "w"), "y", merged),),
        {"x": Value("x", ("N", *x.shape[1:]))},
        {"w": w},
    )
    y = reference.run(probe, {"x": x})["y"].shape[1:]
    shapes = {"x": ("N", *x.shape[1:]), "c": ("N", *y), "r": ("N", *y), "y": ("N", 3, *y[1:])}
    nodes = [
        Node("conv", "Conv", ("x", "w", "b"), "c", merged),
        Node("relu", "Relu", ("c",), "r"),
        Node("head", "Conv", ("r", "w2"), "y", {**CONV, "pads": (0, 0, 0, 0)}),
    ]
    return graph_of(shapes, nodes, {"w": w, "b": b, "w2": w2}, "y"), x


GEOMETRIES = [
    {},
    {"strides": (2, 2)},
    {"strides": (1, 2), "pads": (0, 1, 2, 0)},
    {"dilations": (2, 1), "pads": (2, 1, 2, 1)},
    {"group": 2},
    {"group": 4},
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize(("target", "precision"), [("hwsim-int4-ws16", "int4"), ("ascend-910b4", "int8")])
def test_integer_convolution_step_by_step(target: str, precision: str, geometry: dict[str, Any]) -> None:
    """Every code of a stored convolution, from plain integers: products, zero points, bias, clamp, requantization."""
    graph, x = one_conv(7, **geometry)
    graph, chip = quantized(target, precision, graph, x)
    seen: dict[str, np.ndarray] = {}

    def watch(a: Any, b: Any, c: Any, unit: str) -> Any:
        seen["codes"] = a.copy()
        return mma(a, b, c, unit)

    emulate(graph, chip, x, precision=precision, matmul={"head": watch})
    conv = graph.node("conv")
    bits = 8 if precision == "int8" else 4
    quant_x, weight, bias = (
        graph.value(conv.inputs[0]).quant,
        graph.constants[conv.inputs[1]],
        graph.constants[conv.inputs[2]],
    )
    quant_y = graph.value(graph.node("head").inputs[0]).quant
    assert quant_x is not None
    assert quant_y is not None
    assert isinstance(weight, QTensor)
    assert isinstance(bias, QTensor)
    zx = 0 if quant_x.zero_point is None else int(quant_x.zero_point)
    zy = 0 if quant_y.zero_point is None else int(quant_y.zero_point)
    least, most = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    qx = np.clip(np.rint(x / np.float32(quant_x.scale)) + zx, least, most).astype(np.int64)
    qw, qb = signed(weight.codes, bits), bias.codes.astype(np.int64).astype(np.uint32).view(np.int32).astype(np.int64)
    group = conv.attrs["group"]
    parts = []
    for g in range(group):
        ch, oc = x.shape[1] // group, len(qw) // group
        cols = conv_columns(qx[:, g * ch : (g + 1) * ch], 3, 3, conv.attrs, zx) - zx
        rows = qw[g * oc : (g + 1) * oc].transpose(0, 2, 3, 1).reshape(oc, -1)
        parts.append(np.einsum("nhwk,ok->nhwo", cols, rows))
    acc = np.maximum(np.concatenate(parts, axis=-1) + qb, 0)
    ratio = (np.float32(quant_x.scale) * weight.scale).astype(np.float64) / float(quant_y.scale)
    if chip.precision(precision).requantize == "fixed_point":
        multiplier, shift = fixed_point(ratio)
        assert np.all((multiplier >= 1 << 30) & (multiplier < 1 << 31))
        np.testing.assert_allclose(multiplier * 2.0 ** -shift.astype(float), ratio, rtol=2.0**-30)
        q = np.array(
            [
                [
                    (int(a) * int(m) + (1 << (int(s) - 1))) >> int(s)
                    for a, m, s in zip(row, multiplier, shift, strict=True)
                ]
                for row in acc.reshape(-1, acc.shape[-1])
            ]
        )
    else:
        q = np.rint(acc.astype(np.float32) * ratio.astype(np.float32)).astype(np.int64).reshape(-1, acc.shape[-1])
    want = np.clip(q + zy, least, most)
    np.testing.assert_array_equal(signed(seen["codes"], bits), want)


def test_float_unit_step_by_step() -> None:
    """FP8: sums from the unit; scale, bias and Relu in float32; then the code of the nearest value."""
    graph, x = one_conv(9)
    graph, chip = quantized("nvidia-h100", "fp8", graph, x)
    seen: dict[str, np.ndarray] = {}

    def watch(a: Any, b: Any, c: Any, unit: str) -> Any:
        seen["codes"] = a.copy()
        return mma(a, b, c, unit)

    emulate(graph, chip, x, matmul={"head": watch})
    ml_dtypes = need_module("ml_dtypes")
    e4m3 = ml_dtypes.float8_e4m3fn
    conv = graph.node("conv")
    quant_x, quant_y = graph.value(conv.inputs[0]).quant, graph.value(graph.node("head").inputs[0]).quant
    weight = graph.constants[conv.inputs[1]]
    assert quant_x is not None
    assert quant_y is not None
    assert isinstance(weight, QTensor)
    sx, sy = np.float32(quant_x.scale), np.float32(quant_y.scale)
    codes = np.clip(x / sx, -448, 448).astype(e4m3).view(np.uint8)
    cols = conv_columns(codes, 3, 3, conv.attrs, 0)
    rows = weight.codes.transpose(0, 2, 3, 1).reshape(len(weight.codes), -1)
    acc = mma(
        np.ascontiguousarray(cols.reshape(-1, cols.shape[-1])),
        np.ascontiguousarray(rows),
        None,
        "nvidia.hopper.wgmma.e4m3",
    )
    y = np.maximum(acc * (sx * weight.scale) + graph.float_constant(conv.inputs[2]), np.float32(0))
    want = np.clip(y / sy, -448, 448).astype(e4m3).view(np.uint8)
    np.testing.assert_array_equal(seen["codes"], want)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_int8_convolution_equals_onnxruntime(geometry: dict[str, Any]) -> None:
    """An outside judge: QLinearConv of onnxruntime on the same codes, scales and zero points."""
    ort = need_module("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    graph, x = one_conv(11, **geometry)
    chip = load_target("ascend-910b4")
    recipe = Recipe(Scheme("int8", "per_channel"), Scheme("int8", symmetric=False))
    graph = quantize(graph, recipe, x)
    seen: dict[str, np.ndarray] = {}

    def watch(a: Any, b: Any, c: Any, unit: str) -> Any:
        seen["codes"] = a.copy()
        return mma(a, b, c, unit)

    emulate(graph, chip, x, precision="int8", matmul={"head": watch})
    conv = graph.node("conv")
    quant_x, quant_y = graph.value(conv.inputs[0]).quant, graph.value(graph.node("head").inputs[0]).quant
    weight, bias = graph.constants[conv.inputs[1]], graph.constants[conv.inputs[2]]
    assert quant_x is not None
    assert quant_y is not None
    assert isinstance(weight, QTensor)
    assert isinstance(bias, QTensor)
    qx = np.clip(np.rint(x / np.float32(quant_x.scale)) + int(quant_x.zero_point), -128, 127).astype(np.int8)
    zero = np.zeros(len(weight.scale), np.int8)
    inits = {
        "sx": np.float32(quant_x.scale), "zx": np.int8(int(quant_x.zero_point)), "w": weight.codes.view(np.int8),
        "sw": weight.scale, "zw": zero, "sy": np.float32(quant_y.scale), "zy": np.int8(int(quant_y.zero_point)),
        "b": bias.codes.view(np.int32),
    }  # fmt: skip
    attrs = {k: conv.attrs[k] for k in ("strides", "pads", "dilations", "group")}
    node = helper.make_node("QLinearConv", ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"], ["y"], **attrs)
    proto = helper.make_graph(
        [node], "q",
        [helper.make_tensor_value_info("x", TensorProto.INT8, list(qx.shape))],
        [helper.make_tensor_value_info("y", TensorProto.INT8, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in inits.items()],
    )  # fmt: skip
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    y = ort.InferenceSession(model.SerializeToString()).run(None, {"x": qx})[0]
    # Relu follows in our graph: it is the clamp at the zero point of the output.
    want = np.maximum(y, int(quant_y.zero_point)).transpose(0, 2, 3, 1).reshape(-1, y.shape[1])
    np.testing.assert_array_equal(seen["codes"].view(np.int8), want)


@pytest.mark.parametrize(
    ("weights", "unit_precision", "limit"),
    [
        (Scheme("int4", "per_group", 4), ("hwsim-int4-ws16", "int4"), 0.5),
        (Scheme("mxfp4"), ("nvidia-h100", "fp8"), 0.4),
        (Scheme("nvfp4"), ("nvidia-h100", "fp8"), 0.3),
        (Scheme("int4", "per_group", 4), ("nvidia-h100", "fp16"), 0.3),
        (Scheme("fp4_e2m1", "per_channel"), ("nvidia-h100", "fp8"), 0.4),
    ],
)
def test_grouped_and_block_weights(weights: Scheme, unit_precision: tuple[str, str], limit: float) -> None:
    """Scales that change along K: the answer is that of dequantized weights, up to activation rounding."""
    target, precision = unit_precision
    chip = load_target(target)
    recipe = replace(recipe_for(chip, precision), weights=weights)
    graph = quantize(G, recipe, X)
    got = emulate(graph, chip, X, precision=precision).output
    stored = reference.run(graph, {"x": X})["y"]
    want = reference.run(G, {"x": X})["y"]
    assert np.linalg.norm(got - want) < limit * np.linalg.norm(want)
    activations = 0.35 if precision == "int4" else 0.08
    assert np.linalg.norm(got - stored) < activations * np.linalg.norm(want)


def test_block_activations() -> None:
    chip = load_target("nvidia-h100")
    recipe = replace(recipe_for(chip, "fp8"), weights=Scheme("mxfp4"), activations=Scheme("mxfp4"))
    graph = quantize(G, recipe, X)
    got = emulate(graph, chip, X, precision="fp8").output
    want = reference.run(G, {"x": X})["y"]
    assert np.linalg.norm(got - want) < 0.5 * np.linalg.norm(want)


def test_run_time_product() -> None:
    """MatMul of two activations, with zero points on both sides."""
    shapes = {"x": ("N", 4, 6), "t": ("N", 6, 4), "y": ("N", 4, 4)}
    nodes = [Node("t", "Transpose", ("x",), "t", {"perm": (0, 2, 1)}), Node("mm", "MatMul", ("x", "t"), "y")]
    graph = graph_of(shapes, nodes, {}, "y")
    x = np.random.default_rng(2).uniform(-0.2, 2, (3, 4, 6)).astype(np.float32)
    recipe = Recipe(Scheme("int8", "per_channel"), Scheme("int8", symmetric=False))
    got = emulate(quantize(graph, recipe, x), load_target("ascend-910b4"), x, precision="int8").output
    np.testing.assert_allclose(got, x @ x.transpose(0, 2, 1), rtol=0.03, atol=0.05)


def test_max_pool_on_codes_equals_max_pool_on_reals() -> None:
    """Pooling stored codes and storing pooled numbers give the same codes, for every mode."""
    alone = replace(G, nodes=tuple(replace(n, inputs=("r2", "r2")) if n.op == "Add" else n for n in G.nodes))
    for target, precision in MODES:
        graph, chip = quantized(target, precision, alone)
        seen: list[np.ndarray] = []

        def watch(a: Any, b: Any, c: Any, unit: str, seen: list[np.ndarray] = seen) -> Any:
            seen.append(a.copy())
            return mma(a, b, c, unit)

        emulate(graph, chip, X, precision=precision, matmul={"conv2": watch})
        step = next(
            s for s in bind(graph, chip, precision).steps if isinstance(s, MatrixStep) and s.node.name == "conv1"
        )
        assert step.output.startswith("r1.q")
        moved = replace(graph, nodes=tuple(graph.nodes))
        pool = next(n for n in moved.nodes if n.op == "MaxPool")
        quant = graph.value(pool.output).quant
        assert quant is not None
        values = {**graph.values, "late": Value("late", graph.values[pool.output].shape)}
        nodes = []
        for n in graph.nodes:
            if n.op == "Quantize" and n.output == pool.inputs[0]:
                nodes.append(replace(pool, inputs=(n.inputs[0],), output="late"))
                nodes.append(Node("late.q", "Quantize", ("late",), pool.output))
            elif n.op != "MaxPool":
                nodes.append(n)
        late = graph.rebuilt(nodes=nodes, values=values)
        before = len(seen)
        emulate(late, chip, X, precision=precision, matmul={"conv2": watch})
        if (
            chip.precision(precision).requantize == "fp32"
            and precision in ("fp8", "fp16")
            and chip.precision(precision).vector_format == "fp32"
        ):
            np.testing.assert_array_equal(seen[0], seen[before])
        else:
            assert np.mean(seen[0] != seen[before]) < 0.02


def test_pool_geometry() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 9, 9)).astype(np.float32)
    attrs = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 0, 1, 1)}
    assert POOL.keys() == attrs.keys()
    w = np.eye(3, dtype=np.float32)[:, :, None, None]
    shapes = {"x": ("N", 3, 9, 9), "p": ("N", 3, 5, 4), "y": ("N", 3, 5, 4)}
    nodes = [
        Node("pool", "MaxPool", ("x",), "p", attrs),
        Node("c", "Conv", ("p", "w"), "y", {**CONV, "pads": (0,) * 4}),
    ]
    graph = graph_of(shapes, nodes, {"w": w}, "y")
    recipe = Recipe(Scheme("int8", "per_channel"), Scheme("int8", symmetric=False))
    stored = quantize(graph, recipe, x)
    assert [n.op for n in stored][:2] == ["Quantize", "MaxPool"]
    got = emulate(stored, load_target("ascend-910b4"), x, precision="int8").output
    np.testing.assert_allclose(got, reference.run(graph, {"x": x})["y"], atol=0.05)


def test_workload_of_a_program() -> None:
    graph, chip = quantized("hwsim-int4-ws16", "int4")
    work = bind(graph, chip, batch=4).workload
    assert work.macs == 4 * (6 * 3 * 9 * 64 + 6 * 6 * 9 * 16 + 5 * 6)
    assert [op.op for op in work.ops] == [
        "Quantize", "Conv", "Dequantize", "MaxPool", "Quantize", "Conv", "Dequantize", "Add", "GlobalAveragePool",
        "Quantize", "Gemm", "Dequantize",
    ]  # fmt: skip


def test_bad_input() -> None:
    graph, chip = quantized("hwsim-int4-ws16", "int4")
    with pytest.raises(DataError, match="must have shape"):
        emulate(graph, chip, X[:, :, :7])
    with pytest.raises(DataError, match="empty"):
        emulate(graph, chip, X[:0])
    with pytest.raises(DataError, match="NaN"):
        emulate(graph, chip, np.full_like(X, np.nan))
    with pytest.raises(TargetError, match="did you mean 'int4'"):
        emulate(graph, chip, X, precision="int44")
    with pytest.raises(RecipeError, match=r"conv1.*takes int4"):
        emulate(quantized("ascend-910b4", "int8")[0], chip, X)
    with pytest.raises(ModelError, match="not a matrix product"):
        emulate(graph, chip, X, matmul={"relu1": mma})


def test_vector_results_past_fp16_are_infinite_and_counted() -> None:
    """numpy's own float16 says which; a chip with float32 between its operations has none."""
    nodes = [Node("mm", "Gemm", ("x", "w"), "g"), Node("square", "Mul", ("g", "g"), "y")]
    graph = graph_of({"x": ("N", 2), "g": ("N", 2), "y": ("N", 2)}, nodes, {"w": np.eye(2, dtype=np.float32)}, "y")
    x = np.array([[300, 10], [200, -250], [-254, -257]], np.float32)
    half = quantize(graph, recipe_for(load_target("ascend-910b4"), "int8"), x)
    run = emulate(half, load_target("ascend-910b4"), x, precision="int8")
    with np.errstate(over="ignore"):
        want = np.square(x.astype(np.float16))
    np.testing.assert_array_equal(np.isinf(run.output), np.isinf(want))
    (row,) = [row for row in run.trace.health if row.layer == "square"]
    assert (row.overflowed, row.elements, row.format) == (2, 6, "fp16")
    wide = emulate(quantize(graph, recipe_for(load_target("ethos-u55"), "int8"), x), load_target("ethos-u55"), x)
    assert [row.layer for row in wide.trace.health] == ["mm"]


def test_masked_scores_are_not_counted_as_lost() -> None:
    """A mask's constant is past FP16 on purpose; a sum that leaves it by itself is not."""
    nodes = [Node("mm", "Gemm", ("x", "w"), "g"), Node("masked", "Add", ("g", "mask"), "y")]
    mask = np.array([0, -1e9], np.float32)
    constants = {"w": np.eye(2, dtype=np.float32), "mask": mask}
    graph = graph_of({"x": ("N", 2), "g": ("N", 2), "y": ("N", 2)}, nodes, constants, "y")
    x, chip = np.array([[300, 10], [200, -250]], np.float32), load_target("ascend-910b4")
    run = emulate(quantize(graph, recipe_for(chip, "int8"), x), chip, x, precision="int8")
    assert np.isneginf(run.output[:, 1]).all()
    assert [row.layer for row in run.trace.health] == ["mm"]
    near = graph.rebuilt(constants={**constants, "mask": np.array([0, -65400], np.float32)})
    run = emulate(quantize(near, recipe_for(chip, "int8"), x), chip, x, precision="int8")
    assert [(row.layer, row.overflowed) for row in run.trace.health if row.layer != "mm"] == [("masked", 1)]


def test_a_sum_over_a_dimension_that_leaves_fp16_is_counted() -> None:
    nodes = [Node("mm", "Gemm", ("x", "w"), "g"), Node("sum", "ReduceSum", ("g",), "y", {"axes": (1,), "keepdims": 0})]
    graph = graph_of({"x": ("N", 2), "g": ("N", 2), "y": ("N",)}, nodes, {"w": np.eye(2, dtype=np.float32)}, "y")
    x, chip = np.array([[40000, 40000], [200, -250], [1, 2]], np.float32), load_target("ascend-910b4")
    run = emulate(quantize(graph, recipe_for(chip, "int8"), x), chip, x, precision="int8")
    assert [(row.layer, row.overflowed) for row in run.trace.health if row.layer != "mm"] == [("sum", 1)]
