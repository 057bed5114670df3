"""Every way between targets of different encodings, on a CNN: ``python bench/migration.py [--limit N] [--write]``.

The network is quantized for each target and converted to each other one (``hwsim.convert``); its answers are emulated
bit for bit on both. ``--write`` writes reports/migration.md.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import hwsim
from hwsim.converting import Conversion
from hwsim.numerics import QTensor
from hwsim.report.model import Accuracy

MODEL = "mnist-cnn"
TARGETS = (
    ("hwsim-int4-ws16", "int4"),
    ("hwsim-uint4-ws16", "int4"),
    ("hwsim-int4-sm16", "int4"),
    ("ascend-910b4", "int4"),
    ("nvidia-h100", "fp8"),
    ("nvidia-b200", "nvfp4"),
)
REPORT = Path(__file__).parent.parent / "reports" / "migration.md"
HEAD = """# From one chip's encoding to another's

`python bench/migration.py --write` made this page: mnist-cnn, quantized for each target and converted to each other one
by `hwsim convert`, its {n} test digits emulated bit for bit on both sides.

{encodings}

## All {pairs} ordered pairs

Weights and activations: how many tensors are the **same**, **lossless** (other codes, the same numbers), **finer**
(every level is still there), **as seen** (a level is gone that no calibration input used) or **requantized**. Changed:
weights whose number differs. SQNR: the worst requantized weight tensor's. Answers: top-1 on the old target, on the new
one, and on the new one when the float network is quantized for it directly.

| from | to | weights | changed | SQNR | activations | before | after | direct |
|---|---|---|--:|--:|---|--:|--:|--:|
"""


def accuracy(graph: hwsim.ir.Graph, target: str, precision: str, data: hwsim.io.Dataset) -> Accuracy:
    """Top-1 on the target, bit for bit."""
    (result,) = hwsim.compare(graph, target, data, precision=precision).results
    assert result.accuracy is not None
    return result.accuracy


def counts(done: Conversion, kind: str) -> str:
    """How many tensors of a kind fared how."""
    how = [change.how for change in done.changes if change.kind == kind]
    return ", ".join(f"{how.count(word)} {word}" for word in dict.fromkeys(how))


def row(done: Conversion, before: Accuracy, after: Accuracy, direct: Accuracy) -> str:
    """A line of the table."""
    weights = [change for change in done.changes if change.kind == "weight"]
    changed = sum(change.changed for change in weights) / sum(change.elements for change in weights)
    noisy = [change.sqnr_db for change in weights if change.changed and change.sqnr_db is not None]
    cells = (
        done.source,
        done.target,
        counts(done, "weight"),
        f"{100 * changed:.1f} %" if changed else "0",
        f"{min(noisy):.1f} dB" if noisy else "exact",
        counts(done, "activation"),
        *(f"{100 * each.value:.2f} %" for each in (before, after, direct)),
    )
    return f"| {' | '.join(cells)} |"


def encodings(graphs: dict[str, hwsim.ir.Graph]) -> str:
    """How each target stores the first layer and its input."""
    lines = ["| target | weights | activations | unit |", "|---|---|---|---|"]
    for name, precision in TARGETS:
        weight = graphs[name].constants["conv1.weight"]
        assert isinstance(weight, QTensor)
        mode = hwsim.load_target(name).precision(precision)
        zero = "" if mode.activations.symmetric else " with a zero point"
        stored = weight.block_format or weight.format
        lines.append(f"| {name} | {stored} | {mode.activations.format}{zero} | {mode.unit} |")
    return "\n".join(lines)


def main() -> None:
    """Convert and measure all pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=200, help="digits (default: 200; --write takes all)")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.name}")
    options = parser.parse_args()
    data = hwsim.load_data(MODEL)
    data = data if options.write else data.head(options.limit)
    graphs = {name: hwsim.quantize(MODEL, name, precision=precision) for name, precision in TARGETS}
    at_home = {name: accuracy(graphs[name], name, precision, data) for name, precision in TARGETS}
    lines, lossless, start = [], [], time.perf_counter()
    for (source, _), (target, precision) in itertools.permutations(TARGETS, 2):
        done = hwsim.convert(graphs[source], target, precision=precision, run=False)
        after = accuracy(done.graph, target, precision, data)
        lines.append(row(done, at_home[source], after, at_home[target]))
        if done.lossless:
            lossless.append(f"{source} -> {target}")
        print(lines[-1], flush=True)
    text = HEAD.format(n=f"{len(data):,}", pairs=len(lines), encodings=encodings(graphs)) + "\n".join(lines)
    text += "\n\nWithout any loss, weights, activations and biases alike: " + "; ".join(lossless) + ".\n"
    print(f"{len(lines)} pairs in {time.perf_counter() - start:.0f} s; lossless: {', '.join(lossless)}")
    if options.write:
        REPORT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
