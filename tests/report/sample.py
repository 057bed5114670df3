"""Synthetic comparisons of any size, and a realistic one. Every number is made up; no page of the product uses them."""

from __future__ import annotations

from dataclasses import replace

from hwsim.perf.result import COMPONENTS, Estimate, LayerEstimate
from hwsim.report.attribution import Attribution, Measure, Swap
from hwsim.report.model import (
    KINDS,
    Accuracy,
    Comparison,
    Declared,
    Evidence,
    HealthRow,
    TargetResult,
    TargetSummary,
    TileRow,
    wilson,
)

Layer = tuple[str, str, int, int, int, int, int]
"""name, op, m, n, k, weight elements, vector operations."""

CNN: tuple[Layer, ...] = (
    ("quantize", "Quantize", 0, 0, 0, 0, 1568),
    ("conv1", "Conv", 784, 16, 9, 144, 0),
    ("conv1.requantize", "Requantize", 0, 0, 0, 0, 37632),
    ("pool1", "MaxPool", 0, 0, 0, 0, 9408),
    ("conv2", "Conv", 196, 32, 144, 4608, 0),
    ("conv2.requantize", "Requantize", 0, 0, 0, 0, 18816),
    ("pool2", "MaxPool", 0, 0, 0, 0, 4704),
    ("fc1", "Gemm", 1, 128, 1568, 200704, 0),
    ("fc1.requantize", "Requantize", 0, 0, 0, 0, 384),
    ("fc2", "Gemm", 1, 10, 128, 1280, 0),
)


