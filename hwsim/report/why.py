"""Why a network loses accuracy on a chip: the page, the JSON, and a table for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hwsim.report.attribution import WHY_SCHEMA, Attribution, Swap, sentences
from hwsim.report.bars import MAX_ROWS, Rows, signed_rows
from hwsim.report.document import as_text, plain
from hwsim.report.figures import short_layer
from hwsim.report.humanise import decibels, short_percent, signed_percent
from hwsim.report.model import KINDS
from hwsim.report.page import KIND_WORDS, page_of, render


def why_dict(why: Attribution) -> dict[str, Any]:
    """Plain dicts, lists, strings and numbers; infinite ratios are ``"inf"`` and ``"-inf"``."""
    return {"schema": WHY_SCHEMA, **plain(why)}


def why_json(why: Attribution) -> str:
    """JSON text, the same bytes for the same attribution."""
    return as_text(why_dict(why))


def render_why(why: Attribution) -> str:
    """The page."""
    page = page_of(why, "why", "this attribution", why_json(why), WHY_SCHEMA)
    shown = _largest(why)
    return render(
        "why.html.j2",
        page,
        why=why,
        sentences=sentences(why),
        causes=_pair(why, why.causes, "causes", lambda swap: swap.name),
        layers=_pair(why, shown, "layers", lambda swap: short_layer(swap.name, "")),
        left_out=len(why.layers) - len(shown),
        cause_rows=[_cells(why, swap) for swap in why.causes],
        layer_rows=[_cells(why, swap) for swap in why.layers],
        steps=_steps(why),
        step_rows=why.steps,
        kinds=[(kind, KIND_WORDS[kind]) for kind in KINDS],
    )


def _pair(why: Attribution, swaps: Sequence[Swap], ident: str, name: Callable[[Swap], str]) -> tuple[Rows, Rows]:
    """Noise alone, and noise that goes without it, both in the chip's noise."""
    names = [name(swap) for swap in swaps]
    alone = [why.share(swap.alone.noise) for swap in swaps]
    away = [why.taken_away(swap) for swap in swaps]
    left = signed_rows(
        f"alone-{ident}",
        f"Noise that each of the {ident} makes alone",
        names,
        alone,
        [short_percent(share) for share in alone],
        kind="t1",
        least=1.0,
    )
    right = signed_rows(
        f"away-{ident}",
        f"Noise that goes without each of the {ident}",
        names,
        away,
        [signed_percent(share) for share in away],
        kind="t2",
        least=1.0,
    )
    return left, right


def _steps(why: Attribution) -> Rows:
    names = [f"+ {name}" if index else name for index, (name, _) in enumerate(why.steps)]
    shares = [why.share(measure.noise) for _, measure in why.steps]
    texts = [decibels(measure.sqnr_db) for _, measure in why.steps]
    return signed_rows("steps", "Noise after each step from float to chip", names, shares, texts, kind="t0", least=1.0)


def _cells(why: Attribution, swap: Swap) -> dict[str, Any]:
    return {
        "swap": swap,
        "share": why.share(swap.alone.noise),
        "away": why.taken_away(swap),
        "away_text": signed_percent(why.taken_away(swap)),
    }


def _largest(why: Attribution) -> tuple[Swap, ...]:
    """The layers to draw, in execution order: those that make or take away the most."""
    weight = [max(swap.alone.noise, abs(why.taken_away(swap) or 0.0) * why.chip.noise) for swap in why.layers]
    order = sorted(range(len(weight)), key=lambda index: (-weight[index], index))[:MAX_ROWS]
    return tuple(why.layers[index] for index in sorted(order))
