"""MMA-Sim (PyPI mmasim, needs torch) as a judge of the NVIDIA units: its own instruction for each of our names.

``python -m tests.numerics.mmasim_oracle`` records tests/data/mmasim_vectors.npz, so that tests need neither.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hwsim.numerics.unit import FusedUnit, ScaledFusedUnit
from hwsim.numerics.unit_catalog import NVIDIA_FORMATS, units

VECTORS = Path(__file__).parents[1] / "data" / "mmasim_vectors.npz"
ARCHES = {
    "volta": "Volta",
    "turing": "Turing",
    "ampere": "Ampere",
    "ada": "Ada Lovelace",
    "hopper": "Hopper",
    "blackwell": "Blackwell",
    "rtx_blackwell": "RTX Blackwell",
}
PTX_TYPES = {name: ptx for ptx, name in NVIDIA_FORMATS.items()}
FP4 = {"mxf4": "mxf4.block32.ue8m0", "mxf4_block16": "mxf4nvf4.block16.ue8m0", "nvf4": "mxf4nvf4.block16.ue4m3"}


def judged() -> list[str]:
    """Names of the units that MMA-Sim has too (it has no FP8 `mma.sync` on Hopper)."""
    return [
        name
        for name, unit in units.items()
        if isinstance(unit, FusedUnit) and not unit.addend_apart and name.startswith("nvidia.")
    ]


def draw(name: str, rng: np.random.Generator, m: int, n: int, k: int) -> tuple[np.ndarray, ...]:
    """Random bits for a, b, c and, where the unit takes them, the scales: half of the draws spread over every exponent,
    half with few of them, so that sums do not drown in one large term."""
    unit = units[name]
    assert isinstance(unit, FusedUnit)

    def codes(fmt: str, shape: tuple[int, ...]) -> np.ndarray:
        bits = {"tf32": 19, "fp16": 16, "bf16": 16, "fp8_e4m3fn": 8, "fp8_e5m2": 8, "fp4_e2m1": 4}.get(fmt, 6)
        dtype = np.uint8 if bits <= 8 else np.uint16 if bits == 16 else np.uint32
        raw = rng.integers(0, 1 << bits, shape)
        mantissa, exponents = {"tf32": (10, 255), "bf16": (7, 255), "fp16": (10, 31)}.get(fmt, (0, 0))
        if exponents:  # rows draw their exponents from a window of random width
            width = rng.integers(1, exponents, (shape[0], 1))
            low = rng.integers(0, exponents - width + 1)
            exponent = low + (rng.random(shape) * width).astype(np.int64)
            window = (raw & ~(exponents << mantissa)) | (exponent << mantissa)
            raw = np.where(rng.random((shape[0], 1)) < 0.9, window, raw)
        elif bits == 8:  # most rows without NaN and infinity
            mask = np.where(rng.random((shape[0], 1)) < 0.9, 0xBF, 0xFF)
            raw = raw & mask
        return raw.astype(dtype)

    a, b = codes(unit.a_format, (m, k)), codes(unit.b_format, (n, k))
    if unit.accumulator == "fp16":
        c = codes("fp16", (m, n)).view(np.float16)
    else:
        wide = codes("bf16", (m, n)).astype(np.uint32) << 16
        near = rng.standard_normal((m, n)).astype(np.float32).view(np.uint32)
        c = np.where(rng.random((m, n)) < 0.3, wide | rng.integers(0, 1 << 16, (m, n)).astype(np.uint32), near)
        c = c.astype(np.uint32).view(np.float32)
    if not isinstance(unit, ScaledFusedUnit):
        return a, b, c
    middle, spread = (127, 12) if unit.scale_format == "e8m0" else (56, 56)
    low, high = middle - spread, middle + spread
    scales = []
    for rows in (m, n):
        s = rng.integers(low, high, (rows, k // unit.block_size))
        s = np.where(rng.random(s.shape) < 0.02, rng.integers(0, 256 if middle == 127 else 128, s.shape), s)
        scales.append(s.astype(np.uint8))
    return a, b, c, *scales


def _instruction(name: str) -> tuple[Any, int]:
    """MMA-Sim's operation of that name and the K of one instruction."""
    from mmasim import nv_ptx

    unit = units[name]
    _, arch, family, *_ = name.split(".")
    a, b = PTX_TYPES[unit.a_format], PTX_TYPES[unit.b_format]
    d = "f16" if unit.accumulator == "fp16" else "f32"
    k = {"tf32": 8, "f16": 16, "bf16": 16}.get(a, 32)
    where = ARCHES[arch]
    if isinstance(unit, ScaledFusedUnit):
        kind, block, scale = FP4.get(name.rsplit(".", 1)[1], "mxf8f6f4.block32.ue8m0").split(".")
        k = 32 if kind == "mxf8f6f4" else 64
        middle = f"kind::{kind}.{block}.f32.{a}.{b}"
        if family == "tcgen05":
            return nv_ptx.TCGen05MMABlockScale(where, f"m128n8k{k}.{middle}.{scale}"), k
        return nv_ptx.MMABlockScale(where, f"m16n8k{k}.{middle}.f32.{scale}"), k
    if family == "wgmma":
        return nv_ptx.WGMMA(where, f"m64n8k{k}.{d}.{a}.{b}"), k
    if family == "tcgen05":
        kind = {"tf32": "tf32", "f16": "f16", "bf16": "f16"}.get(a, "f8f6f4")
        return nv_ptx.TCGen05MMA(where, f"m64n8k{k}.kind::{kind}.{d}.{a}.{b}"), k
    if arch == "volta":
        return nv_ptx.MMA(where, f"m8n8k4.{d}.f16.f16.{d}"), 4
    if arch == "turing":
        return nv_ptx.MMA(where, f"m16n8k8.{d}.f16.f16.{d}"), 8
    kind = "kind::f8f6f4." if arch == "rtx_blackwell" and k == 32 else ""
    return nv_ptx.MMA(where, f"m16n8k{k}.{kind}{d}.{a}.{b}.{d}"), k


