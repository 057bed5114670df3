"""Bit flips and bad light on mnist-cnn, chip beside chip: ``python bench/robustness.py [--flips 100000000]`` makes
reports/robustness.md.

Bit flips: every chip's own storage, the same seeds for all. Corruptions: five kinds in five severities, float beside
each chip. Accuracy is on the 2,000 test digits, bit for bit as the chip answers.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import hwsim
from hwsim.ir import reference
from hwsim.robust import CORRUPTIONS, FaultRow, corrupt, fault_study
from hwsim.robust.corruptions import SEVERITIES
from hwsim.robust.faults import PLACES, Faults, emulate_with_faults
from hwsim.robust.study import interval

MODEL = "mnist-cnn"
CHIPS = ("hwsim-int4-ws16", "hwsim-int4-sm16", "hwsim-uint4-ws16", "ascend-910b4", "nvidia-h100")
ENCODINGS = {
    "hwsim-int4-ws16": "INT4, two's complement",
    "hwsim-int4-sm16": "INT4, sign and magnitude",
    "hwsim-uint4-ws16": "INT4, offset binary; UINT4 activations",
    "ascend-910b4": "INT4, two's complement, saturating sums",
    "nvidia-h100": "FP8 E4M3, float sums",
}
RATES = (1e-3, 3e-3, 1e-2)
REPEATS = 8
REPORT = Path(__file__).parent.parent / "reports" / "robustness.md"


def percent(row: FaultRow) -> str:
    return f"{100 * row.accuracy:.2f} ({100 * row.low:.2f} to {100 * row.high:.2f})"


def faults(digits: int, repeats: int) -> list[str]:
    """Tables of accuracy under bit flips, by place."""
    data = hwsim.load_data(MODEL).head(digits)
    chips = [(hwsim.quantize(MODEL, name), hwsim.load_target(name)) for name in CHIPS]
    rows = fault_study(chips, data, rates=RATES, repeats=repeats)
    text = []
    for place in PLACES:
        text += [f"\n### {place}\n", "| encoding | no faults | " + " | ".join(f"rate {r:g}" for r in RATES) + " |"]
        text.append("|---" * (len(RATES) + 2) + "|")
        held = {name: [row for row in rows if row.target == name and row.place == place] for name in CHIPS}
        for name in sorted(CHIPS, key=lambda n: held[n][-1].harm):
            cells = " | ".join(percent(row) for row in held[name])
            text.append(f"| {ENCODINGS[name]} | {100 * held[name][0].clean:.2f} | {cells} |")
    total = sum(row.flips for row in rows)
    text.append(f"\n{total:,} bits flipped in these tables; {repeats} draws a cell, {digits} digits each.")
    return text


def bits(digits: int, repeats: int) -> list[str]:
    """Which bit of a weight hurts, by encoding."""
    data = hwsim.load_data(MODEL).head(digits)
    text = ["\n### Which bit of a weight\n", "Each bit alone, rate 0.03; accuracy, %, with its 95 % interval.\n"]
    text += ["| encoding | bit 0 | bit 1 | bit 2 | bit 3 (sign) |", "|---|---|---|---|---|"]
    for name in CHIPS[:3]:
        chip = [(hwsim.quantize(MODEL, name), hwsim.load_target(name))]
        rows = fault_study(
            chip, data, rates=(0.03,), places=("weights",), bits=[(bit,) for bit in range(4)], repeats=repeats
        )
        text.append(f"| {ENCODINGS[name]} | " + " | ".join(percent(row) for row in rows) + " |")
    return text


def many(wanted: int) -> list[str]:
    """Activation faults until ``wanted`` bits have flipped, shared among the encodings; how often answers stay."""
    data = hwsim.load_data(MODEL)
    begun = time.perf_counter()
    rows, total = [], 0
    for name in CHIPS:
        graph, target = hwsim.quantize(MODEL, name), hwsim.load_target(name)
        clean = hwsim.emulate(graph, target, data.inputs).output.argmax(1)
        shares, flips, seed = [], 0, 0
        while flips < wanted / len(CHIPS) or len(shares) < 3:
            run, more = emulate_with_faults(graph, target, data.inputs, Faults("activations", 0.1, seed=seed))
            shares.append(float(np.mean(run.output.argmax(1) == clean)))
            flips, seed = flips + more, seed + 1
        rows.append((name, flips, len(shares), *interval(shares)))
        total += flips
    took = time.perf_counter() - begun
    text = [f"\n### {total:,} flips\n"]
    text.append(
        f"Every tenth bit of every stored activation, {total:,} flips through the network in {took:.0f} s "
        "(two cores): how often the answer stays.\n"
    )
    text += [
        "| encoding | flips | runs of 2,000 digits | answers that stay, % | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for name, flips, runs, mean, low, high in sorted(rows, key=lambda row: -row[3]):
        text.append(
            f"| {ENCODINGS[name]} | {flips:,} | {runs} | {100 * mean:.2f} | {100 * low:.2f} to {100 * high:.2f} |"
        )
    return text


def light() -> list[str]:
    """Accuracy under each corruption and severity."""
    data, graph = hwsim.load_data(MODEL), hwsim.load_model(MODEL)
    chips = {name: (hwsim.quantize(MODEL, name), hwsim.load_target(name)) for name in CHIPS}
    text = ["| corruption | severity | float32 | " + " | ".join(CHIPS) + " |", "|---" * (3 + len(CHIPS)) + "|"]
    for kind, held in CORRUPTIONS.items():
        for severity in SEVERITIES:
            x = corrupt(data.inputs, kind, severity, seed=severity)
            plain = reference.run(graph, {graph.inputs[0]: x})[graph.outputs[0]]
            cells = [plain, *(hwsim.emulate(g, t, x).output for g, t in chips.values())]
            shares = " | ".join(f"{100 * float(np.mean(c.argmax(1) == data.labels)):.2f}" for c in cells)
            text.append(f"| {kind} | {severity} ({held.strengths[severity - 1]:g} {held.unit}) | {shares} |")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=100_000_000, help="of the large run")
    parser.add_argument("--digits", type=int, default=1000, help="of each draw in the tables")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    text = [
        "# Robustness of mnist-cnn: bit flips and bad light\n",
        f"`python bench/robustness.py --flips {options.flips} --digits {options.digits} --repeats {options.repeats}`; "
        "seeds 0 and up. Accuracy in %, with 95 % intervals of Student's t over draws of the faults.\n",
        "## Bit flips\n",
        "Each bit of the place flips with the rate. Weights flip once a draw, the rest anew for each input.",
        *faults(options.digits, options.repeats),
        *bits(options.digits, options.repeats),
        *many(options.flips),
        "\n## Bad light\n",
        "Accuracy, %, on 2,000 test digits. Attacks are not in this report yet.\n",
        *light(),
    ]
    REPORT.write_text("\n".join(text) + "\n")
    print(REPORT)


if __name__ == "__main__":
    main()
