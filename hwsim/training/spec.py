"""What a training recipe may say, and one clear line when it says something else.

name: mnist-w2a4
model: mnist-cnn
target: hwsim-int4-ws16
weights: {format: int2}
activations: {scale: offset}
course: {epochs: 3, teacher: 0.5}
augment: [jitter]
attack: {epsilon: 0.1, steps: 7}
outliers: {kind: energy}

name: llama-int4
model: tiny-llama
target: hwsim-int4-ws16
attention: {factors: [query, key, value, scores], distance: 1.0}
course: {epochs: 1, batch: 4}
take: 320
"""

from __future__ import annotations

import os
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwsim.errors import HwsimError, RecipeError, unknown
from hwsim.numerics import formats
from hwsim.quant import CALIBRATORS
from hwsim.quant.attention import PLACES
from hwsim.quant.qat import Adversary, Course, Learning, Outliers
from hwsim.quant.qat.augment import AUGMENTS
from hwsim.quant.recipe import EQUALIZERS
from hwsim.target.explain import explain
from hwsim.target.yaml import Document, read_yaml

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Storage(_Strict):
    """How one kind of tensor is stored and learned; ``format`` None is the target's own.

    The other fields are those of ``hwsim.quant.qat.Learning``.
    """

    format: str | None = None
    estimator: str = "clipped"
    scale: str = "learned"
    power_of_two: bool = False
    stochastic: bool = False
    coefficient: float = Field(default=0.1, ge=0, le=1)
    table: str = "none"
    grid: str = "int4"

    @property
    def learning(self) -> Learning:
        return Learning(**self.model_dump(exclude={"format"}))


class Steps(_Strict):
    """The fields of ``hwsim.quant.qat.Course``; ``task`` None is the one that fits the network's score."""

    epochs: int = Field(default=5, ge=1, le=100_000)
    batch: int = Field(default=100, ge=1, le=1_000_000)
    rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    scale_rate: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    table_rate: float = Field(default=100.0, ge=0, allow_inf_nan=False)
    log_rate: float = Field(default=10.0, ge=0, allow_inf_nan=False)
    optimizer: str = "adamw"
    weight_decay: float = Field(default=1e-4, ge=0, allow_inf_nan=False)
    accumulate: int = Field(default=1, ge=1)
    accumulator: str = "fp32"
    teacher: float = Field(default=0.0, ge=0, le=1)
    temperature: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    task: str | None = None
    seed: int = Field(default=0, ge=0, lt=2**32)
    checkpoint_steps: int = Field(default=200, ge=1)
    report_steps: int | None = Field(default=None, ge=1)

    def course(self, task: str = "labels") -> Course:
        return Course(**self.model_dump(exclude={"task"}), task=self.task or task)


class Attack(_Strict):
    """The fields of ``hwsim.quant.qat.Adversary``; ``span`` is the network's values of black and of white."""

    epsilon: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    steps: int = Field(default=7, ge=1, le=10_000)
    step: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    span: list[float] = Field(default=[0.0, 1.0], min_length=2, max_length=2)
    share: float = Field(default=1.0, gt=0, le=1)

    @property
    def adversary(self) -> Adversary:
        low, high = self.span
        return Adversary(**self.model_dump(exclude={"span"}), low=low, high=high)


class Strangers(_Strict):
    """The fields of ``hwsim.quant.qat.Outliers``."""

    kind: str = "exposure"
    weight: float = Field(default=0.5, gt=0, allow_inf_nan=False)
    inside: float = Field(default=-12.0, allow_inf_nan=False)
    outside: float = Field(default=-4.0, allow_inf_nan=False)

    @property
    def regularizer(self) -> Outliers:
        return Outliers(**self.model_dump())


