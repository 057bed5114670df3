"""QONNX nodes of odd widths, ranges and roundings: operator, inputs after the first, attributes."""

from __future__ import annotations

from typing import Any

import numpy as np

SCALES = np.array([0.5, 0.25, 1.0, 0.3], np.float32).reshape(1, 4, 1)
SIGNED = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}
UNSIGNED = {**SIGNED, "signed": 0}
ODD: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "int3": ("Quant", (0.5, 0, 3), SIGNED),
    "int6 narrow": ("Quant", (0.25, 0, 6), {**SIGNED, "narrow": 1}),
    "int8 narrow": ("Quant", (0.25, 0, 8), {**SIGNED, "narrow": 1}),
    "uint5 with a zero point": ("Quant", (0.25, 6, 5), UNSIGNED),
    "uint3 narrow": ("Quant", (0.5, 2, 3), {**UNSIGNED, "narrow": 1}),
    "int12": ("Quant", (0.01, 0, 12), SIGNED),
    "int4 down": ("Quant", (0.5, 0, 4), {**SIGNED, "rounding_mode": "FLOOR"}),
    "int4 up": ("Quant", (0.5, 0, 4), {**SIGNED, "rounding_mode": "CEIL"}),
    "int4 toward zero": ("Quant", (0.5, 0, 4), {**SIGNED, "rounding_mode": "DOWN"}),
    "int4 away": ("Quant", (0.5, 0, 4), {**SIGNED, "rounding_mode": "HALF_UP"}),
    "int4 channels": ("Quant", (SCALES, 0, 4), SIGNED),
    "int5 channels": ("Quant", (SCALES, 0, 5), SIGNED),
    "one bit": ("Quant", (0.5, 0, 1), SIGNED),
    "bipolar": ("BipolarQuant", (0.75,), {}),
    "trunc 1": ("Trunc", (0.25, 0, 8, 5), {"rounding_mode": "FLOOR"}),
    "trunc 2": ("Trunc", (0.25, 0, 8, 1.0, 4), {"rounding_mode": "FLOOR", "signed": 1, "narrow": 0}),
    "trunc 2 narrow": ("Trunc", (0.25, 8, 8, 0.5, 3), {"rounding_mode": "FLOOR", "signed": 0, "narrow": 1}),
}


def odd_input() -> np.ndarray[Any, Any]:
    """[2, 4, 64]: quarters, so that every tie occurs, then random numbers."""
    quarters = (np.arange(256) - 128).astype(np.float32) / 8
    drawn = 3 * np.random.default_rng(3).standard_normal(256).astype(np.float32)
    return np.concatenate([quarters, drawn]).reshape(2, 4, 64)


def truncated_input() -> np.ndarray[Any, Any]:
    """The same, as whole multiples of a quarter, which is what a Trunc is given."""
    return np.rint(odd_input() * 4) / np.float32(4)
