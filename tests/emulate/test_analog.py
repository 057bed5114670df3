"""Analog products against their definition in float64, and what errors must do to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hwsim
from hwsim.emulate.analog import AnalogProduct
from hwsim.errors import TargetError
from hwsim.numerics import encode
from hwsim.target import AnalogMachine, Target, load_target
from tests.oracles import need_heavy_module

UNIT = "hwsim.rtl.int8"
CHIPS = ("cim-hermes", "cim-isaac", "photonic-mars", "photonic-tempo")


def machine(name: str, **errors: Any) -> AnalogMachine:
    """A target's machine with some of its errors changed; None takes one away."""
    data = load_target(name).model_dump()
    data["machine"]["errors"].update(errors)
    found = Target.model_validate(data).machine
    assert found.kind == "analog"
    return found


def quantity(value: float) -> dict[str, Any]:
    return {"value": value, "kind": "assumed", "source": "model"}


def operands(m: int, n: int, k: int, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    return random.integers(-100, 101, (m, k)), random.integers(-127, 128, (n, k))


def codes(values: Any) -> Any:
    return encode(values.astype(np.float32), "int8")


@pytest.mark.parametrize("name", CHIPS)
def test_a_fine_converter_without_noise_is_exact(name: str) -> None:
    quiet = {"programming_noise": None, "drift": None, "read_noise": None, "loss_db": None}
    spec = machine(name, adc_range=quantity(1000.0), **quiet)
    spec = spec.model_copy(update={"adc_bits": spec.adc_bits.model_copy(update={"value": 30})})
    a, b = operands(9, 5, 300)
    found = AnalogProduct(spec, "layer")(codes(a), codes(b), None, UNIT)
    assert found.dtype == np.int32
    np.testing.assert_allclose(found, a @ b.T, rtol=0, atol=2)


def test_conversion_is_the_float64_definition() -> None:
    """Differential cells, inputs in one step: every tile of rows is clipped and rounded on its own."""
    quiet = {"programming_noise": None, "drift": None, "read_noise": None}
    spec = machine("cim-hermes", adc_range=quantity(4.0), **quiet)
    a, b = operands(20, 7, 600)
    unit = 128 * 128
    step = 2 * 4.0 * unit / 255
    expected = np.zeros((20, 7))
    for row in range(0, 600, 256):
        part = a[:, row : row + 256].astype(np.float64) @ b[:, row : row + 256].T
        expected += np.clip(np.rint(part / step), np.ceil(-4.0 * unit / step), np.floor(4.0 * unit / step)) * step
    found = AnalogProduct(spec, "layer")(codes(a), codes(b), np.full((1, 7), 5, np.int32), UNIT)
    np.testing.assert_allclose(found, expected + 5, rtol=0, atol=2)


def test_isaacs_eight_bits_lose_nothing_while_columns_hold_255() -> None:
    """A column of 128 two-bit cells sums to at most 384; its converter tells sums up to 255 (ISAAC, section 5)."""
    spec = machine("cim-isaac", programming_noise=None)
    a, b = operands(8, 6, 250)
    np.testing.assert_array_equal(
        AnalogProduct(spec, "layer")(codes(a // 2), codes(b // 2), None, UNIT), (a // 2) @ (b // 2).T
    )
    most = AnalogProduct(spec, "layer")(codes(np.full((1, 128), -1)), codes(np.full((1, 128), 127)), None, UNIT)
    assert most[0, 0] != -127 * 128


def test_errors_have_the_declared_size() -> None:
    spec = machine("cim-hermes", drift=None, programming_noise=None, adc_range=quantity(64.0), read_noise=quantity(0.5))
    fine = spec.model_copy(update={"adc_bits": spec.adc_bits.model_copy(update={"value": 24})})
    a, b = operands(400, 16, 100)
    off = AnalogProduct(fine, "layer")(codes(a), codes(b), None, UNIT) - a @ b.T
    assert off.std() == pytest.approx(0.5 * 128 * 128, rel=0.05)
    written = machine(
        "cim-hermes", drift=None, read_noise=None, adc_range=quantity(64.0), programming_noise=quantity(0.04)
    )
    written = written.model_copy(update={"adc_bits": fine.adc_bits})
    off = AnalogProduct(written, "layer")(codes(a), codes(b), None, UNIT) - a @ b.T
    expected = 0.04 * 127 * np.sqrt((a.astype(float) ** 2).sum(axis=1).mean())
    assert np.sqrt((off.astype(float) ** 2).mean()) == pytest.approx(expected, rel=0.3)


def test_drift_shrinks_sums_and_a_gain_makes_up_for_it() -> None:
    quiet = {"programming_noise": None, "read_noise": None, "adc_range": quantity(256.0)}
    drift = load_target("cim-hermes").model_dump()["machine"]["errors"]["drift"]
    a, b = np.full((1, 256), 100), np.full((1, 256), 100)
    exact = int((a @ b.T)[0, 0])

    def run(compensated: bool) -> float:
        spec = machine("cim-hermes", drift={**drift, "compensated": compensated}, **quiet)
        spec = spec.model_copy(update={"adc_bits": spec.adc_bits.model_copy(update={"value": 24})})
        return float(AnalogProduct(spec, "layer")(codes(a), codes(b), None, UNIT)[0, 0]) / exact

    assert run(False) == pytest.approx((3600 / 20) ** -0.05, rel=0.02)
    assert run(True) == pytest.approx(1.0, rel=0.01)


def test_a_run_repeats_and_layers_differ() -> None:
    spec = machine("photonic-tempo")
    a, b = operands(6, 4, 64)
    first, again, other = (AnalogProduct(spec, name)(codes(a), codes(b), None, UNIT) for name in ("x", "x", "y"))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_refusals() -> None:
    with pytest.raises(TargetError, match=r"expected machine\.errors"):
        AnalogProduct(machine("cim-hermes").model_copy(update={"errors": None}), "layer")
    with pytest.raises(TargetError, match="integer codes"):
        AnalogProduct(machine("cim-hermes"), "l")(
            np.zeros((1, 8), np.uint8), np.zeros((1, 8), np.uint8), None, "nvidia.hopper.wgmma.e4m3"
        )


def test_noise_reaches_the_networks_answers() -> None:
    """More read noise, fewer right answers; the network runs through the emulator like on any other chip."""
    from hwsim import zoo

    graph, test, calib = hwsim.load_model("mnist-cnn"), zoo.data("mnist-cnn", "test"), zoo.data("mnist-cnn", "calib")
    x, y = test.inputs[:100], test.labels[:100]
    target = load_target("photonic-tempo")
    quantized = hwsim.quantize(graph, target, calib.inputs[:64])

    def right(chip: Target) -> float:
        run = hwsim.emulate(quantized, chip, x)
        return float((next(iter(run.outputs.values())).reshape(100, -1).argmax(axis=1) == y).mean())

    data = target.model_dump()
    data["machine"]["errors"]["read_noise"]["value"] = 2.0
    data["machine"]["errors"]["read_noise"]["high"] = None
    noisy = Target.model_validate(data)
    assert right(target) > 0.95
    assert right(noisy) < 0.9


def test_aihwkit_converts_alike() -> None:
    """IBM's kit, its PyTorch tile of 256 inputs with the same range, resolution and noise. Only sums beyond the range
    differ, by half a step: the kit clips at the range, a converter at its last code."""
    need_heavy_module("aihwkit")
    import torch
    from aihwkit.nn import AnalogLinear
    from aihwkit.simulator.configs import BoundManagementType, NoiseManagementType, TorchInferenceRPUConfig

    a, b = operands(200, 32, 256)

    def kit(noise: float) -> Any:
        config = TorchInferenceRPUConfig()
        forward = config.forward
        forward.inp_res, forward.inp_noise, forward.w_noise = -1, 0.0, 0.0
        forward.out_bound, forward.out_noise, forward.out_res = 12.0, noise, 1 / 255
        forward.noise_management, forward.bound_management = NoiseManagementType.NONE, BoundManagementType.NONE
        config.mapping.max_input_size, config.mapping.weight_scaling_omega = 256, 0.0
        layer = AnalogLinear(256, 32, bias=False, rpu_config=config)
        layer.set_weights(torch.tensor(b / 128, dtype=torch.float32))
        layer.eval()
        with torch.no_grad():
            return layer(torch.tensor(a / 128, dtype=torch.float32)).numpy() * 128 * 128

    def ours(noise: float) -> Any:
        read = quantity(noise) if noise else None
        spec = machine("cim-hermes", programming_noise=None, drift=None, read_noise=read)
        return AnalogProduct(spec, "layer")(codes(a), codes(b), None, UNIT)

    exact, step = a @ b.T, 24 / 255 * 128 * 128
    inside = np.abs(exact) < 12 * 128 * 128 - step
    assert np.abs(kit(0.0) - ours(0.0))[inside].max() < 2
    assert np.abs(kit(0.0) - ours(0.0)).max() <= step / 2 + 2
    assert (ours(0.06) - exact).std() == pytest.approx((kit(0.06) - exact).std(), rel=0.03)
