"""The picture of a chip."""

from __future__ import annotations

import pytest

from hwsim.report.chip import WIDTH, draw_chip
from hwsim.target import load_target, names


@pytest.mark.parametrize("name", names())
def test_every_chip_is_a_closed_box(name: str) -> None:
    lines = draw_chip(load_target(name)).splitlines()
    assert all(len(line) == WIDTH for line in lines), [line for line in lines if len(line) != WIDTH]
    assert lines[0].startswith(f"┌─ {name}: ")
    assert lines[-1] == f"└{'─' * (WIDTH - 2)}┘"
    text = "\n".join(lines)
    assert text.count("┌") == text.count("└") == text.count("┐") == text.count("┘") >= 3
    assert "memory chips" in text


def test_numbers_are_the_targets() -> None:
    text = draw_chip(load_target("nvidia-h100"))
    for part in ("132 SMs at 1.98 GHz", "fp8 4,096", "L2", "52.4 MB", "3.35 TB/s", "80.0 GB", "450 GB/s"):
        assert part in text
    assert "256 x 256, weights stay" in draw_chip(load_target("google-tpu-v1"))
    assert "read noise 0.06" in draw_chip(load_target("cim-hermes"))
