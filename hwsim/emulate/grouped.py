"""Grouped and depthwise convolutions on integer units: every channel in one pass over the codes, without im2col.

Where no sum can leave the accumulator, the order in which a unit adds integers cannot show, whether it wraps or
saturates; so the sums here are the unit's own. Everything else goes group by group through ``hwsim.mma``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate.operands import Operand
from hwsim.emulate.stored import Stored
from hwsim.numerics import int_table
from hwsim.numerics.threads import split
from hwsim.numerics.unit import IntegerUnit, MatrixUnit

Ints = tuple[int, ...]
SMALL = 64
"""Weights of a group for one tap up to which one pass is faster than a product a group."""


@dataclass(frozen=True, slots=True, eq=False)
class Grouped:
    """Weights of all groups as integers.

    Attributes:
        values: int32 [taps, out, channels of a group].
        scales: float32 [out].
        reach: int64 [out], the most that a sum of products with activations of magnitude 1 can be.
    """

    values: NDArray[np.int32]
    scales: NDArray[np.float32]
    reach: NDArray[np.int64]

    @classmethod
    def of(cls, groups: Sequence[Operand], unit: MatrixUnit, taps: int) -> Grouped | None:
        """The weights of ``groups``, or None where one pass does not suit them."""
        first = groups[0]
        k = first.codes.shape[1]
        plain = all(len(g.bounds) == 1 and g.zeros is None for g in groups)
        if not isinstance(unit, IntegerUnit) or not plain or len(first.codes) * (k // taps) > SMALL:
            return None
        values = int_table(unit.b_format)[np.concatenate([g.codes for g in groups])].astype(np.int32)
        scales = np.concatenate([np.broadcast_to(g.scales[0], len(g.codes)) for g in groups]).astype(np.float32)
        reach = np.abs(values.astype(np.int64)).sum(axis=1)
        shaped = values.reshape(len(values), taps, k // taps).transpose(1, 0, 2)
        return cls(np.ascontiguousarray(shaped), scales, reach)

    def sums(
        self,
        held: Stored,
        integers: NDArray[np.int32],
        kernel: Ints,
        geometry: tuple[Ints, Ints, Ints],
        size: Ints,
        bias: NDArray[Any] | None,
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Sums [n * oh * ow, out] of (qa - za) * w plus an int32 bias, and which of ``out`` they are certain for.

        Args:
            held: codes [n, c, h, w] with one scale and zero point.
            integers: the integer of each activation code.
            kernel: (kh, kw).
            geometry: (strides, pads, dilations).
            size: (oh, ow).
            bias: [out]; a float bias is added later, and does not count here.
        """
        from hwsim.emulate._kernels import grouped_sums

        zero = 0 if held.quant.zero_point is None else int(held.quant.zero_point)
        start = np.zeros(self.values.shape[1], np.int64)
        if bias is not None and bias.dtype == np.int32:
            start += bias
        # The unit adds codes as they are and takes the zero point back through the accumulator's start.
        offset = start - zero * self.values.sum(axis=(0, 2), dtype=np.int64)
        magnitude = int(np.abs(integers.astype(np.int64)).max()) + abs(zero)
        certain = self.reach * magnitude + np.maximum(np.abs(start), np.abs(offset)) < 1 << 31
        x = np.ascontiguousarray((integers - zero).astype(np.int32)[held.codes.transpose(0, 2, 3, 1)])
        out = np.empty((len(x) * size[0] * size[1], self.values.shape[1]), np.int32)
        run = partial(grouped_sums, x, self.values, start.astype(np.int32), kernel, *geometry, size, out)
        split(run, len(x) * size[0], out.size * len(self.values))
        return out, certain
