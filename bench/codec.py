"""Speed of encodings beside other people's and beside copying memory.

    python bench/codec.py [--side 4096] [--repeat 7]

Input is float32 [side, side], normal. Each figure is the best of ``repeat`` rounds in M elements/s; a peer is timed in
turn with hwsim, so that both meet the same load. ``of copy`` is bytes read and written a second over what numpy reaches
when it copies the float32 array: 1.00 is the memory's own speed. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hwsim.numerics import (
    decode,
    encode,
    encode_scaled,
    formats,
    pack,
    quantize_tensor,
    random_bits,
    unpack,
)
from hwsim.numerics.fused import quantize_packed

ML_DTYPES = {
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
TORCH = {"fp8_e4m3fn": "float8_e4m3fn", "fp8_e5m2": "float8_e5m2", "bf16": "bfloat16", "fp16": "float16"}
PLAIN = ("int8", "fp4_e1m2", "tf32", "nf4", "fp8_hif8")

Call = Callable[[], object]


def module(name: str) -> Any:
    """The package, or None where it is missing or does not load."""
    from importlib import import_module

    try:
        return import_module(name)
    except Exception:  # a peer's own trouble is not this program's
        return None


class Table:
    """Prints one line a measurement; `copy` is the memory's speed in bytes/s."""

    def __init__(self, elements: int, repeat: int) -> None:
        self.elements, self.repeat, self.copy = elements, repeat, 0.0

    def best(self, *calls: Call) -> list[float]:
        """M elements/s of each call, the calls taking turns."""
        for call in calls:
            call()
        least = [float("inf")] * len(calls)
        for _ in range(self.repeat):
            for place, call in enumerate(calls):
                start = time.perf_counter()
                call()
                least[place] = min(least[place], time.perf_counter() - start)
        return [self.elements / seconds / 1e6 for seconds in least]

    def line(self, what: str, bytes_each: float, mine: Call, **peers: Call | None) -> None:
        """``bytes_each``: read and written an element."""
        known = {name: call for name, call in peers.items() if call is not None}
        rate, *others = self.best(mine, *known.values())
        beside = "  ".join(f"{name} {r:,.0f} ({rate / r:.1f}x)" for name, r in zip(known, others, strict=True))
        share = f"{rate * 1e6 * bytes_each / self.copy:8.2f}" if self.copy else " " * 8
        print(f"{what:42s} {rate:10,.0f} {share}  {beside}", flush=True)


def ml_dtypes_cast(x: np.ndarray, name: str) -> Call | None:
    ml_dtypes = module("ml_dtypes")
    if ml_dtypes is None or name not in ML_DTYPES:
        return None
    dtype = np.dtype(getattr(ml_dtypes, ML_DTYPES[name]))
    return lambda: x.astype(dtype)


def torch_cast(x: np.ndarray, name: str) -> Call | None:
    torch = module("torch")
    if torch is None or name not in TORCH:
        return None
    tensor, dtype = torch.from_numpy(x), getattr(torch, TORCH[name])
    return lambda: tensor.to(dtype)


def torchao_blocks(x: np.ndarray, name: str) -> Call | None:
    torch, mx = module("torch"), module("torchao.prototype.mx_formats.mx_tensor")
    nvfp4 = module("torchao.prototype.mx_formats.nvfp4_tensor")
    if torch is None or mx is None or nvfp4 is None:
        return None
    tensor = torch.from_numpy(x)
    if name == "nvfp4":
        return lambda: nvfp4.nvfp4_quantize(tensor, 16, tensor.abs().max() / (448 * 6))
    dtype = {"mxfp4": "float4_e2m1fn_x2", "mxfp8_e4m3": "float8_e4m3fn"}[name]
    return lambda: mx.to_mx(tensor, getattr(torch, dtype), 32)


def bitsandbytes_blocks(x: np.ndarray, name: str) -> Call | None:
    torch, functional = module("torch"), module("bitsandbytes.functional")
    if torch is None or functional is None:
        return None
    tensor = torch.from_numpy(x)
    return lambda: functional.quantize_4bit(tensor, blocksize=64, quant_type=name)


def gguf_blocks(x: np.ndarray, name: str) -> Call | None:
    gguf, quants = module("gguf"), module("gguf.quants")
    if quants is None:
        return None
    kind = gguf.GGMLQuantizationType[name.upper()]
    return lambda: quants.quantize(x, kind)


