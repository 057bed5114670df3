"""Changes to pictures while a network learns: drawn anew each time, from the step's own generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional


def jitter(x: Tensor, dice: torch.Generator) -> Tensor:
    """[n, c, h, w], each rotated by up to 12 degrees, scaled and sheared by up to 10 %, shifted by up to 1/14."""
    angle, shear, grow_x, grow_y, dx, dy = torch.rand(6, len(x), generator=dice) * 2 - 1
    cos, sin = torch.cos(angle * math.radians(12)), torch.sin(angle * math.radians(12))
    row_x = torch.stack([cos * (1 + 0.1 * grow_x), -sin + 0.1 * shear, dx / 7], 1)
    row_y = torch.stack([sin, cos * (1 + 0.1 * grow_y), dy / 7], 1)
    grid = functional.affine_grid(torch.stack([row_x, row_y], 1), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)


def mirror(x: Tensor, dice: torch.Generator) -> Tensor:
    """[n, c, h, w], about half of them left for right."""
    turned = torch.rand(len(x), 1, 1, 1, generator=dice) < 0.5
    return torch.where(turned, x.flip(-1), x)


AUGMENTS: Final[Mapping[str, Callable[[Tensor, torch.Generator], Tensor]]] = {"jitter": jitter, "mirror": mirror}
"""Name in a training recipe -> change."""
