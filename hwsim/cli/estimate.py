"""``hwsim estimate``: time and energy without running a network."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import click

from hwsim.cli.common import console, emit_json, json_option, precision_option, targets_option

if TYPE_CHECKING:
    from hwsim.ir import Workload
    from hwsim.perf import Estimate
    from hwsim.target import Target


@click.command(
    "estimate",
    short_help="Time and energy.",
    epilog="Examples: hwsim estimate mnist-cnn --target hwsim-int4-ws16 --batch 8; "
    "hwsim estimate --gemm 4096,4096,4096 --target nvidia-h100",
)
@click.argument("model", required=False)
@click.option("--gemm", metavar="M,N,K", help="One product [M, K] x [K, N] instead of a model.")
@targets_option
@precision_option
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Inferences at once.")
@click.option(
    "--weights", metavar="F", help="Weight format of --gemm or of a network known by shape; default: the target's."
)
@click.option("--activations", metavar="F", help="Activation format, likewise.")
@click.option(
    "--new-tokens", type=click.IntRange(min=1), metavar="N", help="Tokens that a language model adds; default 1."
)
@click.option("--context", type=click.IntRange(min=1), metavar="N", help="Tokens that it attends to; default 512.")
@click.option("--kv-cache", metavar="F", help="Format of cached keys and values; default: the activations'.")
@click.option("--chips", type=click.IntRange(min=1), metavar="N", help="Chips that share a transformer.")
@click.option("--node", type=float, metavar="NM", help="Energies on the chip as they would be at this node, in nm.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Print only the N longest operations.")
@json_option
def command(
    model: str | None,
    gemm: str | None,
    targets: tuple[str, ...],
    precision: str | None,
    batch: int,
    weights: str | None,
    activations: str | None,
    new_tokens: int | None,
    context: int | None,
    kv_cache: str | None,
    chips: int | None,
    node: float | None,
    top: int | None,
    as_json: bool,
) -> None:
    """Estimate latency, throughput and energy of MODEL, or of one matrix product.

    MODEL is a .onnx or .qir file, a zoo name, or a network known by its shapes (resnet50, mobilenet_v2, vit_b_16,
    bert_base, gpt2, llama2-7b, mixtral-8x7b, ...; 'hwsim zoo' lists them). Tensors are stored as each target's
    precision says.
    """
    from hwsim.api import as_target, estimate

    if (model is None) == (gemm is None):
        raise click.UsageError("expected either a MODEL or --gemm M,N,K")
    if gemm is not None and batch != 1:
        raise click.UsageError("--gemm has no batch; M is one already")
    options = {"weights": weights, "activations": activations, "new_tokens": new_tokens, "context": context}
    options |= {"kv_cache": kv_cache, "chips": chips}
    given = {key: value for key, value in options.items() if value is not None}
    sizes = _sizes(gemm) if gemm is not None else None
    estimates = []
    for chip in [_at_node(as_target(name), node) for name in targets]:
        if sizes is not None:
            found = estimate(_product(sizes, chip, precision, weights, activations), chip, precision=precision)
        else:
            assert model is not None
            found = estimate(model, chip, precision=precision, batch=batch, **given)
        estimates.append(found)
    _show(estimates, top, as_json)


def _at_node(chip: Target, node: float | None) -> Target:
    """The chip at another node; what is extrapolated is told on stderr."""
    if node is None:
        return chip
    from hwsim.target import at_node

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        scaled = at_node(chip, node)
    for warning in told:
        click.echo(f"hwsim: warning: {warning.message}", err=True)
    return scaled


def _show(estimates: list[Estimate], top: int | None, as_json: bool) -> None:
    from hwsim.report import print_estimate

    if as_json:
        emit_json("hwsim.estimates/1", {"estimates": [estimate.to_dict() for estimate in estimates]})
        return
    for estimate in estimates:
        print_estimate(estimate, console(), limit=top)
        click.echo()


def _sizes(gemm: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"\s*(\d+)\s*[,x]\s*(\d+)\s*[,x]\s*(\d+)\s*", gemm)
    if found is None or any(int(size) < 1 for size in found.groups()):
        raise click.BadParameter(
            f"expected three whole numbers M,N,K of at least 1, found {gemm!r}", param_hint="--gemm"
        )
    m, n, k = (int(size) for size in found.groups())
    return m, n, k


def _product(
    sizes: tuple[int, int, int], chip: Target, precision: str | None, weights: str | None, activations: str | None
) -> Workload:
    from hwsim.ir import gemm

    mode = chip.precision(precision)
    return gemm(*sizes, weights=weights or mode.weights.format, activations=activations or mode.activations.format)
