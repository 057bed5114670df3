"""Bars on real networks in few bits, with the options that docs/calibration.md recommends; minutes each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hwsim
from hwsim import zoo
from hwsim.ir.reference import run
from hwsim.quant import recipe_for
from tests.oracles import need_network

SAMPLES = 256


@pytest.mark.slow
def test_efficientnet_at_w4a8_keeps_its_answers() -> None:
    """Rounding to nearest answers 2 of 20; calibrated on photographs that are no test pictures it is near float."""
    need_network("efficientnet-lite0")
    chip = hwsim.load_target("qualcomm-hexagon")
    recipe = replace(recipe_for(chip, "w4a8"), weight_method="gptq", correct_bias=True, samples=SAMPLES)
    graph, data = zoo.model("efficientnet-lite0"), zoo.data("efficientnet-lite0")
    got = hwsim.emulate(hwsim.quantize(graph, recipe), chip, data, precision="w4a8").output
    want = run(graph, {graph.inputs[0]: data.inputs})[graph.outputs[0]]
    cosine = np.sum(got * want, axis=1) / np.linalg.norm(got, axis=1) / np.linalg.norm(want, axis=1)
    assert np.count_nonzero(got.argmax(axis=1) == data.labels) >= 15
    assert cosine.mean() >= 0.945  # .951 here; the order of sums alone, and so another machine, moves the third digit


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist-cnn", "resnet8", "keyword-spotting", "visual-wake-words"])
def test_multistage_beats_minmax_at_int4(name: str) -> None:
    need_network(name)
    chip = hwsim.load_target("hwsim-int4-ws16")
    graph, data = zoo.model(name), zoo.data(name).head(20)
    want = run(graph, {graph.inputs[0]: data.inputs})[graph.outputs[0]]

    def noise(rule: str) -> float:
        stored = hwsim.quantize(graph, recipe_for(chip, calibrator=rule))
        return float(np.sum(np.square(hwsim.emulate(stored, chip, data).output - want, dtype=np.float64)))

    assert noise("multistage") < noise("minmax")
