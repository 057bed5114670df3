"""Fake quantization against the catalog, bit for bit, and its gradients against their papers' formulas."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracles import need_heavy_module

torch = need_heavy_module("torch")

from hwsim.errors import RecipeError  # noqa: E402
from hwsim.ir import QuantParams  # noqa: E402
from hwsim.numerics import decode, encode, formats  # noqa: E402
from hwsim.numerics.format import BlockFormat, Format  # noqa: E402
from hwsim.quant.qat import FakeQuant, Learning  # noqa: E402

ELEMENTS = [
    n for n, f in formats.items() if isinstance(f, Format) and f.bits <= 8 and n not in ("e8m0", "ue4m3", "e6m2")
]
BLOCKS = [n for n, f in formats.items() if isinstance(f, BlockFormat) and n not in ("int4_g128",)]


def same_bits(a: np.ndarray, b: np.ndarray) -> None:
    assert np.array_equal(a.view(np.uint32), b.view(np.uint32))


@pytest.mark.parametrize("name", ELEMENTS)
def test_forward_is_the_catalog(name: str) -> None:
    """Per tensor: what is read is decode(encode(x / s)) s, in every bit, signs of zeros among them."""
    rng = np.random.default_rng(3)
    scale = np.float32(2.0**-3)  # exact, so that the two ways to write it agree
    x = (rng.standard_normal(4096) * 4).astype(np.float32) * scale
    store = FakeQuant(QuantParams(name, scale=np.array(scale)), Learning(scale="fixed"))
    got = store(torch.from_numpy(x)).detach().numpy()
    want = decode(encode(x / scale, name), name).astype(np.float32) * scale
    same_bits(got, want)


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_the_catalog(name: str) -> None:
    from hwsim.numerics import quantize_tensor

    x = np.random.default_rng(4).standard_normal((8, 512)).astype(np.float32)
    store = FakeQuant(QuantParams(formats[name].element, block_format=name, axis=-1), Learning())  # type: ignore[union-attr]
    same_bits(store(torch.from_numpy(x)).detach().numpy(), quantize_tensor(x, name).dequantize())


def pair(scale: float, x: list[float], learning: Learning, zero: int | None = None) -> tuple[np.ndarray, float]:
    """Gradients of sum(y) with respect to x and the scale."""
    point = None if zero is None else np.array(zero, np.int32)
    store = FakeQuant(QuantParams("int4", scale=np.array(scale, np.float32), zero_point=point), learning)
    given = torch.tensor(x, requires_grad=True)
    store(given).sum().backward()
    assert given.grad is not None
    step = 0.0 if store.scale is None or store.scale.grad is None else float(store.scale.grad)
    return given.grad.numpy(), step


def test_estimators() -> None:
    x = [0.3, 100.0, -100.0, 1.0]
    assert pair(0.5, x, Learning("ste"))[0].tolist() == [1, 1, 1, 1]
    assert pair(0.5, x, Learning("clipped"))[0].tolist() == [1, 0, 0, 1]
    scaled = pair(0.5, x, Learning("scaled", coefficient=0.5))[0]
    assert scaled == pytest.approx([1 + 0.5 * (0.3 - 0.5) / 0.5, 0, 0, 1])


def test_lsq_by_hand() -> None:
    """Esser et al., equation 3, times 1 / sqrt(N Q_P)."""
    x, s = [0.3, 100.0, -100.0, 1.1], 0.5
    want = ((0.5 - 0.3) / s + 7 - 8 + (1.0 - 1.1) / s) / np.sqrt(4 * 7)
    assert pair(s, x, Learning("clipped", "learned"))[1] == pytest.approx(want, rel=1e-5)
    clip = (7 - 8) / np.sqrt(4 * 7)
    assert pair(s, x, Learning("clipped", "clip"))[1] == pytest.approx(clip, rel=1e-5)
    assert pair(s, x, Learning("clipped", "fixed"))[1] == 0


def test_zero_points_shift_the_range() -> None:
    grad, _ = pair(0.5, [-0.1, 7.0, 7.6], Learning(), zero=-8)
    assert grad.tolist() == [0, 1, 0]


def test_learned_offset() -> None:
    store = FakeQuant(QuantParams("uint4", scale=np.array(0.5, np.float32)), Learning(scale="offset"))
    assert store.offset is not None
    x = torch.tensor([-3.0, 0.2, 20.0])
    store(x).sum().backward()
    assert float(store.offset.grad) == pytest.approx(2 / np.sqrt(3 * 15), rel=1e-5)
    with torch.no_grad():
        store.offset.fill_(-1.0)
    assert store.learned().zero_point == 2
    assert store(x).tolist() == [-1.0, 0.0, 6.5]


def test_per_channel_and_group_gradients_add_up() -> None:
    rng = np.random.default_rng(5)
    x = torch.from_numpy(rng.standard_normal((6, 40)).astype(np.float32))
    for scale, more in (
        (np.full(6, 0.3, np.float32), {"axis": 0}),
        (np.full((6, 3), 0.3, np.float32), {"axis": 1, "block_size": 16}),
    ):
        store = FakeQuant(QuantParams("int4", scale=scale, **more), Learning())  # type: ignore[arg-type]
        y = store(x)
        y.sum().backward()
        assert store.scale is not None
        assert store.scale.grad.shape == scale.shape
        one = FakeQuant(QuantParams("int4", scale=np.array(0.3, np.float32)), Learning())
        same_bits(one(x).detach().numpy(), y.detach().numpy())
        one(x).sum().backward()
        assert one.scale is not None
        balance = np.sqrt(scale.size)  # LSQ's factor goes by elements a scale
        assert float(store.scale.grad.sum()) == pytest.approx(float(one.scale.grad) * balance, rel=1e-3)


def test_power_of_two_scales() -> None:
    store = FakeQuant(QuantParams("int4", scale=np.array(0.3, np.float32)), Learning(power_of_two=True))
    assert float(store.learned().scale) == 0.25  # type: ignore[arg-type]


def test_measured_scales() -> None:
    x = torch.tensor([[1.0, -3.0], [0.5, 0.5]])
    store = FakeQuant(QuantParams("binary", scale=np.ones(2, np.float32), axis=0), Learning("ste", "absmean"))
    assert store(x).tolist() == [[2.0, -2.0], [0.5, 0.5]]
    store = FakeQuant(QuantParams("ternary", scale=np.array(1.0, np.float32)), Learning("ste", "absmean"))
    assert store(x).tolist() == [[1.25, -1.25], [0.0, 0.0]]


def test_stochastic_rounding_is_fair_and_only_in_training() -> None:
    store = FakeQuant(QuantParams("int4", scale=np.array(1.0, np.float32)), Learning(stochastic=True), seed=9)
    x = torch.full((100_000,), 2.3)
    store.train()
    assert float(store(x).mean()) == pytest.approx(2.3, abs=0.01)
    assert not torch.equal(store(x), store(x))
    store.eval()
    assert store(x).unique().tolist() == [2.0]


def test_unknown_names() -> None:
    with pytest.raises(RecipeError, match="did you mean 'clipped'"):
        Learning("cliped")
    with pytest.raises(RecipeError, match="did you mean 'learned'"):
        Learning(scale="learnt")