class Heads(_Strict):
    """What holds attention where few bits move it.

    Attributes:
        factors: where a factor for every head learns with the network (``hwsim.quant.attention.log_scaled``).
        alone: only the factors learn, and everything else stays as it was stored.
        distance: weight of the term of the loss that holds softmaxes to the float network's.
    """

    factors: list[str] = Field(default_factory=list)
    alone: bool = False
    distance: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class Plan(_Strict):
    """A training recipe.

    Attributes:
        name: for people; the default folder's name too.
        model: a zoo name or the file of a float network.
        target, precision: the chip to train for, and its mode (None: its default).
        calibrator: how first scales are picked.
        data, calibration, test: what it learns from, picks its first scales on and is measured on: a zoo name (its
            training, calibration or test data) or a .npz file; None is the model's own.
        limit: use only so many of the test inputs.
        take: learn from so many of the data's inputs, drawn by the course's seed; None: from all.
        equalize: what is moved between channels or heads of the float network first.
        weights, activations: storage, and what learns of it.
        attention: factors of heads that learn, and a term of the loss; None: neither.
        course: how long, how fast, in which steps.
        augment: changes to pictures, names in ``hwsim.quant.qat.augment.AUGMENTS``.
        attack: learn from inputs that the network finds hard; None: from the data as they are.
        outliers: learn to be unsure of strangers; None: do not.
        sums: whose numbers the network learns on: ``torch``'s own, or the ``chip``'s, bit for bit (slower).
    """

    name: str = Field(pattern=_NAME)
    model: str
    target: str
    precision: str | None = None
    calibrator: str = "mse"
    data: str | None = None
    calibration: str | None = None
    test: str | None = None
    limit: int | None = Field(default=None, ge=1)
    take: int | None = Field(default=None, ge=1)
    equalize: str = "none"
    weights: Storage = Storage()
    activations: Storage = Storage()
    attention: Heads | None = None
    course: Steps = Steps()
    augment: list[str] = Field(default_factory=list)
    attack: Attack | None = None
    outliers: Strangers | None = None
    sums: Literal["torch", "chip"] = "torch"


def load_plan(path: str | os.PathLike[str]) -> Plan:
    """Read a recipe.

    Raises:
        RecipeError: no such file; or ``path:line: what was expected, what was found``.
        ToolError: torch is missing.
    """
    try:
        document = read_yaml(os.fspath(path))
    except HwsimError as error:  # the reader is the target files' own
        raise RecipeError(error.message, where=error.where, hint=error.hint) from None
    try:
        plan = Plan.model_validate(document.data)
    except ValidationError as error:
        raise explain(document, error, Plan, RecipeError) from None
    _check(document, plan)
    return plan


def _check(document: Document, plan: Plan) -> None:
    for part, held in (("weights", plan.weights), ("activations", plan.activations)):
        for key, name in (("format", held.format), ("grid", held.grid)):
            if name is not None and name not in formats:
                raise unknown(RecipeError, "format", name, formats, where=document.where((part, key)))
    if plan.calibrator not in CALIBRATORS:
        raise unknown(RecipeError, "calibrator", plan.calibrator, CALIBRATORS, where=document.where(("calibrator",)))
    if plan.equalize not in EQUALIZERS:
        raise unknown(RecipeError, "equalizer", plan.equalize, EQUALIZERS, where=document.where(("equalize",)))
    for index, name in enumerate(plan.attention.factors if plan.attention else ()):
        if name not in PLACES:
            raise unknown(RecipeError, "place", name, PLACES, where=document.where(("attention", "factors", index)))
    if plan.attention and plan.attention.alone and not plan.attention.factors:
        raise RecipeError("alone: expected factors that learn, found none", where=document.where(("attention",)))
    for index, name in enumerate(plan.augment):
        if name not in AUGMENTS:
            raise unknown(RecipeError, "augmentation", name, AUGMENTS, where=document.where(("augment", index)))
    for part, make in (
        ("weights", lambda: plan.weights.learning),
        ("activations", lambda: plan.activations.learning),
        ("course", plan.course.course),
        ("attack", lambda: plan.attack and plan.attack.adversary),
        ("outliers", lambda: plan.outliers and plan.outliers.regularizer),
    ):
        try:
            make()
        except RecipeError as error:
            raise RecipeError(error.message, where=document.where((part,)), hint=error.hint) from None
