"""What a verification found: frozen rows that a table, a report or a test reads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Point:
    """A point of functional coverage: ``hits`` of the ``of`` things it counts were driven."""

    name: str
    hits: int
    of: int = 1

    @property
    def reached(self) -> bool:
        """All of it."""
        return self.hits >= self.of


@dataclass(frozen=True)
class CheckRow:
    """One check of one unit.

    Attributes:
        check: what was driven: ``pe_exhaustive``, ``corner_tiles``, ``random_tiles``, ``k_chain``, ``gaps``, ``reset``,
            ``output_stationary``.
        unit: matrix unit that is the golden model.
        compared: result values compared with the golden model.
        mismatches: those that differ, hold an unknown bit, or never came.
        cycles_compared: times (of a fold, or of a result row) compared with the cycle model.
        cycle_mismatches: those that differ, and result rows that came when none was due.
        seconds: wall time of build, simulation and comparison.
        simulated_cycles: clock cycles simulated.
        first_mismatch: operands, expected and got of the first difference; None where there is none.
        wave_file: recording (FST or VCD) of the failing case; None where nothing failed or no recording was asked for.
        points: points of functional coverage that the check's inputs reach, or fail to.
    """

    check: str
    unit: str
    compared: int
    mismatches: int
    cycles_compared: int
    cycle_mismatches: int
    seconds: float
    simulated_cycles: int
    first_mismatch: str | None = None
    wave_file: str | None = None
    points: tuple[Point, ...] = ()

    @property
    def passed(self) -> bool:
        """Something was compared, and nothing differed."""
        return self.compared > 0 and self.mismatches == 0 and self.cycle_mismatches == 0


@dataclass(frozen=True)
class VerifyReport:
    """Every check of one run of ``verify_rtl``, and what would repeat it.

    Attributes:
        unit, simulator, array_rows, array_cols, m, tiles, seed: the arguments of the run.
        sources: the caller's Verilog files that stood in for ours.
        rows: one entry a check, in the order they ran.
    """

    unit: str
    simulator: str
    array_rows: int
    array_cols: int
    m: int
    tiles: int
    seed: int
    sources: tuple[str, ...]
    rows: tuple[CheckRow, ...]

    @property
    def passed(self) -> bool:
        """Every check ran and passed."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    @property
    def first_mismatch(self) -> str | None:
        """Text of the first difference of the run."""
        return next((row.first_mismatch for row in self.rows if row.first_mismatch), None)

    @property
    def coverage(self) -> tuple[Point, ...]:
        """Every named point once, as the check that reached most of it has it."""
        best: dict[str, Point] = {}
        for point in (point for row in self.rows for point in row.points):
            known = best.get(point.name)
            if known is None or point.hits * known.of > known.hits * point.of:
                best[point.name] = point
        return tuple(best.values())

    def to_dict(self) -> dict[str, object]:
        """Plain values, ready for ``json.dumps``; ``passed`` is included, for the run and for each row."""
        rows = [{**asdict(row), "passed": row.passed} for row in self.rows]
        return {**asdict(self), "rows": rows, "passed": self.passed}

    def to_json(self) -> str:
        """``to_dict`` as JSON text."""
        return json.dumps(self.to_dict(), indent=2)
