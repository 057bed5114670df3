"""Measure an NVIDIA GPU as the GPU model is judged: ``python bench/measure_gpu.py OUT [--suite held|short|other]``.

Needs PyTorch with CUDA, torchvision, transformers and nvidia-ml-py on the machine with the GPU; nothing of hwsim.
Writes into OUT ``gemm.csv`` (products C = A x B^T, as tests/data/h100/gemm.csv, with the kernels that ran),
``nets.csv`` (whole networks in one CUDA graph) and ``kernels.csv`` (every kernel of those networks, its mean time).

Method: a row is captured in a CUDA graph over as many copies of its operands as make 256 MB, so that they come from
memory; replays warm up for 0.3 s and are then timed by events for 0.9 s. Energy is the board's counter between its
first and last tick in that time; the clock is read once in it. Clocks and limits of the card are left as found.
"""

from __future__ import annotations

import argparse
import csv
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pynvml
import torch
from measure_nets import networks
from torch.profiler import ProfilerActivity, profile

GEMM_COLUMNS = (
    *("dtype", "M", "N", "K", "us", "mJ", "watts"),
    *("ticks", "sm_mhz", "copies", "calls", "kernel", "kernel_us"),
)
WARM_S, WINDOW_S, GRAPH_S = 0.3, 0.9, 0.004
OPERAND_BYTES, MOST_COPIES = 256e6, 24

