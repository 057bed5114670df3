"""Float32 meaning of activations, comparisons, normalizations and reductions (ONNX semantics, newest opset).

Truth values are the numbers 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir.float_ops import Array, Attrs, Inputs, sigmoid

_SERIES = tuple((-1) ** n / (factorial(n) * (2 * n + 1)) for n in range(16))
_TAIL = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


def unary(function: Callable[[Any], Any]) -> Callable[[Inputs, Attrs], Array]:
    """An elementwise operator of one input."""

    def run(ins: Inputs, attrs: Attrs) -> Array:
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            result: Array = np.asarray(function(ins[0]), dtype=np.float32)
        return result

    return run


def compare(ufunc: np.ufunc) -> Callable[[Inputs, Attrs], Array]:
    """A comparison of two inputs that broadcast: 1 where it holds, else 0."""

    def run(ins: Inputs, attrs: Attrs) -> Array:
        result: Array = ufunc(ins[0], ins[1]).astype(np.float32)
        return result

    return run


def erf(x: Array) -> NDArray[np.float64]:
    """The error function: its power series below 1.5, then Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7)."""
    wide = np.abs(x.astype(np.float64))
    small = np.minimum(wide, 1.5)
    power, square, near = small, small * small, np.zeros_like(small)
    for factor in _SERIES:
        near += factor * power
        power = power * square
    t = 1 / (1 + 0.3275911 * wide)
    far = 1 - np.polyval((*_TAIL[::-1], 0.0), t) * np.exp(-wide * wide)
    return np.copysign(np.where(wide < 1.5, near * 2 / sqrt(pi), far), x)


def gelu(ins: Inputs, attrs: Attrs) -> Array:
    """x times the normal distribution function at x, exact (``none``) or by ``tanh``."""
    x = ins[0]
    if attrs["approximate"] == "tanh":
        inner = np.float32(sqrt(2 / pi)) * (x + np.float32(0.044715) * x * x * x)
        result: Array = np.float32(0.5) * x * (1 + np.tanh(inner))
        return result
    return (0.5 * x * (1 + erf(x * np.float32(sqrt(0.5))))).astype(np.float32)


def swish(ins: Inputs, attrs: Attrs) -> Array:
    """x * sigmoid(alpha * x); SiLU where alpha is 1."""
    result: Array = ins[0] * sigmoid([ins[0] * np.float32(attrs["alpha"])], {})
    return result


def hard_sigmoid(ins: Inputs, attrs: Attrs) -> Array:
    """alpha * x + beta kept within [0, 1]."""
    y: Array = np.float32(attrs["alpha"]) * ins[0] + np.float32(attrs["beta"])
    return np.clip(y, np.float32(0), np.float32(1))


def hard_swish(ins: Inputs, attrs: Attrs) -> Array:
    """x * clip(x / 6 + 1 / 2, 0, 1)."""
    result: Array = ins[0] * hard_sigmoid(ins, {"alpha": 1 / 6, "beta": 0.5})
    return result


def leaky_relu(ins: Inputs, attrs: Attrs) -> Array:
    """x, or alpha * x below zero."""
    return np.where(ins[0] >= 0, ins[0], np.float32(attrs["alpha"]) * ins[0])


def reduce(function: Callable[..., Any]) -> Callable[[Inputs, Attrs], Array]:
    """A reduction over ``axes``; sums and means add in float64, for differences of them may be all that is used."""
    options = {} if function is np.max else {"dtype": np.float64}

    def run(ins: Inputs, attrs: Attrs) -> Array:
        found = function(ins[0], axis=tuple(attrs["axes"]), keepdims=bool(attrs["keepdims"]), **options)
        return np.asarray(found, dtype=np.float32)

    return run


def layer_norm(ins: Inputs, attrs: Attrs) -> Array:
    """(x - mean) / sqrt(var + epsilon) * scale + bias over the dimensions from ``axis`` on (Ba et al., 2016)."""
    x = ins[0]
    axes = tuple(range(attrs["axis"] % x.ndim, x.ndim))
    centred = x - x.mean(axis=axes, keepdims=True, dtype=np.float32)
    variance = np.mean(centred * centred, axis=axes, keepdims=True, dtype=np.float32)
    y: Array = centred / np.sqrt(variance + np.float32(attrs["epsilon"])) * ins[1]
    return y + ins[2] if len(ins) > 2 else y


def rms_norm(ins: Inputs, attrs: Attrs) -> Array:
    """x / sqrt(mean(x^2) + epsilon) * scale over the dimensions from ``axis`` on (Zhang and Sennrich, 2019)."""
    x = ins[0]
    axes = tuple(range(attrs["axis"] % x.ndim, x.ndim))
    square = np.mean(x * x, axis=axes, keepdims=True, dtype=np.float32)
    return np.asarray(x / np.sqrt(square + np.float32(attrs["epsilon"])) * ins[1], np.float32)


def rotary(ins: Inputs, attrs: Attrs) -> Array:
    """Pairs of x [n, heads, length, size] turned by the angles of cos and sin [length, size / 2] (Su et al., 2021).

    A pair is two neighbours (``interleaved`` 1) or the same place in each half.
    """
    x, cos, sin = ins
    if attrs["interleaved"]:
        a, b = x[..., 0::2], x[..., 1::2]
    else:
        a, b = np.split(x, 2, axis=-1)
    first, second = a * cos - b * sin, a * sin + b * cos
    if attrs["interleaved"]:
        return np.stack([first, second], axis=-1).reshape(x.shape)
    return np.concatenate([first, second], axis=-1)
