"""Every small network of the zoo on chips of several encodings, bit for bit, by its own metric.

    python bench/zoo.py --out reports/zoo.md [--model resnet8 ...] [--results zoo.json]

Ranges come from each network's calibration inputs (``mse``), weights are rounded to nearest: what a user gets without
asking for more. Results are kept in ``--results`` as they come, so that a second call goes on. Transformers are
measured by ``bench/decoder_targets.py``.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import zoo
from hwsim.api import calibration_data, is_quantized
from hwsim.emulate import emulate
from hwsim.errors import HwsimError
from hwsim.io.metric import METRICS
from hwsim.ir import Graph
from hwsim.ir.reference import run
from hwsim.numerics import BlockFormat, formats, units
from hwsim.quant import quantize, recipe_for
from hwsim.report import Accuracy
from hwsim.target import Target, load_target

MODES = (
    ("hwsim-int4-ws16", "int4"),
    ("nvidia-h100", "fp8"),
    ("ethos-u55", "int8"),
    ("nvidia-b200", "nvfp4"),
    ("ascend-910b4", "int8"),
    ("ascend-910b4", "int4"),
    ("nvidia-b200", "mxfp4"),
)
MODELS = (
    *("mnist-mlp", "mnist-cnn", "resnet8", "keyword-spotting", "visual-wake-words", "anomaly-detection"),
    *("silero-vad", "efficientnet-lite0", "magika", "ppocr-rec"),
    *("resnet8-int8", "keyword-spotting-int8", "visual-wake-words-int8", "anomaly-detection-int8"),
)
LIMITS = {
    **{"mnist-cnn": 500, "mnist-mlp": 2000, "keyword-spotting": 100, "keyword-spotting-int8": 100},
    **{"silero-vad": 80, "magika": 24, "ppocr-rec": 4},
}
"""Inputs that are run where all of them would take an hour."""
SAMPLES = 64
"""Calibration inputs at most."""
RESAMPLES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("reports/zoo.md"))
    parser.add_argument("--results", type=Path, default=Path("zoo-results.json"))
    parser.add_argument("--model", action="append", choices=MODELS)
    args = parser.parse_args()
    held: dict[str, dict[str, Any]] = json.loads(args.results.read_text()) if args.results.is_file() else {}
    for chip, mode in MODES:
        for name in args.model or MODELS:
            key = f"{name} {chip} {mode}"
            if key in held or (name.endswith("-int8") and mode != "int8"):
                continue
            began = time.perf_counter()
            try:
                held[key] = row(name, load_target(chip), mode)
            except HwsimError as err:
                held[key] = {"model": name, "chip": chip, "mode": mode, "error": str(err)}
            held[key]["seconds"] = round(time.perf_counter() - began, 1)
            print(key, held[key], flush=True)
            args.results.write_text(json.dumps(held, indent=1) + "\n")
    args.out.write_text(page(held))


def row(name: str, chip: Target, mode: str) -> dict[str, Any]:
    """One network on one chip."""
    entry, graph, data = zoo.entry(name), zoo.model(name), zoo.data(name)
    data = data.head(min(LIMITS.get(name, len(data)), len(data)))
    kept: tuple[str, ...] = ()
    quantized = graph
    baseline = None
    metric = METRICS.get(entry.metric)

    def figures(y: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[Any]:
        return y.reshape(len(y), -1).argmax(axis=1) if metric is None else metric.figures(y, x)

    if not is_quantized(graph):
        kept = unfit(graph, chip, mode)
        recipe = replace(recipe_for(chip, mode), keep=kept, samples=SAMPLES)
        quantized = quantize(graph, recipe, calibration_data(name).inputs[:SAMPLES])
        baseline = np.concatenate([
            figures(run(graph, {graph.inputs[0]: x})[graph.outputs[0]], x)
            for x in (data.inputs[i : i + 8] for i in range(0, len(data), 8))
        ])  # fmt: skip
    found = emulate(quantized, chip, data.inputs, precision=mode, reduce=figures).output
    labels = data.labels
    out: dict[str, Any] = {"model": name, "chip": chip.name, "mode": mode, "metric": entry.metric, "n": len(data)}
    precision = chip.precision(mode)
    out |= {"unit": precision.unit, "evidence": units[precision.unit].evidence, "kept": len(kept)}
    out["matrix"] = sum(n.op in ("Conv", "Gemm", "MatMul") for n in graph)
    if metric is None:
        assert labels is not None
        accuracy = Accuracy.of(found, labels, baseline)
        return out | {"score": accuracy.value, "interval": list(accuracy.interval), "float": accuracy.baseline}
    interval = resampled(metric, found, labels, pairs=entry.metric == "rank correlation")
    score = metric.score(found, labels)
    return out | {
        "score": score,
        "interval": interval,
        "float": None if baseline is None else metric.score(baseline, labels),
    }


def unfit(graph: Graph, chip: Target, mode: str) -> tuple[str, ...]:
    """Convolutions that a unit with block scales does not take: grouped ones, and channels that are no whole blocks."""
    entry = formats[chip.precision(mode).activations.format]
    if not isinstance(entry, BlockFormat):
        return ()
    names = []
    for node in graph:
        if node.op == "Conv":
            channels = int(graph.shape_of(node.inputs[1])[1])
            if node.attrs["group"] > 1 or channels % entry.block_size:
                names.append(node.name)
    return tuple(names)


def resampled(metric: Any, figures: NDArray[Any], labels: NDArray[np.int64] | None, pairs: bool) -> list[float]:
    """95% interval of the score by drawing the inputs (or pairs) again with replacement (percentiles, seed 0)."""
    rng = np.random.default_rng(0)
    size = 2 if pairs else 1
    scores = []
    for _ in range(RESAMPLES if figures.ndim == 1 else 200):
        pick = rng.integers(0, len(figures) // size, len(figures) // size)
        at = (pick[:, None] * size + np.arange(size)).reshape(-1)
        scores.append(metric.score(figures[at], None if labels is None else labels[at]))
    return [float(v) for v in np.percentile(scores, [2.5, 97.5])]


def page(held: dict[str, dict[str, Any]]) -> str:
    """The report."""
    lines = [
        "# The zoo on chips",
        "",
        "Each network run bit for bit as the chip's unit computes (`python bench/zoo.py`); ranges by `mse` on the",
        "network's calibration inputs, weights rounded to nearest, nothing tuned. 95% intervals: Wilson's for shares,",
        "else inputs drawn again. *float* is the float32 network on the same inputs. Evidence is that of the unit's",
        "arithmetic. n counts the first inputs of the data set (Magika's are sorted by type: 24 are few types).",
        "**poor**: more than a tenth worse than float. Magika fails where values between vector operations are FP16:",
        "its layer normalization is spelled out, and the sum of 512 squares (up to 250,000) is past FP16's 65,504. A",
        "chip that runs it operation by operation in FP16 does the same (docs/arithmetic.md); BF16 and FP32 hold it.",
        "",
    ]
    for name in MODELS:
        rows = [held[key] for chip, mode in MODES if (key := f"{name} {chip} {mode}") in held]
        if not rows:
            continue
        entry = zoo.entry(name)
        lines += [f"## {name}", "", f"{entry.title}. {entry.note[:1].upper()}{entry.note[1:]}. {entry.licence}.", ""]
        lines += ["| chip | mode | metric | n | float | chip's | 95% interval | evidence | note |"]
        lines += ["|---|---|---|---:|---:|---:|---|---|---|"]
        for r in rows:
            head = f"| {r['chip']} | {r['mode']} |"
            if "error" in r:
                lines.append(f"{head} | | | | | | not computed: {r['error']} |")
                continue
            share = r["metric"] in ("top-1 accuracy", "agreement with float32")
            lower = r["metric"] == "character error rate"
            low, high = (number(v, share or lower) for v in r["interval"])
            base = "" if r["float"] is None else number(r["float"], share or lower)
            notes = [f"{r['kept']} of {r['matrix']} products kept in float"] if r["kept"] else []
            if poor(r, lower):
                notes.append("**poor**")
            lines.append(
                f"{head} {r['metric']} | {r['n']} | {base} | {number(r['score'], share or lower)} | {low} to {high} | "
                f"{r['evidence']} | {', '.join(notes)} |"
            )
        lines.append("")
    missing = [
        f"{name} on {chip} {mode}"
        for name in MODELS
        for chip, mode in MODES
        if f"{name} {chip} {mode}" not in held and (mode == "int8" or not name.endswith("-int8"))
    ]
    if missing:
        lines += ["## Not run", "", f"Left out of this table so far: {'; '.join(missing)}.", ""]
    return "\n".join(lines)


def poor(r: dict[str, Any], lower: bool) -> bool:
    """More than a tenth worse than float."""
    if r["float"] is None:
        return False
    return bool(r["score"] > r["float"] + 0.1 if lower else r["score"] < r["float"] - 0.1)


def number(value: float, share: bool) -> str:
    return f"{100 * value:.2f} %" if share else f"{value:.4f}"


if __name__ == "__main__":
    main()