def deep(count: int) -> tuple[Layer, ...]:
    """``count`` layers like a residual network's, names as exporters write them."""
    layers: list[Layer] = []
    for index in range(count):
        stage, width = 1 + index // 14, 16 * 2 ** (index // 14 % 4)
        if index % 3 == 2:
            layers.append((f"/layer{stage}/layer{stage}.{index}/Add", "Add", 0, 0, 0, 0, 1024 * width))
        else:
            name = f"/layer{stage}/layer{stage}.{index}/conv{1 + index % 2}/Conv"
            layers.append((name, "Conv", 1024 // stage**2, width, 9 * width, 9 * width * width, 0))
    return tuple(layers)


def estimate(
    target: str,
    layers: tuple[Layer, ...],
    *,
    peak: float,
    bandwidth: float,
    launch_s: float = 0.0,
    pj_mac: float = 0.05,
    pj_dram: float = 30.0,
    pj_sram: float = 0.6,
    watts: float = 0.01,
    bits: int = 4,
    batch: int = 1,
    clock_hz: float = 1e9,
    efficiency: float = 0.8,
) -> Estimate:
    """A crude roofline, only to have numbers of the right size."""
    rows = []
    for name, op, m, n, k, weights, operations in layers:
        m *= batch
        macs = m * n * k
        dram = (weights * bits // 8) if macs else 0
        sram = (m * k + weights + m * n) * bits // 8 if macs else operations
        fill = min(1.0, n / 128) * min(1.0, k / 128) ** 0.3
        work = macs / (peak * efficiency * fill) if macs else operations * batch / (peak / 64)
        memory = dram / bandwidth
        seconds = max(work, memory, launch_s)
        bound = (
            "launch"
            if launch_s >= max(work, memory)
            else ("memory" if memory > work else "compute" if macs else "vector")
        )
        energy = {
            "mac": macs * pj_mac,
            "accumulator": macs * pj_mac * 0.3,
            "scratchpad": sram * pj_sram,
            "vector": operations * batch * pj_mac * 8,
            "dram": dram * pj_dram,
            "static": watts * seconds * 1e12,
        }
        cycles = max(1, round(seconds * clock_hz))
        compute = min(cycles, max(1, round(work * clock_hz)))
        rows.append(
            LayerEstimate(
                name=name,
                op=op,
                engine="matrix" if macs else "vector",
                m=m,
                n=n,
                k=k,
                groups=1 if macs else 0,
                macs=macs,
                operations=2 * macs or operations * batch,
                cycles=cycles,
                compute_cycles=compute,
                stall_cycles=cycles - compute,
                seconds=seconds,
                utilisation=macs / (peak * seconds) if macs else 0.0,
                bound=bound,
                dram_bytes=dram,
                sram_bytes=sram,
                actions={"mac": float(macs), "dram_bytes": float(dram)},
                energy_pj=energy,
            )
        )
    seconds = sum(row.seconds for row in rows)
    total = {component: sum(row.energy_pj.get(component, 0.0) for row in rows) for component in COMPONENTS}
    return Estimate(
        workload="sample",
        target=target,
        precision="int4",
        batch=batch,
        clock_hz=clock_hz,
        cycles=sum(row.cycles for row in rows),
        seconds=seconds,
        joules=sum(total.values()) * 1e-12,
        rows=tuple(rows),
        energy_pj=total,
        peak_macs_per_s=peak,
        dram_bytes_per_s=bandwidth,
        inferences_per_s=batch / seconds if seconds else 0.0,
        macs=sum(row.macs for row in rows),
        evidence={"arithmetic": "silicon", "timing": "published", "energy": "derived"},
    )


def health(layers: tuple[Layer, ...], *, sign_magnitude: bool = False) -> tuple[HealthRow, ...]:
    """A row a matrix layer; the last one exact."""
    rows = []
    for index, (name, _, m, n, _k, weights, _ops) in enumerate(layers):
        if weights:
            elements = m * n * 2000
            zeros = int(elements * (0.35 + 0.05 * (index % 5)))
            negative = elements // 977 if sign_magnitude else 0
            sqnr = 31.4 - 2.3 * (index % 6)
            rows.append(HealthRow(name, elements, 0 if index % 4 else 37, elements // 512, zeros, negative, sqnr))
    return (*rows[:-1], replace(rows[-1], sqnr_db=float("inf"), clipped=0)) if rows else ()


def trace(layers: tuple[Layer, ...], unit: str) -> tuple[TileRow, ...]:
    """A row a matrix layer."""
    return tuple(TileRow(name, op, unit, m, n, k, 2000, 2000 * m * n * k) for name, op, m, n, k, w, _ in layers if w)


def accuracy(correct: int, n: int = 2000, baseline: float = 0.9865, agreement: float = 0.9945) -> Accuracy:
    """From counts."""
    return Accuracy(correct / n, n, correct, wilson(correct, n), baseline, agreement)


def realistic() -> Comparison:
    """A small CNN on three chips."""
    h100 = TargetResult(
        TargetSummary(
            "nvidia-h100",
            "NVIDIA H100 SXM (FP8)",
            "fp8",
            "nvidia.hopper.wgmma.e4m3",
            "fp8_e4m3fn per channel",
            "fp8_e4m3fn per tensor",
            {
                "arithmetic": Evidence("silicon", "wgmma vectors measured on an H100, 2026-01"),
                "timing": Evidence("derived", "H100 datasheet; kernel launch time measured"),
                "energy": Evidence("assumed", "energy per operation from published 4 nm estimates"),
            },
            (
                Declared("machine.clock_hz", 1.83e9, "published", "NVIDIA H100 datasheet, table 2"),
                Declared("machine.dram.bytes_per_s", 3.35e12, "published", "NVIDIA H100 datasheet, table 2"),
                Declared("machine.launch_s", 1.9e-6, "silicon", "measured inside a captured graph", 1.6e-6, 2.4e-6),
                Declared("energy.dram_pj_per_byte", 31.2, "assumed", "HBM3, published estimates", 25.0, 56.0),
            ),
        ),
        estimate(
            "nvidia-h100",
            CNN,
            peak=9.9e14,
            bandwidth=3.35e12,
            launch_s=1.9e-6,
            pj_mac=0.35,
            watts=115,
            bits=8,
            efficiency=0.6,
        ),
        accuracy(1972, agreement=0.9985),
        trace(CNN, "nvidia.hopper.wgmma.e4m3"),
        health(CNN, sign_magnitude=True),
    )
    ascend = TargetResult(
        TargetSummary(
            "ascend-910b4",
            "Huawei Ascend 910B4 (INT4 Cube)",
            "int4",
            "ascend.cube.int4",
            "int4 per channel",
            "int4 per tensor",
            {
                "arithmetic": Evidence("published", "vendor documentation of the Cube unit"),
                "timing": Evidence("published", "vendor documentation of the Cube unit"),
                "energy": Evidence("assumed", "scaled from 7 nm estimates"),
            },
        ),
        estimate("ascend-910b4", CNN, peak=5.6e14, bandwidth=0.8e12, launch_s=7e-7, pj_mac=0.11, watts=60),
        accuracy(1966),
        trace(CNN, "ascend.cube.int4"),
        health(CNN),
    )
    ours = TargetResult(
        TargetSummary(
            "hwsim-int4-ws16",
            "hwsim INT4 weight-stationary 16×16",
            "int4",
            "hwsim.rtl.int4",
            "int4 per channel",
            "int4 per tensor",
            {
                "arithmetic": Evidence("rtl", "rtl/array_ws.v simulated in Icarus Verilog"),
                "timing": Evidence("rtl", "rtl/array_ws.v, cycle counts equal on 200 tiles"),
                "energy": Evidence("derived", "standard-cell library of IHP SG13G2, 1.2 V, 25 °C"),
            },
        ),
        estimate(
            "hwsim-int4-ws16",
            CNN,
            peak=1.28e11,
            bandwidth=6.4e9,
            pj_mac=0.21,
            pj_dram=40,
            pj_sram=1.9,
            watts=0.009,
            clock_hz=5e8,
        ),
        accuracy(1966),
        trace(CNN, "hwsim.rtl.int4"),
        health(CNN),
    )
    return Comparison(
        model="mnist-cnn",
        title="mnist-cnn on three chips",
        data="MNIST, held-out digits",
        n=2000,
        results=(h100, ascend, ours),
        created="2026-11-23T02:00:00Z",
        command="hwsim report mnist-cnn --target nvidia-h100 --target ascend-910b4 --target hwsim-int4-ws16",
        versions={"hwsim": "0.1.0", "numpy": "2.4.0", "numba": "0.68.0", "python": "3.11.2"},
        hashes={
            "model": "sha256:" + "3f9a" * 16,
            "data": "sha256:" + "77c1" * 16,
            "targets/nvidia-h100.yaml": "sha256:" + "0b5e" * 16,
        },
        seed=0,
        notes=("Made-up numbers, for tests of the page only.",),
    )


def slower() -> Comparison:
    """The realistic comparison with another machine model behind it, and one layer more."""
    run = realistic()
    more = (*CNN, ("fc3", "Gemm", 1, 10, 10, 100, 0))
    results = tuple(
        replace(
            result,
            estimate=estimate(
                result.target.name, more, peak=3e11, bandwidth=2e10, watts=0.5, pj_mac=0.4, launch_s=1e-6
            ),
        )
        for result in run.results
    )
    return replace(run, results=results, created="2026-12-01T00:00:00Z", versions={**run.versions, "hwsim": "0.2.0"})


def attribution(layers: int = 5, *, long_names: bool = False) -> Attribution:
    """A loss by cause and layer; some layers' errors cancel."""
    tail = "-with-a-name-that-nobody-would-like-to-read-twice" if long_names else ""

    def measure(sqnr: float, score: float = 0.97) -> Measure:
        return Measure(sqnr, 1 - 10 ** (-sqnr / 10), 0.9 + score / 20, score)

    causes = (
        Swap("weights", "weights and biases stored in int4", measure(14.2), measure(16.1)),
        Swap("activations", "operands stored in int4", measure(16.1), measure(14.2)),
        Swap("accumulator", "sums as ascend.cube.int4 makes them", measure(float("inf")), measure(12.0)),
        Swap("requantization", "sums scaled by a float32 factor", measure(44.0), measure(12.1)),
        Swap("vector operations", "values between vector operations held in fp16", measure(51.0), measure(11.9)),
    )
    names = [f"/layer{i}/layer{i}.0/conv{tail}/Conv" for i in range(layers)]
    rows = tuple(
        Swap(name, "Conv 1024×144×16", measure(15.0 + 3 * (i % 5)), measure(11.0 + 0.9 * (i % 5)))
        for i, name in enumerate(names)
    )
    steps = tuple((cause.name, measure(14.2 - 0.5 * i)) for i, cause in enumerate(causes[:-1]))
    run = realistic()
    return Attribution(
        model="resnet8",
        title="Why ResNet8 loses on Huawei Ascend 910B4",
        data="made up",
        n=256,
        target=run.results[1].target,
        metric="top-1",
        lower_is_better=False,
        float32=0.985,
        chip=measure(12.0),
        causes=causes,
        steps=(*steps, ("vector operations", measure(12.0))),
        layers=rows,
        created=run.created,
        command="hwsim emulate resnet8 --target ascend-910b4 --why",
        versions=run.versions,
        hashes=run.hashes,
        notes=run.notes,
    )


def synthetic(
    targets: int, layers: int, *, long_names: bool = False, zero_energy: bool = False, bare: bool = False
) -> Comparison:
    """``targets`` x ``layers``; ``bare`` leaves out accuracy, evidence, health and trace."""
    shape = deep(layers)
    results = []
    for index in range(targets):
        name = f"target-{index}" + ("-with-a-name-that-nobody-would-like-to-read-twice" if long_names else "")
        made = estimate(
            name,
            shape,
            peak=1e12 * 3.0**index,
            bandwidth=1e10 * 2.0**index,
            pj_mac=0.02 * (1 + index),
            batch=1 + index % 3,
        )
        if zero_energy:
            none = dict.fromkeys(COMPONENTS, 0.0)
            made = replace(
                made, joules=0.0, energy_pj=none, rows=tuple(replace(row, energy_pj=none) for row in made.rows)
            )
        if bare:
            made = replace(made, evidence={})
        proof = {} if bare else {"arithmetic": Evidence(KINDS[index % 5], "a source")}
        summary = TargetSummary(name, name.replace("-", " ").title(), "int4", "hwsim.rtl.int4", "int4", "int4", proof)
        results.append(
            TargetResult(
                summary,
                made,
                None if bare else accuracy(1900 - 11 * index, baseline=0.955),
                () if bare else trace(shape, "hwsim.rtl.int4"),
                () if bare else health(shape, sign_magnitude=index % 2 == 1),
            )
        )
    return Comparison(
        model="synthetic",
        title=f"{targets} targets, {layers} layers",
        data="none" if bare else "made up",
        n=0 if bare else 2000,
        results=tuple(results),
        created="2026-01-02T03:04:05Z",
    )
