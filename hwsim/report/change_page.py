"""What changed between two runs: the page and the JSON."""

from __future__ import annotations

from typing import Any

from hwsim.report.bars import MAX_ROWS, Rows, signed_rows
from hwsim.report.change import CHANGE_SCHEMA, Change, LayerChange, Number, TargetChange, change_sentences
from hwsim.report.document import as_text, dumps, plain
from hwsim.report.figures import short_layer
from hwsim.report.humanise import si
from hwsim.report.page import Page, facts_of, render
from hwsim.report.svg import PALETTE, swatch


def change_dict(change: Change) -> dict[str, Any]:
    """Plain dicts, lists, strings and numbers; the runs are named by title, time and hash of their JSON."""
    return {
        "schema": CHANGE_SCHEMA,
        "before": _run(change, "before"),
        "after": _run(change, "after"),
        "same": change.same,
        "targets": [
            {
                "target": target.label,
                "numbers": [_number(number) for number in target.numbers],
                "layers": [
                    {"name": layer.name, "op": layer.op, "numbers": [_number(number) for number in layer.numbers]}
                    for layer in target.layers
                    if not layer.same
                ],
            }
            for target in change.targets
        ],
        "gone": list(change.gone),
        "new": list(change.new),
        "settings": plain(change.settings),
    }


def change_json(change: Change) -> str:
    """JSON text, the same bytes for the same two runs."""
    return as_text(change_dict(change))


def render_change(change: Change) -> str:
    """The page."""
    after = change.after
    page = Page(
        kind="change",
        title=f"What changed: {after.title}",
        meta=(
            ("before", f"{change.before.created}"),
            ("after", f"{after.created}"),
            ("network", after.model),
            ("data", after.data),
        ),
        document=change_json(change),
        what="this change",
        schema=CHANGE_SCHEMA,
        command=after.command,
        facts=facts_of(after.created, after.seed, after.versions),
        hashes={
            **{f"run {word}": _run(change, word)["json"] for word in ("before", "after")},
            **after.hashes,
        },
        version=after.versions.get("hwsim", ""),
    )
    return render(
        "change.html.j2",
        page,
        change=change,
        sentences=change_sentences(change),
        targets=[_target(target, index) for index, target in enumerate(change.targets)],
    )


def _run(change: Change, word: str) -> dict[str, str]:
    import hashlib

    run = change.before if word == "before" else change.after
    digest = hashlib.sha256(dumps(run).encode()).hexdigest()
    return {"title": run.title, "created": run.created, "json": f"sha256:{digest}"}


def _number(number: Number) -> dict[str, Any]:
    return {"name": number.name, "unit": number.unit, "before": plain(number.before), "after": plain(number.after)}


def _target(target: TargetChange, index: int) -> dict[str, Any]:
    changed = [layer for layer in target.layers if not layer.same]
    costs = [layer for layer in changed if _delta(layer.numbers[0]) or _delta(layer.numbers[1])]
    drawn = sorted(range(len(costs)), key=lambda at: (-_weight(costs[at]), at))[:MAX_ROWS]
    shown = [costs[at] for at in sorted(drawn)]
    proofs = {"latency": "timing", "throughput": "timing", "energy": "energy", "power": "energy"}
    return {
        "change": target,
        "swatch": swatch(index),
        "proof": {n.name: target.after.evidence(proofs.get(n.name, "arithmetic")) for n in target.numbers},
        "hue": index % PALETTE,
        "time": _bars(shown, 0, "s", f"time-{index}", index),
        "energy": _bars(shown, 1, "J", f"energy-{index}", index),
        "changed": changed,
        "columns": _columns(changed),
        "drawn": bool(shown),
        "left_out": len(costs) - len(shown),
    }


def _columns(changed: list[LayerChange]) -> list[tuple[int, Number]]:
    """Places of the numbers that differ in some layer."""
    if not changed:
        return []
    return [
        (at, number)
        for at, number in enumerate(changed[0].numbers)
        if any(layer.numbers[at].before != layer.numbers[at].after for layer in changed)
    ]


def _delta(number: Number) -> float:
    return (number.after or 0.0) - (number.before or 0.0)


def _weight(layer: LayerChange) -> float:
    """How much a layer's time changed."""
    return abs(_delta(layer.numbers[0]))


def _bars(layers: list[LayerChange], place: int, unit: str, ident: str, index: int) -> Rows:
    numbers = [_delta(layer.numbers[place]) for layer in layers]
    names = [short_layer(layer.name, layer.op) for layer in layers]
    texts = [f"{'+' if number > 0 else ''}{si(number, unit)}" for number in numbers]
    word = "time" if unit == "s" else "energy"
    return signed_rows(ident, f"Change of each layer's {word}", names, numbers, texts, kind=f"t{index % PALETTE}")
