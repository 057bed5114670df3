"""Attention in four bits, what harms it and what helps: the rows of reports/attention.md.

    hwsim zoo get tiny-llama --training && hwsim zoo get minilm --training
    python -m bench.attention run tiny-llama@hwsim-int4-ws16 --out reports/attention/rows.jsonl [--seed 0] [--jobs 8]
    python -m bench.attention run tiny-llama@nvidia-b200:nvfp4 --out reports/attention/rows.jsonl
    python -m bench.attention run minilm@hwsim-int4-ws16 --out reports/attention/rows.jsonl
    python -m bench.attention report reports/attention/rows.jsonl --out reports

A row that is in the file already is not made again, and a run that was stopped goes on from its checkpoint
(--checkpoints DIR). Networks learn from pages that no test input is from; every figure is ``study_attention``'s, of the
emulator, bit for bit, on test inputs. Rates were chosen on the validation pages.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from hwsim import zoo
from hwsim.emulate.attention import study_attention
from hwsim.io.metric import METRICS
from hwsim.ir import check, reference
from hwsim.quant import quantize, recipe_for
from hwsim.quant.attention import PLACES, log_scaled
from hwsim.quant.equalize import equalized
from hwsim.target import load_target

SEEDS = (0, 1, 2)
CALIBRATION = {"tiny-llama": 16, "minilm": 64}
TESTED = {"tiny-llama": 24, "minilm": 80}
"""The first test inputs: windows of the decoder, words of MiniLM (two to a pair)."""


@dataclass(frozen=True, slots=True)
class Method:
    """What is done to a network before it is measured.

    Attributes:
        name: as the tables have it.
        equalize: of the recipe, on the float network first.
        log_scales: where factors of heads learn (AQLC).
        learns: ``nothing``, ``factors`` or ``all``.
        distance: weight of the term that holds softmaxes to the float network's.
        factors: rate of the decoder's factors beside weights.
    """

    name: str
    equalize: str = "none"
    log_scales: tuple[str, ...] = ()
    learns: str = "nothing"
    distance: float = 0.0
    factors: float = 6e-4


METHODS = (
    Method("post-training"),
    Method("smoothing", "smooth_attention"),
    Method("per-head scales", "head_scales"),
    Method("rotation", "rotate"),
    Method("AQLC", log_scales=PLACES, learns="factors", distance=1.0),
    Method("AQLC, scores alone", log_scales=("scores",), learns="factors", distance=1.0),
    Method("AQLC, task's loss alone", log_scales=PLACES, learns="factors"),
    Method("smoothing + AQLC", "smooth_attention", PLACES, "factors", 1.0),
    Method("QAT", learns="all"),
    Method("QAT + distance", learns="all", distance=1.0),
    Method("QAT + AQLC, task's loss alone", log_scales=PLACES, learns="all"),
    Method("QAT + AQLC", log_scales=PLACES, learns="all", distance=1.0),
    Method("QAT + AQLC, factors at 0.01", log_scales=PLACES, learns="all", distance=1.0, factors=0.01),
    Method("smoothing + QAT", "smooth_attention", learns="all"),
    Method("smoothing + QAT + AQLC", "smooth_attention", PLACES, "all", 1.0),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One row to make."""

    model: str
    target: str
    precision: str | None
    method: Method
    seed: int
    steps: int
    inputs: int

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.model, self.target, self.precision, self.method.name, self.seed, self.steps, self.inputs)


def course_of(run: Run) -> dict[str, Any]:
    """Batch, rates and loss.

    The decoder's factors learn at 0.01 where they learn alone; MiniLM's, whose course is short, at 0.05.
    """
    alone = run.method.learns == "factors"
    if run.model == "minilm":
        return {"batch": 16, "task": "vectors", "teacher": 1.0, "rate": 1e-4, "log_rate": 500.0}
    rates = {"rate": 1e-3, "log_rate": 10.0} if alone else {"rate": 3e-4, "log_rate": run.method.factors / 3e-4}
    return {"batch": 4, "task": "next_token", **rates}


def measure(run: Run, checkpoints: Path | None = None) -> dict[str, Any]:
    """Make one row."""
    started, cpu = time.time(), time.process_time()
    graph, chip = zoo.model(run.model), load_target(run.target)
    recipe, start, logs, held = prepared(run.model, run.target, run.precision, run.method)
    curve: list[float] = []
    factors: dict[str, list[float]] = {}
    if run.method.learns != "nothing":
        held, curve, factors = learned(run, start, recipe, held, logs, checkpoints)
    trained = time.process_time() - cpu
    test, metric = zoo.data(run.model).head(run.inputs), METRICS[zoo.entry(run.model).metric]
    study = study_attention(held, chip, test.inputs, reference=graph, precision=run.precision, reduce=metric.figures)
    return {
        "model": run.model,
        "target": run.target,
        "precision": run.precision,
        "method": run.method.name,
        "seed": run.seed,
        "steps": run.steps if run.method.learns != "nothing" else 0,
        "metric": metric.name,
        "score": metric.score(study.outputs, test.labels),
        "float32": float_score(run.model, run.inputs),
        "cosine": cosine(run, study.outputs),
        "train_cpu_s": round(trained, 1),
        "wall_s": round(time.time() - started, 1),
        "losses": curve,
        "factors": factors,
        **{key: value for key, value in study.to_dict().items() if key not in ("model", "target", "precision")},
    }


