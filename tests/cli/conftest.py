"""A small network and data in files, and a way to call the command line as a person does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from hwsim.cli import run
from tests.io.models import build, save

CHIPS = ("--target", "hwsim-int4-ws16", "--target", "nvidia-h100")


@dataclass(frozen=True)
class Said:
    """What one call of the command line left."""

    status: int
    out: str
    err: str


Say = Callable[..., Said]


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Say:
    """Run the command line in this process: status, stdout, stderr."""

    def call(*args: object) -> Said:
        capfd.readouterr()
        status = run([str(arg) for arg in args])
        out, err = capfd.readouterr()
        return Said(status, out, err)

    return call


def small_model(path: Path, *, weight: np.ndarray | None = None) -> Path:
    """Conv 1 -> 4 on 6 x 6, ReLU, max pooling, 3 classes."""
    rng = np.random.default_rng(7)
    held = {
        "w1": rng.standard_normal((4, 1, 3, 3)).astype(np.float32) if weight is None else weight,
        "b1": rng.standard_normal(4).astype(np.float32),
        "w2": rng.standard_normal((3, 16)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], name="conv1"),
        helper.make_node("Relu", ["c"], ["r"], name="relu1"),
        helper.make_node("MaxPool", ["r"], ["p"], name="pool1", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "w2"], ["y"], name="fc", transB=1),
    ]
    return save(build(nodes, ["N", 1, 6, 6], held), path)


def small_data(path: Path, n: int = 40) -> Path:
    """Random 6 x 6 pictures with random labels."""
    rng = np.random.default_rng(11)
    x = rng.standard_normal((n, 1, 6, 6)).astype(np.float32)
    np.savez(path, x=x, y=rng.integers(0, 3, n))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small_model(tmp_path / "small.onnx")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return small_data(tmp_path / "small.npz")
