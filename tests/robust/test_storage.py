"""Every single flip: as many as there are, and each as far as the format's own arithmetic says."""

from __future__ import annotations

import numpy as np
import pytest

import hwsim
from hwsim.errors import DataError
from hwsim.numerics import QTensor, decode
from hwsim.robust import FlipRow, flip_study


def study(chip: str, n: int = 8) -> tuple[dict[tuple[str, int | None], FlipRow], object]:
    graph = hwsim.quantize("mnist-cnn", chip)
    rows = flip_study(graph, hwsim.load_target(chip), hwsim.load_data("mnist-cnn").inputs[::200][:n])
    return {(row.place, row.bit): row for row in rows}, graph


def test_every_flip_of_every_weight_by_hand() -> None:
    """Two's complement: bit b moves a number by 2**b steps; weights here have one scale a channel."""
    rows, graph = study("hwsim-int4-ws16")
    held = [c for c in graph.constants.values() if isinstance(c, QTensor) and c.format == "int4"]  # type: ignore[attr-defined]
    count = sum(c.codes.size for c in held)
    total = 0.0
    for c in held:
        scale = np.broadcast_to(c.scale.reshape(-1, *[1] * (c.codes.ndim - 1)), c.codes.shape).astype(np.float64)
        power = np.mean((decode(c.codes, "int4").astype(np.float64) * scale) ** 2)
        total += float((scale**2).sum()) / power
    for bit in range(4):
        row = rows["weights", bit]
        assert row.trials == count
        assert row.moved == pytest.approx(2**bit * np.sqrt(total / count), rel=1e-5)
        assert row.low == row.high == row.moved
    assert rows["weights", None].trials == 4 * count
    squares = [rows["weights", bit].moved ** 2 for bit in range(4)]
    assert rows["weights", None].moved ** 2 == pytest.approx(np.mean(squares))


def test_activations_have_an_interval_and_a_sign_flip_doubles() -> None:
    rows, _ = study("hwsim-int4-sm16")
    top = rows["activations", 3]
    assert top.low < top.moved < top.high
    assert top.moved == pytest.approx(2, rel=0.02)  # each number turns into minus itself
    assert rows["activations", None].trials == 4 * top.trials


def test_a_format_with_nan_loses_some() -> None:
    rows, _ = study("nvidia-h100", 4)
    assert 0 < rows["weights", None].lost < 0.1
    assert rows["weights", 7].lost < rows["weights", 0].lost  # a NaN keeps its sign and stays one
    assert np.isfinite(rows["activations", None].moved)
    assert rows["weights", 7].moved == pytest.approx(2, rel=1e-3)


def test_blocks_read_through_their_scales() -> None:
    rows, _ = study("hwsim-nvfp4-ws16", 4)
    assert rows["weights", 3].moved == pytest.approx(2, rel=1e-3)
    assert rows["weights", 0].moved < rows["weights", 1].moved < rows["weights", 2].moved


def test_bad_requests() -> None:
    with pytest.raises(DataError, match="at least 2"):
        study("hwsim-int4-ws16", 1)
