"""Importers of QONNX's nodes (Quant, BipolarQuant, FloatQuant, Trunc): real numbers in, stored real numbers out.

Pappalardo et al., QONNX (arXiv 2206.07527); operator definitions of the qonnx package, 1.0.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import FormatError
from hwsim.io._onnx_graph import Op
from hwsim.io._onnx_quant import INTEGERS, constant, quantized, stored
from hwsim.io._onnx_shapes import Known, Live
from hwsim.io._quant_layout import lay_out
from hwsim.ir import QuantParams
from hwsim.numerics import QTensor, formats
from hwsim.numerics.format import FloatLayout, Format

ROUNDINGS = {
    "ROUND": "nearest_even",
    "HALF_EVEN": "nearest_even",
    "HALF_UP": "nearest_away",
    "CEIL": "up",
    "FLOOR": "down",
    "DOWN": "toward_zero",
    "ROUND_TO_ZERO": "toward_zero",
}
"""QONNX's rounding modes by ours."""
_Scales = tuple[NDArray[np.float32], NDArray[np.int32] | None, int | None, int | None]
_EXACT = {
    (1, True, False): "binary",
    (1, True, True): "binary",
    (2, True, True): "ternary",
    (4, True, True): "int4_sym",
}
_INTS: Mapping[str, Callable[[Any], Any]] = {
    "nearest_even": np.rint,
    "nearest_away": lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x),
    "up": np.ceil,
    "down": np.floor,
    "toward_zero": np.trunc,
}


def quant(op: Op) -> str | Known:
    """QONNX Quant (IntQuant): whole numbers of any width, narrow or not, signed or not."""
    signed, narrow = bool(op.attrs.get("signed", 1)), bool(op.attrs.get("narrow", 0))
    bits = _number(op, 3, "bit width")
    if bits != int(bits) or not 1 <= bits <= 24:
        raise op.error(f"a bit width must be a whole number of 1 to 24, found {bits:g}")
    if (int(bits), signed) == (1, True):
        return _bipolar(op)
    low = -(1 << (int(bits) - 1)) + narrow if signed else 0
    high = (1 << (int(bits) - 1)) - 1 if signed else (1 << int(bits)) - 1 - narrow
    return _whole(op, _EXACT.get((int(bits), signed, narrow)), low, high)


def bipolar_quant(op: Op) -> str | Known:
    """QONNX BipolarQuant: -scale below 0, else +scale."""
    return _bipolar(op)


def float_quant(op: Op) -> str | Known:
    """QONNX FloatQuant, where one of our formats has its fields and its largest value."""
    found = [_number(op, i, what) for i, what in ((2, "exponent"), (3, "mantissa"), (4, "bias"), (5, "largest value"))]
    if not op.attrs.get("saturation", 1) or not op.attrs.get("has_subnormal", 1):
        raise op.error("only saturating floats with subnormals are supported")
    for name in formats:
        entry = formats[name]
        if (
            isinstance(entry, Format)
            and isinstance(entry.layout, FloatLayout)
            and entry.layout.signed
            and entry.bits < 9
        ):
            held = entry.layout
            fields = [held.exponent_bits, held.mantissa_bits, held.bias, float(held.magnitude(held.max_code))]
            if fields == found and held.zero:
                return _store(op, QuantParams(name, *_scales(op, False), rounding=_rounding(op)))
    raise op.error("no format has {:g} exponent bits, {:g} mantissa bits, bias {:g} and maximum {:g}".format(*found))


def trunc(op: Op) -> str:
    """QONNX Trunc, versions 1 and 2, of a value that is stored already: drop the lowest bits of its whole numbers."""
    second = len(op.inputs) > 5
    scale = _number(op, 1, "scale")
    zero, before, after = (_number(op, i, "zero point and widths") for i in (2, 3, 5 if second else 4))
    mode = str(op.attrs.get("rounding_mode", "FLOOR")).upper()
    if mode != "FLOOR" or scale <= 0 or not 0 < after <= 24 or not 0 < before <= 24:
        raise op.error(f"expected FLOOR and widths of 1 to 24, found {mode}, {before:g} and {after:g}")
    out_scale = _number(op, 4, "output scale") if second else scale
    if not 2.0**-24 <= out_scale / scale <= 2.0**24:
        raise op.error(f"cannot truncate from scale {scale:g} to {out_scale:g}")
    shift = float(np.rint(np.log2(out_scale / scale))) if second else before - after

    def step(kind: str, name: str, value: float, tag: str) -> str:
        return op.emit(kind, [name, op.new_constant(np.array(value), tag)], tag=tag)

    # Whole numbers first: the quotient lies within rounding of one.
    y = step("Div", op.live().name, scale, "divided")
    y = op.emit("Floor", [step("Add", y, zero + 0.5, "near")], tag="whole")
    y = step("Mul", y, 2.0**-shift, "shifted")
    if second:
        signed, narrow = int(op.attrs.get("signed", 1)), int(op.attrs.get("narrow", 0))
        low = -(2.0 ** (after - 1)) + narrow if signed else 0.0
        high = 2.0 ** (after - 1) - 1 if signed else 2.0**after - 1 - narrow
        y = op.emit("Clip", [y], {"min": low, "max": high}, tag="clipped")
    y = step("Sub", op.emit("Floor", [y], tag="floor"), zero * 2.0**-shift if second else zero, "centred")
    return op.emit("Mul", [y, op.new_constant(np.array(out_scale), "scale")])


