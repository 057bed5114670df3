"""Methods and budgets of quantization from the command line do what the library does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwsim
from hwsim.api import mixed_precision
from hwsim.numerics import QTensor
from hwsim.quant import quantize, recipe_for
from tests.cli.conftest import Say
from tests.oracles import need_module

CHIP = ("--target", "hwsim-int4-ws16")


def weights(path: Path) -> dict[str, QTensor]:
    held = hwsim.load_model(path).constants
    return {name: q for name, q in held.items() if isinstance(q, QTensor) and q.codes.ndim > 1}


@pytest.mark.parametrize(
    ("args", "changes"),
    [
        (("--weights", "gptq"), {"weight_method": "gptq"}),
        (("--weight-method", "gptq", "--correct-bias"), {"weight_method": "gptq", "correct_bias": True}),
        (("--equalize", "cross_layer"), {"equalize": "cross_layer"}),
    ],
)
def test_methods_are_the_library_s(
    say: Say, model: Path, data: Path, tmp_path: Path, args: tuple[str, ...], changes: dict[str, Any]
) -> None:
    out = tmp_path / "q.qir"
    assert say("quantize", model, *CHIP, "--data", data, "-o", out, *args).status == 0
    recipe = replace(recipe_for(hwsim.load_target(CHIP[1])), **changes)
    want = quantize(hwsim.load_model(model), recipe, hwsim.load_data(data).inputs)
    found = hwsim.load_model(out)
    for name, held in want.constants.items():
        other = found.constants[name]
        if isinstance(held, QTensor):
            assert isinstance(other, QTensor)
            assert other.equals(held)
    assert found.notes == {"target": "hwsim-int4-ws16", "precision": "int4"}


def test_emulate_takes_the_same_methods(say: Say, model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "q.qir"
    args = ("--data", data, "--weights", "gptq", "--correct-bias")
    assert say("quantize", model, *CHIP, *args, "-o", out).status == 0
    bodies = [
        json.loads(say("emulate", what, *CHIP, "--data", data, *more, "--json").out)
        for what, more in ((model, args[2:]), (out, ()), (model, ()))
    ]
    answers, health = zip(*((b["results"][0]["accuracy"], b["results"][0]["health"]) for b in bodies), strict=True)
    assert answers[0]["correct"] == answers[1]["correct"]
    zeros = [[row["zeros"] for row in rows] for rows in health]
    assert zeros[0] == zeros[1] != zeros[2]


def test_a_budget_of_bytes(say: Say, model: Path, data: Path, tmp_path: Path) -> None:
    need_module("scipy")
    out, chip = tmp_path / "q.qir", ("--target", "hailo-8")
    sizes = {}
    for fmt in ("int8", "int4"):
        recipe = recipe_for(hwsim.load_target("hailo-8"))
        graph = quantize(
            hwsim.load_model(model),
            replace(recipe, weights=replace(recipe.weights, format=fmt)),
            hwsim.load_data(data).inputs,
        )
        sizes[fmt] = sum(
            q.nbytes_packed for q in graph.constants.values() if isinstance(q, QTensor) and q.codes.ndim > 1
        )
    budget = (sizes["int8"] + sizes["int4"]) / 2
    said = say("quantize", model, *chip, "--data", data, "-o", out, "--budget-bytes", budget)
    assert said.status == 0
    found = weights(out)
    assert {q.format for q in found.values()} == {"int8", "int4"}
    assert sum(q.nbytes_packed for q in found.values()) <= budget
    want = mixed_precision(model, "hailo-8", budget, hwsim.load_data(data))
    assert {name: scheme.format for name, scheme in want.layers} == {
        name.removesuffix(".weight"): q.format for name, q in found.items()
    }
    said = say("emulate", model, *chip, "--data", data, "--budget-bytes", budget, "--json")
    assert said.status == 0
    assert np.isfinite(json.loads(said.out)["results"][0]["accuracy"]["correct"])


def test_a_quantized_model_takes_no_methods(say: Say, model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "q.qir"
    assert say("quantize", model, *CHIP, "--data", data, "-o", out).status == 0
    said = say("emulate", out, *CHIP, "--data", data, "--weights", "gptq")
    assert said.status == 2
    assert "quantized already" in said.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--weights", "gptk"), "did you mean 'gptq'"),
        (("--equalize", "smoth"), "did you mean 'smooth'"),
        (("--budget-bytes", "1"), "the cheapest assignment costs"),
        (("--budget-bytes", "0"), "range"),
        (("--budget-bytes", "100", "--budget-energy-j", "1"), "expected one budget, found bytes and joules"),
        (("--budget-bytes", "100", "--mixed-formats", "int8,int5"), "unknown format 'int5'"),
        (("--weights-granularity", "per_group"), "per_group needs a group_size"),
    ],
)
@pytest.mark.parametrize("verb", ["quantize", "emulate"])
def test_nonsense_is_one_line(
    say: Say, model: Path, data: Path, tmp_path: Path, verb: str, args: tuple[str, ...], words: str
) -> None:
    need_module("scipy")
    out = ("-o", tmp_path / "q.qir") if verb == "quantize" else ()
    said = say(verb, model, "--target", "hailo-8", "--data", data, *out, *args)
    assert said.status == 2
    assert words in said.err
    assert not list(tmp_path.glob("*.qir"))
