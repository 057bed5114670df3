"""Bit flips: as many as asked, where asked, and through the chip's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

import hwsim
from hwsim.errors import DataError, HwsimError
from hwsim.io.metric import classes_of
from hwsim.numerics import QTensor
from hwsim.robust import Faults, emulate_with_faults, fault_study
from hwsim.robust.faults import flip
from hwsim.robust.study import interval

CHIP = "hwsim-int4-ws16"


@pytest.fixture(scope="module")
def graph() -> hwsim.api.Graph:  # type: ignore[name-defined]
    return hwsim.quantize("mnist-cnn", CHIP)


def test_flips_are_independent_and_as_many_as_asked() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 16, (400, 500), dtype=np.uint8)
    for rate in (1e-4, 0.01, 0.5):
        out, count = flip(codes, 4, rate, rng)
        changed = out ^ codes
        assert int(np.bitwise_count(changed).sum()) == count
        assert int(out.max()) < 16
        bits = 4 * codes.size
        assert abs(count - bits * rate) < 5 * np.sqrt(bits * rate * (1 - rate))
        each = [int((changed >> bit & 1).sum()) for bit in range(4)]
        assert max(each) - min(each) < 10 * np.sqrt(bits * rate / 4)


def test_flip_ends() -> None:
    rng = np.random.default_rng(2)
    codes = np.arange(256, dtype=np.uint8).reshape(16, 16).T
    same, none = flip(codes, 8, 0.0, rng)
    assert none == 0
    assert np.array_equal(same, codes)
    turned, every = flip(codes, 8, 1.0, rng)
    assert every == 8 * 256
    assert np.array_equal(turned, 255 - codes)
    low, count = flip(codes, 8, 1.0, rng, (0,))
    assert count == 256
    assert np.array_equal(low, codes ^ 1)
    assert low.strides == codes.strides
    strided, count = flip(codes[::2, ::3], 8, 1.0, rng)
    assert np.array_equal(strided, 255 - codes[::2, ::3])
    assert flip(np.empty((0, 3), np.uint8), 8, 0.5, rng)[1] == 0
    with pytest.raises(DataError, match="below 4"):
        flip(codes, 4, 0.5, rng, (4,))


def test_the_sign_of_every_weight(graph: object) -> None:
    """Flipping the top bit of every two's-complement weight subtracts or adds 8: the sums say so exactly."""
    x = hwsim.load_data("mnist-cnn").inputs[:4]
    run, flips = emulate_with_faults(
        graph, hwsim.load_target(CHIP), x, Faults("weights", 1.0, bits=(3,), layers=("fc2",))
    )  # type: ignore[arg-type]
    held = graph.constants["fc2.weight"]  # type: ignore[attr-defined]
    assert isinstance(held, QTensor)
    assert flips == held.codes.size
    from dataclasses import replace

    by_hand = graph.rebuilt(constants={**graph.constants, "fc2.weight": replace(held, codes=held.codes ^ 8)})  # type: ignore[attr-defined]
    assert np.array_equal(run.output, hwsim.emulate(by_hand, CHIP, x).output)
    assert not np.array_equal(run.output, hwsim.emulate(graph, CHIP, x).output)


@pytest.mark.parametrize("place", ["weights", "activations", "accumulators"])
def test_no_faults_change_nothing_and_some_repeat(graph: object, place: str) -> None:
    x = hwsim.load_data("mnist-cnn").inputs[:8]
    target = hwsim.load_target(CHIP)
    clean = hwsim.emulate(graph, CHIP, x).output
    none, count = emulate_with_faults(graph, target, x, Faults(place, 0.0))  # type: ignore[arg-type]
    assert count == 0
    assert np.array_equal(none.output, clean)
    first, flips = emulate_with_faults(graph, target, x, Faults(place, 0.01, seed=3))  # type: ignore[arg-type]
    again, same = emulate_with_faults(graph, target, x, Faults(place, 0.01, seed=3))  # type: ignore[arg-type]
    assert flips == same > 100
    assert np.array_equal(first.output, again.output)
    assert not np.array_equal(first.output, clean)


def test_block_scaled_activations() -> None:
    graph = hwsim.quantize("mnist-cnn", "nvidia-b200")
    x = hwsim.load_data("mnist-cnn").inputs[:4]
    target = hwsim.load_target("nvidia-b200")
    run, flips = emulate_with_faults(graph, target, x, Faults("activations", 0.05))
    assert flips > 100
    assert not np.array_equal(run.output, hwsim.emulate(graph, target, x).output)


def test_sums_of_block_scaled_values_do_not_flip() -> None:
    """What scale follows from a sum that flipped to NaN is not defined; a study has no row there, and says so."""
    graph, target = hwsim.quantize("mnist-cnn", "hwsim-nvfp4-ws16"), hwsim.load_target("hwsim-nvfp4-ws16")
    data = hwsim.load_data("mnist-cnn").head(4)
    with pytest.raises(DataError, match="block scales"):
        emulate_with_faults(graph, target, data.inputs, Faults("accumulators", 0.01))
    rows = fault_study([(graph, target)], data, rates=(0.01,), repeats=2)
    assert [row.place for row in rows] == ["weights", "activations"]


def test_study() -> None:
    data = hwsim.load_data("mnist-cnn").head(200)
    chips = [(hwsim.quantize("mnist-cnn", CHIP), hwsim.load_target(CHIP))]
    rows = fault_study(chips, data, rates=(1e-3, 0.2), places=("weights",), bits=((), (3,)), repeats=2)
    assert [(row.rate, row.bits) for row in rows] == [(1e-3, ()), (0.2, ()), (1e-3, (3,)), (0.2, (3,))]
    assert all(row.low <= row.accuracy <= row.high for row in rows)
    assert rows[1].accuracy < 0.5 < rows[0].clean
    assert rows[1].harm > rows[0].harm


def test_bad_requests(graph: object) -> None:
    target, x = hwsim.load_target(CHIP), hwsim.load_data("mnist-cnn").inputs[:1]
    for make in (
        lambda: Faults("weight", 0.1),  # type: ignore[arg-type]
        lambda: Faults("weights", 1.5),
        lambda: Faults("weights", 0.1, bits=(-1,)),
        lambda: emulate_with_faults(graph, target, x, Faults("weights", 0.1, bits=(4,))),  # type: ignore[arg-type]
        lambda: emulate_with_faults(graph, target, x, Faults("weights", 0.1, layers=("fc9",))),  # type: ignore[arg-type]
        lambda: interval([0.5]),
    ):
        with pytest.raises(HwsimError):
            make()


def test_interval_by_hand() -> None:
    mean, low, high = interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert high - 2.0 == pytest.approx(4.302652729911275 / np.sqrt(3))
    assert low == pytest.approx(4.0 - high)


def test_a_score_of_nan_is_no_answer() -> None:
    assert classes_of(np.array([[1.0, 3.0], [np.nan, 0.0], [-np.inf, -5.0]])).tolist() == [1, -1, 1]
