"""MMA-Sim (PyPI mmasim, needs torch and a C++ compiler) as a judge: its instructions for each of our names.

``python -m tests.numerics.mmasim_oracle`` records tests/data/mmasim_vectors.npz, so that tests need neither;
``python -m tests.numerics.mmasim_oracle ROWS [PREFIX]`` compares ROWS x ROWS fresh outputs of every instruction (of the
units whose names begin so), a line each.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.numerics.matrix import mma
from hwsim.numerics.unit import (
    FlushedTreeUnit,
    IntegerUnit,
    KulischUnit,
    MatrixUnit,
    PopcountUnit,
    ScaledFusedUnit,
    TwoStageUnit,
)
from hwsim.numerics.unit_catalog import units
from hwsim.numerics.unit_catalog_nvidia import NVIDIA_FORMATS

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
FP4 = {
    "mxf4": ("mxf4.block32.ue8m0", "mxf4nvf4.block32.ue8m0"),
    "mxf4_block16": ("mxf4nvf4.block16.ue8m0",),
    "nvf4": ("mxf4nvf4.block16.ue4m3",),
}
# K of every `mma.sync` of a type that MMA-Sim has, by architecture; `mma_k<K>` names one of them, `mma` the others.
MMA_K = {
    "volta": {"f16": (4,)},
    "turing": {"f16": (8, 4)},
    "ampere": {"f16": (16, 8), "bf16": (16, 8), "tf32": (8, 4), "f64": (4,)},
    "hopper": {"f16": (16, 8), "bf16": (16, 8), "tf32": (8, 4), "f64": (16, 8, 4)},
    "fp8": (32, 16),
}
MFMA = {  # MMA-Sim's suffixes by our names, one for each K; the other shapes differ in M and N only
    "cdna1.mfma.f32": ("32x32x2f32", "16x16x4f32", "4x4x1f32"),
    "cdna2.mfma.f32": ("32x32x2f32", "16x16x4f32", "4x4x1f32"),
    "cdna3.mfma.f32": ("32x32x2_f32", "16x16x4_f32", "16x16x1_4b_f32"),
    "cdna2.mfma.f64": ("16x16x4f64",),
    "cdna3.mfma.f64": ("16x16x4_f64",),
    "cdna1.mfma.f16": ("16x16x16f16", "32x32x8f16", "4x4x4f16"),
    "cdna1.mfma.bf16": ("16x16x8bf16", "32x32x4bf16", "4x4x2bf16"),
    "cdna2.mfma.f16": ("16x16x16f16", "32x32x8f16", "4x4x4f16"),
    "cdna2.mfma.bf16": ("16x16x8bf16", "32x32x4bf16", "4x4x2bf16"),
    "cdna2.mfma.bf16_1k": ("16x16x16bf16_1k", "32x32x8bf16_1k", "4x4x4bf16_1k"),
    "cdna3.mfma.f16": ("16x16x16_f16", "32x32x8_f16"),
    "cdna3.mfma.bf16": ("16x16x16_bf16", "32x32x8_bf16"),
    "cdna3.mfma_k4.f16": ("16x16x4_4b_f16",),
    "cdna3.mfma_k4.bf16": ("16x16x4_4b_bf16",),
    "cdna3.mfma.xf32": ("16x16x8_xf32", "32x32x4_xf32"),
    "cdna3.mfma.fp8": ("16x16x32_fp8_fp8", "32x32x16_fp8_fp8"),
    "cdna3.mfma.fp8_bf8": ("16x16x32_fp8_bf8", "32x32x16_fp8_bf8"),
    "cdna3.mfma.bf8_fp8": ("16x16x32_bf8_fp8", "32x32x16_bf8_fp8"),
    "cdna3.mfma.bf8": ("16x16x32_bf8_bf8", "32x32x16_bf8_bf8"),
}


def judged() -> list[str]:
    """Names of the units that MMA-Sim has too: no integers, and no FP8 `mma.sync` on Hopper."""
    not_there = (IntegerUnit, PopcountUnit, KulischUnit)
    return [
        name
        for name, unit in units.items()
        if name.startswith(("nvidia.", "amd."))
        and not isinstance(unit, not_there)
        and not getattr(unit, "addend_apart", False)
    ]


def same(unit: MatrixUnit, got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Equal bits; where MMA-Sim leaves the bits of a NaN to the host, any NaN equals ours."""
    raw = np.dtype(f"u{got.itemsize}")
    equal: np.ndarray = got.view(raw) == want.view(raw)
    if "the bits of a NaN are assumed" in unit.note or unit.accumulator == "fp64":
        equal |= np.isnan(got) & np.isnan(want)
    return equal


