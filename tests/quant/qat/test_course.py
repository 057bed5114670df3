"""Training from end to end on a small network: it learns, it exports what it computes, it survives being killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwsim
from hwsim import zoo
from hwsim.errors import DataError, RecipeError
from hwsim.ir import reference
from hwsim.quant import quantize, recipe_for
from hwsim.quant.simulate import simulate
from tests.oracles import need_heavy_module

torch = need_heavy_module("torch")

from hwsim.quant.qat import Course, Learning, QatNetwork, train  # noqa: E402
from hwsim.quant.qat.course import accuracy  # noqa: E402

CHIP = "hwsim-int4-ws16"


def start(weights: str = "int2", learning: Learning | None = None, **more: Any) -> QatNetwork:
    """The shipped CNN with few-bit weights, ready to learn."""
    graph, target = hwsim.load_model("mnist-cnn"), hwsim.load_target(CHIP)
    recipe = recipe_for(target, None, "minmax")
    recipe = replace(recipe, weights=replace(recipe.weights, format=weights))
    calib = zoo.data("mnist-cnn", "calib")
    return QatNetwork(quantize(graph, recipe, calib.inputs[:64]), graph, recipe, weights=learning, **more)


@pytest.fixture(scope="module")
def digits() -> Any:
    return zoo.data("mnist-cnn", "calib")


def test_full_network_is_the_float_network(digits: Any) -> None:
    graph = hwsim.load_model("mnist-cnn")
    net = start(full=True).eval()
    want = reference.run(graph, {graph.inputs[0]: digits.inputs[:8]})
    with torch.no_grad():
        got = net(torch.from_numpy(digits.inputs[:8])).numpy()
    assert np.allclose(got, next(iter(want.values())), rtol=1e-4, atol=1e-4)


def test_it_learns_and_exports_what_it_computes(digits: Any) -> None:
    """Every stored value of the exported graph, simulated, has the codes that the network in torch has."""
    net = start()
    before = accuracy(net, digits.inputs, digits.labels)
    rows = train(net, digits.inputs, digits.labels, Course(epochs=3, batch=32, rate=1e-3))
    assert rows[-1].loss < rows[0].loss
    assert accuracy(net, digits.inputs, digits.labels) > before + 0.2
    graph = net.export()
    stored = [node.output for node in graph.nodes if node.op == "Quantize"]
    x = digits.inputs[:16]
    want = simulate(graph, {graph.inputs[0]: x}, keep=stored)
    with torch.no_grad():
        got = net(torch.from_numpy(x), keep=stored)
    for name in stored:
        quant = graph.value(name).quant
        assert quant is not None
        differ = quant.quantize(got[name].numpy()).codes != quant.quantize(want[name]).codes
        assert differ.mean() < 1e-3, name  # float sums in another order may cross a rounding boundary
    chip = hwsim.emulate(graph, CHIP, digits.inputs).output.argmax(1)
    assert (chip == digits.labels).mean() > before + 0.2


@pytest.mark.parametrize(
    "learning",
    [
        Learning("ste"),
        Learning("scaled"),
        Learning(scale="clip"),
        Learning(power_of_two=True),
        Learning(stochastic=True),
    ],
    ids=str,
)
def test_every_way_to_learn_learns(learning: Learning, digits: Any) -> None:
    net = start(learning=learning)
    rows = train(net, digits.inputs, digits.labels, Course(epochs=2, batch=32, rate=1e-3))
    assert rows[-1].loss < rows[0].loss


@pytest.mark.parametrize("weights", ["ternary", "binary"])
def test_ternary_and_binary(weights: str, digits: Any) -> None:
    net = start(weights, Learning("clipped", "absmean"))
    rows = train(net, digits.inputs, digits.labels, Course(epochs=2, batch=32, rate=2e-3))
    assert rows[-1].loss < rows[0].loss
    held = net.export().constants["fc1.weight"]
    assert len(np.unique(held.codes)) <= (2 if weights == "binary" else 3)


@pytest.mark.parametrize("accumulator", ["fp32", "bf16", "fp16"])
def test_accumulated_gradients(accumulator: str, digits: Any) -> None:
    """Four micro-batches in FP32 are one batch; in 16 bits nearly."""
    whole, parts = start(), start()
    one = Course(epochs=1, batch=64, optimizer="sgd", rate=1e-2)
    train(whole, digits.inputs[:64], digits.labels[:64], one)
    train(parts, digits.inputs[:64], digits.labels[:64], replace(one, accumulate=4, accumulator=accumulator))
    a, b = (net.numbers["fc2/weight"].detach().numpy() for net in (whole, parts))
    assert np.abs(a - b).max() < (1e-5 if accumulator == "fp32" else 2e-3)


def test_a_teacher_changes_the_course(digits: Any) -> None:
    course = Course(epochs=1, batch=64, teacher=0.5)
    rows = train(start(), digits.inputs, digits.labels, course, teacher=start(full=True).eval())
    alone = train(start(), digits.inputs, digits.labels, Course(epochs=1, batch=64))
    assert rows != alone


SCRIPT = """
import sys, numpy as np, torch
from pathlib import Path
import hwsim
from hwsim import zoo
from tests.quant.qat.test_course import start
from hwsim.quant.qat import Course, Learning, train
torch.set_num_threads(1)
data = zoo.data("mnist-cnn", "calib")
net = start(learning=Learning("scaled", stochastic=True))
train(net, data.inputs, data.labels, Course(epochs=3, batch=32, checkpoint_steps=1), checkpoint=Path(sys.argv[1]),
      progress=lambda stage, done, total: print(done, flush=True))
np.savez(sys.argv[2], **{k: v.numpy() for k, v in net.state_dict().items()})
"""


def test_killed_and_resumed_gives_the_same_bits(tmp_path: Path) -> None:
    def run(name: str, kill_at: tuple[int, ...]) -> dict[str, np.ndarray]:
        for stop in (*kill_at, None):
            process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT, str(tmp_path / f"{name}.ckpt"), str(tmp_path / f"{name}.npz")],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            for line in process.stdout:
                if stop is not None and int(line) >= stop:
                    os.kill(process.pid, signal.SIGKILL)
                    break
            process.communicate()
        with np.load(tmp_path / f"{name}.npz") as file:
            return dict(file)

    whole, broken = run("whole", ()), run("broken", (5, 17))
    assert whole.keys() == broken.keys()
    for name in whole:
        assert np.array_equal(whole[name], broken[name]), name


def test_bad_courses(digits: Any, tmp_path: Path) -> None:
    for wrong in ({"optimizer": "adam"}, {"epochs": 0}, {"teacher": 2.0}, {"rate": 0.0}, {"accumulator": "fp8"}):
        with pytest.raises(RecipeError):
            Course(**wrong)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="labels"):
        train(start(), digits.inputs, None, Course())
    (tmp_path / "c").write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match="checkpoint"):
        train(start(), digits.inputs, digits.labels, Course(), checkpoint=tmp_path / "c")
