"""Speed of encodings: M elements/s of hwsim, of ml_dtypes where it has the format, and their ratio.

    python bench/encodings.py [--side 4096] [--repeat 5]

Input is float32 [side, side], normal; each figure is the best of ``repeat`` runs after one warm-up. ``copy`` is numpy
copying the same float32 array: what one core's memory path allows an operation that reads and writes 4 bytes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from hwsim.numerics import decode, encode, encode_scaled, formats, pack, quantize_tensor, unpack

PEERS = {
    "fp4_e2m1": "float4_e2m1fn",
    "fp6_e2m3": "float6_e2m3fn",
    "fp6_e3m2": "float6_e3m2fn",
    "fp8_e4m3fn": "float8_e4m3fn",
    "fp8_e5m2": "float8_e5m2",
    "fp8_e4m3fnuz": "float8_e4m3fnuz",
    "e8m0": "float8_e8m0fnu",
    "bf16": "bfloat16",
    "int4": "int4",
}
PLAIN = ("int8", "fp4_e1m2", "fp16", "tf32", "nf4")


def rate(call: Callable[[], object], elements: int, repeat: int) -> float:
    """Best M elements/s."""
    call()
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return elements / best / 1e6


def peer_dtype(name: str) -> np.dtype | None:
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(getattr(ml_dtypes, PEERS[name])) if name in PEERS else None


def line(what: str, mine: float, theirs: float | None = None) -> None:
    peer = "" if theirs is None else f"{theirs:10,.0f} {mine / theirs:8.1f}x"
    print(f"{what:42s} {mine:10,.0f} {peer}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    shape = (arguments.side, arguments.side)
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    wide = x.astype(np.float64)
    spare = np.empty_like(x)

    def measure(call: Callable[[], object]) -> float:
        return rate(call, x.size, arguments.repeat)

    print(f"{'float32 ' + str(shape):42s} {'hwsim M/s':>10s} {'ml_dtypes':>10s} {'ratio':>9s}")
    line("copy (numpy)", measure(lambda: np.copyto(spare, x)))
    for name in (*PEERS, *PLAIN):
        dtype = peer_dtype(name)
        source = np.abs(x) + np.float32(1e-3) if name == "e8m0" else x
        line(
            f"encode {name}",
            measure(lambda name=name, source=source: encode(source, name)),
            None if dtype is None else measure(lambda dtype=dtype, source=source: source.astype(dtype)),
        )
    for name in ("fp4_e2m1", "fp8_e4m3fn", "int8"):
        line(f"encode {name} from float64", measure(lambda name=name: encode(wide, name)))
    random = np.random.default_rng(1).integers(0, 2**32, shape, np.uint32)
    stochastic = measure(lambda: encode(x, "fp8_e4m3fn", rounding="stochastic", random_bits=random))
    line("encode fp8_e4m3fn stochastic", stochastic)
    for name in ("int8", "int4", "fp8_e4m3fn"):
        tensor, channel = np.float32(0.03), np.full(shape[0], 0.03, np.float32)
        line(f"encode_scaled {name}", measure(lambda name=name, s=tensor: encode_scaled(x, s, None, name)))
        line(
            f"encode_scaled {name} per channel, last axis",
            measure(lambda name=name, s=channel: encode_scaled(x, s, None, name, axis=-1)),
        )
    for name in ("int8", "mxfp4", "nvfp4", "mxfp8_e4m3", "int4_g128"):
        line(f"quantize_tensor {name}", measure(lambda name=name: quantize_tensor(x, name)))
    quantized = quantize_tensor(x, "mxfp4")
    line("dequantize mxfp4", measure(quantized.dequantize))
    for name in ("fp4_e2m1", "fp8_e4m3fn"):
        codes, dtype = encode(x, name), peer_dtype(name)
        peer = None if dtype is None else measure(lambda c=codes, d=dtype: c.view(d).astype(np.float32))
        line(f"decode {name}", measure(lambda c=codes, name=name: decode(c, name)), peer)
    for name in ("fp4_e2m1", "fp6_e2m3"):
        codes = encode(x, name)
        raw = pack(codes, name)
        line(f"pack {name} ({formats[name].bits} bits)", measure(lambda c=codes, name=name: pack(c, name)))
        line(f"unpack {name}", measure(lambda r=raw, name=name: unpack(r, name, shape)))


if __name__ == "__main__":
    main()
