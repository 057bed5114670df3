"""Learning from attacked inputs and from strangers: what is drawn, and that it helps."""

from __future__ import annotations

from typing import Any

import pytest

import hwsim
from hwsim import zoo
from hwsim.errors import RecipeError
from hwsim.quant import quantize, recipe_for
from tests.oracles import need_heavy_module

torch = need_heavy_module("torch")

from hwsim.quant.qat import Adversary, Course, Learning, Outliers, QatNetwork, train  # noqa: E402
from hwsim.quant.qat.course import accuracy  # noqa: E402
from hwsim.quant.qat.outliers import strangers  # noqa: E402

CHIP = "hwsim-int4-ws16"


def start(model: str = "mnist-mlp", learning: Learning | None = None) -> QatNetwork:
    graph, target = hwsim.load_model(model), hwsim.load_target(CHIP)
    recipe = recipe_for(target, None, "minmax")
    held = quantize(graph, recipe, zoo.data("mnist-cnn", "calib").inputs[:64])
    return QatNetwork(held, graph, recipe, weights=learning)


def dice(seed: int = 0) -> Any:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits() -> Any:
    return zoo.data("mnist-cnn", "calib")


def test_attacked_inputs_stay_near_and_are_harder(digits: Any) -> None:
    network = start().train()
    x, y = torch.from_numpy(digits.inputs[:64]), torch.from_numpy(digits.labels[:64])
    made = Adversary(0.1, 5, share=0.5)(network, x, y, dice())
    assert network.training
    assert torch.equal(made[32:], x[32:])
    assert float((made - x).abs().max()) <= 0.1 + 1e-6
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    assert torch.equal(made, Adversary(0.1, 5, share=0.5)(network, x, y, dice()))
    assert not torch.equal(made, Adversary(0.1, 5, share=0.5)(network, x, y, dice(1)))
    assert accuracy(network, made[:32].numpy(), digits.labels[:32]) < 0.6
    assert all(p.grad is None for p in network.parameters())


def test_an_attack_teaches_the_coefficients_nothing(digits: Any) -> None:
    network = start(learning=Learning("scaled", "learned")).eval()
    before = [store.coefficient for store in network.stores.values()]
    Adversary(0.1, 2)(network, torch.from_numpy(digits.inputs[:8]), torch.from_numpy(digits.labels[:8]), dice())
    assert before == [store.coefficient for store in network.stores.values()]
    assert all(store.memory is None for store in network.stores.values())


def test_learning_from_attacks_withstands_them(digits: Any) -> None:
    how = Adversary(0.1, 3)
    plain, hard = start("mnist-cnn"), start("mnist-cnn")
    train(hard, digits.inputs, digits.labels, Course(epochs=6, batch=64, rate=1e-3), attack=how)
    test = zoo.data("mnist-cnn")
    x, y = test.inputs[::25], test.labels[::25]

    def left(network: QatNetwork) -> float:
        made = Adversary(0.1, 20)(network.eval(), torch.from_numpy(x), torch.from_numpy(y), dice())
        return accuracy(network, made.numpy(), y)

    assert left(hard) > left(plain) + 0.25


@pytest.mark.parametrize("kind", ["exposure", "energy"])
def test_the_regularizer_makes_strangers_stand_out(kind: str, digits: Any) -> None:
    x = torch.from_numpy(digits.inputs)
    how = Outliers(kind, weight=0.5 if kind == "exposure" else 0.05)
    network = start()
    before = float(how(network, x, dice()).detach())
    rows = train(network, digits.inputs, digits.labels, Course(epochs=3, batch=64, rate=1e-3), penalty=how)
    assert float(how(network, x, dice()).detach()) < 0.8 * before
    assert len(rows) == 3


def test_strangers_are_made_of_the_batch(digits: Any) -> None:
    x = torch.from_numpy(digits.inputs[:30])
    made = strangers(x, dice())
    assert made.shape == x.shape
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    shuffled = made[:10]
    assert torch.equal(shuffled.flatten(1).sort().values, x[:10].flatten(1).sort().values)
    assert not any(torch.equal(a, b) for a, b in zip(shuffled, x[:10], strict=True))
    assert bool((made[10:20] >= x[10:20]).all())
    assert torch.equal(made, strangers(x, dice()))
    odd = torch.rand(7, 3, 9, 5)
    assert strangers(odd, dice()).shape == odd.shape


def test_bad_requests() -> None:
    for wrong in (
        lambda: Adversary(0.0),
        lambda: Adversary(0.1, 0),
        lambda: Adversary(0.1, step=0.0),
        lambda: Adversary(0.1, low=1.0),
        lambda: Adversary(0.1, share=0.0),
        lambda: Outliers("entropy"),
        lambda: Outliers(weight=0.0),
        lambda: Outliers("energy", inside=1.0, outside=0.0),
        lambda: strangers(torch.rand(3, 4), dice()),
    ):
        with pytest.raises(RecipeError):
            wrong()
