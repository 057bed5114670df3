"""A parity plot as plain SVG: modelled over measured against measured, one panel a quantity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from xml.sax.saxutils import escape

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444", "#8c564b", "#7f7f00")
WIDTH, HEIGHT, LEFT, TOP, GAP, BOTTOM = 900, 300, 60, 64, 70, 46
LOWEST, HIGHEST = 0.7, 1.3


@dataclass(frozen=True)
class Panel:
    """``points``: (series, measured, modelled / measured, hover text)."""

    title: str
    unit: str
    points: Sequence[tuple[str, float, float, str]]


def _text(x: float, y: float, words: str, anchor: str = "middle", size: int = 12, colour: str = "#333") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}"'
    return f"<text {place}>{escape(words)}</text>"


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "#ddd") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _panel(panel: Panel, top: float, series: Sequence[str]) -> list[str]:
    low = floor(log10(min(point[1] for point in panel.points)))
    high = ceil(log10(max(point[1] for point in panel.points)))

    def at_x(measured: float) -> float:
        return LEFT + (WIDTH - LEFT - 20) * (log10(measured) - low) / (high - low)

    def at_y(ratio: float) -> float:
        held = min(HIGHEST, max(LOWEST, ratio))
        return top + HEIGHT * (HIGHEST - held) / (HIGHEST - LOWEST)

    right = WIDTH - 20
    out = [
        f'<rect x="{LEFT}" y="{at_y(1.05):.1f}" width="{right - LEFT}" height="{at_y(0.95) - at_y(1.05):.1f}" '
        'fill="#f0f0f0"/>',
        _text(LEFT, top - 10, panel.title, "start", 13),
    ]
    for percent in range(-30, 31, 10):
        y = at_y(1 + percent / 100)
        out += [
            _line(LEFT, y, right, y, "#999" if not percent else "#ddd"),
            _text(LEFT - 8, y + 4, f"{percent:+d}%", "end"),
        ]
    for power in range(low, high + 1):
        x = at_x(10.0**power)
        out += [
            _line(x, top, x, top + HEIGHT),
            _text(x, top + HEIGHT + 18, f"{10.0**power:,g} {panel.unit}", "end" if power == high else "middle"),
        ]
    for name, measured, ratio, hover in panel.points:
        colour = COLOURS[series.index(name) % len(COLOURS)]
        out.append(
            f'<circle cx="{at_x(measured):.1f}" cy="{at_y(ratio):.1f}" r="4" fill="{colour}" fill-opacity="0.75">'
            f"<title>{escape(hover)}</title></circle>"
        )
    return out


def draw(title: str, panels: Sequence[Panel]) -> str:
    """The figure; ratios beyond 30% lie on the edge, and the grey band is 5%."""
    series = list(dict.fromkeys(point[0] for panel in panels for point in panel.points))
    height = TOP + len(panels) * (HEIGHT + GAP) + BOTTOM - GAP
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for index, name in enumerate(series):
        x = LEFT + index * (WIDTH - LEFT - 20) / len(series)
        out.append(f'<circle cx="{x + 6:.1f}" cy="22" r="5" fill="{COLOURS[index % len(COLOURS)]}"/>')
        out.append(_text(x + 16, 26, name, "start"))
    for index, panel in enumerate(panels):
        out += _panel(panel, TOP + index * (HEIGHT + GAP), series)
    return "\n".join([*out, "</svg>", ""])
