"""NVIDIA's own answers: conversion headers compiled for the CPU, and one H100's cvt instructions.

Recorded by tests/data/make_nvidia_fp4_fp8.py (CUDA 13.0 headers) and from an H100 80GB (hopper_cvt.npz).
Quirk: the header's double functions keep the sign of NaN in FP8 and, in E5M2, two payload bits; its float functions and
the hardware give 0x7F. E8M0 conversions of the header round float64 to float32 with a sticky bit first, which is exact.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from hwsim.numerics import encode
from tests.numerics.peers import element_inputs
from tests.oracles import need_tool

DATA = Path(__file__).parent.parent / "data"
CONVERSIONS = {
    "e2m1_rn": ("fp4_e2m1", {"profile": "nvidia"}),
    "e2m1_rz": ("fp4_e2m1", {"profile": "nvidia", "rounding": "toward_zero"}),
    "e2m3_rn": ("fp6_e2m3", {"profile": "nvidia"}),
    "e3m2_rn": ("fp6_e3m2", {"profile": "nvidia"}),
    "e4m3_sat": ("fp8_e4m3fn", {"profile": "nvidia"}),
    "e4m3_nosat": ("fp8_e4m3fn", {"profile": "nvidia", "overflow": "nan"}),
    "e5m2_sat": ("fp8_e5m2", {"profile": "nvidia"}),
    "e5m2_nosat": ("fp8_e5m2", {"profile": "nvidia", "overflow": "inf"}),
    "e8m0_rz": ("e8m0", {"profile": "nvidia", "rounding": "toward_zero"}),
    "e8m0_rp": ("e8m0", {"profile": "nvidia"}),
}


@pytest.fixture(scope="module")
def header() -> dict[str, np.ndarray]:
    with np.load(DATA / "nvidia_fp4_fp8.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_header(header, conversion, kind):
    x = header[kind].view(np.float32 if kind == "float" else np.float64)
    compare(x, conversion, header[f"{conversion}_{kind}"])


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """The headers of this machine's CUDA toolkit, compiled, as a function."""
    found = sorted(Path("/usr/local").glob("cuda*/include/cuda_fp4.h"))
    if not found:
        pytest.skip("no cuda_fp4.h under /usr/local/cuda*/include; any CUDA 13 toolkit brings it")
    need_tool("g++", "apt install g++")
    spec = importlib.util.spec_from_file_location("make_nvidia_fp4_fp8", DATA / "make_nvidia_fp4_fp8.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    shim = maker.compile_headers(found[-1].parent, tmp_path_factory.mktemp("headers"))
    return lambda conversion, x: maker.convert(shim, conversion, x)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_header_on_millions(live, conversion, dtype):
    x = element_inputs(CONVERSIONS[conversion][0], 4_000_000, dtype)
    compare(x, conversion, live(conversion, x))


def compare(x, conversion, expected):
    name, options = CONVERSIONS[conversion]
    codes = encode(x, name, **options)
    keep = np.ones(x.shape, bool)
    if x.dtype == np.float64 and conversion.startswith(("e4m3", "e5m2")):
        keep = ~np.isnan(x)  # the quirk
        assert np.isin(expected[~keep] & 0x7F, (0x7E, 0x7F)).all()
    np.testing.assert_array_equal(codes[keep], expected[keep])


@pytest.mark.parametrize(
    ("name", "column", "shift", "half"),
    [
        ("fp8_e4m3fn", 0, 0, False),
        ("fp8_e5m2", 0, 8, False),
        ("fp8_e4m3fn", 1, 0, True),
        ("fp8_e5m2", 1, 8, True),
        ("bf16", 2, 0, False),
        ("tf32", 3, 13, False),
    ],
)
def test_h100(name, column, shift, half):
    with np.load(DATA / "hopper_cvt.npz", allow_pickle=False) as archive:
        words, answers = archive["cvt_in"], archive["cvt_out"]
    x = (words & 0xFFFF).astype(np.uint16).view(np.float16) if half else words.view(np.float32)
    codes = encode(x, name, profile="nvidia")
    mask = 0xFF if name.startswith("fp8") else 0xFFFFFFFF
    np.testing.assert_array_equal(codes, answers[:, column] >> shift & mask)
