"""A recipe whose factors of heads learn: scored by perplexity, exported for the chip, its mistakes told by line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.oracles import need_heavy_module

need_heavy_module("torch")

import hwsim  # noqa: E402
from hwsim.errors import DataError, RecipeError  # noqa: E402
from hwsim.io import safetensors  # noqa: E402
from hwsim.io.metric import METRICS  # noqa: E402
from hwsim.io.model import save_model  # noqa: E402
from hwsim.training import load_plan, run_plan  # noqa: E402
from tests.io import decoders  # noqa: E402

HEADS = """\
name: heads
model: {folder}/decoder.qir
target: hwsim-int4-ws16
data: {folder}/ids.npz
test: {folder}/ids.npz
calibration: {folder}/ids.npz
calibrator: minmax
take: 48
attention: {{factors: [query, key, value, scores], alone: true, distance: 1.0}}
course: {{epochs: 4, batch: 8, rate: 0.005, task: next_token, checkpoint_steps: 1}}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    graph = safetensors.load(decoders.folder(tmp_path / "m", decoders.weights()), length=12)
    save_model(graph, tmp_path / "decoder.qir")
    ids = np.random.default_rng(1).integers(0, 64, (64, 12)).astype(np.int32)
    np.savez(tmp_path / "ids.npz", x=ids)
    path = tmp_path / "heads.yaml"
    path.write_text(HEADS.format(folder=tmp_path))
    return path


def test_factors_learn_and_the_chip_scores_what_was_exported(recipe: Path, tmp_path: Path) -> None:
    made = run_plan(load_plan(recipe), tmp_path / "out")
    assert made.learned.metric == "perplexity"
    assert made.learned.after < made.learned.before
    perplexity, ids = METRICS["perplexity"], hwsim.load_data(tmp_path / "ids.npz").inputs
    stored = hwsim.load_model(tmp_path / "out" / "model.qir")
    found = hwsim.emulate(stored, "hwsim-int4-ws16", ids).output
    assert perplexity.score(perplexity.figures(found, ids), None) == pytest.approx(made.learned.after, rel=1e-12)
    page = (tmp_path / "out" / "page.html").read_text()
    assert f"perplexity over 64 inputs is {made.learned.after:.4g} after training" in page
    assert json.loads((tmp_path / "out" / "curve.json").read_text())["metric"] == "perplexity"


def test_weights_learn_beside_the_factors(recipe: Path, tmp_path: Path) -> None:
    alone = run_plan(load_plan(recipe), tmp_path / "alone").graph
    recipe.write_text(recipe.read_text().replace("alone: true, ", ""))
    both = run_plan(load_plan(recipe), tmp_path / "both").graph
    moved = [name for name in alone.constants if "weight" in name or name.endswith(".w")]
    assert moved
    assert any((alone.float_constant(name) != both.float_constant(name)).any() for name in moved)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("scores]", "score]", r"heads\.yaml:9: unknown place 'score' .did you mean 'scores'"),
        ("factors: [query, key, value, scores], ", "", "alone: expected factors that learn"),
        ("take: 48", "equalize: smoth", r"heads\.yaml:8: unknown equalizer 'smoth' .did you mean 'smooth'"),
        ("take: 48", "attack: {epsilon: 0.1}", "attacks take labels"),
        ("task: next_token", "task: next_tokens", "did you mean 'next_token'"),
        ("task: next_token", "task: vectors", "expected teacher 1"),
    ],
)
def test_mistakes_are_told(recipe: Path, tmp_path: Path, old: str, new: str, told: str) -> None:
    text = recipe.read_text()
    assert old in text
    recipe.write_text(text.replace(old, new))
    with pytest.raises(RecipeError, match=told):
        run_plan(load_plan(recipe), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_without_labels_or_attention_is_refused(recipe: Path, tmp_path: Path) -> None:
    text = recipe.read_text()
    recipe.write_text(text.replace(", task: next_token", ""))
    with pytest.raises(DataError, match="expected labels of the test data, found none"):
        run_plan(load_plan(recipe), tmp_path / "out")
