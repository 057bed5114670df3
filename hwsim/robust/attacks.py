"""Attacks on what a chip computes: inputs changed a little, so that the answer changes.

The attacks are the Adversarial Robustness Toolbox's: FGSM (Goodfellow et al., ICLR 2015), PGD (Madry et al., ICLR
2018) and Square (Andriushchenko et al., ECCV 2020), all within a cube around the input (L-infinity). Scores are the
emulator's, bit for bit. FGSM and PGD need gradients: they pass straight through storage, in a torch network whose
every stored value and output is the chip's. Square needs none: what it finds, masked gradients cannot hide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate import emulate
from hwsim.emulate.run import float_outputs
from hwsim.errors import DataError, ToolError, unknown

if TYPE_CHECKING:
    from hwsim.ir import Graph
    from hwsim.quant import Recipe
    from hwsim.quant.qat.straight import Gradient
    from hwsim.target import Target

Inputs = NDArray[np.float32]
Labels = NDArray[np.int64]
BATCH = 128


@dataclass(frozen=True, slots=True)
class Victim:
    """A network that can be attacked.

    Attributes:
        name: as tables print it.
        scores: inputs [n, ...] -> scores [n, classes].
        gradient: makes (inputs, labels) -> gradient of the loss with respect to the inputs.
        normalised: scores are logarithms of probabilities, which have no energy.
    """

    name: str
    scores: Callable[[Inputs], NDArray[np.float32]]
    gradient: Callable[[], Gradient]
    normalised: bool = False


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack at one strength.

    Attributes:
        kind: a name in ``ATTACKS``.
        epsilon: how far each number of an input may move, as a share of the span from black to white.
        steps: of PGD; queries of Square are about three a step. FGSM has one.
        seed: of random starts and squares.

    Raises:
        DataError: an unknown kind, or a number that makes no sense.
    """

    kind: str
    epsilon: float
    steps: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ATTACKS:
            raise unknown(DataError, "attack", self.kind, ATTACKS)
        if not 0 < self.epsilon <= 1:
            raise DataError(f"epsilon: expected a share of more than 0 and at most 1, found {self.epsilon}")
        if self.steps < 1:
            raise DataError(f"steps: expected at least 1, found {self.steps}")


def victim(
    graph: Graph, target: Target, recipe: Recipe, *, precision: str | None = None, exact: bool = True, name: str = ""
) -> Victim:
    """A quantized graph on a chip.

    Args:
        recipe: the one that the graph was made with, or the target's.
        exact: gradients at the chip's own values (an emulation a step); False: at torch's, which may differ from them
            by a rounding where the chip's sums are not exact.
    """

    normalised = _normalised(graph)

    def scores(x: Inputs) -> NDArray[np.float32]:
        return _scores(emulate(graph, target, x, precision=precision).output, normalised)

    def gradient() -> Gradient:
        from hwsim.emulate.values import chip_values
        from hwsim.quant.qat import input_gradient

        return input_gradient(graph, recipe, chip_values(target, precision) if exact else None)

    return Victim(name or target.name, scores, gradient, normalised)


def whole_victim(graph: Graph, quantized: Graph, recipe: Recipe, *, name: str = "float32") -> Victim:
    """The float network. ``quantized``: what ``recipe`` makes of it."""

    normalised = _normalised(graph)

    def scores(x: Inputs) -> NDArray[np.float32]:
        return _scores(float_outputs(graph, x), normalised)

    def gradient() -> Gradient:
        from hwsim.quant.qat import input_gradient

        return input_gradient(graph, recipe, quantized=quantized)

    return Victim(name, scores, gradient, normalised)


def attack(
    victim: Victim,
    x: Inputs,
    y: Labels,
    how: Attack,
    *,
    span: tuple[float, float] = (0.0, 1.0),
    progress: Callable[[int, int], None] | None = None,
) -> Inputs:
    """Inputs near ``x`` that the victim finds hard.

    Args:
        x: [n, ...] within the span (Square: pictures [n, c, h, w]). y: right answers [n].
        span: the network's values of black and of white.
        progress: called with (inputs seen by the victim, about how many in all).

    Raises:
        DataError: data of another shape or range.
        ToolError: the toolbox or torch is missing.
    """
    x = np.ascontiguousarray(x, np.float32)
    low, high = span
    if len(x) == 0 or len(x) != len(y):
        raise DataError(f"expected as many labels as inputs, at least one, found {len(y)} and {len(x)}")
    if not (float(x.min()) >= low - 1e-6 and float(x.max()) <= high + 1e-6):
        raise DataError(f"expected values of {low:g} to {high:g}, found {x.min():g} to {x.max():g}", where=how.kind)
    if how.kind == "square" and x.ndim != 4:
        raise DataError(f"expected pictures [n, c, h, w], found shape {list(x.shape)}", where=how.kind)
    return ATTACKS[how.kind](victim, x, y, how, span, progress)