def _codes(fmt: str, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Random bits; rows draw their exponents from a window of random width, so that few drown in one large term."""
    fields = {  # exponent and mantissa bits
        "fp64": (11, 52),
        "fp32": (8, 23),
        "tf32": (8, 10),
        "bf16": (8, 7),
        "fp16": (5, 10),
        "fp8_e4m3fn": (4, 3),
        "fp8_e5m2": (5, 2),
        "fp8_e4m3fnuz": (4, 3),
        "fp8_e5m2fnuz": (5, 2),
        "fp6_e2m3": (2, 3),
        "fp6_e3m2": (3, 2),
        "fp4_e2m1": (2, 1),
    }
    exponent_bits, mantissa = fields[fmt]
    bits = 1 + exponent_bits + mantissa
    raw = rng.integers(0, 1 << bits, shape, np.uint64)
    if bits >= 8:
        top = (1 << exponent_bits) - 1
        width = rng.integers(1, top, (shape[0], 1))
        low = rng.integers(0, top - width + 1)
        exponent = (low + (rng.random(shape) * width).astype(np.int64)).astype(np.uint64)
        window = (raw & ~np.uint64(top << mantissa)) | (exponent << np.uint64(mantissa))
        window = np.where(window == 0x80, 0, window) if fmt.endswith("fnuz") else window  # their one NaN
        raw = np.where(rng.random((shape[0], 1)) < 0.9, window, raw)
    return raw.astype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32 if bits <= 32 else np.uint64)


def draw(name: str, rng: np.random.Generator, m: int, n: int, k: int) -> tuple[np.ndarray, ...]:
    """Random bits for a, b, c and, where the unit takes them, the scales."""
    unit = units[name]
    a, b = _codes(unit.a_format, (m, k), rng), _codes(unit.b_format, (n, k), rng)
    if unit.accumulator == "fp32":
        wide = _codes("fp32", (m, n), rng).view(np.float32)
        near = rng.standard_normal((m, n)).astype(np.float32) * np.exp2(rng.integers(-20, 20, (m, 1)))
        c = np.where(rng.random((m, n)) < 0.3, wide, near).astype(np.float32)
        c[rng.random((m, n)) < 0.03] = 0.0
        c[rng.random((m, n)) < 0.03] = -0.0
    else:
        c = _codes(unit.accumulator, (m, n), rng).view(unit.accumulator_dtype)
    if unit.addend_dtype != unit.accumulator_dtype:
        c = _codes("fp16", (m, n), rng).view(np.float16)
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


def instructions(name: str) -> Iterator[tuple[Any, int]]:
    """MMA-Sim's operations of that name, with the K of one instruction; the one of the longest K first."""
    from mmasim import amd, nv_ptx

    unit = units[name]
    maker, arch, family, *_ = name.split(".")
    if maker == "amd":
        for suffix in MFMA[name.removeprefix("amd.")]:
            kind = "f64" if unit.accumulator == "fp64" else "f32"
            operation = amd.MFMA(arch.upper(), f"{kind}_{suffix}")
            yield operation, operation.k
        return
    a, b = PTX_TYPES.get(unit.a_format, "f64"), PTX_TYPES.get(unit.b_format, "f64")
    d = {"fp16": "f16", "fp32": "f32", "fp64": "f64"}[unit.accumulator]
    where = ARCHES[arch]
    if isinstance(unit, ScaledFusedUnit):
        for variant in FP4.get(name.rsplit(".", 1)[1], ("mxf8f6f4.block32.ue8m0",)):
            kind, block, scale = variant.split(".")
            k = 32 if kind == "mxf8f6f4" else 64
            middle = f"kind::{kind}.{block}.f32.{a}.{b}"
            if family == "tcgen05":
                yield nv_ptx.TCGen05MMABlockScale(where, f"m128n8k{k}.{middle}.{scale}"), k
            else:
                yield nv_ptx.MMABlockScale(where, f"m16n8k{k}.{middle}.f32.{scale}"), k
    elif family == "wgmma":
        k = {"tf32": 8, "f16": 16, "bf16": 16}.get(a, 32)
        yield nv_ptx.WGMMA(where, f"m64n8k{k}.{d}.{a}.{b}"), k
    elif family == "tcgen05":
        k = {"tf32": 8, "f16": 16, "bf16": 16}.get(a, 32)
        kind = {"tf32": "tf32", "f16": "f16", "bf16": "f16"}.get(a, "f8f6f4")
        yield nv_ptx.TCGen05MMA(where, f"m64n8k{k}.kind::{kind}.{d}.{a}.{b}"), k
    else:
        types = f"{d}.{a}.{b}." + ("f16" if unit.addend_dtype == np.float16 else d)
        yield from _mma(where, arch, family, types)


def _mma(where: str, arch: str, family: str, types: str) -> Iterator[tuple[Any, int]]:
    """`mma.sync` of every K whose sums are those of the unit."""
    from mmasim import nv_ptx
    from mmasim.nv_ptx.isa_mma import mma_shape_and_type

    a = types.split(".")[1]
    kinds = MMA_K.get({"hopper": "hopper", "blackwell": "hopper", "rtx_blackwell": "hopper"}.get(arch, arch), {})
    lengths = (kinds or MMA_K["ampere"]).get(a, MMA_K["fp8"])
    named = family.partition("_k")[2]
    if named:
        lengths = (int(named),)
    elif arch in ("hopper", "blackwell", "rtx_blackwell") and a in ("f16", "bf16", "tf32"):
        lengths = lengths[:1]  # the shorter ones are units of their own
    elif arch == "rtx_blackwell" or arch == "turing":
        lengths = lengths[:1] if a != "f64" else lengths
    for k in lengths:
        for kind in ("kind::f8f6f4.", ""):
            for tile in ("m16n8", "m8n8"):
                shape = f"{tile}k{k}.{kind}{types}"
                if shape in mma_shape_and_type[where]:
                    yield nv_ptx.MMA(where, shape), k


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
        "fp64": torch.float64,
        "fp32": torch.float32,
        "fp16": torch.float16,
        "bf16": torch.bfloat16,
        "fp8_e4m3fn": torch.float8_e4m3fn,
        "ue4m3": torch.float8_e4m3fn,
        "fp8_e5m2": torch.float8_e5m2,
        "fp8_e4m3fnuz": torch.float8_e4m3fnuz,
        "fp8_e5m2fnuz": torch.float8_e5m2fnuz,
        "e8m0": torch.float8_e8m0fnu,
    }
    signed = codes.view(f"i{codes.itemsize}") if codes.itemsize > 1 else codes
    return torch.from_numpy(signed.copy()).view(types[fmt])


