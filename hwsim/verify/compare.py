"""What a check found, and how a difference is told: with its place, its operands, what was expected and what came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsim.verify.catalog import RtlUnit, scaled_unit
from hwsim.verify.drive import Codes, Scales, Sums
from hwsim.verify.multipliers import MULTIPLIERS, fixed_point
from hwsim.verify.result import Point

UNKNOWN = "unknown bits (X)"
NOTHING = "no result row"


@dataclass(frozen=True)
class Outcome:
    """Counts of one check (see ``CheckRow``), the text of its first difference, and how to record that case again."""

    compared: int
    mismatches: int
    cycles_compared: int
    cycle_mismatches: int
    simulated_cycles: int
    first: str | None = None
    record: Callable[[Path], object] | None = None
    points: tuple[Point, ...] = ()

    def recorded_by(self, record: Callable[[Path], object]) -> Outcome:
        """The same outcome, with the way to record its failure."""
        return replace(self, record=record)

    def reaching(self, points: tuple[Point, ...]) -> Outcome:
        """The same outcome, with the points of coverage that its inputs reach."""
        return replace(self, points=points)


@dataclass(frozen=True)
class Rows:
    """Result rows that a check expects: when each is shown, its operands, and the golden sums.

    Attributes:
        cycles: int64 [n]; a: codes [n, k]; w: codes [n, k, lanes]; c, sums: int32 or int64 [n, lanes].
        scales: codes of weights [n, lanes] and of activations [n], where the unit takes them.
    """

    cycles: NDArray[np.int64]
    a: Codes
    w: Codes
    c: Sums
    sums: Sums
    scales: Scales | None = None


def golden(unit: RtlUnit, a: Codes, w: Codes, c: Sums, scales: Scales | None = None) -> Sums:
    """c + a w by the golden model, int32 or int64: a [.., M, K] codes, w [.., K, N] codes, c [.., M, N].

    ``scales``: codes [.., N, blocks] of w and [.., M, blocks] of a; c and the result are then the bits of FP32 numbers.
    """
    from hwsim.numerics import mma, units

    if scales is not None:
        turned = np.ascontiguousarray(np.swapaxes(w, -1, -2))
        start = np.ascontiguousarray(c).view(np.float32)
        d = mma(a, turned, start, unit.name, a_scale=scales[1], b_scale=scales[0])
        return np.ascontiguousarray(d, np.float32).view(np.int32)
    if unit.name in units:
        return np.asarray(mma(a, np.ascontiguousarray(np.swapaxes(w, -1, -2)), c, unit.name), dtype=np.int32)
    multiplier = MULTIPLIERS[unit.multiplier]
    a_values, w_values = fixed_point(multiplier.a_format)[0], fixed_point(multiplier.b_format)[0]
    # exact: a double holds every product, and every sum of as many as an array of any sensible size adds
    products = a_values[a].astype(np.float64) @ w_values[w].astype(np.float64)
    low = -(1 << (unit.acc_bits - 1))
    sums = c.astype(np.int64) + products.astype(np.int64)
    wrapped: Sums = ((sums - low) % (1 << unit.acc_bits) + low).astype(c.dtype)
    return wrapped


def fold_cycles(rows: int, cols: int, m: int) -> int:
    """Cycles of one fold by the cycle model."""
    from hwsim.perf.systolic import ws_fold_cycles

    return ws_fold_cycles(rows, cols, m)


def operands(unit: RtlUnit, a: Codes, w: Codes, c: int, scales: tuple[Codes, Codes] | None = None) -> str:
    """``a=-8 (0x8) x w=7 (0x7), c=5``, or the two lists of a longer sum; a [k], w [k] codes; scales of w and a."""
    from hwsim.numerics import decode_table

    multiplier = MULTIPLIERS[unit.multiplier]
    a_table, w_table = decode_table(multiplier.a_format), decode_table(multiplier.b_format)
    if scales is not None:
        stored = decode_table(scaled_unit(unit.name).scale_format)
        w_scale, a_scale = (_listed(stored[codes]) for codes in scales)
        return f"c={as_float(c)}, a={_listed(a_table[a])} x {a_scale}, w={_listed(w_table[w])} x {w_scale}"
    if len(a) == 1:
        return f"c={c}, a={_told(a_table[a[0]])} (0x{a[0]:X}) x w={_told(w_table[w[0]])} (0x{w[0]:X})"
    return f"c={c}, a={_listed(a_table[a])} x w={_listed(w_table[w])}"


def difference(
    unit: RtlUnit,
    place: str,
    a: Codes,
    w: Codes,
    c: int,
    expected: int,
    got: int | str,
    scales: tuple[Codes, Codes] | None = None,
) -> str:
    """One line: place, operands, expected, got (a number, ``UNKNOWN`` or ``NOTHING``)."""
    want: int | str = expected
    if scales is not None:
        want, got = as_float(expected), got if isinstance(got, str) else as_float(got)
    return f"{place}: {operands(unit, a, w, c, scales)}: expected {want}, got {got}"


def as_float(bits: int) -> str:
    """The FP32 number of a bit pattern, and the pattern: ``1.5 (0x3FC00000)``."""
    pattern = np.uint32(bits & 0xFFFFFFFF)
    return f"{float(pattern.view(np.float32)):.9g} (0x{int(pattern):08X})"


def compare_rows(
    unit: RtlUnit,
    expected: Rows,
    cycles: NDArray[np.int64],
    sums: Sums,
    known: NDArray[np.bool_],
    simulated_cycles: int,
) -> tuple[Outcome, int]:
    """Hold the rows that came against those expected, in order; the outcome, and the cycle of the first difference.

    A row that came in a cycle in which none was due, and a cycle in which one was due and none came, are each a cycle
    mismatch; values are compared in order of arrival, and values that never came are mismatches.
    """
    lanes = expected.sums.shape[1]
    both = min(len(expected.cycles), len(cycles))
    wrong = (sums[:both] != expected.sums[:both]) | ~known[:both, None]
    lost = len(expected.cycles) - both
    on_time = np.array_equal(expected.cycles, cycles)
    early_or_late = cycles[:0] if on_time else np.setxor1d(expected.cycles, cycles)
    where = np.argwhere(wrong)
    first, when = None, simulated_cycles
    if where.size:
        row, lane = (int(index) for index in where[0])
        got = int(sums[row, lane]) if known[row] else UNKNOWN
        when = int(cycles[row])
        place = f"cycle {when}, column {lane}"
        first = difference(
            unit,
            place,
            expected.a[row],
            expected.w[row, :, lane],
            int(expected.c[row, lane]),
            int(expected.sums[row, lane]),
            got,
            None if expected.scales is None else (expected.scales[0][row, lane, None], expected.scales[1][row, None]),
        )
    if early_or_late.size and int(early_or_late[0]) <= when:
        when = int(early_or_late[0])
        due = when in expected.cycles
        told = f"cycle {when}: expected {'a result row' if due else 'no result row'}, got {'none' if due else 'one'}"
        first = f"{told}; {first}" if first else told
    outcome = Outcome(
        compared=expected.sums.size,
        mismatches=int(wrong.sum()) + lost * lanes,
        cycles_compared=len(expected.cycles),
        cycle_mismatches=int(early_or_late.size),
        simulated_cycles=simulated_cycles,
        first=first,
    )
    return outcome, when


def _listed(values: NDArray[np.float32]) -> str:
    return "[" + " ".join(_told(value) for value in values) + "]"


def _told(value: np.float32) -> str:
    return f"{float(value):.9g}"
