"""One tensor into another storage: one-to-one encodings are proved code by code and on random tensors; the rest is held
against what quantizing the same numbers anew gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hwsim.errors import RecipeError
from hwsim.numerics import QTensor, decode, formats, quantize_tensor
from hwsim.numerics.vendor import from_awq, from_gptq, to_ascend, to_awq, to_gptq
from hwsim.quant import Scheme, store_weight
from hwsim.quant.migrate_tensor import difference, recode

STEP = np.float32(0.1)  # not a power of two: products with it round


def every_code(fmt: str, zero: int | None = None, rows: int = 1) -> QTensor:
    """A weight that holds every code that an encoder of ``fmt`` makes, one scale a row."""
    entry = formats[fmt]
    codes = np.arange(1 << entry.bits)
    values = decode(codes, fmt)
    made = codes[np.isfinite(values) & (values >= entry.min_value) & (values <= entry.max_value)]
    held = np.tile(made.astype(entry.code_dtype), (rows, 1))
    scale = (STEP * np.arange(1, rows + 1)).astype(np.float32)
    return QTensor(held, fmt, scale, None if zero is None else np.full(rows, zero, np.int32), 0)


def reals(held: QTensor) -> NDArray[np.float64]:
    """What the codes stand for, in exact arithmetic (a code, a zero point and a float32 step fit into 53 bits)."""
    zero = np.zeros_like(held.scale) if held.zero_point is None else held.zero_point
    assert held.axis == 0
    step, zero = (np.asarray(p, np.float64).reshape(-1, *[1] * (held.codes.ndim - 1)) for p in (held.scale, zero))
    return (decode(held.codes, held.format).astype(np.float64) - zero) * step


def channels(fmt: str, symmetric: bool = True) -> Scheme:
    return Scheme(fmt, "per_channel", symmetric=symmetric)


PAIRS = [
    # source, its zero point, target, target is symmetric, codes come back
    ("int4", None, "int4_offset", True, True),
    ("int4_offset", None, "int4", True, True),
    ("int4_sm", None, "int4", True, False),  # -0 becomes 0
    ("int4_sm", None, "int4_offset", True, False),
    ("int4_sm", None, "fp8_e4m3fn", True, True),  # -0 stays
    ("int4_sym", None, "int4_sm", True, True),
    ("int4", None, "int8", True, True),
    ("int4", None, "fp8_e4m3fn", True, True),
    ("int4", None, "fp8_e5m2", True, True),  # three significant bits are enough up to 8
    ("int4", None, "uint4", False, True),
    ("uint4", 8, "int4", True, True),
    *((("uint4", zero, "int4", False, True)) for zero in (0, 5, 8, 15)),
    *((("int4", zero, "uint4", False, True)) for zero in (-8, -3, 0, 7)),
    *((("int8", zero, "uint8", False, True)) for zero in (-128, 0, 127)),
    ("uint4", 3, "fp8_e4m3fn", True, True),  # 0 - 3 .. 15 - 3
    ("uint8", 128, "int8", True, True),
    ("int2", None, "fp4_e2m1", True, True),
    ("ternary", None, "fp4_e2m1", True, True),
    ("ternary", None, "int2", True, True),
    ("fp4_e2m1", None, "fp8_e4m3fn", True, True),
    ("fp4_e2m1", None, "int8", True, False),
    ("fp4_e2m1", None, "fp6_e2m3", True, True),
    ("fp4_e2m1", None, "fp6_e3m2", True, True),
    ("fp6_e2m3", None, "fp8_e4m3fn", True, True),
    ("fp6_e3m2", None, "fp8_e5m2", True, True),
]


@pytest.mark.parametrize(("source", "zero", "target", "symmetric", "back"), PAIRS)
def test_every_code_one_to_one(source: str, zero: int | None, target: str, symmetric: bool, back: bool) -> None:
    held = every_code(source, zero, rows=3)
    moved = recode(held, channels(target, symmetric))
    assert moved.format == target
    np.testing.assert_array_equal(reals(moved), reals(held))
    again = recode(moved, channels(source, zero is None))
    np.testing.assert_array_equal(reals(again), reals(held))
    if back:
        np.testing.assert_array_equal(again.codes, held.codes)
        np.testing.assert_array_equal(again.scale, held.scale)
        zeros = np.zeros(3, np.int32) if again.zero_point is None else again.zero_point
        assert (zeros == (zero or 0)).all()


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("int4", "int4_sm"),  # -8
        ("int4", "fp4_e2m1"),  # 5 and 7
        ("int8", "fp8_e4m3fn"),  # 17 has five bits
        ("fp8_e4m3fnuz", "fp8_e4m3fn"),  # 2^-10 to 240: one power of two too many
        ("fp8_e5m2", "fp8_e4m3fn"),
        ("nf4", "int8"),
        ("uint4", "int4"),  # 8 to 15, without a zero point
    ],
)
def test_formats_that_lack_a_number_change_it(source: str, target: str) -> None:
    held = every_code(source, rows=2)
    moved = recode(held, channels(target))
    found = difference(held.dequantize(), moved.dequantize())
    assert 0 < found["changed"] <= held.codes.size
    assert found["max_error"] > 0
    assert 5 < found["sqnr_db"] < np.inf


@st.composite
def stored(draw: st.DrawFn, fmt: str, zeros: bool) -> QTensor:
    """A random weight of any granularity, with random steps over 60 powers of two."""
    dice = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    out, wide = draw(st.integers(1, 6)), draw(st.integers(1, 40))
    entry = formats[fmt]
    axis, block = draw(st.sampled_from([(None, None), (0, None), (1, 8), (1, 16)]))
    shape: tuple[int, ...] = () if axis is None else (out,) if axis == 0 else (out, -(-wide // int(block)))
    scale = np.ldexp(dice.uniform(1, 2, shape), dice.integers(-30, 30, shape)).astype(np.float32)
    values = decode(np.arange(1 << entry.bits), fmt)
    made = np.flatnonzero((values >= entry.min_value) & (values <= entry.max_value))
    codes = dice.choice(made, (out, wide)).astype(entry.code_dtype)
    low, high = int(entry.min_value), int(entry.max_value)
    points = dice.integers(low, high + 1, shape).astype(np.int32) if zeros else None
    return QTensor(codes, fmt, scale, points, axis, block)


def like(held: QTensor, fmt: str, symmetric: bool) -> Scheme:
    """The scheme of the same granularity."""
    granularity: Any = {None: "per_tensor", 0: "per_channel", 1: "per_group"}[held.axis]
    return Scheme(fmt, granularity, held.block_size, symmetric)


def alike(a: QTensor, b: QTensor) -> bool:
    """Same numbers bit for bit, but for the sign of zero."""
    return bool(np.array_equal(a.dequantize(), b.dequantize()))


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from([("int4", "int4_offset"), ("int4", "uint4"), ("int8", "uint8"), ("int2", "uint2")]))
def test_random_tensors_go_there_and_back(data: st.DataObject, pair: tuple[str, str]) -> None:
    source, target = pair
    held = data.draw(stored(source, zeros=data.draw(st.booleans())))
    moved = recode(held, like(held, target, symmetric=False))
    assert alike(moved, held)
    back = recode(moved, like(held, source, symmetric=held.zero_point is None))
    assert alike(back, held)
    assert np.array_equal(back.codes, held.codes)
    assert np.array_equal(back.scale, held.scale)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["int4", "int4_sm", "int4_offset", "fp4_e2m1", "int2"]))
def test_random_tensors_become_fp8_and_come_back(data: st.DataObject, source: str) -> None:
    held = data.draw(stored(source, zeros=False))
    moved = recode(held, like(held, "fp8_e4m3fn", symmetric=True))
    assert alike(moved, held)
    back = recode(moved, like(held, source, symmetric=True))
    assert alike(back, held)
    if source != "int4_offset":  # which has one zero; E4M3 has two
        assert np.array_equal(back.codes, held.codes)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["per_tensor", "per_channel"]), st.sampled_from(["int4", "uint4"]))
def test_coarse_scales_become_many_equal_ones(data: st.DataObject, granularity: Any, fmt: str) -> None:
    held = data.draw(stored(fmt, zeros=True).filter(lambda q: q.block_size is None))
    for scheme in (Scheme(fmt, "per_group", 8, False), channels(fmt, False)):
        if held.axis is None or scheme.granularity == "per_group" or held.axis == 0:
            assert alike(recode(held, scheme), held)


def test_blocks_of_powers_of_two_fit_other_blocks() -> None:
    x = np.random.default_rng(3).standard_normal((16, 96)).astype(np.float32)
    mx = quantize_tensor(x, "mxfp4", axis=1)
    nv = recode(mx, Scheme("nvfp4"))
    assert alike(nv, mx)
    assert (nv.block_size, nv.scale_format) == (16, "ue4m3")
    back = recode(nv, Scheme("mxfp4"))
    assert alike(back, mx)
    assert alike(recode(mx, Scheme("mxfp8_e4m3")), mx)
    assert alike(recode(mx, Scheme("mxfp6_e2m3")), mx)


def test_only_rows_that_do_not_fit_change() -> None:
    held = every_code("int4", rows=4)
    codes = held.codes.copy()
    codes[1:][codes[1:] == 8] = 0  # only the first row keeps -8
    held = QTensor(codes, "int4", held.scale, None, 0)
    moved = recode(held, channels("int4_sm"))
    same = (moved.dequantize() == held.dequantize()).all(axis=1)
    assert same.tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    "target", ["int4", "int4_sm", "fp4_e2m1", "nf4", "mxfp4", "nvfp4", "int8", "fp16", "q8_0", "hif4"]
)
@pytest.mark.parametrize("source", ["fp8_e4m3fn", "nvfp4", "q4_k", "int8", "nf4"])
def test_never_worse_than_quantizing_anew(source: str, target: str) -> None:
    x = np.random.default_rng(5).standard_normal((8, 256)).astype(np.float32)
    axis = 1 if hasattr(formats[source], "element") else 0
    held = quantize_tensor(x, source, axis=axis)
    scheme = Scheme(target) if hasattr(formats[target], "element") or target == "fp16" else channels(target)
    was = held.dequantize()
    found, plain = (difference(was, q.dequantize()) for q in (recode(held, scheme), store_weight(was, scheme)))
    assert found["sqnr_db"] >= plain["sqnr_db"]


def test_vendors_zero_points_correct_each_other() -> None:
    """GPTQ stores a zero point less one, AWQ as it is, Ascend its negative as an offset: one weight all along."""
    x = np.random.default_rng(9).standard_normal((16, 64)).astype(np.float32) + 0.2
    held = quantize_tensor(x, "uint4", axis=1, block_size=32, symmetric=False, scale_format="fp16")
    gptq, awq = from_gptq(**to_gptq(held)), from_awq(**to_awq(held))
    scheme = Scheme("int4", "per_group", 32, False)
    for source in (held, gptq, awq):
        moved = recode(source, scheme)
        assert alike(moved, held)
        np.testing.assert_array_equal(moved.codes, held.codes ^ 8)
        points = np.zeros_like(held.zero_point) if moved.zero_point is None else moved.zero_point
        np.testing.assert_array_equal(points, np.asarray(held.zero_point) - 8)
        box = to_ascend(moved)
        np.testing.assert_array_equal(box["antiquant_offset"].T, 8 - np.asarray(held.zero_point))
        back = recode(moved, Scheme("uint4", "per_group", 32, False))
        np.testing.assert_array_equal(to_gptq(back)["qzeros"], to_gptq(held)["qzeros"])


def test_nan_is_refused() -> None:
    held = quantize_tensor(np.ones((4, 32), np.float32), "mxfp4", axis=1)
    held.scale[1] = np.nan
    with pytest.raises(RecipeError, match="NaN or infinity"):
        recode(held, channels("int4"))


def test_zeros_and_tiny_steps() -> None:
    for scale in (np.float32(1e-38), np.float32(1e30)):
        held = QTensor(np.zeros((2, 8), np.uint8), "int4", np.full(2, scale, np.float32), None, 0)
        for scheme in (channels("fp8_e4m3fn"), Scheme("mxfp4"), Scheme("nvfp4"), channels("uint4", False)):
            assert not recode(held, scheme).dequantize().any()
