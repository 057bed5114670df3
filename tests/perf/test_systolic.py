"""Array cycles against an array that is stepped cycle by cycle, and the tiling's promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hwsim.perf.scalesim import scalesim
from hwsim.perf.systolic import DATAFLOWS, Cube, Dataflow, InputStationary, OutputStationary, WeightStationary, ceil_div
from hwsim.perf.tiling import Traffic, operand_traffic

PLENTY = 1 << 40
size = st.integers(1, 300)
side = st.integers(1, 33)
some = st.integers(1, 10**6)


def step_weight_stationary(rows: int, cols: int, m: int) -> int:
    """Cycles that one fold takes when elements are clocked: weights shift down ``rows`` times, then skewed activations
    move right and sums move down until the last sum has left the bottom row of the last column."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-8, 8, (rows, cols))
    inputs = rng.integers(-8, 8, (m, rows))
    cycles = rows
    acts = np.zeros((rows, cols), dtype=np.int64)
    sums = np.zeros((rows, cols), dtype=np.int64)
    out = np.full((m, cols), np.iinfo(np.int64).min)
    step = 0
    while (out == np.iinfo(np.int64).min).any():
        left = np.array([inputs[step - r, r] if 0 <= step - r < m else 0 for r in range(rows)])
        acts = np.column_stack([left, acts[:, :-1]])
        sums = np.vstack([np.zeros(cols, dtype=np.int64), sums[:-1]]) + acts * weights
        for col in range(cols):
            row = step - (rows - 1) - col
            if 0 <= row < m:
                out[row, col] = sums[-1, col]
        step += 1
    np.testing.assert_array_equal(out, inputs @ weights)
    return cycles + step


@pytest.mark.parametrize(("rows", "cols", "m"), [(1, 1, 1), (4, 4, 1), (4, 4, 9), (3, 7, 5), (16, 16, 16), (8, 2, 30)])
def test_one_fold_takes_what_a_clocked_array_takes(rows: int, cols: int, m: int) -> None:
    assert WeightStationary(rows, cols).cycles(m, cols, rows, PLENTY) == step_weight_stationary(rows, cols, m)


@given(size, size, size, side, side)
def test_without_overlap_folds_add_up(m: int, n: int, k: int, rows: int, cols: int) -> None:
    folds = -(-k // rows) * -(-n // cols)
    assert WeightStationary(rows, cols).cycles(m, n, k, PLENTY) == folds * (2 * rows + cols + m - 2)


@given(size, size, size, side, side)
def test_differences_from_scalesim_are_the_documented_ones(m: int, n: int, k: int, rows: int, cols: int) -> None:
    for name, flow in (("ws", WeightStationary), ("is", InputStationary), ("os", OutputStationary)):
        theirs = scalesim(m, n, k, rows=rows, cols=cols, dataflow=name)
        drain = rows * -(-m // rows) * -(-n // cols) if name == "os" else 0
        assert flow(rows, cols).cycles(m, n, k, PLENTY) == theirs.cycles + 1 + drain
        words = flow(rows, cols).words(m, n, k)
        assert (words.activations, words.weights) == (theirs.sram_ifmap_reads, theirs.sram_filter_reads)


@given(st.sampled_from(sorted(DATAFLOWS)), size, size, size, side, side, st.booleans())
def test_no_array_beats_its_peak(name: str, m: int, n: int, k: int, rows: int, cols: int, overlap: bool) -> None:
    flow = DATAFLOWS[name](rows, cols, overlap)
    assert flow.cycles(m, n, k, PLENTY) * flow.macs_per_cycle >= m * n * k
    assert flow.cycles(m, n, k, PLENTY) <= DATAFLOWS[name](rows, cols, False).cycles(m, n, k, PLENTY)


@given(size, size, size)
def test_no_cube_beats_its_peak(m: int, n: int, k: int) -> None:
    cube = Cube(16, 64, 16, 16)
    assert cube.cycles(m, n, k, 16384) * cube.macs_per_cycle >= m * n * k


FLOWS: list[Dataflow] = [WeightStationary(8, 8), InputStationary(8, 8), OutputStationary(8, 8), Cube(8, 8, 8, 4)]


@given(st.sampled_from(FLOWS), size, size, size, st.integers(1, 5000), st.integers(1, 5000))
def test_more_accumulators_never_cost_cycles_or_hold_more_than_there_are(
    flow: Dataflow, m: int, n: int, k: int, few: int, more: int
) -> None:
    for accumulators in (few, few + more):
        height, width = flow.result_tile(m, n, k, accumulators)
        assert 1 <= height <= m
        assert 1 <= width <= n
    assert flow.cycles(m, n, k, few + more) <= flow.cycles(m, n, k, few)


@given(size, size, size, st.integers(1, 1000), st.integers(1, 40), st.integers(1, 40))
def test_every_tile_that_a_cube_can_hold_is_offered_or_beaten(
    m: int, n: int, k: int, accumulators: int, down: int, across: int
) -> None:
    cube = Cube(8, 8, 8, 4)
    assume(down * across <= max(1, accumulators // 64))
    height, width = min(m, 8 * down), min(n, 8 * across)
    tiles = (ceil_div(m, height), ceil_div(n, width))
    cycles = ceil_div(m, 8) * ceil_div(n, 8) * ceil_div(k, 8) + 4 * tiles[0] * tiles[1]
    assert any(
        found.cycles <= cycles and ceil_div(m, found.tile[0]) <= tiles[0] and ceil_div(n, found.tile[1]) <= tiles[1]
        for found in cube.tilings(m, n, k, accumulators)
    )


@given(size, size, some, some, st.integers(0, 10**6), st.integers(0, 10**6), size, size)
def test_traffic_is_at_least_once_and_falls_with_capacity(
    m: int, n: int, inputs: int, weights: int, small: int, extra: int, tile_m: int, tile_n: int
) -> None:
    tile = (min(m, tile_m), min(n, tile_n))

    def choices(a: int, w: int) -> tuple[Traffic, ...]:
        found = operand_traffic(m, n, inputs, weights, activation_capacity=a, weight_capacity=w, tile=tile)
        for choice in found:
            assert choice.activations >= inputs
            assert choice.weights >= weights
        return found

    for better in (choices(small + extra, small), choices(small, small + extra)):
        for old in choices(small, small):
            assert any(new.activations <= old.activations and new.weights <= old.weights for new in better)
