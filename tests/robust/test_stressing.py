"""One network under everything: which inputs are used, what is refused, and that float and chip stand beside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hwsim
from hwsim.errors import DataError, HwsimError
from hwsim.io import Dataset
from hwsim.robust import corrupt
from hwsim.stressing import span_of, stress

CHIP = "hwsim-int4-ws16"


def test_a_part_is_spread_evenly() -> None:
    """The digits lie sorted; the first hundred are zeros."""
    whole = hwsim.load_data("mnist-cnn")
    assert set(whole.head(100).labels) == {0}  # type: ignore[arg-type]
    part = whole.spread(100)
    assert len(part) == 100
    assert part.labels is not None
    assert set(np.bincount(part.labels)) <= {7, 8, 9, 10, 11, 12}
    assert whole.spread(None) is whole
    assert whole.spread(10_000) is whole
    assert len(whole.spread(1)) == 1
    with pytest.raises(DataError):
        whole.spread(0)


def test_spans() -> None:
    data = Dataset(np.zeros((2, 1, 2, 2), np.float32), np.zeros(2, np.int64), "x", "")
    assert span_of(data) == (0.0, 1.0)
    assert span_of(replace(data, inputs=data.inputs - 0.5)) == (-1.0, 1.0)
    with pytest.raises(DataError, match="--span"):
        span_of(replace(data, inputs=data.inputs + 3))


def test_rows_are_the_emulators_answers() -> None:
    found = stress("mnist-cnn", CHIP, corruptions=["contrast"], limit=50, seed=2)
    part = hwsim.load_data("mnist-cnn").spread(50)
    graph = hwsim.quantize("mnist-cnn", CHIP)
    x = corrupt(part.inputs, "contrast", 2, seed=4)
    right = int((hwsim.emulate(graph, CHIP, x).output.argmax(1) == part.labels).sum())
    row = next(r for r in found.corruptions if r.tested == CHIP and r.severity == 2)
    assert row.right == right
    assert [column.name for column in found.columns] == ["float32", CHIP]
    assert found.attacks == found.strangers == found.faults == found.flips == ()
    assert len(found.corruptions) == 5 * 2


def test_faults_need_no_span() -> None:
    """A network of spectra is no picture; its bits flip all the same."""
    whole = hwsim.load_data("mnist-cnn")
    far = replace(whole, inputs=whole.inputs * 7)
    found = stress("mnist-cnn", CHIP, far, rates=[0.01], repeats=2, limit=6)
    assert {row.place for row in found.faults} == {"weights", "activations", "accumulators"}
    assert {row.bit for row in found.flips} == {0, 1, 2, 3, None}


def test_refused() -> None:
    for make in (
        lambda: stress("mnist-cnn", []),
        lambda: stress("mnist-cnn", [CHIP, CHIP]),
        lambda: stress("mnist-cnn", CHIP, corruptions=["fog"]),
        lambda: stress("mnist-cnn", CHIP, others=["cats"]),
        lambda: stress("mnist-cnn", CHIP, precision="fp99"),
        lambda: stress("mnist-cnn", CHIP, calibrator="mode"),
        lambda: stress("mnist-cnn", CHIP, replace(hwsim.load_data("mnist-cnn"), labels=None)),
    ):
        with pytest.raises(HwsimError):
            make()