@cache
def prepared(model: str, target: str, precision: str | None, method: Method) -> tuple[Any, Any, Any, Any]:
    """The recipe, the float network to start from, its factors, and the network stored."""
    graph, recipe = zoo.model(model), recipe_for(load_target(target), precision)
    ranges = zoo.data(model, "calib" if "calib" in zoo.entry(model).splits else "train").inputs[: CALIBRATION[model]]
    if method.equalize != "none":
        graph = check(equalized(graph, replace(recipe, equalize=method.equalize), ranges))
    logs: Any = {}
    if method.log_scales:
        graph, logs = log_scaled(graph, method.log_scales)
    return recipe, graph, logs, quantize(graph, recipe, ranges)


def learned(
    run: Run, start: Any, recipe: Any, held: Any, logs: Any, checkpoints: Path | None
) -> tuple[Any, list[float], dict[str, list[float]]]:
    """Train; the exported network, the losses, and the factors that were learned."""
    import torch

    from hwsim.quant.qat import Course, QatNetwork, train
    from hwsim.quant.qat.attention import attention_distance

    torch.set_num_threads(1)
    network = QatNetwork(held, start, recipe, seed=run.seed, log_scales=logs)
    teacher = QatNetwork(held, start, recipe, full=True).eval()  # moved scales and factors of one leave it as it was
    if run.method.learns == "factors":
        network.learn_only(network.logs())
    penalty = attention_distance(network, teacher, run.method.distance) if run.method.distance else None
    course = Course(epochs=1, seed=run.seed, report_steps=max(1, run.steps // 8), checkpoint_steps=25, **course_of(run))
    lines = zoo.data(run.model, "train").inputs
    pick = np.random.default_rng(run.seed).permutation(len(lines))[: run.steps * course.batch]
    name = "-".join(map(str, run.key)).replace(" ", "_") + ".npz"
    place = None if checkpoints is None else checkpoints / name
    curve = train(
        network,
        lines[pick],
        None,
        course,
        teacher=teacher if course.teacher else None,
        penalty=penalty,
        checkpoint=place,
    )
    factors = {name.replace("/", "."): scale.logs.tolist() for name, scale in network.factors.items()}
    return network.export(), [row.loss for row in curve], factors


@cache
def float_outputs(model: str, inputs: int) -> Any:
    """What the metric keeps of the float network's outputs."""
    graph, test, metric = zoo.model(model), zoo.data(model).head(inputs), METRICS[zoo.entry(model).metric]
    rows = [test.inputs[at : at + 8] for at in range(0, len(test.inputs), 8)]
    return np.concatenate(
        [metric.figures(reference.run(graph, {graph.inputs[0]: r})[graph.outputs[0]], r) for r in rows]
    )


def float_score(model: str, inputs: int) -> float:
    """The float network's score on the same inputs."""
    test, metric = zoo.data(model).head(inputs), METRICS[zoo.entry(model).metric]
    return metric.score(float_outputs(model, inputs), test.labels)


def cosine(run: Run, outputs: Any) -> float | None:
    """Mean cosine of a sentence encoder's vectors with the float network's."""
    if run.model != "minilm":
        return None
    want = float_outputs(run.model, run.inputs)
    norms = np.linalg.norm(want, axis=1) * np.linalg.norm(outputs, axis=1)
    return float(np.mean(np.einsum("nd,nd->n", want, outputs) / np.maximum(norms, 1e-30)))


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """Of a row, as ``Run.key``; steps are the course's, zero where nothing was learned."""
    return tuple(row[k] for k in ("model", "target", "precision", "method", "seed", "steps", "n"))


def main() -> None:
    """Make rows, or the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["run", "report"])
    parser.add_argument("what", help="run: MODEL@TARGET[:PRECISION]; report: the file of rows")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, action="append", help="repeatable; default: 0, 1 and 2")
    parser.add_argument("--method", action="append", help="repeatable; default: all")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument(
        "--inputs", type=int, help="test inputs; default: 24 windows of the decoder, 80 words of MiniLM"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, a thread each")
    parser.add_argument("--checkpoints", type=Path)
    args = parser.parse_args()
    if args.verb == "report":
        from bench.attention_report import write

        write(rows_of(Path(args.what)), args.out)
        return
    model, _, where = args.what.partition("@")
    target, _, precision = where.partition(":")
    unknown = set(args.method or ()) - {m.name for m in METHODS}
    if unknown:
        parser.error(f"no method {sorted(unknown)[0]!r}; there are: {', '.join(m.name for m in METHODS)}")
    count = args.inputs or TESTED[model]
    runs = [
        Run(model, target, precision or None, m, seed, args.steps if m.learns != "nothing" else 0, count)
        for m in METHODS
        for seed in (args.seed or SEEDS)
        if (not args.method or m.name in args.method) and (m.learns != "nothing" or seed == (args.seed or SEEDS)[0])
    ]
    there = {key_of(row) for row in rows_of(args.out)}
    runs = [run for run in runs if run.key not in there]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(measure, run, args.checkpoints) for run in runs]):
            row = done.result()
            with args.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{row['method']}, seed {row['seed']}: {row['score']:.3f}, shift {row['shift']:.4f}", flush=True)


if __name__ == "__main__":
    main()
