"""What training wins back in low bits, on the chip: the tables and curves of reports/training.md.

    hwsim zoo get mnist-cnn --training
    python -m bench.qat bars --out training.json        # W2A4, binary, W4A4; three seeds each
    python -m bench.qat curves --out training.json      # gradient scaling and 16-bit sums against the plain estimator
    python -m bench.qat table --out training.json       # every estimator and scale at W2A4
    python -m bench.qat equality --out training.json    # codes of torch against codes of the emulator
    python -m bench.qat resnet8 --out training.json     # by distillation alone
    python -m bench.qat draw --out training.json --svg reports/training.svg

A run that is in the file already is not made again. Networks learn from the 8,000 training digits and are measured by
``hwsim.emulate`` on the 2,000 test digits, which no choice was made on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

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
        "part": "",
        "name": run.name,
        "seed": run.course.seed,
        "n": len(test.inputs),
        "before": on_chip(quantized, test),
        "chip": on_chip(network.export(), test),
        "torch": curve[-1].score,
        "cpu_s": round(spent, 1),
        "curve": [[row.step, row.loss, row.score] for row in curve],
    }


PARTS: dict[str, Callable[[], list[Run]]] = {"bars": bars, "curves": curves, "table": table}


def main() -> int:
    """Make the runs of one part that are not in the file yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for run in PARTS[args.part]():
        held = json.loads(args.out.read_text()) if args.out.exists() else {}
        if run.key in held:
            continue
        held[run.key] = {**learn(run), "part": args.part}
        atomic.write(args.out, json.dumps(held, indent=1).encode(), DataError)
        print(run.key, {k: v for k, v in held[run.key].items() if k != "curve"}, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
