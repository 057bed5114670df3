"""Inputs that belong to no class of the network, and how well its own scores tell them from its own data.

Scores: the largest probability (MSP; Hendrycks and Gimpel, ICLR 2017) and minus the energy, log(sum(exp(logits))) (Liu
et al., NeurIPS 2020); both are high where the network is sure. What is told is the area under the ROC curve: the
probability that a known input scores above a stranger; one half is no better than a coin.

All sets are made here, so that they need no download: they are far from a digit or an object in different ways, and
none is a benchmark of another's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError, ToolError, unknown

Pictures = NDArray[np.float32]
"""[n, c, h, w], 0 to 1."""
Scores = NDArray[np.float64]

LETTERS: Final = "AEFHKMNPRTUVWXYabdefhkmnrtuwxy"
"""Those that no digit looks like."""


def _letters(own: Pictures, rng: np.random.Generator) -> Pictures:
    """Letters in Pillow's own typeface, each turned, sized and moved by chance, white on black."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise ToolError("letters need pillow", hint="pip install 'hwsim[robust]'") from None
    high, wide = own.shape[-2:]
    out = np.empty((len(own), 1, high, wide), np.float32)
    for index in range(len(own)):
        letter = LETTERS[int(rng.integers(len(LETTERS)))]
        page = Image.new("L", (4 * wide, 4 * high))
        font = ImageFont.load_default(size=4 * min(high, wide) * rng.uniform(0.55, 0.8))
        middle = (2 * wide + rng.uniform(-0.2, 0.2) * wide, 2 * high + rng.uniform(-0.2, 0.2) * high)
        ImageDraw.Draw(page).text(middle, letter, 255, font, anchor="mm")
        page = page.rotate(rng.uniform(-15, 15), Image.Resampling.BILINEAR)
        out[index, 0] = np.asarray(page.resize((wide, high), Image.Resampling.BOX), np.float32) / 255
    return np.repeat(out, own.shape[1], axis=1)


def _photographs(own: Pictures, rng: np.random.Generator) -> Pictures:
    """Pieces of the two photographs that scikit-learn ships (a temple, a flower), a tenth to a half of their height."""
    try:
        from PIL import Image
        from sklearn.datasets import load_sample_images
    except ImportError:
        raise ToolError("photographs need scikit-learn and pillow", hint="pip install 'hwsim[robust]'") from None
    whole = [Image.fromarray(picture) for picture in load_sample_images().images]
    channels, high, wide = own.shape[1:]
    if channels not in (1, 3):
        raise DataError(f"photographs have 1 or 3 channels, found {channels}")
    out = np.empty((len(own), channels, high, wide), np.float32)
    for index in range(len(own)):
        source = whole[int(rng.integers(len(whole)))]
        side = int(source.height * rng.uniform(0.1, 0.5))
        left, top = int(rng.integers(source.width - side)), int(rng.integers(source.height - side))
        piece = source.crop((left, top, left + side, top + side)).resize((wide, high), Image.Resampling.BOX)
        pixels = np.asarray(piece.convert("L" if channels == 1 else "RGB"), np.float32) / 255
        out[index] = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    return out


def _noise(own: Pictures, rng: np.random.Generator) -> Pictures:
    """Each number uniform between black and white."""
    return rng.random(own.shape, np.float32)


def _negative(own: Pictures, rng: np.random.Generator) -> Pictures:
    """The network's own data, black for white."""
    del rng
    return np.asarray(1 - own, np.float32)


def _scrambled(own: Pictures, rng: np.random.Generator) -> Pictures:
    """The network's own data, cut into sixteen pieces that are put together in another order."""
    high, wide = own.shape[-2] // 4, own.shape[-1] // 4
    out = own.copy()
    for picture, source in zip(out, own, strict=True):
        for place, piece in enumerate(rng.permutation(16)):
            (top, left), (row, column) = divmod(place, 4), divmod(int(piece), 4)
            picture[:, top * high : (top + 1) * high, left * wide : (left + 1) * wide] = source[
                :, row * high : (row + 1) * high, column * wide : (column + 1) * wide
            ]
    return out


