"""Calibrators at INT4 on the zoo's CNNs, and the outliers they clip: ``python bench/calibration.py MODEL ...``.

A row's figures go to reports/calibration/MODEL.jsonl as soon as they are there, so that a run can be broken off and
gone on with; rows that are there are left alone. reports/calibration.md is made of all of them, ``--picture MODEL``
makes reports/calibration.svg. Answers are simulated in float32 with every stored value rounded to its codes
(``hwsim.quant.simulate``). Ranges come from the network's calibration inputs; where it has none, from one half of the
test inputs for the other half and the other way round, so that no input judges its own range.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from calibration_plot import draw
from numpy.typing import NDArray

from hwsim import zoo
from hwsim.io import Dataset
from hwsim.io.metric import METRICS
from hwsim.ir import Graph, reference
from hwsim.ir.passes import fold_batchnorm
from hwsim.quant import CALIBRATORS, Recipe, Scheme, quantize
from hwsim.quant.calibrators.tails import GaussianMixture, KernelDensity, busy
from hwsim.quant.mixed import assign, sensitivity, weight_bytes
from hwsim.quant.observe import observe
from hwsim.quant.simulate import simulate

REPORTS = Path(__file__).parent.parent / "reports"
NAMES = ("mnist-cnn", "resnet8", "keyword-spotting", "visual-wake-words", "efficientnet-lite0", "ppocr-rec")
LARGE = ("efficientnet-lite0", "ppocr-rec")
"""Networks for which only the rules that the others are held against are run."""
INPUTS = {"ppocr-rec": 20}
"""Test inputs that are run where all of them would take an hour."""
W4A4 = Recipe(Scheme("int4", "per_channel"), Scheme("int4", symmetric=False))
W4A8 = Recipe(Scheme("int4", "per_channel"), Scheme("int8", symmetric=False))
CHUNK = 100
CALIBRATION = 256
"""Calibration inputs, at most."""


@dataclass(frozen=True, slots=True)
class Score:
    """How near a quantized network's answers are to labels and to the float network's outputs.

    Attributes:
        row: storage and rule.
        score: by the network's metric.
        same: answers (largest outputs) that are the float network's.
        n: answers.
        cosine: of an input's outputs, the mean.
        sqnr_db: over all outputs together.
        bytes: of the weights, where formats are compared by size; else 0.
    """

    row: str
    score: float
    same: int
    n: int
    cosine: float
    sqnr_db: float
    bytes: int = 0


def run(graph: Graph, x: NDArray[Any]) -> NDArray[np.float32]:
    """Outputs of a quantized graph."""
    name, out = graph.inputs[0], graph.outputs[0]
    return np.concatenate([simulate(graph, {name: x[at : at + CHUNK]})[out] for at in range(0, len(x), CHUNK)])


def test_inputs(model: str) -> Dataset:
    """What judges."""
    test = zoo.data(model)
    return test.head(min(INPUTS.get(model, len(test)), len(test)))


def halves(model: str) -> list[tuple[NDArray[Any], NDArray[np.intp]]]:
    """(calibration inputs, numbers of the test inputs they serve)."""
    test = test_inputs(model)
    if "calib" in zoo.entry(model).splits:
        return [(zoo.data(model, "calib").inputs[:CALIBRATION], np.arange(len(test)))]
    odd = np.arange(len(test)) % 2 == 1
    return [(test.inputs[odd], np.flatnonzero(~odd)), (test.inputs[~odd], np.flatnonzero(odd))]


def score(name: str, graph: Graph, recipe: Recipe, model: str, want: NDArray[np.float32]) -> Score:
    """Quantize and run."""
    test, found = test_inputs(model), np.empty_like(want)
    for calibration, rows in halves(model):
        found[rows] = run(quantize(graph, recipe, calibration), test.inputs[rows])
    real, got = (a.reshape(len(a), -1).astype(np.float64) for a in (want, found))
    cosine = np.sum(real * got, axis=1) / np.maximum(np.linalg.norm(real, axis=1) * np.linalg.norm(got, axis=1), 1e-30)
    same = found.argmax(axis=-1) == want.argmax(axis=-1)
    noise = np.sum((real - got) ** 2)
    ratio = float(10 * np.log10(np.sum(real**2) / noise)) if noise else np.inf
    return Score(name, scored(model, found), int(same.sum()), same.size, float(cosine.mean()), ratio)


def scored(model: str, outputs: NDArray[np.float32]) -> float:
    """By the network's own metric."""
    test, metric = test_inputs(model), METRICS.get(zoo.entry(model).metric)
    if metric is None:
        return float(np.mean(outputs.reshape(len(outputs), -1).argmax(axis=1) == test.labels))
    return metric.score(metric.figures(outputs, test.inputs), test.labels)


