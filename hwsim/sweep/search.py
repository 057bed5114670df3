"""Which points come next. A searcher proposes a round and is told its values before the next.

Rounds have a fixed size and results are told in the order of the points, so that a search is the same however many
workers there are, and when it is resumed.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.errors import ToolError
from hwsim.sweep.metrics import METRICS
from hwsim.sweep.space import choices, grid
from hwsim.sweep.spec import Interval, Scalar, Spec

if TYPE_CHECKING:
    from optuna import Study, Trial

Values = Mapping[str, float] | None
"""Metric -> number; None for a point that failed."""

Search = Generator[list[dict[str, Scalar]], Sequence[Values], None]

_ROUND = 1 << 16
"""Points that a search without answers proposes together: workers wait for each other at the end of a round."""


def search(spec: Spec) -> Search:
    """A generator of rounds: it yields points, and is sent a `Values` for each."""
    return {"grid": _grid, "random": _random, "bayes": _bayes}[spec.search](spec)


def violations(spec: Spec, values: Mapping[str, float]) -> list[float]:
    """How far each constraint is missed, as a share of its limit; 0 or less where it is met."""
    found = []
    for name, bound in spec.constraints.items():
        value = values.get(name, float("inf"))
        for limit, over in ((bound.max, 1.0), (bound.min, -1.0)):
            if limit is not None:
                found.append(over * (value - limit) / (abs(limit) or 1.0))
    return found


def _grid(spec: Spec) -> Search:
    round_: list[dict[str, Scalar]] = []
    for point in grid(spec):
        round_.append(point)
        if len(round_) == _ROUND:
            yield round_
            round_ = []
    if round_:
        yield round_


def _random(spec: Spec) -> Search:
    rng = np.random.default_rng(spec.seed)
    assert spec.points is not None
    for start in range(0, spec.points, _ROUND):
        yield [_drawn(spec, rng) for _ in range(min(_ROUND, spec.points - start))]


def _drawn(spec: Spec, rng: np.random.Generator) -> dict[str, Scalar]:
    point: dict[str, Scalar] = {}
    for name, dimension in spec.space.items():
        if isinstance(dimension, Interval):
            point[name] = _between(dimension, float(rng.random()))
        else:
            options = choices(dimension)
            point[name] = options[int(rng.integers(len(options)))]
    return point


def _between(interval: Interval, share: float) -> Scalar:
    low, high = interval.low, interval.high
    value = low * (high / low) ** share if interval.log else low + (high - low) * share
    value = min(max(value, low), high)
    return round(value) if interval.whole else value


def _bayes(spec: Spec) -> Search:
    try:
        import optuna
    except ModuleNotFoundError:
        raise ToolError("Bayesian search needs the package optuna", hint="pip install 'hwsim[sweep]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    directions = ["minimize" if METRICS[name].better == "min" else "maximize" for name in spec.objectives]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=spec.seed, multivariate=True, constant_liar=True)
    study = optuna.create_study(directions=directions, sampler=sampler)
    assert spec.points is not None
    done = 0
    while done < spec.points:
        trials = [study.ask() for _ in range(min(spec.at_once, spec.points - done))]
        values = yield [_suggested(spec, trial) for trial in trials]
        for trial, found in zip(trials, values, strict=True):
            _tell(study, spec, trial, found)
        done += len(trials)


def _suggested(spec: Spec, trial: Trial) -> dict[str, Scalar]:
    point: dict[str, Scalar] = {}
    for name, dimension in spec.space.items():
        if isinstance(dimension, Interval):
            if dimension.whole:
                point[name] = trial.suggest_int(name, round(dimension.low), round(dimension.high), log=dimension.log)
            else:
                point[name] = trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
            continue
        options = choices(dimension)
        picked: Any = trial.suggest_categorical(name, options) if len(options) > 1 else options[0]
        point[name] = picked
    return point


def _tell(study: Study, spec: Spec, trial: Trial, found: Values) -> None:
    from optuna.trial import TrialState

    if found is None:
        study.tell(trial, state=TrialState.FAIL)
        return
    for number, over in enumerate(violations(spec, found)):
        trial.set_constraint(str(number), over)
    study.tell(trial, [found[name] for name in spec.objectives])
