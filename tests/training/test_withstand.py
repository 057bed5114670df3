"""Recipes that learn from attacks and against strangers: those of the report read, mistakes are told by line, a
stopped run goes on with the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.oracles import need_heavy_module

need_heavy_module("torch")

import hwsim  # noqa: E402
from hwsim import zoo  # noqa: E402
from hwsim.errors import RecipeError  # noqa: E402
from hwsim.training import load_plan, run_plan  # noqa: E402

RECIPES = sorted((Path(__file__).parents[2] / "bench" / "recipes").glob("*.yaml"))
HARD = """\
name: hard
model: mnist-mlp
target: hwsim-int4-ws16
data: {data}
limit: 20
course: {{epochs: 2, batch: 16, checkpoint_steps: 1}}
attack: {{epsilon: 0.1, steps: 2}}
outliers: {{kind: energy, weight: 0.05}}
"""


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_of_the_report_read(path: Path) -> None:
    plan = load_plan(path)
    assert (plan.attack is None) == (not plan.name.startswith("adversarial"))
    assert (plan.outliers is None) == (plan.name.split("-")[0] not in ("exposure", "energy"))
    if plan.attack is not None:
        assert plan.attack.adversary.epsilon == 0.1
    if plan.outliers is not None:
        assert plan.outliers.regularizer.kind == plan.name.split("-")[0]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("attack: {epsilon: 0}", "epsilon"),
        ("attack: {steps: 0}", "steps"),
        ("attack: {span: [1, 0]}", "low below high"),
        ("attack: {span: [1]}", "span"),
        ("attack: {kind: pgd}", "kind"),
        ("outliers: {kind: entropi}", "outlier regularizer"),
        ("outliers: {weight: 0}", "weight"),
        ("outliers: {kind: energy, inside: 0, outside: -1}", "inside below outside"),
    ],
)
def test_mistakes_are_told_by_line(line: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"name: r\nmodel: mnist-mlp\ntarget: hwsim-int4-ws16\n{line}\n")
    with pytest.raises(RecipeError, match=told) as caught:
        load_plan(path)
    assert "r.yaml:4" in str(caught.value)


def test_a_stopped_run_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    """Random starts and strangers are drawn from the step's own seed."""
    digits = zoo.data("mnist-mlp", "calib").head(64)
    np.savez(tmp_path / "d.npz", x=digits.inputs, y=digits.labels)
    (tmp_path / "r.yaml").write_text(HARD.format(data=tmp_path / "d.npz"))
    plan = load_plan(tmp_path / "r.yaml")
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    whole = run_plan(plan, tmp_path / "whole")

    class StoppedError(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "train" and done == 5:
            raise StoppedError

    with pytest.raises(StoppedError):
        run_plan(plan, tmp_path / "stopped", progress=stop)
    again = run_plan(plan, tmp_path / "stopped")
    assert again.learned.curve == whole.learned.curve
    assert (tmp_path / "stopped" / "model.qir").read_bytes() == (tmp_path / "whole" / "model.qir").read_bytes()
    x = digits.inputs[:4]
    one, other = (hwsim.emulate(run.graph, "hwsim-int4-ws16", x).output for run in (whole, again))
    assert np.array_equal(one, other)
