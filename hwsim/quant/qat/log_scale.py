"""Factors a head that learn in the exponent: what corrects attention in few bits (``hwsim.quant.attention``)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LogScale(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """A constant of factors, each consecutive part of which is its first value times exp of a number that learns.

    Args:
        start: the constant.
        numbers: how many learn; they start at 0.
    """

    def __init__(self, start: Tensor, numbers: int) -> None:
        super().__init__()
        self.start = start
        self.logs = nn.Parameter(torch.zeros(numbers))

    def forward(self) -> Tensor:
        """The constant as it is now; what is exported has these bits."""
        parts = self.start.reshape(len(self.logs), -1) * self.logs.exp()[:, None]
        return parts.reshape(self.start.shape)