def _number(op: Op, index: int, what: str) -> float:
    found = op.floats(index, what)
    if found.size != 1:
        raise op.error(f"{what} must be one number, found shape {list(found.shape)}")
    return float(found.reshape(()))


def _rounding(op: Op) -> str:
    mode = str(op.attrs.get("rounding_mode", "ROUND")).upper()
    if mode not in ROUNDINGS:
        raise op.error(f"rounding_mode {mode!r} is not supported, only {', '.join(ROUNDINGS)}")
    return ROUNDINGS[mode]


def _scales(op: Op, pointed: bool) -> _Scales:
    """Scale, zero point, axis and block of a QONNX node, whose scale and zero point broadcast against its input."""
    x, scale = op.inputs[0], op.floats(1, "scale")
    shape = x.shape if isinstance(x, Live) else op.known(0, "value").shape
    points = op.floats(2, "zero point") if pointed else np.zeros((), np.float32)
    if not (points == np.rint(points)).all() or np.abs(points).max() > 1 << 20:
        raise op.error("zero points must be whole numbers below 2^20")
    try:
        both = scale + 1j * points  # one array, so that both have one layout
    except ValueError:
        both = np.zeros((0,) * (len(shape) + 1))
    laid = lay_out(both, tuple(-1 if isinstance(d, str) else int(d) for d in shape))
    if laid is None:
        raise op.error(f"scales of shape {list(scale.shape)} and their zero points do not fit {list(shape)}")
    found, axis, block = laid
    zero = np.asarray(found.imag).astype(np.int32) if points.any() else None
    return np.asarray(found.real).astype(np.float32), zero, axis, block


def _store(op: Op, quant: QuantParams) -> str | Known:
    """Store the input this way."""
    if isinstance(op.inputs[0], Known):
        return constant(stored(op, quant, op.floats(0, "value")))
    if quant.block_size is not None:
        raise op.error("run-time values take scales per tensor or channel")
    return quantized(op, quant, op.live().name, op.out)


def _bipolar(op: Op) -> str | Known:
    return _store(op, QuantParams("binary", *_scales(op, False)))


def _whole(op: Op, exact: str | None, low: int, high: int) -> str | Known:
    """Whole numbers of low..high: in the format with that range, or clipped into the smallest that holds it."""
    scale, zeros, axis, block = _scales(op, True)

    def holds(name: str) -> bool:
        entry = formats[name]
        return isinstance(entry, Format) and entry.min_value <= low and entry.max_value >= high

    fmt = exact or next(name for name in INTEGERS if holds(name))
    entry = formats[fmt]
    assert isinstance(entry, Format)
    quant = QuantParams(fmt, scale, zeros, axis, block, rounding=_rounding(op))
    if isinstance(op.inputs[0], Known):
        return constant(_codes(op, quant, low, high))
    if block is not None:
        raise op.error("run-time values take scales per tensor or channel")
    name = op.live().name
    if (entry.min_value, entry.max_value) != (low, high):
        name = _clip(op, name, scale, axis, zeros, low, high)
    return quantized(op, quant, name, op.out)


def _codes(op: Op, quant: QuantParams, low: int, high: int) -> QTensor:
    """A constant's codes as QONNX finds them: clamp(x / scale + zero point), then round."""
    value, scale = op.floats(0, "value"), op.floats(1, "scale")
    zero = op.floats(2, "zero point")
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        whole = _INTS[quant.rounding](np.clip(value / scale + zero, np.float32(low), np.float32(high)))
    if np.isnan(whole).any():
        raise op.error("0 / 0: a scale of 0 stores nothing")
    entry = formats[quant.format]
    assert isinstance(entry, Format)
    codes = whole.astype(np.int64) & ((1 << entry.storage_bits) - 1)
    try:
        return QTensor(
            codes.astype(entry.code_dtype), quant.format, np.asarray(quant.scale), quant.zero_point, quant.axis,
            quant.block_size,
        )  # fmt: skip
    except FormatError as err:
        raise op.error(err.message) from None


def _clip(
    op: Op, name: str, scale: NDArray[np.float32], axis: int | None, zero: NDArray[np.int32] | None, low: int, high: int
) -> str:
    """``name`` kept within the numbers that low..high mean."""
    ends = [((end - (0 if zero is None else zero)) * scale).astype(np.float32) for end in (low, high)]
    if axis is None:
        return op.emit("Clip", [name], {"min": float(ends[0]), "max": float(ends[1])}, tag="clipped")
    along = (-1,) + (1,) * (len(op.live().shape) - axis - 1)
    name = op.emit("Max", [name, op.new_constant(ends[0].reshape(along), "least")], tag="least")
    return op.emit("Min", [name, op.new_constant(ends[1].reshape(along), "most")], tag="clipped")
