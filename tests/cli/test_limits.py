"""``hwsim estimate`` says of each limit whether it is met and by how much."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwsim.target import path_of
from tests.cli.conftest import Say

LIMITS = {"power_w": 0.01, "latency_s": 1}


@pytest.mark.parametrize(
    ("model", "target", "batch", "line"),
    [
        ("llama2-7b", "northpole", 1, r"does not fit: 6.74 GB, "),
        ("llama2-7b", "google-tpu-v1", 1, "meets: 6.74 GB of 8.59 GB, 22"),
    ],
)
def test_limits_are_printed(say: Say, model: str, target: str, batch: int, line: str) -> None:
    said = say("estimate", model, "--target", target, "--batch", batch, "--top", 1)
    assert said.status == 0
    assert line in said.out.replace("\u2009", " ").replace("\u202f", " ").replace("\xa0", " ")


def test_a_car_with_little_power_and_time(say: Say, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    limits = "".join(f"  {key}: {{value: {most}, kind: assumed, source: design}}\n" for key, most in LIMITS.items())
    mine.write_text(path_of("hwsim-int4-ws16").read_text(encoding="utf-8") + f"\nconstraints:\n{limits}")
    out = say("estimate", "resnet50", "--target", mine, "--top", 1).out.splitlines()
    (power,) = (line for line in out if line.strip().startswith("power"))
    (latency,) = (line for line in out if line.strip().startswith("latency") and "left" in line)
    assert "misses: " in power
    assert "times the 10.0" in power.replace("\u2009", " ")
    assert "meets: " in latency


def test_limits_are_in_the_json(say: Say) -> None:
    (made,) = json.loads(say("estimate", "resnet50", "--target", "ascend-310", "--json").out)["estimates"]
    assert [limit["name"] for limit in made["constraints"]] == ["power", "memory"]
    assert all(isinstance(limit["meets"], bool) for limit in made["constraints"])
