"""What training wins back in low bits, on the chip: the tables and curves of reports/training.md.

    hwsim zoo get mnist-cnn --training
    python -m bench.qat bars --out training.json        # W2A4, binary, W4A4; three seeds each
    python -m bench.qat curves --out training.json      # gradient scaling and 16-bit sums against the plain estimator
    python -m bench.qat table --out training.json       # every estimator and scale at W2A4
    python -m bench.qat equality --out training.json    # codes of torch against codes of the emulator
    python -m bench.qat resnet8 --out training.json     # by distillation alone
    python -m bench.qat_report                          # the page and its curves

A run that is in the file already is not made again. Networks learn from the 8,000 training digits and are measured by
``hwsim.emulate`` on the 2,000 test digits, which no choice was made on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import hwsim
from hwsim import zoo
from hwsim.errors import DataError
from hwsim.io import atomic
from hwsim.ir import Graph
from hwsim.quant import Recipe, quantize, recipe_for
from hwsim.quant.qat import Course, Learning, QatNetwork, train
from hwsim.quant.qat.augment import AUGMENTS
from hwsim.quant.qat.course import accuracy
from hwsim.training import chip_values, differing

CHIP = "hwsim-int4-ws16"
SEEDS = (0, 1, 2)
LSQ = Learning("clipped", "learned")
ABSMEAN = Learning("clipped", "absmean")


@dataclass(frozen=True, slots=True)
class Run:
    """One network to train: formats, what learns, for how long."""

    name: str
    weights: str = "int2"
    learn_weights: Learning = LSQ
    learn_activations: Learning = LSQ
    course: Course = field(default_factory=lambda: Course(epochs=1))
    augment: str | None = None
    model: str = "mnist-cnn"

    @property
    def key(self) -> str:
        return f"{self.name}, seed {self.course.seed}"


def bars() -> list[Run]:
    """Bar 1 of training: 2-bit, 1-bit and 4-bit weights with 4-bit activations."""
    found = []
    for seed in SEEDS:
        course = Course(epochs=2, seed=seed)
        found += [
            Run("W2A4", course=course),
            Run("binary weights, A4", "binary", ABSMEAN, course=replace(course, epochs=3)),
            Run("W4A4", "int4", course=course),
            Run(
                "W4A4, slow, jitter, teacher", "int4", course=replace(course, rate=1e-4, teacher=0.5), augment="jitter"
            ),
        ]
    return found


def curves() -> list[Run]:
    """Plain straight-through against gradient scaling, and FP32 sums of micro-batches against 16 bits."""
    course = Course(epochs=2, report_steps=16)
    plain, parts = Learning("ste", "learned"), replace(course, accumulate=4)
    kinds = [
        ("plain", plain, course),
        ("clipped", LSQ, course),
        ("gradient scaling", Learning("scaled", "learned"), course),
        ("4 micro-batches, FP32 sums", plain, parts),
        ("4 micro-batches, BF16 sums", plain, replace(parts, accumulator="bf16")),
        ("4 micro-batches, FP16 sums", plain, replace(parts, accumulator="fp16")),
    ]
    return [
        Run(name, "int2", learning, learning, replace(held, seed=seed))
        for seed in SEEDS
        for name, learning, held in kinds
    ]


def table() -> list[Run]:
    """Every estimator and scale once, weights INT2, one epoch; activations learn by LSQ where not said otherwise."""
    ways = {
        "ste, fixed scales": (Learning("ste", "fixed"), Learning("ste", "fixed")),
        "clipped, fixed scales": (Learning("clipped", "fixed"), Learning("clipped", "fixed")),
        "scaled, fixed scales": (Learning("scaled", "fixed"), Learning("scaled", "fixed")),
        "LSQ": (LSQ, LSQ),
        "LSQ+ (activations' offset)": (LSQ, Learning("clipped", "offset")),
        "PACT (activations' clip)": (LSQ, Learning("clipped", "clip")),
        "absolute mean of weights": (ABSMEAN, LSQ),
        "absolute maximum of weights": (Learning("clipped", "absmax"), LSQ),
        "power-of-two scales": (replace(LSQ, power_of_two=True), replace(LSQ, power_of_two=True)),
        "stochastic rounding of weights": (replace(LSQ, stochastic=True), LSQ),
        "learned table on INT4": (replace(LSQ, table="free"), LSQ),
        "piecewise-linear on INT4": (replace(LSQ, table="piecewise"), LSQ),
    }
    found = [Run(f"W2A4: {name}", "int2", weights, activations) for name, (weights, activations) in ways.items()]
    found += [
        Run("W2A4: ternary, absolute mean", "ternary", ABSMEAN),
        Run("W2A4: teacher, half the loss", course=Course(epochs=1, teacher=0.5)),
    ]
    return found


def recipe(run: Run) -> Recipe:
    """The chip's recipe with the run's weight format."""
    found = recipe_for(hwsim.load_target(CHIP), None, "mse")
    return replace(found, weights=replace(found.weights, format=run.weights))


def on_chip(graph: Graph, data: Any) -> float:
    """Top-1 on the test digits, bit for bit."""
    answers = hwsim.emulate(graph, CHIP, data.inputs).output.argmax(1)
    return float((answers == data.labels).mean())


@cache
def untrained(model: str, weights: str) -> float:
    """Top-1 on the chip of the network quantized after training."""
    run = Run("", weights, model=model)
    quantized = quantize(hwsim.load_model(model), recipe(run), zoo.data(model, "calib").inputs)
    return on_chip(quantized, zoo.data(model))


def learn(run: Run) -> dict[str, Any]:
    """Train one network, and measure it before and after."""
    graph, data, test = hwsim.load_model(run.model), zoo.data(run.model, "train"), zoo.data(run.model)
    rule = recipe(run)
    quantized = quantize(graph, rule, zoo.data(run.model, "calib").inputs)
    network = QatNetwork(
        quantized, graph, rule, weights=run.learn_weights, activations=run.learn_activations, seed=run.course.seed
    )
    began = time.process_time()
    curve = train(
        network,
        data.inputs,
        data.labels,
        run.course,
        teacher=QatNetwork(quantized, graph, rule, full=True).eval(),
        augment=None if run.augment is None else AUGMENTS[run.augment],
        judge=lambda net: accuracy(net, test.inputs, test.labels),
    )
    spent = time.process_time() - began
    return {
        "name": run.name,
        "seed": run.course.seed,
        "n": len(test.inputs),
        "before": untrained(run.model, run.weights),
        "chip": on_chip(network.export(), test),
        "torch": curve[-1].score,
        "cpu_s": round(spent, 1),
        "curve": [[row.step, row.loss, row.score] for row in curve],
    }


PARTS: dict[str, Callable[[], list[Run]]] = {"bars": bars, "curves": curves, "table": table}
MODES = (
    ("INT4", CHIP, "int4", None),
    ("INT2 in INT4", CHIP, "int4", "int2"),
    ("FP8 E4M3", "nvidia-h100", "fp8", None),
    ("NVFP4", "nvidia-b200", "nvfp4", None),
)
COMPARED = 256
"""Inputs whose codes are compared."""


def equality() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Three networks, four formats: each trained for an epoch of its calibration data, then compared code by code."""
    for model in ("mnist-cnn", "mnist-mlp", "resnet8"):
        for name, chip, precision, weights in MODES:
            yield f"equality: {model}, {name}", partial(_equal, model, name, chip, precision, weights)


