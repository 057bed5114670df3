"""``hwsim quantize``: a float network -> the same network stored in low bits, as .qir or ONNX."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from hwsim.cli.common import emit_json, facts, json_option, table, writable_folder
from hwsim.errors import RecipeError

if TYPE_CHECKING:
    from hwsim.ir import Graph
    from hwsim.quant import Recipe


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
    "--calibrator",
    metavar="C",
    default="mse",
    show_default=True,
    help="How ranges are picked: minmax, percentile, mse, kl, mixture, kde or multistage.",
)
@click.option(
    "--weights-granularity", metavar="G", help="per_tensor, per_channel or per_group, instead of the target's."
)
@click.option("--weight-method", metavar="M", help="How weights are rounded: nearest or gptq.")
@click.option("--correct-bias", is_flag=True, help="Let biases take up the shift of the means.")
@click.option("--equalize", metavar="E", help="Move channel scales first: cross_layer, smooth or awq.")
@click.option("--group-size", type=click.IntRange(min=1), metavar="N", help="Elements a group, with per_group.")
@json_option
def command(
    model: str,
    target: str,
    out: str,
    precision: str | None,
    data: str | None,
    calibrator: str,
    weights_granularity: str | None,
    group_size: int | None,
    weight_method: str | None,
    correct_bias: bool,
    equalize: str | None,
    as_json: bool,
) -> None:
    """Quantize MODEL (a file or a zoo name) for a target after training, and write it as the suffix of FILE says.

    .qir and .qir.json are hwsim's own; .onnx stores values by QuantizeLinear and DequantizeLinear, .qonnx.onnx by
    QONNX's Quant.
    """
    from hwsim.api import as_target, is_quantized, quantize
    from hwsim.io import load_model
    from hwsim.io.model import checked_suffix, save_model
    from hwsim.quant import recipe_for

    path = checked_suffix(out)
    writable_folder(path.parent)
    chip = as_target(target)
    recipe = _changed(recipe_for(chip, precision, calibrator), weights_granularity, group_size)
    recipe = replace(
        recipe,
        weight_method=weight_method or recipe.weight_method,
        correct_bias=correct_bias,
        equalize=equalize or recipe.equalize,
    )
    graph = load_model(model)
    if is_quantized(graph):
        raise RecipeError("the model is quantized already", where=model)
    quantized = quantize(graph, recipe, data)
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


def _changed(recipe: Recipe, granularity: str | None, group_size: int | None) -> Recipe:
    if granularity is None and group_size is None:
        return recipe
    chosen: Any = granularity or recipe.weights.granularity
    size = group_size if group_size is not None else recipe.weights.group_size if chosen == "per_group" else None
    return replace(recipe, weights=replace(recipe.weights, granularity=chosen, group_size=size))


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
