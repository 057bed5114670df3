"""Speed of exact emulated matrix products beside numpy's float32 ``@`` and MMA-Sim: ``python bench/matmul.py [SIZE]``.

The product and ``@`` are timed in turns, on the same shape, in the same run, and the best of each is printed; the
emulated time includes decoding the codes. MMA-Sim (PyPI mmasim, where it is installed) is timed on the largest
instruction of the unit's name that it has. Set OPENBLAS_NUM_THREADS and NUMBA_NUM_THREADS alike for other numbers of
cores.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from hwsim.numerics.catalog import formats
from hwsim.numerics.codec import encode
from hwsim.numerics.format import Format
from hwsim.numerics.matrix import mma
from hwsim.numerics.unit import ScaledFusedUnit
from hwsim.numerics.unit_catalog import units

ROUNDS = 7
NAMES = (
    "hwsim.rtl.int4",
    "hwsim.rtl.int4_sat",
    "hwsim.rtl.int4_sm",
    "hwsim.rtl.int8",
    "ascend.cube.int8",
    "nvidia.hopper.mma.u8",
    "nvidia.hopper.mma.u8_s8",
    "generic.binary.xnor",
    "nvidia.hopper.wgmma.e4m3",
    "nvidia.hopper.wgmma.f16",
    "nvidia.hopper.wgmma.bf16",
    "nvidia.hopper.wgmma.tf32",
    "nvidia.hopper.mma.e4m3",
    "nvidia.hopper.mma.f16",
    "nvidia.hopper.mma.f16_f16acc",
    "nvidia.ada.mma.e4m3",
    "nvidia.ampere.mma.f16",
    "nvidia.volta.mma.f16",
    "nvidia.blackwell.tcgen05.e2m1",
    "nvidia.blackwell.tcgen05.mx_e4m3",
    "nvidia.blackwell.tcgen05.nvf4",
    "amd.cdna1.mfma.f16",
    "amd.cdna2.mfma.f16",
    "amd.cdna3.mfma.f16",
    "amd.cdna3.mfma.fp8",
    "ascend.cube.f16",
    "generic.fp16.fma_chain",
)
MMASIM = {  # unit: MMA-Sim's class, architecture and instruction, and the torch type of its operands
    "nvidia.hopper.wgmma.e4m3": ("WGMMA", "Hopper", "m64n256k32.f32.e4m3.e4m3", "float8_e4m3fn"),
    "nvidia.hopper.wgmma.f16": ("WGMMA", "Hopper", "m64n256k16.f32.f16.f16", "float16"),
    "nvidia.hopper.wgmma.bf16": ("WGMMA", "Hopper", "m64n256k16.f32.bf16.bf16", "bfloat16"),
    "nvidia.hopper.wgmma.tf32": ("WGMMA", "Hopper", "m64n256k8.f32.tf32.tf32", "float32"),
    "nvidia.hopper.mma.f16": ("MMA", "Hopper", "m16n8k16.f32.f16.f16.f32", "float16"),
    "nvidia.ada.mma.e4m3": ("MMA", "Ada Lovelace", "m16n8k32.f32.e4m3.e4m3.f32", "float8_e4m3fn"),
    "nvidia.ampere.mma.f16": ("MMA", "Ampere", "m16n8k16.f32.f16.f16.f32", "float16"),
}


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def operands(name: str, size: int, rng: np.random.Generator) -> Callable[[], object]:
    """A call of ``mma`` on random operands: every code of an integer format, normal variates otherwise."""
    unit = units[name]
    codes = []
    for fmt in (unit.a_format, unit.b_format):
        entry = formats[fmt]
        assert isinstance(entry, Format)
        if unit.accumulator == "int32":
            codes.append(rng.integers(0, 1 << entry.bits, (size, size)).astype(entry.code_dtype))
        else:
            codes.append(encode(rng.standard_normal((size, size)).astype(np.float32), fmt))
    scales = {}
    if isinstance(unit, ScaledFusedUnit):
        one = encode(np.ones((size, size // unit.block_size), np.float32), unit.scale_format)
        scales = {"a_scale": one, "b_scale": one}
    return lambda: mma(codes[0], codes[1], None, unit, **scales)


def mmasim_rate(name: str) -> float | None:
    """MAC/s of MMA-Sim on one instruction, best of some; None where it is not installed or has no such instruction."""
    if name not in MMASIM:
        return None
    try:
        import torch
        from mmasim import nv_ptx
    except ImportError:
        return None
    kind, arch, instruction, dtype = MMASIM[name]
    operation = getattr(nv_ptx, kind)(arch, instruction)
    m, n, k = operation.m, operation.n, operation.k
    a, b = (torch.randn(shape).to(getattr(torch, dtype)) for shape in ((m, k), (k, n)))
    c = torch.zeros(m, n)
    return float(m * n * k) / min(seconds(lambda: operation(a, b, c)) for _ in range(ROUNDS))


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, size, size)).astype(np.float32)
    macs = float(size) ** 3
    print(f"{size} x {size} x {size}, best of {ROUNDS}; float32 @ is timed in turns with each unit; M MAC/s")
    print(
        f"{'unit':34s} {'hwsim':>8s} {'float32 @':>10s} {'ratio':>7s} {'mmasim':>8s} {'ratio':>7s} {'first call':>10s}"
    )
    for name in NAMES:
        call = operands(name, size, rng)
        first = seconds(call)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            theirs.append(seconds(lambda: x @ y.T))
            ours.append(seconds(call))
        best, blas = min(ours), min(theirs)
        peer = mmasim_rate(name)
        beside = f"{peer / 1e6:8.2f} {macs / best / peer:7.0f}" if peer else f"{'-':>8s} {'-':>7s}"
        speeds = f"{macs / best / 1e6:8.0f} {macs / blas / 1e6:10.0f} {blas / best:7.3f}"
        print(f"{name:34s} {speeds} {beside} {first:9.2f}s", flush=True)


if __name__ == "__main__":
    main()
