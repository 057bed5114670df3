"""Attacks: inside the cube, against the chip's own numbers, and as strong as what an attack by hand finds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hwsim
from hwsim import zoo
from hwsim.errors import DataError, ToolError
from hwsim.quant import quantize, recipe_for
from hwsim.robust import ATTACKS, Attack, Victim, attack, victim, whole_victim
from tests.oracles import need_heavy_module, need_module

CHIP = "hwsim-int4-ws16"
EPSILON = 0.1


@pytest.fixture(scope="module")
def digits() -> Any:
    return hwsim.load_data("mnist-cnn").spread(30)


@pytest.fixture(scope="module")
def held() -> Any:
    graph, chip = hwsim.load_model("mnist-cnn"), hwsim.load_target(CHIP)
    rule = recipe_for(chip, None, "minmax")
    return graph, quantize(graph, rule, zoo.data("mnist-cnn", "calib").inputs[:64]), chip, rule


@pytest.fixture(scope="module")
def victims(held: Any) -> tuple[Victim, Victim]:
    need_module("art", "pip install adversarial-robustness-toolbox")
    need_heavy_module("torch")
    graph, quantized, chip, rule = held
    return whole_victim(graph, quantized, rule), victim(quantized, chip, rule)


def right(one: Victim, x: Any, labels: Any) -> int:
    return int((one.scores(x).argmax(1) == labels).sum())


@pytest.mark.parametrize("kind", ATTACKS)
def test_inside_the_cube_and_repeatable_and_harmful(kind: str, victims: Any, digits: Any) -> None:
    how = Attack(kind, EPSILON, 8)
    for one in victims if kind != "square" else victims[1:]:
        state = np.random.get_state()[1].copy()  # noqa: NPY002
        made = attack(one, digits.inputs, digits.labels, how)
        assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
        assert made.dtype == np.float32
        assert np.abs(made - digits.inputs).max() <= EPSILON + 1e-6
        assert 0 <= made.min() <= made.max() <= 1
        assert np.array_equal(made, attack(one, digits.inputs, digits.labels, how))
        assert right(one, made, digits.labels) < right(one, digits.inputs, digits.labels)


def test_pgd_beats_fgsm_and_chance(victims: Any, digits: Any) -> None:
    x, y = digits.inputs, digits.labels
    rng = np.random.default_rng(0)
    for one in victims:
        chance = np.clip(x + EPSILON * rng.choice([-1, 1], x.shape), 0, 1).astype(np.float32)
        step = attack(one, x, y, Attack("fgsm", EPSILON, 1))
        steps = attack(one, x, y, Attack("pgd", EPSILON, 10))
        assert right(one, steps, y) < right(one, step, y) <= right(one, chance, y)


def test_pgd_is_as_strong_as_the_attack_that_networks_learn_from(victims: Any, digits: Any, held: Any) -> None:
    """The toolbox's PGD and our own in training: the same gradients, other random starts."""
    import torch

    from hwsim.quant.qat import Adversary, QatNetwork

    graph, quantized, _, rule = held
    network = QatNetwork(quantized, graph, rule)
    x, y = torch.from_numpy(digits.inputs), torch.from_numpy(digits.labels)
    own = Adversary(EPSILON, 10)(network, x, y, torch.Generator().manual_seed(0)).numpy()
    theirs = attack(victims[1], digits.inputs, digits.labels, Attack("pgd", EPSILON, 10))
    assert abs(right(victims[1], own, digits.labels) - right(victims[1], theirs, digits.labels)) <= 4
    assert np.abs(own - digits.inputs).max() <= EPSILON + 1e-6


def test_gradients_are_taken_at_the_chips_own_numbers(held: Any, digits: Any) -> None:
    """The network whose gradient is used answers with the emulator's bits; its slope is a difference quotient's."""
    torch = need_heavy_module("torch")
    from hwsim.emulate.values import chip_values
    from hwsim.quant.qat import input_gradient
    from hwsim.quant.qat.straight import StraightThrough

    graph, quantized, chip, rule = held
    for target in (chip, hwsim.load_target("nvidia-h100")):
        rule = recipe_for(target, None, "minmax")
        mine = quantize(graph, rule, zoo.data("mnist-cnn", "calib").inputs[:64])
        network = StraightThrough(mine, rule, chip_values(target))
        with torch.no_grad():
            scores = network(torch.from_numpy(digits.inputs)).numpy()
        assert np.array_equal(scores, hwsim.emulate(mine, target, digits.inputs).output)
    slope = input_gradient(graph, rule, quantized=quantized)
    grain = np.random.default_rng(0).uniform(0, 0.1, digits.inputs.shape)
    x, y = (digits.inputs + grain).astype(np.float32), digits.labels  # equal numbers under a pool have no one slope
    found = slope(x, y)
    least_sure = int(np.abs(found).max(axis=(1, 2, 3)).argmax())
    size = float(np.sqrt((found[least_sure] ** 2).sum()))
    moved = np.zeros_like(x)
    moved[least_sure] = found[least_sure] / size * 1e-2

    def loss(z: Any) -> float:
        logits = whole_victim(graph, quantized, rule).scores(z).astype(np.float64)
        return float((np.log(np.exp(logits).sum(1)) - logits[np.arange(len(y)), y]).sum())

    assert (loss(x + moved) - loss(x - moved)) / 2e-2 == pytest.approx(size, rel=0.1)