def answers(graph: Graph, x: NDArray[Any]) -> NDArray[np.float32]:
    """Outputs of the float network."""
    name, out = graph.inputs[0], graph.outputs[0]
    parts = [reference.run(graph, {name: x[at : at + CHUNK]})[out] for at in range(0, len(x), CHUNK)]
    return np.concatenate(parts)


def recipes(model: str) -> dict[str, Recipe]:
    """What is compared."""
    both = {"weight_method": "gptq", "correct_bias": True}
    rules = ("minmax", "mse", "multistage") if model in LARGE else tuple(CALIBRATORS)
    found = {f"W4A4, {rule}": W4A4.with_calibrator(rule) for rule in rules}
    for rule in ("minmax", "multistage"):
        found[f"W4A8, {rule}"] = W4A8.with_calibrator(rule)
    if model != "ppocr-rec":
        found["W4A8, mse, gptq and bias correction"] = replace(W4A8, **both)  # type: ignore[arg-type]
        for rule in ("minmax", "multistage"):
            name = f"W4A4, {rule}, gptq and bias correction"
            found[name] = replace(W4A4.with_calibrator(rule), **both)  # type: ignore[arg-type]
    return found


def mixtures(model: str, want: NDArray[np.float32]) -> Iterator[Score]:
    """Formats a layer under the bytes that one format for all takes, beside that one."""
    graph = zoo.model(model)
    cost, data = weight_bytes(graph), halves(model)[0][0]
    schemes = [Scheme(fmt, "per_channel") for fmt in ("int8", "int5_sm", "int4", "int3_sm", "int2")]
    rows = sensitivity(graph, schemes, data)
    nodes = list(dict.fromkeys(row.node for row in rows))
    for scheme in schemes[2:4]:
        uniform = replace(W4A8, weights=scheme)
        budget = sum(cost(node, scheme) for node in nodes)
        for name, recipe in (
            (f"all {scheme.format}", uniform),
            (f"mixed, no larger than all {scheme.format}", replace(uniform, layers=assign(rows, cost, budget))),
        ):
            size = sum(cost(node, recipe.weights_of(node)) for node in nodes)
            assert size <= budget
            yield replace(score(name, graph, recipe, model, want), bytes=int(size))


def picture(model: str) -> str:
    """The activation of ``model`` that INT4 suffers from most under min-max: histogram, densities, ranges; as SVG."""
    graph = fold_batchnorm(zoo.model(model))
    data = halves(model)[0][0]
    names = [n.inputs[0] for n in graph.nodes if n.op in ("Conv", "Gemm") and n.inputs[0] not in graph.inputs]
    seen = observe(graph, data, names, 256)
    scheme = W4A4.activations

    def gain(name: str) -> float:
        values, counts = seen[name].points()
        scales = [
            float(CALIBRATORS[rule].fit(values[None], scheme, counts[None]).scale[0]) for rule in ("minmax", "mse")
        ]
        return scales[0] / scales[1]

    chosen = max(names, key=gain)
    values, counts = seen[chosen].points()
    numbers, weights = busy(values, counts)
    low, high = float(numbers[0]), float(numbers[-1])
    edges = np.linspace(low, high, 161)
    bars = np.histogram(numbers, edges, weights=weights)[0] / weights.sum() / (edges[1] - edges[0])
    grid = np.linspace(low, high, 400)
    lines = [
        ("mixture of normal distributions", grid, GaussianMixture().density(numbers, weights)(grid)),
        ("kernel density", grid, KernelDensity().density(numbers, weights)(grid)),
    ]

    def end(rule: str) -> float:
        found = CALIBRATORS[rule].fit(values[None], scheme, counts[None])
        assert found.zero_point is not None
        return float((7 - found.zero_point[0]) * found.scale[0])

    ends = {rule: end(rule) for rule in ("minmax", "percentile", "mixture", "kde", "multistage")}
    return draw(f"{model}: {chosen}, {int(counts.sum()):,} numbers; exact zeros left out", edges, bars, lines, ends)


