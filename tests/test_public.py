"""The public names, what loading them costs, and the verbs that share a package's name."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import numpy as np
import pytest

import hwsim

PUBLIC = [
    "HwsimError",
    "QTensor",
    "__version__",
    "compare",
    "convert",
    "decode",
    "emulate",
    "encode",
    "estimate",
    "formats",
    "gemm",
    "load_data",
    "load_model",
    "load_target",
    "mma",
    "pack",
    "quantize",
    "quantize_tensor",
    "report",
    "sweep",
    "units",
    "unpack",
    "verify_rtl",
    "workload",
]

HEAVY = ("numpy", "numba", "pandas", "matplotlib", "onnx", "pydantic", "cocotb", "jinja2", "rich", "torch", "yaml")


def loaded_after(*commands: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after running ``commands``."""
    code = "\n".join((*commands, "import json, sys", f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_public_names_are_these() -> None:
    assert hwsim.__all__ == PUBLIC
    assert set(PUBLIC) <= set(dir(hwsim))


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name: str) -> None:
    found = getattr(hwsim, name)
    if name in ("formats", "units"):
        assert len(found) > 10
    elif name != "__version__":
        assert inspect.getdoc(found)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sweeep'"):
        hwsim.sweeep  # noqa: B018


def test_import_loads_nothing_heavy() -> None:
    assert loaded_after("import hwsim") == set()


def test_help_loads_nothing_heavy() -> None:
    assert loaded_after("from hwsim.cli import run", "run(['--help'])") == set()


@pytest.mark.parametrize(
    "verb", ["emulate", "verify", "report", "estimate", "quantize", "sweep", "formats", "units", "targets", "zoo"]
)
def test_help_of_a_verb_loads_nothing_heavy(verb: str) -> None:
    assert loaded_after("from hwsim.cli import run", f"run([{verb!r}, '--help'])") == set()


def test_formats_load_neither_models_nor_targets() -> None:
    assert loaded_after("import hwsim", "hwsim.formats['int4']") == {"numpy"}


@pytest.mark.parametrize(("verb", "home"), [("emulate", "api"), ("report", "api"), ("sweep", "sweep.run")])
@pytest.mark.parametrize("first", ["", "import hwsim.emulate, hwsim.report", "from hwsim.emulate import bind"])
def test_verbs_named_like_packages_are_both(verb: str, home: str, first: str) -> None:
    code = f"{first}\nimport hwsim, inspect\nv = hwsim.{verb}\nassert callable(v) and v.__path__, v\n"
    code += f"from hwsim.{home} import {verb}\nassert inspect.signature(v) == inspect.signature({verb})"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_calling_the_package_is_the_verb() -> None:
    with pytest.raises(hwsim.HwsimError, match="unknown model 'mnist-cn'"):
        hwsim.emulate("mnist-cn", "nvidia-h100", np.zeros((1, 1, 28, 28), np.float32))


def test_every_error_is_an_hwsim_error() -> None:
    for call in (
        lambda: hwsim.formats["int5"],
        lambda: hwsim.units["nvidia.hoper"],
        lambda: hwsim.load_target("h100"),
        lambda: hwsim.load_model("mnist"),
        lambda: hwsim.workload("resnet5"),
    ):
        with pytest.raises(hwsim.HwsimError, match="did you mean"):
            call()
