"""The IR's operators in torch: the same meaning as ``hwsim.ir.reference``, with gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

Ins = Sequence[Tensor]
Attrs = Mapping[str, Any]


def _conv(ins: Ins, attrs: Attrs) -> Tensor:
    top, left, bottom, right = attrs["pads"]
    x = functional.pad(ins[0], (left, right, top, bottom)) if any(attrs["pads"]) else ins[0]
    bias = ins[2] if len(ins) > 2 else None
    return functional.conv2d(x, ins[1], bias, attrs["strides"], 0, attrs["dilations"], attrs["group"])


def _gemm(ins: Ins, attrs: Attrs) -> Tensor:
    return functional.linear(ins[0], ins[1], ins[2] if len(ins) > 2 else None)


def _max_pool(ins: Ins, attrs: Attrs) -> Tensor:
    top, left, bottom, right = attrs["pads"]
    x = functional.pad(ins[0], (left, right, top, bottom), value=float("-inf")) if any(attrs["pads"]) else ins[0]
    return functional.max_pool2d(x, attrs["kernel_shape"], attrs["strides"])


def _average_pool(ins: Ins, attrs: Attrs) -> Tensor:
    top, left, bottom, right = attrs["pads"]
    x = functional.pad(ins[0], (left, right, top, bottom))
    kernel, strides = attrs["kernel_shape"], attrs["strides"]
    total = functional.avg_pool2d(x, kernel, strides, divisor_override=1)
    if attrs["count_include_pad"]:
        return total / (kernel[0] * kernel[1])
    ones = functional.pad(torch.ones_like(ins[0][:1, :1]), (left, right, top, bottom))
    return total / functional.avg_pool2d(ones, kernel, strides, divisor_override=1)


def _normalised(ins: Ins, attrs: Attrs) -> Tensor:
    axes = tuple(range(attrs["axis"] % ins[0].ndim, ins[0].ndim))
    centred = ins[0] - ins[0].mean(axes, keepdim=True)
    y = centred * torch.rsqrt(centred.square().mean(axes, keepdim=True) + attrs["epsilon"]) * ins[1]
    return y + ins[2] if len(ins) > 2 else y


def _rms(ins: Ins, attrs: Attrs) -> Tensor:
    axes = tuple(range(attrs["axis"] % ins[0].ndim, ins[0].ndim))
    return ins[0] * torch.rsqrt(ins[0].square().mean(axes, keepdim=True) + attrs["epsilon"]) * ins[1]


def _rotary(ins: Ins, attrs: Attrs) -> Tensor:
    x, cos, sin = ins
    if attrs["interleaved"]:
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(x.shape)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def _gather(ins: Ins, attrs: Attrs) -> Tensor:
    data, picks, axis = ins[0], ins[1].long(), attrs["axis"] % ins[0].ndim
    if axis == 0:
        return functional.embedding(picks, data) if data.ndim == 2 else data[picks]
    return torch.index_select(data, axis, picks.reshape(-1)).reshape(
        *data.shape[:axis], *picks.shape, *data.shape[axis + 1 :]
    )


def _reduce(function: Callable[..., Tensor]) -> Callable[[Ins, Attrs], Tensor]:
    return lambda ins, attrs: function(ins[0], tuple(attrs["axes"]), keepdim=bool(attrs["keepdims"]))


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Ins, Attrs], Tensor]:
    return lambda ins, attrs: function(ins[0], ins[1])


def _unary(function: Callable[[Tensor], Tensor]) -> Callable[[Ins, Attrs], Tensor]:
    return lambda ins, attrs: function(ins[0])


TORCH_OPS: Final[Mapping[str, Callable[[Ins, Attrs], Tensor]]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _binary(torch.matmul),
    "Add": _binary(torch.add),
    "Sub": _binary(torch.sub),
    "Mul": _binary(torch.mul),
    "Div": _binary(torch.div),
    "Relu": _unary(torch.relu),
    "Clip": lambda ins, attrs: ins[0].clamp(attrs["min"], attrs["max"]),
    "Sigmoid": _unary(torch.sigmoid),
    "Tanh": _unary(torch.tanh),
    "Softmax": lambda ins, attrs: torch.softmax(ins[0], attrs["axis"]),
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda ins, attrs: ins[0].mean((2, 3), keepdim=True),
    "Swish": lambda ins, attrs: ins[0] * torch.sigmoid(attrs["alpha"] * ins[0]),
    "Gelu": lambda ins, attrs: functional.gelu(ins[0], approximate=attrs["approximate"]),
    "HardSwish": _unary(functional.hardswish),
    "LeakyRelu": lambda ins, attrs: functional.leaky_relu(ins[0], attrs["alpha"]),
    "LayerNormalization": _normalised,
    "RMSNormalization": _rms,
    "RotaryEmbedding": _rotary,
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "Gather": _gather,
    "Flatten": lambda ins, attrs: ins[0].flatten(attrs["axis"]),
    "Reshape": lambda ins, attrs: ins[0].reshape(attrs["shape"]),
    "Transpose": lambda ins, attrs: ins[0].permute(attrs["perm"]),
    "Expand": lambda ins, attrs: ins[0].expand(*attrs["shape"]),
    "Concat": lambda ins, attrs: torch.cat(list(ins), attrs["axis"]),
}
"""Operator -> (inputs, attributes) -> output."""
