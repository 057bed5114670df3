"""Inline SVG whose colours are CSS variables and whose text never scales: x in percent of the width, y in pixels.

Every figure is an ``<svg role="img">`` with its own title and description. Markup escapes what it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hwsim.report.scale import Axis

SHAPES = ("circle", "square", "diamond", "triangle", "plus", "down", "pentagon", "bar")
"""Marker of each target in turn, so that colour is never the only sign."""

PALETTE = len(SHAPES)

_OUTLINES = {
    "circle": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
    "square": "M-4.4 -4.4h8.8v8.8h-8.8z",
    "diamond": "M0 -6L6 0L0 6L-6 0z",
    "triangle": "M0 -5.8L5.6 4.4H-5.6z",
    "plus": "M-2 -5.6h4v3.6h3.6v4h-3.6v3.6h-4v-3.6h-3.6v-4h3.6z",
    "down": "M0 5.8L5.6 -4.4H-5.6z",
    "pentagon": "M0 -5.8L5.6 -1.7L3.4 4.8H-3.4L-5.6 -1.7z",
    "bar": "M-6 -2.6h12v5.2h-12z",
}

CHARACTER = 6.6
"""Widest mean advance, in pixels, of the 11 px label text in the fonts that the page may get."""


def num(value: float) -> str:
    """A coordinate with at most two decimals, the same text on every machine."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


def pct(share: float) -> str:
    """A position 0..1 as a percentage."""
    return f"{num(100 * share)}%"


def marker(index: int, *, scale: float = 1.0, hollow: bool = False) -> Markup:
    """The outline of target ``index``'s marker around (0, 0), in its colour."""
    shape = _OUTLINES[SHAPES[index % PALETTE]]
    size = Markup(' transform="scale({})"').format(num(scale)) if scale != 1 else Markup("")
    return Markup('<path class="mark{} t{}" d="{}"{}/>').format(
        " hollow" if hollow else "", index % PALETTE, shape, size
    )


def swatch(index: int) -> Markup:
    """A target's marker beside its name; decoration, hidden from screen readers."""
    return Markup('<svg class="swatch" viewBox="-7 -7 14 14" aria-hidden="true">{}</svg>').format(marker(index))


def point(x: float, y: float, content: Markup, hover: str) -> Markup:
    """``content`` at x (0..1 of the width) and y (pixels), with a hover text."""
    return Markup('<svg x="{}" y="{}" class="pt"><title>{}</title>{}</svg>').format(pct(x), num(y), hover, content)


def picture(
    ident: str, title: str, description: str, height: float, body: Markup, *, view: str = "", kind: str = ""
) -> Markup:
    """The ``<svg role="img">`` around a figure's body."""
    return Markup(
        '<svg role="img" class="{}" aria-labelledby="{}-t {}-d"{} style="height:{}px">'
        '<title id="{}-t">{}</title><desc id="{}-d">{}</desc>{}</svg>'
    ).format(kind, ident, ident, Markup(view), num(height), ident, title, ident, description, body)


