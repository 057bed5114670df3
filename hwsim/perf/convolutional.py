"""Convolutional networks by their published shapes, as torchvision runs them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hwsim.perf.builder import Builder

OPERATIONS = {"Relu": 1, "Sigmoid": 4, "Swish": 5, "HardSigmoid": 3, "HardSwish": 4}
"""Of an activation, for each element: an exponential and a division count as two each."""


def _conv(
    build: Builder,
    name: str,
    batch: int,
    side: int,
    into: int,
    out: int,
    kernel: int,
    stride: int,
    groups: int = 1,
    act: str = "Relu",
) -> int:
    """A square convolution with same padding, its norm, and ``act`` where it has one; returns the output's side."""
    after = -(-side // stride)
    inputs = batch * into * side * side
    build.product(name, batch * after * after, out // groups, into // groups * kernel * kernel, groups, inputs, "Conv")
    build.vector(f"{name}.norm", "BatchNormalization", batch * out * after * after, 0, fused=True)
    if act:
        build.vector(f"{name}.act", act, batch * out * after * after, OPERATIONS[act], fused=True)
    return after


def _resnet(build: Builder, batch: int, blocks: tuple[int, ...], deep: bool) -> None:
    """He et al. 2016, table 1; ``deep`` blocks have three convolutions, the stride in the second (torchvision)."""
    side = _conv(build, "conv1", batch, 224, 3, 64, 7, 2)
    build.vector("maxpool", "MaxPool", batch * 64 * 56 * 56, 8, inputs=batch * 64 * side * side)
    side, channels = 56, 64
    for stage, (count, inner) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True)):
        for block in range(count):
            at, stride = f"stage{stage}.{block}", 2 if stage and not block else 1
            out = 4 * inner if deep else inner
            if deep:
                _conv(build, f"{at}.a", batch, side, channels, inner, 1, 1)
                after = _conv(build, f"{at}.b", batch, side, inner, inner, 3, stride)
                _conv(build, f"{at}.c", batch, after, inner, out, 1, 1, act="")
            else:
                after = _conv(build, f"{at}.a", batch, side, channels, inner, 3, stride)
                _conv(build, f"{at}.b", batch, after, inner, out, 3, 1, act="")
            if stride > 1 or channels != out:
                _conv(build, f"{at}.skip", batch, side, channels, out, 1, stride, act="")
            side, channels = after, out
            size = batch * channels * side * side
            build.vector(f"{at}.add", "Add", size, 1, inputs=2 * size)
            build.vector(f"{at}.relu", "Relu", size, 1, fused=True)
    _classify(build, batch, channels)


def _classify(build: Builder, batch: int, channels: int) -> None:
    """Mean over the last 7 x 7 positions, and 1000 classes."""
    build.vector("avgpool", "GlobalAveragePool", batch * channels, 49, inputs=batch * channels * 49)
    build.product("fc", batch, 1000, channels)


def _squeeze(
    build: Builder,
    at: str,
    batch: int,
    side: int,
    channels: int,
    squeezed: int,
    acts: tuple[str, str] = ("Swish", "Sigmoid"),
) -> None:
    """A gain for each channel, from its mean (Hu et al. 2018): two products with bias, and a multiplication."""
    size = batch * channels * side * side
    build.vector(f"{at}.mean", "GlobalAveragePool", batch * channels, side * side, inputs=size)
    for name, out, into, act in (("reduce", squeezed, channels, acts[0]), ("expand", channels, squeezed, acts[1])):
        build.product(f"{at}.{name}", batch, out, into, op="Conv")
        build.vector(f"{at}.{name}.bias", "Add", batch * out, 1, fused=True)
        build.vector(f"{at}.{name}.act", act, batch * out, OPERATIONS[act], fused=True)
    build.vector(f"{at}.scale", "BroadcastMul", size, 1, inputs=size + batch * channels)


