"""Transformers of the zoo on chips of different encodings, bit for bit: score, its interval, and the float network's.

    python bench/decoder_targets.py tiny-llama:16 minilm:120 smollm2-135m:2 --out reports/decoders

NAME:N is a network and how many of its test inputs; rows that are there already are left alone.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from hwsim import zoo
from hwsim.emulate import emulate
from hwsim.io.metric import METRICS
from hwsim.ir import reference
from hwsim.quant import quantize, recipe_for
from hwsim.target import load_target

CHIPS = (
    ("nvidia-h100", "w4a16_g32"),
    ("nvidia-b200", "nvfp4"),
    ("nvidia-h100", "fp8"),
    ("ascend-910b4", "int8"),
    ("nvidia-b200", "mxfp4"),
    ("hwsim-int4-ws16", "int4"),
)
CALIBRATION = 4


def interval(metric: str, figures: np.ndarray, score: float) -> tuple[float, float]:
    """95 %: of perplexity by the spread of windows, of a rank correlation by Fisher's transformation."""
    if metric == "perplexity":
        means = figures.mean(axis=1)
        half = 1.96 * means.std(ddof=1) / np.sqrt(len(means)) if len(means) > 1 else np.inf
        return float(np.exp(means.mean() - half)), float(np.exp(means.mean() + half))
    half = 1.96 * 1.03 / np.sqrt(len(figures) / 2 - 3)
    return float(np.tanh(np.arctanh(score) - half)), float(np.tanh(np.arctanh(score) + half))


def measure(name: str, count: int, chip: str | None, mode: str) -> dict[str, object]:
    """One row; ``chip`` None is the float network."""
    metric, data, graph = METRICS[zoo.entry(name).metric], zoo.data(name), zoo.model(name)
    x, labels = data.inputs[:count], None if data.labels is None else data.labels[:count]
    cpu = time.process_time()
    if chip is None:
        parts = [metric.figures(reference.run(graph, {graph.inputs[0]: r})[graph.outputs[0]], r) for r in _rows(x)]
        figures = np.concatenate(parts)
    else:
        ranges = zoo.data(name, "calib").inputs if "calib" in zoo.entry(name).splits else data.inputs[-64:]
        ranges = ranges[: CALIBRATION if metric.name == "perplexity" else 64]
        target = load_target(chip)
        stored = quantize(graph, recipe_for(target, mode), ranges)
        figures = emulate(stored, target, x, precision=mode, reduce=metric.figures).output
    score = metric.score(figures, labels)
    low, high = interval(metric.name, figures, score)
    spent = time.process_time() - cpu
    head = {"model": name, "target": chip or "float32", "precision": mode, "metric": metric.name, "n": len(x)}
    return {**head, "score": score, "low": low, "high": high, "cpu_s": spent, "load": os.getloadavg()[0]}


def _rows(x: np.ndarray) -> list[np.ndarray]:
    return [x[i : i + 4] for i in range(0, len(x), 4)]


def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="NAME:N")
    parser.add_argument("--out", type=Path, default=Path("reports/decoders"))
    parser.add_argument("--chips", type=int, default=len(CHIPS), help="only the first so many")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "targets.jsonl"
    for asked in args.models:
        name, count = asked.split(":")
        for chip, mode in ((None, ""), *CHIPS[: args.chips]):
            held = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
            key = (name, chip or "float32", mode, int(count))
            if key in {(h["model"], h["target"], h["precision"], h["n"]) for h in held}:
                continue
            row = measure(name, int(count), chip, mode)
            with file.open("a") as out:
                out.write(json.dumps(row) + "\n")
            print(f"{name} {row['target']} {mode}: {row['score']:.3f} (n={row['n']})", flush=True)


if __name__ == "__main__":
    main()
