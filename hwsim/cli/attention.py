"""Attention on a chip as text: a row a head, and what it comes to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hwsim.cli.common import table
from hwsim.errors import DataError

if TYPE_CHECKING:
    from hwsim.emulate.attention import AttentionStudy

_HEAD = (
    "softmax", "head", "entropy, float", "chip", "shift", "stored", "mass", "gain", "noise", "sharp, float", "chip",
    "at end: scores", "q", "k", "v", "weights",
)  # fmt: skip
_WORDS = """\
Entropies in nats: of the softmax's outputs in float and on the chip, and of what the chip stores of them, with the mass
that is left of a row's 1. Gain: slope of the chip's scores over the float ones; noise: what the slope does not explain.
Sharp: softmaxes with one weight above 0.99. At end: stored numbers at an end of their format."""


def attention_table(study: AttentionStudy) -> str:
    """A row a head, an explanation, and the mean shift."""

    def share(x: float | None) -> str:
        return "" if x is None else f"{100 * x:.2f} %"

    rows = [
        (
            row.layer,
            str(row.head),
            f"{row.entropy_float:.3f}",
            f"{row.entropy:.3f}",
            f"{row.shift:+.3f}",
            "" if row.entropy_stored is None else f"{row.entropy_stored:.3f}",
            "" if row.mass is None else f"{row.mass:.3f}",
            f"{row.gain:.3f}",
            f"{row.noise:.3f}",
            share(row.sharp_float),
            share(row.sharp),
            share(row.scores_saturated),
            share(row.query_saturated),
            share(row.key_saturated),
            share(row.value_saturated),
            share(row.weights_saturated),
        )
        for row in study.rows
    ]
    title = f"Attention of {study.model} on {study.target} ({study.precision}), {study.n} inputs"
    mean = f"Mean |shift| {study.shift:.4f} nats; {study.row_shift:.4f} softmax by softmax."
    return "\n".join(("", title, "", table(_HEAD, rows, right=range(1, len(_HEAD)), indent="  "), "", _WORDS, mean))


def write_attention(study: AttentionStudy, path: Path) -> None:
    """The study as JSON.

    Raises:
        DataError: the file cannot be written.
    """
    from hwsim.io import atomic
    from hwsim.report.document import as_text

    text = as_text({"schema": "hwsim.attention/1", **study.to_dict()})
    atomic.write(path, text.encode(), DataError)
