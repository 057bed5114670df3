"""The GPU model: against one H100, and what must hold whatever the numbers are."""

from __future__ import annotations

import csv
import re
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.errors import DataError, TargetError
from hwsim.ir.workload import MatrixWork, Workload, gemm
from hwsim.perf import Estimate, estimate, workload
from hwsim.perf.gpu_links import collective_s
from hwsim.perf.gpu_matrix import Rates
from hwsim.perf.gpu_tiles import fastest, tiles
from hwsim.target import GpuMachine, load_target
from tests.perf.parts import faster

DATA = Path(__file__).resolve().parents[1] / "data"
TYPES = {
    "f16": ("fp16", "fp16"),
    "bf16": ("bf16", "bf16"),
    "tf32": ("tf32", "tf32"),
    "e4m3": ("fp8_e4m3fn", "fp8_e4m3fn"),
    "s8": ("int8", "int8"),
    "w4a16": ("int4_g128", "bf16"),
}
DASHED = {
    "llama2_7b": "llama2-7b",
    "llama32_1b": "llama3.2-1b",
    "qwen2_7b": "qwen2-7b",
    "gpt2_medium": "gpt2-medium",
}
"""Networks that the measurements name otherwise."""


def read(name: str, card: str = "h100") -> list[dict[str, str]]:
    with (DATA / card / name).open() as stream:
        return list(csv.DictReader(line for line in stream if not line.startswith("#")))


@pytest.mark.parametrize(
    ("dtype", "latency", "energy"),
    [
        ("f16", 0.04, 0.06),
        ("bf16", 0.04, 0.06),
        ("tf32", 0.04, 0.06),
        ("e4m3", 0.04, 0.06),
        ("s8", 0.05, 0.06),
        ("w4a16", 0.03, 0.07),
    ],
)
def test_products_against_silicon(dtype: str, latency: float, energy: float) -> None:
    """Mean absolute errors, in sample; reports/validation-h100.md has them by cross-validation."""
    late, off = [], []
    for row in read("gemm.csv"):
        if row["dtype"] == dtype and int(row["M"]):
            m, n, k = (int(row[key]) for key in "MNK")
            weights, activations = TYPES[dtype]
            found = estimate(gemm(m, n, k, weights=weights, activations=activations), load_target("nvidia-h100"))
            late.append(abs(found.seconds * 1e6 / float(row["us"]) - 1))
            off.append(abs(found.joules * 1e3 / float(row["mJ"]) - 1))
    assert len(late) >= 8
    assert sum(late) / len(late) < latency
    assert sum(off) / len(off) < energy
    assert max(late) < 0.3


def kept_back(row: dict[str, str]) -> bool:
    """Whether neither a rule nor a constant was made with the shape, as bench/parity_h100.py halves them."""
    return int(sha256(" x ".join(row[key] for key in "MNK").encode()).hexdigest(), 16) % 2 == 1


@pytest.mark.parametrize("dtype", TYPES)
def test_products_of_widths_kept_back(dtype: str) -> None:
    """In steady state: rows above 705 W were measured before the card had lowered its clock."""
    weights, activations = TYPES[dtype]
    late = []
    for row in read("wide_gemm.csv"):
        if row["dtype"] == dtype and kept_back(row) and float(row["watts"]) <= 705:
            m, n, k = (int(row[key]) for key in "MNK")
            found = estimate(gemm(m, n, k, weights=weights, activations=activations), load_target("nvidia-h100"))
            late.append(abs(found.seconds * 1e6 / float(row["us"]) - 1))
    assert len(late) >= 6
    assert sum(late) / len(late) < 0.085


@pytest.mark.parametrize(
    ("dtype", "mode", "pattern", "least"),
    [("s8", "int8", r"s8_(\d+)x(\d+)", 0.94), ("tf32", "tf32", r"xmma_(\d+)x(\d+)", 0.6)],
)
def test_tiles_that_the_library_took(dtype: str, mode: str, pattern: str, least: float) -> None:
    """In the half that the rules were not read off."""
    target = load_target("nvidia-h100")
    machine = target.machine
    assert isinstance(machine, GpuMachine)
    rates = Rates.of(target, machine, target.precision(mode))
    same = []
    for row in read("wide_survey.csv"):
        took = re.search(pattern, row["kernels"])
        if row["dtype"] == dtype and took and kept_back(row):
            m, n, k = (int(row[key]) for key in "MNK")
            work = gemm(m, n, k, weights=TYPES[dtype][0], activations=TYPES[dtype][1]).ops[0]
            assert isinstance(work, MatrixWork)
            same.append(sorted(fastest(work, rates, 0.0).tile) == sorted(int(side) for side in took.groups()))
    assert len(same) > 150
    assert sum(same) / len(same) > least


