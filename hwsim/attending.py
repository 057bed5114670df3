"""A network's attention on a chip against the float network's: quantize, run both, compare head by head."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hwsim.api import as_graph, as_target, is_quantized
from hwsim.comparing import Recipes, Source, calibration_of, dataset_of, limited, recipe_of
from hwsim.emulate.attention import AttentionStudy, study_attention
from hwsim.errors import RecipeError
from hwsim.io import Dataset
from hwsim.ir import Graph
from hwsim.quant import quantize
from hwsim.quant.attention import attentions

if TYPE_CHECKING:
    from hwsim.target import Target

INPUTS = 16
"""Inputs to run where nobody says how many: each gives a softmax a head for every token."""


def attend(
    model: Graph | Source,
    target: Target | Source,
    data: Dataset | Source | None = None,
    *,
    calibration: Dataset | Source | None = None,
    precision: str | None = None,
    calibrator: str = "mse",
    recipe: Recipes | None = None,
    limit: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> AttentionStudy:
    """Saturation of scores and entropy of softmaxes, per head, float against the chip.

    Args:
        model: a float or quantized graph, a model file, or a zoo name. A quantized one is compared with the zoo's float
            network of its name, where that has the same attention, else with its own stored weights in float
            arithmetic.
        target, data, calibration, precision, calibrator, recipe: as in :func:`hwsim.comparing.compare`.
        limit: use only so many inputs; None is ``INPUTS``.
        progress: called with (stage, inputs done, inputs in all).

    Raises:
        ModelError: the network has no attention.
        TargetError, DataError, RecipeError: something cannot be read, or the parts do not fit.
    """
    show = progress or (lambda stage, done, total: None)
    graph, chip = as_graph(model), as_target(target)
    chip.precision(precision)
    test = limited(graph, dataset_of(graph, data, "data"), INPUTS if limit is None else limit)
    reference = graph
    if is_quantized(graph):
        if recipe is not None:
            raise RecipeError("the model is quantized already, and no recipe changes it", where=graph.name)
        reference = _float_twin(graph)
    elif attentions(graph):
        ranges, _ = calibration_of(graph, data, calibration, test)
        how = recipe_of(recipe, graph, chip, precision, calibrator, ranges.inputs)
        graph = quantize(graph, how, ranges.inputs)
    return study_attention(
        graph,
        chip,
        test.inputs,
        reference=reference,
        precision=precision,
        progress=lambda done, total: show(f"{chip.name}: attention", done, total),
    )


def _float_twin(graph: Graph) -> Graph:
    """The zoo's float network of the name, if its attention is the graph's; else the graph, in float arithmetic."""
    from hwsim import zoo

    if graph.name not in zoo.names():
        return graph
    found = zoo.model(graph.name)
    same = [(a.name, a.heads) for a in attentions(found)] == [(a.name, a.heads) for a in attentions(graph)]
    return found if same else graph
