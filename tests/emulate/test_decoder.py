"""A tiny decoder on units with block scales and on 16-bit units with 4-bit weights, against plain arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwsim.emulate import emulate
from hwsim.emulate.run import chunk_of
from hwsim.io import safetensors
from hwsim.io.metric import METRICS
from hwsim.ir import Graph
from hwsim.ir.reference import run
from hwsim.numerics import quantize_tensor
from hwsim.quant import quantize, recipe_for
from hwsim.target import load_target
from tests.io import decoders

IDS = np.random.default_rng(1).integers(0, 64, (3, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    folder: Path = decoders.folder(tmp_path_factory.mktemp("m"), decoders.weights())
    return safetensors.load(folder, length=12)


def test_nvfp4_products_are_near_the_product_of_stored_numbers(graph: Graph) -> None:
    """Each head's sums equal the float64 product of the very numbers stored, within the unit's truncation."""
    chip = load_target("nvidia-b200")
    stored = quantize(graph, recipe_for(chip, "nvfp4", "minmax"), IDS)
    for node in stored:
        if node.op == "MatMul":
            queries, keys = (stored.value(name) for name in node.inputs)
            assert (queries.format, keys.format) == ("fp16", "fp8_e4m3fn")
            assert keys.quant.scale is not None
    got = emulate(stored, chip, IDS, precision="nvfp4").output
    want = run(graph, {"tokens": IDS})["logits"]
    noise = np.sqrt(np.mean((got - want) ** 2) / np.mean(want**2))
    units = {tile.layer: tile.unit for tile in emulate(stored, chip, IDS, precision="nvfp4").trace.tiles}
    assert units["blk.0.qk"] == units["blk.0.pv"] == "nvidia.blackwell.tcgen05.f16"
    assert units["blk.0.q"] == "nvidia.blackwell.tcgen05.nvf4"
    assert 0.01 < noise < 0.5
    one = np.concatenate([emulate(stored, chip, IDS[i : i + 1], precision="nvfp4").output for i in range(3)])
    np.testing.assert_array_equal(got, one)
    assert chunk_of(stored) == 1


def test_a_block_scaled_product_alone(graph: Graph) -> None:
    from hwsim.emulate.scaled import product, side
    from hwsim.numerics import units
    from hwsim.numerics.unit import ScaledFusedUnit

    unit = units["nvidia.blackwell.tcgen05.nvf4"]
    assert isinstance(unit, ScaledFusedUnit)
    rng = np.random.default_rng(0)
    a, b = (quantize_tensor(rng.standard_normal(s).astype(np.float32), "nvfp4") for s in ((5, 64), (7, 64)))
    left, right = (side(t.codes, t.scale, t, unit, 64) for t in (a, b))
    sums = product(left, right, np.arange(7, dtype=np.float32), unit)
    want = a.dequantize().astype(np.float64) @ b.dequantize().astype(np.float64).T
    np.testing.assert_allclose(sums.acc * sums.scale, want, rtol=1e-5, atol=1e-6)
    assert sums.bias is not None


def test_only_what_a_metric_needs_is_kept(graph: Graph) -> None:
    chip = load_target("nvidia-h100")
    stored = quantize(graph, recipe_for(chip, "fp16", "minmax"), IDS)
    metric = METRICS["perplexity"]
    kept = emulate(stored, chip, IDS, precision="fp16", reduce=metric.figures, chunk=2)
    assert kept.output.shape == (3, 11)
    whole = emulate(stored, chip, IDS, precision="fp16")
    np.testing.assert_array_equal(kept.output, metric.figures(whole.output, IDS))
    exact = metric.score(metric.figures(run(graph, {"tokens": IDS})["logits"], IDS), None)
    assert metric.score(kept.output, None) == pytest.approx(exact, rel=0.02)
