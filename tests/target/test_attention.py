"""Where a target says that products of two run-time values run in another precision."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwsim.errors import TargetError
from hwsim.quant import recipe_for
from hwsim.target import load_target
from hwsim.target.load import loads_target

TEXT = (Path(__file__).parents[2] / "targets" / "nvidia-b200.yaml").read_text()

GROUPED = "cache: {format: fp8_e4m3fn, granularity: per_group"


def test_the_recipe_stores_queries_and_the_cache_as_declared() -> None:
    recipe = recipe_for(load_target("nvidia-b200"), "nvfp4")
    assert recipe.operand(0, dynamic=True).format == "fp16"
    assert recipe.operand(1, dynamic=True).format == "fp8_e4m3fn"
    assert recipe.operand(0, dynamic=False).format == "nvfp4"
    assert recipe.with_calibrator("kl").operand(1, dynamic=True).calibrator == "kl"


def test_without_a_word_attention_is_stored_as_all_else() -> None:
    recipe = recipe_for(load_target("nvidia-h100"), "fp8")
    assert recipe.attention is recipe.cache is None
    assert recipe.operand(1, dynamic=True) == recipe.operand(0, dynamic=False) == recipe.activations


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("attention: fp16", "attention: fp61", "fp16"),
        ("cache: {format: fp8_e4m3fn,", "cache: {format: fp9_e4m3,", "fp._e4m3"),
        ("cache: {format: fp8_e4m3fn, granularity: per_tensor", GROUPED, "group_size"),
    ],
)
def test_a_name_that_is_not_there_is_one_line(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(TargetError, match=message) as caught:
        loads_target(TEXT.replace(old, new, 1), "chip.yaml")
    assert "\n" not in str(caught.value.message)
    assert "chip.yaml:" in str(caught.value)
