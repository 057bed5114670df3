"""How a network is quantized, as options: what ``hwsim quantize`` and ``hwsim emulate`` have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hwsim.errors import RecipeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwsim.ir import Graph
    from hwsim.quant import Recipe
    from hwsim.target import Target

F = TypeVar("F", bound=Callable[..., Any])
BUDGETS = {"bytes": "budget_bytes", "seconds": "budget_latency_s", "joules": "budget_energy_j"}
_NAMES = (
    "calibrator",
    "weights_granularity",
    "group_size",
    "weights",
    "correct_bias",
    "equalize",
    "mixed_formats",
    *BUDGETS.values(),
)


@dataclass(frozen=True, slots=True)
class Choices:
    """What was asked for; None and False leave it to the target."""

    calibrator: str
    weights_granularity: str | None
    group_size: int | None
    weights: str | None
    correct_bias: bool
    equalize: str | None
    mixed_formats: str
    budget_bytes: float | None
    budget_latency_s: float | None
    budget_energy_j: float | None

    @property
    def plain(self) -> bool:
        """Nothing but the calibrator was asked for."""
        asked = (self.weights_granularity, self.group_size, self.weights, self.equalize, *self.budgets.values())
        return not self.correct_bias and all(value is None for value in asked)

    @property
    def budgets(self) -> dict[str, float | None]:
        """Limits by metric of `hwsim.api.mixed_precision`."""
        return {metric: getattr(self, name) for metric, name in BUDGETS.items()}

    def recipe(self, graph: Graph, chip: Target, precision: str | None, inputs: NDArray[Any] | None) -> Recipe:
        """The target's recipe with the choices made.

        Raises:
            RecipeError: an unknown method, more than one budget, or one that is too small.
            DataError: a budget without calibration inputs.
        """
        from hwsim.api import mixed_precision
        from hwsim.quant import recipe_for

        given = {metric: limit for metric, limit in self.budgets.items() if limit is not None}
        if len(given) > 1:
            raise RecipeError(f"expected one budget, found {' and '.join(given)}")
        recipe = recipe_for(chip, precision, self.calibrator)
        recipe = replace(
            recipe,
            weight_method=self.weights or recipe.weight_method,
            correct_bias=self.correct_bias,
            equalize=self.equalize or recipe.equalize,
        )
        if self.weights_granularity is not None or self.group_size is not None:
            chosen: Any = self.weights_granularity or recipe.weights.granularity
            own = recipe.weights.group_size if chosen == "per_group" else None
            size = self.group_size if self.group_size is not None else own
            recipe = replace(recipe, weights=replace(recipe.weights, granularity=chosen, group_size=size))
        for metric, limit in given.items():
            formats = [name.strip() for name in self.mixed_formats.split(",") if name.strip()]
            found = mixed_precision(graph, chip, limit, inputs, metric=metric, formats=formats, precision=precision)
            layers = [(name, replace(scheme, calibrator=self.calibrator)) for name, scheme in found.layers]
            recipe = replace(recipe, layers=tuple(layers))
        return recipe


def recipe_options(command: F) -> F:
    """Give a command the options, and its function one argument ``choices`` for all of them."""

    def gathered(*args: Any, **kwargs: Any) -> Any:
        choices = Choices(**{name: kwargs.pop(name) for name in _NAMES})
        return command(*args, choices=choices, **kwargs)

    gathered.__name__, gathered.__doc__ = command.__name__, command.__doc__
    gathered.__dict__.update(command.__dict__)
    decorated: Any = gathered
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


_OPTIONS = (
    click.option(
        "--calibrator",
        metavar="C",
        default="mse",
        show_default=True,
        help="How ranges are picked: minmax, percentile, mse, kl, mixture, kde or multistage.",
    ),
    click.option(
        "--weights",
        "--weight-method",
        "weights",
        metavar="M",
        help="How weights are rounded: nearest, or gptq, where later columns make up for earlier ones.",
    ),
    click.option("--correct-bias", is_flag=True, help="Let biases take up the shift of the means."),
    click.option(
        "--equalize",
        metavar="E",
        help="Move channel scales first: cross_layer, smooth or awq; in attention too: smooth_attention, head_scales "
        "or rotate.",
    ),
    click.option(
        "--weights-granularity", metavar="G", help="per_tensor, per_channel or per_group, instead of the target's."
    ),
    click.option("--group-size", type=click.IntRange(min=1), metavar="N", help="Elements a group, with per_group."),
    click.option(
        "--budget-bytes",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        help="Mixed precision: a format for each layer's weights, the best within so many bytes.",
    ),
    click.option(
        "--budget-latency-s",
        type=click.FloatRange(min=0, min_open=True),
        metavar="S",
        help="The same, within so many seconds of matrix products on the target.",
    ),
    click.option(
        "--budget-energy-j",
        type=click.FloatRange(min=0, min_open=True),
        metavar="J",
        help="The same, within so many joules.",
    ),
    click.option(
        "--mixed-formats",
        metavar="F,F",
        default="int8,int4",
        show_default=True,
        help="Weight formats that a budget chooses from.",
    ),
)
