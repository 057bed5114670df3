"""Fake quantization: forward, the catalog's ``quantize_tensor`` itself; backward, an estimate.

Estimators of the gradient that rounding does not have:

- ``ste``: the gradient passes as it is (Hinton 2012; Bengio, Leonard and Courville, arXiv 1308.3432).
- ``clipped``: it passes inside the format's range only (Courbariaux et al., arXiv 1602.02830).
- ``scaled``: clipped, and each element's gradient is scaled by 1 + d sign(g) (x - q) / s, which leads towards the side
  on which the number lies (element-wise gradient scaling; Lee, Kim and Ham, CVPR 2021). d is learned by descent on the
  loss of the next step (hypergradient; Baydin et al., ICLR 2018).

Scales: ``fixed``; ``learned`` (LSQ; Esser et al., ICLR 2020); ``offset``, scale and offset learned (LSQ+; Bhalgat et
al., arXiv 2004.09576); ``clip``, only numbers beyond the range teach it (PACT; Choi et al., arXiv 1805.06085);
``absmean``, the mean magnitude of what is stored (XNOR-Net; Rastegari et al., arXiv 1603.05279; BitNet b1.58, arXiv
2402.17764); ``absmax``, the largest.

Tables: ``free``, each code's number learns by the mean of what is stored there (LQ-Nets; Zhang et al., ECCV 2018, but
by descent); ``piecewise``, two slopes that meet at half the range learn (PWLQ; Fang et al., ECCV 2020). A
table's numbers are rounded to the format ``grid`` that the unit multiplies; the table is a format, which travels with
the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwsim.errors import RecipeError, unknown
from hwsim.ir import QuantParams
from hwsim.numerics import QTensor, quantize_tensor
from hwsim.numerics.chance import random_bits
from hwsim.numerics.codec import element_format
from hwsim.quant.qat.table import LearnedTable

ESTIMATORS: Final = ("ste", "clipped", "scaled")
SCALES: Final = ("fixed", "learned", "offset", "clip", "absmean", "absmax")
TABLES: Final = ("none", "free", "piecewise")

_SMALLEST = 1e-8
_STEP = 1e-3
"""Of the learned coefficient of ``scaled``, in units of its normalised hypergradient."""


@dataclass(frozen=True, slots=True)
class Learning:
    """How one tensor's storage is learned.

    Attributes:
        estimator: a name in ``ESTIMATORS``.
        scale: a name in ``SCALES``.
        power_of_two: scales are rounded to powers of two; their gradient passes as it is.
        stochastic: rounding is stochastic while training (to nearest afterwards).
        coefficient: first value of d of the estimator ``scaled``.
        table: a name in ``TABLES``: what learns of the numbers that codes stand for.
        grid: with a table, format of its numbers.

    Raises:
        RecipeError: an unknown name.
    """

    estimator: str = "clipped"
    scale: str = "learned"
    power_of_two: bool = False
    stochastic: bool = False
    coefficient: float = 0.1
    table: str = "none"
    grid: str = "int4"

    def __post_init__(self) -> None:
        if self.estimator not in ESTIMATORS:
            raise unknown(RecipeError, "estimator", self.estimator, ESTIMATORS)
        if self.scale not in SCALES:
            raise unknown(RecipeError, "way to find a scale", self.scale, SCALES)
        if self.table not in TABLES:
            raise unknown(RecipeError, "table", self.table, TABLES)
        if self.table != "none" and (self.scale not in ("fixed", "learned") or self.stochastic):
            raise RecipeError(f"a table takes a fixed or learned scale and rounds to nearest, found {self.scale!r}")


class FakeQuant(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Stores a tensor as ``params`` say, and gives back what is read from there.

    Args:
        params: storage, with a first scale (none for block formats, which make their own).
        learning: what is learned of it, and how.
        seed: of stochastic rounding.
    """

    def __init__(self, params: QuantParams, learning: Learning, *, seed: int = 0) -> None:
        super().__init__()
        self.params = params
        self.learning = learning
        self.seed, self.draws = seed, 0
        entry = element_format(params.format)
        self.least, self.most = entry.min_value, entry.max_value
        self.table: LearnedTable | None = None
        self.scale: nn.Parameter | None = None
        self.offset: nn.Parameter | None = None
        self.coefficient = learning.coefficient if learning.estimator == "scaled" else 0.0
        self.memory: Tensor | None = None
        """|gradient| times distance of the step before: where the coefficient moved the tensor."""
        if params.block_format is not None or params.scale is None:
            return
        if learning.scale in ("learned", "offset", "clip", "fixed"):
            scale = torch.from_numpy(np.array(params.scale, np.float32))
            if learning.table != "none":
                if params.zero_point is not None:
                    raise RecipeError("a learned table has no zero point", where=params.format)
                self.table = LearnedTable(params.format, learning.table, learning.grid)
                scale = scale / self.table.spread
            self.scale = nn.Parameter(scale, requires_grad=learning.scale != "fixed")
        if learning.scale == "offset":
            zero = np.zeros(params.scale.shape) if params.zero_point is None else params.zero_point
            self.offset = nn.Parameter(torch.from_numpy(np.asarray((self.least - zero) * params.scale, np.float32)))

    def forward(self, x: Tensor, read: Tensor | None = None) -> Tensor:
        """What the stored ``x`` reads as. ``read``: what a chip read, to be taken in its place."""
        if self.params.block_format is not None or self.params.scale is None:
            return Through.apply(x, torch.from_numpy(self.stored(x).dequantize()) if read is None else read)
        scale = self.scale_of(x)
        held = self.stored(x, scale)
        wide = _spread(scale, x, self.params)
        offset = None if self.offset is None else _spread(self.offset, x, self.params)
        levels = None if self.table is None else self.table.levels()
        if self.table is not None:
            entry = element_format(held.format)
            self.least, self.most = entry.min_value, entry.max_value
        return _Round.apply(x, wide, offset, levels, read, held, self)

    def stored(self, x: Tensor, scale: Tensor | None = None) -> QTensor:
        """``x`` in its storage: codes and scales, by ``quantize_tensor``."""
        params, numbers = self.params, x.detach().numpy()
        if params.block_format is not None or params.scale is None:
            return params.quantize(numbers)
        if scale is None:
            scale = self.scale_of(x)
        chance = None
        if self.training and self.learning.stochastic:
            chance = random_bits(numbers.shape, self.seed + self.draws)
            self.draws += 1
        return quantize_tensor(
            numbers,
            self.format,
            axis=params.axis,
            block_size=params.block_size,
            scale=scale.detach().numpy(),
            zero_point=self.zero_point(scale),
            rounding="stochastic" if chance is not None else params.rounding,
            overflow=params.overflow,
            negative_zero=params.negative_zero,
            profile=params.profile,
            random_bits=chance,
            scale_format=params.scale_format,
        )

    def learned(self, x: Tensor | None = None) -> QuantParams:
        """The storage as it is now. ``x``: the tensor, where scales follow from it."""
        if self.params.block_format is not None or self.params.scale is None:
            return self.params
        scale = self.scale_of(x)
        held = scale.detach().numpy().copy()
        return replace(self.params, format=self.format, scale=held, zero_point=self.zero_point(scale))

    @property
    def format(self) -> str:
        """Name of the element format as it is now."""
        return self.params.format if self.table is None else self.table.format()

    def zero_point(self, scale: Tensor) -> NDArray[np.int32] | None:
        """Integer zero points that the learned offset, or the storage, has."""
        if self.offset is None:
            return self.params.zero_point
        zero = self.least - self.offset.detach().numpy() / scale.detach().numpy()
        found: NDArray[np.int32] = np.clip(np.rint(zero), self.least, self.most).astype(np.int32)
        return found

    def scale_of(self, x: Tensor | None) -> Tensor:
        """The scale as it is now. ``x``: the tensor, where scales follow from it.

        Raises:
            RecipeError: the scale follows from a tensor, and none was given.
        """
        if self.scale is not None:
            scale = self.scale.abs().clamp_min(_SMALLEST)
        else:
            if x is None:
                raise RecipeError(f"scale {self.learning.scale!r} follows from a tensor, found none")
            scale = _measured(x.detach(), self.params, self.learning.scale, max(abs(self.least), abs(self.most)))
        if self.learning.power_of_two:
            nearest = torch.exp2(torch.round(torch.log2(scale.detach())))
            scale = scale + (nearest - scale).detach()
        return scale

    def descend(self, gradient: Tensor, distance: Tensor) -> None:
        """Learn the coefficient: d(loss)/d(coefficient) is minus what it moved last time this step's gradient.

        Args:
            gradient: with respect to what is stored, as the coefficient left it.
            distance: of the stored numbers from what is read, in steps of the scale.
        """
        flat = gradient.contiguous()  # a checkpoint keeps no strides, and sums go by them
        moved = self.memory
        if moved is not None and moved.shape == flat.shape:
            size = float(flat.norm() * moved.norm())
            if size > 0:
                self.coefficient += _STEP * float((flat * moved).sum()) / size
                self.coefficient = min(max(self.coefficient, 0.0), 1.0)
        self.memory = flat.abs() * distance.contiguous()


