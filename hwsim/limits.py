"""How much a file may ask for before it is refused: safe defaults, each a setting.

``HWSIM_MAX_DATA_BYTES=8e9 hwsim emulate ...`` raises ``data_bytes``; every other limit is named likewise. A limit is
held against what a file says before anything of that size is made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from hwsim.errors import DataError

LIMITS: Mapping[str, tuple[int, str]] = {
    "yaml_bytes": (1_000_000, "bytes of a file of YAML: a target, a sweep, a training recipe, a port map"),
    "json_bytes": (100 << 20, "bytes of a file of JSON, or a JSON header: run.json, config.json, safetensors"),
    "model_bytes": (2_000_000_000, "bytes of a model file with its external data, and of one constant of a .qir"),
    "tensor_elements": (1 << 31, "elements of one tensor in a model"),
    "folded_elements": (1 << 28, "elements of a constant that is computed while an ONNX model is read"),
    "data_bytes": (4 << 30, "bytes of one array of a data set, as stored or as float32"),
    "unpack_ratio": (200, "to 1, that packed numbers may unpack to"),
    "unpack_free_bytes": (64 << 20, "bytes that packed numbers may unpack to at any ratio"),
    "sweep_points": (1_000_000, "points of a sweep"),
}
"""Name -> default, and what there may be at most so many of."""


def limit(name: str) -> int:
    """The limit: ``HWSIM_MAX_`` and its name in capitals, where that is set, else its default.

    Raises:
        DataError: the setting is not a whole number of at least 1.

    Example:
        >>> limit("sweep_points")
        1000000
    """
    variable = f"HWSIM_MAX_{name.upper()}"
    text = os.environ.get(variable)
    if text is None:
        return LIMITS[name][0]
    try:
        value = int(float(text)) if "e" in text.lower() else int(text)
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise DataError(f"expected a whole number of at least 1, found {text!r}", where=variable)
    return value
