"""What a sweep's file may say, and one clear line when it says something else.

name: array-size
space:
  model: [mnist-cnn, resnet8]
  target: hwsim-int4-ws16
  machine.rows: {from: 8, to: 64, factor: 2}
  machine.clock_hz: [1.0e+8, 2.0e+8]
objectives: [latency_s, energy_j]
constraints:
  power_w: {max: 30}
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from hwsim.errors import DataError, HwsimError, TargetError, nearest, unknown
from hwsim.limits import limit
from hwsim.sweep.metrics import METRICS
from hwsim.target.explain import explain
from hwsim.target.yaml import Document, parse_yaml, read_yaml

KEYS = (
    "model",
    "target",
    "precision",
    "calibrator",
    "batch",
    "new_tokens",
    "context",
    "weights",
    "activations",
    "budget_bytes",
    "budget_s",
    "budget_j",
)
"""Dimensions that are not fields of the target; a name with a dot is one (``machine.rows``)."""

Scalar = bool | int | float | str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Range(_Strict):
    """``from``, ``from`` + ``step``, ... or ``from``, ``from`` x ``factor``, ... up to and with ``to``."""

    first: float = Field(alias="from", allow_inf_nan=False)
    to: float = Field(allow_inf_nan=False)
    step: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    factor: float | None = Field(default=None, gt=1, allow_inf_nan=False)


class Interval(_Strict):
    """Any number from ``low`` to ``high``, for random and Bayesian search; ``log``: by its logarithm."""

    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    log: bool = False
    whole: bool = False


def _shape(value: Any) -> str:
    if isinstance(value, Range | Interval):
        return "range" if isinstance(value, Range) else "interval"
    if isinstance(value, dict):
        return "interval" if "low" in value or "high" in value else "range"
    return "choices" if isinstance(value, list) else "one"


Dimension = Annotated[
    Annotated[Range, Tag("range")]
    | Annotated[Interval, Tag("interval")]
    | Annotated[list[Scalar], Tag("choices"), Field(min_length=1)]
    | Annotated[Scalar, Tag("one")],
    Discriminator(_shape),
]


class Bound(_Strict):
    """Limits of a metric, in its unit; at least one of the two."""

    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)


class Spec(_Strict):
    """A sweep.

    Attributes:
        name, description: for people; the name is a file name too.
        search: ``grid`` (every combination), ``random``, or ``bayes`` (optuna's tree-structured Parzen estimator).
        points: how many, for random and bayes.
        at_once: points that a Bayesian search proposes before it looks at their results.
        seed: of the search.
        limit: inputs that accuracy is measured on; None is all.
        space: dimension -> its choices.
        objectives: names in ``METRICS``; each is made better in its own direction.
        constraints: metric -> limits; points outside are kept and marked.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    description: str = ""
    search: Literal["grid", "random", "bayes"] = "grid"
    points: int | None = Field(default=None, ge=1)
    at_once: int = Field(default=8, ge=1, le=1024)
    seed: int = Field(default=0, ge=0, lt=2**32)
    limit: int | None = Field(default=None, ge=1)
    space: dict[str, Dimension] = Field(min_length=1)
    objectives: list[str] = Field(min_length=1, max_length=6)
    constraints: dict[str, Bound] = Field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that the sweep reads, in the catalog's order."""
        named = {*self.objectives, *self.constraints}
        return tuple(name for name in METRICS if name in named)

    @property
    def needs_answers(self) -> bool:
        """The network must be emulated."""
        return any(METRICS[name].needs == "answers" for name in self.metrics)


def presets() -> tuple[str, ...]:
    """Names of the shipped specs, sorted."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def load_spec(source: str | os.PathLike[str], changes: Sequence[str] = ()) -> Spec:
    """Read a spec: a file, or a shipped one by name.

    Args:
        source: path of a .yaml file, or a name in :func:`presets`.
        changes: ``key=value`` each, the key dotted from the root (``space.model=[resnet8]``), the value YAML.

    Raises:
        DataError: no such file or name; or ``path:line: what was expected, what was found``.
    """
    text = str(source)
    try:
        if isinstance(source, Path) or text.endswith((".yaml", ".yml")) or os.sep in text:
            document = read_yaml(text)
        elif text in presets():
            document = read_yaml(_folder() / f"{text}.yaml")
        else:
            raise unknown(DataError, "preset", text, presets())
        for change in changes:
            document = _changed(document, change)
    except TargetError as error:  # the reader is the target files' own
        raise DataError(error.message, where=error.where, hint=error.hint) from None
    return build_spec(document)


def build_spec(document: Document) -> Spec:
    """Validate a parsed file. Raises DataError as :func:`load_spec` does."""
    try:
        spec = Spec.model_validate(document.data)
    except ValidationError as error:
        raise explain(document, error, Spec, DataError) from None
    _check(document, spec)
    return spec


def spec_of(given: Mapping[str, Any]) -> Spec:
    """A spec from plain data, as the YAML would give it. Raises DataError as :func:`load_spec` does."""
    return build_spec(Document("<spec>", dict(given), {(): 1}))


def _folder() -> Path:
    return Path(__file__).resolve().parent / "presets"


def _changed(document: Document, change: str) -> Document:
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise DataError(f"expected key=value, found {change!r}", where="--set")
    try:
        parsed = parse_yaml(f"value: {value}", "--set").data["value"]
    except HwsimError as error:
        raise DataError(f"{key}: {error.message}", where="--set") from None
    head, _, rest = key.partition(".")
    data = dict(document.data)
    if rest and head in ("space", "constraints"):
        inner = data.get(head, {})
        data[head] = {**(inner if isinstance(inner, dict) else {}), rest: parsed}
    elif rest:
        raise DataError(f"expected a key of the spec, space.NAME or constraints.NAME, found {key!r}", where="--set")
    else:
        data[head] = parsed
    return Document(document.path, data, document.lines)


def _check(document: Document, spec: Spec) -> None:
    for name, bound in spec.constraints.items():
        at = ("constraints", name)
        if name not in METRICS:
            raise unknown(DataError, "metric", name, METRICS, where=document.where(at))
        if bound.min is None and bound.max is None:
            raise DataError(f"constraints.{name}: expected min or max, found neither", where=document.where(at))
    for index, name in enumerate(spec.objectives):
        if name not in METRICS:
            raise unknown(DataError, "metric", name, METRICS, where=document.where(("objectives", index)))
    if len(set(spec.objectives)) < len(spec.objectives):
        raise DataError("objectives: expected each once, found one twice", where=document.where(("objectives",)))
    for name in ("model", "target"):
        if name not in spec.space:
            raise DataError(f"expected the key {name!r} in space, found none", where=document.where(("space",)))
    for name, dimension in spec.space.items():
        _check_dimension(spec, name, dimension, document.where(("space", name)))
    if spec.points is not None and spec.points > (most := limit("sweep_points")):
        raise DataError(f"points: expected at most {most}, found {spec.points}", where=document.where(("points",)))
    if (spec.search == "grid") != (spec.points is None):
        wanted = "no key 'points' with a grid" if spec.search == "grid" else f"the key 'points' with {spec.search}"
        raise DataError(f"expected {wanted}", where=document.where(("search",)))


def _check_dimension(spec: Spec, name: str, dimension: Any, where: str) -> None:
    if name not in KEYS and "." not in name:
        close = nearest(name, KEYS)
        hint = f"did you mean {close!r}?" if close else f"one of: {', '.join(KEYS)}; or a target's field with a dot"
        raise DataError(f"unknown dimension {name!r}", where=where, hint=hint)
    if isinstance(dimension, Range):
        if (dimension.step is None) == (dimension.factor is None):
            raise DataError(f"space.{name}: expected either step or factor", where=where)
        if dimension.to < dimension.first or (dimension.factor is not None and dimension.first <= 0):
            found = f"from {dimension.first:g} to {dimension.to:g}"
            raise DataError(f"space.{name}: expected from <= to, and from > 0 with factor, found {found}", where=where)
    if isinstance(dimension, Interval):
        if spec.search == "grid":
            raise DataError(f"space.{name}: expected choices in a grid, found an interval", where=where)
        if dimension.high < dimension.low or (dimension.log and dimension.low <= 0):
            found = f"{dimension.low:g} to {dimension.high:g}"
            raise DataError(f"space.{name}: expected low <= high, and low > 0 with log, found {found}", where=where)