def _fgsm(victim: Victim, x: Inputs, y: Labels, how: Attack, span: tuple[float, float], progress: Any) -> Inputs:
    """One step along the sign of the gradient, from the input itself."""
    art = toolbox(gradients=True)
    seen = _estimator(victim, x, span, progress, len(x), gradients=True)
    made = art.FastGradientMethod(seen, eps=how.epsilon * (span[1] - span[0]), batch_size=BATCH)
    return _kept(made.generate(x, y), x, how, span)


def _pgd(victim: Victim, x: Inputs, y: Labels, how: Attack, span: tuple[float, float], progress: Any) -> Inputs:
    """Steps of 2.5 epsilon / steps from a random start."""
    art = toolbox(gradients=True)
    reach = how.epsilon * (span[1] - span[0])
    seen = _estimator(victim, x, span, progress, how.steps * len(x), gradients=True)
    made = art.ProjectedGradientDescentNumpy(
        seen,
        eps=reach,
        eps_step=2.5 * reach / how.steps,
        max_iter=how.steps,
        num_random_init=1,
        batch_size=BATCH,
        verbose=False,
    )
    with _seeded(how.seed):
        return _kept(made.generate(x, y), x, how, span)


def _square(victim: Victim, x: Inputs, y: Labels, how: Attack, span: tuple[float, float], progress: Any) -> Inputs:
    """Random squares, kept where they help; scores alone are asked for."""
    art = toolbox(gradients=False)
    reach = how.epsilon * (span[1] - span[0])
    seen = _estimator(victim, x, span, progress, (3 * how.steps + 4) * len(x), gradients=False)
    made = art.SquareAttack(seen, eps=reach, max_iter=how.steps, batch_size=BATCH, verbose=False)
    with _seeded(how.seed):
        return _kept(made.generate(x, y), x, how, span)


ATTACKS: Final[Mapping[str, Callable[..., Inputs]]] = {"fgsm": _fgsm, "pgd": _pgd, "square": _square}
"""Name -> how; what a name means is in its function's first line."""


def _kept(found: NDArray[Any], x: Inputs, how: Attack, span: tuple[float, float]) -> Inputs:
    """Within the cube and the span to the last bit, whatever was rounded on the way."""
    reach = np.float32(how.epsilon * (span[1] - span[0]))
    inside = np.clip(found.astype(np.float32), x - reach, x + reach)
    return np.clip(inside, np.float32(span[0]), np.float32(span[1]))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The toolbox draws from numpy's one global generator; it is put back as it was."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def toolbox(*, gradients: bool) -> Any:
    """The attacks of the Adversarial Robustness Toolbox.

    Raises:
        ToolError: it is missing; or torch, which gives the gradients.
    """
    try:
        if gradients and find_spec("torch") is None:
            raise ModuleNotFoundError
        from art.attacks import evasion
    except ModuleNotFoundError:
        raise ToolError(
            "attacks need the Adversarial Robustness Toolbox and torch", hint="pip install 'hwsim[robust]'"
        ) from None
    return evasion


def _estimator(
    victim: Victim, x: Inputs, span: tuple[float, float], progress: Any, total: int, *, gradients: bool
) -> Any:
    """The victim as the toolbox wants it."""
    from art.estimators.classification.classifier import ClassifierMixin
    from art.estimators.estimator import BaseEstimator, LossGradientsMixin, NeuralNetworkMixin

    slope = victim.gradient() if gradients else None
    classes = victim.scores(x[:1]).shape[1]
    done = 0

    def seen(count: int) -> None:
        nonlocal done
        done = min(total, done + count)
        if progress is not None:
            progress(done, total)

    class Emulated(ClassifierMixin, LossGradientsMixin, NeuralNetworkMixin, BaseEstimator):  # type: ignore[misc]
        """Scores and gradients; it never learns."""

        def __init__(self) -> None:
            super().__init__(model=None, clip_values=span, channels_first=True)
            self.nb_classes = classes

        @property
        def input_shape(self) -> tuple[int, ...]:
            return x.shape[1:]

        def predict(self, x: Any, batch_size: int = BATCH, **more: Any) -> Any:
            seen(len(x))
            return victim.scores(np.ascontiguousarray(x, np.float32))

        def loss_gradient(self, x: Any, y: Any, **more: Any) -> Any:
            assert slope is not None
            seen(len(x))
            return slope(np.ascontiguousarray(x, np.float32), np.argmax(y, axis=1))

        def fit(self, *given: Any, **more: Any) -> None:
            raise ToolError("what a chip runs does not learn here", hint="hwsim train")

        def get_activations(self, *given: Any, **more: Any) -> Any:
            raise ToolError("attacks here see scores and gradients only")

        def compute_loss(self, *given: Any, **more: Any) -> Any:
            raise ToolError("attacks here see scores and gradients only")

    return Emulated()


def _normalised(graph: Graph) -> bool:
    last = graph.producer(graph.outputs[0])
    return last is not None and last.op == "Softmax"


def _scores(outputs: NDArray[np.float32], normalised: bool) -> NDArray[np.float32]:
    """[n, classes]; of probabilities their logarithms, whose softmax they are."""
    flat = outputs.reshape(len(outputs), -1)
    return np.log(np.maximum(flat, np.float32(1e-30))) if normalised else flat
