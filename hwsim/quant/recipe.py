"""What to quantize, and how: a plain value that a target's precision turns into, and that a user can change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hwsim.errors import RecipeError, unknown
from hwsim.numerics import BlockFormat, Format, formats

if TYPE_CHECKING:
    from hwsim.target import Target
    from hwsim.target.schema import TensorFormat

Granularity = Literal["per_tensor", "per_channel", "per_group"]
GRANULARITIES = ("per_tensor", "per_channel", "per_group")
WEIGHT_METHODS = ("nearest", "gptq")
EQUALIZERS = ("none", "cross_layer", "smooth", "awq", "smooth_attention", "head_scales", "rotate")


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one kind of tensor is stored.

    Attributes:
        format: an element format, or a block format whose own rule makes the scales.
        granularity: what shares a scale: the tensor, an output channel, or ``group_size`` elements of a channel along
            the dimension that is summed over.
        group_size: elements a group; only with ``per_group``.
        symmetric: no zero point. Floats are always symmetric.
        calibrator: name of the rule that picks ranges (``hwsim.quant.CALIBRATORS``).

    Raises:
        RecipeError, FormatError: a name is unknown or the parts do not fit together.
    """

    format: str
    granularity: Granularity = "per_tensor"
    group_size: int | None = None
    symmetric: bool = True
    calibrator: str = "mse"

    def __post_init__(self) -> None:
        entry = formats[self.format]
        if self.granularity not in GRANULARITIES:
            raise unknown(RecipeError, "granularity", self.granularity, GRANULARITIES)
        if (self.granularity == "per_group") != (self.group_size is not None):
            raise RecipeError("per_group needs a group_size, and nothing else takes one", where=f"scheme {self.format}")
        if self.group_size is not None and self.group_size < 1:
            raise RecipeError(f"group_size must be at least 1, found {self.group_size}", where=f"scheme {self.format}")
        if not self.symmetric and not is_integer(self.format):
            raise RecipeError(f"{self.format} has no zero point; an asymmetric scheme needs an integer format")
        if isinstance(entry, BlockFormat) and self.granularity != "per_tensor":
            raise RecipeError(f"{self.format} makes its own block scales; leave granularity at per_tensor")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a graph is quantized.

    Attributes:
        weights: second operands that are constants.
        activations: everything else that enters a matrix product.
        accumulator: ``int32`` (biases become int32 codes in the accumulator's scale), ``fp32`` or ``fp16``.
        keep: names of nodes left in float.
        samples: calibration inputs used, at most.
        weight_method: ``nearest`` rounds each weight by itself; ``gptq`` lets the columns that are not yet rounded make
            up for those that are (``hwsim.quant.gptq``).
        correct_bias: biases take up the difference of the means that storing weights and inputs makes.
        equalize: moves channel scales between neighbouring products before anything is stored
            (``hwsim.quant.equalize``, ``equalize_attention``, ``rotate``).
        layers: (node name, scheme) for weights that are stored otherwise than ``weights`` says.
        attention: operands of products of two run-time values; None: as ``activations``, and where those are
            block-scaled, such products are no matrix products.
        cache: the second ones of those, keys and values; None: as ``attention``.

    Raises:
        RecipeError: an unknown method; names the nearest.
    """

    weights: Scheme
    activations: Scheme
    accumulator: str = "int32"
    keep: tuple[str, ...] = ()
    samples: int = 256
    weight_method: str = "nearest"
    correct_bias: bool = False
    equalize: str = "none"
    layers: tuple[tuple[str, Scheme], ...] = ()
    attention: Scheme | None = None
    cache: Scheme | None = None

    def __post_init__(self) -> None:
        if self.weight_method not in WEIGHT_METHODS:
            raise unknown(RecipeError, "weight method", self.weight_method, WEIGHT_METHODS)
        if self.equalize not in EQUALIZERS:
            raise unknown(RecipeError, "equalizer", self.equalize, EQUALIZERS)

    def weights_of(self, node: str) -> Scheme:
        """The scheme of one node's weights."""
        return dict(self.layers).get(node, self.weights)

    def operand(self, at: int, dynamic: bool) -> Scheme:
        """How run-time operand ``at`` of a product is stored; ``dynamic``: both operands are run-time values."""
        if not dynamic:
            return self.activations
        first = self.attention or self.activations
        return (self.cache or first) if at == 1 else first

    def with_calibrator(self, name: str) -> Recipe:
        """The same recipe with every calibrator replaced."""
        kinds = {"weights": self.weights, "activations": self.activations}
        kinds |= {key: held for key, held in (("attention", self.attention), ("cache", self.cache)) if held is not None}
        return replace(self, **{key: replace(held, calibrator=name) for key, held in kinds.items()})  # type: ignore[arg-type]


def is_integer(fmt: str) -> bool:
    """True for integer element formats (codes that a zero point can shift)."""
    entry = formats[fmt]
    return isinstance(entry, Format) and entry.is_integer


def _shared(declared: TensorFormat) -> Granularity:
    """What shares a scale; block formats say that themselves, whatever a target's file adds."""
    return "per_tensor" if isinstance(formats[declared.format], BlockFormat) else declared.granularity


def recipe_for(target: Target, precision: str | None = None, calibrator: str = "mse") -> Recipe:
    """The recipe that a target's precision declares.

    Raises:
        TargetError: the target has no such precision; names the nearest.
    """
    from hwsim.numerics import units

    mode = target.precision(precision)

    def scheme(held: TensorFormat) -> Scheme:
        return Scheme(held.format, _shared(held), held.group_size, held.symmetric, calibrator)

    return Recipe(
        weights=scheme(mode.weights),
        activations=scheme(mode.activations),
        accumulator=units[mode.unit].accumulator,
        attention=None if mode.attention is None else scheme(target.precision(mode.attention).activations),
        cache=None if mode.cache is None else scheme(mode.cache),
    )