def test_small_tf32_products_are_cut_along_k() -> None:
    """192 x 512 x 4608 has 24 tiles of 64 x 64: a kernel with k whole would leave most SMs idle (13.3 us measured)."""
    cut = estimate(gemm(192, 512, 4608, weights="tf32", activations="tf32"), load_target("nvidia-h100")).seconds
    assert 11e-6 < cut < 16e-6


def test_four_bit_products_pay_for_rows_and_for_widening() -> None:
    """Cycles of a dequantizing block grow with its rows from a floor (0.5, 0.7 and 1.2 ns a step of k at 1, 8, 16)."""
    times = [
        estimate(gemm(m, 12288, 4096, weights="int4_g128", activations="bf16"), load_target("nvidia-h100")).seconds
        for m in (1, 8, 16)
    ]
    assert times[0] < times[1] < times[2] < 3 * times[1]


def network(row: dict[str, str], card: str = "h100") -> Estimate:
    detail = dict(item.split("=") for item in row["detail"].split(";"))
    weights, activations = TYPES[detail.get("weights") or detail["dtype"]]
    sizes = {key: int(detail[key]) for key in ("batch", "new_tokens", "context") if key in detail}
    name = DASHED.get(row["network"], row["network"])
    return estimate(workload(name, weights=weights, activations=activations, **sizes), load_target(f"nvidia-{card}"))


def test_networks_against_silicon() -> None:
    rows = read("nets.csv")
    found = [network(row) for row in rows]
    late = [abs(each.seconds * 1e6 / float(row["us"]) - 1) for each, row in zip(found, rows, strict=True)]
    off = [abs(each.joules * 1e3 / float(row["mJ"]) - 1) for each, row in zip(found, rows, strict=True)]
    assert len(rows) == 23
    assert sum(late) / len(late) < 0.035
    assert max(late) < 0.13
    assert sum(off) / len(off) < 0.05


def test_collectives_against_silicon() -> None:
    """Above 1 MB. Two of the sixteen rows take longer than others that move four times their bytes would say."""
    target = load_target("nvidia-h100")
    errors = sorted(
        abs(collective_s(row["op"], int(row["bytes"]), int(row["ranks"]), target) * 1e6 / float(row["us"]) - 1)  # type: ignore[arg-type]
        for row in read("collectives.csv")
        if int(row["bytes"]) > 1 << 20
    )
    assert len(errors) == 16
    assert sum(errors) / len(errors) < 0.15
    assert errors[12] < 0.16


def test_collectives_refuse() -> None:
    assert collective_s("all_reduce", 1 << 20, 1, load_target("nvidia-h100")) == 0
    with pytest.raises(DataError, match="at least 1 rank, found 4 and 0"):
        collective_s("all_reduce", 4, 0, load_target("nvidia-h100"))
    with pytest.raises(TargetError, match=r"ascend-910b4: expected machine\.link"):
        collective_s("all_gather", 4, 2, load_target("ascend-910b4"))


def test_the_h200_is_the_h100_with_other_memory() -> None:
    mine, other = load_target("nvidia-h100").model_dump(), load_target("nvidia-h200").model_dump()
    assert other["machine"]["dram"]["bytes_per_s"]["value"] == 4.8e12
    assert other["machine"]["dram"]["capacity_bytes"]["value"] == 141_000_000_000
    for data in (mine, other):
        for key in ("name", "title", "description", "sources", "validated"):
            del data[key]
        for key in ("bytes_per_s", "capacity_bytes"):
            del data["machine"]["dram"][key]
    assert mine == other


def test_power_holds_the_clock_down_and_only_then() -> None:
    target = load_target("nvidia-h100")
    large = estimate(gemm(4096, 4096, 4096, weights="fp16", activations="fp16"), target)
    small = estimate(gemm(64, 4096, 4096, weights="fp16", activations="fp16"), target)
    assert 1.2e9 < large.held_clock_hz < 1.5e9
    assert large.rows[0].bound == "power"
    assert large.watts == pytest.approx(695, rel=1e-3)
    assert small.held_clock_hz == 1.98e9
    assert small.watts < 695


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(list(TYPES.values())))
@settings(max_examples=60, deadline=None)
def test_products_add_up(m: int, n: int, k: int, formats: tuple[str, str]) -> None:
    found = estimate(gemm(m, n, k, weights=formats[0], activations=formats[1]), load_target("nvidia-h100"))
    row = found.rows[0]
    assert row.macs == m * n * k
    assert 0 < row.utilisation <= 1
    assert 0 <= row.stall_cycles <= row.cycles
    assert row.cycles == row.compute_cycles + row.stall_cycles
    assert min(row.energy_pj.values()) >= 0
    assert found.joules * 1e12 == pytest.approx(row.total_pj)
    assert found.watts <= 695 * 1.001


