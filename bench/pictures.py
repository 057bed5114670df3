"""Calibration pictures that are not test pictures: crops of the photographs in scikit-image and scikit-learn.

Ten photographs and the twenty CIFAR-10 images of ``hwsim.zoo.data("resnet8")``, none of them in the ImageNet test set,
are cut at random places and sizes, turned, brightened and tinted; every third one has a piece of another pasted in, so
that late layers see combinations that ten photographs do not hold. Nothing of the test set is read.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import zoo
from hwsim.errors import ToolError

PHOTOGRAPHS = {
    "skimage": tuple(
        f"data/{name}"
        for name in ("astronaut.png", "motorcycle_left.png", "coffee.png", "chelsea.png", "camera.png", "rocket.jpg",
                     "coins.png", "grass.png")
    ),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
}  # fmt: skip


def photographs() -> list[Any]:
    """The pictures as pillow images.

    Raises:
        ToolError: scikit-image or scikit-learn is not installed.
    """
    from PIL import Image

    found = []
    for package, names in PHOTOGRAPHS.items():
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ToolError(f"calibration pictures need {package}", hint="pip install scikit-image scikit-learn")
        folder = Path(spec.submodule_search_locations[0])
        found += [Image.open(folder / name).convert("RGB") for name in names]
    small = zoo.data("resnet8").inputs * 128 + 128
    found += [Image.fromarray(x.astype(np.uint8)) for x in small.transpose(0, 2, 3, 1)]
    return found


def pictures(count: int, size: int = 224, seed: int = 0) -> NDArray[np.float32]:
    """``count`` crops [count, 3, size, size] as EfficientNet-Lite0 takes them, (pixel - 127) / 128."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    large, small = (photographs()[:10], photographs()[10:])
    out = np.empty((count, 3, size, size), np.float32)
    for at in range(count):
        picture = small[at // 8 % len(small)] if at % 8 == 7 else large[int(rng.integers(len(large)))]
        wide, high = picture.size
        area, aspect = wide * high * rng.uniform(0.08, 1), np.exp(rng.uniform(-0.3, 0.3))
        w, h = min(wide, int(np.sqrt(area * aspect))), min(high, int(np.sqrt(area / aspect)))
        left, top = int(rng.integers(wide - w + 1)), int(rng.integers(high - h + 1))
        cut = picture.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + w, top + h))
        x = (np.asarray(cut, np.float32).transpose(2, 0, 1) - 127) / 128
        x = x[..., ::-1] if rng.random() < 0.5 else x
        tint = rng.uniform(0.85, 1.15, (3, 1, 1)) * rng.uniform(0.7, 1.3)
        out[at] = np.clip(x * tint + rng.uniform(-0.15, 0.15), -127 / 128, 1)
        if at % 3 == 2:
            h, w = rng.integers(size // 3, size * 3 // 4, 2)
            y, z = rng.integers(size - h), rng.integers(size - w)
            out[at, :, y : y + h, z : z + w] = out[at - 1, :, y : y + h, z : z + w]
    return out
