"""reports/attention.md and its picture, from the rows that bench/attention.py made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from bench.attention import METHODS, TESTED, rows_of
from bench.calibration_plot import HEIGHT, TOP, alone
from hwsim.report.scale import linear_axis
from hwsim.report.svg import Plane, num

Row = dict[str, Any]
TEXT = Path(__file__).with_name("attention_text.md")
"""What is said of the tables; ``{table:MODEL@TARGET}`` and ``{signs:MODEL@TARGET}`` are where they go."""
DRAWN = ("post-training", "AQLC", "QAT", "QAT + AQLC")
NETWORKS = (
    "tiny-llama@hwsim-int4-ws16",
    "tiny-llama@hwsim-int4-ws16#58",
    "tiny-llama@nvidia-b200#8",
    "minilm@hwsim-int4-ws16#40",
)
"""Network, chip and number of test inputs, where that is not the bench's own."""
LONG = "attention/long.jsonl"


def write(rows: list[Row], out: Path) -> None:
    """The page and the picture."""
    text = TEXT.read_text()
    for name in NETWORKS:
        held = of(rows, name)
        if not held:
            continue
        text = text.replace(f"{{table:{name}}}", table(held)).replace(f"{{signs:{name}}}", signs(held))
    (out / "attention.md").write_text(text.replace("{long}", long(rows_of(out / LONG))))
    (out / "attention.svg").write_text(draw(of(rows, "tiny-llama@hwsim-int4-ws16")))


def of(rows: list[Row], name: str) -> dict[str, list[Row]]:
    """Rows of one network on one chip by method, in the order of the methods, seeds rising."""
    model, _, rest = name.partition("@")
    target, _, count = rest.partition("#")
    wanted = (model, target, int(count or TESTED[model]))
    mine = [row for row in rows if (row["model"], row["target"], row["n"]) == wanted]
    found = {m.name: sorted((r for r in mine if r["method"] == m.name), key=lambda r: r["seed"]) for m in METHODS}
    return {method: held for method, held in found.items() if held}


def spread(values: Sequence[float], digits: int) -> str:
    """Mean, and the sample standard deviation where there are several."""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} +- {np.std(values, ddof=1):.{digits}f}"


def table(held: dict[str, list[Row]]) -> str:
    """A row a method: the score, the entropy's shift and how much of the post-training shift is won back."""
    first = next(iter(held.values()))[0]
    vectors = first["cosine"] is not None
    head = ["method", "seeds", first["metric"], *(["cosine with float"] if vectors else []), "mean shift, nats"]
    head += ["won back", "softmax by softmax", "won back"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    score = f"{first['float32']:.{3 if vectors else 2}f}"
    lines.append(["float32", "", score, *(["1"] if vectors else []), "0", "", "0", ""])
    base = held["post-training"][0]
    for method, rows in held.items():
        cells = [method, str(len(rows)) if rows[0]["steps"] else ""]
        cells.append(spread([r["score"] for r in rows], 3 if vectors else 2))
        cells += [spread([r["cosine"] for r in rows], 3)] if vectors else []
        for key in ("shift", "row_shift"):
            cells.append(spread([r[key] for r in rows], 3))
            back = [1 - r[key] / base[key] for r in rows]
            cells.append("" if method == "post-training" else f"{100 * np.mean(back):.0f} %")
        lines.append(cells)
    return markdown(lines)


def long(rows: list[Row]) -> str:
    """The rows of a longer course, one seed."""
    lines = [["method", "perplexity", "mean shift, nats", "won back", "softmax by softmax", "won back"]]
    lines.append(["---", *["---:"] * 5])
    for row in rows:
        cells = [row["method"], f"{row['score']:.2f}"]
        for key in ("shift", "row_shift"):
            back = f"{100 * (1 - row[key] / rows[0][key]):.0f} %" if row is not rows[0] else ""
            cells += [f"{row[key]:.3f}", back]
        lines.append(cells)
    return markdown(lines)


def signs(held: dict[str, list[Row]]) -> str:
    """A row a method: what the measure says of scores, softmaxes and what is stored around them; means over heads."""
    names = ["gain", "noise / spread", "sharp, float", "sharp", "mass stored", "q at end", "k at end", "v at end"]
    lines = [["method", *names], ["---", *["---:"] * len(names)]]
    for method, rows in held.items():
        heads = [head for row in rows for head in row["heads"]]

        def mean(get: Callable[[Row], float | None], heads: Iterable[Row] = tuple(heads)) -> float | None:
            values = [value for head in heads if (value := get(head)) is not None]
            return float(np.mean(values)) if values else None

        cells = [
            number(mean(lambda h: h["gain"])),
            number(mean(lambda h: h["noise"] / h["spread_float"])),
            share(mean(lambda h: h["sharp_float"])),
            share(mean(lambda h: h["sharp"])),
            number(mean(lambda h: h["mass"])),
            *(share(mean(lambda h, part=part: h[f"{part}_saturated"])) for part in ("query", "key", "value")),  # type: ignore[misc]
        ]
        lines.append([method, *cells])
    return markdown(lines)


def number(x: float | None) -> str:
    return "" if x is None else f"{x:.3f}"


def share(x: float | None) -> str:
    return "" if x is None else f"{100 * x:.2f} %"


def markdown(lines: list[list[str]]) -> str:
    """A table's lines."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def draw(held: dict[str, list[Row]]) -> str:
    """Shift of entropy head by head, mean of the seeds, a line a method."""
    names = [name for name in DRAWN if name in held]
    curves = [np.mean([[head["shift"] for head in row["heads"]] for row in held[name]], axis=0) for name in names]
    count = len(curves[0])
    low, high = min(float(c.min()) for c in curves), max(float(c.max()) for c in curves)
    x = linear_axis(0, count - 1, lambda value, decimals: f"{value:.0f}", labels=count)
    y = linear_axis(min(low, 0) - 0.05, high + 0.05, lambda value, decimals: f"{value:.{decimals}f}")
    plane = Plane(x, y, HEIGHT)
    parts = [plane.frame("head, layer after layer", "entropy on the chip less float, nats")]
    parts.append(Markup('<line class="end strong" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(num(plane.py(0.0))))
    for at, (name, curve) in enumerate(zip(names, curves, strict=True)):
        points = [(float(i), float(value)) for i, value in enumerate(curve)]
        parts.append(Markup('<g class="t{}">{}</g>').format(at, plane.path(points, "roof")))
        parts.append(
            Markup('<text class="label t{} named" x="100%" y="{}" text-anchor="end">{}</text>').format(
                at, 12 + 16 * at, name
            )
        )
    title = "Small Llama, W4A4: shift of the softmax's entropy by head, mean of the seeds"
    return alone(title, Markup("").join(parts), int(TOP + HEIGHT + 60), hues=4)
