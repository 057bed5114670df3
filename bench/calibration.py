"""Calibrators at INT4 on the zoo's CNNs, and the outliers they clip: ``python bench/calibration.py MODEL ...``.

Each model's section of reports/calibration.md is made anew, the others stay; ``--picture MODEL`` makes
reports/calibration.svg. Answers are simulated in float32 with every stored value rounded to its codes
(``hwsim.quant.simulate``), except where a row says emulated; ranges come from calibration inputs where the network has
some, of EfficientNet-Lite0 from ``bench/pictures.py``, else from one half of the test inputs for the other half and the
other way round, so that no input judges its own range.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from calibration_plot import draw
from numpy.typing import NDArray
from pictures import pictures

from hwsim import zoo
from hwsim.ir import Graph, reference
from hwsim.ir.passes import fold_batchnorm
from hwsim.quant import CALIBRATORS, Recipe, Scheme, quantize
from hwsim.quant.calibrators.tails import GaussianMixture, KernelDensity, busy
from hwsim.quant.mixed import assign, sensitivity, weight_bytes
from hwsim.quant.observe import observe
from hwsim.quant.simulate import simulate

REPORTS = Path(__file__).parent.parent / "reports"
NAMES = ("mnist-cnn", "resnet8", "efficientnet-lite0")
W4A4 = Recipe(Scheme("int4", "per_channel"), Scheme("int4", symmetric=False))
W4A8 = Recipe(Scheme("int4", "per_channel"), Scheme("int8", symmetric=False))
CHUNK = 100
PICTURES = 384
"""Calibration pictures of EfficientNet-Lite0."""


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
    if model == "efficientnet-lite0":
        return [(pictures(PICTURES), np.arange(len(test)))]
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


def answers(graph: Graph, x: NDArray[Any]) -> NDArray[np.float32]:
    """Outputs of the float network."""
    name, out = graph.inputs[0], graph.outputs[0]
    parts = [reference.run(graph, {name: x[at : at + CHUNK]})[out] for at in range(0, len(x), CHUNK)]
    return np.concatenate(parts)


def recipes(model: str) -> dict[str, Recipe]:
    """What is compared. Of a large network only the rules that the others are held against, at two storages."""
    both = {"weight_method": "gptq", "correct_bias": True}
    if model == "efficientnet-lite0":
        plain = {f"W4A8, {rule}": W4A8.with_calibrator(rule) for rule in ("minmax", "multistage")}
        full = {f"{name}, gptq and bias correction": replace(r, **both) for name, r in plain.items()}  # type: ignore[arg-type]
        return plain | full
    found = {f"W4A4, {rule}": W4A4.with_calibrator(rule) for rule in CALIBRATORS}
    for rule in ("minmax", "multistage"):
        name = f"W4A4, {rule}, gptq and bias correction"
        found[name] = replace(W4A4.with_calibrator(rule), **both)  # type: ignore[arg-type]
    found["W4A8, minmax"] = W4A8.with_calibrator("minmax")
    found["W4A8, mse, gptq and bias correction"] = replace(W4A8, **both)  # type: ignore[arg-type]
    return found


def mixtures(model: str, want: NDArray[np.float32]) -> list[str]:
    """Formats a layer under the bytes that one format for all takes, beside that one."""
    graph = zoo.model(model)
    cost, data = weight_bytes(graph), halves(model)[0][0]
    schemes = [Scheme(fmt, "per_channel") for fmt in ("int8", "int5_sm", "int4", "int3_sm", "int2")]
    rows = sensitivity(graph, schemes, data)
    nodes = list(dict.fromkeys(row.node for row in rows))
    lines = [
        "",
        "| weights, INT8 activations | bytes | correct | output cosine | output SQNR |",
        "|---|---:|---:|---:|---:|",
    ]
    for scheme in schemes[2:4]:
        uniform = replace(W4A8, weights=scheme)
        budget = sum(cost(node, scheme) for node in nodes)
        for name, recipe in (
            (f"all {scheme.format}", uniform),
            (f"mixed, no larger than all {scheme.format}", replace(uniform, layers=assign(rows, cost, budget))),
        ):
            size = sum(cost(node, recipe.weights_of(node)) for node in nodes)
            assert size <= budget
            found = score(name, graph, recipe, model, want)
            lines.append(
                f"| {name} | {size:,.0f} | {found.correct} of {found.n} | {found.cosine:.4f} | {found.sqnr_db:.1f} dB |"
            )
    return lines


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


def section(model: str) -> str:
    """A section of the report."""
    graph, test = zoo.model(model), zoo.data(model)
    want = answers(graph, test.inputs)
    correct = int(np.sum(want.reshape(len(want), -1).argmax(axis=1) == test.labels))
    lines = [
        f"## {model}",
        "",
        f"{zoo.entry(model).title}. Float: {correct} of {len(test)} correct.",
        "",
        "| storage and rule | correct | same answer as float | output cosine | output SQNR |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, recipe in recipes(model).items():
        row = score(name, graph, recipe, model, want)
        lines.append(
            f"| {row.name} | {row.correct} of {row.n} | {row.same} of {row.n} | {row.cosine:.4f} "
            f"| {row.sqnr_db:.1f} dB |"
        )
        print(lines[-1], flush=True)
    if model != "efficientnet-lite0":
        lines += mixtures(model, want)
    return "\n".join([*lines, ""])


HEAD = """# Calibration

Rules of `hwsim.quant.CALIBRATORS` on the zoo's CNNs, weights per channel, made by `python bench/calibration.py MODEL`.
Ranges come from inputs that do not judge them. SQNR is over all outputs together, so that a few large ones decide it;
the cosine counts every input alike.

## Outliers

The value that INT4 under min-max coarsens most: its histogram, the densities fitted to it, and where each rule puts
the upper end of the range (for multistage, before its task-driven pass). The vertical axis is logarithmic.

![Histogram, fitted densities and ranges](calibration.svg)
"""


def main() -> None:
    page = REPORTS / "calibration.md"
    asked = sys.argv[1:] or [name for name in NAMES if name in zoo.names()]
    if asked[0] == "--picture":
        (REPORTS / "calibration.svg").write_text(picture(asked[1]))
        return
    for model in asked:
        made = section(model)
        old = page.read_text() if page.exists() else ""
        parts = {m[1]: m[0].rstrip() for m in re.finditer(r"## (\S+)\n.*?(?=\n## |\Z)", old, re.S) if m[1] in NAMES}
        parts[model] = made.rstrip()
        page.write_text("\n\n".join([HEAD.rstrip(), *(parts[name] for name in NAMES if name in parts)]) + "\n")


if __name__ == "__main__":
    main()