@dataclass(frozen=True, slots=True)
class Plane:
    """A plotting area of ``height`` pixels whose width is whatever the page gives."""

    x: Axis
    y: Axis
    height: float

    def py(self, value: float) -> float:
        """Pixels from the top."""
        return self.height * (1 - self.y.at(value))

    def frame(self, x_title: str, y_title: str) -> Markup:
        """Grid, ticks and axis titles (the y title stands above the axis, upright)."""
        parts = []
        for place in (*self.x.minor, *(place for place, _ in self.x.ticks)):
            parts.append(
                Markup('<line class="grid" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(pct(place), num(self.height))
            )
        for place in (*self.y.minor, *(place for place, _ in self.y.ticks)):
            y = num(self.height * (1 - place))
            parts.append(Markup('<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(y))
        for place, text in self.x.ticks:
            anchor = "start" if place < 0.04 else "end" if place > 0.96 else "middle"
            parts.append(
                Markup('<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>').format(
                    pct(place), num(self.height + 16), anchor, text
                )
            )
        for place, text in self.y.ticks:
            parts.append(
                Markup('<text class="tick" x="0" dx="-7" y="{}" text-anchor="end">{}</text>').format(
                    num(self.height * (1 - place) + 4), text
                )
            )
        parts.append(Markup('<line class="axis" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(num(self.height)))
        parts.append(
            Markup('<text class="axis-title" x="0" dx="-{}" y="-12">{}</text>').format(num(GUTTER - 4), y_title)
        )
        parts.append(
            Markup('<text class="axis-title" x="100%" y="{}" text-anchor="end">{}</text>').format(
                num(self.height + 34), x_title
            )
        )
        return Markup("").join(parts)

    def path(self, points: Sequence[tuple[float, float]], kind: str, *, closed: bool = False) -> Markup:
        """A line through values; it stretches with the page while its stroke does not."""
        steps = [f"{num(1000 * self.x.at(x))} {num(self.py(y))}" for x, y in points]
        return Markup(
            '<svg class="stretch" width="100%" height="{0}" viewBox="0 0 1000 {0}" preserveAspectRatio="none">'
            '<path class="{1}" vector-effect="non-scaling-stroke" d="M{2}{3}"/></svg>'
        ).format(num(self.height), kind, "L".join(steps), "z" if closed else "")


GUTTER = 52
"""Pixels left of a plotting area, for its y ticks; the style sheet has the same number."""

WIDTHS = (262, 300, 420, 560, 980)
"""Widths of plotting area that labels are placed for, from a small phone to one figure across a desktop page."""


@dataclass(frozen=True, slots=True)
class Label:
    """A text wanted beside a point (x 0..1, y pixels) of ``radius`` pixels."""

    x: float
    y: float
    text: str
    radius: float = 7
    kind: str = "label"


def shorten(text: str, limit: int = 22) -> str:
    """``text`` cut in its middle to ``limit`` characters, for a place with little room."""
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


Spot = tuple[float, float, str]
"""Where a label stands from its point: dx and dy in pixels, text anchor."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A label at its spot; ``across`` when a line runs through it."""

    label: Label
    spot: Spot
    across: bool

    def box(self, width: float) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in pixels on a plotting area of ``width``."""
        return _box(self.label, *self.spot, width)

    def draw(self) -> Markup:
        """The text."""
        dx, dy, anchor = self.spot
        return Markup('<text class="{}" x="{}" dx="{}" y="{}" text-anchor="{}">{}</text>').format(
            self.label.kind, pct(self.label.x), num(dx), num(self.label.y + dy), anchor, self.label.text
        )


def place_labels(
    labels: Iterable[Label],
    obstacles: Iterable[tuple[float, float, float]],
    height: float,
    *,
    lines: Sequence[tuple[float, float, float, float]] = (),
) -> list[Placed]:
    """Put each label beside, above or below its point, where it meets nothing at any width in ``WIDTHS``.

    Args:
        labels: the most important first; one that finds no place is left out.
        obstacles: (x 0..1, y pixels, radius) of every marker.
        height: of the plotting area.
        lines: upright and level lines (x0, y0, x1, y1; x 0..1, y pixels) to keep off where another place is free.
    """
    placed: list[Placed] = []
    dots = list(obstacles)
    for label in labels:
        free = [spot for spot in _spots(label) if _fits(label, spot, placed, dots, height)]
        if free:
            clear = next((spot for spot in free if not _struck(label, spot, lines)), None)
            placed.append(Placed(label, clear or free[0], clear is None))
    return placed


def _spots(label: Label) -> Iterable[Spot]:
    side = label.radius + 4
    sides = [("start", side), ("end", -side)] if label.x < 0.6 else [("end", -side), ("start", side)]
    for dy in (4.0, -8.0, 16.0):
        for anchor, dx in sides:
            yield dx, dy, anchor
    for dy in (-(label.radius + 6), label.radius + 14):
        for anchor, dx in (("middle", 0.0), ("start", -4.0), ("end", 4.0)):
            yield dx, dy, anchor


def _box(label: Label, dx: float, dy: float, anchor: str, width: float) -> tuple[float, float, float, float]:
    length = CHARACTER * len(label.text)
    left = label.x * width + dx - {"start": 0.0, "middle": length / 2, "end": length}[anchor]
    return left, label.y + dy - 10, left + length, label.y + dy + 3


def _struck(label: Label, spot: Spot, lines: Sequence[tuple[float, float, float, float]]) -> bool:
    for width in WIDTHS:
        left, top, right, bottom = _box(label, *spot, width)
        for x0, y0, x1, y1 in lines:
            if (
                min(x0, x1) * width < right
                and max(x0, x1) * width > left
                and min(y0, y1) < bottom - 1
                and max(y0, y1) > top
            ):
                return True
    return False


def _fits(
    label: Label,
    spot: Spot,
    placed: Sequence[Placed],
    dots: Sequence[tuple[float, float, float]],
    height: float,
) -> bool:
    for width in WIDTHS:
        left, top, right, bottom = _box(label, *spot, width)
        if left < -GUTTER + 8 or right > width + 10 or top < 1 or bottom > height - 1:
            return False
        for other in placed:
            a, b, c, d = other.box(width)
            if left < c + 3 and a < right + 3 and top < d and b < bottom:
                return False
        for x, y, radius in dots:
            near_x, near_y = min(max(x * width, left), right), min(max(y, top), bottom)
            if (x * width - near_x) ** 2 + (y - near_y) ** 2 < (radius - 1) ** 2:
                return False
    return True
