"""Weights stored 2:4: bytes by hand and by the packer, rates against the published sparse peaks, and no product that is
slower or dearer than its dense twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.api import estimate
from hwsim.cli.estimate import command
from hwsim.errors import DataError, FormatError, TargetError
from hwsim.ir.workload import MatrixWork, gemm
from hwsim.numerics.sparse import compress_2to4
from hwsim.perf import workload
from hwsim.perf.machine import weight_bytes
from hwsim.target import Target, load_target, names

SPARSE = {
    # sparse operations a second, 1e12, as the vendors advertise them
    ("nvidia-a100", "fp16"): 624,
    ("nvidia-a100", "int8"): 1248,
    ("nvidia-a100", "int4"): 2496,
    ("nvidia-b200", "fp8"): 9000,
    ("nvidia-b200", "nvfp4"): 18000,
    ("amd-mi300x", "fp8"): 5230,
}
CASES = [(name, mode) for name in names() for mode, spec in load_target(name).precisions.items() if spec.sparse_2to4]


def pair(chip: Target, mode: str, m: int, n: int, k: int) -> tuple[Any, Any]:
    """Estimates with dense and with 2:4 weights."""
    spec = chip.precision(mode)
    kinds = {"activations": spec.activations.format, "output": "fp16"}
    dense, sparse = (
        gemm(m, n, k, weights=spec.weights.format + suffix, **kinds)  # type: ignore[arg-type]
        for suffix in ("", "_2to4")
    )
    return estimate(dense, chip, precision=mode), estimate(sparse, chip, precision=mode)


@pytest.mark.parametrize(("fmt", "bits"), [("int8", 5), ("int4", 3), ("int2", 2), ("fp16", 9), ("fp8_e4m3fn", 5)])
def test_half_of_the_codes_and_two_bits_each_are_stored(fmt: str, bits: int) -> None:
    (op,) = gemm(1, 24, 32, weights=f"{fmt}_2to4", activations="fp16").ops
    assert isinstance(op, MatrixWork)
    assert weight_bytes(op) == 24 * 32 * bits / 8
    assert op.macs == 24 * 32


def test_the_packer_stores_as_many() -> None:
    rng = np.random.default_rng(5)
    codes = rng.integers(1, 16, (24, 32)).astype(np.uint8)
    codes.reshape(-1, 4)[:, [1, 2]] = 0
    kept, place = compress_2to4(codes)
    (op,) = gemm(1, 24, 32, weights="int4_2to4", activations="int4").ops
    assert isinstance(op, MatrixWork)
    assert weight_bytes(op) == (kept.size * 4 + place.size * 2) / 8


@pytest.mark.parametrize(("chip", "mode"), SPARSE)
def test_peak_is_the_advertised_one(chip: str, mode: str) -> None:
    _, sparse = pair(load_target(chip), mode, 512, 512, 512)
    assert 2 * sparse.peak_macs_per_s / 1e12 == pytest.approx(SPARSE[chip, mode], rel=0.02)


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_large_products_gain_and_stay_below_the_peak(name: str, mode: str) -> None:
    chip = load_target(name)
    dense, sparse = pair(chip, mode, 4096, 4096, 4096)
    rate = chip.precision(mode).sparse_2to4.rate.value  # type: ignore[union-attr]
    assert sparse.macs == dense.macs
    assert sparse.macs <= sparse.peak_macs_per_s * sparse.seconds
    assert 1 <= dense.seconds / sparse.seconds <= 1.0001 * max(rate, 2)
    assert sparse.rows[0].actions["mac"] == pytest.approx(dense.rows[0].actions["mac"] / rate)
    assert sparse.rows[0].utilisation <= 1
    if rate > 1:
        assert dense.seconds / sparse.seconds > 1.05  # less than twice where the L2 or power holds it


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(CASES),
    st.integers(1, 3000),
    st.integers(1, 300).map(lambda n: 16 * n),
    st.integers(1, 300).map(lambda k: 32 * k),
)
def test_never_slower_and_never_dearer(case: tuple[str, str], m: int, n: int, k: int) -> None:
    dense, sparse = pair(load_target(case[0]), case[1], m, n, k)
    assert sparse.seconds <= dense.seconds * (1 + 1e-9)
    assert sparse.joules <= dense.joules * (1 + 1e-9)
    assert sparse.rows[0].dram_bytes <= dense.rows[0].dram_bytes


def test_a_slow_decompressor_holds_the_array_back() -> None:
    chip = load_target("hwsim-int4-ws16")
    data = chip.model_dump()
    data["precisions"]["int4"]["sparse_2to4"]["codes_per_cycle"]["value"] = 1
    slow = Target.model_validate(data)
    work = gemm(16, 64, 64, weights="int4_2to4", activations="int4")
    quick = estimate(work, chip)
    assert quick.rows[0].compute_cycles == 16 * (2 * 16 + 16 + 16 - 2)  # the array's own folds
    assert estimate(work, slow).rows[0].compute_cycles == 64 * 64


def test_networks_keep_dense_what_does_not_divide() -> None:
    found = workload("resnet50", weights="int8_2to4", activations="int8")
    sparse = {op.name: op.sparse for op in found.ops if isinstance(op, MatrixWork)}
    assert not sparse.pop("conv1")  # k = 147
    assert all(sparse.values())
    decoder = workload("llama2-7b", weights="fp16_2to4")
    assert {op.sparse for op in decoder.ops if isinstance(op, MatrixWork) and op.weights_static} == {True}
    assert not any(op.sparse for op in decoder.ops if isinstance(op, MatrixWork) and not op.weights_static)


def test_decoding_reads_what_is_stored() -> None:
    dense, sparse = (estimate("llama2-7b", "nvidia-a100", precision="fp16", weights=f"fp16{s}") for s in ("", "_2to4"))
    weights = 6.607e9 * 16 / 8
    moved = sum(row.dram_bytes for row in dense.rows) - sum(row.dram_bytes for row in sparse.rows)
    assert moved == pytest.approx(weights * 7 / 16, rel=0.01)
    assert 1.5 < dense.seconds / sparse.seconds < 16 / 9


def test_faults_are_told() -> None:
    with pytest.raises(DataError, match="multiple of 4, found 30"):
        gemm(1, 24, 30, weights="int8_2to4")
    with pytest.raises(FormatError, match="int9"):
        gemm(1, 24, 32, weights="int9_2to4")
    with pytest.raises(TargetError, match="takes no 2:4 weights at precision int8") as caught:
        estimate(gemm(1, 24, 32, weights="int8_2to4"), "nvidia-t4")
    assert caught.value.hint == "no precision of it does"


def test_it_is_asked_for_by_the_name_of_the_weights() -> None:
    asked = ["resnet50", "--target", "nvidia-a100", "--weights", "int8_2to4", "--activations", "int8"]
    found = CliRunner().invoke(command, asked)
    assert found.exit_code == 0, found.output
    assert "resnet50_2to4" in found.output
