"""What must hold on every shipped chip, for any products: better parts and fewer bits never slow a layer down or cost
more energy, nothing is negative, parts add up, and no multiply-accumulate is lost.

Documented exceptions (docs/gpu-model.md, docs/systolic-model.md): a larger array fills and drains longer, more cores
fetch shared operands more often, the fastest tile or cut is taken even where a slower one costs less, a chip at its
power limit spends more at a higher clock, rows that do not start at 16
bytes run in older kernels, and so do Hopper's INT8 and 4-bit weights beside its wider formats.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.ir.workload import MatrixWork, VectorWork, Workload
from hwsim.perf import COMPONENTS, Estimate, estimate
from hwsim.perf.sizes import bits_per_element
from hwsim.target import Target, load_target, names
from tests.perf.parts import faster

CHIPS = {name: load_target(name) for name in names()}
PARTS = (
    *("machine.dram.bytes_per_s", "machine.dram.capacity_bytes", "machine.shared.bytes_per_s"),
    *("machine.shared.capacity_bytes", "machine.memory.activations_bytes", "machine.memory.weights_bytes"),
    *("machine.memory.accumulators_bytes", "machine.memory.staging_bytes", "machine.host.bytes_per_s"),
    *("vector.operations_per_cycle", "machine.buffer_bytes"),
)
"""Where more is better."""

ROUNDING = 2e-3
"""Of tiles that take the same time the largest is taken, and blocks of fewer bits are longer along k: relative."""


BETTER = [(name, path) for name, chip in CHIPS.items() for path, _ in chip.quantities() if path in PARTS]
OLDER_KERNELS = {(chip, mode) for chip in ("nvidia-h100", "nvidia-h200") for mode in ("int8", "w4a16", "w4a16_g32")}
"""Modes whose library kernels reach a smaller share of the tensor rate than those of wider formats."""


def bits(form: Any) -> float:
    return bits_per_element(form.format)


FEWER = [
    (name, narrow, wide)
    for name, chip in CHIPS.items()
    for narrow, few in chip.precisions.items()
    for wide, many in chip.precisions.items()
    if bits(few.weights) < bits(many.weights) and bits(few.activations) < bits(many.activations)
    if (name, narrow) not in OLDER_KERNELS
]
SIZES = st.lists(
    st.tuples(st.integers(1, 700), st.integers(1, 300), st.integers(1, 900), st.sampled_from([1, 1, 2, 24])),
    min_size=1,
    max_size=3,
)


def network(sizes: list[tuple[int, int, int, int]], chip: Target, mode: str) -> Workload:
    """Products in a row, each with its fused epilogue and a pooling."""
    weights, inputs = chip.precision(mode).weights.format, chip.precision(mode).activations.format
    ops: list[MatrixWork | VectorWork] = []
    for index, (m, n, k, groups) in enumerate(sizes):
        counts = (m * k * groups, n * k * groups, m * n * groups)
        ops.append(MatrixWork(f"p{index}", "Conv", m, n, k, groups, *counts, inputs, weights, "int32", inputs))
        out = m * n * groups
        ops.append(VectorWork(f"p{index}.requantize", "Requantize", out, out, 2 * out, "int32", inputs, fused=True))
        ops.append(VectorWork(f"pool{index}", "MaxPool", out, out, out, inputs, inputs))
    return Workload("network", 1, tuple(ops), precision=mode)


def layers(found: Estimate) -> list[tuple[float, float]]:
    """Seconds and picojoules of each layer, with the fused operations that hide in it."""
    out: list[list[float]] = []
    for row in found.rows:
        if row.op == "Requantize":
            out[-1][0] += row.seconds
            out[-1][1] += row.total_pj
        else:
            out.append([row.seconds, row.total_pj])
    return [(seconds, pj) for seconds, pj in out]


def limited(found: Estimate) -> bool:
    """Whether power holds the clock down."""
    return found.held_clock_hz < found.clock_hz * (1 - 1e-9)


@pytest.mark.parametrize("name", CHIPS)
@given(sizes=SIZES)
@settings(max_examples=4, deadline=None)
def test_everything_adds_up_on_every_chip(name: str, sizes: list[tuple[int, int, int, int]]) -> None:
    chip = CHIPS[name]
    for mode in chip.precisions:
        work = network(sizes, chip, mode)
        found = estimate(work, chip)
        assert found.macs == sum(m * n * k * groups for m, n, k, groups in sizes)
        assert [row.macs for row in found.rows if row.engine == "matrix"] == [m * n * k * g for m, n, k, g in sizes]
        assert found.joules == pytest.approx(sum(found.energy_pj.values()) / 1e12)
        assert 0 < found.joules_low <= found.joules * (1 + 1e-9)
        assert found.joules <= found.joules_high * (1 + 1e-9)
        assert found.seconds == pytest.approx(sum(row.seconds for row in found.rows))
        for part in COMPONENTS:
            assert found.energy_pj[part] == pytest.approx(sum(row.energy_pj[part] for row in found.rows))
        for row in found.rows:
            assert min(row.cycles, row.compute_cycles, row.stall_cycles, row.dram_bytes, row.sram_bytes) >= 0
            assert min(*row.actions.values(), *row.energy_pj.values(), row.seconds) >= 0
            assert row.cycles == row.compute_cycles + row.stall_cycles
            assert row.macs <= found.peak_macs_per_s * row.seconds * (1 + 1e-9)


@given(st.sampled_from(BETTER), st.sampled_from([1.5, 4]), SIZES)
@settings(max_examples=250, deadline=None)
def test_a_better_part_never_slows_a_layer_or_costs_energy(
    which: tuple[str, str], factor: float, sizes: list[tuple[int, int, int, int]]
) -> None:
    name, path = which
    chip = CHIPS[name]
    better = faster(chip, path, factor)
    for mode in chip.precisions:
        work = network(sizes, chip, mode)
        before, after = estimate(work, chip), estimate(work, better)
        for (old_s, old_pj), (new_s, new_pj) in zip(layers(before), layers(after), strict=True):
            assert limited(after) or new_s <= old_s * (1 + 1e-9) + 2.01 / before.clock_hz, mode
            if not limited(before) and not limited(after) and new_s >= old_s * (1 - 1e-9):
                assert new_pj <= old_pj * (1 + ROUNDING) + 2.01 / before.clock_hz * chip.energy.static_w.value * 1e12, (
                    mode
                )


@given(st.sampled_from(FEWER), SIZES)
@settings(max_examples=150, deadline=None)
def test_fewer_bits_never_slow_a_layer_or_cost_energy(
    which: tuple[str, str, str], sizes: list[tuple[int, int, int, int]]
) -> None:
    """On GPUs rows start at 16 bytes in both formats: older kernels run where they do not."""
    name, narrow, wide = which
    chip = CHIPS[name]
    if chip.machine.kind == "gpu":
        sizes = [(m, 32 * -(-n // 32), 32 * -(-k // 32), groups) for m, n, k, groups in sizes]
    many, few = estimate(network(sizes, chip, wide), chip), estimate(network(sizes, chip, narrow), chip)
    for (old_s, old_pj), (new_s, new_pj) in zip(layers(many), layers(few), strict=True):
        assert new_s <= old_s * (1 + ROUNDING) + 2.01 / many.clock_hz
        if not limited(many) and not limited(few) and new_s >= old_s * (1 - 1e-9):
            assert new_pj <= old_pj * (1 + ROUNDING) + 2.01 / many.clock_hz * chip.energy.static_w.value * 1e12
