"""The shipped network: its accuracy, its sizes, and that nothing of the test set was trained on."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest

from hwsim import zoo
from hwsim.errors import DataError, ModelError
from hwsim.io import load_model
from hwsim.ir.infer import elements
from hwsim.ir.reference import run
from hwsim.zoo.train_mnist import split
from tests.io.models import close, judge


def test_accuracy_is_what_the_readme_says() -> None:
    graph, data = zoo.model("mnist-cnn"), zoo.data("mnist-cnn")
    logits = run(graph, {"image": data.inputs})["logits"]
    top1 = float((logits.argmax(1) == data.labels).mean())
    assert len(data) == 2000
    assert top1 >= 0.985
    readme = (zoo.get("mnist-cnn")["model"].parent / "README.md").read_text()
    stated = re.search(r"\*\*([\d.]+) %\*\* top-1 on the 2,000 test digits", readme)
    assert stated is not None
    assert float(stated[1]) == pytest.approx(100 * top1, abs=0.051)


def test_equals_onnxruntime() -> None:
    data = zoo.data("mnist-cnn").inputs[:200]
    graph = zoo.model("mnist-cnn")
    close(run(graph, {"image": data})["logits"], judge(zoo.get("mnist-cnn")["model"], {"image": data})[0])


def test_files_are_those_of_the_readme() -> None:
    paths = zoo.get("mnist-cnn")
    readme = (paths["model"].parent / "README.md").read_text()
    assert set(paths) == {"model", "test", "calib"}
    for path in paths.values():
        assert hashlib.sha256(path.read_bytes()).hexdigest() in readme
        assert path.stat().st_size < 1_000_000
    assert b"/work" not in paths["model"].read_bytes()
    assert "Permission is hereby granted" in (paths["model"].parent / "LICENSE.mnist").read_text()


def test_calibration_digits_are_not_test_digits() -> None:
    test, calib = zoo.data("mnist-cnn"), zoo.data("mnist-cnn", "calib")
    assert len(calib) == 256
    assert not {x.tobytes() for x in test.inputs} & {x.tobytes() for x in calib.inputs}
    assert calib.labels is not None
    assert set(calib.labels) == set(range(10))


def test_sizes_in_the_catalog() -> None:
    graph, held = zoo.model("mnist-cnn"), zoo.entry("mnist-cnn")
    assert graph.name == held.name
    assert sum(np.size(c) for c in graph.constants.values()) == held.params
    assert graph.shape_of("image")[1:] == held.input_shape
    macs = 0
    for node in graph:
        if node.op in ("Conv", "Gemm"):
            weight = graph.shape_of(node.inputs[1])
            macs += elements(graph.shape_of(node.output)) * elements(weight[1:])
    assert macs == held.macs


def test_split_is_stratified_disjoint_and_repeatable() -> None:
    labels = np.repeat(np.arange(10), [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978])
    rest, held = split(labels, 2000)
    assert len(held) == 2000
    assert sorted([*rest, *held]) == list(range(labels.size))
    share = np.bincount(labels[held]) / np.bincount(labels)
    np.testing.assert_allclose(share, 0.2, atol=1e-3)
    np.testing.assert_array_equal(held, split(labels, 2000)[1])


def test_names_and_mistakes() -> None:
    assert set(zoo.names()) >= {"mnist-cnn", "resnet8", "efficientnet-lite0", "minilm", "smollm2-135m", "silero-vad"}
    assert load_model("mnist-cnn").name == "mnist-cnn"
    assert all(zoo.entry(n).licence and zoo.entry(n).training for n in zoo.names())
    with pytest.raises(ModelError, match="did you mean 'resnet8'"):
        zoo.entry("resnet18")
    with pytest.raises(DataError, match="did you mean 'test'"):
        zoo.data("mnist-cnn", "tests")