def measure(model: str, asked: str, file: Path) -> None:
    """The rows of ``model`` whose name has ``asked`` in it and that are not in ``file`` yet."""
    graph, done = zoo.model(model), {row.row for row in read(file)}
    want = answers(graph, test_inputs(model).inputs)

    def keep(row: Score) -> None:
        with file.open("a") as out:
            out.write(json.dumps(asdict(row)) + "\n")
        print(model, row, flush=True)

    if "float" not in done:
        keep(Score("float", scored(model, want), len(want), len(want), 1.0, np.inf))
    for name, recipe in recipes(model).items():
        if asked in name and name not in done:
            keep(score(name, graph, recipe, model, want))
    if asked in "mixed" and model not in LARGE and not any(row.startswith("mixed") for row in done):
        for row in mixtures(model, want):
            keep(row)


def read(file: Path) -> list[Score]:
    """Rows measured so far; a later one takes the place of an earlier one."""
    lines = file.read_text().splitlines() if file.is_file() else []
    return list({row["row"]: Score(**row) for row in map(json.loads, lines)}.values())


def section(model: str, rows: list[Score]) -> str:
    """A section of the report."""
    entry, held = zoo.entry(model), {row.row: row for row in rows}
    n = len(test_inputs(model))

    def cell(value: float) -> str:
        whole = entry.metric in ("top-1 accuracy", "agreement with float32")
        return f"{round(value * n)} of {n}" if whole else f"{value:.3f}"

    head = f"## {model}\n\n{entry.title}. {entry.note[:1].upper()}{entry.note[1:]}."
    lines = [f"{head} Float: {cell(held['float'].score)}.", ""] if "float" in held else [head, ""]
    lines += [f"| storage and rule | {entry.metric} | same answer as float | output cosine | output SQNR |"]
    lines += ["|---|---:|---:|---:|---:|"]
    for name in recipes(model):
        if name in held:
            row = held[name]
            same = f"{row.same:,} of {row.n:,}"
            lines.append(f"| {name} | {cell(row.score)} | {same} | {row.cosine:.4f} | {row.sqnr_db:.1f} dB |")
    sized = [row for row in rows if row.bytes]
    if sized:
        lines += ["", f"| weights, INT8 activations | bytes | {entry.metric} | output cosine | output SQNR |"]
        lines += ["|---|---:|---:|---:|---:|"]
        for row in sized:
            lines.append(f"| {row.row} | {row.bytes:,} | {cell(row.score)} | {row.cosine:.4f} | {row.sqnr_db:.1f} dB |")
    return "\n".join([*lines, ""])


HEAD = """# Calibration

Rules of `hwsim.quant.CALIBRATORS` on the zoo's CNNs, weights per channel, made by `python bench/calibration.py MODEL`.
Ranges come from inputs that do not judge them (of networks for pictures: crops of photographs). SQNR is over all
outputs together, so that a few large ones decide it; the cosine counts every input alike.

**Read before comparing.** Rows of EfficientNet-Lite0 and PP-OCR without GPTQ are of networks that four bits have
broken: few answers are right, whatever the rule. Twenty inputs: one is 5 points.

## Outliers

The value that INT4 under min-max coarsens most: its histogram, the densities fitted to it, and where each rule puts
the upper end of the range (for multistage, before its task-driven pass). The vertical axis is logarithmic.

![Histogram, fitted densities and ranges](calibration.svg)
"""


def main() -> None:
    """Measure what is asked for and not there yet; make the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all of " + ", ".join(NAMES))
    parser.add_argument("--rows", default="", help="only rows with this in their name")
    parser.add_argument("--out", type=Path, default=REPORTS / "calibration", help="folder of the rows")
    parser.add_argument("--picture", metavar="MODEL", help="make the outlier picture of a network, and nothing else")
    args = parser.parse_args()
    if args.picture:
        (REPORTS / "calibration.svg").write_text(picture(args.picture))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    for model in args.models or NAMES:
        measure(model, args.rows, args.out / f"{model}.jsonl")
    page(args.out)


def page(folder: Path) -> None:
    """The report of all rows, beside their folder."""
    made = [section(name, read(folder / f"{name}.jsonl")) for name in NAMES if (folder / f"{name}.jsonl").is_file()]
    folder.with_suffix(".md").write_text("\n".join([HEAD, *made]).rstrip() + "\n")


if __name__ == "__main__":
    main()
