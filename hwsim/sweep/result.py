"""What a sweep found: a row a point, the ones that nothing beats, and the files that say so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwsim.io.tables import csv_text
from hwsim.sweep.metrics import METRICS
from hwsim.sweep.spec import Scalar

SCHEMA = "hwsim.sweep.result/1"
SHOWN = 20
"""Points that a notebook shows, the best ones."""


@dataclass(frozen=True, slots=True)
class Row:
    """One point.

    Attributes:
        point: dimension -> choice.
        values: metric -> number; None where the point failed, and ``error`` says why in one line.
        feasible: every constraint is met.
        best: feasible, and no feasible point of the same task is as good in every objective and better in one.
    """

    point: Mapping[str, Scalar]
    values: Mapping[str, float] | None
    error: str = ""
    feasible: bool = False
    best: bool = False


@dataclass(frozen=True, slots=True)
class SweepResult:
    """All points in the order of the search.

    Attributes:
        name: of the sweep.
        spec: what was asked, as plain data.
        objectives: names in ``METRICS``.
        rows: one a point.
    """

    name: str
    spec: Mapping[str, Any]
    objectives: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def best(self) -> tuple[Row, ...]:
        """The Pareto set, the best first by the first objective."""
        first = METRICS[self.objectives[0]]
        sign = 1.0 if first.better == "min" else -1.0
        found = [row for row in self.rows if row.best and row.values is not None]
        return tuple(sorted(found, key=lambda row: sign * (row.values or {})[first.name]))

    @property
    def failed(self) -> tuple[Row, ...]:
        """The points that have no numbers."""
        return tuple(row for row in self.rows if row.values is None)

    def to_json(self) -> str:
        """The result as JSON; equal results give equal bytes."""
        rows = [
            {
                "point": dict(row.point),
                "values": None if row.values is None else dict(row.values),
                **({"error": row.error} if row.error else {}),
                "feasible": row.feasible,
                "best": row.best,
            }
            for row in self.rows
        ]
        body = {"schema": SCHEMA, "name": self.name, "spec": self.spec, "rows": rows}
        return json.dumps(body, indent=1, ensure_ascii=False) + "\n"

    def _repr_html_(self) -> str:
        """The points that nothing beats, for a notebook."""
        from hwsim.perf.notebook import amount, html_table

        best = self.best
        names = [n for n in (best[0].point if best else ()) if len({str(row.point.get(n)) for row in self.rows}) > 1]
        head = ("", *names, *self.objectives)
        rows = [
            (
                str(number),
                *(str(row.point.get(name, "–")) for name in names),
                *(amount((row.values or {})[name], METRICS[name].unit).strip() for name in self.objectives),
            )
            for number, row in enumerate(best[:SHOWN], 1)
        ]
        feasible = sum(row.feasible for row in self.rows)
        notes = [f"{len(self.rows)} points, {feasible} meet every constraint, {len(self.failed)} failed"]
        if len(best) > SHOWN:
            notes.insert(0, f"and {len(best) - SHOWN} more that nothing beats")
        return html_table(self.name, head, rows, notes)

    def to_csv(self) -> str:
        """A line a point: its choices, its numbers, feasible, best, error."""
        dimensions = list(dict.fromkeys(name for row in self.rows for name in row.point))
        metrics = [name for name in METRICS if any(row.values and name in row.values for row in self.rows)]
        lines = [
            [
                *(row.point.get(name, "") for name in dimensions),
                *((row.values or {}).get(name, "") for name in metrics),
                int(row.feasible),
                int(row.best),
                row.error,
            ]
            for row in self.rows
        ]
        return csv_text([*dimensions, *metrics, "feasible", "best", "error"], lines)


def pareto(values: Sequence[Sequence[float]], better: Sequence[str]) -> list[bool]:
    """Which of n points no other is as good as in every objective and better than in one.

    Args:
        values: [n][objectives].
        better: ``min`` or ``max`` for each objective.
    """
    if not len(values):
        return []
    table = np.asarray(values, np.float64) * np.array([1.0 if side == "min" else -1.0 for side in better])
    unique, first = np.unique(table, axis=0, return_inverse=True)
    kept = np.ones(len(unique), bool)
    for index in range(len(unique)):  # sorted by the first objective: only earlier rows can beat a row
        earlier = unique[:index][kept[:index]]
        kept[index] = not bool(np.any(np.all(earlier <= unique[index], axis=1)))
    return [bool(each) for each in kept[np.ravel(first)]]