class Through(torch.autograd.Function):  # type: ignore[misc]  # torch is untyped here
    """Something else in a tensor's place; the gradient passes as it is."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, read: Tensor) -> Tensor:
        return read.reshape(x.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class _Round(torch.autograd.Function):  # type: ignore[misc]  # torch is untyped here
    """Read what was stored; the gradient is the estimator's."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scale: Tensor,
        offset: Tensor | None,
        levels: Tensor | None,
        read: Tensor | None,
        held: QTensor,
        owner: FakeQuant,
    ) -> Tensor:
        if read is None:
            read = torch.from_numpy(held.dequantize())
        read = read.reshape(x.shape)
        zero = torch.zeros_like(scale)
        if held.zero_point is not None:
            points = torch.from_numpy(np.asarray(held.zero_point, np.float32))
            zero = _spread(points, x, owner.params)
        ctx.save_for_backward(x, scale, read, zero)
        ctx.owner = owner
        ctx.has_offset = offset is not None
        ctx.codes = None if levels is None else torch.from_numpy(held.codes.astype(np.int64)).flatten()
        return read

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, read, zero = ctx.saved_tensors
        owner: FakeQuant = ctx.owner
        below, above = x < (owner.least - zero) * scale, x > (owner.most - zero) * scale
        inside = ~(below | above)
        passed = gradient if owner.learning.estimator == "ste" else gradient * inside
        if owner.learning.estimator == "scaled":
            distance = torch.where(inside, (x - read) / scale, torch.zeros_like(x))
            passed = passed * (1 + owner.coefficient * gradient.sign() * distance)
            if owner.training:  # an attack's gradients teach nothing
                owner.descend(passed, distance)
        step = None
        if ctx.needs_input_grad[1]:
            ends = torch.where(below, owner.least - zero, owner.most - zero)
            middle = torch.zeros_like(x) if owner.learning.scale == "clip" else (read - x) / scale
            step = gradient * torch.where(inside, middle, ends) * _balance(x, owner)
        shift = gradient * (~inside) * _balance(x, owner) if ctx.has_offset else None
        slots = None
        if ctx.codes is not None:
            share = (gradient * scale).flatten() * _balance(x, owner)
            slots = torch.zeros(1 << element_format(owner.params.format).bits).index_add_(0, ctx.codes, share)
        return passed, step, shift, slots, None, None, None