STRANGERS: Final[Mapping[str, Callable[[Pictures, np.random.Generator], Pictures]]] = {
    "letters": _letters,
    "photographs": _photographs,
    "noise": _noise,
    "negative": _negative,
    "scrambled": _scrambled,
}
"""Name -> (own pictures, generator) -> as many strangers."""


def strangers(
    own: NDArray[Any], kind: str, *, seed: int = 0, span: tuple[float, float] = (0.0, 1.0)
) -> NDArray[np.float32]:
    """As many inputs that belong to no class as there are own ones, in their shape and span.

    Args:
        own: the network's own pictures [n, c, h, w].
        kind: a name in ``STRANGERS``.
        seed: of what is drawn.
        span: the network's values of black and of white.

    Raises:
        DataError: an unknown kind, or data that are no pictures.
        ToolError: a package that makes them is missing.
    """
    if kind not in STRANGERS:
        raise unknown(DataError, "set of strangers", kind, STRANGERS)
    low, high = span
    x = np.asarray(own, np.float32)
    if x.ndim != 4:
        raise DataError(f"expected pictures [n, c, h, w], found shape {list(x.shape)}", where=kind)
    made = STRANGERS[kind]((x - np.float32(low)) / np.float32(high - low), np.random.default_rng(seed))
    return np.asarray(made * np.float32(high - low) + np.float32(low), np.float32)


def _msp(logits: NDArray[Any]) -> Scores:
    """Largest probability. Its logarithm ranks alike, and keeps apart what rounds to one."""
    x = _finite(logits)
    return np.asarray(x.max(1) - _log_sum(x), np.float64)


def _energy(logits: NDArray[Any]) -> Scores:
    """Minus the energy."""
    return _log_sum(_finite(logits))


def _finite(logits: NDArray[Any]) -> Scores:
    return np.nan_to_num(np.asarray(logits, np.float64).reshape(len(logits), -1))


def _log_sum(x: Scores) -> Scores:
    top = x.max(1)
    return np.asarray(top + np.log(np.exp(x - top[:, None]).sum(1)), np.float64)


SCORES: Final[Mapping[str, Callable[[NDArray[Any]], Scores]]] = {"msp": _msp, "energy": _energy}
"""Name -> logits [n, classes] -> a number an input, high where it is known."""


def auroc(own: Scores, other: Scores, *, draws: int = 200, seed: int = 0) -> tuple[float, float, float]:
    """Area under the ROC curve, and its 95 % interval by the bootstrap.

    Args:
        own: scores of known inputs. other: of strangers.
        draws: of the bootstrap.

    Raises:
        DataError: either is empty.
        ToolError: scikit-learn is missing.
    """
    try:
        from sklearn.metrics import roc_auc_score
    except ModuleNotFoundError:
        raise ToolError("the area under a curve needs scikit-learn", hint="pip install 'hwsim[robust]'") from None
    if len(own) == 0 or len(other) == 0:
        raise DataError(f"expected scores of both kinds, found {len(own)} and {len(other)}")
    truth = np.repeat([1, 0], [len(own), len(other)])
    whole = float(roc_auc_score(truth, np.concatenate([own, other])))
    rng = np.random.default_rng(seed)
    found = [_area(rng.choice(own, len(own)), rng.choice(other, len(other))) for _ in range(draws)]
    low, high = np.quantile(found, (0.025, 0.975))
    return whole, float(low), float(high)


def _area(own: Scores, other: Scores) -> float:
    """The same area, by ranks (Mann and Whitney): fast enough for many draws."""
    ranked = np.sort(other)
    beaten = np.searchsorted(ranked, own, "left") + np.searchsorted(ranked, own, "right")
    return float(beaten.mean() / (2 * len(other)))
