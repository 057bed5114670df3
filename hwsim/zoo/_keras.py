"""A Keras .h5 of a convolutional network as an ONNX model: read with h5py, never with Keras; nothing in it runs.

Keras stores activations NHWC, kernels [kh, kw, in, out] and dense kernels [in, out]. ``padding="same"`` is
TensorFlow's: where the total is odd the larger half goes below and right, which is ONNX's ``auto_pad=SAME_UPPER``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from hwsim.errors import ModelError, ToolError, unknown

OPSET = 13


def convert(data: bytes, name: str) -> ModelProto:
    """The functional Keras model in ``data`` (an .h5 file) as ONNX, NCHW, batch symbolic.

    Raises:
        ToolError: h5py is not installed.
        ModelError: not such a file, or a layer that is not known here.
    """
    try:
        import h5py
    except ImportError:
        raise ToolError("needs h5py to read Keras weights", where=name, hint="pip install 'hwsim[zoo]'") from None
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            config = json.loads(file.attrs["model_config"])["config"]
            weights = {
                str(layer): {key.split(":")[0]: np.array(group[layer][key], np.float32) for key in group.get(layer, ())}
                for layer, group in file["model_weights"].items()
            }
        return _Builder(weights).build(config, name)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, IndexError) as err:
        raise ModelError(f"not a Keras model that can be read: {type(err).__name__}: {err}", where=name) from None


class _Builder:
    """Nodes and initializers so far, and each layer's output: its name and [channels, height, width] or [features]."""

    def __init__(self, weights: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> None:
        self.weights = weights
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.made: dict[str, tuple[str, tuple[int, ...]]] = {}

    def build(self, config: Mapping[str, Any], name: str) -> ModelProto:
        inputs = []
        for layer in config["layers"]:
            kind, own, label = layer["class_name"], layer["config"], layer["config"]["name"]
            if kind == "InputLayer":
                _, height, width, channels = own["batch_input_shape"]
                self.made[label] = (label, (channels, height, width))
                shape = ["N", channels, height, width]
                inputs.append(helper.make_tensor_value_info(label, TensorProto.FLOAT, shape))
                continue
            sources = [self.made[source[0]] for source in layer["inbound_nodes"][0]]
            if kind not in _LAYERS:
                raise unknown(ModelError, "Keras layer", kind, _LAYERS, where=f"{name}: {label}")
            self.made[label] = _LAYERS[kind](self, label, own, sources)
        out, shape_out = self.made[config["output_layers"][0][0]]
        graph = helper.make_graph(
            self.nodes,
            name,
            inputs,
            [helper.make_tensor_value_info(out, TensorProto.FLOAT, ["N", *shape_out])],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="hwsim")
        model.ir_version = 8
        onnx.checker.check_model(model)
        return model

    def constant(self, layer: str, key: str, value: NDArray[Any]) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), f"{layer}.{key}"))
        return f"{layer}.{key}"

    def node(self, op: str, name: str, inputs: list[str], **attrs: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [f"{name}.out"], name=name, **attrs))
        return f"{name}.out"

    def activation(self, kind: str, name: str, x: str) -> str:
        if kind == "linear":
            return x
        if kind == "softmax":
            return self.node("Softmax", name, [x], axis=-1)
        return self.node(_ACTIVATIONS[kind], name, [x])


Made = tuple[str, tuple[int, ...]]
_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid"}


def _check(own: Mapping[str, Any], **wanted: Any) -> None:
    for key, value in wanted.items():
        if own.get(key, value) != value:
            raise ValueError(f"{own['name']}: {key} {own[key]!r} is not supported, only {value!r}")


