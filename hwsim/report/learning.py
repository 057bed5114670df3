"""One page of a network's training: loss and accuracy step by step, and what the chip made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from hwsim.report.humanise import count, percent, significant
from hwsim.report.page import Page, facts_of, render
from hwsim.report.scale import Axis, linear_axis, log_axis, share_axis, tick_number
from hwsim.report.svg import Plane, marker, num, picture, point

HEIGHT = 240.0


@dataclass(frozen=True, slots=True)
class Learned:
    """A training run.

    Attributes:
        name, model, target, data, test: for people.
        n: test inputs.
        weights, activations: storage formats.
        before, after: score on the chip, quantized after training and by training; ``float32`` the float network's.
        curve: (steps done, mean training loss since the row before, score in torch or None).
        metric: what the scores are: ``accuracy``, or a name in ``hwsim.io.metric.METRICS``.
        recipe: as the file says.
    """

    name: str
    model: str
    target: str
    data: str
    test: str
    n: int
    weights: str
    activations: str
    before: float
    after: float
    float32: float
    curve: tuple[tuple[int, float, float | None], ...]
    recipe: Mapping[str, Any]
    seed: int
    created: str
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    metric: str = "accuracy"

    def text(self, score: float) -> str:
        """A score as people read it."""
        return percent(score) if self.metric == "accuracy" else significant(score, 4)


def render_learning(learned: Learned, document: str) -> str:
    """The page. ``document``: the JSON that it shows."""
    page = Page(
        kind="training",
        title=f"{learned.model}, {learned.weights} weights and {learned.activations} activations, by training",
        meta=(
            ("recipe", learned.name),
            ("learned from", learned.data),
            ("tested on", f"{learned.test}, n = {count(learned.n)}"),
            ("made", learned.created[:10]),
        ),
        document=document,
        what="this training",
        schema="hwsim.training/1",
        command=learned.command,
        facts=facts_of(learned.created, learned.seed, learned.versions),
        version=learned.versions.get("hwsim", ""),
    )
    scores = [(step, score) for step, _, score in learned.curve if score is not None]
    levels = [("float32", learned.float32), ("chip, before", learned.before)]
    return render(
        "learning.html.j2",
        page,
        learned=learned,
        loss=loss_curves([("loss", [(step, loss) for step, loss, _ in learned.curve])], "loss"),
        score=score_curves([(learned.metric, scores)], "score", levels, learned) if scores else "",
    )


Curve = tuple[str, Sequence[tuple[int, float]]]


def loss_curves(curves: Sequence[Curve], ident: str) -> Markup:
    """Training loss against steps, a line a curve."""
    y = log_axis([max(value, 1e-9) for _, rows in curves for _, value in rows], tick_number, labels=4)
    return _drawn(curves, y, ident, "Training loss by step", "training loss", [], _number)


def score_curves(
    curves: Sequence[Curve], ident: str, levels: Sequence[tuple[str, float]] = (), learned: Learned | None = None
) -> Markup:
    """Scores against steps, a line a curve: accuracies, or what ``learned`` is scored by; ``levels`` lie across."""
    near = [value for _, rows in curves for _, value in rows]
    if learned is None or learned.metric == "accuracy":
        held = [level for level in levels if level[1] > min(near) - 0.1]
        shares = [*near, *(value for _, value in held)]
        pad = max(0.002, 0.1 * (max(shares) - min(shares)))
        y = share_axis(min(shares) - pad, max(shares) + pad)
        return _drawn(curves, y, ident, "Accuracy by step", "accuracy, %", held, percent)
    values = [*near, *(value for _, value in levels)]
    pad = 0.1 * (max(values) - min(values))
    y = linear_axis(min(values) - pad, max(values) + pad, lambda value, decimals: f"{value:.{decimals}f}")
    name = learned.metric
    return _drawn(curves, y, ident, f"{name[:1].upper()}{name[1:]} by step", name, levels, learned.text)


def _number(value: float) -> str:
    return f"{value:.3g}"


def _drawn(
    curves: Sequence[Curve],
    y: Axis,
    ident: str,
    title: str,
    y_title: str,
    levels: Sequence[tuple[str, float]],
    text: Any,
) -> Markup:
    last = max(step for _, rows in curves for step, _ in rows)
    plane = Plane(linear_axis(0, last, lambda value, _: f"{value:.0f}"), y, HEIGHT)
    parts = [plane.frame("steps", y_title)]
    for name, value in levels:
        height = num(plane.py(value))
        parts.append(Markup('<line class="baseline" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(height))
        parts.append(
            Markup('<text class="label" x="100%" y="{}" text-anchor="end">{} {}</text>').format(
                num(plane.py(value) - 5), name, text(value)
            )
        )
    for at, (name, rows) in enumerate(curves):
        line = plane.path(rows, "roof")
        dots = [
            point(plane.x.at(s), plane.py(v), marker(at, scale=0.7), f"{name}, step {s}: {text(v)}") for s, v in rows
        ]
        parts.append(Markup('<g class="t{}">{}{}</g>').format(at, line, Markup("").join(dots)))
    spoken = "; ".join(
        f"{name}: {text(rows[0][1])} at step {rows[0][0]}, {text(rows[-1][1])} at the end" for name, rows in curves
    )
    return picture(ident, title, spoken, HEIGHT, Markup("").join(parts), kind="xy")
