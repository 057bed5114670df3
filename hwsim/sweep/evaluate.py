"""One point: the network on the target that it names, with the fields that it changes, as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hwsim.errors import DataError, HwsimError, RecipeError
from hwsim.sweep.metrics import METRICS
from hwsim.sweep.space import Point, key_of
from hwsim.sweep.spec import KEYS, Scalar

if TYPE_CHECKING:
    from hwsim.ir import Graph, Workload
    from hwsim.perf import Estimate
    from hwsim.target import Target

_SIZES = ("new_tokens", "context", "weights", "activations")
_BUDGETS = {"budget_bytes": "bytes", "budget_s": "seconds", "budget_j": "joules"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a point: its numbers, or one line on why there are none."""

    values: Mapping[str, float] | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """What every point of a sweep is asked; it travels to the workers.

    Attributes:
        metrics: names in ``METRICS``.
        limit: inputs that answers are measured on; None is all.
    """

    metrics: tuple[str, ...]
    limit: int | None = None

    def __call__(self, point: Point) -> Outcome:
        """The point's outcome; no error of the point itself leaves here."""
        try:
            return Outcome(evaluate(point, self.metrics, self.limit))
        except HwsimError as error:
            return Outcome(error=str(error))
        except MemoryError:
            return Outcome(error="out of memory")
        except Exception as error:
            return Outcome(error=" ".join(f"internal error, {type(error).__name__}: {error}".split()))


def evaluate(point: Point, metrics: Sequence[str], limit: int | None = None) -> dict[str, float]:
    """The metrics of one point.

    Raises:
        HwsimError: the point's parts do not fit together, or it does not have one of the metrics.
    """
    target = chip(point)
    if any(METRICS[name].needs == "answers" for name in metrics):
        found = _with_answers(point, target, limit)
    else:
        found = _costs(_estimated(point, target))
    missing = [name for name in metrics if name not in found]
    if missing:
        has = ", ".join(name for name in METRICS if name in found)
        raise DataError(f"has no {missing[0]}", where=str(point["model"]), hint=f"it has: {has}")
    return {name: found[name] for name in metrics}


def chip(point: Point) -> Target:
    """The point's target, with the fields that it sets; those count as assumed.

    Raises:
        TargetError: no such target or field, or a value that the field does not take.
    """
    fields = {name: value for name, value in point.items() if name not in KEYS}
    return _chip(str(point["target"]), tuple(fields.items()))


@lru_cache(maxsize=256)
def _chip(name: str, fields: tuple[tuple[str, Scalar], ...]) -> Target:
    from hwsim.target import with_fields

    return with_fields(name, dict(fields))


def _estimated(point: Point, target: Target) -> Estimate:
    from hwsim.perf import estimate

    return estimate(_workload(point, target), target, _mode(point))


def _mode(point: Point) -> str | None:
    return str(point["precision"]) if "precision" in point else None


_workloads: dict[str, Workload] = {}
_KEPT = 256


def _workload(point: Point, target: Target) -> Workload:
    """The network as the target stores it. Points that differ in other fields share it: a graph takes long to bind."""
    from hwsim.api import workload

    named = {name: point[name] for name in KEYS if name in point and name not in ("target", "calibrator")}
    if any(name in point for name in _BUDGETS):
        raise DataError("a budget asks for answers", where=str(point["model"]), hint="add accuracy to the objectives")
    key = f"{key_of(named)} {target.precision(_mode(point)).model_dump_json()} {target.vector}"
    if key not in _workloads:
        sizes = {name: point[name] for name in _SIZES if name in point}
        found = workload(
            str(point["model"]), target, precision=_mode(point), batch=_count(point.get("batch", 1)), **_typed(sizes)
        )
        while len(_workloads) >= _KEPT:
            _workloads.pop(next(iter(_workloads)))
        _workloads[key] = found
    return _workloads[key]


def _typed(sizes: Mapping[str, Scalar]) -> dict[str, Any]:
    return {name: _count(value) if name in ("new_tokens", "context") else str(value) for name, value in sizes.items()}


def _count(value: Scalar) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DataError(f"expected a whole number of at least 1, found {value!r}")
    return value


def _with_answers(point: Point, target: Target, limit: int | None) -> dict[str, float]:
    from hwsim.comparing import compare

    sizes = [name for name in _SIZES if name in point]
    if sizes:
        raise DataError(f"answers come from a model with its own sizes; {sizes[0]} is for networks known by shape")
    model = str(point["model"])
    result = compare(
        _rewritten(point, target, model),
        target,
        data=None,
        precision=_mode(point),
        calibrator=str(point.get("calibrator", "mse")),
        limit=limit,
        batch=_count(point.get("batch", 1)),
    ).results[0]
    found = _costs(result.estimate)
    if result.accuracy is not None:
        found["accuracy"] = result.accuracy.value
        if result.accuracy.baseline is not None:
            found["accuracy_loss"] = result.accuracy.baseline - result.accuracy.value
        if result.accuracy.agreement is not None:
            found["agreement"] = result.accuracy.agreement
    if result.score is not None:
        found[result.score.metric.replace(" ", "_")] = result.score.measured
    return found


def _rewritten(point: Point, target: Target, model: str) -> str | Graph:
    """The model's name, or its graph with the weight formats that a budget buys."""
    budgets = [name for name in _BUDGETS if name in point]
    if not budgets:
        return model
    if len(budgets) > 1:
        raise RecipeError(f"expected one budget, found {' and '.join(budgets)}", where=model)
    from hwsim.api import mixed_precision, quantize

    value = point[budgets[0]]
    if isinstance(value, str | bool):
        raise RecipeError(f"{budgets[0]}: expected a number, found {value!r}", where=model)
    recipe = mixed_precision(model, target, value, metric=_BUDGETS[budgets[0]], precision=_mode(point))
    return quantize(model, recipe)


def _costs(found: Estimate) -> dict[str, float]:
    seconds, energy = found.seconds, found.joules / found.batch
    return {
        "latency_s": seconds,
        "energy_j": energy,
        "throughput_per_s": found.inferences_per_s,
        "power_w": found.watts,
        "energy_delay_js": energy * seconds,
        "utilisation": found.macs / (found.peak_macs_per_s * seconds) if seconds > 0 else 0.0,
        "peak_macs_per_s": found.peak_macs_per_s,
        "multipliers": round(found.peak_macs_per_s / found.clock_hz),
        "memory_bytes": next(limit.found for limit in found.constraints if limit.name == "memory"),
    }
