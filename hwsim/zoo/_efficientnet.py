"""EfficientNet-Lite0 as a graph from its checkpoint's names: inverted residuals, ReLU6, no squeeze-and-excitation.

Tan and Le (arXiv 1905.11946) with the changes of github.com/tensorflow/tpu, efficientnet/lite: the stem and the head
keep their width. Padding is TensorFlow's ``same``: the larger half below and right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ModelError
from hwsim.io._builder import Builder
from hwsim.ir import Graph

STAGES = (
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
SIZE, STEM, HEAD, CLASSES, EPSILON = 224, 32, 1280, 1000, 1e-3


def build(weights: Mapping[str, NDArray[np.float32]], name: str) -> Graph:
    """The network [N, 3, 224, 224] -> [N, 1000] (logits).

    Raises:
        ModelError: a weight is missing or has another shape.
    """
    make = _Maker(weights, name)
    x = make.graph.input("image", 3, SIZE, SIZE)
    x = make.conv("stem", x, "_conv_stem", "_bn0", (STEM, 3, 3), 2)
    channels, index = STEM, 0
    for repeats, kernel, stride, expansion, out in STAGES:
        for repeat in range(repeats):
            first = stride if repeat == 0 else 1
            x = make.block(index, x, (kernel, first, expansion), channels, out)
            channels, index = out, index + 1
    x = make.conv("head", x, "_conv_head", "_bn1", (HEAD, channels, 1), 1)
    x = make.graph.add("Flatten", "features", make.graph.add("GlobalAveragePool", "mean", x), axis=1)
    parts = (make.weight("_fc.weight", (CLASSES, HEAD)), make.weight("_fc.bias", (CLASSES,)))
    return make.graph.finish([make.graph.add("Gemm", "logits", x, *parts)])


class _Maker:
    def __init__(self, weights: Mapping[str, NDArray[np.float32]], name: str) -> None:
        self.weights = weights
        self.graph = Builder(name)

    def weight(self, key: str, shape: tuple[int, ...]) -> str:
        found = self.weights.get(key)
        if found is None or found.shape != shape:
            held = "nothing" if found is None else f"shape {list(found.shape)}"
            raise ModelError(f"weight {key!r} must have shape {list(shape)}, found {held}", where=self.graph.name)
        return self.graph.constant(key, found)

    def conv(
        self, at: str, x: str, key: str, norm: str, sizes: tuple[int, int, int], stride: int, kind: str = ""
    ) -> str:
        """Convolution, batch norm, ReLU6. ``sizes``: outputs, inputs, kernel; ``kind``: depthwise, linear, plain."""
        deep = kind == "depthwise"
        out, into, kernel = sizes
        size = int(self.graph.values[x].shape[2])
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads = (total // 2, total // 2, total - total // 2, total - total // 2)
        w = self.weight(f"{key}.weight", (out, 1 if deep else into, kernel, kernel))
        attrs: dict[str, Any] = {
            "strides": (stride, stride),
            "pads": pads,
            "dilations": (1, 1),
            "group": into if deep else 1,
        }
        y = self.graph.add("Conv", at, x, w, **attrs)
        keys = ("weight", "bias", "running_mean", "running_var")
        parts = [self.weight(f"{norm}.{part}", (out,)) for part in keys]
        y = self.graph.add("BatchNormalization", f"{at}.norm", y, *parts, epsilon=EPSILON)
        return self.graph.add("Clip", f"{at}.relu6", y, min=0.0, max=6.0) if kind != "linear" else y

    def block(self, index: int, x: str, shape: tuple[int, int, int], into: int, out: int) -> str:
        """Expand, filter each channel, project; added to the input where shapes stay."""
        kernel, stride, expansion = shape
        at, key, wide, y = f"block{index}", f"_blocks.{index}", into * expansion, x
        if expansion > 1:
            y = self.conv(f"{at}.expand", y, f"{key}._expand_conv", f"{key}._bn0", (wide, into, 1), 1)
        sizes = (wide, wide, kernel)
        y = self.conv(f"{at}.filter", y, f"{key}._depthwise_conv", f"{key}._bn1", sizes, stride, "depthwise")
        y = self.conv(f"{at}.project", y, f"{key}._project_conv", f"{key}._bn2", (out, wide, 1), 1, "linear")
        return self.graph.add("Add", f"{at}.sum", x, y) if stride == 1 and into == out else y
