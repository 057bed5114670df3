"""Hold the GPU model to one H100: ``python bench/parity_h100.py [--fit] [--folds N] [--write]``.

Prints errors of the shipped constants by operand type and by network, five-fold cross-validation over product shapes
(every fold fits all constants again without its shapes, whatever their type), and the rows that miss most. ``--fit``
prints the constants that fit all rows best, to be written into targets/nvidia-h100.yaml; ``--write`` renews
reports/validation-h100.md and its figure.

The rows: tests/data/h100, all of gemm.csv, held_gemm.csv, nets.csv and held_nets.csv, and half of wide_gemm.csv; the
other half judges. Constants are fitted at once.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from hwsim.ir.workload import Workload, gemm
from hwsim.perf import estimate, workload
from hwsim.perf.convolutional import CONVOLUTIONAL
from hwsim.perf.estimate import matching_precision
from hwsim.perf.gpu import GpuModel
from hwsim.perf.workloads import NAMES
from hwsim.target import GpuMachine, Target, load_target

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "data" / "h100"
TYPES = {
    "f16": ("fp16", "fp16"),
    "bf16": ("bf16", "bf16"),
    "tf32": ("tf32", "tf32"),
    "e4m3": ("fp8_e4m3fn", "fp8_e4m3fn"),
    "s8": ("int8", "int8"),
    "w4a16": ("int4_g128", "bf16"),
}
GEMMS, NETS = ("gemm.csv", "held_gemm.csv"), ("nets.csv", "held_nets.csv")
WIDE, STEADY_W = "wide_gemm.csv", 705
"""Products of many widths, half of which (:func:`kept_back`) neither a constant nor a rule was made with; and the mean
power above which a row of that file was measured before the card had lowered its clock, so is left out."""
NAMED = {
    "llama2_7b": "llama2-7b",
    "llama3_8b": "llama3-8b",
    "bert_base_shape": "bert_base",
    "bert_base": "transformers",
    "llama32_1b": "llama3.2-1b",
    "qwen2_7b": "qwen2-7b",
    "gpt2_medium": "gpt2-medium",
}
STORES = tuple(f"precisions.{name}.store_share" for name in ("fp8", "fp16", "bf16", "tf32"))
CONSTANTS: dict[tuple[str, ...], tuple[float, float]] = {
    ("machine.launch_s",): (1e-6, 4e-6),
    ("precisions.tf32.launch_s",): (2e-6, 8e-6),
    ("precisions.int8.launch_s",): (1.5e-6, 6e-6),
    ("machine.dram_matrix_share",): (0.8, 0.95),
    ("machine.shared.bytes_per_s",): (5e12, 2e13),
    ("machine.matrix_share",): (0.85, 1.0),
    ("machine.voltage_slope",): (0.3, 1.3),
    ("machine.active_w",): (1.0, 120.0),
    STORES: (0.0, 1.0),
    ("precisions.int8.store_share",): (0.0, 1.0),
    ("energy.shared_pj_per_byte",): (5, 60),
    ("energy.scratchpad_pj_per_byte",): (3, 60),
    **{(f"precisions.{name}.mac_pj",): (0.1, 8.0) for name in ("fp8", "int8", "fp16", "bf16", "tf32")},
    ("machine.dequantize.fragment_bytes_per_cycle",): (5, 60),
    ("machine.dequantize.fetched_per_byte",): (1.0, 4.0),
    ("machine.dequantize.weights_per_cycle",): (8, 64),
}
"""What is fitted, with bounds; paths in a group have one value."""

UNSEEN = ("efficientnet_b0", "llama3.2-1b")
"""Networks that no constant is fitted to, and whose traces none is read off."""

NETWORK_WEIGHT = 2
"""Of a network beside a product."""

ENERGY_WEIGHT, CLOCK_WEIGHT, SOFT = 0.7, 0.25, 0.05
"""Of a row's relative energy and clock error beside its latency's (energy is metered in few ticks, the clock is one
sample); errors beyond SOFT count linearly, for a few rows run kernels that no rule foresees."""

STEP, TRIES = 5e-3, 4
"""Relative step of the slopes, and trials: another tile makes time jump, which a coarse step averages. A search starts
at the shipped constants."""


@dataclass(frozen=True)
class Row:
    """A measured row: ``kind`` is an operand type or a network."""

    kind: str
    label: str
    work: Workload
    us: float
    mj: float
    mhz: float


@dataclass(frozen=True)
class Miss:
    """A row and the model's relative errors."""

    row: Row
    latency: float
    energy: float
    clock: float
    mhz: float
    bound: str


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a measured file."""
    with path.open() as stream:
        return list(csv.DictReader(line for line in stream if not line.startswith("#")))


def products(*files: str, folder: Path = DATA) -> list[Row]:
    """The measured products of the files, or of all in the folder."""
    out = []
    for row in (row for name in files or GEMMS if (folder / name).exists() for row in read(folder / name)):
        m, n, k = (int(row[key]) for key in "MNK")
        if row["dtype"] in TYPES and m:
            weights, activations = TYPES[row["dtype"]]
            work = gemm(m, n, k, weights=weights, activations=activations)
            out.append(
                Row(row["dtype"], f"{m} x {n} x {k}", work, float(row["us"]), float(row["mJ"]), float(row["sm_mhz"]))
            )
    return out


def kept_back(row: Row) -> bool:
    """Whether a shape is of the half that nothing was looked at with, by its hash."""
    return int(sha256(row.label.encode()).hexdigest(), 16) % 2 == 1


def wide() -> tuple[list[Row], list[Row]]:
    """The products of many widths, in steady state: those that are fitted, and those kept back."""
    steady = [row for row in products(WIDE) if row.mj / row.us * 1e3 <= STEADY_W]
    return [row for row in steady if not kept_back(row)], [row for row in steady if kept_back(row)]


def networks(*files: str, folder: Path = DATA) -> list[Row]:
    """The measured networks that hwsim knows by name; convolutional ones on NHWC tensors."""
    out = []
    for row in (row for name in files or NETS if (folder / name).exists() for row in read(folder / name)):
        detail = dict(item.split("=") for item in row["detail"].split(";"))
        name = NAMED.get(row["network"], row["network"])
        nhwc = "form=channels_last" in row["detail"] or (name in CONVOLUTIONAL and "form" not in detail)
        if name not in NAMES or (name in CONVOLUTIONAL and not nhwc):
            continue
        weights, activations = TYPES[detail.get("weights") or detail["dtype"]]
        sizes = {key: int(detail[key]) for key in ("batch", "new_tokens", "context") if key in detail}
        if name.startswith("bert"):
            del sizes["new_tokens"]
        work = workload(name, weights=weights, activations=activations, **sizes)
        label = " ".join(str(detail[key]) for key in ("batch", "new_tokens", "context", "weights") if key in detail)
        out.append(Row(name, label, work, float(row["us"]), float(row["mJ"]), float(row["sm_mhz"])))
    return out


def value(target: Target, path: str) -> float:
    """A number of a target by its path."""
    found = dict(target.quantities())[path]
    return float(getattr(found, "value_pj", None) or found.value)


def variant(target: Target, values: Mapping[tuple[str, ...], float]) -> Target:
    """The target with other numbers."""
    data: dict[str, Any] = target.model_dump()
    for paths, number in values.items():
        for path in paths:
            node: Any = data
            for key in path.split("."):
                node = node[key]
            key = "value_pj" if "value_pj" in node else "value"
            node.update({key: number, **{band: None for band in node if band.startswith(("low", "high"))}})
    return Target.model_validate(data)


def judge(rows: Sequence[Row], target: Target) -> list[Miss]:
    """The model beside each row."""
    out = []
    for row in rows:
        found = estimate(row.work, target)
        longest = max(found.rows, key=lambda each: each.seconds)
        latency, energy = found.seconds * 1e6 / row.us - 1, found.joules * 1e3 / row.mj - 1
        hz = found.held_clock_hz
        clock = hz / 1e6 / row.mhz - 1 if row.mhz else float("nan")
        out.append(Miss(row, latency, energy, clock, hz / 1e6, longest.bound))
    return out


def errors(rows: Sequence[Row], target: Target) -> np.ndarray:
    """Logarithms of modelled over measured (latency, energy, clock), as :func:`judge` has them, without its tables."""
    assert isinstance(target.machine, GpuMachine)
    models: dict[str, GpuModel] = {}
    out = []
    known: dict[int, tuple[float, float, float]] = {}  # rows that weigh more come more than once
    for row in rows:
        if id(row) in known:
            out.append(known[id(row)])
            continue
        name = matching_precision(row.work, target)
        model = models.setdefault(name, GpuModel(target, target.machine, target.precision(name)))
        kernels = [kernel for each in model.lowering.kernels(row.work) for kernel in each]
        hz = model.power.clock_hz(kernels)
        times = Counter(id(kernel) for kernel in kernels)
        seconds = joules = 0.0
        for kernel in {id(kernel): kernel for kernel in kernels}.values():
            seconds += times[id(kernel)] * kernel.seconds(hz)
            joules += times[id(kernel)] * sum(model.power.price(kernel, hz).values()) / 1e12
        known[id(row)] = seconds * 1e6 / row.us, joules * 1e3 / row.mj, hz / 1e6 / row.mhz
        out.append(known[id(row)])
    return np.log(out)


def fit(rows: Sequence[Row], target: Target) -> Target:
    """The target with the constants that come closest to the rows."""
    names = list(CONSTANTS)
    start = np.array([value(target, paths[0]) for paths in names])
    low, high = (np.array([CONSTANTS[paths][side] for paths in names]) / start for side in (0, 1))

    def residuals(scaled: np.ndarray) -> np.ndarray:
        tried = variant(target, dict(zip(names, scaled * start, strict=True)))
        return np.asarray(errors(rows, tried) * (1.0, ENERGY_WEIGHT, CLOCK_WEIGHT)).ravel()

    found = least_squares(
        residuals,
        np.clip(np.ones(len(names)), low + 1e-3, high - 1e-3),
        bounds=(low, high),
        diff_step=STEP,
        loss="soft_l1",
        f_scale=SOFT,
        max_nfev=TRIES,
    )
    return variant(target, dict(zip(names, found.x * start, strict=True)))


def cross_validate(rows: Sequence[Row], always: Sequence[Row], target: Target, folds: int, jobs: int) -> list[Miss]:
    """Each row judged by constants that were fitted without its shape; ``always`` (networks) are in every fit."""
    shapes = sorted({row.label for row in rows})
    random.Random(0).shuffle(shapes)
    fold = {shape: index % folds for index, shape in enumerate(shapes)}
    kept = [[*always, *(row for row in rows if fold[row.label] != index)] for index in range(folds)]
    with ProcessPoolExecutor(jobs) as pool:
        fitted = list(pool.map(fit, kept, [target] * folds))
    return [miss for row in rows for miss in judge([row], fitted[fold[row.label]])]


def summary(misses: Sequence[Miss]) -> list[tuple[str, int, float, float, float, float]]:
    """For each kind: rows, mean absolute and mean latency error, the same of energy, in percent."""
    out = []
    for kind in dict.fromkeys(miss.row.kind for miss in misses):
        latency = np.array([miss.latency for miss in misses if miss.row.kind == kind]) * 100
        energy = np.array([miss.energy for miss in misses if miss.row.kind == kind]) * 100
        out.append(
            (
                kind,
                len(latency),
                float(abs(latency).mean()),
                float(latency.mean()),
                float(abs(energy).mean()),
                float(energy.mean()),
            )
        )
    return out


def show(title: str, misses: Sequence[Miss]) -> None:
    """Print a summary."""
    print(f"{title:24} rows  latency  (bias)   energy  (bias)")
    for kind, count, late, late_bias, off, off_bias in summary(misses):
        print(f"{kind:24} {count:4}  {late:6.1f}%  {late_bias:+5.1f}%  {off:6.1f}%  {off_bias:+5.1f}%")


def main() -> None:
    """Run as the module says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="folds at once")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    asked = parser.parse_args()
    target = load_target("nvidia-h100")
    seen, _ = wide()
    all_products, known = [*products(), *seen], networks()
    given = len(all_products) - len(seen)
    all_networks = [row for row in known if row.kind not in UNSEEN]
    unseen = [row for row in known if row.kind in UNSEEN]
    if asked.fit:
        target = fit((*all_products, *all_networks * NETWORK_WEIGHT), target)
        for paths in CONSTANTS:
            print(f"{', '.join(paths):100} {value(target, paths[0]):.4g}")
    judged = judge(all_products, target), judge(all_networks, target)
    show("products, in sample", judged[0][:given])
    show("other widths, in sample", judged[0][given:])
    show("networks, in sample", judged[1])
    fresh = judge(unseen, target)
    show("networks, unseen", fresh)
    if asked.verbose:
        for miss in (*judged[0], *judged[1], *fresh):
            print(
                f"{miss.row.kind:12}{miss.row.label:28}{miss.row.us:10.1f} us {miss.latency:+7.1%}"
                f"{miss.row.mj:11.2f} mJ {miss.energy:+7.1%}  {miss.mhz:5.0f} MHz {miss.row.mhz:5.0f}  {miss.bound}"
            )
    weighted = all_networks * NETWORK_WEIGHT
    held = cross_validate(all_products, weighted, target, asked.folds, asked.jobs) if asked.folds else []
    if held:
        show(f"products, {asked.folds}-fold", held[:given])
        show(f"other widths, {asked.folds}-fold", held[given:])
    if held and asked.write:
        from parity_h100_report import figure, report

        pages = ROOT / "reports"
        (pages / "validation-h100.md").write_text(
            report(judged[0][:given], held[:given], judged[1], fresh, asked.folds)
        )
        (pages / "validation-h100.svg").write_text(figure([*judged[0], *judged[1], *fresh]))


if __name__ == "__main__":
    main()
