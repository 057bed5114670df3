"""From what the rooms below hand over (a target, an estimate, an emulator's rows) to what a report shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hwsim.perf.estimate import unread
from hwsim.perf.result import Estimate
from hwsim.report.chip import draw_chip
from hwsim.report.model import (
    KINDS,
    Accuracy,
    Declared,
    Evidence,
    HealthRow,
    Score,
    TargetResult,
    TargetSummary,
    TileRow,
)

if TYPE_CHECKING:
    from hwsim.target.schema import Precision, Target, TensorFormat


def target_result(
    target: Target,
    estimate: Estimate,
    *,
    accuracy: Accuracy | None = None,
    trace: Iterable[Any] = (),
    health: Iterable[Any] = (),
    score: Score | None = None,
) -> TargetResult:
    """One target's results at the precision of ``estimate``.

    ``trace`` and ``health`` rows may be any objects with the attributes of ``TileRow`` and ``HealthRow``.
    """
    summary = summarise(target, estimate.precision or None, estimate.chips)
    return TargetResult(summary, estimate, accuracy, _copies(TileRow, trace), _copies(HealthRow, health), score)


def summarise(target: Target, precision: str | None = None, chips: int = 1) -> TargetSummary:
    """What a page says of a chip: formats in words, declared numbers with sources, the weakest kind behind each claim.

    Raises:
        TargetError: no such precision.
    """
    chosen = target.precision(precision)
    name = precision or target.default_precision
    others = tuple(f"precisions.{other}." for other in target.precisions if other != name)
    numbers = tuple(
        Declared(
            path,
            _number(quantity, "value"),
            quantity.kind,
            _cite(target, quantity.source),
            _bound(quantity, "low"),
            _bound(quantity, "high"),
        )
        for path, quantity in target.quantities()
        if not path.startswith(others)
    )
    energy = [item for item in numbers if item.path.startswith("energy.") or item.path.endswith(".mac_pj")]
    skipped = unread(target, chips)
    timing = [item for item in numbers if item not in energy and not item.path.startswith(skipped)]
    return TargetSummary(
        name=target.name,
        title=target.title,
        precision=name,
        unit=chosen.unit,
        weights=_tensor(chosen.weights),
        activations=_tensor(chosen.activations),
        evidence={"arithmetic": _arithmetic(chosen), "timing": _weakest(timing), "energy": _weakest(energy)},
        numbers=numbers,
        drawing=draw_chip(target),
    )


def _arithmetic(precision: Precision) -> Evidence:
    """Of the matrix unit: its catalog entry states it."""
    from hwsim.numerics import units

    unit = units[precision.unit]
    return Evidence(unit.evidence, str(unit.source))


def _weakest(numbers: list[Declared]) -> Evidence:
    """The weakest kind among numbers, with how many there are of each and the sources that the weakest come from."""
    kinds = [item.kind for item in numbers]
    kind = max(kinds, key=KINDS.index)
    tally = ", ".join(f"{kinds.count(name)} {name}" for name in KINDS if name in kinds)
    sources = dict.fromkeys(item.source for item in numbers if item.kind == kind)
    return Evidence(kind, f"{len(numbers)} numbers ({tally}); the {kind} ones: {'; '.join(sources)}")


def _cite(target: Target, key: str) -> str:
    source = target.sources[key]
    return ", ".join(part for part in (source.title, source.section) if part)


def _number(quantity: Any, name: str) -> float:
    value = getattr(quantity, name, None)
    return float(getattr(quantity, f"{name}_pj") if value is None else value)


def _bound(quantity: Any, name: str) -> float | None:
    value = getattr(quantity, name, None)
    value = getattr(quantity, f"{name}_pj", None) if value is None else value
    return None if value is None else float(value)


def _tensor(tensor: TensorFormat) -> str:
    words = tensor.granularity.replace("_", " ")
    if tensor.group_size is not None:
        words = f"{words.replace('per group', 'per group of')} {tensor.group_size}"
    return f"{tensor.format} {words}{'' if tensor.symmetric else ', with zero point'}"


def _copies(kind: type[Any], rows: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(kind(**{name: getattr(row, name) for name in kind.__dataclass_fields__}) for row in rows)
