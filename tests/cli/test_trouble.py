"""A full disk, a folder that cannot be written, a closed pipe, Ctrl-C: one line, and nothing half-written anywhere."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.cli.conftest import small_data, small_model

RECIPE = """\
name: small
model: small.onnx
target: hwsim-int4-ws16
data: small.npz
calibration: small.npz
test: small.npz
course: {epochs: 400, batch: 8}
"""
SWEEP = """\
name: many
space:
  model: [mnist-cnn, resnet50]
  target: hwsim-int4-ws16
  machine.rows: {from: 8, to: 128, step: 8}
objectives: [latency_s, energy_j]
"""
CHIPS = "--target hwsim-int4-ws16 --data small.npz"
ESTIMATE = "estimate resnet50 --target hwsim-int4-ws16"
WRITERS = {
    "emulate": f"emulate small.onnx {CHIPS} --out out",
    "emulate --why": f"emulate small.onnx {CHIPS} --why --out out",
    "quantize": f"quantize small.onnx {CHIPS} -o out/small.qir",
    "quantize onnx": f"quantize small.onnx {CHIPS} -o out/small.onnx",
    "convert": "convert small.onnx --from ascend-910b4 --to nvidia-h100 --data small.npz -o out/moved.qir",
    "report": "report run.json -o out/report.html",
    "sweep": "sweep many.yaml --jobs 1 --out out",
}
"""Verbs that write, each into the folder ``out``."""
USUAL = ("emulate", "quantize", "sweep")
"""What the default suite tries; the slow one tries all."""
WORKERS = {
    **WRITERS,
    "sweep of two": "sweep many.yaml --jobs 2 --out out",
    "estimate": ESTIMATE,
    "verify": "verify --check pe_exhaustive",
    "rtl": "rtl area --unit hwsim.rtl.int4",
    "zoo": "zoo show mnist-cnn",
    "targets": "targets nvidia-h100",
}
"""Verbs that take a while."""


def _tried(names: Iterable[str], usual: Sequence[str] = USUAL) -> list[object]:
    return [name if name in usual else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small network, its data, and what verbs made of them."""
    folder = tmp_path_factory.mktemp("home")
    small_model(folder / "small.onnx")
    small_data(folder / "small.npz")
    (folder / "many.yaml").write_text(SWEEP)
    (folder / "train.yaml").write_text(RECIPE)
    done = _hwsim(f"emulate small.onnx {CHIPS} --out made", folder).communicate()
    assert (folder / "made" / "run.json").is_file(), done
    (folder / "made" / "run.json").rename(folder / "run.json")
    return folder


def _hwsim(line: str, folder: Path, **more: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hwsim", *line.split()],
        cwd=folder,
        env={**os.environ, "HWSIM_CACHE": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,  # type: ignore[call-overload]
    )


def _one_line(err: str, *words: str) -> None:
    """Progress may come before it; the fault is one line, the last."""
    faults = [line for line in err.splitlines() if line.startswith("hwsim: error: ")]
    assert len(faults) == 1, err
    assert err.splitlines()[-1] == faults[0], err
    assert "Traceback" not in err
    assert "internal error" not in err
    assert any(word in faults[0] for word in words), faults[0]


def _drafts(folder: Path) -> list[Path]:
    """What a write that was broken off would leave."""
    return [path for path in folder.rglob(".*") if path.is_file()]


@pytest.mark.parametrize("name", _tried(WRITERS))
def test_a_full_disk(home: Path, tmp_path: Path, name: str) -> None:
    """No file may grow over 512 bytes, as on a disk that is full."""

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))

    for file in home.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    process = _hwsim(WRITERS[name], tmp_path, preexec_fn=full)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    _one_line(err, "File too large", "cannot be written", "No space", "disk")
    left = [path for path in (tmp_path / "out").glob("[!p]*") if path.stat().st_size]  # points.sqlite stays
    assert left == []
    assert _drafts(tmp_path) == []


@pytest.mark.parametrize("name", _tried(WRITERS))
def test_a_folder_that_cannot_be_written(home: Path, name: str) -> None:
    """Not even root writes there."""
    process = _hwsim(WRITERS[name].replace(" out", " /proc/self/out"), home)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    _one_line(err, "/proc/self/out")


@pytest.mark.parametrize("line", _tried(["targets", ESTIMATE, "units", "zoo list"], ["targets", ESTIMATE]))
def test_a_reader_that_leaves(home: Path, line: str) -> None:
    """``hwsim targets | head -1``."""
    process = _hwsim(line, home)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    assert process.wait(60) in (0, 141), err
    assert [line for line in err.splitlines() if not line.endswith("done")] == []


def _interrupted(home: Path, folder: Path, name: str, after_s: float) -> int:
    for file in home.iterdir():
        if file.is_file() and not (folder / file.name).exists():
            (folder / file.name).write_bytes(file.read_bytes())
    # A run in the background inherits a SIGINT that is ignored; a terminal sends it to the whole group.
    process = _hwsim(
        WORKERS[name],
        folder,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        start_new_session=True,
    )
    time.sleep(after_s)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130), (name, after_s, err)
    if process.returncode == 130:
        _one_line(err, "interrupted")
    assert _drafts(folder) == []
    return process.returncode


def _moments(name: str, count: int) -> Sequence[float]:
    draw = random.Random(name)
    return [0.4 + 2 * draw.random() for _ in range(count)]


@pytest.mark.parametrize("name", ["emulate", "sweep of two"])
def test_ctrl_c(home: Path, tmp_path: Path, name: str) -> None:
    for moment in _moments(name, 1):
        _interrupted(home, tmp_path, name, moment)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKERS)
def test_ctrl_c_at_ten_moments(home: Path, tmp_path: Path, name: str) -> None:
    for moment in _moments(name, 10):
        _interrupted(home, tmp_path, name, moment)
