"""Packed checkpoints: codes as GPTQ's, AWQ's and compressed-tensors' own code packed them, numbers as it reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim.errors import ModelError
from hwsim.io import load_model
from hwsim.io.packed import PackedTensors, opened
from hwsim.io.safetensors import read, read_json
from hwsim.ir.reference import run
from hwsim.numerics import QTensor
from tests.io.decoders import CONFIG, folder, weights

Array = np.ndarray[Any, Any]
RECORDED = np.load(Path(__file__).parents[1] / "data" / "packed_vectors.npz")
SETTINGS: dict[str, dict[str, Any]] = json.loads(str(RECORDED["settings"]))
FORMATS = {
    "gptq 4 bits gptq": ("uint4", 1, 16), "gptq 4 bits gptq_v2": ("uint4", 1, 16),
    "gptq 4 bits gptq ordered": ("uint4", 1, 16), "gptq 8 bits gptq": ("uint8", 1, 16),
    "gptq 2 bits gptq_v2 ordered": ("uint2", 1, 16), "awq": ("uint4", 1, 32), "pack int4 groups": ("int4", 1, 16),
    "pack int4 asymmetric": ("int4", 1, 32), "pack int8 channels": ("int8", 0, None),
    "int8 tensor": ("int8", None, None),
    "int8 channels": ("int8", 0, None), "fp8 channels": ("fp8_e4m3fn", 0, None), "fp8 blocks": ("fp8_e4m3fn", 1, 32),
    "nvfp4": ("fp4_e2m1", 1, 16), "mxfp4": ("fp4_e2m1", 1, 32),
}  # fmt: skip
TYPES = {"float32": "F32", "float16": "F16", "int32": "I32", "int64": "I64", "int8": "I8", "uint8": "U8"}


def parts(case: str) -> dict[str, tuple[str, Array]]:
    """Tensors of a recorded module: name -> (storage type, array)."""
    out = {}
    for key in RECORDED.files:
        at, _, part = key.partition("/")
        if at == case and part != "real":
            name, _, kind = part.partition("|")
            value = RECORDED[key]
            out[name] = (kind or TYPES[value.dtype.name], value)
    return out


def write(path: Path, tensors: dict[str, tuple[str, Array]], config: dict[str, Any]) -> Path:
    """A folder of safetensors, by the format's own description."""
    header, body = {}, b""
    for name, (kind, value) in tensors.items():
        raw = np.ascontiguousarray(value).tobytes()
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    path.mkdir(parents=True, exist_ok=True)
    (path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + body)
    (path / "config.json").write_text(json.dumps(config))
    return path


def module(path: Path, case: str, **changed: tuple[str, Array] | None) -> PackedTensors:
    held = {**parts(case), **changed}
    config = {"quantization_config": SETTINGS[case]}
    write(path, {f"m.{k}": v for k, v in held.items() if v is not None}, config)
    found = opened(read(path), read_json(path / "config.json")["quantization_config"])
    assert isinstance(found, PackedTensors)
    return found


def test_every_recorded_case_is_tested() -> None:
    assert set(FORMATS) == set(SETTINGS)


@pytest.mark.parametrize("case", FORMATS)
def test_numbers_are_those_that_the_package_reads(tmp_path: Path, case: str) -> None:
    tensors, real = module(tmp_path, case), RECORDED[f"{case}/real"]
    held, order = tensors.weight("m.weight", real.shape), tensors.order("m.weight")
    assert isinstance(held, QTensor)
    assert (held.format, held.axis, held.block_size) == FORMATS[case]
    assert (order is not None) == ("ordered" in case)
    found = np.empty_like(real)
    found[:, slice(None) if order is None else order] = held.dequantize()
    if case.startswith(("gptq", "awq")):  # both multiply in float16
        np.testing.assert_array_equal(found.astype(np.float16), real.astype(np.float16))
    elif case == "nvfp4":  # they divide by the tensor's scale where QTensor multiplies by its reciprocal
        np.testing.assert_allclose(found, real, rtol=2.0**-22)
        assert (held.block_format, held.scale_format) == ("nvfp4", "ue4m3")
    else:
        np.testing.assert_array_equal(found, real)
    assert "m.weight" in tensors
    assert "n.weight" not in tensors


def test_zero_points_of_version_1_are_stored_minus_one(tmp_path: Path) -> None:
    first, second = (module(tmp_path / v, f"gptq 4 bits {v}").weight("m.weight") for v in ("gptq", "gptq_v2"))
    assert isinstance(first, QTensor)
    assert isinstance(second, QTensor)
    assert first.equals(second)


def words(codes: Array) -> Array:
    """Eight 4-bit codes of the first axis an int32, the first lowest (AutoGPTQ's qweight)."""
    grouped = codes.astype(np.uint32).reshape(-1, 8, codes.shape[1]) << (4 * np.arange(8, dtype=np.uint32))[:, None]
    return np.bitwise_or.reduce(grouped, axis=1).view(np.int32)


