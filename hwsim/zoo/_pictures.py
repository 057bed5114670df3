"""Labelled pictures as arrays: decoded by pillow, cut and scaled as their network wants them."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ToolError
from hwsim.zoo.catalog import ZooEntry

CROP = 224 / 256
"""Share of the shorter side that pictures larger than the input keep."""
_ZERO = {"efficientnet-lite0": 127, "visual-wake-words": 0, "visual-wake-words-int8": 0}
"""The pixel value that becomes 0; 128 for the others. Differences are divided by 128, but not from 0."""


def arrays(members: dict[str, bytes], held: ZooEntry) -> dict[str, NDArray[Any]]:
    """``x`` [n, 3, h, w] and ``y`` [n] from files named ``<set>_<number>_<label>.png`` (or .jpg).

    Raises:
        ToolError: pillow is missing, or a file has another name.
    """
    image = pillow(held.name)
    images, labels = [], []
    height, width = held.input_shape[1:]
    zero = _ZERO.get(held.name, 128)
    for name in sorted(members):
        match = re.search(r"_\d+_(\d+)\.(?:png|jpg)$", name)
        if match is None:
            raise ToolError(f"expected <set>_<number>_<label>.png or .jpg, found {name!r}", where=held.name)
        with image.open(io.BytesIO(members[name]), formats=["PNG", "JPEG"]) as opened:
            picture = opened.convert("RGB")
        if picture.size != (width, height):
            side = int(min(picture.size) * (CROP if zero else 1))
            left, top = ((size - side) // 2 for size in picture.size)
            box = (left, top, left + side, top + side)
            picture = picture.resize(
                (width, height), image.Resampling.BICUBIC if zero else image.Resampling.BILINEAR, box=box
            )
        images.append(np.asarray(picture, dtype=np.int16).transpose(2, 0, 1) - zero)
        labels.append(int(match[1]))
    x = np.stack(images)
    if not zero:
        return {"x": x.astype(np.uint8), "y": np.array(labels, np.uint16), "scale": np.array(1, np.float32)}
    if zero == 128:
        return {"x": x.astype(np.int8), "y": np.array(labels, np.uint16), "scale": np.array(1 / 128, np.float32)}
    return {"x": (x / 128).astype(np.float16), "y": np.array(labels, np.uint16)}  # exact: 8 bits and a power of two


def pillow(where: str) -> Any:
    """Pillow's ``Image``.

    Raises:
        ToolError: it is missing.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ToolError("needs pillow to read images", where=where, hint="pip install 'hwsim[zoo]'") from None
    return Image


def as_input(pixels: NDArray[np.uint8], name: str) -> NDArray[np.float32]:
    """Pixels as the network called ``name`` takes them."""
    zero = _ZERO.get(name, 128)
    x = pixels.astype(np.float32)
    return (x - np.float32(zero)) / np.float32(128) if zero else x
