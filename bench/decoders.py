"""Perplexity of a decoder with few-bit weights: methods by bits by group size, everything else in float32.

    python bench/decoders.py --model smollm2-135m --out reports/decoders            # every row that is not there yet
    python bench/decoders.py --model smollm2-135m --only float rtn:4:32:sym gptq:4:32:sym

A row is METHOD:BITS:GROUP:sym|asym. Each row's losses go to OUT/MODEL.jsonl as soon as they are there, so that a run
can be broken off and gone on with; bench/decoder_report.py makes the report of it. Ranges and curvature come from the
zoo's calibration windows, which are other pages than the test windows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hwsim import zoo
from hwsim.io.metric import METRICS
from hwsim.ir import Graph, reference
from hwsim.quant import Recipe, Scheme, quantize

METHODS = {
    "rtn": ("minmax", "nearest", "none"),
    "clip": ("mse", "nearest", "none"),
    "awq": ("mse", "nearest", "awq"),
    "gptq": ("mse", "gptq", "none"),
    "awq+gptq": ("mse", "gptq", "awq"),
}
FORMATS = {"4": "int4", "3": "int3_sm", "2": "int2"}
CALIBRATION = {"smollm2-135m": 4, "tiny-llama": 32}
"""Windows that ranges and curvature come from: SmolLM2's are twice as long, and each costs minutes. A curvature of few
tokens misleads: from four windows tiny-llama's GPTQ is no better than rounding to nearest."""
GRID = [f"{m}:{b}:{g}:{s}" for b in (4, 3, 2) for g in (32, 128) for m in METHODS for s in ("sym",)]


def recipe(row: str, samples: int) -> Recipe:
    """The recipe of a row; activations stay as they are."""
    method, bits, group, symmetric = row.split(":")
    calibrator, rounding, equalize = METHODS[method]
    weights = Scheme(FORMATS[bits], "per_group", int(group), symmetric == "sym", calibrator)
    return Recipe(weights, Scheme("fp32"), "fp32", weight_method=rounding, equalize=equalize, samples=samples)


def losses(graph: Graph, windows: np.ndarray) -> Iterator[float]:
    """Mean negative log-likelihood of each window, nats a token."""
    metric = METRICS["perplexity"]
    for row in range(len(windows)):
        one = windows[row : row + 1]
        yield float(metric.figures(reference.run(graph, {graph.inputs[0]: one})[graph.outputs[0]], one).mean())


def measure(model: str, row: str, windows: int) -> dict[str, object]:
    """One row: what it loses on each window, and what it took."""
    graph = zoo.model(model)
    begun, cpu = time.time(), time.process_time()
    if row != "float":
        graph = quantize(graph, recipe(row, CALIBRATION[model]), zoo.data(model, "calib").inputs)
    spent = time.process_time() - cpu
    found = list(losses(graph, zoo.data(model).inputs[:windows]))
    return {
        "row": row,
        "losses": found,
        "quantize_cpu_s": spent,
        "wall_s": time.time() - begun,
        "load": os.getloadavg()[0],
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def main() -> None:
    """Measure what is asked for and not there yet; write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--out", type=Path, default=Path("reports/decoders"))
    parser.add_argument("--only", nargs="*", help="rows; default: float and the whole grid")
    parser.add_argument("--windows", type=int, default=16)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / f"{args.model}.jsonl"
    for row in args.only or ["float", *GRID]:
        done = {held["row"]: held for held in read(file)}
        if row not in done or len(done[row]["losses"]) < args.windows:
            held = measure(args.model, row, args.windows)
            with file.open("a") as out:
                out.write(json.dumps(held) + "\n")
            print(f"{row}: {np.exp(np.mean(held['losses'])):.3f} on {len(held['losses'])}", flush=True)


def read(file: Path) -> list[dict]:
    """Rows measured so far; a later one takes the place of an earlier one."""
    if not file.is_file():
        return []
    return list({held["row"]: held for held in map(json.loads, file.read_text().splitlines())}.values())


if __name__ == "__main__":
    main()