def encoders(table: Table, x: np.ndarray) -> None:
    for name in dict.fromkeys((*ML_DTYPES, *TORCH, *PLAIN)):
        source = np.abs(x) + np.float32(1e-3) if name == "e8m0" else x
        width = formats[name].code_dtype.itemsize
        peers = {"ml_dtypes": ml_dtypes_cast(source, name), "torch": torch_cast(source, name)}
        table.line(f"encode {name}", 4 + width, lambda s=source, n=name: encode(s, n), **peers)
    wide = x.astype(np.float64)
    for name in ("fp4_e2m1", "fp8_e4m3fn", "int8"):
        table.line(
            f"encode {name} from float64", 9, lambda n=name: encode(wide, n), ml_dtypes=ml_dtypes_cast(wide, name)
        )
    chance = random_bits(x.shape, seed=1)
    table.line("random_bits", 4, lambda: random_bits(x.shape, seed=1))
    table.line(
        "encode fp8_e4m3fn stochastic", 9, lambda: encode(x, "fp8_e4m3fn", rounding="stochastic", random_bits=chance)
    )
    table.line("encode fp8_e4m3fn up", 5, lambda: encode(x, "fp8_e4m3fn", rounding="up"))
    channel = np.full(x.shape[0], 0.03, np.float32)
    for name in ("int8", "int4", "fp8_e4m3fn"):
        table.line(f"encode_scaled {name}", 5, lambda n=name: encode_scaled(x, np.float32(0.03), None, n))
        last = f"encode_scaled {name} per channel, last axis"
        table.line(last, 5, lambda n=name: encode_scaled(x, channel, None, n, axis=-1))


def blocks(table: Table, x: np.ndarray) -> None:
    for name in ("mxfp4", "nvfp4"):
        bits = 4.5 if name == "nvfp4" else 4.25
        table.line(
            f"quantize and pack {name}",
            4 + bits / 8,
            lambda n=name: quantize_packed(x, n),
            torchao=torchao_blocks(x, name),
        )
    table.line(
        "quantize_tensor mxfp8_e4m3",
        5,
        lambda: quantize_tensor(x, "mxfp8_e4m3"),
        torchao=torchao_blocks(x, "mxfp8_e4m3"),
    )
    for name in ("mxfp4", "nvfp4", "int8", "int4_g128", "hif4", "mx9"):
        table.line(f"quantize_tensor {name}", 5, lambda n=name: quantize_tensor(x, n))
    for name in ("q4_0", "q8_0"):
        table.line(f"quantize_tensor {name}", 5, lambda n=name: quantize_tensor(x, n), gguf=gguf_blocks(x, name))
    from hwsim.numerics.schemes import bitsandbytes

    table.line(
        "bitsandbytes nf4, packed", 4.5, lambda: bitsandbytes(x, "nf4"), bitsandbytes=bitsandbytes_blocks(x, "nf4")
    )
    quantized = quantize_tensor(x, "mxfp4")
    table.line("dequantize mxfp4", 5, quantized.dequantize)


def decoders(table: Table, x: np.ndarray) -> None:
    ml_dtypes = module("ml_dtypes")
    for name in ("fp4_e2m1", "fp8_e4m3fn", "fp8_e5m2", "int8", "nf4", "bf16", "fp16"):
        codes = encode(x, name)
        peer = None
        if ml_dtypes is not None and name in ML_DTYPES:
            typed = codes.view(np.dtype(getattr(ml_dtypes, ML_DTYPES[name])))
            peer = lambda t=typed: t.astype(np.float32)  # noqa: E731
        table.line(f"decode {name}", 4 + codes.itemsize, lambda c=codes, n=name: decode(c, n), ml_dtypes=peer)
    for name, layout in (
        ("fp4_e2m1", "low_first"),
        ("uint4", "awq"),
        ("int4_offset", "ggml"),
        ("nf4", "high_first"),
        ("fp6_e2m3", "low_first"),
        ("int2", "low_first"),
        ("binary", "low_first"),
    ):
        codes = encode(x, name)
        raw = pack(codes, name, layout)
        each = 1 + formats[name].bits / 8
        table.line(f"pack {name} {layout}", each, lambda c=codes, n=name, k=layout: pack(c, n, k))
        table.line(f"unpack {name} {layout}", each, lambda r=raw, n=name, k=layout: unpack(r, n, x.shape, layout=k))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--repeat", type=int, default=7)
    arguments = parser.parse_args()
    shape = (arguments.side, arguments.side)
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    spare = np.empty_like(x)
    table = Table(x.size, arguments.repeat)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    print(f"float32 {shape}, {cores} cores, load {load}")
    print(f"{'':42s} {'hwsim M/s':>10s} {'of copy':>8s}  peers M/s (hwsim / peer)")
    (copy,) = table.best(lambda: np.copyto(spare, x))
    table.copy = copy * 1e6 * 8
    print(f"{'copy (numpy)':42s} {copy:10,.0f} {1:8.2f}  {table.copy / 1e9:.1f} GB/s")
    encoders(table, x)
    blocks(table, x)
    decoders(table, x)
    if hasattr(os, "getloadavg"):
        print("load at the end:", ", ".join(f"{value:.1f}" for value in os.getloadavg()))


if __name__ == "__main__":
    main()