@given(
    st.sampled_from(["machine.dram.bytes_per_s", "machine.shared.bytes_per_s", "machine.power_limit_w"]),
    st.tuples(st.integers(1, 4096), st.integers(1, 4096), st.integers(1, 4096)),
)
@settings(max_examples=60, deadline=None)
def test_more_bandwidth_or_power_never_slows_a_product(path: str, shape: tuple[int, int, int]) -> None:
    """Beyond what a change of tile brings: tiles are chosen by time at the highest clock, not by energy."""
    target = load_target("nvidia-h100")
    work = gemm(*shape, weights="fp16", activations="fp16")
    assert estimate(work, faster(target, path, 1.5)).seconds <= estimate(work, target).seconds * 1.03


def test_tiles() -> None:
    groups = tiles(128 * 256)
    assert groups[0][0] * groups[0][1] == 128 * 256
    assert {(64, 8), (16, 64), (128, 256), (256, 128), (192, 160), (64, 512)} <= set(groups)
    assert all(m * n <= 128 * 256 and (m % 64 == 0 or n % 64 == 0) for m, n in groups)


def test_attention_is_one_kernel_and_causal_in_decoders() -> None:
    target = load_target("nvidia-h100")
    rows = estimate(workload("gpt2", new_tokens=1024, context=1024), target).rows
    scores = next(row for row in rows if row.name == "layer0.scores")
    softmax = next(row for row in rows if row.name == "layer0.softmax")
    values = next(row for row in rows if row.name == "layer0.values")
    assert softmax.seconds == values.seconds == 0
    assert scores.actions["mac"] == pytest.approx((scores.macs + values.macs) * 9 / 16)
    encoder = estimate(workload("bert_base", context=1024), target).rows
    whole = next(row for row in encoder if row.name == "layer0.scores")
    assert whole.actions["mac"] == 2 * whole.macs


def test_a_compiled_workload_has_no_kernels_for_what_rides() -> None:
    eager = workload("resnet50", batch=4)
    compiled = Workload(eager.name, eager.batch, eager.ops)
    target = load_target("nvidia-h100")
    slow, fast = estimate(eager, target), estimate(compiled, target)
    assert fast.seconds < 0.5 * slow.seconds
    assert fast.macs == slow.macs
    assert all(row.seconds == 0 for row in fast.rows if row.op in ("Relu", "BatchNormalization", "Requantize"))


def test_quantized_checkpoints_keep_their_head_wide() -> None:
    found = estimate(workload("llama2-7b", weights="int4_g128", activations="bf16"), load_target("nvidia-h100"))
    head = next(row for row in found.rows if row.name == "head")
    assert head.dram_bytes > 2 * 32000 * 4096


@pytest.mark.parametrize("size", [1000, 1400, 3000])
def test_rows_that_straddle_cache_lines_cost_more(size: int) -> None:
    """Measured: FP16 1000 cubed takes 8.6 us, 1024 cubed 6.2 us."""
    target = load_target("nvidia-h100")
    straddling = estimate(gemm(1024, 1024, size, weights="fp16", activations="fp16"), target)
    aligned = estimate(gemm(1024, 1024, size // 64 * 64, weights="fp16", activations="fp16"), target)
    assert straddling.rows[0].compute_cycles > 1.1 * aligned.rows[0].compute_cycles


def test_networks_never_seen_against_an_h200() -> None:
    """EfficientNet, ResNet-18, larger encoders and decoders, on the other card."""
    late, off = [], []
    for row in read("other_nets.csv", "h200"):
        found = network(row, "h200")
        late.append(abs(found.seconds * 1e6 / float(row["us"]) - 1))
        off.append(abs(found.joules * 1e3 / float(row["mJ"]) - 1))
    known = [each for each in off if each == each]  # the meter ticked often enough
    assert (len(late), len(known)) == (29, 28)
    assert sum(late) / len(late) < 0.05
    assert max(late) < 0.12
    assert sum(known) / len(known) < 0.07


def test_rows_of_odd_sizes_against_silicon() -> None:
    """Copies of few bytes hold older kernels back: FP16 1001 cubed takes 30 us, 1000 cubed 8.6 us."""
    found = 0
    for row in read("other_gemm.csv", "h200"):
        if row["M"] in ("1001", "1234", "2049", "7000") or (row["dtype"], row["M"]) == ("f16", "5000"):
            weights, activations = TYPES[row["dtype"]]
            m, n, k = (int(row[key]) for key in "MNK")
            made = estimate(gemm(m, n, k, weights=weights, activations=activations), load_target("nvidia-h200"))
            assert made.seconds * 1e6 == pytest.approx(float(row["us"]), rel=0.25), (m, n, k)
            found += 1
    assert found == 6
