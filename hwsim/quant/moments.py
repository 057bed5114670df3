"""First and second moments of what enters a matrix product, in the float network and in the quantized one."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir import Node
from hwsim.ir.float_ops import windows

Array = NDArray[np.float32]
COLUMN_BYTES = 64 << 20
"""Memory for the columns of some images at a time."""

ROWS = 512
"""Rows a column from which every further one adds little: of larger images every second, third .. place is read."""


class Moments:
    """Sums over all rows of a product: of the quantized inputs q and the float inputs f.

    Attributes:
        rows: rows added up.
        mean_q, mean_f: float64 [groups, K].
        qq, fq: float64 [groups, K, K]: mean of q'q and of f'q.
    """

    def __init__(self, node: Node, weight: Array, quantized: Array, real: Array) -> None:
        self.rows = 0
        totals: list[Any] = [0.0, 0.0, 0.0, 0.0]
        pairs = zip(columns(node, weight, quantized), columns(node, weight, real), strict=True)
        for q, f in pairs:
            self.rows += q.shape[1]
            turned = np.swapaxes(q, 1, 2)
            parts = (q.sum(axis=1, dtype=np.float64), f.sum(axis=1, dtype=np.float64), turned @ q, turned @ f)
            totals = [total + part for total, part in zip(totals, parts, strict=True)]
        self.mean_q, self.mean_f, self.qq = (np.asarray(t, np.float64) / self.rows for t in totals[:3])
        self.fq = np.swapaxes(np.asarray(totals[3], np.float64), 1, 2) / self.rows

    def __add__(self, other: Moments) -> Moments:
        """Of the rows of both."""
        joined = copy(self)
        joined.rows = self.rows + other.rows
        for name in ("mean_q", "mean_f", "qq", "fq"):
            parts = self.rows * getattr(self, name) + other.rows * getattr(other, name)
            setattr(joined, name, parts / joined.rows)
        return joined

    def centred(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """``qq`` and ``fq`` around the means: what is left when a bias takes up the means."""
        q, f = self.mean_q, self.mean_f
        return self.qq - q[:, :, None] * q[:, None, :], self.fq - f[:, :, None] * q[:, None, :]


def columns(node: Node, weight: Array, x: Array) -> Iterator[Array]:
    """Some images' inputs at a time as [groups, rows, K], K in the order of ``weight``'s elements."""
    if node.op != "Conv":
        yield x.reshape(1, -1, x.shape[-1])
        return
    attrs, (_, per_group, kh, kw) = node.attrs, weight.shape
    groups = attrs["group"]
    view = windows(x, (kh, kw), attrs["strides"], attrs["pads"], attrs["dilations"], np.float32(0))
    step = max(1, int((len(x) * view.shape[2] * view.shape[3] / (ROWS * per_group * kh * kw)) ** 0.5))
    view = view[:, :, ::step, ::step]
    n, _, oh, ow = view.shape[:4]
    images = max(1, COLUMN_BYTES // (4 * view[0].size))
    for start in range(0, n, images):
        part = view[start : start + images]
        split = part.reshape(len(part), groups, per_group, oh, ow, kh, kw)
        yield split.transpose(1, 0, 3, 4, 2, 5, 6).reshape(groups, -1, per_group * kh * kw)
