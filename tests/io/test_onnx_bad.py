"""Malformed, hostile and unsupported ONNX files: each one clear line that names the file, and nothing worse."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from hwsim.errors import ModelError
from hwsim.io.onnx import from_model, load
from hwsim.limits import limit
from tests.io.models import build, one, save

I64 = np.int64


def f32(*shape: int) -> np.ndarray[Any, Any]:
    return np.ones(shape, np.float32)


def gemm() -> ModelProto:
    return one("Gemm", ("N", 5), f32(5, 7), f32(7))


def node(op: str, inputs: str, output: str, **attrs: Any) -> Any:
    return helper.make_node(op, inputs.split(), [output], name=f"the_{op}", **attrs)


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as err:
        load(path)
    line = str(err.value)
    assert "\n" not in line
    assert str(path) in line
    assert len(line) < 900
    return line


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "an empty one"),
        (b"hello, this is no model", "not an ONNX"),
        (bytes(range(256)) * 40, "not an ONNX"),
        (b"\x08\x07", "holds no operations"),
    ],
)
def test_other_bytes(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    assert says in refusal(path)


def test_missing_folder_and_truncated(tmp_path: Path) -> None:
    assert "found nothing" in refusal(tmp_path / "none.onnx")
    assert "found a folder" in refusal(tmp_path)
    path = save(gemm(), tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-40])
    refusal(path)


def test_size_is_checked_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(limit("model_bytes") + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("read"))
    assert "over the limit" in refusal(path)


def test_unsupported_operator_is_named_with_its_node_and_the_list(tmp_path: Path) -> None:
    model = build([node("Relu", "x", "a"), node("Celu", "a", "y")], ("N", 4), opset=20)
    line = refusal(save(model, tmp_path / "m.onnx"))
    for word in ("'Celu'", "'the_Celu'", "Conv", "nearest is 'Relu'", "MaxPool", "Softmax"):
        assert word in line
    foreign = build([node("Relu", "x", "y")], ("N", 4))
    foreign.graph.node[0].domain = "com.example"
    assert "'com.example::Relu'" in refusal(save(foreign, tmp_path / "f.onnx"))


def test_cyclic_graph(tmp_path: Path) -> None:
    model = build([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")], ("N", 4))
    assert "sorted" in refusal(save(model, tmp_path / "m.onnx"))


def external(folder: Path, location: str, **more: str) -> Path:
    model = gemm()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return save(model, folder / "m.onnx")


def test_external_data_is_read_from_the_folder(tmp_path: Path) -> None:
    values = np.arange(35, dtype=np.float32).reshape(5, 7)
    (tmp_path / "w.bin").write_bytes(b"12345678" + values.tobytes())
    graph = load(external(tmp_path, "w.bin", offset="8", length="140"))
    np.testing.assert_array_equal(graph.float_constant(graph.nodes[0].inputs[1]), values.T)


def test_external_data_outside_or_absent(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(f32(5, 7).tobytes())
    for location in ("../w.bin", str(tmp_path / "w.bin"), "a/../../w.bin", "", "w\0.bin"):
        assert "outside" in refusal(external(folder, location))
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    assert "outside" in refusal(external(folder, "link.bin"))
    assert "is not there" in refusal(external(folder, "gone.bin"))
    (folder / "w.bin").write_bytes(f32(5, 7).tobytes())
    assert "holds 140 bytes" in refusal(external(folder, "w.bin", offset="4", length="140"))
    assert "holds 140 bytes" in refusal(external(folder, "w.bin", length=str(1 << 60)))
    assert "not a number" in refusal(external(folder, "w.bin", offset="four"))
    assert "needs 140 bytes, found 136" in refusal(external(folder, "w.bin", offset="4"))


def weights(values: Any) -> ModelProto:
    return one("Gemm", ("N", 5), values)


def altered(change: Callable[[ModelProto], None], model: ModelProto | None = None) -> ModelProto:
    model = model or gemm()
    change(model)
    return model


def set_dims(*dims: int) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)

    return change


def add_text(model: ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("alpha", "a"))


NAN = np.where(np.arange(35).reshape(5, 7) == 3, np.nan, 1).astype(np.float32)
BAD: dict[str, tuple[ModelProto, str]] = {
    "NaN weights": (weights(NAN), "weight 'w0': 1 of 35 numbers are NaN or infinite"),
    "infinite weights": (weights(f32(5, 7) * np.inf), "35 of 35 numbers are NaN"),
    "double beyond float32": (weights(np.full((5, 7), 1e200)), "beyond float32"),
    "whole-number weights": (weights(np.ones((5, 7), I64)), "int64"),
    "text": (weights(np.array([["a"] * 7] * 5, dtype=object)), "element type string"),
    "shape mismatch": (weights(f32(4, 7)), "shapes do not fit"),
    "channels": (one("Conv", ("N", 3, 8, 8), f32(4, 2, 3, 3)), "takes 2 channels, found 3"),
    "kernel too large": (one("Conv", ("N", 3, 4, 4), f32(4, 3, 5, 5)), "must be at least 1"),
    "3-D": (one("Conv", ("N", 3, 4, 4, 4), f32(4, 3, 1, 1, 1)), "only 1-D and 2-D"),
    "zero stride": (one("Conv", ("N", 3, 4, 4), f32(4, 3, 1, 1), strides=[0, 1]), "'strides' must be"),
    "zero group": (one("Conv", ("N", 3, 4, 4), f32(4, 3, 1, 1), group=0), "'group' must be"),
    "negative kernel": (one("MaxPool", ("N", 3, 4, 4), kernel_shape=[-1, 2]), "'kernel_shape' must be"),
    "negative pads": (one("MaxPool", ("N", 3, 4, 4), kernel_shape=[2, 2], pads=[-1, 0, 0, 0]), "negative values"),
    "huge pads": (one("Conv", ("N", 3, 4, 4), f32(4, 3, 1, 1), pads=[1 << 30] * 4), "over the limit"),
    "dilated pooling": (one("MaxPool", ("N", 3, 9, 9), kernel_shape=[2, 2], dilations=[2, 2]), "dilations"),
    "dynamic side": (one("Relu", ("N", 3, "H", 8)), "only the batch may vary"),
    "unknown side": (one("Relu", ("N", 3, None, 8)), "only the batch may vary"),
    "no batch": (one("Relu", (784,)), "expected a batch"),
    "batch moved": (one("Transpose", ("N", 3, 4), perm=[1, 0, 2]), "stay dimension 0"),
    "batch merged": (one("Flatten", ("N", 3, 4), axis=2), "stay dimension 0"),
    "softmax over batch": (one("Softmax", ("N", 3), axis=0), "not the batch"),
    "batch in a shape": (one("Reshape", ("N", 12), np.array([2, -1], I64)), "batch must stay"),
    "divided by zero": (one("Div", ("N", 3), np.zeros(3, np.float32)), "holds zeros"),
    "negative variance": (one("BatchNormalization", ("N", 2), *[f32(2)] * 3, -f32(2)), "must be positive"),
    "reflected": (one("Pad", ("N", 3), np.array([0, 1, 0, 1], I64), mode="reflect"), "'reflect'"),
    "transA": (one("Gemm", ("N", 5), f32(3, 7), transA=1), "do not fit at batch 2"),
    "run-time Cast": (one("Cast", ("N", 5), to=TensorProto.INT64), "int64"),
    "old opset": (one("Relu", ("N", 5), opset=6), "opset 6 is outside"),
    "future opset": (altered(lambda m: setattr(m.opset_import[0], "version", 999)), "opset 999"),
    "text input": (build([node("Identity", "x", "y")], ("N", 4), elem_type=TensorProto.STRING), "found string"),
    "division of whole numbers": (build([node("Div", "x x", "y")], ("N", 4), elem_type=TensorProto.INT32), "division"),
    "split of the batch": (build([node("Split", "x", "y", axis=0)], (2, 4)), "batch"),
    "cut of the batch": (build([node("Slice", "x", "y", starts=[1], ends=[2])], ("N", 4), opset=9), "stay dimension 0"),
    "cubic": (one("Resize", ("N", 1, 4, 4), None, np.array([1, 1, 2, 2], np.float32), mode="cubic"), "nearest, linear"),
    "constant output": (build([node("Relu", "x", "a"), node("Identity", "w", "y")], ("N", 4), {"w": f32(2)}), "'y'"),
    "input as output": (build([node("Relu", "x", "a"), node("Identity", "x", "y")], ("N", 4)), "computed from"),
    "two batches": (build([node("Add", "a b", "y")], (), inputs={"a": (2, 4), "b": (3, 4)}), "batch"),
    "huge tensor": (altered(set_dims(1 << 31, 1 << 31)), "needs"),
    "negative dimension": (altered(set_dims(-5, -7)), "negative dimension"),
    "assigned twice": (build([node("Relu", "x", "y"), node("Relu", "x", "y")], ("N", 4)), "checker"),
    "undefined name": (build([node("Add", "x q", "y")], ("N", 4)), "checker"),
    "no output": (altered(lambda m: m.graph.node[0].ClearField("output")), "checker"),
    "wrong attribute type": (altered(add_text), "Mismatched attribute type"),
    "training": (
        build([helper.make_node("BatchNormalization", [*"xabcd"], [*"ypq"], training_mode=1)], ("N", 2),
              {k: f32(2) for k in "abcd"}, opset=15),
        "training_mode",
    ),
    "huge fold": (
        build([node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")], ("N", 4), {"s": np.array([1 << 40], I64)}),
        "over the limit",
    ),
    "batched constant": (one("MatMul", ("N", 3, 4), f32(2, 4, 5)), "at batch 3"),
    "mask used": (
        build(
            [helper.make_node("MaxPool", ["x"], [*"yi"], kernel_shape=[2, 2])], ("N", 1, 4, 4), outputs=("y", "i")
        ),
        "only the first output",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_refused_with_one_line(tmp_path: Path, case: str) -> None:
    model, says = BAD[case]
    assert says in refusal(save(model, tmp_path / "m.onnx"))


def test_strange_names_are_made_writable() -> None:
    model = build(
        [helper.make_node("Relu", ["x"], ["a b\n(c)"], name='n "1"'), node("Relu", "a b\n(c)", "y")][:1], ("N", 4)
    )
    model.graph.node.append(helper.make_node("Relu", ["a b\n(c)"], ["y"], name='n "1"'))
    graph = from_model(model, name="my model")
    assert [n.name for n in graph.nodes] == ["n_1_", "n_1__2"]
    assert all(re.fullmatch(r"[^\s\"(),]+", n) for n in (graph.name, *graph.values))


def test_two_hundred_mutated_files(tmp_path: Path) -> None:
    """Bytes flipped, cut, doubled: an import or one ModelError, never another exception."""
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", "c s s s s", "n"),
        node("Relu", "n", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Reshape", "p shape", "f"),
        node("Gemm", "f g", "z", transB=1, alpha=0.5),
        node("Softmax", "z", "y", axis=1),
    ]
    held = {"w": f32(4, 1, 3, 3), "s": f32(4), "g": f32(3, 16), "shape": np.array([-1, 16], I64)}
    good = build(nodes, ("N", 1, 8, 8), held).SerializeToString()
    rng = np.random.default_rng(5)
    path, refused, passed = tmp_path / "m.onnx", 0, 0
    for _ in range(200):
        data = bytearray(good)
        for at in rng.integers(0, len(data), rng.integers(1, 6)):
            data[at] = int(rng.integers(256))
        cut = int(rng.integers(0, len(data)))
        if rng.random() < 0.2:
            data = data[:cut]
        elif rng.random() < 0.1:
            data = data + data[cut:]
        path.write_bytes(bytes(data))
        try:
            load(path)
        except ModelError as err:
            refused += str(path) in str(err)
        else:
            passed += 1
    assert refused + passed == 200
    assert refused > 100
    path.write_bytes(good)
    assert len(load(path).nodes) == 7