def test_square_sees_scores_only(digits: Any) -> None:
    need_module("art", "pip install adversarial-robustness-toolbox")

    def scores(x: Any) -> Any:
        """Bright at the top or bright at the bottom."""
        return np.stack([x[:, 0, :14].mean((1, 2)), x[:, 0, 14:].mean((1, 2))], 1).astype(np.float32)

    one = Victim("halves", scores, lambda: pytest.fail("it asked for a gradient"))
    labels = scores(digits.inputs).argmax(1)
    seen: list[tuple[int, int]] = []
    made = attack(
        one, digits.inputs, labels, Attack("square", 0.2, 20), progress=lambda done, total: seen.append((done, total))
    )
    assert right(one, made, labels) < len(labels)
    assert all(done <= total for done, total in seen)


def test_span(victims: Any, digits: Any) -> None:
    """A network of -1..1 moves by the share of its own span."""
    whole = victims[0]

    def slope() -> Any:
        inner = whole.gradient()
        return lambda x, y: inner((x + 1) / 2, y) / 2

    wide = replace(whole, scores=lambda x: whole.scores((x + 1) / 2), gradient=slope)
    made = attack(wide, 2 * digits.inputs - 1, digits.labels, Attack("fgsm", EPSILON, 1), span=(-1.0, 1.0))
    plain = attack(whole, digits.inputs, digits.labels, Attack("fgsm", EPSILON, 1))
    assert np.allclose((made + 1) / 2, plain, atol=1e-5)


def test_bad_requests(held: Any, digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, quantized, chip, rule = held
    one = victim(quantized, chip, rule)
    x, y = digits.inputs[:2], digits.labels[:2]
    for wrong in (
        lambda: Attack("pdg", 0.1),
        lambda: Attack("pgd", 0.0),
        lambda: Attack("pgd", 1.5),
        lambda: Attack("pgd", 0.1, 0),
        lambda: attack(one, x, y[:1], Attack("pgd", 0.1)),
        lambda: attack(one, x[:0], y[:0], Attack("pgd", 0.1)),
        lambda: attack(one, 3 * x, y, Attack("pgd", 0.1)),
        lambda: attack(one, x * np.nan, y, Attack("pgd", 0.1)),
        lambda: attack(one, x[:, 0], y, Attack("square", 0.1)),
    ):
        with pytest.raises(DataError):
            wrong()
    import sys

    monkeypatch.setitem(sys.modules, "art.attacks", None)
    with pytest.raises(ToolError, match=r"hwsim\[robust\]"):
        attack(one, x, y, Attack("fgsm", 0.1))


def test_probabilities_are_attacked_through_their_logarithms(held: Any, digits: Any) -> None:
    """A network that ends in a softmax has the slope and the ranks of one that does not."""
    need_heavy_module("torch")
    from hwsim.ir import Node
    from hwsim.quant.qat import input_gradient

    graph, quantized, _, rule = held
    last = Node("soft", "Softmax", ("logits",), "p", {"axis": 1})
    value = replace(graph.value("logits"), name="p")
    ended = graph.rebuilt(nodes=(*graph.nodes, last), values={**graph.values, "p": value}, outputs=("p",))
    soft = quantize(ended, rule, zoo.data("mnist-cnn", "calib").inputs[:64])
    x, y = digits.inputs[:8], digits.labels[:8]
    one, other = whole_victim(ended, soft, rule), whole_victim(graph, quantized, rule)
    assert one.normalised
    assert not other.normalised
    logits = other.scores(x).astype(np.float64)
    want = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True)) - logits.max(1)[:, None]
    near = want > -60
    assert np.allclose(one.scores(x)[near], want[near], atol=1e-3)
    plain, told = (
        input_gradient(graph, rule, quantized=quantized)(x, y),
        input_gradient(ended, rule, quantized=soft)(x, y),
    )
    assert np.abs(plain - told).max() <= 1e-3 * np.abs(plain).max() + 1e-6
