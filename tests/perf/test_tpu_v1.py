"""TPU v1 against its paper: the bench's table holds, and the machine does what the paper says of it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hwsim.ir.workload import gemm
from hwsim.perf import estimate, peak_macs_per_s
from hwsim.target import load_target

BENCH = Path(__file__).resolve().parents[2] / "bench" / "parity_tpu_v1.py"


@pytest.fixture(scope="module")
def parity() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity_tpu_v1", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_peak_is_92_tops() -> None:
    assert 2 * peak_macs_per_s(load_target("google-tpu-v1")) == pytest.approx(92e12, rel=0.01)


def test_a_tile_takes_two_microseconds() -> None:
    """Section 7 of the paper: a 600 x 600 matrix takes 9 steps and 18 us."""
    target = load_target("google-tpu-v1")
    found = estimate(gemm(96, 600, 600, weights="int8", activations="int8", output="int8"), target).rows[0]
    first = 65536 / target.machine.dram.bytes_per_s.value  # before the array starts
    host = 2 * 96 * 600 / target.machine.host.bytes_per_s.value  # type: ignore[union-attr]
    assert found.dram_bytes == 9 * 65536
    assert found.seconds - host - first == pytest.approx(18e-6, rel=0.05)


def test_six_applications(parity: ModuleType) -> None:
    """Bounds sit just above what the model reaches (the bar is 8% on average), with and without published fills."""
    target = load_target("google-tpu-v1")
    for filled, bound in ((False, 0.12), (True, 0.065)):
        errors = {}
        for app in parity.APPLICATIONS:
            found = estimate(parity.workload(app, filled=filled), target)
            assert found.macs == pytest.approx(app.macs * app.byte_passes, rel=0.03)
            errors[app.name] = abs(found.cycles / app.counter_cycles - 1)
        assert sum(errors.values()) / 6 < bound
        assert max(errors["MLP0"], errors["LSTM0"], errors["CNN0"]) < 0.08