def _equal(model: str, name: str, chip: str, precision: str, weights: str | None) -> dict[str, Any]:
    graph, target = hwsim.load_model(model), hwsim.load_target(chip)
    if model == "resnet8":
        data, labels = zoo.data(model).inputs, np.zeros(len(zoo.data(model).inputs), np.int64)
        course = Course(epochs=8, batch=10, teacher=1.0)
    else:
        calib = zoo.data(model, "calib")
        data, labels, course = calib.inputs, calib.labels, Course(epochs=2, batch=64)
    rule = recipe_for(target, precision, "mse")
    if weights is not None:
        rule = replace(rule, weights=replace(rule.weights, format=weights))
    quantized = quantize(graph, rule, data)
    network = QatNetwork(quantized, graph, rule, weights=LSQ, activations=LSQ)
    teacher = QatNetwork(quantized, graph, rule, full=True).eval()
    curve = train(network, data, labels, course, teacher=teacher)
    x = zoo.data(model).inputs[:COMPARED]
    rows = differing(network, target, x, precision)
    outputs = set(network.graph.outputs)
    codes = [row for row in rows if row.value not in outputs]
    ends = [row for row in rows if row.value in outputs]
    return {
        "model": model,
        "format": name,
        "n": len(x),
        "values": len(codes),
        "codes": sum(row.codes for row in codes),
        "exact": sum(row.exact for row in codes),
        "layer": sum(row.layer for row in codes),
        "whole": sum(row.whole for row in codes),
        "outputs": sum(row.codes for row in ends),
        "outputs_exact": sum(row.exact for row in ends),
        "losses": [curve[0].loss, curve[-1].loss],
        "trained_exactly": _exactly(network, target, precision, data, labels, course, teacher, x),
    }


