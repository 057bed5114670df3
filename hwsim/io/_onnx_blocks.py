"""Block formats of run-time values, as functions of our own whose bodies are standard ONNX.

QuantizeLinear takes scales that are fixed, or computed before it. MXFP4 (OCP MX v1.0, 6.3) and NVFP4 make theirs from
each block; the functions here do so with the same float32 steps as ``hwsim.numerics.scales``, so any runtime that has
FLOAT4E2M1 gives the same codes (NVFP4: of tensors whose largest magnitude is 0 or at least 2^-114; below, hwsim rounds
the subnormal tensor scale up, which float32 division does not). An import knows them by name and does not look inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Any

import numpy as np
from onnx import FunctionProto, NodeProto, TensorProto, helper, numpy_helper

from hwsim.io._onnx_file import BLOCK_DOMAIN, BLOCK_FUNCTIONS
from hwsim.io._onnx_graph import Op
from hwsim.io._onnx_quant import quantized
from hwsim.ir import QuantParams
from hwsim.numerics import BlockFormat, formats

OPSET = 23
"""The first with FLOAT4E2M1."""
_HUGE = 3e38
"""Divisor where a scale is 0: what it divides becomes 0."""


class _Body:
    """Nodes of a function, value by value."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []

    def __call__(self, op: str, *inputs: str, out: str | None = None, **attrs: Any) -> str:
        name = out or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attrs))
        return name

    def number(self, value: Any, kind: type = np.float32) -> str:
        """A constant."""
        return self("Constant", value=numpy_helper.from_array(np.asarray(value, kind)))


def function(name: str) -> FunctionProto:
    """The function called ``name``."""
    block, axis = BLOCK_FUNCTIONS[name]
    entry = formats[block]
    assert isinstance(entry, BlockFormat)
    b, size, whole = _Body(), entry.block_size, np.int64
    here = [axis] if axis > 0 else [-1]
    count = b("Shape", "x", start=axis, end=axis + 1) if axis > 0 else b("Shape", "x", start=-1)
    each = b.number([size], whole)
    short = b("Mod", b("Sub", each, b("Mod", count, each)), each)
    pads = b("Concat", b.number([0], whole), short, axis=0)
    padded = b("Pad", "x", pads, "", b.number(here, whole))
    head = b("Shape", "x", end=axis) if axis > 0 else b("Shape", "x", end=-1)
    parts = [head, b.number([-1, size], whole)]
    if axis > 0:
        parts.append(b("Shape", "x", start=axis + 1))
    blocks = b("Reshape", padded, b("Concat", *parts, axis=0))
    along = b.number([axis + 1] if axis > 0 else [-1], whole)
    amax = b("ReduceMax", b("Abs", blocks), along, keepdims=0)
    scale, divisor = (_powers if entry.rule == "power_of_two" else _two_levels)(b, amax)
    codes = b("QuantizeLinear", padded, divisor, axis=axis, block_size=size, output_dtype=TensorProto.FLOAT4E2M1)
    reals = b("DequantizeLinear", codes, scale, axis=axis, block_size=size)
    b("Slice", reals, b.number([0], whole), count, b.number(here, whole), out="y")
    return helper.make_function(BLOCK_DOMAIN, name, ["x"], ["y"], b.nodes, [helper.make_opsetid("", OPSET)])


def _powers(b: _Body, amax: str) -> tuple[str, str]:
    """2^(floor(log2 amax) - 2), at least 2^-127: by a logarithm, then set right where that missed by one."""
    x = b("Max", amax, b.number(2.0**-125))
    guess = b("Floor", b("Div", b("Log", x), b.number(log(2))))
    power = b("Pow", b.number(2), guess)
    double = b("Mul", power, b.number(2))
    power = b("Where", b("LessOrEqual", double, x), double, power)
    power = b("Where", b("Greater", power, x), b("Mul", power, b.number(0.5)), power)
    scale = b("Mul", power, b.number(0.25))
    return scale, scale


def _two_levels(b: _Body, amax: str) -> tuple[str, str]:
    """E4M3((amax of the block / 6) / tensor) * tensor, with tensor = amax / (448 * 6), or 1 where all is 0."""
    top = b("ReduceMax", amax, keepdims=0)
    zero = b.number(0)
    tensor = b("Where", b("Equal", top, zero), b.number(1), b("Div", top, b.number(448 * 6)))
    wanted = b("Min", b("Div", b("Div", amax, b.number(6)), tensor), b.number(448))
    small = b("Cast", b("Cast", wanted, to=TensorProto.FLOAT8E4M3FN), to=TensorProto.FLOAT)
    scale = b("Mul", small, tensor)
    return scale, b("Where", b("Equal", scale, zero), b.number(_HUGE), scale)


def name_of(quant: QuantParams, rank: int) -> str | None:
    """The function that stores a value of ``rank`` dimensions so; None where there is none."""
    axis = -1 if quant.axis is None else quant.axis
    axis = 1 if (rank, axis % rank) == (4, 1) else -1 if axis % rank == rank - 1 else 0
    found = {held: name for name, held in BLOCK_FUNCTIONS.items()}
    return found.get((str(quant.block_format), axis)) if quant.mode is None else None


def block_quantize(op: Op) -> str:
    """One of our functions: a ``Quantize`` in a block format."""
    block, axis = BLOCK_FUNCTIONS[op.op]
    entry = formats[block]
    assert isinstance(entry, BlockFormat)
    if axis > 0 and len(op.live().shape) != 4:
        raise op.error(f"takes [N, C, H, W], found {list(op.live().shape)}")
    return quantized(op, QuantParams(entry.element, block_format=block, axis=axis), op.live().name, op.out)


HANDLERS: Mapping[str, Any] = dict.fromkeys(BLOCK_FUNCTIONS, block_quantize)