@pytest.mark.parametrize("ordered", [False, True])
def test_a_packed_llama_runs_as_the_same_one_unpacked(tmp_path: Path, ordered: bool) -> None:
    """Every matrix of a decoder as GPTQ stores it, groups permuted by act-order or not."""
    rng, plain, packed = np.random.default_rng(0), {}, {}
    for name, w in weights().items():
        if "proj" not in name:
            plain[name], packed[name] = w, ("F32", w)
            continue
        out, size = w.shape
        codes, zeros = rng.integers(0, 16, (size, out)), rng.integers(1, 16, (size // 16, out))
        scales = (0.02 * rng.random((size // 16, out))).astype(np.float16)
        g_idx = np.arange(size) // 16
        if ordered:
            g_idx = rng.permutation(g_idx)
        plain[name] = ((codes - zeros[g_idx]) * scales[g_idx].astype(np.float32)).T.astype(np.float32).copy()
        at = name.removesuffix(".weight")
        packed[f"{at}.qweight"] = ("I32", words(codes))
        packed[f"{at}.qzeros"] = ("I32", words((zeros - 1).T).T)
        packed[f"{at}.scales"], packed[f"{at}.g_idx"] = ("F16", scales), ("I32", g_idx.astype(np.int32))
    settings = {"quant_method": "gptq", "bits": 4, "group_size": 16, "desc_act": ordered}
    graph = load_model(write(tmp_path / "packed", packed, {**CONFIG, "quantization_config": settings}))
    want = load_model(folder(tmp_path / "plain", plain))
    stored = [c for c in graph.constants.values() if isinstance(c, QTensor)]
    assert len(stored) == 14
    assert {c.format for c in stored} == {"uint4"}
    assert any(n.name.endswith(".ordered") for n in graph.nodes) == ordered
    ids = rng.integers(0, 64, (2, 512)).astype(np.float32)
    ours, theirs = (run(g, {"tokens": ids})["logits"] for g in (graph, want))
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * float(np.abs(theirs).max()))


I32 = np.zeros((8, 64), np.int32)
BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "no zero points": ("gptq 4 bits gptq", {"qzeros": None}, "tensor 'm.qzeros'"),
    "half the words": ("gptq 4 bits gptq", {"qweight": ("I32", I32)}, "no group size gives them"),
    "few zero points": ("gptq 4 bits gptq", {"qzeros": ("I32", I32[:, :2])}, "do not lie in"),
    "words of floats": ("gptq 4 bits gptq", {"qweight": ("F32", np.zeros((12, 64), np.float32))}, "do not lie in"),
    "uneven groups": ("gptq 4 bits gptq", {"g_idx": ("I32", np.arange(96, dtype=np.int32) // 17)}, "in groups of 16"),
    "negative group": ("gptq 4 bits gptq", {"g_idx": ("I32", -np.ones(96, np.int32))}, "in groups of 16"),
    "huge group": ("gptq 4 bits gptq", {"g_idx": ("I32", np.full(96, 1 << 30, np.int32))}, "in groups of 16"),
    "scales of others": ("awq", {"scales": ("F16", np.ones((3, 8), np.float16))}, "do not fit each other"),
    "absurd shape": ("pack int4 groups", {"weight_shape": ("I64", np.array([64, 1 << 60]))}, "does not fit words"),
    "odd width": ("pack int4 groups", {"weight_shape": ("I64", np.array([64, 128]))}, "only 2, 4, 8 bits"),
    "no global scale": ("nvfp4", {"weight_global_scale": None}, "MXFP4 scales must be bytes|scale must have shape"),
    "zero global scale": ("nvfp4", {"weight_global_scale": ("F32", np.zeros(1, np.float32))}, "above 0"),
    "infinite scale": ("int8 tensor", {"weight_scale": ("F32", np.full(1, np.inf, np.float32))}, "NaN or infinite"),
    "short scales": ("mxfp4", {"weight_scale": ("U8", np.zeros((64, 2), np.uint8))}, "scale must have shape"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_parts_that_do_not_fit_are_refused_by_name(tmp_path: Path, what: str) -> None:
    case, changed, says = BAD[what]
    with pytest.raises(ModelError, match=says) as err:
        module(tmp_path, case, **changed).weight("m.weight", (64, 96))
    assert str(tmp_path) in str(err.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"quant_method": "gtpq"}, r"unknown quant_method 'gtpq' \(did you mean 'gptq'\?\)"),
        ([], "must be an object"),
        ({"quant_method": "gptq", "bits": 3}, "3 bits are not supported"),
        ({"quant_method": "gptq", "bits": "4"}, "must be a whole number"),
        ({"quant_method": "gptq", "bits": 0}, "0 bits are not supported"),
        ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}, "checkpoint_format"),
        ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "version 'gemv'"),
    ],
)
def test_settings_that_are_not_supported(tmp_path: Path, settings: Any, says: str) -> None:
    write(tmp_path, {f"m.{k}": v for k, v in parts("gptq 4 bits gptq").items()}, {})
    with pytest.raises(ModelError, match=says):
        opened(read(tmp_path), settings).weight("m.weight")