def _inverted(
    build: Builder, batch: int, stages: tuple[tuple[int, int, int, int, int], ...], act: str, squeezes: bool
) -> None:
    """Inverted residuals: for each stage expansion, kernel, first stride, channels and blocks. Each block widens,
    filters channel by channel and narrows; ``squeezes`` are to a quarter of a block's input channels."""
    side, channels = _conv(build, "conv1", batch, 224, 3, 32, 3, 2, act=act), 32
    for stage, (expand, kernel, first, out, blocks) in enumerate(stages):
        for block in range(blocks):
            at, inner = f"stage{stage}.{block}", channels * expand
            if expand > 1:
                _conv(build, f"{at}.expand", batch, side, channels, inner, 1, 1, act=act)
            stride = 1 if block else first
            side = _conv(build, f"{at}.depthwise", batch, side, inner, inner, kernel, stride, inner, act=act)
            if squeezes:
                _squeeze(build, f"{at}.squeeze", batch, side, inner, channels // 4)
            _conv(build, f"{at}.project", batch, side, inner, out, 1, 1, act="")
            if block:
                size = batch * out * side * side
                build.vector(f"{at}.add", "Add", size, 1, inputs=2 * size)
            channels = out
    _conv(build, "conv2", batch, side, channels, 1280, 1, 1, act=act)
    _classify(build, batch, 1280)


def _mobilenet_v3(
    build: Builder, batch: int, blocks: tuple[tuple[int, int, int, bool, bool, int], ...], last: int, hidden: int
) -> None:
    """Howard et al. 2019: for each block kernel, expanded channels, channels, whether it squeezes, whether its
    activation is a hard swish, and stride; then ``last`` channels, a mean, ``hidden`` numbers and 1000 classes."""
    side, channels = _conv(build, "conv1", batch, 224, 3, 16, 3, 2, act="HardSwish"), 16
    for index, (kernel, inner, out, squeezes, hard, stride) in enumerate(blocks):
        at, act = f"block{index}", "HardSwish" if hard else "Relu"
        if inner != channels:
            _conv(build, f"{at}.expand", batch, side, channels, inner, 1, 1, act=act)
        side = _conv(build, f"{at}.depthwise", batch, side, inner, inner, kernel, stride, inner, act=act)
        if squeezes:
            _squeeze(build, f"{at}.squeeze", batch, side, inner, _eighths(inner // 4), ("Relu", "HardSigmoid"))
        _conv(build, f"{at}.project", batch, side, inner, out, 1, 1, act="")
        if stride == 1 and channels == out:
            size = batch * out * side * side
            build.vector(f"{at}.add", "Add", size, 1, inputs=2 * size)
        channels = out
    _conv(build, "conv2", batch, side, channels, last, 1, 1, act="HardSwish")
    build.vector("avgpool", "GlobalAveragePool", batch * last, side * side, inputs=batch * last * side * side)
    build.product("hidden", batch, hidden, last)
    build.vector("hidden.act", "HardSwish", batch * hidden, OPERATIONS["HardSwish"], fused=True)
    build.product("fc", batch, 1000, hidden)


def _eighths(channels: int) -> int:
    """The multiple of 8 nearest to ``channels``, never a tenth below it (torchvision's ``_make_divisible``)."""
    near = max(8, (channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


MOBILENET_V3_LARGE = (
    *((3, 16, 16, False, False, 1), (3, 64, 24, False, False, 2), (3, 72, 24, False, False, 1)),
    *((5, 72, 40, True, False, 2), (5, 120, 40, True, False, 1), (5, 120, 40, True, False, 1)),
    *((3, 240, 80, False, True, 2), (3, 200, 80, False, True, 1), (3, 184, 80, False, True, 1)),
    *((3, 184, 80, False, True, 1), (3, 480, 112, True, True, 1), (3, 672, 112, True, True, 1)),
    *((5, 672, 160, True, True, 2), (5, 960, 160, True, True, 1), (5, 960, 160, True, True, 1)),
)
"""Howard et al. 2019, table 1."""

MOBILENET_V3_SMALL = (
    *((3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1)),
    *((5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1)),
    *((5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1), (5, 288, 96, True, True, 2)),
    *((5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1)),
)
"""Howard et al. 2019, table 2."""

MOBILENET_V2 = (
    *((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 3, 2, 32, 3), (6, 3, 2, 64, 4)),
    *((6, 3, 1, 96, 3), (6, 3, 2, 160, 3), (6, 3, 1, 320, 1)),
)
"""Sandler et al. 2018, table 2: expansion, kernel, first stride, channels and blocks of each stage."""

EFFICIENTNET_B0 = (
    *((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3)),
    *((6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)),
)
"""Tan and Le 2019, table 1, likewise."""

CONVOLUTIONAL: dict[str, Callable[[Builder, int], None]] = {
    "resnet18": partial(_resnet, blocks=(2, 2, 2, 2), deep=False),
    "resnet34": partial(_resnet, blocks=(3, 4, 6, 3), deep=False),
    "resnet50": partial(_resnet, blocks=(3, 4, 6, 3), deep=True),
    "resnet101": partial(_resnet, blocks=(3, 4, 23, 3), deep=True),
    "resnet152": partial(_resnet, blocks=(3, 8, 36, 3), deep=True),
    "mobilenet_v2": partial(_inverted, stages=MOBILENET_V2, act="Relu", squeezes=False),
    "mobilenet_v3_large": partial(_mobilenet_v3, blocks=MOBILENET_V3_LARGE, last=960, hidden=1280),
    "mobilenet_v3_small": partial(_mobilenet_v3, blocks=MOBILENET_V3_SMALL, last=576, hidden=1024),
    "efficientnet_b0": partial(_inverted, stages=EFFICIENTNET_B0, act="Swish", squeezes=True),
}
"""Name -> what writes the network for a batch."""
