"""Files of a wheel as Magika sees them: the first and last 1,024 bytes as numbers; their type is their extension."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

HALF, BLOCK, PADDING = 1024, 4096, 256
EACH = 40
"""Most files of one type, evenly spread."""
TYPES: Mapping[str, tuple[str, int]] = {
    "css": ("css", 31),
    "csv": ("csv", 32),
    "html": ("html", 71),
    "jpg": ("jpeg", 86),
    "js": ("javascript", 83),
    "pdf": ("pdf", 127),
    "png": ("png", 133),
    "py": ("python", 143),
    "so": ("elf", 46),
    "svg": ("svg", 172),
    "ttf": ("ttf", 184),
}
"""Extension -> the network's name for the type and its number (``target_labels_space`` of its configuration)."""


def features(content: bytes) -> NDArray[np.uint16]:
    """[2048]: the head without leading white space, padded behind, and the tail without trailing, padded in front."""
    head = content[:BLOCK].lstrip()[:HALF]
    tail = content[-BLOCK:].rstrip()[-HALF:]
    out = np.full(2 * HALF, PADDING, np.uint16)
    out[: len(head)] = np.frombuffer(head, np.uint8)
    out[2 * HALF - len(tail) :] = np.frombuffer(tail, np.uint8)
    return out


def arrays(members: Mapping[str, bytes], split: str = "test") -> dict[str, NDArray[Any]]:
    """``x`` [n, 2048] and ``y`` [n] of files whose extension says their type, every fourth of a type to calibrate."""
    found: dict[str, list[str]] = {}
    for name in sorted(members):
        suffix = PurePosixPath(name).suffix[1:].lower()
        if suffix in TYPES and len(members[name]) >= 64:
            found.setdefault(suffix, []).append(name)
    found = {
        kind: [n for i, n in enumerate(names) if (i % 4 == 3) == (split == "calib")] for kind, names in found.items()
    }
    picked = [
        (names[at * len(names) // min(len(names), EACH)], TYPES[suffix][1])
        for suffix, names in sorted(found.items())
        for at in range(min(len(names), EACH))
    ]
    return {
        "x": np.stack([features(members[name]) for name, _ in picked]).astype(np.int32),
        "y": np.array([number for _, number in picked], np.uint16),
    }
