"""Models by path or name, and .qir files back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hwsim.errors import ModelError
from hwsim.io import load_model, save_model
from hwsim.ir.reference import run
from tests.io.models import draw, one, save


def test_onnx_to_qir_and_back(tmp_path: Path) -> None:
    w = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    graph = load_model(save(one("Gemm", ("N", 5), w), tmp_path / "net.onnx"))
    assert graph.name == "net"
    save_model(graph, tmp_path / "net.qir")
    again = load_model(str(tmp_path / "net.qir"))
    feeds = draw(graph, 3)
    np.testing.assert_array_equal(run(again, feeds)["y"], run(graph, feeds)["y"])
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_saving_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = load_model(save(one("Relu", ("N", 5)), tmp_path / "net.onnx"))
    with pytest.raises(ModelError, match=r"ends in \.qir"):
        save_model(graph, tmp_path / "net.pt")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="cannot be written"):
        save_model(graph, tmp_path / "file" / "net.qir")
    save_model(graph, tmp_path / "net.qir")
    before = (tmp_path / "net.qir").read_bytes()

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(ModelError, match="No space left"):
        save_model(graph, tmp_path / "net.qir")
    assert (tmp_path / "net.qir").read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"net.onnx", "net.qir", "file"}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("mnist-cn", "did you mean 'mnist-cnn'"),
        ("model.pt", "file of type .onnx, .qir"),
        ("some/where", "nothing there"),
        ("gone.qir", "found nothing"),
        ("gone.onnx", "found nothing"),
    ],
)
def test_no_such_model(source: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        load_model(source)


def test_qir_of_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "m.qir"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="expected text"):
        load_model(path)


def test_the_rooms_open_without_heavy_imports() -> None:
    code = "import sys, hwsim.io, hwsim.zoo; print([m for m in ('numpy', 'onnx', 'h5py', 'torch') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
