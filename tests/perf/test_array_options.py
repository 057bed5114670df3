"""What a systolic target may declare around its array, each held to its definition."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwsim.errors import TargetError
from hwsim.ir.workload import Workload, gemm
from hwsim.perf import estimate
from hwsim.perf.systolic import Packed, WeightStationary
from hwsim.target import Target, load_target, loads_target, path_of


def changed(target: Target, **machine: Any) -> Target:
    data = target.model_dump()
    for key, value in machine.items():
        data["machine"][key] = value
    return Target.model_validate(data)


def product(m: int, n: int, k: int) -> Workload:
    return gemm(m, n, k, weights="int8", activations="int8", output="int8")


def test_a_host_link_takes_inputs_and_outputs_off_the_memory() -> None:
    target = load_target("google-tpu-v1")
    with_link = estimate(product(200, 2048, 2048), target).rows[0]
    without = estimate(product(200, 2048, 2048), changed(target, host=None)).rows[0]
    both = 2 * 200 * 2048
    assert without.dram_bytes - with_link.dram_bytes == both
    # The link is not hidden; behind the memory the same bytes overlap with nothing else here.
    assert with_link.cycles - without.cycles == pytest.approx(both * 7e8 * (1 / 1.4e10 - 1 / 3.221e10), abs=3)


def test_whole_tiles_move_their_zeros() -> None:
    target = load_target("google-tpu-v1")
    assert estimate(product(8, 300, 300), target).rows[0].dram_bytes == 4 * 65536
    assert estimate(product(8, 300, 300), changed(target, whole_tiles=False)).rows[0].dram_bytes == 300 * 300


def test_a_barrier_costs_the_last_tile() -> None:
    target = load_target("google-tpu-v1")
    with_barrier = estimate(product(2888, 256, 2304), target).rows[0]
    without = estimate(product(2888, 256, 2304), changed(target, barrier=False)).rows[0]
    assert with_barrier.cycles - without.cycles == 2888 - 2048  # a row of 256 results a cycle


def test_weights_that_fit_stay() -> None:
    target = load_target("hailo-8")
    room = target.machine.resident_weights_bytes.value  # type: ignore[union-attr]
    small = estimate(product(16, 1024, 1024), target).rows[0]
    assert small.dram_bytes == 2 * 16 * 1024
    large = estimate(product(16, 8192, room // 8192 + 1), target).rows[0]
    assert large.dram_bytes >= room


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 300), st.integers(1, 4))
def test_elements_that_multiply_several_pairs_shorten_k(m: int, n: int, k: int, depth: int) -> None:
    array = WeightStationary(8, 8, True)
    packed = Packed(array, depth)
    assert packed.cycles(m, n, k, 10**6) == array.cycles(m, n, ceil(k / depth), 10**6)
    assert packed.cycles(m, n, k, 10**6) * packed.macs_per_cycle >= m * n * k
    assert packed.words(m, n, k).weights >= k * n


def test_int8_takes_half_the_folds_of_bf16_on_one_array() -> None:
    target = load_target("google-tpu-v5e")
    bf16 = estimate(gemm(8192, 512, 2048, weights="bf16", activations="bf16"), target).rows[0]
    int8 = estimate(gemm(8192, 512, 2048, weights="int8", activations="int8", output="int8"), target).rows[0]
    assert int8.compute_cycles == pytest.approx(bf16.compute_cycles / 2, rel=0.02)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "intel-gaudi-2",
            "  fold_overlap: full\n",
            "  fold_overlap: full\n  whole_tiles: true\n",
            "only with dataflow ws",
        ),
        (
            "ascend-310",
            "    block:\n",
            "    macs_per_element: {value: 2, kind: assumed, source: model}\n    block:\n",
            "'macs_per_element' only on an array",
        ),
        ("cim-isaac", "  medium: resistive", "  medium: resistiv", "did you mean 'resistive'?"),
        ("cim-isaac", "  arrays:", "  arays:", "did you mean 'arrays'?"),
        ("ascend-310", "  power_w:", "  power_watts:", "unknown key 'power_watts' in constraints"),
    ],
)
def test_faults_are_told(name: str, old: str, new: str, message: str) -> None:
    text = path_of(name).read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(TargetError) as caught:
        loads_target(text.replace(old, new, 1))
    assert message in str(caught.value)