HELD = {
    "f16": (
        "1x4096x4096 8x11008x4096 16x4096x4096 16x28672x4096 32x22016x4096 64x6144x4096 64x28672x4096 "
        "128x4096x4096 128x12288x4096 128x4096x11008 256x4096x4096 256x12288x4096 384x5120x5120 512x4096x4096 "
        "512x11008x4096 512x4096x14336 512x2304x768 1024x1024x1024 1024x4096x4096 1024x11008x4096 "
        "1000x1000x1000 2048x4096x4096 2048x28672x4096 3000x3000x3000 4096x4096x4096 4096x768x768 "
        "4096x3072x768 4096x768x3072 12608x2304x768 12608x768x3072 25088x128x1152 3136x256x64 200704x64x256 "
        "1568x2048x512 392x512x4608 16384x8192x4096 777x1333x2056 768x4096x4096 384x11008x4096 1576x2304x768 "
        "788x3072x768 12544x256x64 3136x512x2048 50176x64x576"
    ),
    "bf16": (
        "16x28672x4096 128x4096x11008 512x4096x4096 1024x4096x4096 1576x3072x768 2048x2048x2048 "
        "4096x4096x4096 512x11008x4096 4096x3072x768 1000x1000x1000 64x4096x4096 256x11008x4096 "
        "1024x4096x14336 512x4096x14336 128x768x768"
    ),
    "tf32": (
        "16x11008x4096 64x4096x4096 256x11008x4096 512x512x512 1024x4096x11008 1576x3072x768 2048x2048x2048 "
        "1024x6144x4096 4096x4096x4096 6272x256x2304 100352x64x576 128x768x768 1576x768x768 4096x11008x4096 "
        "128x4096x4096 512x4096x4096 256x4096x4096 3000x3000x3000 12608x768x3072 25088x128x1152 512x2304x768"
    ),
    "e4m3": (
        "16x4096x4096 16x28672x4096 64x6144x4096 128x4096x4096 128x12288x4096 256x12288x4096 512x4096x4096 "
        "512x11008x4096 512x4096x14336 1024x1024x1024 1024x4096x4096 2048x4096x4096 2048x28672x4096 "
        "4096x4096x4096 4096x3072x768 4096x768x3072 12608x2304x768 25088x128x1152 16384x8192x4096 "
        "256x4096x4096 32x4096x14336 1576x2304x768 3136x512x2048 768x4096x4096"
    ),
    "s8": (
        "32x4096x4096 64x6144x4096 128x4096x4096 128x12288x4096 256x12288x4096 512x4096x4096 512x11008x4096 "
        "1024x1024x1024 1024x4096x4096 1000x1000x1000 2048x4096x4096 4096x4096x4096 4096x3072x768 "
        "4096x768x3072 12608x2304x768 25088x128x1152 3136x256x64 16384x8192x4096 32x11008x4096 256x4096x4096 "
        "1024x11008x4096 512x4096x14336 1576x2304x768 3136x512x2048 3000x3000x3000"
    ),
    "w4a16": (
        "1x4096x4096 1x11008x4096 16x4096x4096 16x12288x4096 32x11008x4096 64x6144x4096 128x4096x4096 "
        "256x12288x4096 512x4096x4096 16x4096x14336"
    ),
}
"""Shapes M x N x K by operand type; none is in tests/data/h100/gemm.csv."""
AGAIN = {
    "f16": "4096x6144x4096 1568x512x4608 1576x3072x768 64x12288x4096 512x512x512",
    "bf16": "4096x6144x4096",
    "tf32": "4096x6144x4096 1576x768x3072 8192x3072x768",
    "e4m3": "4096x6144x4096 1568x512x4608 64x12288x4096",
    "s8": "4096x6144x4096 1576x3072x768 2048x2048x2048 1576x768x3072",
    "w4a16": "16x6144x4096",
}
"""Shapes of that file, which tie this card to that one."""
SHORT = {
    "f16": (
        "16x11008x4096 64x12288x4096 64x4096x11008 256x11008x4096 512x4096x4096 1024x4096x11008 "
        "1024x6144x4096 1576x3072x768 2048x2048x2048 4096x4096x11008 4096x12288x4096 100352x64x576 "
        "6272x256x2304 8192x3072x768"
    ),
    "bf16": "16x6144x4096 64x4096x11008 1576x768x3072 4096x6144x4096 8192x3072x768",
    "tf32": "16x6144x4096 64x12288x4096 256x4096x14336 4096x6144x4096",
    "e4m3": (
        "16x11008x4096 64x12288x4096 256x4096x14336 1024x4096x14336 1024x6144x4096 1576x768x3072 "
        "2048x2048x2048 4096x6144x4096 8192x3072x768"
    ),
    "s8": "64x12288x4096 256x11008x4096 1024x12288x4096 4096x11008x4096",
    "w4a16": "16x6144x4096 64x4096x11008 1024x6144x4096",
}
"""For a second card: shapes of both."""
OTHER = {
    "f16": (
        "24x8192x8192 48x5120x5120 96x3584x18944 192x8960x1536 320x4096x4096 640x2560x2560 896x4864x896 "
        "1024x1024x4096 1536x8960x1536 2048x1024x1024 3584x3584x3584 6144x6144x1024 1152x1152x1152 1001x1001x1001 "
        "1234x2345x512 2049x4097x1023 197x768x3072 401408x32x32 802816x24x144 6272x960x160 25088x576x96 5000x5000x500"
    ),
    "bf16": "40x10240x2560 197x3072x768 2056x1992x1000 448x18944x3584 7000x7000x700",
    "tf32": (
        "8x4096x4096 48x5120x5120 96x8192x2048 192x3072x3072 384x5120x5120 640x2560x2560 1152x1152x1152 "
        "768x9216x3072 1536x1536x8960 3136x512x2048 12544x256x1152 2048x8192x2048 5000x5000x500 1001x1001x1001 "
        "3072x3072x3072 16384x1024x1024"
    ),
    "e4m3": "24x8192x8192 96x3584x18944 320x4096x4096 640x2560x2560 1536x8960x1536 3584x3584x3584 6144x6144x1024",
    "s8": "48x5120x5120 192x3072x3072 640x2560x2560 1536x8960x1536 3584x3584x3584 12544x256x1152",
    "w4a16": "8x5120x5120 24x8192x8192 192x3072x3072 640x2560x2560",
}
"""Shapes of neither that file nor the others: widths of other networks, and odd ones."""
STREAMS = {"copy": 1 << 30, "fill": 1 << 30, "tiny": 4096}
"""Bytes that elementwise kernels move; ``tiny`` is all launch. ``K`` holds them in gemm.csv."""
ITEM_BYTES = {"f16": 2, "bf16": 2, "tf32": 4, "e4m3": 1, "s8": 1, "w4a16": 0.5}


