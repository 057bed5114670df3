"""The Hopper units against what an H100 answered, bit for bit.

The repository holds a sample (tests/data/README.md). Whole recordings, ``hopper_mma_*.npz``, are run as well where
HWSIM_SILICON_DIR names their directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from hwsim.numerics.codec import encode
from hwsim.numerics.matrix import mma
from hwsim.numerics.unit_catalog import units

SAMPLE = Path(__file__).parents[1] / "data" / "hopper_mma_sample.npz"
WHOLE = sorted(Path(os.environ.get("HWSIM_SILICON_DIR", "/nonexistent")).glob("hopper_mma_*.npz"))

ANSWERS = {  # unit: (operands, recorded answers)
    **{
        f"nvidia.hopper.{i}.{t}": (t, f"{i}_{t}")
        for i in ("mma", "wgmma")
        for t in ("f16", "bf16", "tf32", "e4m3", "e5m2")
    },
    **{f"nvidia.hopper.{i}.e4m3_e5m2": ("e4m3e5m2", f"{i}_e4m3e5m2") for i in ("mma", "wgmma")},
    **{f"nvidia.hopper.{i}.{t}": (t, f"{i}_{t}") for i in ("mma", "wgmma") for t in ("s8", "u8")},
    **{f"nvidia.hopper.{i}.s8_sat": ("s8", f"{i}_s8sat") for i in ("mma", "wgmma")},
    **{f"nvidia.hopper.mma.{t}": (t, f"mma_{t}") for t in ("s4", "u4")},
    "nvidia.hopper.mma.s4_sat": ("s4", "mma_s4sat"),
    "nvidia.hopper.mma.f16_f16acc": ("f16", "mma_f16f16"),
}


@lru_cache(maxsize=1)
def recording(path: Path) -> Mapping[str, np.ndarray]:
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def operand(raw: np.ndarray, types: str) -> np.ndarray:
    """Codes from the 32 bytes of a row."""
    if types in ("f16", "bf16"):
        return raw.view("<u2")
    if types == "tf32":
        return raw.view("<u4") >> 13
    if types in ("s4", "u4"):
        return np.stack([raw & 15, raw >> 4], axis=-1).reshape(*raw.shape[:-1], -1)
    return raw


@pytest.mark.parametrize("path", [SAMPLE, *WHOLE], ids=lambda path: path.stem)
@pytest.mark.parametrize("name", ANSWERS)
def test_every_case_equals_the_chip(name: str, path: Path) -> None:
    data, (types, answers) = recording(path), ANSWERS[name]
    unit = units[name]
    c = data["f16f16_C" if unit.accumulator == "fp16" else f"{types}_C"]
    c = c.astype(np.uint16).view(np.float16) if unit.accumulator == "fp16" else c.view(unit.accumulator_dtype)
    d = mma(operand(data[f"{types}_A"], types), operand(data[f"{types}_B"], types), c, unit)
    got = d.view(np.uint16 if unit.accumulator == "fp16" else np.uint32).astype(np.uint32)
    want = data[f"{answers}_D"].astype(np.uint32)
    if unit.accumulator == "fp16":
        want &= 0xFFFF  # the upper half of the recorded word is not part of the answer
    wrong = got != want
    assert not wrong.any(), f"{wrong.sum()} of {wrong.size}, first at {tuple(np.argwhere(wrong)[0])}"


def test_the_sample_covers_every_distribution() -> None:
    data = recording(SAMPLE)
    for types in ("f16", "bf16", "tf32", "e4m3", "e5m2", "e4m3e5m2"):
        assert set(data["dists"][data[f"{types}_dist"]]) == set(data["dists"]), types


PROBE = SAMPLE.with_name("hopper_probe_sample.npz")
PROBED = {  # case of the second recording: unit
    **{f"{t}_f16acc": f"nvidia.hopper.mma.{t}_f16acc" for t in ("e4m3", "e5m2", "e4m3_e5m2")},
    **{f"k16_{t}": f"nvidia.hopper.mma_k16.{t}" for t in ("e4m3", "e5m2", "e4m3_f16acc")},
    **{f"k8_{t}": f"nvidia.hopper.mma_k8.{t}" for t in ("f16", "f16_f16acc", "bf16")},
    "k4_tf32": "nvidia.hopper.mma_k4.tf32",
    **{
        t: f"nvidia.hopper.mma.{t}"
        for t in ("e5m2_e4m3", "b1_xor", "b1_and", "s8_u8", "u8_s8", "u8_sat", "s8_u8_sat", "s4_u4", "u4_s4", "u4_sat")
    },
    **{
        f"wg_{t}": f"nvidia.hopper.wgmma.{t}"
        for t in ("f16_f16acc", "e4m3_f16acc", "e5m2_f16acc", "e4m3_e5m2_f16acc", "e5m2_e4m3_f16acc", "e5m2_e4m3")
    },
    **{f"wg_{t}": f"nvidia.hopper.wgmma.{t}" for t in ("s8_u8", "u8_s8", "b1_and")},
}
STORED_AS = {"fp16": "f16", "bf16": "bf16", "tf32": "tf32", "int4": "s4", "uint4": "u4"}


@pytest.mark.parametrize("case", PROBED)
def test_every_probed_case_equals_the_chip(case: str) -> None:
    unit, data = units[PROBED[case]], recording(PROBE)
    sides = []
    for side, fmt in (("A", unit.a_format), ("B", unit.b_format)):
        raw = data[f"{case}_{side}"]
        bits = fmt == "binary"
        sides.append(np.unpackbits(raw, axis=-1, bitorder="little") if bits else operand(raw, STORED_AS.get(fmt, "")))
    c, want = data[f"{case}_C"], data[f"{case}_D"]
    half = unit.accumulator == "fp16"
    c = (c & 0xFFFF).astype(np.uint16).view(np.float16) if half else c.view(unit.accumulator_dtype)
    d = mma(*sides, c, unit).view(np.uint16 if half else np.uint32).astype(np.uint32)
    np.testing.assert_array_equal(d, want & 0xFFFF if half else want)


def test_every_unit_labelled_silicon_is_in_a_recording() -> None:
    """The promoted unit is held to whole layers, in tests/emulate."""
    labelled = {name for name, unit in units.items() if unit.evidence == "silicon"}
    assert labelled == {*ANSWERS, *PROBED.values(), "nvidia.hopper.wgmma.e4m3_promoted"}


@pytest.mark.parametrize("path", WHOLE or [None], ids=lambda path: path.stem if path else "none")
def test_every_conversion_equals_the_chip(path: Path | None) -> None:
    """cvt.rn.satfinite to E4M3 and E5M2 from FP32 and FP16, rn to BF16, rna to TF32 (samples: test_nvidia_vectors)."""
    if path is None:
        pytest.skip("set HWSIM_SILICON_DIR to the directory of whole recordings")
    data = recording(path)
    x, answers = data["cvt_in"].view(np.float32), data["cvt_out"]
    half = (data["cvt_in"] & 0xFFFF).astype(np.uint16).view(np.float16)
    for column, source in ((0, x), (1, half)):
        assert np.array_equal(encode(source, "fp8_e4m3fn", profile="nvidia"), answers[:, column] & 0xFF)
        assert np.array_equal(encode(source, "fp8_e5m2", profile="nvidia"), answers[:, column] >> 8)
    assert np.array_equal(encode(x, "bf16", profile="nvidia"), answers[:, 2])
    assert np.array_equal(encode(x, "tf32", profile="nvidia", rounding="nearest_away"), answers[:, 3] >> 13)
