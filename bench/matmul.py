"""Speed of exact emulated matrix products beside numpy's float32 ``@``: ``python bench/matmul.py [SIZE]``.

Both are timed in turns, on the same shape, in the same run, and the best of each is printed; the emulated time includes
decoding the codes. Set OPENBLAS_NUM_THREADS and NUMBA_NUM_THREADS alike for other numbers of cores.
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
    "nvidia.hopper.wgmma.e4m3",
    "nvidia.hopper.wgmma.f16",
    "nvidia.hopper.wgmma.bf16",
    "nvidia.hopper.wgmma.tf32",
    "nvidia.hopper.mma.e4m3",
    "nvidia.hopper.mma.f16_f16acc",
    "nvidia.ada.mma.e4m3",
    "nvidia.ampere.mma.f16",
    "nvidia.volta.mma.f16",
    "nvidia.blackwell.tcgen05.e2m1",
    "nvidia.blackwell.tcgen05.mx_e4m3",
    "nvidia.blackwell.tcgen05.nvf4",
    "generic.fp16.fma_chain",
)


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
        if entry.is_integer:
            codes.append(rng.integers(0, 1 << entry.bits, (size, size)).astype(entry.code_dtype))
        else:
            codes.append(encode(rng.standard_normal((size, size)).astype(np.float32), fmt))
    scales = {}
    if isinstance(unit, ScaledFusedUnit):
        one = encode(np.ones((size, size // unit.block_size), np.float32), unit.scale_format)
        scales = {"a_scale": one, "b_scale": one}
    return lambda: mma(codes[0], codes[1], None, unit, **scales)


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, size, size)).astype(np.float32)
    macs = float(size) ** 3
    print(f"{size} x {size} x {size}, best of {ROUNDS}; float32 @ is timed in turns with each unit")
    print(f"{'unit':34s} {'M MAC/s':>10s} {'float32 @':>10s} {'ratio':>7s} {'first call':>10s}")
    for name in NAMES:
        call = operands(name, size, rng)
        first = seconds(call)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            theirs.append(seconds(lambda: x @ y.T))
            ours.append(seconds(call))
        best, blas = min(ours), min(theirs)
        print(f"{name:34s} {macs / best / 1e6:10.0f} {macs / blas / 1e6:10.0f} {blas / best:7.3f} {first:9.2f}s")


if __name__ == "__main__":
    main()
