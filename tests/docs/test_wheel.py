"""The built wheel alone, in an empty environment and another folder, does all three jobs. Fetches its dependencies."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.docs.page import ROOT
from tests.oracles import need_tool

pytestmark = pytest.mark.slow


def _run(*command: object, cwd: Path, status: int = 0, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, env={**kept, **environment}
    )
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    (found,) = folder.glob("hwsim-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of programs of an environment that holds the wheel and what it requires, nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    _run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    _run(folder / "venv" / "bin" / "pip", "install", "--quiet", wheel, cwd=folder)
    return folder / "venv" / "bin"


def test_holds_all_data_and_no_more(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    for pattern, home in {
        "targets/*.yaml": "hwsim/_data/",
        "rtl/**/*.v": "hwsim/_data/",
        "hwsim/sweep/presets/*": "",
        "hwsim/report/templates/*": "",
        "hwsim/zoo/data/**/*.*": "",
        "hwsim/verify/harness/*": "",
    }.items():
        wanted = {home + str(path.relative_to(ROOT)) for path in ROOT.glob(pattern) if path.is_file()}
        assert wanted, pattern
        assert wanted <= held, sorted(wanted - held)
    assert {name.partition("/")[0] for name in held if ".dist-info" not in name} == {"hwsim"}
    assert not [name for name in held if "__pycache__" in name or name.endswith((".pyc", ".nbi", ".nbc"))]


def test_does_all_three_jobs(installed: Path, tmp_path: Path) -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")
    hwsim, cache = installed / "hwsim", {"HWSIM_CACHE": str(tmp_path / "cache")}
    emulate = (hwsim, "emulate", "mnist-cnn", "--target", "hwsim-int4-ws16", "--limit", 100, "--out", "out", "--json")
    assert json.loads(_run(*emulate, cwd=tmp_path, **cache))
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    said = _run(hwsim, "verify", "--check", "pe_exhaustive", cwd=tmp_path, **cache)
    assert "everything agrees" in said
    (tmp_path / "mine.yaml").write_text(_run(hwsim, "targets", "hwsim-int4-ws16", "--yaml", cwd=tmp_path, **cache))
    said = _run(hwsim, "estimate", "resnet50", "--target", "mine.yaml", "--batch", 8, cwd=tmp_path, **cache)
    assert "latency" in said
    assert "cheapest-int4-array" in _run(hwsim, "sweep", "--list", cwd=tmp_path, **cache)
    where = _run(installed / "python", "-c", "import hwsim; print(hwsim.__file__)", cwd=tmp_path)
    assert str(ROOT) not in where


@pytest.mark.parametrize(
    ("arguments", "package", "extra"),
    [
        ("sweep calibrators --jobs 2 --out s", "joblib", "sweep"),
        ("sweep calibrators --engine dask --scheduler tcp://127.0.0.1:1 --out s", "distributed", "cluster"),
        ("emulate mnist-cnn --target hwsim-int4-ws16 --limit 100 --calibrator kde", "scipy", "calib"),
        ("rtl prove", "yosys", "rtl"),
        ("verify --unit mac_tile_axis", "cocotbext", "rtl"),
    ],
)
def test_a_missing_package_is_one_line(
    installed: Path, tmp_path: Path, arguments: str, package: str, extra: str
) -> None:
    done = subprocess.run(
        [str(installed / "hwsim"), *arguments.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": f"{installed}:/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert re.fullmatch(r"hwsim: error: .*", last)
    assert package in last.lower()
    assert f"pip install 'hwsim[{extra}]'" in last
