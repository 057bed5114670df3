"""What becomes of attention on a chip, head by head: its scores, its softmax and what is stored around them.

Errors stand in an exponent there. With s the float network's score and s' = g s + e the chip's (both less their row's
mean, which a softmax does not see), the slope g flattens the softmax where it is below one, and e, whatever its sign,
sharpens it: noise of variance v multiplies exponentials by exp(v / 2) on average. Entropy shows the sum of both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate.run import CHUNK, emulate
from hwsim.emulate.stored import Held, Stored, real
from hwsim.errors import ModelError
from hwsim.ir import Graph
from hwsim.ir import reference as float_reference
from hwsim.ir.infer import elements
from hwsim.numerics import decode
from hwsim.numerics.codec import element_format
from hwsim.quant.attention import Attention, attentions, heads_of

if TYPE_CHECKING:
    from hwsim.target import Target

MASKED = 1000.0
"""A score so far below its row's largest is a mask's: exp of the difference is 0 in every format."""
STEP_ELEMENTS = 1 << 24
"""Softmax outputs that are compared at a time."""
SHARP = 0.99
"""A softmax of which one weight is larger than this is saturated."""

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class HeadRow:
    """One head of one attention, over all inputs; entropies in nats.

    A row of a softmax that may not see its own place is padding, and is not counted.

    Attributes:
        layer, head: the softmax's node; number of the head, from 0.
        rows: softmaxes counted.
        entropy_float, entropy: mean entropy of the softmax's outputs, float and on the chip.
        entropy_stored: of what the chip stores of them, each row over its sum; None where they are not stored.
        row_shift: mean over rows of the magnitude of the difference of both entropies, so that noise does not cancel.
        mass: mean sum of a stored row, 1 where nothing is lost; None where they are not stored.
        sharp_float, sharp: share of softmaxes that are saturated: one weight above 0.99.
        gain: slope of the chip's scores over the float ones.
        noise: standard deviation of what the slope does not explain; ``spread_float`` that of the float scores.
        scores_saturated: share of scores at an end of the format that holds them.
        query_saturated, key_saturated, value_saturated, weights_saturated: share of the codes of the operands of both
            products (``weights`` are the softmax's outputs) at an end of their format; None where they are not stored,
            or in blocks, each of which has a largest number.
    """

    layer: str
    head: int
    rows: int
    entropy_float: float
    entropy: float
    entropy_stored: float | None
    row_shift: float
    mass: float | None
    sharp_float: float
    sharp: float
    gain: float
    noise: float
    spread_float: float
    scores_saturated: float
    query_saturated: float | None
    key_saturated: float | None
    value_saturated: float | None
    weights_saturated: float | None

    @property
    def shift(self) -> float:
        """Entropy on the chip less the float network's, nats."""
        return self.entropy - self.entropy_float


@dataclass(frozen=True, slots=True)
class AttentionStudy:
    """Every head of a network on a chip.

    Attributes:
        model, target, precision: what ran where. n: inputs.
        rows: a row a head.
        outputs: what ``reduce`` kept of the network's first output.
    """

    model: str
    target: str
    precision: str
    n: int
    rows: tuple[HeadRow, ...]
    outputs: NDArray[Any]

    @property
    def shift(self) -> float:
        """Mean over the heads of the magnitude of the entropy's shift, nats."""
        return float(np.mean([abs(row.shift) for row in self.rows]))

    @property
    def row_shift(self) -> float:
        """Mean over the heads of ``HeadRow.row_shift``, nats."""
        return float(np.mean([row.row_shift for row in self.rows]))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers for JSON, without outputs."""
        head = {"model": self.model, "target": self.target, "precision": self.precision, "n": self.n}
        rows = [{**asdict(row), "shift": row.shift} for row in self.rows]
        return {**head, "shift": self.shift, "row_shift": self.row_shift, "heads": rows}


def study_attention(
    graph: Graph,
    target: Target,
    data: NDArray[Any],
    *,
    reference: Graph,
    precision: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    reduce: Callable[[Array, Array], NDArray[Any]] | None = None,
) -> AttentionStudy:
    """Run a network on a chip and in float, and compare their attention.

    Args:
        graph: a quantized graph. target, precision: the chip and its mode (None: its default).
        data: float inputs [n, ...].
        reference: the float network; its softmaxes have the names that ``graph``'s have.
        progress: called with (inputs done, inputs in all).
        reduce: what to keep of each chunk's outputs, as in ``emulate``; None keeps them whole.

    Raises:
        ModelError: the graph has no attention, or the float one not the same.
        RecipeError, TargetError, DataError: the parts do not fit.
    """
    found = attentions(graph)
    twins = {a.name: a for a in attentions(reference)}
    if not found:
        raise ModelError("has no attention: no softmax between two products of run-time values", where=graph.name)
    for a in found:
        if a.name not in twins or twins[a.name].heads != a.heads:
            raise ModelError(f"expected the attention {a.name!r} of {graph.name!r}, found none", where=reference.name)
    tallies = {a.name: _Tally(a, graph) for a in found}
    each = sum(elements(graph.shape_of(a.softmax.output)) for a in found)
    step, outputs = max(1, min(CHUNK, STEP_ELEMENTS // each)), []
    names = [name for a in found for name in (twins[a.name].softmax.inputs[0], twins[a.name].softmax.output)]
    wanted = {name: [t for t in tallies.values() if name in t.names] for t in tallies.values() for name in t.names}

    def take(name: str, held: Held) -> None:
        for tally in wanted.get(name, ()):
            tally.take(name, held)

    for start in range(0, len(data), step):
        rows = data[start : start + step]
        for tally in tallies.values():
            tally.feeds = {}
        real_values = float_reference.run(reference, {reference.inputs[0]: rows}, keep=names)
        made = emulate(graph, target, rows, precision=precision, reduce=reduce, watch=take)
        outputs.append(made.output)
        for a in found:
            twin = twins[a.name].softmax
            tallies[a.name].add(real_values[twin.inputs[0]], real_values[twin.output])
        if progress is not None:
            progress(min(start + step, len(data)), len(data))
    heads = tuple(row for tally in tallies.values() for row in tally.rows())
    mode = precision or target.default_precision
    return AttentionStudy(graph.name, target.name, mode, len(data), heads, np.concatenate(outputs))


class _Tally:
    """Sums over the rows of one attention, a number a head."""

    def __init__(self, attention: Attention, graph: Graph) -> None:
        self.attention = attention
        stored = attention.pv.inputs[0]
        self.operands = {
            "query": attention.qk.inputs[0],
            "key": attention.qk.inputs[1],
            "value": attention.pv.inputs[1],
            "weights": stored,
        }
        self.scores, self.softmax = attention.softmax.inputs[0], attention.softmax.output
        self.names = {self.scores, self.softmax, *self.operands.values()}
        self.shapes = {name: heads_of(graph, name) for name in self.names}
        self.feeds: dict[str, list[Held]] = {}
        self.sums: dict[str, NDArray[np.float64]] = {}

    def take(self, name: str, held: Held) -> None:
        """A part of one of the values, as the chip makes it."""
        self.feeds.setdefault(name, []).append(held)

    def add(self, scores: Array, softmax: Array) -> None:
        """Count the inputs that were taken against the float network's scores and softmax."""
        heads = self.attention.heads
        want, float_scores = _by_head(softmax, heads), _by_head(scores, heads)
        seen = float_scores > float_scores.max(-1, keepdims=True) - MASKED
        counted = _counted(seen)
        chip = _by_head(self._real(self.softmax), heads)
        h_float, h_chip = _entropy(want), _entropy(chip)
        self._sum("rows", counted)
        self._sum("entropy_float", h_float * counted)
        self._sum("entropy", h_chip * counted)
        self._sum("row_shift", np.abs(h_chip - h_float) * counted)
        self._sum("sharp_float", (want.max(-1) > SHARP) * counted)
        self._sum("sharp", (chip.max(-1) > SHARP) * counted)
        self._slopes(float_scores, _by_head(self._real(self.scores), heads), seen & (counted[..., None] > 0))
        self._saturation("scores", self.scores)
        for part, name in self.operands.items():
            self._saturation(part, name)
        if any(isinstance(held, Stored) for held in self.feeds[self.operands["weights"]]):
            kept = _by_head(self._real(self.operands["weights"]), heads)
            mass = kept.sum(-1, dtype=np.float64)
            share = np.divide(kept, mass[..., None], out=np.zeros_like(kept), where=mass[..., None] > 0)
            self._sum("entropy_stored", _entropy(share) * counted)
            self._sum("mass", mass * counted)

    def rows(self) -> list[HeadRow]:
        """A row a head."""
        s, n = self.sums, self.sums["rows"]

        def mean(key: str, head: int) -> float | None:
            return float(s[key][head] / n[head]) if key in s else None

        def share(part: str, head: int) -> float | None:
            if f"{part}_codes" not in s:
                return None
            held = s[f"{part}_ends"]
            at = head * len(held) // self.attention.heads  # several queries may share one head of keys
            return float(held[at] / s[f"{part}_codes"][at])

        found = []
        for head in range(self.attention.heads):
            ff, fc, cc, count = (float(s[key][head]) for key in ("ff", "fc", "cc", "count"))
            gain = fc / ff if ff else 1.0
            found.append(
                HeadRow(
                    layer=self.attention.name,
                    head=head,
                    rows=int(n[head]),
                    **{
                        key: float(s[key][head] / n[head])
                        for key in ("entropy_float", "entropy", "row_shift", "sharp_float", "sharp")
                    },
                    entropy_stored=mean("entropy_stored", head),
                    mass=mean("mass", head),
                    gain=gain,
                    noise=float(np.sqrt(max(0.0, cc - gain * fc) / count)),
                    spread_float=float(np.sqrt(ff / count)),
                    scores_saturated=share("scores", head) or 0.0,
                    query_saturated=share("query", head),
                    key_saturated=share("key", head),
                    value_saturated=share("value", head),
                    weights_saturated=share("weights", head),
                )
            )
        return found

    def _real(self, name: str) -> Array:
        return np.concatenate([real(held) for held in self.feeds[name]])

    def _sum(self, key: str, rows: NDArray[Any]) -> None:
        """Add [n, heads, ...] up to a number a head."""
        total = rows.sum(axis=(0, *range(2, rows.ndim)), dtype=np.float64)
        self.sums[key] = self.sums.get(key, 0.0) + total

    def _slopes(self, want: Array, chip: Array, seen: NDArray[np.bool_]) -> None:
        size = np.maximum(seen.sum(-1, keepdims=True), 1)
        f, c = (np.where(seen, x - np.where(seen, x, 0).sum(-1, keepdims=True) / size, 0) for x in (want, chip))
        for key, product in (("ff", f * f), ("fc", f * c), ("cc", c * c), ("count", seen)):
            self._sum(key, product)

    def _saturation(self, part: str, name: str) -> None:
        """Count codes at the ends of their format, by head."""
        for held in self.feeds[name]:
            if not isinstance(held, Stored) or held.scales is not None:
                continue
            codes = held.codes.reshape(len(held.codes), self.shapes[name], -1)
            self._sum(f"{part}_ends", _at_ends(codes, held))
            self._sum(f"{part}_codes", np.ones(codes.shape, np.int8))


def _at_ends(codes: NDArray[Any], held: Stored) -> NDArray[np.bool_]:
    """Codes of the largest or smallest number; where a zero point makes zero an end, zero is no saturation."""
    entry = element_format(held.quant.format)
    zero = 0 if held.quant.zero_point is None else int(held.quant.zero_point)

    def ends(values: NDArray[Any]) -> NDArray[np.bool_]:
        end: NDArray[np.bool_] = ((values >= entry.max_value) | (values <= entry.min_value)) & (values != zero)
        return end

    if entry.bits > 16:
        wide: NDArray[np.bool_] = ends(decode(codes, held.quant.format))
        return wide
    found: NDArray[np.bool_] = ends(decode(np.arange(1 << entry.bits, dtype=codes.dtype), held.quant.format))[codes]
    return found


def _by_head(x: Array, heads: int) -> Array:
    """[n, ..., rows, keys] as [n, heads, rows, keys]."""
    return x.reshape(len(x), heads, *x.shape[-2:])


def _counted(seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1 for each row [n, heads, rows] that may see its own place; attention to other sequences has only such rows."""
    if seen.shape[-1] != seen.shape[-2]:
        return np.ones(seen.shape[:-1])
    own: NDArray[np.float64] = np.einsum("nhii->nhi", seen).astype(np.float64)
    return own


def _entropy(p: NDArray[Any]) -> NDArray[np.float64]:
    """- sum p ln p over the last dimension, nats."""
    x = np.asarray(p, np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(x > 0, x * np.log(x), 0)
    found: NDArray[np.float64] = -parts.sum(-1, dtype=np.float64)
    return found
