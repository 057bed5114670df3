"""Functional coverage: which named points the driven operands reach. Counted on the golden model's side alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwsim.verify.multipliers import MULTIPLIERS, fixed_point
from hwsim.verify.result import Point

if TYPE_CHECKING:
    from hwsim.verify.catalog import RtlUnit
    from hwsim.verify.compare import Rows


def pe_points(unit: RtlUnit, rows: Rows) -> tuple[Point, ...]:
    """Operand pairs of one processing element, its extreme products, and sums past both ends of the accumulator."""
    multiplier = MULTIPLIERS[unit.multiplier]
    a, w = rows.a[:, 0].astype(np.int64), rows.w[:, 0, 0].astype(np.int64)
    a_values, w_values = fixed_point(multiplier.a_format)[0], fixed_point(multiplier.b_format)[0]
    pairs = np.unique(a * len(w_values) + w).size
    codes = [np.unique(side).size for side in (a, w)]
    exact = rows.c[:, 0].astype(object) + (a_values[a] * w_values[w]).astype(object)
    high = (1 << (unit.acc_bits - 1)) - 1
    least = (a_values[a] == a_values.min()) & (w_values[w] == w_values.min())
    zeros = (a_values[a] == 0) | (w_values[w] == 0)
    ends = [int(np.count_nonzero(exact > high)), int(np.count_nonzero(exact < ~high))]
    found = [
        Point("operand pairs", pairs, codes[0] * codes[1]),
        Point("least x least", int(least.any())),
        Point("sum past the top", min(1, ends[0])),
        Point("sum past the bottom", min(1, ends[1])),
    ]
    if (a_values == 0).any():
        found.append(Point("zero operand", int(zeros.any())))
    if (a_values == 0).sum() > 1:
        found.append(Point("negative zero", int((zeros & (a != 0)).any())))
    return tuple(found)
