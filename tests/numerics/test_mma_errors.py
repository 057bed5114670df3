"""What `mma` refuses: each one clear line, and nothing computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwsim.errors import UnitError
from hwsim.numerics.matrix import mma

A = np.zeros((4, 32), np.uint8)
B = np.zeros((6, 32), np.uint8)
S = np.full((4, 2), 56, np.uint8)
T = np.full((6, 2), 56, np.uint8)
NVF4 = "nvidia.blackwell.tcgen05.nvf4"


@pytest.mark.parametrize(
    ("a", "b", "c", "unit", "scales", "message"),
    [
        (A, B, None, "hwsim.rtl.int5", {}, "unknown matrix unit 'hwsim.rtl.int5' (did you mean 'hwsim.rtl.int"),
        (A, B[:, :31], None, "hwsim.rtl.int4", {}, "a and b must have the same K, found 32 and 31"),
        (A + 16, B, None, "hwsim.rtl.int4", {}, "a must hold 'int4' codes 0..15, found 16"),
        (
            A,
            B.astype(np.int8),
            None,
            "hwsim.rtl.int4",
            {},
            "b must be uint8 codes of 'int4', found int8 (encode(x, 'int4')",
        ),
        (A, B, None, "nvidia.hopper.wgmma.f16", {}, "a must be uint16 codes of 'fp16', found uint8"),
        (A[0], B, None, "hwsim.rtl.int4", {}, "a must have at least 2 dimensions, found shape (32,)"),
        (A, B, np.zeros((4, 6)), "hwsim.rtl.int4", {}, "c must be int32, found float64"),
        (A, B, np.zeros((6, 4), np.int32), "hwsim.rtl.int4", {}, "c must have shape (4, 6), found (6, 4)"),
        (A, B, np.zeros((4, 6), np.float32), "ascend.cube.int8", {}, "c must be int32, found float32"),
        (
            np.stack([A] * 2),
            np.stack([B] * 3),
            None,
            "hwsim.rtl.int8",
            {},
            "batch dimensions (2,) and (3,) do not broadcast",
        ),
        (A, B, None, "hwsim.rtl.int4", {"a_scale": S}, "takes no block scales, found a_scale or b_scale"),
        (A, B, None, NVF4, {"a_scale": S}, "b_scale is missing: expected 'ue4m3' codes, one for 16 elements"),
        (A, B, None, NVF4, {"a_scale": S, "b_scale": T[:, :1]}, "b_scale must have shape (6, 2), found (6, 1)"),
    ],
)
def test_refused_in_one_line(a: Any, b: Any, c: Any, unit: str, scales: dict[str, Any], message: str) -> None:
    with pytest.raises(UnitError) as caught:
        mma(a, b, c, unit, **scales)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(("unit '", "unknown "))


@pytest.mark.parametrize("name", ["hwsim.rtl.int4", "nvidia.hopper.wgmma.e4m3"])
def test_empty_operands(name: str) -> None:
    assert mma(A[:0], B, None, name).shape == (0, 6)
    assert mma(A, B[:0], None, name).shape == (4, 0)
    assert mma(np.zeros((0, 4, 32), np.uint8), B, None, name).shape == (0, 4, 6)
    c = np.full((4, 6), -3, np.int32 if "int" in name else np.float32)
    d = mma(A[:, :0], B[:, :0], c, name)
    assert np.array_equal(d, c)
    assert d is not c
