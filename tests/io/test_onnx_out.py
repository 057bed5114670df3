"""Float networks as ONNX: what is written gives onnxruntime our numbers, and comes in again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from hwsim.io import gguf, safetensors
from hwsim.io.onnx import from_model, to_model
from hwsim.ir.reference import run
from tests.io import decoders
from tests.io.models import close, draw
from tests.io.onnx_quantized import runtime
from tests.io.test_onnx_ops import CASES


@pytest.mark.parametrize("name", CASES)
def test_every_operator_goes_out_as_it_came_in(name: str) -> None:
    """What is written gives onnxruntime the numbers that our reference has, and comes in again."""
    graph = from_model(CASES[name], name="g")
    feeds, model = draw(graph, 2), to_model(graph)
    ours = run(graph, feeds)
    whole = {i.name for i in model.graph.input if i.type.tensor_type.elem_type == TensorProto.INT64}
    theirs = runtime(model, {k: v.astype(np.int64 if k in whole else np.float32) for k, v in feeds.items()})
    again = run(from_model(model, name="g"), feeds)
    for out in graph.outputs:
        close(ours[out], theirs[out])
        close(again[out], ours[out])


@pytest.mark.parametrize("source", ["folder", "gguf"])
def test_a_decoder_goes_out(tmp_path: Path, source: str) -> None:
    """Rotary embedding of both kinds, grouped attention, RMS norms, token ids: a Llama in onnxruntime, and back."""
    held = decoders.weights()
    if source == "folder":
        graph = safetensors.load(decoders.folder(tmp_path / "m", held), length=48)
    else:
        graph = gguf.load(decoders.gguf(tmp_path / "m.gguf", held), length=48)
    ids = np.random.default_rng(0).integers(0, 64, (2, 48))
    model = to_model(graph)
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.INT64
    ours = run(graph, {"tokens": ids})["logits"]
    close(runtime(model, {"tokens": ids})["logits"], ours)
    close(run(from_model(model, name="m"), {"tokens": ids})["logits"], ours)