def _tensor(codes: np.ndarray, fmt: str) -> Any:
    """Codes as the torch tensor that MMA-Sim wants."""
    import torch

    if fmt == "tf32":
        return torch.from_numpy((codes.astype(np.uint32) << 13).view(np.float32).copy())
    if fmt in ("fp6_e2m3", "fp6_e3m2"):
        return torch.from_numpy(codes.copy())
    if fmt == "fp4_e2m1":
        return torch.from_numpy(codes << 2)
    types = {
        "fp16": torch.float16,
        "bf16": torch.bfloat16,
        "fp8_e4m3fn": torch.float8_e4m3fn,
        "ue4m3": torch.float8_e4m3fn,
        "fp8_e5m2": torch.float8_e5m2,
        "e8m0": torch.float8_e8m0fnu,
    }
    signed = codes.view(np.int16) if codes.dtype == np.uint16 else codes
    return torch.from_numpy(signed.copy()).view(types[fmt])


def answer(name: str, a: np.ndarray, b: np.ndarray, c: np.ndarray, *scales: np.ndarray) -> np.ndarray:
    """MMA-Sim's d, instruction after instruction along K."""
    import torch

    unit = units[name]
    operation, step = _instruction(name)
    packed = isinstance(unit, ScaledFusedUnit) and unit.group > 1
    if packed:  # two FP4 codes a byte, the first in the high half
        a, b = ((x[:, ::2] << 4) | x[:, 1::2] for x in (a, b))
        left, right = torch.from_numpy(a), torch.from_numpy(b)
    else:
        left, right = _tensor(a, unit.a_format), _tensor(b, unit.b_format)
    d = torch.from_numpy(c.copy())
    width = step // 2 if packed else step
    alpha = beta = None
    if isinstance(unit, ScaledFusedUnit):
        alpha, beta = (_tensor(s, unit.scale_format) for s in scales)
        per = step // unit.block_size
    rows, cols = left.shape[0], right.shape[0]
    for i in range(left.shape[1] // width):
        x = left[:, None, i * width : (i + 1) * width].expand(-1, cols, -1)
        y = right[None, :, i * width : (i + 1) * width].expand(rows, -1, -1)
        if alpha is None:
            d = operation.dpa(x, y, d)
        else:
            s = alpha[:, None, i * per : (i + 1) * per].expand(-1, cols, -1)
            t = beta[None, :, i * per : (i + 1) * per].expand(rows, -1, -1)
            d = operation.dpa(x, y, d, s, t)
    return d.numpy()


def record() -> None:
    rng = np.random.default_rng(20261123)
    out = {}
    for name in judged():
        values = draw(name, rng, 8, 8, 128 if isinstance(units[name], ScaledFusedUnit) else 64)
        for part, value in zip(("a", "b", "c", "sa", "sb"), values, strict=False):
            out[f"{name}:{part}"] = value
        out[f"{name}:d"] = answer(name, *values)
    np.savez_compressed(VECTORS, **out)


if __name__ == "__main__":
    record()