def answer(operation: Any, step: int, name: str, *values: np.ndarray) -> np.ndarray:
    """MMA-Sim's d, instruction after instruction along K."""
    import torch

    unit = units[name]
    a, b, c, *scales = values
    forgets = isinstance(unit, TwoStageUnit) and unit.interleaved
    step = 16 if forgets else step
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
        if alpha is None and forgets:  # MMA-Sim takes an infinite or NaN c for a small one and drops it; put it back
            sums = operation.dpa(x, y, d)
            d = torch.where(d.isfinite() | sums.isnan(), sums, d)
        elif alpha is None:
            d = operation.dpa(x, y, d)
        else:
            s = alpha[:, None, i * per : (i + 1) * per].expand(-1, cols, -1)
            t = beta[None, :, i * per : (i + 1) * per].expand(rows, -1, -1)
            d = operation.dpa(x, y, d, s, t)
    return np.asarray(d.numpy())


def compare(name: str, operation: Any, k: int, rows: int, rng: np.random.Generator) -> int:
    """Unequal outputs among rows x rows, of two chained instructions on fresh random bits."""
    unit = units[name]
    if isinstance(unit, FlushedTreeUnit):  # the start of an instruction can be seen
        unit = replace(unit, instruction_products=k)
    values = draw(name, rng, rows, rows, 2 * k)
    scales = dict(zip(("a_scale", "b_scale"), values[3:], strict=False))
    got = mma(*values[:3], unit, **scales)
    return int((~same(unit, got, answer(operation, k, name, *values))).sum())


def record() -> None:
    rng = np.random.default_rng(20261123)
    out = {}
    for name in judged():
        operation, k = next(instructions(name))
        values = draw(name, rng, 8, 8, max(2 * k, 16))
        for part, value in zip(("a", "b", "c", "sa", "sb"), values, strict=False):
            out[f"{name}:{part}"] = value
        out[f"{name}:d"] = answer(operation, k, name, *values)
    np.savez_compressed(VECTORS, **out)


def main(rows: int, prefix: str = "") -> None:
    seed = np.random.SeedSequence().entropy
    print(f"seed {seed}: {rows * rows} outputs an instruction, two instructions chained")
    count = bad = 0
    for name in filter(lambda name: name.startswith(prefix), judged()):
        for operation, k in instructions(name):
            start = time.perf_counter()
            wrong = compare(name, operation, k, rows, np.random.default_rng(seed))
            shape = getattr(operation, "shape_and_type", "") or operation.suffix
            print(f"{name:44s} {shape:60s} {wrong:8d} wrong {time.perf_counter() - start:7.1f} s", flush=True)
            count, bad = count + 1, bad + wrong
    print(f"{count} instructions, {count * rows * rows} outputs, {bad} wrong")


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:]) if len(sys.argv) > 1 else record()
