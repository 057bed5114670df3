"""Every shipped target: its published rates, and networks on it."""

from __future__ import annotations

import pytest

from hwsim.api import estimate
from hwsim.perf import peak_macs_per_s
from hwsim.perf.sizes import bits_per_element
from hwsim.target import load_target, names

TERA = {
    # dense operations a second, 1e12, as printed by the vendor or by those who quote it (each file says which)
    ("google-tpu-v1", "int8"): 92,
    ("google-tpu-v4i", "bf16"): 138,
    ("google-tpu-v5e", "bf16"): 197,
    ("google-tpu-v5e", "int8"): 393,
    ("google-tpu-v6e", "bf16"): 918,
    ("google-tpu-v6e", "int8"): 1836,
    ("ascend-310", "fp16"): 8,
    ("ascend-310", "int8"): 16,
    ("ascend-910b4", "int8"): 491.5,
    ("ascend-950", "fp8"): 1000,
    ("ascend-950", "mxfp4"): 2000,
    ("cambricon-mlu270", "int8"): 128,
    ("cambricon-mlu270", "int4"): 256,
    ("cambricon-mlu290", "int8"): 512,
    ("cambricon-mlu290", "int4"): 1024,
    ("cambricon-mlu370", "fp16"): 96,
    ("cambricon-mlu370", "int8"): 256,
    ("cambricon-mlu370", "int4"): 512,
    ("hailo-8", "int8"): 26,
    ("eyeriss", "int8"): 0.0672,
    ("intel-gaudi-2", "bf16"): 432,
    ("intel-gaudi-3", "bf16"): 1835,
    ("intel-gaudi-3", "fp8"): 1835,
    ("nvidia-t4", "fp16"): 65,
    ("nvidia-t4", "int8"): 130,
    ("nvidia-t4", "int4"): 260,
    ("nvidia-a100", "fp16"): 312,
    ("nvidia-a100", "tf32"): 156,
    ("nvidia-a100", "int8"): 624,
    ("nvidia-a100", "int4"): 1248,
    ("nvidia-b200", "fp16"): 2250,
    ("nvidia-b200", "fp8"): 4500,
    ("nvidia-b200", "nvfp4"): 9000,
    ("amd-mi300x", "fp16"): 1307,
    ("amd-mi300x", "fp8"): 2615,
    ("amd-mi355x", "fp8"): 5000,
    ("amd-mi355x", "mxfp4"): 10000,
}


@pytest.mark.parametrize(("chip", "precision"), TERA)
def test_peak_is_the_published_one(chip: str, precision: str) -> None:
    assert 2 * peak_macs_per_s(load_target(chip), precision) / 1e12 == pytest.approx(TERA[chip, precision], rel=0.02)


@pytest.mark.parametrize("chip", names())
def test_networks_run_and_memory_is_checked(chip: str) -> None:
    """A convolutional network runs at no more than the peak; a language model in under a second of the estimator's
    time, with a verdict on its memory."""
    target = load_target(chip)
    image = estimate("resnet50", target)
    assert image.macs == pytest.approx(4.09e9, rel=0.01)
    assert image.macs <= image.peak_macs_per_s * image.seconds
    assert image.watts > target.energy.static_w.value
    for found in (image, estimate("mobilenet_v2", target, batch=3)):
        assert found.cycles == sum(row.cycles for row in found.rows)
        assert found.joules == pytest.approx(sum(row.total_pj for row in found.rows) / 1e12)
        for row in found.rows:
            assert row.cycles == row.compute_cycles + row.stall_cycles
            assert min(row.compute_cycles, row.stall_cycles, row.dram_bytes, row.sram_bytes) >= 0
            assert min(*row.actions.values(), *row.energy_pj.values()) >= 0
    token = estimate("llama2-7b", target)
    (memory,) = (limit for limit in token.constraints if limit.name == "memory")
    weights = 6.607e9 * bits_per_element(target.precision(token.precision).weights.format) / 8
    assert weights < memory.found < 1.3 * weights + 1.2e9
    assert memory.meets == (memory.found <= memory.limit)
    assert memory.limit == target.machine.dram.capacity_bytes.value


def test_small_chips_say_that_a_language_model_does_not_fit() -> None:
    for chip in ("ethos-u55", "northpole", "hwsim-int4-ws16", "gemmini"):
        assert [limit.name for limit in estimate("llama2-7b", chip).constraints if not limit.meets][-1:] == ["memory"]


def test_a_missed_limit_says_by_how_much() -> None:
    found = {limit.name: limit for limit in estimate("resnet50", "ascend-310").constraints}
    assert set(found) == {"power", "memory"}
    power = found["power"]
    assert power.unit == "W"
    assert power.ratio == pytest.approx(power.found / 8)
    assert power.meets == (power.ratio <= 1)
    written = estimate("resnet50", "ascend-310").to_dict()["constraints"]
    assert [limit["meets"] for limit in written] == [limit.meets for limit in found.values()]


def test_lower_power_modes_are_slower_and_meet_their_limit() -> None:
    modes = [estimate("resnet50", f"nvidia-jetson-orin{mode}", batch=8) for mode in ("", "-30w", "-15w")]
    assert modes[0].seconds < modes[1].seconds < modes[2].seconds
    for found in modes:
        power = next(limit for limit in found.constraints if limit.name == "power")
        assert power.meets
