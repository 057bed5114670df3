"""What every page has: its frame, style, script and policy, and what it takes to make it again."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hwsim.report import humanise
from hwsim.report.model import Evidence
from hwsim.report.words import limit_text

if TYPE_CHECKING:
    import jinja2

    from hwsim.perf.result import Constraint
    from hwsim.report.attribution import Attribution
    from hwsim.report.model import Comparison
    from hwsim.report.stress import Stress

_TEMPLATES = Path(__file__).parent / "templates"

KIND_WORDS = {
    "silicon": "measured on the chip itself",
    "rtl": "measured in simulation of the circuit's source",
    "published": "stated by the maker or in print",
    "derived": "computed from numbers of the kinds above",
    "assumed": "our own assumption",
}


@dataclass(frozen=True, slots=True)
class Page:
    """The frame of a page.

    Attributes:
        kind: ``report``, ``why``, ``change``, ``robustness``, ``training`` or ``sweep``, beside the name hwsim.
        title: the heading; ``meta`` the facts below it, by name.
        document: the JSON that the page shows; its hash stands on the page, ``what`` says of what, and ``schema`` is
            its name.
        command: what reproduces it; ``facts`` and ``hashes`` go with it.
    """

    kind: str
    title: str
    meta: tuple[tuple[str, str], ...]
    document: str
    what: str
    schema: str
    command: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    version: str = ""

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.document.encode()).hexdigest()


def page_of(run: Comparison | Attribution | Stress, kind: str, what: str, document: str, schema: str) -> Page:
    """The frame of a page about one network on one data set."""
    data = f"{run.data}, n = {humanise.count(run.n)}" if run.n else run.data
    return Page(
        kind=kind,
        title=run.title,
        meta=(("network", run.model), ("data", data), ("made", run.created[:10])),
        document=document,
        what=what,
        schema=schema,
        command=run.command,
        facts=facts_of(run.created, run.seed, run.versions),
        hashes=run.hashes,
        version=run.versions.get("hwsim", ""),
    )


def facts_of(created: str, seed: int, versions: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """When, with which seed and which packages."""
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (("made", created), ("seed", str(seed)), *((("versions", packages),) if packages else ()))


def render(template: str, page: Page, **context: Any) -> str:
    """The page as HTML: the same values always give the same bytes; names are escaped wherever they come from."""
    style, script = _text("report.css"), _text("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    made: str = (
        _environment()
        .get_template(template)
        .render(page=page, style=Markup(style), script=Markup(script), policy=policy, **context)
    )
    return made


def evidence_chip(evidence: Evidence | None) -> Markup:
    """A label with the kind of evidence; its source on hover."""
    if evidence is None:
        return Markup('<span class="ev ev-none" title="nobody stated what this rests on">unstated</span>')
    hover = f"{evidence.kind}: {evidence.source or KIND_WORDS[evidence.kind]}"
    return Markup('<span class="ev ev-{}" title="{}">{}</span>').format(evidence.kind, hover, evidence.kind)


def evidence_dot(evidence: Evidence | None) -> Markup:
    """The label's sign alone, where there is no room for the word; kind and source on hover."""
    if evidence is None:
        return Markup('<span class="ev ev-none bare" title="nobody stated what this rests on"></span>')
    hover = f"{evidence.kind}: {evidence.source or KIND_WORDS[evidence.kind]}"
    return Markup('<span class="ev ev-{} bare" title="{}" role="img" aria-label="{}"></span>').format(
        evidence.kind, hover, evidence.kind
    )


def _limit_chip(limit: Constraint) -> Markup:
    return evidence_chip(Evidence(limit.kind, "the limit, as the target's file states it"))


def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        si=humanise.si,
        size=humanise.size,
        rate=humanise.per_second,
        percent=humanise.percent,
        short_percent=humanise.short_percent,
        points=humanise.points,
        count=humanise.count,
        decibels=humanise.decibels,
        significant=humanise.significant,
        chip=evidence_chip,
        dot=evidence_dot,
        limit_chip=_limit_chip,
        limit_text=limit_text,
    )
    return environment
