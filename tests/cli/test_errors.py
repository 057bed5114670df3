"""Bad input: one clear line, the right exit status, nothing half-written, never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from hwsim.cli import app
from hwsim.target.load import _folder
from tests.cli.conftest import Said, Say, small_data, small_model
from tests.io.models import build, save


def one_line(said: Said, status: int, *words: str) -> None:
    """Exactly one line on stderr that has ``words``; nothing on stdout."""
    assert said.status == status, said
    assert said.out == ""
    lines = said.err.splitlines()
    assert len(lines) == 1, said.err
    assert lines[0].startswith("hwsim: error: ")
    assert all(word in lines[0] for word in words), lines[0]


def target_file(folder: Path, change: Callable[[str], str]) -> Path:
    """Our array's target file, changed."""
    path = folder / "chip.yaml"
    path.write_text(change((_folder() / "hwsim-int4-ws16.yaml").read_text()))
    return path


def missing_file(folder: Path) -> tuple[list[object], list[str]]:
    return [folder / "nothing.onnx"], ["nothing.onnx", "expected"]


def truncated_onnx(folder: Path) -> tuple[list[object], list[str]]:
    whole = small_model(folder / "whole.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    return [folder / "cut.onnx"], ["cut.onnx"]


def unknown_target_key(folder: Path) -> tuple[list[object], list[str]]:
    path = target_file(folder, lambda text: text.replace("vendor:", "vendr:", 1))
    return [small_model(folder / "m.onnx"), "--target", path], ["chip.yaml:", "unknown key 'vendr'", "'vendor'"]


def wrong_type(folder: Path) -> tuple[list[object], list[str]]:
    path = target_file(folder, lambda text: text.replace("default_precision: int4", "default_precision: [int4]", 1))
    return [small_model(folder / "m.onnx"), "--target", path], ["chip.yaml:", "default_precision", "expected text"]


def duplicate_yaml_key(folder: Path) -> tuple[list[object], list[str]]:
    path = target_file(folder, lambda text: f"{text}\ndefault_precision: int4\n")
    return [small_model(folder / "m.onnx"), "--target", path], ["chip.yaml:", "default_precision", "once"]


def unsupported_operator(folder: Path) -> tuple[list[object], list[str]]:
    model = build([helper.make_node("Selu", ["x"], ["y"], name="strange")], ["N", 4])
    return [save(model, folder / "selu.onnx")], ["strange", "Selu", "Conv"]


def shape_mismatch(folder: Path) -> tuple[list[object], list[str]]:
    np.savez(folder / "wide.npz", x=np.zeros((4, 1, 8, 8), np.float32), y=np.zeros(4, np.int64))
    return [small_model(folder / "m.onnx"), "--data", folder / "wide.npz"], ["6, 6", "8, 8"]


def nan_weights(folder: Path) -> tuple[list[object], list[str]]:
    weight = np.ones((4, 1, 3, 3), np.float32)
    weight[2, 0, 1, 1] = np.nan
    return [small_model(folder / "nan.onnx", weight=weight)], ["nan.onnx", "NaN"]


def empty_data(folder: Path) -> tuple[list[object], list[str]]:
    np.savez(folder / "empty.npz", x=np.zeros((0, 1, 6, 6), np.float32), y=np.zeros(0, np.int64))
    return [small_model(folder / "m.onnx"), "--data", folder / "empty.npz"], ["empty.npz", "at least one"]


def unknown_format(folder: Path) -> tuple[list[object], list[str]]:
    path = target_file(folder, lambda text: text.replace("format: int4", "format: int5", 1))
    return [small_model(folder / "m.onnx"), "--target", path], ["chip.yaml:", "unknown format 'int5'", "int"]


BAD = [
    missing_file,
    truncated_onnx,
    unknown_target_key,
    wrong_type,
    duplicate_yaml_key,
    unsupported_operator,
    shape_mismatch,
    nan_weights,
    empty_data,
    unknown_format,
]


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_malformed_input(say: Say, tmp_path: Path, make: Callable[[Path], tuple[list[object], list[str]]]) -> None:
    args, words = make(tmp_path)
    if "--target" not in args:
        args += ["--target", "hwsim-int4-ws16"]
    if "--data" not in args:
        args += ["--data", small_data(tmp_path / "good.npz")]
    out = tmp_path / "out"
    said = say("emulate", *args, "--out", out)
    # What happened before the fault may be told; the fault is one line, the last.
    told = said.err.splitlines()
    assert all(line.endswith(": done") or " of " in line for line in told[:-1]), said.err
    one_line(Said(said.status, said.out, told[-1]), 2, *words)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("make", BAD[:2] + BAD[5:6] + BAD[7:8], ids=lambda make: make.__name__)
def test_malformed_model_is_not_quantized(
    say: Say, tmp_path: Path, make: Callable[[Path], tuple[list[object], list[str]]]
) -> None:
    (model, *_), words = make(tmp_path)
    data = small_data(tmp_path / "d.npz")
    out = tmp_path / "x.qir"
    one_line(say("quantize", model, "--target", "nvidia-h100", "--data", data, "-o", out), 2, *words)
    assert not list(tmp_path.glob("*.qir*"))
    assert not list(tmp_path.glob(".x*"))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["emulte"], ["unknown verb 'emulte'", "'emulate'"]),
        (["formats", "int5"], ["unknown format 'int5'", "did you mean"]),
        (["units", "nvidia.hoper.wgmma.e4m3"], ["unknown", "'nvidia.hopper.wgmma.e4m3'"]),
        (["targets", "h100"], ["unknown target 'h100'", "'nvidia-h100'"]),
        (["zoo", "show", "mnist-cn"], ["unknown zoo model 'mnist-cn'", "'mnist-cnn'"]),
        (["zoo", "gett"], ["gett"]),
        (["emulate", "mnist-cnn", "--target", "asend-910b4"], ["'ascend-910b4'"]),
        (["emulate", "mnist-cn", "--target", "nvidia-h100"], ["'mnist-cnn'"]),
        (["emulate", "mnist-cnn", "--target", "nvidia-h100", "--precision", "fp9"], ["'fp9'", "fp8"]),
        (["emulate", "mnist-cnn", "--target", "nvidia-h100", "--calibrator", "msee"], ["'msee'", "'mse'"]),
        (["emulate", "mnist-cnn"], ["--target", "hwsim emulate --help"]),
        (["emulate", "mnist-cnn", "--traget", "x"], ["--traget", "--target"]),
        (["emulate", "mnist-cnn", "--target", "nvidia-h100", "--limit", "0"], ["--limit"]),
        (["estimate", "--target", "nvidia-h100"], ["MODEL", "--gemm"]),
        (["estimate", "--gemm", "4,4", "--target", "nvidia-h100"], ["M,N,K", "'4,4'"]),
        (["estimate", "--gemm", "4,4,4", "--target", "nvidia-h100", "--weights", "int5"], ["'int5'"]),
        (["estimate", "resnet5", "--target", "nvidia-h100"], ["'resnet50'"]),
        (["estimate", "mnist-cnn", "--target", "nvidia-h100", "--weights", "int4"], ["mnist-cnn"]),
        (["quantize", "mnist-cnn", "--target", "nvidia-h100", "-o", "x.pt"], ["x.pt", ".qir"]),
        (["report", "nothing.json"], ["nothing.json"]),
        (["report", "nothing.json", "-o", "x.pdf"], ["x.pdf", ".html"]),
        (["verify", "--unit", "ascend.cube.int4"], ["ascend.cube.int4"]),
        (["verify", "--all", "--unit", "hwsim.rtl.int4"], ["exclude each other"]),
        (["verify", "--layer", "conv1"], ["--network"]),
        (["verify", "--check", "pe_exhaustiv"], ["'pe_exhaustive'"]),
        (["verify", "--source", "nothing.v"], ["nothing.v"]),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_wrong_words(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    one_line(say(*args), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_output_folder_is_checked_before_the_work(say: Say, tmp_path: Path, model: Path, data: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    args = ("emulate", model, "--target", "nvidia-h100", "--data", data, "--out")
    one_line(say(*args, tmp_path / "taken"), 2, "taken", "expected a folder")
    one_line(say(*args, tmp_path / "taken" / "below"), 2, "below")


def test_missing_simulator_is_status_3(say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    one_line(say("verify", "--tiles", 1), 3, "iverilog")


def test_a_bug_is_one_line_and_status_70(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("hwsim.target.names", broken, raising=False)
    one_line(say("targets"), 70, "ZeroDivisionError", "two lines", "HWSIM_DEBUG")
    monkeypatch.setenv("HWSIM_DEBUG", "1")
    said = say("targets")
    assert said.status == 70
    assert "Traceback" in said.err


def test_missing_package_is_status_3(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ModuleNotFoundError("No module named 'h5py'", name="h5py")

    monkeypatch.setattr("hwsim.target.names", broken, raising=False)
    one_line(say("targets"), 3, "h5py", "pip install")


def test_full_disk_is_one_line(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr("hwsim.target.names", full, raising=False)
    one_line(say("targets"), 2, "report.html", "No space left")


def test_interrupt_in_process(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hwsim.target.names", interrupted, raising=False)
    one_line(say("targets"), 130, "interrupted")


def test_closed_pipe_is_quiet() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "hwsim", "formats", "fp8_e4m3fn"], stdout=write_end, stderr=subprocess.PIPE, check=False
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


def test_ctrl_c_during_the_work(tmp_path: Path, model: Path) -> None:
    data = small_data(tmp_path / "many.npz", n=200_000)
    out = tmp_path / "out"
    args = [sys.executable, "-m", "hwsim", "emulate", model, "--target", "nvidia-h100", "--data", data, "--out", out]
    process = subprocess.Popen(
        [*map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a run in the background inherits a SIGINT that is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    assert "ranges: 256 of 256" in first  # the long work is ahead
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert stderr.splitlines()[-1] == "hwsim: error: interrupted"
    assert "Traceback" not in stderr
    assert list(out.iterdir()) == []


def test_statuses_are_all_different() -> None:
    statuses = [getattr(app, name) for name in ("OK", "NO", "BAD_INPUT", "TOOL_MISSING", "BUG", "INTERRUPTED")]
    assert len(set(statuses)) == len(statuses)
