"""The verifier refuses what is wrong, naming the node; the text form is exact both ways; passes keep answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwsim.errors import DataError, ModelError
from hwsim.ir import Graph, Node, QuantParams, Value, check, dumps, loads, reference
from hwsim.ir.passes import fold_batchnorm
from hwsim.numerics import QTensor, quantize_tensor
from tests.ir.graphs import CONV, small_cnn


def with_node(graph: Graph, node: str, /, **changes: object) -> Graph:
    return replace(graph, nodes=tuple(replace(n, **changes) if n.name == node else n for n in graph.nodes))


def with_value(graph: Graph, name: str, /, **changes: object) -> Graph:
    return replace(graph, values={**graph.values, name: replace(graph.values[name], **changes)})


G = small_cnn()
BAD = {
    "unknown operator 'Convolution'": with_node(G, "conv1", op="Convolution"),
    "takes 2 to 3 inputs, found 1": with_node(G, "conv1", inputs=("x",)),
    "is not defined before": with_node(G, "conv1", inputs=("r2", "w1", "b1")),
    "is assigned twice": with_node(G, "relu1", output="c1"),
    "needs attribute 'group'": with_node(G, "conv1", attrs={k: v for k, v in CONV.items() if k != "group"}),
    "unknown attribute of Conv 'stride'": with_node(G, "conv1", attrs={**CONV, "stride": (1, 1)}),
    "attribute 'strides' must be 2 ints": with_node(G, "conv1", attrs={**CONV, "strides": (1,)}),
    "'strides' must be at least 1": with_node(G, "conv1", attrs={**CONV, "strides": (0, 1)}),
    "'pads' must not be negative": with_node(G, "conv1", attrs={**CONV, "pads": (-1, 0, 0, 0)}),
    "takes 6 channels, found 3": with_node(G, "conv1", inputs=("x", "w2", "b1")),
    "output shape is declared": with_value(G, "c1", shape=("N", 6, 7, 8)),
    "1 of 162 numbers are NaN": replace(
        G, constants={**G.constants, "w1": np.where(np.arange(162).reshape(6, 3, 3, 3) == 7, np.nan, G.constants["w1"])}
    ),
    "must be float32, int32 or quantized": replace(
        G, constants={**G.constants, "w1": np.asarray(G.constants["w1"], np.float16)}
    ),
    "is never computed": replace(G, outputs=("nothing",)),
    "at least one input": replace(G, inputs=()),
    "two nodes have this name": with_node(G, "relu2", name="relu1"),
    "only numbers >= 1 and 'N'": with_value(G, "y", shape=("M", 5)),
    "scales must be positive": with_value(G, "r1", quant=QuantParams("int4", np.float32(-1))),
    "unknown format 'int5'": with_value(G, "r1", quant=QuantParams("int5", np.float32(1))),
    "zero points of int4 lie in -8..7": with_value(
        G, "r1", quant=QuantParams("int4", np.array(1, np.float32), np.array(9, np.int32))
    ),
    "axis 5 is outside": with_value(G, "r1", quant=QuantParams("int4", np.ones(6, np.float32), axis=5)),
    "scales along axis 1 must have shape [6]": with_value(
        G, "r1", quant=QuantParams("int4", np.ones(5, np.float32), axis=1)
    ),
    "Quantize needs an output value": replace(
        G,
        nodes=(*G.nodes, Node("q", "Quantize", ("y",), "z")),
        values={**G.values, "z": Value("z", ("N", 5))},
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_verifier_names_what_is_wrong(message: str) -> None:
    bad = BAD[message]
    if "NaN" in message:
        bad = replace(bad, constants={**bad.constants, "w1": np.asarray(bad.constants["w1"], np.float32)})
    with pytest.raises(ModelError) as caught:
        check(bad)
    assert message in str(caught.value)
    assert str(caught.value).startswith("small")
    assert "\n" not in str(caught.value)


def test_good_graph_checks() -> None:
    assert check(G) is G


def quantized() -> Graph:
    """The small graph with stored weights of several kinds and quantized values."""
    constants = dict(G.constants)
    constants["w1"] = quantize_tensor(G.float_constant("w1"), "int4", axis=0)
    constants["w2"] = quantize_tensor(G.float_constant("w2"), "int4", axis=1, block_size=4, symmetric=False)
    constants["w3"] = quantize_tensor(G.float_constant("w3"), "nvfp4", axis=1)
    quant = QuantParams("int4", np.float32(0.1).reshape(()), np.array(-3, np.int32), rounding="nearest_away")
    values = {**G.values, "r1": replace(G.values["r1"], quant=quant)}
    values["x"] = replace(G.values["x"], quant=QuantParams("fp4_e2m1", block_format="mxfp4", axis=1))
    return replace(G, constants=constants, values=values)


def test_text_round_trip_is_exact() -> None:
    graph = quantized()
    text = dumps(graph)
    back = loads(text)
    assert dumps(back) == text
    assert back.nodes == graph.nodes
    assert back.inputs == graph.inputs
    assert back.outputs == graph.outputs
    for name, held in graph.constants.items():
        found = back.constants[name]
        if isinstance(held, QTensor):
            assert isinstance(found, QTensor)
            np.testing.assert_array_equal(found.codes, held.codes)
            np.testing.assert_array_equal(found.dequantize(), held.dequantize())
            assert (found.format, found.axis, found.block_size, found.block_format) == (
                held.format,
                held.axis,
                held.block_size,
                held.block_format,
            )
        else:
            np.testing.assert_array_equal(found, held)
            assert found.dtype == held.dtype
    for name, value in graph.values.items():
        found_quant = back.values[name].quant
        assert back.values[name].shape == value.shape
        if value.quant is not None:
            assert found_quant is not None
            assert found_quant.format == value.quant.format
            assert found_quant.rounding == value.quant.rounding
            assert found_quant.block_format == value.quant.block_format
            np.testing.assert_array_equal(found_quant.scale, value.quant.scale)


def test_text_refuses_damage() -> None:
    """Every line dropped, cut or repeated either reads as a checked graph or is one ModelError."""
    lines = dumps(quantized()).split("\n")
    refused = complained = 0
    for at in range(len(lines) - 1):
        for damaged in (
            [*lines[:at], *lines[at + 1 :]],
            [*lines[:at], lines[at][: len(lines[at]) // 2], *lines[at + 1 :]],
            [*lines[:at], lines[at], lines[at], *lines[at + 1 :]],
        ):
            try:
                loads("\n".join(damaged), where="m.qir")
            except ModelError as e:
                refused += str(e).startswith("m.qir") and "\n" not in str(e)
                complained += 1
    assert refused == complained > 2 * len(lines)


def test_text_checks_sizes_before_memory() -> None:
    text = "hwsim-qir 2\ngraph g\ninput x : fp32[N,4]\nconst w : fp32[1000000,1000000]\noutput x\ndata\nw value AAAA\n"
    with pytest.raises(ModelError, match="over the limit"):
        loads(text)


def test_fold_batchnorm_keeps_answers() -> None:
    x = np.random.default_rng(1).standard_normal((4, 3, 8, 8)).astype(np.float32)
    folded = fold_batchnorm(G)
    assert "BatchNormalization" not in {n.op for n in folded}
    np.testing.assert_allclose(
        reference.run(folded, {"x": x})["y"], reference.run(G, {"x": x})["y"], rtol=2e-5, atol=2e-5
    )


def test_batchnorm_without_a_product_becomes_mul_and_add() -> None:
    graph = small_cnn()
    nodes = tuple(replace(n, inputs=("r1", *n.inputs[1:])) if n.op == "BatchNormalization" else n for n in graph.nodes)
    relu = replace(nodes[2], inputs=("c1",), output="r1")
    nodes = (nodes[0], relu, nodes[1], replace(nodes[3], inputs=("n1",)), *nodes[4:])
    graph = check(replace(graph, nodes=nodes))
    x = np.random.default_rng(1).standard_normal((2, 3, 8, 8)).astype(np.float32)
    folded = fold_batchnorm(graph)
    assert {"Mul", "Add"} <= {n.op for n in folded}
    np.testing.assert_allclose(
        reference.run(folded, {"x": x})["y"], reference.run(graph, {"x": x})["y"], rtol=2e-5, atol=2e-5
    )


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 3, 8, 7)), "must have shape"),
        (np.zeros((0, 3, 8, 8)), "empty"),
        (np.full((1, 3, 8, 8), np.inf), "NaN or infinite"),
    ],
)
def test_reference_refuses_bad_data(x: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        reference.run(G, {"x": x})