def _balance(x: Tensor, owner: FakeQuant) -> float:
    """LSQ's factor that keeps the steps of scales and weights alike: 1 / sqrt(elements a scale x largest code)."""
    scales = 1 if owner.scale is None else max(1, owner.scale.numel())
    return float((x.numel() / scales * max(abs(owner.most), 1.0)) ** -0.5)


def _spread(scale: Tensor, x: Tensor, params: QuantParams) -> Tensor:
    """A scale for each element of ``x``; gradients add up on the way back."""
    if params.axis is None or scale.ndim == 0:
        return scale.expand(x.shape) if scale.ndim == 0 else scale.reshape(()).expand(x.shape)
    axis = params.axis % x.ndim
    if params.block_size is None:
        shape = [1] * x.ndim
        shape[axis] = -1
        return scale.reshape(shape).expand(x.shape)
    return scale.repeat_interleave(params.block_size, dim=axis).narrow(axis, 0, x.shape[axis])


def _measured(x: Tensor, params: QuantParams, how: str, most: float) -> Tensor:
    """Scales that follow from what is stored: mean magnitude, or the largest over the largest code."""
    size = x.abs()
    if params.axis is None:
        found = size.mean() if how == "absmean" else size.amax() / most
    elif params.block_size is None:
        rows = size.movedim(params.axis, 0).reshape(size.shape[params.axis], -1)
        found = rows.mean(1) if how == "absmean" else rows.amax(1) / most
    else:
        raise RecipeError(f"scale {how!r} takes whole tensors or channels, found groups")
    return torch.where(found > 0, found, torch.ones_like(found)).clamp_min(_SMALLEST)