def _conv(build: _Builder, name: str, own: Mapping[str, Any], sources: list[Made]) -> Made:
    (x, (_, height, width)), w = sources[0], build.weights[name]
    _check(own, data_format="channels_last")
    kernel, strides, dilations = own["kernel_size"], own["strides"], own["dilation_rate"]
    same = own["padding"] == "same"
    inputs = [x, build.constant(name, "weight", w["kernel"].transpose(3, 2, 0, 1))]
    if own["use_bias"]:
        inputs.append(build.constant(name, "bias", w["bias"]))
    pads = "SAME_UPPER" if same else "VALID"
    out = build.node(
        *("Conv", name, inputs),
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        group=own.get("groups", 1),
        auto_pad=pads,
    )
    size = []
    for n, k, s, d in zip((height, width), kernel, strides, dilations, strict=True):
        size.append(-(-n // s) if same else (n - (k - 1) * d - 1) // s + 1)
    return build.activation(own["activation"], f"{name}.{own['activation']}", out), (own["filters"], *size)


def _depthwise(build: _Builder, name: str, own: Mapping[str, Any], sources: list[Made]) -> Made:
    """A filter a channel; the kernel is [kh, kw, channels, filters of a channel]."""
    kernel = build.weights[name]["depthwise_kernel"]
    flat = kernel.transpose(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2])
    same = {**own, "filters": len(flat), "groups": kernel.shape[2]}
    build.weights = {**build.weights, name: {**build.weights[name], "kernel": flat.transpose(2, 3, 1, 0)}}
    return _conv(build, name, same, sources)


def _norm(build: _Builder, name: str, own: Mapping[str, Any], sources: list[Made]) -> Made:
    (x, shape), w = sources[0], build.weights[name]
    _check(own, axis=[len(shape)], center=True, scale=True)
    keys = (("gamma", "scale"), ("beta", "bias"), ("moving_mean", "mean"), ("moving_variance", "variance"))
    parts = [build.constant(name, ours, w[theirs]) for theirs, ours in keys]
    return build.node("BatchNormalization", name, [x, *parts], epsilon=own["epsilon"]), shape


def _same(build: _Builder, name: str, own: Mapping[str, Any], sources: list[Made]) -> Made:
    return sources[0]


def _reshape(build: _Builder, name: str, own: Mapping[str, Any], sources: list[Made]) -> Made:
    (x, shape), (height, width, channels) = sources[0], own["target_shape"]
    if len(shape) != 1 or channels != 1:
        raise ValueError(f"{name}: only features become an image of one channel, found {list(shape)}")
    target = build.constant(name, "shape", np.array([-1, 1, height, width], np.int64))
    return build.node("Reshape", name, [x, target]), (1, height, width)


def _activation(build: _Builder, name: str, own: Mapping[str, Any], sources: list[Made]) -> Made:
    return build.activation(own["activation"], name, sources[0][0]), sources[0][1]


def _add(build: _Builder, name: str, own: Mapping[str, Any], sources: list[Made]) -> Made:
    (a, shape), (b, _) = sources
    return build.node("Add", name, [a, b]), shape


def _average(build: _Builder, name: str, own: Mapping[str, Any], sources: list[Made]) -> Made:
    x, (channels, height, width) = sources[0]
    _check(own, padding="valid", data_format="channels_last")
    kernel, strides = own["pool_size"], own["strides"]
    size = [(n - k) // s + 1 for n, k, s in zip((height, width), kernel, strides, strict=True)]
    return build.node("AveragePool", name, [x], kernel_shape=kernel, strides=strides), (channels, *size)


def _flatten(build: _Builder, name: str, own: Mapping[str, Any], sources: list[Made]) -> Made:
    x, (channels, height, width) = sources[0]
    if height * width > 1:  # Keras counts its features in NHWC order
        x = build.node("Transpose", f"{name}.nhwc", [x], perm=[0, 2, 3, 1])
    return build.node("Flatten", name, [x], axis=1), (channels * height * width,)


def _dense(build: _Builder, name: str, own: Mapping[str, Any], sources: list[Made]) -> Made:
    x, w = sources[0][0], build.weights[name]
    inputs = [x, build.constant(name, "weight", w["kernel"].T)]
    if own["use_bias"]:
        inputs.append(build.constant(name, "bias", w["bias"]))
    out = build.node("Gemm", name, inputs, transB=1)
    return build.activation(own["activation"], f"{name}.{own['activation']}", out), (own["units"],)


_LAYERS = {
    "Activation": _activation,
    "Add": _add,
    "AveragePooling2D": _average,
    "BatchNormalization": _norm,
    "Conv2D": _conv,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Dropout": _same,
    "Flatten": _flatten,
    "Reshape": _reshape,
}
