"""What a camera sees when it shakes, when it is dark, when the lens is off: corruptions in five severities.

The kinds and the idea of five severities are Hendrycks and Dietterich's (ImageNet-C, ICLR 2019); the strengths here are
stated as physical numbers, for images of any size: blur radii are shares of the shorter side, light is photons a pixel.
Filters and JPEG are Pillow's and scipy's.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError, ToolError, unknown

Pictures = NDArray[np.float32]
"""[n, c, h, w], 0 to 1."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """One kind.

    Attributes:
        name: as tables print it.
        strengths: of severities 1 to 5, in ``unit``.
        unit: what the strength is.
        apply: (pictures 0..1 [n, c, h, w], strength, generator) -> pictures of the same shape, before clipping.
    """

    name: str
    strengths: tuple[float, float, float, float, float]
    unit: str
    apply: Callable[[Pictures, float, np.random.Generator], Pictures]


def _defocus(x: Pictures, strength: float, rng: np.random.Generator) -> Pictures:
    """A disc-shaped point spread: each point becomes a disc whose radius is a share of the shorter side."""
    del rng
    radius = strength * min(x.shape[-2:])
    reach = math.ceil(radius)
    span = np.arange(-reach, reach + 1)
    distance = np.hypot(*np.meshgrid(span, span))
    kernel = np.clip(radius + 0.5 - distance, 0, 1)  # the edge pixels are covered in part
    return _filtered(x, kernel / kernel.sum())


def _motion(x: Pictures, strength: float, rng: np.random.Generator) -> Pictures:
    """A straight move during exposure, as long as a share of the shorter side, in a direction of each picture's own."""
    out = np.empty_like(x)
    for index, picture in enumerate(x):
        out[index] = _filtered(picture[None], _line(strength * min(x.shape[-2:]), float(rng.random()) * math.pi))[0]
    return out


def _line(length: float, angle: float) -> NDArray[np.float64]:
    """A line of that length through the middle, its weight shared among the nearest pixels."""
    reach = math.ceil(length / 2)
    kernel = np.zeros((2 * reach + 3, 2 * reach + 3))
    for at in np.linspace(-length / 2, length / 2, 8 * reach + 9):
        row, column = reach + 1 + at * math.sin(angle), reach + 1 + at * math.cos(angle)
        top, left = math.floor(row), math.floor(column)
        for r, c in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            kernel[r, c] += (1 - abs(row - r)) * (1 - abs(column - c))
    kernel /= kernel.sum()
    return kernel


def _low_light(x: Pictures, strength: float, rng: np.random.Generator) -> Pictures:
    """A white pixel catches ``strength`` photons: shot noise (Poisson) and a read noise of 2 electrons, then gain."""
    electrons = rng.poisson(x * strength) + rng.normal(0, 2.0, x.shape)
    return (electrons / strength).astype(np.float32)


def _contrast(x: Pictures, strength: float, rng: np.random.Generator) -> Pictures:
    """Differences from each picture's mean, times the strength."""
    del rng
    mean: Pictures = x.mean(axis=(1, 2, 3), keepdims=True)
    changed: Pictures = mean + (x - mean) * np.float32(strength)
    return changed


def _jpeg(x: Pictures, strength: float, rng: np.random.Generator) -> Pictures:
    """Encoded and decoded by libjpeg at that quality."""
    del rng
    try:
        from PIL import Image
    except ImportError:
        raise ToolError("JPEG needs pillow", hint="pip install 'hwsim[zoo]'") from None
    if x.shape[1] not in (1, 3):
        raise DataError(f"JPEG takes pictures of 1 or 3 channels, found {x.shape[1]}")
    out = np.empty_like(x)
    for index, picture in enumerate(np.clip(np.rint(x * 255), 0, 255).astype(np.uint8)):
        image = Image.fromarray(picture[0] if len(picture) == 1 else np.ascontiguousarray(picture.transpose(1, 2, 0)))
        held = io.BytesIO()
        image.save(held, "JPEG", quality=int(strength))
        decoded = np.asarray(Image.open(held), np.float32) / 255
        out[index] = decoded[None] if decoded.ndim == 2 else decoded.transpose(2, 0, 1)
    return out


def _filtered(x: Pictures, kernel: NDArray[np.float64]) -> Pictures:
    try:
        from scipy.ndimage import convolve
    except ModuleNotFoundError:
        raise ToolError("blur needs scipy", hint="pip install 'hwsim[calib]'") from None
    return np.asarray(convolve(x, kernel[None, None].astype(np.float32), mode="nearest"), np.float32)


CORRUPTIONS: Final[Mapping[str, Corruption]] = {
    corruption.name: corruption
    for corruption in (
        Corruption("motion_blur", (0.06, 0.10, 0.15, 0.22, 0.30), "length over the shorter side", _motion),
        Corruption("defocus", (0.02, 0.035, 0.05, 0.07, 0.10), "radius over the shorter side", _defocus),
        Corruption("low_light", (200.0, 60.0, 20.0, 8.0, 3.0), "photons of a white pixel", _low_light),
        Corruption("contrast", (0.6, 0.4, 0.3, 0.2, 0.1), "of the differences left", _contrast),
        Corruption("jpeg", (40.0, 25.0, 15.0, 8.0, 4.0), "quality", _jpeg),
    )
}

SEVERITIES = (1, 2, 3, 4, 5)


def corrupt(
    pictures: NDArray[Any], kind: str, severity: int, *, seed: int = 0, span: tuple[float, float] = (0.0, 1.0)
) -> Pictures:
    """Corrupted pictures, clipped to the span.

    Args:
        pictures: [n, c, h, w], as the network takes them.
        kind: a name in ``CORRUPTIONS``.
        severity: 1 to 5.
        seed: of noise and directions.
        span: the network's values of black and of white.

    Raises:
        DataError: unknown kind, another severity, or pictures of another shape or range.
    """
    if kind not in CORRUPTIONS:
        raise unknown(DataError, "corruption", kind, CORRUPTIONS)
    if severity not in SEVERITIES:
        raise DataError(f"expected a severity of 1 to 5, found {severity}", where=kind)
    low, high = span
    x = (np.asarray(pictures, np.float32) - np.float32(low)) / np.float32(high - low)
    if x.ndim != 4:
        raise DataError(f"expected pictures [n, c, h, w], found shape {list(x.shape)}", where=kind)
    if x.size == 0:
        return x
    if not (float(x.min()) >= -1e-6 and float(x.max()) <= 1 + 1e-6):
        found = f"{np.min(pictures):g} to {np.max(pictures):g}"
        raise DataError(f"expected values of {low:g} to {high:g}, found {found}", where=kind)
    held = CORRUPTIONS[kind]
    changed = held.apply(np.clip(x, 0, 1), held.strengths[severity - 1], np.random.default_rng(seed))
    return (np.clip(changed, 0, 1) * np.float32(high - low) + np.float32(low)).astype(np.float32)
