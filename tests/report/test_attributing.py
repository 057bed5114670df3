"""Why accuracy is lost: mixtures of float and chip against the float network, the emulator and plain numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

import hwsim
from hwsim.attributing import Bench, attribute, exact_product, floated
from hwsim.errors import RecipeError
from hwsim.io import Dataset
from hwsim.ir import Graph
from hwsim.ir import reference as float_reference
from hwsim.numerics import decode, encode, mma
from hwsim.quant import recipe_for
from hwsim.quant.simulate import simulate
from hwsim.report.attribution import sentences
from tests.cli.conftest import small_model
from tests.io.models import build, save

CHIPS = ("ascend-910b4", "nvidia-h100", "hwsim-int4-ws16", "hwsim-uint4-ws16")


def pictures(n: int = 24) -> NDArray[np.float32]:
    return np.random.default_rng(5).standard_normal((n, 1, 6, 6)).astype(np.float32)


def branched(folder: Path) -> Graph:
    """Two convolutions that read one input, pooled, added, and a product of the sum: shared and moved storage."""
    rng = np.random.default_rng(3)
    held = {
        "w1": rng.standard_normal((4, 1, 3, 3)).astype(np.float32),
        "w2": rng.standard_normal((4, 1, 3, 3)).astype(np.float32),
        "w3": rng.standard_normal((3, 16)).astype(np.float32),
        "w4": rng.standard_normal((2, 16)).astype(np.float32),
        "w5": rng.standard_normal((3, 2)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="left"),
        helper.make_node("Conv", ["x", "w2"], ["b"], name="right"),
        helper.make_node("Add", ["a", "b"], ["s"], name="add"),
        helper.make_node("MaxPool", ["s"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "w4"], ["m"], name="mid", transB=1),
        helper.make_node("Gemm", ["m", "w5"], ["g"], name="tail", transB=1),
        helper.make_node("Gemm", ["f", "w3"], ["h"], name="head", transB=1),
        helper.make_node("Add", ["g", "h"], ["y"], name="sum"),
    ]
    return hwsim.load_model(save(build(nodes, ["N", 1, 6, 6], held), folder))


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    return branched(tmp_path / "branched.onnx")


def bench(graph: Graph, target: str) -> Bench:
    chip = hwsim.load_target(target)
    return Bench(graph, recipe_for(chip, None, "minmax"), chip, None, pictures())


@pytest.mark.parametrize("target", CHIPS)
def test_the_two_ends_are_the_float_network_and_the_emulator(graph: Graph, target: str) -> None:
    made, x = bench(graph, target), pictures()
    want = float_reference.run(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    np.testing.assert_allclose(made.ideal_run(x, (), ()), want, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(made.float_run(x), want)
    np.testing.assert_array_equal(made.chip_run(x), hwsim.emulate(made.stored, target, x).output)


@pytest.mark.parametrize("target", CHIPS)
def test_exact_arithmetic_in_the_emulator_is_the_simulated_graph(graph: Graph, target: str) -> None:
    made, x = bench(graph, target), pictures()
    want = simulate(made.stored, {graph.inputs[0]: x})[graph.outputs[0]]
    found = made.chip_run(x, sums=False, requantize=False, vector=False)
    # A sum on the boundary of two codes may fall either way in float32.
    assert np.mean(np.abs(found - want) < 1e-4 * np.abs(want).max()) > 0.98
    np.testing.assert_allclose(made.ideal_run(x, made.layers, made.layers), want, rtol=1e-5, atol=1e-5)


def test_an_equalized_network_is_told_from_its_equalized_float_twin(graph: Graph) -> None:
    """Channel scales that moved are no loss: with everything swapped to float, the outputs are the float network's."""
    from dataclasses import replace

    chip, x = hwsim.load_target("ascend-910b4"), pictures()
    recipe = replace(recipe_for(chip, None, "minmax"), equalize="cross_layer")
    made = Bench(graph, recipe, chip, None, x)
    np.testing.assert_allclose(made.ideal_run(x, (), ()), made.float_run(x), rtol=1e-4, atol=1e-4)
    stored = simulate(made.stored, {graph.inputs[0]: x})[graph.outputs[0]]
    np.testing.assert_allclose(made.ideal_run(x, made.layers, made.layers), stored, rtol=1e-5, atol=1e-5)


def test_one_layer_in_float_leaves_its_neighbours_as_they_are(graph: Graph) -> None:
    made = bench(graph, "hwsim-int4-ws16")
    assert made.layers == ("left", "right", "mid", "tail", "head")
    for one in made.layers:
        mixed = floated(made.stored, made.twin, (one,), (one,))
        for layer in made.layers:
            node, before = mixed.node(layer), made.stored.node(layer)
            stored = mixed.value(node.inputs[0]).quant is not None
            assert stored == (layer != one)
            if layer == one:
                np.testing.assert_array_equal(
                    mixed.float_constant(node.inputs[1]), graph.float_constant(graph.node(layer).inputs[1])
                )
            else:
                assert node == before


