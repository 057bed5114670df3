"""A regularizer that teaches a network to be unsure of what it was never taught.

It is shown strangers made from its own batch: pictures cut in quarters and put together wrongly, two pictures laid
over each other upside down, and noise of a batch's own range. Either its answers there are drawn towards no class in
particular (outlier exposure; Hendrycks, Mazeika and Dietterich, ICLR 2019), or the energy -log(sum(exp(logits))) is
held low on its own data and high on strangers (Liu et al., NeurIPS 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hwsim.errors import RecipeError, unknown
from hwsim.quant.qat.network import QatNetwork

KINDS = ("exposure", "energy")


@dataclass(frozen=True, slots=True)
class Outliers:
    """The ``penalty`` of :func:`hwsim.quant.qat.train`.

    Attributes:
        kind: ``exposure`` or ``energy``.
        weight: of the term in the loss.
        inside, outside: ``energy``: the network's own data cost nothing below the first, strangers nothing above the
            second.

    Raises:
        RecipeError: an unknown kind, or numbers that make no sense.
    """

    kind: str = "exposure"
    weight: float = 0.5
    inside: float = -12.0
    outside: float = -4.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown(RecipeError, "outlier regularizer", self.kind, KINDS)
        if not self.weight > 0:
            raise RecipeError(f"weight: expected more than 0, found {self.weight}")
        if not self.inside < self.outside:
            raise RecipeError(f"expected inside below outside, found {self.inside} and {self.outside}")

    def __call__(self, network: QatNetwork, x: Tensor, dice: torch.Generator) -> Tensor:
        """Inputs [n, c, h, w] -> the term."""
        answers = network(strangers(x, dice)).flatten(1)
        if self.kind == "exposure":
            even: Tensor = -functional.log_softmax(answers, 1).mean()
            return self.weight * even
        own = -torch.logsumexp(network(x).flatten(1), 1)
        other = -torch.logsumexp(answers, 1)
        high, low = functional.relu(own - self.inside).square(), functional.relu(self.outside - other).square()
        total: Tensor = self.weight * (high.mean() + low.mean())
        return total


def strangers(x: Tensor, dice: torch.Generator) -> Tensor:
    """As many pictures [n, c, h, w] that belong to no class, a third of each kind, of the range of ``x``.

    Raises:
        RecipeError: inputs are no pictures.
    """
    if x.ndim != 4:
        raise RecipeError(f"strangers are made from pictures [n, c, h, w], found {x.ndim} dimensions")
    first, second, third = x.tensor_split(3)
    return torch.cat([_shuffled(first, dice), _laid_over(second, dice), _noise(third, x, dice)])


def _shuffled(x: Tensor, dice: torch.Generator) -> Tensor:
    """Each picture's quarters in another order: none stays where it was."""
    high, wide = x.shape[-2] // 2, x.shape[-1] // 2
    if high == 0 or wide == 0:
        return x
    corners = [(0, 0), (0, x.shape[-1] - wide), (x.shape[-2] - high, 0), (x.shape[-2] - high, x.shape[-1] - wide)]
    out = x.clone()
    turns = torch.randint(1, 4, (len(x),), generator=dice)
    for place, (top, left) in enumerate(corners):
        for turn in (1, 2, 3):
            source_top, source_left = corners[(place + turn) % 4]
            mine = turns == turn
            out[mine, :, top : top + high, left : left + wide] = x[
                mine, :, source_top : source_top + high, source_left : source_left + wide
            ]
    return out


def _laid_over(x: Tensor, dice: torch.Generator) -> Tensor:
    """The brighter of each picture and another of the batch turned by a quarter or a half."""
    other = x[torch.randperm(len(x), generator=dice)]
    other = other.transpose(-1, -2).flip(-1) if x.shape[-1] == x.shape[-2] else other.flip((-1, -2))
    return torch.maximum(x, other)


def _noise(x: Tensor, whole: Tensor, dice: torch.Generator) -> Tensor:
    """Uniform noise, each picture at its own coarseness and contrast."""
    low, high = whole.min(), whole.max()
    out = torch.empty_like(x)
    for index in range(len(x)):
        grain = int(torch.randint(1, 8, (1,), generator=dice))
        size = [-(-side // grain) for side in x.shape[-2:]]
        cells = torch.rand((1, x.shape[1], *size), generator=dice)
        grown = functional.interpolate(cells, scale_factor=grain)[0, :, : x.shape[-2], : x.shape[-1]]
        out[index] = low + (high - low) * grown * torch.rand(1, generator=dice)
    return out
