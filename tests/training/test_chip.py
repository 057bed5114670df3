"""Codes of a network in training against codes of the emulator, for four formats; and training on the chip's values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.oracles import need_heavy_module

torch = need_heavy_module("torch")

import hwsim  # noqa: E402
from hwsim import zoo  # noqa: E402
from hwsim.errors import RecipeError  # noqa: E402
from hwsim.quant import quantize, recipe_for  # noqa: E402
from hwsim.quant.qat import Course, Learning, QatNetwork, train  # noqa: E402
from hwsim.training import chip_values, differing  # noqa: E402

MODES = (
    ("hwsim-int4-ws16", "int4", "int4"),
    ("hwsim-int4-ws16", "int4", "int2"),
    ("nvidia-h100", "fp8", None),
    ("nvidia-b200", "nvfp4", None),
)


def trained(chip: str, precision: str, weights: str | None, model: str = "mnist-mlp") -> tuple[QatNetwork, Any, Any]:
    graph, target, data = hwsim.load_model(model), hwsim.load_target(chip), zoo.data(model, "calib")
    rule = recipe_for(target, precision, "minmax")
    if weights is not None:
        rule = replace(rule, weights=replace(rule.weights, format=weights))
    network = QatNetwork(quantize(graph, rule, data.inputs[:64]), graph, rule)
    train(network, data.inputs, data.labels, Course(epochs=1, batch=64))
    return network, target, data


@pytest.mark.parametrize(("chip", "precision", "weights"), MODES)
def test_on_the_chips_values_no_code_differs(chip: str, precision: str, weights: str | None) -> None:
    network, target, data = trained(chip, precision, weights)
    rows = differing(network, target, data.inputs[:48], precision)
    assert {row.value for row in rows} >= {"fc1.weight", "logits"}
    assert sum(row.exact for row in rows) == 0
    inside = [row for row in rows if row.value != "logits"]
    assert sum(row.codes for row in inside) > 200_000
    assert sum(row.layer for row in inside) <= 1e-3 * sum(row.codes for row in inside)


@pytest.mark.parametrize(("chip", "precision", "weights"), MODES)
def test_training_on_the_chips_values(chip: str, precision: str, weights: str | None) -> None:
    """It still learns, and its outputs are the emulator's, bit for bit, after each step."""
    network, target, data = trained(chip, precision, weights)
    network.chip = chip_values(target, precision)
    x, y = data.inputs[:32], data.labels[:32]
    curve = train(network, x, y, Course(epochs=4, batch=32, rate=1e-3))
    assert curve[-1].loss < curve[0].loss
    with torch.no_grad():
        mine = network(torch.from_numpy(x)).numpy()
    theirs = hwsim.emulate(network.export(), target, x, precision=precision).output
    assert np.array_equal(mine.view(np.uint32), np.ascontiguousarray(theirs).view(np.uint32))


def test_it_counts_what_differs() -> None:
    """A network whose graph is another's is found out."""
    network, target, data = trained(*MODES[0])
    store = network.stores["fc1/weight"]
    whole = sum(row.whole for row in differing(network, target, data.inputs[:8]) if row.value != "logits")

    class Other(type(store)):  # type: ignore[misc]
        def stored(self, x: Any, scale: Any = None) -> Any:
            held = super().stored(x, scale)
            return replace(held, codes=np.where(held.codes == 1, 2, held.codes).astype(held.codes.dtype))

    graph = network.export()
    network.export = lambda: graph  # type: ignore[method-assign]
    store.__class__ = Other
    rows = differing(network, target, data.inputs[:8])
    assert next(row for row in rows if row.value == "fc1.weight").exact > 0
    assert sum(row.whole for row in rows if row.value != "logits") > whole


def test_stochastic_rounding_is_not_a_chips() -> None:
    network, target, _ = trained(*MODES[0])
    with pytest.raises(RecipeError, match="rounds to nearest"):
        QatNetwork(
            network.graph,
            hwsim.load_model("mnist-mlp"),
            network.recipe,
            weights=Learning(stochastic=True),
            chip=chip_values(target),
        )
