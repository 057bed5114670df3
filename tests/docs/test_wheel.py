"""The built wheel alone, in an empty environment and another folder, does all three jobs. Fetches its dependencies."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.docs.page import ROOT
from tests.oracles import need_heavy_module, need_tool

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


CLUSTER = """
from distributed import LocalCluster
import hwsim

if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as up:
        space = {"model": "resnet50", "target": ["nvidia-a100", "nvidia-h100"]}
        spec = {"name": "s", "space": space, "objectives": ["latency_s"]}
        found = hwsim.sweep(spec, scheduler=up.scheduler_address)
        print([row.point["target"] for row in found.best])
"""
RECIPE = """\
name: small
model: mnist-mlp
target: hwsim-int4-ws16
data: digits.npz
limit: 50
course: {epochs: 1, batch: 50}
"""
DIGITS = """
import numpy as np
from hwsim import zoo

digits = zoo.data("mnist-mlp", "calib")
np.savez("digits.npz", x=digits.inputs, y=digits.labels)
"""
EXTRAS: dict[str, tuple[tuple[str, ...], str]] = {
    "sweep": (
        ("-m hwsim sweep cheapest-int4-array --set search=bayes --set points=8 --jobs 2 --out s",),
        "8 points, ",
    ),
    "cluster": (("cluster.py",), "nvidia-h100"),
    "calib": (("-m hwsim emulate mnist-cnn --target hwsim-int4-ws16 --limit 50 --calibrator kde",), "hwsim-int4-ws16"),
    "rtl": (
        ("-m hwsim verify --unit mac_tile_axis", "-m hwsim rtl area --unit hwsim.rtl.int4"),
        "hwsim.rtl.int4",
    ),
    "llm": (("-m hwsim emulate tiny-llama --target hwsim-int4-ws16 --limit 1",), "perplexity"),
    "zoo": (("-m hwsim zoo get resnet8", "-m hwsim estimate resnet8-int8 --target gemmini"), "latency"),
    "qat": (("digits.py", "-m hwsim train small.yaml --out w"), "accuracy"),
}
"""Extra -> what is run in an environment that has nothing else, and a word that the last of it says."""


def _lent(python: Path) -> None:
    """torch as these tests have it: of the package itself pip would fetch gigabytes."""
    torch = need_heavy_module("torch")
    kept = Path(str(torch.__file__)).parents[1]
    lent = python.parent / "lent"
    lent.mkdir()
    for name in ("torch", "torchgen", "functorch", "sympy", "mpmath", "networkx", "filelock", "fsspec"):
        (lent / name).symlink_to(kept / name)
    for told in kept.glob("torch-*.dist-info"):
        (lent / told.name).symlink_to(told)
    (lent / "typing_extensions.py").symlink_to(kept / "typing_extensions.py")
    where = _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=lent).strip()
    (Path(where) / "lent.pth").write_text(f"{lent}\n")


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_alone(installed: Path, wheel: Path, tmp_path: Path, extra: str) -> None:
    if extra == "rtl":
        need_tool("iverilog", "sudo apt-get install iverilog")
    home = tmp_path / "venv"
    shutil.copytree(installed.parent, home, symlinks=True)
    python = home / "bin" / "python"
    if extra == "qat":
        _lent(python)
    else:
        _run(python, "-m", "pip", "install", "--quiet", f"{wheel}[{extra}]", cwd=tmp_path)
    (tmp_path / "cluster.py").write_text(CLUSTER)
    (tmp_path / "digits.py").write_text(DIGITS)
    (tmp_path / "small.yaml").write_text(RECIPE)
    lines, word = EXTRAS[extra]
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    said = [_run(python, *line.split(), cwd=tmp_path, HWSIM_CACHE=str(tmp_path / "cache"), PATH=path) for line in lines]
    assert word in said[-1]


def test_every_extra_is_tried() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras) - {"test", "docs", "dev", "robust"} == set(EXTRAS)
