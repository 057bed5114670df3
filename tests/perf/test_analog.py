"""Analog machines: peak and power of the designs they are taken from, and what the mapping must hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.ir.workload import MatrixWork, Workload, gemm
from hwsim.perf import estimate, peak_macs_per_s
from hwsim.target import Target, load_target

CHIPS = ("cim-isaac", "cim-hermes", "photonic-tempo", "photonic-mars")


@pytest.mark.parametrize(
    ("chip", "tera"),
    [
        ("cim-isaac", 4 * 41.3),  # printed for 16 bits: half the cells and half the steps for 8
        ("cim-hermes", 63.1),
        ("photonic-tempo", 368.6),
        ("photonic-mars", 8.19),
    ],
)
def test_peak_is_the_designs(chip: str, tera: float) -> None:
    assert 2 * peak_macs_per_s(load_target(chip)) / 1e12 == pytest.approx(tera, rel=0.01)


@pytest.mark.parametrize(
    ("chip", "n", "k", "watts"),
    [
        ("cim-isaac", 126 * 32, 128 * 128, 65.8),
        ("cim-hermes", 2048, 2048, 63.1 / 9.76),
        ("photonic-tempo", 192, 192, 368.6 / 22.3),
        ("photonic-mars", 64, 64, 3),
    ],
)
def test_all_arrays_at_work_take_the_designs_power(chip: str, n: int, k: int, watts: float) -> None:
    """Converters, cells and standing power; traffic of buffers and the host link is the network's, and left out."""
    found = estimate(gemm(20000, n, k, output="int8"), load_target(chip)).rows[0]
    busy_s = found.compute_cycles / load_target(chip).machine.adc_hz.value  # type: ignore[union-attr]
    busy_s *= load_target(chip).machine.columns_per_adc.value  # type: ignore[union-attr]
    dynamic_pj = found.energy_pj["mac"] + found.energy_pj["accumulator"]
    assert dynamic_pj / 1e12 / busy_s + load_target(chip).energy.static_w.value == pytest.approx(watts, rel=0.1)


def test_a_step_waits_for_the_columns_of_a_converter() -> None:
    """ISAAC: 128 columns at 1.28 GS/s are 100 ns, and eight input bits are eight steps."""
    work = gemm(1, 32, 128, output="int8")
    found = estimate(work, load_target("cim-isaac")).rows[0]
    assert found.compute_cycles == 8
    assert found.actions["accumulate"] == 8 * 128
    assert found.actions["mac"] == 8 * 128 * 128


def test_spare_arrays_hold_copies_and_a_network_that_is_too_large_is_written() -> None:
    target = load_target("cim-hermes")
    small = estimate(gemm(64, 256, 256, output="int8"), target).rows[0]
    assert small.compute_cycles == 1
    half = estimate(gemm(64, 256 * 8, 256 * 4, output="int8"), target).rows[0]
    assert half.compute_cycles == 32
    large = estimate(gemm(64, 256 * 8, 256 * 9, output="int8"), target).rows[0]
    assert large.seconds > 2 * 256 * 1e-3
    assert large.dram_bytes >= 256 * 8 * 256 * 9


def larger(target: Target, key: str) -> Target:
    data = target.model_dump()
    data["machine"][key]["value"] *= 2
    return Target.model_validate(data)


sizes = st.tuples(st.integers(1, 500), st.integers(1, 300), st.integers(1, 900), st.integers(1, 20))


@given(st.sampled_from(CHIPS), st.lists(sizes, min_size=1, max_size=4), st.sampled_from(["arrays", "adc_hz"]))
@settings(max_examples=80, deadline=None)
def test_counts_add_up_and_more_or_faster_arrays_never_cost_time(
    chip: str, shapes: list[tuple[int, int, int, int]], key: str
) -> None:
    ops = tuple(
        MatrixWork(
            name=f"layer{index}",
            op="Conv",
            m=m,
            n=n,
            k=k,
            groups=groups,
            input_elements=m * k * groups,
            weight_elements=n * k * groups,
            output_elements=m * n * groups,
            input_format="int8",
            weight_format="int8",
            accumulator_format="int32",
            output_format="int8",
        )
        for index, (m, n, k, groups) in enumerate(shapes)
    )
    work, target = Workload("w", 1, ops), load_target(chip)
    found = estimate(work, target)
    for line in found.rows:
        assert line.cycles == line.compute_cycles + line.stall_cycles
        assert line.stall_cycles >= 0
        assert line.macs <= found.peak_macs_per_s * line.seconds * (1 + 1e-9)
    assert found.macs == work.macs
    slack = 3 * len(ops) / found.clock_hz
    assert estimate(work, larger(target, key)).seconds <= found.seconds + slack
