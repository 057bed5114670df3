"""Inputs that a network finds hard, made from its own gradient: what adversarial training learns from.

The gradient goes straight through storage (:mod:`hwsim.quant.qat.fake`), so that the attack sees the numbers of the
quantized network itself (with ``QatNetwork(..., chip=...)`` the chip's). Projected gradient ascent within a cube
around each input: Madry et al., ICLR 2018; one step of it from a random start: Wong, Rice and Kolter, ICLR 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hwsim.errors import RecipeError
from hwsim.quant.qat.network import QatNetwork


@dataclass(frozen=True, slots=True)
class Adversary:
    """The ``attack`` of :func:`hwsim.quant.qat.train`.

    Attributes:
        epsilon: how far each number of an input may move, in units of the input.
        steps: of gradient ascent.
        step: how far a step moves; None is 2.5 ``epsilon`` / ``steps`` (Madry et al.).
        low, high: range of inputs.
        share: of the inputs of each batch that are attacked.

    Raises:
        RecipeError: a number that makes no sense.
    """

    epsilon: float = 0.1
    steps: int = 7
    step: float | None = None
    low: float = 0.0
    high: float = 1.0
    share: float = 1.0

    def __post_init__(self) -> None:
        if not self.epsilon > 0:
            raise RecipeError(f"epsilon: expected more than 0, found {self.epsilon}")
        if self.steps < 1:
            raise RecipeError(f"steps: expected at least 1, found {self.steps}")
        if self.step is not None and not self.step > 0:
            raise RecipeError(f"step: expected more than 0, found {self.step}")
        if not self.low < self.high:
            raise RecipeError(f"expected low below high, found {self.low} and {self.high}")
        if not 0 < self.share <= 1:
            raise RecipeError(f"share: expected a share of 0 to 1, found {self.share}")

    def __call__(self, network: QatNetwork, x: Tensor, y: Tensor, dice: torch.Generator) -> Tensor:
        """Inputs [n, ...] and labels [n] -> inputs near them that the network finds hard."""
        count = max(1, round(self.share * len(x)))
        clean, labels = x[:count], y[:count]
        size = 2.5 * self.epsilon / self.steps if self.step is None else self.step
        training = network.training
        network.eval()
        below, above = (clean - self.epsilon).clamp_min(self.low), (clean + self.epsilon).clamp_max(self.high)
        found = below + (above - below) * torch.rand(clean.shape, generator=dice)
        for _ in range(self.steps):
            found = (found + size * gradient(network, found, labels).sign()).clamp(below, above)
        network.train(training)
        return torch.cat([found, x[count:]])


def gradient(network: QatNetwork, x: Tensor, y: Tensor) -> Tensor:
    """Of the summed cross-entropy with respect to the inputs [n, ...]; labels [n]."""
    held = x.detach().requires_grad_()
    answers = network(held).flatten(1)
    last = network.graph.producer(network.graph.outputs[0])
    if last is not None and last.op == "Softmax":
        answers = answers.clamp_min(1e-30).log()
    loss = functional.cross_entropy(answers, y, reduction="sum")
    (found,) = torch.autograd.grad(loss, held)
    return found.detach()
