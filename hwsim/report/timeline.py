"""When each part of a chip works: matrix unit, vector unit, memory chips and waiting, layer after layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from hwsim.perf.result import LayerEstimate
from hwsim.report.bars import ROW
from hwsim.report.humanise import count, percent, si, size
from hwsim.report.model import TargetResult
from hwsim.report.svg import num, picture

LANES = ("matrix", "vector", "DRAM", "waiting")
FINEST = 1 / 2000
"""Share of the whole time below which neighbours are drawn as one."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """``svg`` is ``seconds`` wide; the page's script zooms it. ``lanes`` are names, each with its share of the time."""

    svg: Markup
    seconds: float
    end: str
    lanes: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Run:
    """Neighbouring operations drawn as one, from ``start``; seconds of each lane."""

    start: float
    rows: list[LayerEstimate]
    seconds: float
    lanes: tuple[float, float, float, float]


def timeline(result: TargetResult, index: int) -> Timeline:
    """One batch from first to last operation; waiting is drawn before the work of its layer."""
    estimate = result.estimate
    whole = sum(row.seconds for row in estimate.rows)
    scale = 1000.0 / whole if whole > 0 else 0.0
    tiles: dict[str, int] = {}
    for tile in result.trace:
        tiles[tile.layer] = tiles.get(tile.layer, 0) + tile.count
    drawn, total = [], [0.0] * len(LANES)
    for at, run in enumerate(_runs(estimate.rows, estimate.dram_bytes_per_s, whole)):
        matrix, vector, dram, waiting = run.lanes
        total = [sum(pair) for pair in zip(total, run.lanes, strict=True)]
        hover = _hover(run, tiles)
        for lane, (start, seconds) in enumerate(
            (
                (run.start + waiting, matrix),
                (run.start + waiting + matrix, vector),
                (run.start, dram),
                (run.start, waiting),
            )
        ):
            if seconds > 0:
                drawn.append(_bar(lane, start * scale, seconds * scale, at % 2 == 1, hover))
    for lane in range(len(LANES)):
        rule = Markup('<line class="rule" x1="0" x2="1000" y1="{0}" y2="{0}"/>')
        drawn.insert(0, rule.format(num(ROW * (lane + 1) - 0.5)))
    shares = [percent(part / whole if whole > 0 else None, 0) for part in total]
    described = "; ".join(f"{name} {share}" for name, share in zip(LANES, shares, strict=True))
    height = ROW * len(LANES)
    svg = picture(
        f"timeline-{index}",
        f"Timeline of {result.target.title}",
        f"{si(whole, 's')}; busy: {described}.",
        height,
        Markup("").join(drawn),
        view=f' viewBox="0 0 1000 {num(height)}" preserveAspectRatio="none"',
        kind="bars",
    )
    return Timeline(svg, whole, si(whole, "s"), tuple(zip(LANES, shares, strict=True)))


def _runs(rows: tuple[LayerEstimate, ...], bytes_per_s: float, whole: float) -> Iterator[_Run]:
    start = 0.0
    open_run: _Run | None = None
    for row in rows:
        lanes = _lanes(row, bytes_per_s)
        if open_run is not None and open_run.seconds + row.seconds < FINEST * whole:
            open_run.rows.append(row)
            open_run.seconds += row.seconds
            matrix, vector, dram, waiting = (a + b for a, b in zip(open_run.lanes, lanes, strict=True))
            open_run.lanes = (matrix, vector, dram, waiting)
        else:
            if open_run is not None:
                yield open_run
            open_run = _Run(start, [row], row.seconds, lanes)
        start += row.seconds
    if open_run is not None:
        yield open_run


def _lanes(row: LayerEstimate, bytes_per_s: float) -> tuple[float, float, float, float]:
    """Seconds of matrix unit, vector unit, DRAM and waiting."""
    share = row.compute_cycles / row.cycles if row.cycles else 0.0
    work = row.seconds * share
    dram = min(row.seconds, row.dram_bytes / bytes_per_s) if bytes_per_s > 0 else 0.0
    matrix = work if row.engine == "matrix" else 0.0
    return matrix, work - matrix, dram, row.seconds - work


def _hover(run: _Run, tiles: dict[str, int]) -> str:
    if len(run.rows) > 1:
        return f"{run.rows[0].name} to {run.rows[-1].name}: {len(run.rows)} operations, {si(run.seconds, 's')}"
    row = run.rows[0]
    text = f"{row.name}: {si(row.seconds, 's')}, {count(row.cycles)} cycles, {count(row.stall_cycles)} of them waiting"
    sizes = f", {row.m}×{row.k}×{row.n}" if row.macs else ""
    cut = f", {count(tiles[row.name])} tiles over all inputs" if row.name in tiles else ""
    return f"{text}, {row.bound} bound{sizes}{cut}, {size(row.dram_bytes)} of DRAM"


def _bar(lane: int, x: float, width: float, odd: bool, hover: str) -> Markup:
    return Markup('<rect class="bar lane{}{}" x="{}" y="{}" width="{}" height="16"><title>{}</title></rect>').format(
        lane, " odd" if odd else "", _fine(x), num(ROW * lane + 3), _fine(max(width, 0.01)), hover
    )


def _fine(value: float) -> str:
    """A position among 1000, fine enough for a view that is zoomed a hundredfold."""
    return f"{value:.4f}".rstrip("0").rstrip(".") if value else "0"
