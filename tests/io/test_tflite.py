"""TensorFlow Lite files: every stored value against the interpreters' own, and files that are damaged on purpose."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim import zoo
from hwsim.emulate import emulate
from hwsim.errors import HwsimError, ModelError
from hwsim.io import load_model, tflite
from hwsim.ir import Graph, dumps, loads
from hwsim.ir.reference import run
from hwsim.target import Target, load_target
from tests.data.make_tflite_vectors import COUNT, noise
from tests.oracles import need_module, need_network

need_module("tflite")
HERE = Path(__file__).parents[1] / "data" / "tflite"
VECTORS: dict[str, dict[str, dict[str, str]]] = json.loads((HERE / "vectors.json").read_text())
RULES = ("tflite_reference", "litert_reference", "litert_xnnpack")
SHIPPED = ("image_classification", "keyword_spotting")
FETCHED = {
    "image_classification": "resnet8-int8",
    "keyword_spotting": "keyword-spotting-int8",
    "visual_wake_words": "visual-wake-words-int8",
    "anomaly_detection": "anomaly-detection-int8",
}


def chip(rule: str) -> Target:
    """An NPU that requantizes by ``rule``."""
    target = load_target("ethos-u55")
    mode = target.precisions["int8"].model_copy(update={"requantize": rule})
    return target.model_copy(update={"precisions": {"int8": mode}})


def graph_of(model: str) -> Graph:
    """A shipped file, or one of the zoo's where it is in the cache."""
    if model in SHIPPED:
        return tflite.load(HERE / f"{model}.tflite")
    need_network(FETCHED[model])
    return zoo.model(FETCHED[model])


def inputs(graph: Graph) -> np.ndarray[Any, Any]:
    """What the vectors were recorded for, NCHW and as real numbers."""
    _, channels, height, width = (d if isinstance(d, int) else 0 for d in graph.shape_of(graph.inputs[0]))
    first = graph.values[graph.nodes[0].output].quant
    stored = graph.inputs[0].endswith(".real")
    x = noise(COUNT, (height, width, channels), np.int8 if stored else np.float32).transpose(0, 3, 1, 2)
    assert first is not None
    return x * first.scale if stored else x


def digest(graph: Graph, name: str, real: np.ndarray[Any, Any]) -> str:
    quant = graph.value(name).quant
    assert quant is not None
    assert quant.scale is not None
    zero = 0 if quant.zero_point is None else quant.zero_point
    codes = np.rint(real / quant.scale + zero).astype(np.int8)
    codes = codes.transpose(0, 2, 3, 1) if codes.ndim == 4 else codes
    return hashlib.sha256(np.ascontiguousarray(codes).tobytes()).hexdigest()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("model", VECTORS)
def test_every_layer_holds_the_interpreters_codes(model: str, rule: str) -> None:
    graph = graph_of(model)
    wanted = {tflite.plain_name(name): sha for name, sha in VECTORS[model][rule].items()}
    found = emulate(graph.rebuilt(outputs=tuple(wanted)), chip(rule), inputs(graph))
    wrong = [name for name, sha in wanted.items() if digest(graph, name, found.outputs[name]) != sha]
    assert not wrong
    assert len(wanted) >= 13


def test_rules_differ_where_kernels_do() -> None:
    """The three kernels do not give the same codes, so the test above can fail."""
    for model in SHIPPED:
        first, second, third = (VECTORS[model][rule] for rule in RULES)
        assert any(first[name] != second[name] or second[name] != third[name] for name in first)
    assert (
        VECTORS["anomaly_detection"]["tflite_reference"]["Identity_int8"]
        != VECTORS["anomaly_detection"]["litert_reference"]["Identity_int8"]
    )


def test_the_float_meaning_is_near() -> None:
    graph = tflite.load(HERE / "image_classification.tflite")
    x, node = inputs(graph), next(n for n in graph if n.op == "Relu")
    stored = next(n.output for n in graph if n.inputs == (node.output,))
    y = run(graph, {graph.inputs[0]: x}, keep=(stored,))[stored]
    held = emulate(graph.rebuilt(outputs=(stored,)), load_target("ethos-u55"), x).output
    quant = graph.value(stored).quant
    assert quant is not None
    assert quant.scale is not None
    assert np.abs(np.minimum(y, 255 * quant.scale) - held).max() <= 0.51 * quant.scale  # two roundings
    assert y.shape == (COUNT, 16, 32, 32)


def test_text_form_keeps_the_graph(tmp_path: Path) -> None:
    graph = load_model(HERE / "keyword_spotting.tflite")
    again = loads(dumps(graph))
    x = inputs(graph)
    one, two = (emulate(g, load_target("ethos-u55"), x).output for g in (graph, again))
    np.testing.assert_array_equal(one, two)


def test_weights_stay_mapped() -> None:
    """Reading a file takes no copy of what it does not rearrange: buffers are views of the map."""
    raw = np.memmap(HERE / "keyword_spotting.tflite", np.uint8, "r")
    parsed = tflite.parse(raw, "here")
    assert all(np.shares_memory(t.data, raw) for t in parsed.tensors if t.data is not None)


def damaged() -> list[bytes]:
    whole = (HERE / "keyword_spotting.tflite").read_bytes()
    rng = np.random.default_rng(11)
    out = [whole[:n] for n in (0, 4, 8, 20, 1000, 30000, len(whole) - 100)]
    for _ in range(100):
        mutated = bytearray(whole)
        for at in rng.integers(8, len(whole), rng.integers(1, 64)):
            mutated[at] = rng.integers(256)
        out.append(bytes(mutated))
    tables = [at for at in range(8, len(whole) - 4, 4) if whole[at + 3] in (0, 255) and whole[at : at + 4] != bytes(4)]
    for at in rng.choice(tables, 120):
        word = struct.pack("<I", int(rng.choice([0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 1 << 20, 0])))
        out.append(whole[:at] + word + whole[at + 4 :])
    return out


def test_damaged_files_are_one_clear_error_or_load(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    errors = []
    for content in damaged():
        path.write_bytes(content)
        try:
            tflite.load(path)
        except HwsimError as err:
            errors.append(err)
    assert len(errors) > 20
    assert all("\n" not in str(err) and err.where for err in errors)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="found nothing"):
        tflite.load(tmp_path / "none.tflite")
    path = tmp_path / "a.tflite"
    path.write_bytes(b"\x1c\0\0\0GGUF" + bytes(100))
    with pytest.raises(ModelError, match="TFL3"):
        load_model(path)
