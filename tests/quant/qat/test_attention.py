"""Factors of heads that learn: what they win back, what is exported, and a run that was killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.oracles import need_heavy_module

torch = need_heavy_module("torch")
torch.set_num_threads(1)

import hwsim  # noqa: E402
from hwsim.emulate.attention import study_attention  # noqa: E402
from hwsim.errors import RecipeError  # noqa: E402
from hwsim.io import safetensors  # noqa: E402
from hwsim.ir import Graph  # noqa: E402
from hwsim.quant import quantize, recipe_for  # noqa: E402
from hwsim.quant.attention import attentions, log_scaled  # noqa: E402
from hwsim.quant.qat import Course, QatNetwork, train  # noqa: E402
from hwsim.quant.qat.attention import attention_distance  # noqa: E402
from hwsim.training import chip_values, differing  # noqa: E402
from tests.io import decoders  # noqa: E402

CHIP = hwsim.load_target("hwsim-int4-ws16")
RULE = recipe_for(CHIP, None, "minmax")
IDS = np.random.default_rng(1).integers(0, 64, (64, 12)).astype(np.float32)
COURSE = Course(epochs=6, batch=8, task="next_token", rate=1e-3, checkpoint_steps=5)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return safetensors.load(decoders.folder(tmp_path_factory.mktemp("m"), decoders.weights()), length=12)


def start(decoder: Graph, chip: hwsim.Target = CHIP, precision: str | None = None) -> tuple[QatNetwork, QatNetwork]:
    """The network with factors, ready to learn, and its teacher."""
    rule = recipe_for(chip, precision, "minmax")
    graph, factors = log_scaled(decoder)
    network = QatNetwork(quantize(graph, rule, IDS[:16]), graph, rule, log_scales=factors)
    return network, QatNetwork(quantize(decoder, rule, IDS[:16]), decoder, rule, full=True).eval()


def shift(network: QatNetwork, decoder: Graph) -> float:
    return study_attention(network.export(), CHIP, IDS[:16], reference=decoder).row_shift


def test_before_it_learns_it_is_the_network_without_factors(decoder: Graph) -> None:
    network, _ = start(decoder)
    plain = hwsim.emulate(quantize(decoder, RULE, IDS[:16]), CHIP, IDS[:4]).output
    np.testing.assert_array_equal(hwsim.emulate(network.export(), CHIP, IDS[:4]).output, plain)


def test_factors_alone_learn_and_bring_attention_nearer(decoder: Graph) -> None:
    """Scores that are twice too large, as a stand-in for a bias that a factor can take back."""
    constants = dict(decoder.constants)
    for a in attentions(decoder):
        assert a.query is not None
        constants[f"{a.query.name}.twice"] = 2 * decoder.float_constant(a.query.inputs[1])
    queries = {a.query.name for a in attentions(decoder) if a.query is not None}
    nodes = [replace(n, inputs=(n.inputs[0], f"{n.name}.twice")) if n.name in queries else n for n in decoder.nodes]
    wrong = decoder.rebuilt(nodes=nodes, constants=constants)
    network, _ = start(wrong)
    teacher = start(decoder)[1]
    network.learn_only(network.logs())
    frozen = {name: value.clone() for name, value in network.state_dict().items() if not name.endswith("logs")}
    before = shift(network, decoder)
    train(network, IDS, None, COURSE, penalty=attention_distance(network, teacher, 20.0))
    assert shift(network, decoder) < 0.5 * before
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in frozen.items())
    assert all(float(log.detach().abs().max()) > 0.01 for log in network.logs())


@pytest.mark.parametrize(("name", "precision"), [("hwsim-int4-ws16", None), ("nvidia-b200", "nvfp4")])
def test_what_is_exported_is_what_learned(decoder: Graph, name: str, precision: str | None) -> None:
    """With the chip's values in place no code differs; torch alone keeps integer codes all but a few."""
    chip = hwsim.load_target(name)
    network, teacher = start(decoder, chip, precision)
    train(network, IDS[:32], None, replace(COURSE, epochs=2), penalty=attention_distance(network, teacher))
    rows = differing(network, chip, IDS[:8], precision)
    assert {"blk.0.q.weight", "blk.1.softmax.q"} <= {row.value for row in rows}
    assert sum(row.exact for row in rows) == 0
    inside = [row for row in rows if row.value != "logits"]
    if precision is None:
        assert sum(row.layer for row in inside) <= 2e-3 * sum(row.codes for row in inside)
    exported = network.export()
    for factor, held in network.factors.items():
        np.testing.assert_array_equal(exported.constants[factor.replace("/", ".")], held().detach().numpy())


def test_on_the_chips_values_outputs_are_the_emulators(decoder: Graph) -> None:
    network, _ = start(decoder)
    network.chip = chip_values(CHIP)
    train(network, IDS[:16], None, replace(COURSE, epochs=1))
    with torch.no_grad():
        mine = network(torch.from_numpy(IDS[:4])).numpy()
    np.testing.assert_array_equal(mine, hwsim.emulate(network.export(), CHIP, IDS[:4]).output)


def test_a_run_that_was_stopped_ends_with_the_same_bits(decoder: Graph, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if done == 13:
            raise StopError

    def run(**more: Any) -> QatNetwork:
        network, teacher = start(decoder)
        train(network, IDS, None, replace(COURSE, epochs=2), penalty=attention_distance(network, teacher), **more)
        return network

    whole = run()
    with pytest.raises(StopError):
        run(checkpoint=tmp_path / "c.npz", progress=stop)
    again = run(checkpoint=tmp_path / "c.npz")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_vectors_are_learned_from_the_teacher(decoder: Graph) -> None:
    network, teacher = start(decoder)
    course = replace(COURSE, task="vectors", teacher=1.0, epochs=3)
    curve = train(network, IDS, None, course, teacher=teacher)
    assert curve[-1].loss < curve[0].loss < 1
    with pytest.raises(RecipeError, match="expected teacher 1"):
        replace(course, teacher=0.5)
