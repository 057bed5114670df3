"""A sweep's result as the plain values that its page takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hwsim.sweep.metrics import METRICS
from hwsim.sweep.result import SCHEMA, SweepResult
from hwsim.sweep.run import TASKS

if TYPE_CHECKING:
    from hwsim.report.points import Gauge, Points


def points_of(result: SweepResult, command: str = "") -> Points:
    """What ``hwsim.report.points`` shows of ``result``; ``command`` is what makes it again."""
    import yaml

    from hwsim import __version__
    from hwsim.report.points import Limit, Points, Spot

    varying = [name for name in TASKS if len({str(row.point.get(name)) for row in result.rows}) > 1]
    spots = tuple(
        Spot(
            {name: choice_text(name, value) for name, value in row.point.items()},
            row.values,
            ", ".join(choice_text(name, row.point[name]) for name in varying if name in row.point),
            row.feasible,
            row.best,
            row.error,
        )
        for row in result.rows
    )
    limits = result.spec.get("constraints", {})
    return Points(
        name=result.name,
        description=str(result.spec.get("description", "")),
        gauges=gauges(),
        objectives=result.objectives,
        limits=tuple(Limit(name, bound.get("min"), bound.get("max")) for name, bound in limits.items()),
        spots=spots,
        document=result.to_json(),
        schema=SCHEMA,
        spec=yaml.safe_dump(dict(result.spec), sort_keys=False, allow_unicode=True, width=100),
        command=command,
        versions={"hwsim": __version__},
    )


def write_page(result: SweepResult, path: Path, command: str = "") -> None:
    """Write the page of ``result``.

    Raises:
        DataError: the file cannot be written.
    """
    from hwsim.report import write_points

    write_points(points_of(result, command), path)


def gauges() -> dict[str, Gauge]:
    """Name -> how a metric is shown."""
    from hwsim.report.points import Gauge

    return {name: Gauge(name, metric.unit, metric.better, metric.text) for name, metric in METRICS.items()}


UNITS = {"_hz": "Hz", "bytes_per_s": "B/s"}
"""What the name of a target's field ends with -> its unit."""


def choice_text(name: str, value: object) -> str:
    """A choice as people write it; the JSON and the CSV have it as it was given."""
    from hwsim.report.humanise import count, si

    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    unit = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
    if unit:
        return si(value, unit)
    return count(value) if isinstance(value, int) else f"{value:.6g}"
