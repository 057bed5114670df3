"""What a network is scored by: figures of each chunk of outputs, small enough to keep, and one score of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError

Figures = NDArray[Any]


class Metric(Protocol):
    """A way to score outputs.

    Attributes:
        name: as reports print it.
        lower_is_better: True for errors and perplexities.
        together: inputs one after the other that are scored as one.
    """

    name: str
    lower_is_better: bool
    together: int

    def figures(self, outputs: NDArray[np.float32], inputs: NDArray[np.float32]) -> Figures:
        """What the score needs of outputs [n, ...] to inputs [n, ...]: an array [n, ...]."""
        ...

    def score(self, figures: Figures, labels: NDArray[np.int64] | None) -> float:
        """One number from the figures of every input."""
        ...


def classes_of(outputs: NDArray[Any]) -> NDArray[np.intp]:
    """The class that each output [n, ...] names: the index of the largest number, the first of equals.

    -1, which is never right, where a NaN stands among them: it compares with nothing, so no class is the largest.
    """
    flat = np.asarray(outputs).reshape(len(outputs), -1)
    found: NDArray[np.intp] = np.where(np.isnan(flat).any(axis=1), -1, flat.argmax(axis=1))
    return found


class Perplexity:
    """exp of the mean negative log-likelihood of each next token; labels are the inputs themselves."""

    name = "perplexity"
    lower_is_better = True
    together = 1

    def figures(self, outputs: NDArray[np.float32], inputs: NDArray[np.float32]) -> Figures:
        """Negative log-likelihoods [n, length - 1], nats, from logits [n, length, vocabulary] and token ids."""
        if outputs.ndim != 3 or outputs.shape[:2] != inputs.shape or inputs.shape[1] < 2:
            raise DataError(f"perplexity takes logits [n, length, vocabulary], found shape {list(outputs.shape)}")
        out = np.empty((len(inputs), inputs.shape[1] - 1))
        for row, (logits, ids) in enumerate(zip(outputs, inputs.astype(np.int64), strict=True)):
            top = logits[:-1].max(axis=1)
            rest = np.log(np.exp(logits[:-1] - top[:, None]).sum(axis=1, dtype=np.float64))
            out[row] = rest + top - logits[np.arange(len(ids) - 1), ids[1:]]
        return out

    def score(self, figures: Figures, labels: NDArray[np.int64] | None) -> float:
        """exp of the mean."""
        return float(np.exp(figures.mean()))


class RankCorrelation:
    """Spearman's correlation of each pair's cosine with its label; inputs 2 i and 2 i + 1 are a pair."""

    name = "rank correlation"
    lower_is_better = False
    together = 2

    def figures(self, outputs: NDArray[np.float32], inputs: NDArray[np.float32]) -> Figures:
        """The vectors [n, width]."""
        return outputs.reshape(len(outputs), -1)

    def score(self, figures: Figures, labels: NDArray[np.int64] | None) -> float:
        """Correlation of ranks, ties at their mean."""
        if labels is None or len(figures) < 4 or len(figures) % 2:
            raise DataError(f"rank correlation takes labelled pairs, found {len(figures)} inputs")
        wide = figures.astype(np.float64)
        unit = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-30)
        cosine = np.einsum("nd,nd->n", unit[0::2], unit[1::2])
        return float(np.corrcoef(_ranks(cosine), _ranks(labels[0::2]))[0, 1])


class AnomalyRank:
    """Spearman's correlation of anomaly scores (mean squared distance of output and input) with the labels."""

    name = "anomaly rank correlation"
    lower_is_better = False
    together = 1

    def figures(self, outputs: NDArray[np.float32], inputs: NDArray[np.float32]) -> Figures:
        """The score of each input, [n]."""
        if outputs.shape != inputs.shape:
            raise DataError(
                f"anomaly scores take outputs like inputs {list(inputs.shape)}, found {list(outputs.shape)}"
            )
        off: Figures = ((outputs - inputs).reshape(len(inputs), -1).astype(np.float64) ** 2).mean(axis=1)
        return off

    def score(self, figures: Figures, labels: NDArray[np.int64] | None) -> float:
        """Correlation of ranks, ties at their mean."""
        if labels is None or len(figures) < 2:
            raise DataError(f"a rank correlation takes labelled inputs, found {len(figures)}")
        return float(np.corrcoef(_ranks(figures), _ranks(labels))[0, 1])


class SpeechF1:
    """F1 of speech where the last frame's chance is over one half."""

    name = "speech F1"
    lower_is_better = False
    together = 1

    def figures(self, outputs: NDArray[np.float32], inputs: NDArray[np.float32]) -> Figures:
        """Whether each input's last frame is called speech, [n]."""
        return outputs.reshape(len(outputs), -1)[:, -1] > 0.5

    def score(self, figures: Figures, labels: NDArray[np.int64] | None) -> float:
        """Harmonic mean of precision and recall; labels are 1 for speech."""
        if labels is None:
            raise DataError("F1 takes labelled inputs")
        right = int(np.count_nonzero(figures & (labels == 1)))
        return 2 * right / max(int(np.count_nonzero(figures)) + int(np.count_nonzero(labels == 1)), 1)


class CharacterErrors:
    """Letters to insert, delete or replace in all lines, over the letters that they have."""

    name = "character error rate"
    lower_is_better = True
    together = 1

    def figures(self, outputs: NDArray[np.float32], inputs: NDArray[np.float32]) -> Figures:
        """The likeliest class of each place along the line, [n, places]."""
        found: Figures = outputs.argmax(axis=-1)
        return found

    def score(self, figures: Figures, labels: NDArray[np.int64] | None) -> float:
        """Errors a letter; labels are the numbers of the zoo's lines."""
        from hwsim.zoo import _lines

        if labels is None:
            raise DataError("a character error rate takes lines with their numbers")
        wanted = [_lines.truth(int(number)) for number in labels]
        wrong = sum(_lines.distance(_lines.read(row), line) for row, line in zip(figures, wanted, strict=True))
        return wrong / sum(map(len, wanted))


METRICS: Mapping[str, Metric] = {
    metric.name: metric for metric in (Perplexity(), RankCorrelation(), AnomalyRank(), SpeechF1(), CharacterErrors())
}
"""By name, as the zoo's entries say; top-1 accuracy is counted by the report itself."""


def _ranks(x: NDArray[Any]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = (ends - (counts - 1) / 2)[inverse]
    return ranks