def product(dtype: str, m: int, n: int, k: int) -> Callable[[], Any]:
    """A function that computes one product, on operands of its own; or one of ``STREAMS``, of k bytes."""
    if dtype in STREAMS:
        x = torch.zeros(k // 4, device="cuda")
        if dtype == "copy":
            y = torch.empty(k // 8, device="cuda")
            return lambda: y.copy_(x[: k // 8])
        return (lambda: x.fill_(1.0)) if dtype == "fill" else (lambda: x.add_(1.0))

    def draw(rows: int) -> torch.Tensor:
        if dtype == "s8":
            return torch.randint(-128, 128, (rows, k), device="cuda", dtype=torch.int8)
        kind = {"f16": torch.half, "bf16": torch.bfloat16, "tf32": torch.float32}.get(dtype, torch.bfloat16)
        found = torch.randn(rows, k, device="cuda", dtype=kind)
        return found.to(torch.float8_e4m3fn) if dtype == "e4m3" else found

    a = draw(m)
    if dtype == "w4a16":
        codes = torch.randint(0, 256, (n, k // 2), device="cuda", dtype=torch.uint8)
        packed = torch._convert_weight_to_int4pack(codes, 8)
        scales = torch.rand(k // 128, n, 2, device="cuda", dtype=torch.bfloat16)
        return lambda: torch._weight_int4pack_mm(a, packed, 128, scales)
    b = draw(n).t()
    if dtype == "s8":
        return lambda: torch._int_mm(a, b)
    if dtype == "e4m3":
        one = torch.ones((), device="cuda")
        return lambda: torch._scaled_mm(a, b, one, one, out_dtype=torch.bfloat16, use_fast_accum=True)
    return lambda: a @ b


def captured(runs: list[Callable[[], Any]]) -> tuple[torch.cuda.CUDAGraph, int]:
    """A graph of at least GRAPH_S of the runs in turn, and how often it calls one."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for run in (*runs[:1] * 3, *runs):
            run()
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for run in runs:
            run()
        torch.cuda.synchronize()
        once = time.perf_counter() - begin
    rounds = max(1, min(64, math.ceil(GRAPH_S / once))) if len(runs) > 1 else 1
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(rounds):
            for run in runs:
                run()
    return graph, rounds * len(runs)


def measure(runs: list[Callable[[], Any]], device: Any, window_s: float = WINDOW_S) -> dict[str, float]:
    """Latency, energy and clock of one run in steady state."""
    graph, calls = captured(runs)
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(3):
        graph.replay()
    torch.cuda.synchronize()
    each = (time.perf_counter() - begin) / 3
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for _ in range(math.ceil(WARM_S / each)):
        graph.replay()
    start.record()
    replays = math.ceil(window_s / each)

    def launch() -> None:
        for _ in range(replays):
            graph.replay()
        stop.record()

    # Launches block when the queue is full, so they have a thread of their own.
    launcher = threading.Thread(target=launch)
    launcher.start()
    ticks: list[tuple[float, float]] = []
    mhz, known = 0, -1
    while not start.query():
        time.sleep(1e-3)
    begin = time.perf_counter()
    while launcher.is_alive() or not stop.query():
        joules = pynvml.nvmlDeviceGetTotalEnergyConsumption(device)
        now = time.perf_counter()
        if joules != known:
            known = joules
            ticks.append((now, joules / 1e3))
        if not mhz and now - begin > window_s / 2:
            mhz = pynvml.nvmlDeviceGetClockInfo(device, pynvml.NVML_CLOCK_SM)
        time.sleep(5e-4)
    launcher.join()
    us = start.elapsed_time(stop) * 1e3 / (replays * calls)
    ticks = ticks[1:]  # the first was there before
    watts = (ticks[-1][1] - ticks[0][1]) / (ticks[-1][0] - ticks[0][0]) if len(ticks) > 1 else math.nan
    return {
        "us": us,
        "mJ": watts * us / 1e3,
        "watts": watts,
        "ticks": len(ticks),
        "sm_mhz": mhz,
        "calls": replays * calls,
    }


def kernels(run: Callable[[], Any]) -> list[tuple[str, float, float]]:
    """Kernels of one run: name, calls, mean us."""
    run()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as traced:
        for _ in range(3):
            run()
        torch.cuda.synchronize()
    found = [event for event in traced.key_averages() if event.device_time_total]
    found.sort(key=lambda event: -event.device_time_total)
    return [(event.key, event.count / 3, event.device_time_total / event.count) for event in found]


def products(suite: str) -> Iterator[tuple[str, int, int, int]]:
    """Rows of a suite."""
    for group in {"held": (AGAIN, HELD), "short": (SHORT,), "other": (OTHER,)}[suite]:
        for dtype, shapes in group.items():
            for shape in shapes.split():
                m, n, k = map(int, shape.split("x"))
                yield dtype, m, n, k
    if suite == "other":
        for kind, size in STREAMS.items():
            yield kind, 0, 0, size


def main() -> None:
    """Run as the module says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--suite", choices=("held", "short", "other"), default="held")
    parser.add_argument("--seconds", type=float, default=480, help="start no row after this")
    parser.add_argument("--window", type=float, default=WINDOW_S, help="seconds that a row is timed")
    parser.add_argument("--resume", type=Path, help="leave out the products of this gemm.csv")
    asked = parser.parse_args()
    asked.out.mkdir(exist_ok=True, parents=True)
    began = time.perf_counter()
    device, head = card()
    with (
        (asked.out / "nets.csv").open("w") as nets_file,
        (asked.out / "gemm.csv").open("w") as gemm_file,
        (asked.out / "kernels.csv").open("w") as kernel_file,
        torch.inference_mode(),
    ):
        for stream in (nets_file, gemm_file, kernel_file):
            stream.write(head)
        try:
            write_networks(asked.suite, device, nets_file, kernel_file, began + asked.seconds / 2, asked.window)
        except Exception as problem:
            print(problem)
        write_products(asked.suite, device, gemm_file, began + asked.seconds, asked.resume, asked.window)
    print(f"{time.perf_counter() - began:.0f} s")


def card() -> tuple[Any, str]:
    """The first GPU, as NVML knows it, after a second at rest; and the line that says in a file what it is."""
    torch.backends.cuda.matmul.allow_tf32 = True
    pynvml.nvmlInit()
    device = pynvml.nvmlDeviceGetHandleByIndex(0)
    torch.zeros(1, device="cuda")
    time.sleep(1)
    idle_w = pynvml.nvmlDeviceGetPowerUsage(device) / 1e3
    limit_w = pynvml.nvmlDeviceGetPowerManagementLimit(device) / 1e3
    name = torch.cuda.get_device_name(0)
    return device, f"# {name}; idle_watts={idle_w}; power_limit={limit_w}; torch={torch.__version__}\n"


def write_products(suite: str, device: Any, stream: TextIO, until: float, known: Path | None, window_s: float) -> None:
    """Measure and write the products."""
    table = csv.writer(stream)
    table.writerow(GEMM_COLUMNS)
    done = {tuple(line.split(",")[:4]) for line in known.read_text().splitlines()} if known else set()
    for dtype, m, n, k in products(suite):
        if (dtype, str(m), str(n), str(k)) in done:
            continue
        if time.perf_counter() > until:
            print("out of time at", dtype, m, n, k)
            break
        try:
            held = (m + n) * k * ITEM_BYTES[dtype] if dtype in ITEM_BYTES else k
            copies = min(MOST_COPIES, math.ceil(OPERAND_BYTES / held))
            runs = [product(dtype, m, n, k) for _ in range(copies)]
            found = measure(runs, device, window_s)
            ran = kernels(runs[0])
        except (RuntimeError, TypeError, ValueError) as problem:
            print(dtype, m, n, k, str(problem).splitlines()[0][:160])
            continue
        names = " + ".join(name.split("(")[0][-120:] for name, _, _ in ran)
        row = (dtype, m, n, k, f"{found['us']:.3f}", f"{found['mJ']:.4f}", f"{found['watts']:.1f}", found["ticks"])
        table.writerow(
            (*row, found["sm_mhz"], copies, found["calls"], names, " + ".join(f"{us:.2f}" for _, _, us in ran))
        )
        stream.flush()
        del runs
        torch.cuda.empty_cache()


def write_networks(
    suite: str, device: Any, stream: TextIO, kernel_stream: TextIO, until: float, window_s: float
) -> None:
    """Measure and write the networks and their kernels."""
    table, traced = csv.writer(stream), csv.writer(kernel_stream)
    table.writerow(["network", "detail", "us", "mJ", "watts", "ticks", "sm_mhz", "runs"])
    traced.writerow(["network", "detail", "count", "us", "kernel"])
    for name, detail, run in networks(suite):
        if time.perf_counter() > until:
            print("out of time at", name, detail)
            break
        try:
            found = measure([run], device, window_s)
            ran = kernels(run)
        except (RuntimeError, TypeError, ValueError) as problem:
            print(name, detail, str(problem).splitlines()[0][:160])
            continue
        row = (name, detail, f"{found['us']:.2f}", f"{found['mJ']:.3f}", f"{found['watts']:.1f}", found["ticks"])
        table.writerow((*row, found["sm_mhz"], found["calls"]))
        for kernel, count, us in ran:
            traced.writerow((name, detail, f"{count:g}", f"{us:.2f}", kernel[:200]))
        stream.flush()
        kernel_stream.flush()
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
