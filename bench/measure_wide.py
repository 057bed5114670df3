"""What cuBLAS picks, and what it costs, over many widths: ``python bench/measure_wide.py OUT [--seconds S]``.

Needs what :mod:`measure_gpu` needs. Writes into OUT ``survey.csv`` (products of ``survey_shapes``: the kernels that
ran, their grids, and their time by the profiler with operands from memory, each alone, so at the full clock),
``gemm.csv`` (the products of ``row_shapes`` in steady state, as :mod:`measure_gpu` measures) and ``nets.csv`` with
``kernels.csv`` (networks of the suite ``wide``).

Shapes are drawn by a hash from the weights of networks and from row counts, so that nobody chose them.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

WEIGHTS = (
    "768x768 2304x768 3072x768 768x3072 1024x1024 3072x1024 4096x1024 1024x4096 1280x1280 3840x1280 5120x1280 "
    "1280x5120 1536x1536 8960x1536 1536x8960 2048x2048 2560x2048 8192x2048 16384x2048 2048x8192 2560x2560 10240x2560 "
    "2560x6912 3072x3072 5120x3072 16384x3072 3072x8192 3584x3584 4608x3584 18944x3584 37888x3584 3584x18944 4096x4096 "
    "6144x4096 12288x4096 22016x4096 28672x4096 4096x11008 4096x14336 5120x5120 15360x5120 27648x5120 5120x13824 "
    "8192x8192 10240x8192 8192x28672 64x256 256x64 128x512 512x128 256x1024 1024x256 512x2048 2048x512 64x576 128x1152 "
    "256x2304 512x4608 96x576 576x96 160x960 960x160 320x1280 1000x1000 1152x1152 4544x4544 6656x6656"
)
"""N x K of weights in transformers, decoders and convolutional networks, and a few odd ones."""
ROWS = (
    "1 2 4 8 16 24 32 40 48 64 80 96 112 128 160 192 197 224 256 320 384 448 512 577 640 768 896 1024 1280 1536 1576 "
    "2048 2560 3072 3136 4096 6272 8192 12544 12608 16384 25088 50176 100352"
)
SURVEY = {"f16": 420, "bf16": 240, "tf32": 640, "e4m3": 380, "s8": 380, "w4a16": 40}
MEASURED = {"tf32": 40, "bf16": 30, "f16": 24, "s8": 22, "e4m3": 16, "w4a16": 14}
"""How many products of each type."""
MOST_MACS, MOST_BYTES, LEAST_MACS = 1.2e11, 1.2e9, 2e6
WIDEST_INT4_ROWS = 640
BATCH, REPEATS, SCRUB_BYTES = 80, 3, 1 << 27
"""Products of one trace, runs of each, and bytes that a kernel between them walks through, more than the L2 holds."""
SURVEY_COLUMNS = ("dtype", "M", "N", "K", "kernels", "us", "grids", "threads", "shared_bytes")


def _drawn(label: str, count: int, dtype: str) -> list[tuple[int, int, int]]:
    """``count`` shapes of a type, in the order of their hashes."""
    found = []
    for weights in WEIGHTS.split():
        n, k = map(int, weights.split("x"))
        for m in map(int, ROWS.split()):
            wide = 4 * (m * k + n * k + m * n) > MOST_BYTES or not LEAST_MACS <= m * n * k <= MOST_MACS
            if wide or (dtype == "w4a16" and (m > WIDEST_INT4_ROWS or n % 8 or k % 1024)):
                continue
            if dtype in ("s8", "e4m3") and (m <= 16 or n % 16 or k % 16):
                continue
            found.append((sha256(f"{label} {dtype} {m} {n} {k}".encode()).hexdigest(), (m, n, k)))
    return [shape for _, shape in sorted(found)[:count]]


def survey_shapes() -> Iterator[tuple[str, int, int, int]]:
    """Products that are traced, the measured ones among them."""
    for dtype, count in SURVEY.items():
        for m, n, k in dict.fromkeys([*_drawn("row", MEASURED[dtype], dtype), *_drawn("survey", count, dtype)]):
            yield dtype, m, n, k


def row_shapes() -> Iterator[tuple[str, int, int, int]]:
    """Products that are measured, the types in turn."""
    drawn = {dtype: _drawn("row", count, dtype) for dtype, count in MEASURED.items()}
    for index in range(max(MEASURED.values())):
        for dtype, shapes in drawn.items():
            if index < len(shapes):
                yield dtype, *shapes[index]


def traced(events: list[dict[str, Any]], marker: str) -> list[list[dict[str, Any]]]:
    """Kernels between markers, in order; what is before the first and after the last is not given."""
    kinds = ("kernel", "gpu_memset", "gpu_memcpy")
    found = sorted((event for event in events if event.get("cat") in kinds), key=lambda event: event["ts"])
    segments: list[list[dict[str, Any]]] = []
    begun = False
    for event in found:
        if marker in event["name"]:
            segments.append([])
            begun = True
        elif begun:
            segments[-1].append(event)
    return segments[:-1]


def survey(stream: TextIO, until: float) -> None:
    """Trace and write the products of ``survey_shapes``."""
    import torch
    from measure_gpu import product
    from torch.profiler import ProfilerActivity, profile

    table = csv.writer(stream)
    table.writerow(SURVEY_COLUMNS)
    scrub = torch.zeros(SCRUB_BYTES // 4, device="cuda")
    marker = "CUDAFunctorOnSelf_add"
    shapes = list(survey_shapes())
    for begin in range(0, len(shapes), BATCH):
        if time.perf_counter() > until:
            print("out of time in the survey at", begin, "of", len(shapes))
            return
        ran: list[tuple[str, int, int, int]] = []
        with profile(activities=[ProfilerActivity.CUDA]) as record:
            for shape in shapes[begin : begin + BATCH]:
                try:
                    run = product(*shape)
                    run()
                except (RuntimeError, TypeError, ValueError) as problem:
                    print(*shape, str(problem).splitlines()[0][:120])
                    continue
                for _ in range(REPEATS):
                    scrub.add_(1.0)
                    run()
                scrub.add_(1.0)
                ran.append(shape)
                del run
            torch.cuda.synchronize()
            scrub.add_(1.0)
            torch.cuda.synchronize()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace.json"
            record.export_chrome_trace(str(path))
            events = json.loads(path.read_text())["traceEvents"]
        segments = traced(events, marker)
        if len(segments) != (REPEATS + 1) * len(ran):
            print("expected", (REPEATS + 1) * len(ran), "segments, found", len(segments))
            continue
        for index, shape in enumerate(ran):
            runs = segments[(REPEATS + 1) * index : (REPEATS + 1) * index + REPEATS]
            last = runs[-1]
            times = [sorted(run[at]["dur"] for run in runs if at < len(run))[0] for at in range(len(last))]
            table.writerow(
                (
                    *shape,
                    " + ".join(event["name"].split("(")[0][-110:] for event in last),
                    " + ".join(f"{us:.2f}" for us in times),
                    " + ".join("x".join(map(str, event["args"].get("grid", ()))) for event in last),
                    " + ".join("x".join(map(str, event["args"].get("block", ()))) for event in last),
                    " + ".join(str(event["args"].get("shared memory", "")) for event in last),
                )
            )
        stream.flush()
        torch.cuda.empty_cache()


def rows(stream: TextIO, device: Any, until: float, window_s: float) -> None:
    """Measure and write the products of ``row_shapes``."""
    import torch
    from measure_gpu import GEMM_COLUMNS, ITEM_BYTES, MOST_COPIES, OPERAND_BYTES, measure, product

    table = csv.writer(stream)
    table.writerow(GEMM_COLUMNS[:-2])
    for shape in row_shapes():
        if time.perf_counter() > until:
            print("out of time at", *shape)
            return
        dtype, m, n, k = shape
        try:
            copies = min(MOST_COPIES, int(-(-OPERAND_BYTES // ((m + n) * k * ITEM_BYTES[dtype]))))
            runs = [product(*shape) for _ in range(copies)]
            found = measure(runs, device, window_s)
        except (RuntimeError, TypeError, ValueError) as problem:
            print(*shape, str(problem).splitlines()[0][:120])
            continue
        ends = found["sm_mhz"], copies, found["calls"]
        table.writerow(
            (*shape, f"{found['us']:.3f}", f"{found['mJ']:.4f}", f"{found['watts']:.1f}", found["ticks"], *ends)
        )
        stream.flush()
        del runs
        torch.cuda.empty_cache()


def main() -> None:
    """Run as the module says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=225, help="for all of it")
    parser.add_argument("--warm", type=float, default=0.2, help="seconds that a row runs before")
    parser.add_argument("--rows-only", action="store_true", help="no survey and no networks")
    parser.add_argument("--window", type=float, default=0.6, help="seconds that a row is timed")
    asked = parser.parse_args()
    import measure_gpu
    import torch

    asked.out.mkdir(exist_ok=True, parents=True)
    measure_gpu.WARM_S = asked.warm
    began = time.perf_counter()
    device, head = measure_gpu.card()
    names = ("survey", "gemm", "nets", "kernels")
    streams = {part: (asked.out / f"{part}.csv").open("w") for part in names}
    for stream in streams.values():
        stream.write(head)

    def say(part: str) -> None:
        print(f"{part}: {time.perf_counter() - began:.0f} s", flush=True)

    with torch.inference_mode():
        try:
            if not asked.rows_only:
                survey(streams["survey"], began + 0.3 * asked.seconds)
        except Exception as problem:
            print("survey:", repr(problem))
        say("survey")
        share = 1.0 if asked.rows_only else 0.84
        rows(streams["gemm"], device, began + share * asked.seconds, asked.window)
        say("rows")
        if asked.rows_only:
            return
        try:
            measure_gpu.write_networks(
                "wide", device, streams["nets"], streams["kernels"], began + 0.96 * asked.seconds, asked.window
            )
        except Exception as problem:
            print("networks:", repr(problem))
    say("all")
    for stream in streams.values():
        stream.close()


if __name__ == "__main__":
    main()
