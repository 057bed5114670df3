"""``hwsim quantize``: a float network -> the same network stored in low bits, as .qir or ONNX."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from hwsim.cli.common import emit_json, facts, json_option, progress, table, writable_folder
from hwsim.cli.recipe_options import Choices, recipe_options
from hwsim.errors import RecipeError

if TYPE_CHECKING:
    from hwsim.ir import Graph


@click.command(
    "quantize",
    short_help="Networks in low bits.",
    epilog="Example: hwsim quantize mnist-cnn --target ascend-910b4 -o mnist-int4.qir",
)
@click.argument("model")
@click.option("--target", required=True, metavar="T", help="Chip whose formats to use: a name or a .yaml file.")
@click.option(
    "-o", "--out", required=True, metavar="FILE", help="Where to write: .qir, .qir.json, .onnx or .qonnx.onnx."
)
@click.option("--precision", metavar="P", help="A mode of the target; default: its own default.")
@click.option(
    "--data", metavar="D", help="Calibration inputs: a .npz file or a zoo name; default: the zoo model's own."
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    metavar="N",
    default=256,
    show_default=True,
    help="Calibration inputs that are used, at most.",
)
@recipe_options
@json_option
def command(
    model: str,
    target: str,
    out: str,
    precision: str | None,
    data: str | None,
    samples: int,
    choices: Choices,
    as_json: bool,
) -> None:
    """Quantize MODEL (a file or a zoo name) for a target after training, and write it as the suffix of FILE says.

    .qir and .qir.json are hwsim's own; .onnx stores values by QuantizeLinear and DequantizeLinear, .qonnx.onnx by
    QONNX's Quant.
    """
    from hwsim.api import as_target, calibration_data, inputs_of, is_quantized, noted, quantize
    from hwsim.io import load_model
    from hwsim.io.model import checked_suffix, save_model

    path = checked_suffix(out)
    writable_folder(path.parent)
    chip = as_target(target)
    graph = load_model(model)
    if is_quantized(graph):
        raise RecipeError("the model is quantized already", where=model)
    inputs = inputs_of(calibration_data(graph, samples) if data is None else data)
    recipe = replace(choices.recipe(graph, chip, precision, inputs), samples=samples)
    with progress() as show:
        quantized = noted(quantize(graph, recipe, inputs, progress=show), chip, precision)
    save_model(quantized, path)
    tensors = _tensors(quantized)
    stored = sum(row["bytes"] for row in tensors)
    if as_json:
        emit_json("hwsim.quantize/1", {"file": str(path), "weight_bytes": stored, "weights": tensors})
        return
    rows = [(row["name"], row["format"], row["granularity"], f"{row['bytes']:,}") for row in tensors]
    click.echo(table(("weights", "format", "scales", "bytes"), rows, right=(3,)))
    click.echo()
    click.echo(facts((("weights", f"{stored:,} bytes"), ("written", str(path)))))


def _tensors(graph: Graph) -> list[dict[str, Any]]:
    from hwsim.numerics import QTensor

    return [
        {
            "name": name,
            "format": held.block_format or held.format,
            "granularity": f"{held.scale.size:,} {held.scale_format}",
            "bytes": held.nbytes_packed,
        }
        for name, held in graph.constants.items()
        if isinstance(held, QTensor)
    ]
