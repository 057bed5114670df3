"""docs/units.md: its example runs as printed, by public means alone, and its claims about the catalog hold."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import hwsim
from hwsim.numerics import unit as classes

PAGE = (Path(__file__).parents[2] / "docs" / "units.md").read_text()


def test_the_example_adds_a_unit() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 5, 64)).astype(np.float32)
    scope = {"a": hwsim.encode(x, "fp8_e4m3fn"), "b": hwsim.encode(y, "fp8_e4m3fn")}
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/units.md", "exec"), scope)
    mine, d = scope["mine"], np.asarray(scope["d"])
    assert (mine.name, mine.products, mine.fraction_bits) == ("mine.npu.dot16.e4m3", 16, 16)
    wgmma = hwsim.mma(scope["a"], scope["b"], None, "nvidia.hopper.wgmma.e4m3")
    exact = hwsim.decode(scope["a"], "fp8_e4m3fn").astype(np.float64) @ hwsim.decode(scope["b"], "fp8_e4m3fn").T
    assert np.abs(d - exact).max() < np.abs(wgmma - exact).max()  # 16 fraction bits for 13
    assert np.abs(d - exact).max() > 0


def test_every_class_is_described() -> None:
    kinds = {type(entry).__name__ for entry in hwsim.units.values()}
    assert kinds == {name for name in vars(classes) if name.endswith("Unit") and name != "MatrixUnit"}
    for name in kinds:
        assert f"`{name}`" in PAGE


def test_the_evidence_table_holds() -> None:
    for name, entry in hwsim.units.items():
        if entry.evidence == "silicon":
            assert name.startswith("nvidia.hopper."), name
        if entry.evidence == "assumed":
            assert name == "ascend.cube.f16"
        if name.startswith("amd."):
            assert entry.evidence == "published"
