"""``hwsim estimate`` says of each limit whether it is met and by how much."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Say


@pytest.mark.parametrize(
    ("model", "target", "batch", "line"),
    [
        ("llama2-7b", "northpole", 1, r"does not fit: 6.74 GB, "),
        ("llama2-7b", "google-tpu-v1", 1, "meets: 6.74 GB of 8.59 GB, 22"),
        ("resnet50", "hailo-8", 8, "misses: "),
    ],
)
def test_limits_are_printed(say: Say, model: str, target: str, batch: int, line: str) -> None:
    said = say("estimate", model, "--target", target, "--batch", batch, "--top", 1)
    assert said.status == 0
    assert line in said.out.replace("\u2009", " ").replace("\u202f", " ").replace("\xa0", " ")


def test_limits_are_in_the_json(say: Say) -> None:
    (made,) = json.loads(say("estimate", "resnet50", "--target", "ascend-310", "--json").out)["estimates"]
    assert [limit["name"] for limit in made["constraints"]] == ["power", "memory"]
    assert all(isinstance(limit["meets"], bool) for limit in made["constraints"])
