"""Calibration pictures that are no test pictures: crops of photographs that come with libraries.

Photographs are shrunk once and kept as JPEG. A crop shows a quarter to all of a photograph's square, mirrored, brighter
or darker, and tinted a little; every third one has a piece of the crop before the last pasted in, so that late layers
see combinations that some ninety photographs do not hold. Every other crop shows other photographs than those between
them, so that one half can judge what the other has fitted. Crops follow from their number alone.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ToolError
from hwsim.io.data import DAMAGED_ZIP
from hwsim.zoo._pictures import pillow

SIDE = 288
"""Pixels of the shorter side that photographs are kept with."""

CROPS = 512


def packed(members: Mapping[str, bytes]) -> bytes:
    """A zip of the photographs, shrunk, in the order of their names.

    Raises:
        ToolError: pillow is missing.
    """
    image, out = pillow("zoo"), io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, name in enumerate(sorted(members)):
            with image.open(io.BytesIO(members[name]), formats=["JPEG"]) as opened:
                picture = opened.convert("RGB")
            share = min(1.0, SIDE / min(picture.size))
            wide, high = (round(d * share) for d in picture.size)
            kept = io.BytesIO()
            picture.resize((wide, high), image.Resampling.LANCZOS).save(kept, "JPEG", quality=90)
            archive.writestr(zipfile.ZipInfo(f"{number:03}.jpg"), kept.getvalue())
    return out.getvalue()


def crops(path: Path, size: tuple[int, int], count: int = CROPS) -> NDArray[np.uint8]:
    """``count`` pictures [count, 3, height, width] cut from the photographs in the zip ``path``.

    Raises:
        ToolError: pillow is missing, or the zip is damaged.
    """
    image = pillow("zoo")
    try:
        with zipfile.ZipFile(path) as archive:
            files = [archive.read(name) for name in sorted(archive.namelist())]
    except DAMAGED_ZIP as err:
        raise ToolError(f"is damaged: {err}", where=str(path), hint="remove it; it is fetched again") from None
    photographs = [image.open(io.BytesIO(raw), formats=["JPEG"]).convert("RGB") for raw in files]
    rng = np.random.default_rng(0)
    order = rng.permutation(len(photographs) // 2 * 2)
    high, wide = size
    out = np.empty((count, 3, high, wide), np.uint8)
    for at in range(count):
        out[at] = _crop(rng, photographs[order[at % len(order)]], size)
        if at % 3 == 2:
            h, w = (int(rng.integers(d // 3, d * 3 // 4)) for d in size)
            y, x = int(rng.integers(high - h)), int(rng.integers(wide - w))
            out[at, :, y : y + h, x : x + w] = out[at - 2, :, y : y + h, x : x + w]
    return out


def _crop(rng: np.random.Generator, photograph: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Somewhere of a photograph, [3, height, width]."""
    wide, high = photograph.size
    area, aspect = min(wide, high) ** 2 * rng.uniform(0.25, 1), np.exp(rng.uniform(-0.25, 0.25))
    w, h = min(wide, int(np.sqrt(area * aspect))), min(high, int(np.sqrt(area / aspect)))
    left, top = int(rng.integers(wide - w + 1)), int(rng.integers(high - h + 1))
    cut = photograph.resize(size[::-1], pillow("zoo").Resampling.BICUBIC, box=(left, top, left + w, top + h))
    x = np.asarray(cut, np.float32).transpose(2, 0, 1) - 127
    x = x[..., ::-1] if rng.random() < 0.5 else x
    tint = rng.uniform(0.9, 1.1, (3, 1, 1)) * rng.uniform(0.8, 1.2)
    lit: NDArray[np.float64] = np.rint(x * tint + rng.uniform(-13, 13)) + 127
    return np.clip(lit, 0, 255).astype(np.uint8)
