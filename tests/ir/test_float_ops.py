"""Float meanings that no ONNX file of these tests reaches, held against onnx's evaluator and algebra."""

from __future__ import annotations

from math import erf as exact_erf

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from hwsim.errors import ModelError
from hwsim.ir.float_math import erf
from hwsim.ir.ops import OPS


@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embedding_equals_onnx(interleaved: int) -> None:
    rng = np.random.default_rng(interleaved)
    x = rng.standard_normal((2, 3, 5, 8)).astype(np.float32)
    angles = rng.uniform(0, 6, (5, 4)).astype(np.float32)
    cos, sin = np.cos(angles), np.sin(angles)
    node = helper.make_node("RotaryEmbedding", ["x", "c", "s"], ["y"], interleaved=interleaved)
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in "xcs"]
    graph = helper.make_graph([node], "g", infos, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)])
    spread = [np.broadcast_to(t, (2, 5, 4)).copy() for t in (cos, sin)]
    (want,) = ReferenceEvaluator(onnx.ModelProto.FromString(model.SerializeToString())).run(
        None, dict(zip("xcs", (x, *spread), strict=True))
    )
    got = OPS["RotaryEmbedding"].run([x, cos, sin], {"interleaved": interleaved})
    np.testing.assert_allclose(got, want, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(got, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-5)


def test_error_function_everywhere() -> None:
    x = np.concatenate([np.linspace(-6, 6, 20001), [0.0, -0.0, 1e-30, 1.5, np.nextafter(1.5, 2)]]).astype(np.float32)
    want = np.array([exact_erf(float(v)) for v in x])
    np.testing.assert_allclose(erf(x), want, atol=2e-7, rtol=2e-7)
    assert np.signbit(erf(np.array([-0.0], np.float32)))[0]


@pytest.mark.parametrize(
    ("op", "shapes", "attrs", "line"),
    [
        ("ReduceSum", [("N", 4)], {"axes": (0,), "keepdims": 1}, "not the batch"),
        ("ReduceMax", [("N", 4)], {"axes": (2,), "keepdims": 1}, "axis 2 is outside"),
        ("Slice", [("N", 4)], {"starts": (0,), "ends": (1,), "axes": (0,), "steps": (1,)}, "batch"),
        ("Slice", [("N", 4)], {"starts": (3,), "ends": (3,), "axes": (1,), "steps": (1,)}, "leaves nothing"),
        ("Slice", [("N", 4)], {"starts": (3,), "ends": (3, 4), "axes": (1,), "steps": (1,)}, "one length"),
        ("Gather", [("N", 4), (2,)], {"axis": 0}, "along the batch"),
        ("Expand", [("N", 4)], {"shape": (-1, 5)}, "do not broadcast"),
        ("LayerNormalization", [("N", 4), (5,)], {"axis": -1, "epsilon": 0.1}, "must have shape"),
        ("RotaryEmbedding", [("N", 2, 4, 6), (4, 4), (4, 4)], {"interleaved": 0}, "tables must have shape"),
        ("Resize", [("N", 1, 4, 4)], {"size": (0, 1), "scales": (1.0, 1.0)}, "above 0"),
    ],
)
def test_shapes_that_do_not_fit(
    op: str, shapes: list[tuple[int | str, ...]], attrs: dict[str, object], line: str
) -> None:
    with pytest.raises(ModelError, match=line):
        OPS[op].infer(shapes, attrs)
