"""The verb: propose, compute, keep, until the search has no more; then say what is best."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwsim.errors import DataError, ModelError, RecipeError, unknown
from hwsim.io import atomic
from hwsim.sweep.engines import Cluster, Engine, Local
from hwsim.sweep.evaluate import Outcome, Task, chip
from hwsim.sweep.metrics import METRICS
from hwsim.sweep.result import Row, SweepResult, pareto
from hwsim.sweep.search import search, violations
from hwsim.sweep.space import Point, choices, key_of, size
from hwsim.sweep.spec import Interval, Scalar, Spec, load_spec, spec_of
from hwsim.sweep.store import Store

Progress = Callable[[str, int, int], None]
RESULTS = ("results.json", "results.csv")


def sweep(
    spec: Spec | Mapping[str, Any] | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    fresh: bool = False,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> SweepResult:
    """Try the points of a design space.

    Args:
        spec: a spec, plain data as its YAML has them, a .yaml file, or the name of a shipped preset.
        out: folder that keeps each result as it comes (``points.sqlite``) and gets ``results.json`` and
            ``results.csv``; a sweep that was stopped goes on from there. None keeps nothing.
        jobs: processes of this machine; None is one a core.
        scheduler: address of a dask scheduler that computes instead.
        fresh: forget what ``out`` holds.
        retry_failed: compute the points again that failed before.
        progress: called with ("sweep", points done, points in all).

    Returns:
        A row a point and the Pareto set; the same for any number of workers, and whether or not it was interrupted.

    Raises:
        DataError, TargetError, ModelError, RecipeError: the spec, or what it names, cannot be read; ``out`` holds
            another sweep.
        ToolError: a package is missing, or the cluster does not answer.

    Example:
        >>> found = sweep({"name": "s", "space": {"model": "resnet50", "target": ["nvidia-a100", "nvidia-h100"]},
        ...                "objectives": ["latency_s"]}, jobs=1)
        >>> [row.point["target"] for row in found.best]
        ['nvidia-h100']
    """
    plan = spec if isinstance(spec, Spec) else spec_of(spec) if isinstance(spec, Mapping) else load_spec(spec)
    total = size(plan)
    _check(plan)
    folder = None if out is None else Path(out)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot be made: {error.strerror or error}", where=str(folder)) from None
    show = progress or (lambda stage, done, total: None)
    with _engine(jobs, scheduler) as engine, Store(folder, _fingerprint(plan), fresh=fresh) as store:
        if retry_failed:
            store.forget_failures()
        rows = _rows(plan, engine, store, show, total)
    result = SweepResult(plan.name, _plain(plan), tuple(plan.objectives), _judged(plan, rows))
    if folder is not None:
        for name, text in zip(RESULTS, (result.to_json(), result.to_csv()), strict=True):
            atomic.write(folder / name, text.encode(), DataError)
    return result


@contextmanager
def _engine(jobs: int | None, scheduler: str | None) -> Iterator[Engine]:
    if scheduler is None:
        yield Local(jobs)
        return
    cluster = Cluster(scheduler)
    try:
        yield cluster
    finally:
        cluster.close()


def _rows(plan: Spec, engine: Engine, store: Store, show: Progress, total: int) -> list[Row]:
    ask = Task(plan.metrics, plan.limit)
    rounds = search(plan)
    rows: list[Row] = []
    show("sweep", 0, total)
    points = next(rounds, None)
    while points is not None:
        keys = [key_of(point) for point in points]
        jobs = {key: point for key, point in zip(keys, points, strict=True) if key not in store.done}
        done = len(rows) + sum(key not in jobs for key in keys)
        show("sweep", done, total)
        for key, outcome in engine.run(ask, jobs):
            store.add(key, outcome)
            done += 1
            show("sweep", min(done, total), total)
        found = [store.done[key] for key in keys]
        rows += [_row(plan, point, outcome) for point, outcome in zip(points, found, strict=True)]
        points = _next(rounds, [outcome.values for outcome in found])
    show("sweep", total, total)
    return rows


def _next(rounds: Any, values: Sequence[Mapping[str, float] | None]) -> list[dict[str, Scalar]] | None:
    try:
        found: list[dict[str, Scalar]] = rounds.send(values)
    except StopIteration:
        return None
    return found


def _row(plan: Spec, point: Point, outcome: Outcome) -> Row:
    if outcome.values is None:
        return Row(point, None, outcome.error)
    return Row(point, outcome.values, feasible=all(miss <= 0 for miss in violations(plan, outcome.values)))


TASKS = ("model", "new_tokens", "context")
"""Dimensions that say what is asked; points that differ in one are never held against each other."""


def _judged(plan: Spec, rows: list[Row]) -> tuple[Row, ...]:
    """The rows, with the Pareto set of each task's feasible ones marked."""
    better = [METRICS[name].better for name in plan.objectives]
    tasks: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if row.feasible:
            tasks.setdefault(key_of({n: row.point[n] for n in TASKS if n in row.point}), []).append(index)
    winners: set[int] = set()
    for members in tasks.values():
        values = [[(rows[index].values or {})[name] for name in plan.objectives] for index in members]
        winners.update(index for index, best in zip(members, pareto(values, better), strict=True) if best)
    return tuple(replace(row, best=index in winners) for index, row in enumerate(rows))


def _plain(plan: Spec) -> dict[str, Any]:
    return plan.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


def _check(plan: Spec) -> None:
    """Refuse, before the first point, names that no point can use."""
    from hwsim.quant import CALIBRATORS

    options = {
        name: [] if isinstance(dimension, Interval) else choices(dimension) for name, dimension in plan.space.items()
    }
    for name in ("model", "target"):
        for value in options[name]:
            if not isinstance(value, str):
                raise DataError(f"space.{name}: expected a name or a path, found {value!r}", where=plan.name)
    for model in options["model"]:
        _check_model(str(model))
    for calibrator in options.get("calibrator", ()):
        if calibrator not in CALIBRATORS:
            raise unknown(RecipeError, "calibrator", calibrator, CALIBRATORS, where=f"{plan.name}: space.calibrator")
    modes: set[str] = set()
    for target in options["target"]:
        modes.update(chip({"target": target}).precisions)
    for precision in options.get("precision", ()):
        if precision not in modes:
            raise unknown(RecipeError, "precision", precision, modes, where=f"{plan.name}: space.precision")
    fields = [name for name in plan.space if "." in name]
    for target in options["target"] if fields else ():
        first = {name: options[name][0] for name in fields if options[name]}
        chip({"target": target, **first})


def _check_model(model: str) -> None:
    from hwsim import zoo
    from hwsim.perf.workloads import NAMES, spelled

    if spelled(model) not in NAMES and model not in zoo.names() and not Path(model).exists():
        raise unknown(ModelError, "model", model, (*zoo.names(), *NAMES))


def _fingerprint(plan: Spec) -> dict[str, str]:
    """What the results depend on: the spec, hwsim, and the contents of the files that the spec names."""
    from hwsim import __version__

    found = {"spec": plan.model_dump_json(by_alias=True), "hwsim": __version__}
    for name in ("model", "target"):
        dimension = plan.space[name]
        for value in () if isinstance(dimension, Interval) else choices(dimension):
            path = Path(str(value))
            if name == "target":
                held = chip({"target": value}).model_dump_json().encode()
            elif path.is_file():
                held = path.read_bytes()
            else:
                continue
            found[f"{name} {value}"] = hashlib.sha256(held).hexdigest()
    return found
