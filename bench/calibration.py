"""Calibrators at INT4 on the zoo's CNNs, and the outliers they clip: ``python bench/calibration.py [MODEL ...]``.

Writes reports/calibration.md and reports/calibration.svg. Answers are simulated in float32 with every stored value
rounded to its codes (``hwsim.quant.simulate``); ranges come from calibration inputs where the network has some, else
from one half of the test inputs for the other half and the other way round, so that no input judges its own range.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import zoo
from hwsim.ir import Graph, reference
from hwsim.ir.passes import fold_batchnorm
from hwsim.quant import CALIBRATORS, Recipe, Scheme, quantize
from hwsim.quant.calibrators.tails import GaussianMixture, KernelDensity, busy
from hwsim.quant.observe import observe
from hwsim.quant.simulate import simulate

REPORTS = Path(__file__).parent.parent / "reports"
NAMES = ("mnist-cnn", "resnet8", "efficientnet-lite0")
W4A4 = Recipe(Scheme("int4", "per_channel"), Scheme("int4", symmetric=False))
W4A8 = Recipe(Scheme("int4", "per_channel"), Scheme("int8", symmetric=False))
CHUNK = 100


@dataclass(frozen=True, slots=True)
class Score:
    """How near a quantized network's answers are to labels and to the float network's outputs."""

    name: str
    correct: int
    same: int
    n: int
    cosine: float
    sqnr_db: float


def run(graph: Graph, x: NDArray[Any]) -> NDArray[np.float32]:
    """Outputs of a quantized graph."""
    name, out = graph.inputs[0], graph.outputs[0]
    return np.concatenate([simulate(graph, {name: x[at : at + CHUNK]})[out] for at in range(0, len(x), CHUNK)])


def halves(model: str) -> list[tuple[NDArray[Any], NDArray[np.intp]]]:
    """(calibration inputs, numbers of the test inputs they serve)."""
    test = zoo.data(model)
    if "calib" in zoo.entry(model).splits:
        return [(zoo.data(model, "calib").inputs[:256], np.arange(len(test)))]
    odd = np.arange(len(test)) % 2 == 1
    return [(test.inputs[odd], np.flatnonzero(~odd)), (test.inputs[~odd], np.flatnonzero(odd))]


def score(name: str, graph: Graph, recipe: Recipe, model: str, want: NDArray[np.float32]) -> Score:
    """Quantize and run."""
    test, found = zoo.data(model), np.empty_like(want)
    for calibration, rows in halves(model):
        found[rows] = run(quantize(graph, recipe, calibration), test.inputs[rows])
    real, got = (a.reshape(len(a), -1).astype(np.float64) for a in (want, found))
    cosine = np.sum(real * got, axis=1) / np.maximum(np.linalg.norm(real, axis=1) * np.linalg.norm(got, axis=1), 1e-30)
    return Score(
        name,
        int(np.sum(got.argmax(axis=1) == test.labels)),
        int(np.sum(got.argmax(axis=1) == real.argmax(axis=1))),
        len(real),
        float(cosine.mean()),
        float(10 * np.log10(np.sum(real**2) / np.sum((real - got) ** 2))),
    )


def scores(model: str) -> tuple[int, list[Score]]:
    """Correct answers of the float network, and a score for every rule."""
    graph, test = zoo.model(model), zoo.data(model)
    want = np.concatenate(
        [
            reference.run(graph, {graph.inputs[0]: test.inputs[at : at + CHUNK]})[graph.outputs[0]]
            for at in range(0, len(test), CHUNK)
        ]
    )
    rows = [score(f"W4A4, {rule}", graph, W4A4.with_calibrator(rule), model, want) for rule in CALIBRATORS]
    best = replace(W4A4.with_calibrator("multistage"), weight_method="gptq", correct_bias=True)
    rows.append(score("W4A4, multistage, gptq and bias correction", graph, best, model, want))
    rows.append(score("W4A8, minmax", graph, W4A8.with_calibrator("minmax"), model, want))
    best = replace(W4A8, weight_method="gptq", correct_bias=True)
    rows.append(score("W4A8, mse, gptq and bias correction", graph, best, model, want))
    return int(np.sum(want.reshape(len(want), -1).argmax(axis=1) == test.labels)), rows


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
        ("mixture", "#c2410c", GaussianMixture().density(numbers, weights)(grid)),
        ("kernel density", "#1d4ed8", KernelDensity().density(numbers, weights)(grid)),
    ]
    ends = {
        rule: 15 * float(CALIBRATORS[rule].fit(values[None], scheme, counts[None]).scale[0]) + min(low, 0.0)
        for rule in ("minmax", "percentile", "mixture", "kde", "multistage")
    }
    return draw(f"{model}: {chosen}", edges, bars, grid, lines, ends, int(counts.sum()))


def draw(
    title: str,
    edges: NDArray[Any],
    bars: NDArray[Any],
    grid: NDArray[Any],
    lines: list[tuple[str, str, NDArray[Any]]],
    ends: dict[str, float],
    total: int,
) -> str:
    """Bars and curves on a logarithmic axis, six decades down from the top, and a mark for each range's upper end."""
    width, height, left, top, bottom = 900, 420, 56, 46, 90
    peak = float(bars.max())
    right = max(float(edges[-1]), *ends.values())

    def across(x: float) -> float:
        return left + (x - edges[0]) / (right - edges[0]) * (width - left - 20)

    def up(y: float) -> float:
        return top + min(max(np.log10(peak / max(y, 1e-300)) / 6, 0), 1) * (height - top - bottom)

    base = height - bottom
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="20" font-size="15">{title}, {total:,} numbers; exact zeros left out</text>',
    ]
    for lower, upper, y in zip(edges[:-1], edges[1:], bars, strict=True):
        if y > 0:
            wide = max(across(upper) - across(lower) - 0.5, 0.5)
            out.append(
                f'<rect x="{across(lower):.1f}" y="{up(y):.1f}" width="{wide:.1f}" '
                f'height="{base - up(y):.1f}" fill="#cbd5e1"/>'
            )
    for at, (name, colour, ys) in enumerate(lines):
        points = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in zip(grid, ys, strict=True))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        out.append(f'<text x="{width - 20}" y="{top + 14 * at}" text-anchor="end" fill="{colour}">{name}</text>')
    for at, (rule, end) in enumerate(sorted(ends.items(), key=lambda item: item[1])):
        x, strong = across(end), rule in ("minmax", "multistage")
        out.append(
            f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{base + 8 + 12 * at}" stroke="black" '
            f'stroke-width="{1.6 if strong else 0.6}" stroke-dasharray="{"none" if strong else "3 3"}"/>'
        )
        out.append(f'<text x="{x - 4:.1f}" y="{base + 14 + 12 * at}" text-anchor="end">{rule} {end:.3g}</text>')
    out.append(f'<line x1="{left}" y1="{base}" x2="{width - 20}" y2="{base}" stroke="black"/>')
    for decade in range(0, 7, 2):
        y = top + decade / 6 * (base - top)
        out.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">1e-{decade}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def table(model: str) -> list[str]:
    """A section of the report."""
    correct, rows = scores(model)
    lines = [
        f"## {model}",
        "",
        f"{zoo.entry(model).title}. Float: {correct} of {rows[0].n} correct.",
        "",
        "| storage and rule | correct | same answer as float | output cosine | output SQNR |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        lines.append(
            f"| {row.name} | {row.correct} of {row.n} | {row.same} of {row.n} | {row.cosine:.4f} "
            f"| {row.sqnr_db:.1f} dB |"
        )
    return [*lines, ""]


def main() -> None:
    models = sys.argv[1:] or [name for name in NAMES if name in zoo.names()]
    text = [
        "# Calibration",
        "",
        "Every rule of `hwsim.quant.CALIBRATORS` on the zoo's CNNs, with weights per channel. Made by",
        f"`python bench/calibration.py {' '.join(models)}`; ranges come from inputs that do not judge them.",
        "",
    ]
    for model in models:
        text += table(model)
        print("\n".join(text[-12:]), flush=True)
    text += [
        "## Outliers",
        "",
        "The value that INT4 under min-max coarsens most: its histogram, the densities fitted to it, and where each",
        "rule puts the upper end of the range (for multistage, before its task-driven pass). The vertical axis is",
        "logarithmic, relative to the peak.",
        "",
        "![Histogram, fitted densities and ranges](calibration.svg)",
    ]
    (REPORTS / "calibration.svg").write_text(picture(models[min(1, len(models) - 1)]))
    (REPORTS / "calibration.md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
