"""The page and the figure of :mod:`parity_h100`: tables, history, and why rows miss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from parity_h100 import CONSTANTS, DATA, TRIES, TYPES, Miss, judge, networks, products, summary, wide

from hwsim.target import Target, load_target

REASONS = {
    ("f16", "1000 x 1000 x 1000"): "rows of 2000 bytes straddle cache lines; a second line each is not all of it",
    ("bf16", "1000 x 1000 x 1000"): "as f16",
    (
        "s8",
        "1000 x 1000 x 1000",
    ): "rows at 8 bytes: an Ampere kernel, whose copies of 4 bytes have one rate for all sizes",
    (
        "s8",
        "1568 x 512 x 4608",
    ): "a block an SM: steps as long as where operands come from memory; here the L2 has them",
    ("s8", "100352 x 64 x 576"): "half of each tile is beyond the 64 columns; what that costs in traffic is not known",
    ("s8", "3136 x 256 x 64"): "one step of k; what remains is launch, and results of 3 MB in INT32",
    ("s8", "64 x 12288 x 4096"): "blocks of three stages wait for memory for longer than the model's steps",
    ("s8", "64 x 11008 x 4096"): "as 64 x 12288",
    ("f16", "1568 x 512 x 4608"): "cuBLAS took 64 x 112 in clusters of eight, a slow choice",
    ("e4m3", "1568 x 512 x 4608"): "cuBLAS took 64 x 104, where other tiles would be faster",
    ("f16", "392 x 512 x 4608"): "64 x 40 tiles in clusters of eight; two measurements lie 14% apart (9.9 and 11.3 us)",
    ("s8", "25088 x 128 x 1152"): "12.8 MB of INT32 results seem hidden; the model adds a third of their time",
    ("f16", "3136 x 256 x 64"): "2.8 us: one step of k, whose kernel overlaps the one before more than the launch says",
    ("w4a16", "16 x 6144 x 4096"): "768 blocks at four an SM make 1.5 waves; the model counts work, not waves",
    ("tf32", "512 x 512 x 512"): "64 x 64 tiles, for which one launch time of the whole family is too long",
    ("f16", "256 x 4096 x 11008"): "64 x 128 tiles at 1331 MHz take longer than arithmetic, bytes and power say",
    (
        "tf32",
        "128 x 768 x 768",
    ): "an Ampere kernel with k cut in parts and a reduction; both start later than the model says",
    ("tf32", "1576 x 768 x 768"): "128 x 128 tiles with no overlap between loads and stores",
    ("s8", "2048 x 2048 x 2048"): "measured at 1680 MHz where the model holds 1960; not explained by power",
    ("vit_b_16", "1"): "products of 197 rows take 6.5 us where those of 128 rows (BERT) take 5.1; not explained",
    ("vit_b_16", "8"): "as batch 1",
    ("mobilenet_v2", "1"): "255 kernels of 1 to 3 us: the smallest overlap more than one launch time for all says",
}
"""Why rows miss: kernels are known by name for the rows of held_gemm.csv and names of held_kernels.csv."""


HISTORY = (
    "## First contact",
    "",
    "The model fitted to gemm.csv and nets.csv alone met 125 products (17 of them again) and 31 networks, measured",
    "afterwards on an H100 (held_gemm.csv, held_nets.csv), with these mean absolute errors of latency: f16 7.6%, bf16",
    "7.0%, tf32 9.4%, e4m3 4.0%, s8 10.7%, w4a16 2.9%; Llama-3-8B 2.6%, BERT 3.2%, GPT-2 9.4%; MobileNetV2 (as eager",
    "NCHW tensors) 25%. What they showed: kernels for unaligned rows, k cut among blocks, INT8's and TF32's few tiles,",
    "convolutions on NHWC tensors (ResNet-50's given rows are channels_last), two kernels before each batch norm,",
    "attention bound by exponentials, layer norms bound by blocks. The model now has these, and is fitted to all rows.",
)


FRESH = (
    "Networks and products of other widths, measured on another H200 when all constants were set (other_gemm.csv,",
    "other_nets.csv). At first contact: networks 4.3% latency, 5.5% energy (EfficientNet-B0 4.2%, BERT-large 6.1%,",
    "Qwen2-7B 2.9%, GPT-2-medium 3.4%, ResNet-18 3.1%, ViT-L 1.0%, Llama-3.2-1B 2.9%); products, latency: f16 10.9%,",
    "bf16 15.3%, tf32 9.3%, e4m3 4.8%, s8 8.7%, w4a16 12.0%. A third of that came from rows of odd sizes. They showed",
    "copies of few bytes, clusters of four blocks and TF32's preference for 128 x 128; no constant was fitted to them,",
    "but the structure was chosen while they were looked at (TF32's and INT8's, too). As the model is now:",
)

KEPT = (
    "## Other widths: half fitted, half kept back",
    "",
    "Then 2200 products whose shapes a hash drew from the weights of networks (`bench/measure_wide.py`) were traced",
    "on a third H100 for their kernels, and 146 of them measured (wide_survey.csv, wide_gemm.csv). A second hash",
    "halves the shapes. The first half was looked at: it shows in which tiles INT8 and TF32 run, that steps of INT8's",
    "small tiles take 183 cycles beside the arithmetic, that small TF32 products run in Ampere kernels with k cut,",
    "that 4-bit products pay for widening and for rows one after the other, and that no tile has 128 rows and fewer",
    "than 64 columns; its rows joined the fit. Rows measured at more than 705 W, before the card had lowered its",
    "clock, are left out of both halves. At first contact, of the model as it was, latency and energy of the second",
    "half were off by: f16 8.5% and 6.2%, bf16 5.8% and 5.8%, tf32 6.3% and 10.6%, e4m3 6.0% and 9.9%, s8 9.5% and",
    "5.0%, w4a16 4.3% and 20.0%. Now:",
)


def kept(target: Target) -> list[str]:
    """Both halves of the products of many widths, and networks on that card."""
    lines = [*KEPT, "", "| kind | rows | latency | bias | energy | bias |", "|---|---:|---:|---:|---:|---:|"]
    for title, rows in zip(("fitted", "**kept back**"), wide(), strict=True):
        for kind, count, late, bias, off, off_bias in sorted(
            summary(judge(rows, target)), key=lambda row: list(TYPES).index(row[0])
        ):
            lines.append(f"| {kind}, {title} | {count} | {late:.1f}% | {bias:+.1f}% | {off:.1f}% | {off_bias:+.1f}% |")
    nets = judge(networks("wide_nets.csv"), target)
    lines += ["", "Networks on that card, of which nothing was fitted:", "", *network_table(nets)]
    return lines


def h200() -> list[str]:
    """The H200s' rows beside nvidia-h200, whose file differs from the H100's in memory alone."""
    target = load_target("nvidia-h200")
    folder = DATA.parent / "h200"
    lines = [
        "## Two H200s, never fitted",
        "",
        "`nvidia-h200` is `nvidia-h100` with 4.8 TB/s and 141 GB. Energy only where the meter ticked five times.",
    ]
    for files, words in ((("gemm.csv", "nets.csv"), ()), (("other_gemm.csv", "other_nets.csv"), FRESH)):
        judged = judge((*products(files[0], folder=folder), *networks(files[1], folder=folder)), target)
        lines += ["", *words, *([""] if words else []), "| kind | rows | latency | bias | energy | bias |"]
        lines.append("|---|---:|---:|---:|---:|---:|")
        nets = [miss for miss in judged if miss.row.kind not in TYPES]
        groups = {
            kind: [miss for miss in judged if miss.row.kind == kind]
            for kind in dict.fromkeys(m.row.kind for m in judged)
        }
        for kind, misses in {**groups, "all networks": nets}.items():
            late = np.array([miss.latency for miss in misses])
            off = np.array([miss.energy for miss in misses if not np.isnan(miss.energy)])
            energy = f"{abs(off).mean():.1%} | {off.mean():+.1%}" if off.size else "|"
            lines.append(f"| {kind} | {len(late)} | **{abs(late).mean():.1%}** | {late.mean():+.1%} | {energy} |")
    return lines


def network_table(misses: Sequence[Miss]) -> list[str]:
    """Networks, a row each."""
    return [
        "| network | batch, tokens, context, weights | latency | error | energy | error | clock | modelled |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {miss.row.kind} | {miss.row.label} | {miss.row.us / 1e3:.2f} ms | {miss.latency:+.1%} "
            f"| {miss.row.mj:.0f} mJ | {miss.energy:+.1%} | {miss.row.mhz:.0f} MHz | {miss.mhz:.0f} MHz |"
            for miss in misses
        ),
    ]


def report(
    fitted: Sequence[Miss], held: Sequence[Miss], networks_judged: Sequence[Miss], fresh: Sequence[Miss], folds: int
) -> str:
    """The page."""
    lines = [
        "# The GPU model against one H100",
        "",
        "Made by `python bench/parity_h100.py --folds 5 --write`. Rows:",
        "[tests/data/h100](../tests/data/h100/README.md); the model: [docs/gpu-model.md](../docs/gpu-model.md).",
        "Errors are modelled / measured - 1.",
        "",
        *HISTORY,
        "",
        "![modelled over measured, latency and energy](validation-h100.svg)",
        "",
        f"## Products, {folds}-fold cross-validation over shapes",
        "",
        f"Each row is judged by constants ({len(CONSTANTS)}, for all types together) fitted again without its shape.",
        f"A search starts at the shipped constants and makes {TRIES} trials.",
        "",
        "What the folds do not test: the structure (tiles, cutting of k, kernels of networks and their launches) was",
        "settled while looking at all rows and at kernel traces. Means of absolute errors, and of errors.",
        "",
        "| operands | rows | latency | bias | energy | bias | latency in sample | energy in sample |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    inside = {row[0]: row for row in summary(fitted)}
    for kind, count, late, bias, off, off_bias in sorted(summary(held), key=lambda row: list(TYPES).index(row[0])):
        lines.append(
            f"| {kind} | {count} | **{late:.1f}%** | {bias:+.1f}% | **{off:.1f}%** | {off_bias:+.1f}% "
            f"| {inside[kind][2]:.1f}% | {inside[kind][4]:.1f}% |"
        )
    late = np.mean([abs(miss.latency) for miss in networks_judged])
    off = np.mean([abs(miss.energy) for miss in networks_judged])
    lines += [
        "",
        "## Networks",
        "",
        "Launches and rates of vector kernels come from traces of these networks; no constant belongs to one of them.",
        "",
        f"Mean of absolute errors: latency **{late:.1%}**, energy **{off:.1%}**.",
        "",
        *network_table(networks_judged),
        "",
        "Measured, but neither fitted nor read off traces (EfficientNet at batch 8 was off by -14.9% before means over",
        "positions got the time that the traces of the two networks above show for theirs):",
        "",
        *network_table(fresh),
    ]
    worst = sorted((*fitted, *networks_judged), key=lambda miss: -abs(miss.latency))[:10]
    lines += [
        "",
        "## The ten rows whose latency misses most",
        "",
        "| row | latency | energy | why, as far as the numbers tell |",
        "|---|---:|---:|---|",
    ]
    for miss in worst:
        why = REASONS.get((miss.row.kind, miss.row.label), "not explained")
        lines.append(f"| {miss.row.kind} {miss.row.label} | {miss.latency:+.1%} | {miss.energy:+.1%} | {why} |")
    return "\n".join(
        [
            *lines,
            "",
            *kept(load_target("nvidia-h100")),
            "",
            *h200(),
            "",
        ]
    )


def figure(judged: Sequence[Miss]) -> str:
    """Latency and energy of every row."""
    from parity_plot import Panel, draw

    def points(energy: bool) -> list[tuple[str, float, float, str]]:
        out = []
        for miss in judged:
            error, size = (miss.energy, miss.row.mj) if energy else (miss.latency, miss.row.us)
            kind = miss.row.kind if miss.row.kind in TYPES else "networks"
            out.append((kind, size, 1 + error, f"{miss.row.kind} {miss.row.label}: {error:+.1%}"))
        return out

    return draw(
        "hwsim's GPU model over one H100, latency and energy",
        [
            Panel("Latency, modelled over measured", "us", points(False)),
            Panel("Energy, modelled over measured", "mJ", points(True)),
        ],
    )