def _exactly(
    network: QatNetwork,
    target: Any,
    precision: str,
    data: Any,
    labels: Any,
    course: Course,
    teacher: QatNetwork,
    x: Any,
) -> int:
    """Output numbers that differ from the chip's after some steps on the chip's own values."""
    network.chip = chip_values(target, precision)
    few = min(len(data), 2 * course.batch)
    train(network, data[:few], labels[:few], replace(course, epochs=1), teacher=teacher)
    with torch.no_grad():
        mine = network.eval()(torch.from_numpy(x)).numpy()
    theirs = hwsim.emulate(network.export(), target, x, precision=precision).output
    return int((mine.view(np.uint32) != np.ascontiguousarray(theirs, np.float32).view(np.uint32)).sum())


def resnet8() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """By distillation alone: crops of unlabelled pictures, the float network's answers. W4A4 by three seeds, and the
    courses of ``curves`` at W2A4, where much is left to win."""
    for seed in SEEDS:
        run = Run("W4A4", "int4", course=Course(seed=seed))
        yield f"resnet8, {run.key}", partial(_distilled, run)
    for run in curves():
        yield f"resnet8 W2A4, {run.key}", partial(_distilled, replace(run, name=f"W2A4, {run.name}"))


def _crops(seed: int, count: int, pictures: Any) -> Any:
    """Squares of 48 to 224 pixels from pictures [n, 3, 224, 224], scaled to 32 x 32 by the mean of areas."""
    dice = np.random.default_rng(seed)
    found = np.empty((count, 3, 32, 32), np.float32)
    for at in range(count):
        side = int(dice.integers(48, 225))
        top, left = (int(dice.integers(0, 225 - side)) for _ in range(2))
        cut = pictures[int(dice.integers(len(pictures))), :, top : top + side, left : left + side]
        whole = torch.from_numpy(np.ascontiguousarray(cut, np.float32))[None]
        found[at] = torch.nn.functional.adaptive_avg_pool2d(whole, 32)[0].numpy()
    return found


def _distilled(run: Run) -> dict[str, Any]:
    pictures, seed = zoo.data("efficientnet-lite0").inputs, run.course.seed
    learned, held = _crops(seed, 2000, pictures[:15]), _crops(99, 500, pictures[15:])
    test, graph, rule = zoo.data("resnet8"), hwsim.load_model("resnet8"), recipe(run)
    quantized = quantize(graph, rule, learned[:256])
    network = QatNetwork(
        quantized, graph, rule, weights=run.learn_weights, activations=run.learn_activations, seed=seed
    )
    teacher = QatNetwork(quantized, graph, rule, full=True).eval()
    with torch.no_grad():
        wanted = [teacher(torch.from_numpy(x)).numpy().argmax(1) for x in (held, test.inputs)]
    began = time.process_time()
    course = replace(run.course, epochs=3, batch=50, rate=5e-4, teacher=1.0)
    curve = train(
        network, learned, np.zeros(len(learned), np.int64), course, teacher=teacher, augment=AUGMENTS["mirror"]
    )
    spent, found = time.process_time() - began, {}
    for when, stored in (("before", quantized), ("after", network.export())):
        crops, images = (hwsim.emulate(stored, CHIP, x).output.argmax(1) for x in (held, test.inputs))
        found[f"agreement_{when}"] = float((crops == wanted[0]).mean())
        found[f"right_{when}"] = int((images == test.labels).sum())
    return {
        **found,
        "name": run.name,
        "seed": seed,
        "float_right": int((wanted[1] == test.labels).sum()),
        "n": len(test.inputs),
        "crops": len(held),
        "cpu_s": round(spent, 1),
        "losses": [row.loss for row in curve],
    }


JOBS = {"equality": equality, "resnet8": resnet8}


def main() -> int:
    """Make the runs of one part that are not in the file yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=sorted((*PARTS, *JOBS)))
    parser.add_argument("--out", type=Path, required=True, help="file of the results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    jobs = JOBS[args.part]() if args.part in JOBS else ((run.key, partial(learn, run)) for run in PARTS[args.part]())
    for key, job in jobs:
        held = json.loads(args.out.read_text()) if args.out.exists() else {}
        if key in held:
            continue
        found = {"part": args.part, **job()}
        held = json.loads(args.out.read_text()) if args.out.exists() else {}
        atomic.write(args.out, json.dumps({**held, key: found}, indent=1).encode(), DataError)
        print(key, {k: v for k, v in found.items() if k != "curve"}, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