def test_without_a_layer_is_the_network_that_keeps_it_in_float(graph: Graph) -> None:
    """The recipe's own way to keep a layer in float stores nothing of it; the swap must come to the same."""
    from dataclasses import replace

    made, x = bench(graph, "hwsim-int4-ws16"), pictures()
    chip = hwsim.load_target("hwsim-int4-ws16")
    kept = hwsim.quantize(graph, replace(recipe_for(chip, None, "minmax"), keep=("tail",)), x)
    np.testing.assert_array_equal(made.without(x, "tail"), hwsim.emulate(kept, chip, x).output)


@pytest.mark.parametrize("unit", ["hwsim.rtl.int4", "nvidia.hopper.wgmma.e4m3", "nvidia.hopper.mma.f16"])
def test_exact_products_are_numpys(unit: str) -> None:
    held, rng = hwsim.units[unit], np.random.default_rng(1)
    a, b = (encode(rng.standard_normal((5, 70)).astype(np.float32) * 3, f) for f in (held.a_format, held.b_format))
    x, w = decode(a, held.a_format).astype(np.float64), decode(b, held.b_format).astype(np.float64)
    c = np.arange(25).reshape(5, 5).astype(np.int32 if held.accumulator == "int32" else np.float32)
    found = exact_product(a, b, c, unit)
    assert found.dtype == c.dtype
    np.testing.assert_array_equal(found, (x @ w.T + c).astype(c.dtype))
    chip = mma(a, b, c, unit)
    assert np.array_equal(found, chip) == (unit == "hwsim.rtl.int4")


def test_exact_products_take_block_scales() -> None:
    unit, rng = hwsim.units["hwsim.rtl.nvfp4"], np.random.default_rng(2)
    tensors = [hwsim.quantize_tensor(rng.standard_normal((4, 32)).astype(np.float32), "nvfp4") for _ in "ab"]
    a, b = (t.codes for t in tensors)
    scales = [encode(t.scale, unit.scale_format) for t in tensors]  # type: ignore[attr-defined]
    x, w = (t.dequantize().astype(np.float64) / np.float64(t.tensor_scale or 1) for t in tensors)
    found = exact_product(a, b, None, unit.name, a_scale=scales[0], b_scale=scales[1])
    np.testing.assert_allclose(found, x @ w.T, atol=1e-6 * np.abs(x @ w.T).max())


def test_a_planted_culprit_is_found(tmp_path: Path) -> None:
    """A glaring pixel that no weight reads leaves four bits nothing for the others: conv1 and activations stand out."""
    weight = np.random.default_rng(7).standard_normal((4, 1, 3, 3)).astype(np.float32)
    weight[:, :, 2, 2] = 0
    x = pictures()
    x[:, :, 5, 5] = 60
    model = small_model(tmp_path / "m.onnx", weight=weight)
    data = Dataset(x, None, "noise")
    why = attribute(model, "ascend-910b4", data, calibration=data, calibrator="minmax")
    layers = {swap.name: swap for swap in why.layers}
    assert layers["conv1"].alone.noise > 2 * layers["fc"].alone.noise
    assert layers["conv1"].without.noise < 0.5 * layers["fc"].without.noise
    assert sentences(why)[-1].startswith("conv1 is the layer to mend")
    assert sentences(why)[-2].startswith("Activations make the most")
    assert (why.metric, why.float32, why.chip.score) == ("", None, None)


def test_integer_sums_are_exact_and_short_ones_of_a_tensor_core_are_not() -> None:
    causes = {t: {c.name: c for c in attribute("mnist-cnn", t, limit=8).causes} for t in CHIPS[:3]}
    for target in ("ascend-910b4", "hwsim-int4-ws16"):
        assert causes[target]["accumulator"].alone.noise == 0
    assert 0 < causes["nvidia-h100"]["accumulator"].alone.noise < causes["nvidia-h100"]["weights"].alone.noise
    assert causes["hwsim-int4-ws16"]["vector operations"].alone.noise == 0
    assert (
        causes["nvidia-h100"]["vector operations"].alone.noise > causes["ascend-910b4"]["vector operations"].alone.noise
    )


def test_the_last_step_is_the_chip_and_two_runs_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1760000000")
    first, second = (attribute("mnist-cnn", "ascend-910b4", limit=6) for _ in "ab")
    assert first == second
    assert first.steps[-1] == ("vector operations", first.chip)
    assert first.n == 6


def test_a_quantized_network_has_no_float_to_tell_from() -> None:
    with pytest.raises(RecipeError, match="quantized already"):
        attribute(hwsim.quantize("mnist-cnn", "ascend-910b4"), "ascend-910b4")
