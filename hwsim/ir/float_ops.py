"""Float32 meaning of every operator, in numpy: what calibration watches and what a chip's answer is compared with.

Each function takes its inputs and its normalised attributes (see ``hwsim.ir.ops``) and returns a float32 array.
Semantics: ONNX operator specification, opset 13 and later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.numerics.threads import product

Array = NDArray[np.float32]
Inputs = Sequence[Array]
Attrs = Mapping[str, Any]


def windows(
    x: NDArray[Any],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    fill: Any,
) -> NDArray[Any]:
    """View of the sliding windows of [n, c, h, w]: [n, c, out_h, out_w, kernel_h, kernel_w]; padding holds ``fill``."""
    top, left, bottom, right = pads
    if any(pads):
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3))
    return view[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]


def conv(ins: Inputs, attrs: Attrs) -> Array:
    """Conv of [n, c, h, w] by [out, c / group, kh, kw], plus a bias where there is one."""
    x, w = ins[0], ins[1]
    group, (out, per_group, kh, kw) = attrs["group"], w.shape
    if group == kh == kw == 1 and not any(attrs["pads"]):  # a product of channels, with nothing to gather
        x = x[:, :, :: attrs["strides"][0], :: attrs["strides"][1]]
        n, _, oh, ow = x.shape
        y: Array = product(w.reshape(out, per_group), x.reshape(n, per_group, oh * ow)).reshape(n, out, oh, ow)
    else:
        view = windows(x, (kh, kw), attrs["strides"], attrs["pads"], attrs["dilations"], np.float32(0))
        y = _depthwise(view, w[:, 0]) if per_group == 1 and out == group else _grouped(view, w, group)
    if len(ins) > 2:
        y += ins[2][:, None, None]
    return y


def _depthwise(view: Array, w: Array) -> Array:
    """A sum over taps, which is much faster than a product a channel; w [channels, kh, kw]."""
    y = np.zeros(view.shape[:4], dtype=np.float32)
    for image, part in zip(y, view, strict=True):  # image by image: what a tap makes stays in the cache
        for i, j in np.ndindex(*w.shape[1:]):
            image += part[..., i, j] * w[:, i, j, None, None]
    return y


def _grouped(view: Array, w: Array, group: int) -> Array:
    """A product a group, on columns gathered from the windows."""
    (n, _, oh, ow), (out, per_group) = view.shape[:4], w.shape[:2]
    y, each = np.empty((n, out, oh, ow), dtype=np.float32), out // group
    for g in range(group):
        cols = view[:, g * per_group : (g + 1) * per_group].transpose(0, 2, 3, 1, 4, 5).reshape(n * oh * ow, -1)
        part = product(cols, w[g * each : (g + 1) * each].reshape(each, -1).T)
        y[:, g * each : (g + 1) * each] = part.reshape(n, oh, ow, each).transpose(0, 3, 1, 2)
    return y


def gemm(ins: Inputs, attrs: Attrs) -> Array:
    """x [..., K] @ w [N, K] transposed, plus a bias where there is one."""
    x, w = ins[0], ins[1]
    y: Array = product(x.reshape(-1, x.shape[-1]), w.T).reshape(*x.shape[:-1], len(w))  # not one a row of batch
    return y + ins[2] if len(ins) > 2 else y


def matmul(ins: Inputs, attrs: Attrs) -> Array:
    """a [..., M, K] @ b [..., K, N]."""
    result: Array = product(ins[0], ins[1])
    return result


def binary(ufunc: np.ufunc) -> Callable[[Inputs, Attrs], Array]:
    """An elementwise operator of two inputs that broadcast."""

    def run(ins: Inputs, attrs: Attrs) -> Array:
        result: Array = ufunc(ins[0], ins[1], dtype=np.float32)
        return result

    return run


def relu(ins: Inputs, attrs: Attrs) -> Array:
    """max(x, 0)."""
    return np.maximum(ins[0], np.float32(0))


def clip(ins: Inputs, attrs: Attrs) -> Array:
    """x kept within [min, max]."""
    return np.clip(ins[0], np.float32(attrs["min"]), np.float32(attrs["max"]))


def sigmoid(ins: Inputs, attrs: Attrs) -> Array:
    """1 / (1 + exp(-x)), without overflow for large negative x."""
    e = np.exp(-np.abs(ins[0]))
    return np.where(ins[0] >= 0, 1 / (1 + e), e / (1 + e)).astype(np.float32)


def softmax(ins: Inputs, attrs: Attrs) -> Array:
    """exp(x - max) normalised along ``axis``."""
    x, axis = ins[0], attrs["axis"]
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    result: Array = e / e.sum(axis=axis, keepdims=True)
    return result


def batchnorm(ins: Inputs, attrs: Attrs) -> Array:
    """(x - mean) / sqrt(var + epsilon) * scale + bias along channel dimension 1."""
    x, scale, bias, mean, var = ins
    along = (-1,) + (1,) * (x.ndim - 2)
    factor = scale / np.sqrt(var + np.float32(attrs["epsilon"]))
    result: Array = x * factor.reshape(along) + (bias - mean * factor).reshape(along)
    return result


def max_pool(ins: Inputs, attrs: Attrs) -> Array:
    """Maximum of each window; padding never wins."""
    view = windows(ins[0], attrs["kernel_shape"], attrs["strides"], attrs["pads"], (1, 1), np.float32(-np.inf))
    result: Array = view.max(axis=(4, 5))
    return result


def average_pool(ins: Inputs, attrs: Attrs) -> Array:
    """Mean of each window, over the whole kernel or only over what lies inside (``count_include_pad``)."""
    x = ins[0]
    view = windows(x, attrs["kernel_shape"], attrs["strides"], attrs["pads"], (1, 1), np.float32(0))
    total = view.sum(axis=(4, 5), dtype=np.float32)
    if attrs["count_include_pad"] or not any(attrs["pads"]):
        whole: Array = total / np.float32(np.prod(attrs["kernel_shape"]))
        return whole
    ones = np.ones((1, 1, *x.shape[2:]), dtype=np.float32)
    inside = windows(ones, attrs["kernel_shape"], attrs["strides"], attrs["pads"], (1, 1), np.float32(0))
    result: Array = total / inside.sum(axis=(4, 5), dtype=np.float32)
    return result


def global_average_pool(ins: Inputs, attrs: Attrs) -> Array:
    """Mean over height and width."""
    result: Array = ins[0].mean(axis=(2, 3), keepdims=True, dtype=np.float32)
    return result


def flatten(ins: Inputs, attrs: Attrs) -> Array:
    """Two dimensions: those before ``axis``, and the rest."""
    x, axis = ins[0], attrs["axis"]
    return x.reshape(int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))


def reshape(ins: Inputs, attrs: Attrs) -> Array:
    """Same elements, other shape; a first -1 is the batch."""
    shape = tuple(attrs["shape"])
    return ins[0].reshape((ins[0].shape[0], *shape[1:]) if shape[:1] == (-1,) else shape)


def transpose(ins: Inputs, attrs: Attrs) -> Array:
    """Dimensions in the order ``perm``."""
    return ins[0].transpose(attrs["perm"])


def pad(ins: Inputs, attrs: Attrs) -> Array:
    """Constant padding; negative amounts crop."""
    x, pads = ins[0], attrs["pads"]
    amounts = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
    crop = tuple(slice(max(-b, 0), x.shape[i] - max(-a, 0)) for i, (b, a) in enumerate(amounts))
    grown = [(max(b, 0), max(a, 0)) for b, a in amounts]
    return np.pad(x[crop], grown, constant_values=np.float32(attrs["value"]))


def concat(ins: Inputs, attrs: Attrs) -> Array:
    """Inputs one after another along ``axis``."""
    return np.concatenate(list(ins), axis=attrs["axis"])
