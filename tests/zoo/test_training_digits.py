"""The digits that the MNIST networks learned from: fetched by npm, pinned, and none of them a test digit."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hwsim import zoo
from hwsim.errors import DataError, ToolError
from hwsim.zoo import fetch, train_mnist
from hwsim.zoo.spec import Wheel


def package(**contents: bytes) -> tuple[bytes, Wheel]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, data in contents.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("package/digits/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    raw = buffer.getvalue()
    return raw, Wheel("p", "1", "p-1.tgz", hashlib.sha256(raw).hexdigest(), ("package/digits/*",), max_bytes=100)


def test_only_pinned_files_of_the_pinned_package_are_read() -> None:
    raw, wheel = package(**{"digits/0": b"zero", "other": b"x", "digits/../../evil": b"y"})
    found = fetch.read_members(raw, wheel)
    assert found["package/digits/0"] == b"zero"
    assert "package/other" not in found
    assert "package/digits/link" not in found
    with pytest.raises(ToolError, match="expected sha256"):
        fetch.read_members(raw + b"x", wheel)
    with pytest.raises(ToolError, match="over the limit of 100 bytes"):
        fetch.read_members(*package(**{"digits/0": b"0" * 101}))
    with pytest.raises(ToolError, match="holds no"):
        fetch.read_members(*package(other=b""))
    broken = raw[: len(raw) // 2]
    cut = Wheel("p", "1", "p-1.tgz", hashlib.sha256(broken).hexdigest(), wheel.members)
    with pytest.raises(ToolError, match="is damaged"):
        fetch.read_members(broken, cut)


def test_without_npm_and_offline_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWSIM_CACHE", str(tmp_path))

    def missing(*args: Any, **more: Any) -> None:
        raise FileNotFoundError("npm")

    monkeypatch.setattr("subprocess.run", missing)
    with pytest.raises(ToolError, match=r"npm fetches mnist@1.1.0, and is missing"):
        zoo.data("mnist-cnn", "train")
    monkeypatch.setattr("subprocess.run", lambda *a, **k: SimpleNamespace(returncode=1, stdout="", stderr="E404"))
    with pytest.raises(ToolError, match=r"npm could not fetch mnist@1.1.0: E404"):
        zoo.data("mnist-mlp", "train")
    assert not list(tmp_path.rglob("*"))
    assert set(zoo.get("mnist-cnn")) == {"model", "test", "calib"}


def digits(each: int) -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    return {
        f"package/src/digits/{digit}.json": json.dumps({"data": rng.random(784 * each).round(3).tolist()}).encode()
        for digit in range(10)
    }


def test_what_is_not_for_testing_is_for_training() -> None:
    members = digits(250)
    found = train_mnist.training_digits(members)
    assert found["x"].shape == (500, 1, 28, 28)
    assert np.bincount(found["y"]).tolist() == [50] * 10
    with pytest.raises(DataError, match="whole 28 x 28"):
        train_mnist.training_digits({**members, "package/src/digits/3.json": b'{"data": [1, 2]}'})
    with pytest.raises(DataError, match=r"npm mnist@1.1.0"):
        train_mnist.training_digits({**members, "package/src/digits/3.json": b"{}"})


def test_no_digit_is_in_both_sets() -> None:
    try:
        learned = zoo.data("mnist-cnn", "train")
    except ToolError as error:
        if os.environ.get("CI") and shutil.which("npm"):
            raise
        pytest.skip(f"{error} (hwsim zoo get mnist-cnn --training)")
    test, calib = zoo.data("mnist-cnn"), zoo.data("mnist-cnn", "calib")
    seen = {image.tobytes() for image in learned.inputs}
    assert len(learned.inputs) == 8000
    assert not any(image.tobytes() in seen for image in test.inputs)
    assert all(image.tobytes() in seen for image in calib.inputs)
