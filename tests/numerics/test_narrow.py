"""Narrow lanes against the wide loops: the same bits for every unit that they serve, whatever the operands hold."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.numerics import encode, mma, narrow, units
from hwsim.numerics.unit import FusedUnit, ScaledFusedUnit

SHAPES = [(65, 130, 96), (3, 300, 128), (40, 17, 200)]
FUSED = [u for u in units.values() if isinstance(u, FusedUnit)]
SERVED = [
    u for u in FUSED if narrow.serves(u, np.empty((512, 512), np.uint8), np.empty((512, 512), np.uint8))
]  # fmt: skip


def _operands(unit, shape, spread, rng, special=False):
    m, n, k = shape
    sides = []
    for rows, fmt in ((m, unit.a_format), (n, unit.b_format)):
        x = rng.standard_normal((rows, k)) * np.exp(spread * rng.standard_normal((rows, k)))
        x[rng.random(x.shape) < 0.2] = 0
        codes = encode(x.astype(np.float32), fmt)
        if special:  # every code of the format, infinities and NaN too
            top = np.iinfo(codes.dtype).max if fmt in ("fp16", "bf16") else (1 << _bits(fmt)) - 1
            codes[: rows // 3] = rng.integers(0, top, (rows // 3, k), endpoint=True)
        sides.append(codes)
    scales = {}
    if isinstance(unit, ScaledFusedUnit):
        blocks = -(-k // unit.block_size)
        for key, rows in (("a_scale", m), ("b_scale", n)):
            scales[key] = encode(np.exp(2 * rng.standard_normal((rows, blocks))), unit.scale_format)
            if special:
                scales[key][0] = rng.integers(0, 127, blocks, endpoint=True)
    return (*sides, scales)


def _bits(fmt):
    from hwsim.numerics.codec import element_format

    return element_format(fmt).bits


@pytest.fixture
def wide_and_narrow(monkeypatch):
    def both(a, b, c, unit, scales):
        out = []
        for many in (0, 1 << 62):
            monkeypatch.setattr(narrow, "MANY", many)
            out.append(mma(a, b, c, unit, **scales).view(np.uint32))
        return out

    return both


def test_the_units_that_decoders_run_on_are_served():
    names = {u.name for u in SERVED}
    assert {"nvidia.hopper.wgmma.f16", "nvidia.hopper.wgmma.e4m3", "nvidia.blackwell.tcgen05.nvf4"} <= names


@pytest.mark.parametrize("unit", SERVED, ids=lambda u: u.name)
@pytest.mark.parametrize("spread", [0.5, 6.0])
def test_the_bits_are_those_of_the_wide_loops(unit, spread, wide_and_narrow):
    rng = np.random.default_rng(3)
    for shape, size in zip(SHAPES, (1.0, 1e-38, 1e4), strict=True):
        a, b, scales = _operands(unit, shape, spread, rng)
        c = (rng.standard_normal(shape[:2]) * size).astype(np.float32)
        fast, slow = wide_and_narrow(a, b, c, unit, scales)
        np.testing.assert_array_equal(fast, slow)


@pytest.mark.parametrize("unit", SERVED[::5], ids=lambda u: u.name)
def test_special_codes_take_the_wide_loops(unit, wide_and_narrow):
    rng = np.random.default_rng(4)
    a, b, scales = _operands(unit, (150, 140, 96), 1.0, rng, special=True)
    c = np.zeros((150, 140), np.float32)
    c[3, 5], c[4, 6] = np.inf, np.nan
    fast, slow = wide_and_narrow(a, b, c, unit, scales)
    np.testing.assert_array_equal(fast, slow)


def test_operands_are_decoded_in_pieces(monkeypatch, wide_and_narrow):
    monkeypatch.setattr(narrow, "CHUNK", 64 * 128)
    monkeypatch.setattr(narrow, "DEPTH", 128)
    for name in ("nvidia.hopper.wgmma.f16", "nvidia.blackwell.tcgen05.nvf4"):
        a, b, scales = _operands(units[name], (200, 150, 300), 1.0, np.random.default_rng(5))
        fast, slow = wide_and_narrow(a, b, None, units[name], scales)
        np.testing.assert_array_equal(fast, slow)


def test_zeros_to_the_right_of_a_row_change_nothing(wide_and_narrow):
    unit = units["nvidia.hopper.wgmma.f16"]
    a, b, _ = _operands(unit, (64, 64, 256), 1.0, np.random.default_rng(6))
    a[np.triu_indices(64)[0], 4 * np.triu_indices(64)[1]] = 0
    a[:, 64:] = 0
    fast, slow = wide_and_narrow(a, b, None, unit, {})
    np.testing.assert_array_equal(fast, slow)
    assert fast.any()
