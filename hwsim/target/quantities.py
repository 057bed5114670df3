"""Numbers of a target file. One about a chip is never bare: it is a :class:`Quantity`, a :class:`Count` or an
:class:`Energy` with the kind of its evidence and a key into the file's ``sources``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["silicon", "rtl", "published", "derived", "assumed"]
KINDS: tuple[Kind, ...] = ("silicon", "rtl", "published", "derived", "assumed")
"""Evidence, strongest first."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Natural = Annotated[int, Field(ge=1)]


class Strict(BaseModel):
    """Every part of a target file: no unknown keys, no other types, nothing changes later."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Source(Strict):
    """Where numbers come from: a document, a measurement, a file. ``read`` is the date (YYYY-MM-DD) it was read or
    measured."""

    title: Name
    section: Name | None = None
    url: Name | None = None
    read: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Sourced(Strict):
    """What a target file states, with the kind of its evidence and a key into the file's ``sources``."""

    kind: Kind
    source: Name
    note: Name | None = None


class Quantity(Sourced):
    """A positive real number; ``low`` and ``high``, where given, are the band that its makers or we believe it lies
    in."""

    value: Positive
    low: Positive | None = None
    high: Positive | None = None


class Count(Sourced):
    """A positive whole number."""

    value: Natural


class Energy(Sourced):
    """Energy of one action, pJ, with its band."""

    value_pj: Positive
    low_pj: Positive | None = None
    high_pj: Positive | None = None
