"""Folders of safetensors in: ``config.json`` beside ``model.safetensors``, or shards named by an index.

Format: 8 bytes of header length, a JSON header, bytes. Files are mapped; every offset is checked; nothing executes.
"""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ModelError, unknown
from hwsim.io.packed import opened
from hwsim.io.tensors import DECODERS, Entry, Tensors, entry, mapped
from hwsim.ir import Graph
from hwsim.limits import limit

INDEX = "model.safetensors.index.json"


def load(folder: str | os.PathLike[str], *, length: int | None = None) -> Graph:
    """The model of a folder, by ``model_type`` in its config.json: ``llama`` or ``bert``.

    Weights that GPTQ, AWQ or compressed-tensors packed stay as they are stored (:mod:`hwsim.io.packed`).

    Args:
        folder: with config.json and model.safetensors, or an index and its shards.
        length: tokens of one input; None is 512 for decoders and 32 for encoders.

    Raises:
        ModelError: anything missing, malformed or not supported.
    """
    from hwsim.io import _bert, _llama
    from hwsim.io._builder import naming

    path = Path(folder)
    config = read_json(path / "config.json")
    kinds = {"llama": (_llama.from_config, 512), "bert": (_bert.from_config, 32)}
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in kinds:
        raise unknown(ModelError, "model_type", kind, kinds, where=str(path / "config.json"))
    build, usual = kinds[kind]
    tensors = opened(read(path), config.get("quantization_config", config.get("compression_config")))
    with naming(path):
        return build(config, tensors, path.name, usual if length is None else length)


def read(folder: Path) -> Tensors:
    """The tensors of a folder.

    Raises:
        ModelError: as :func:`load`.
    """
    index = folder / INDEX
    if not index.is_file():
        return Tensors(str(folder), read_file(folder / "model.safetensors"))
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(v, str) for v in shards.values()):
        raise ModelError("expected a weight_map of file names", where=str(index))
    entries: dict[str, tuple[NDArray[np.uint8], Entry]] = {}
    for shard in sorted(set(shards.values())):
        if Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise ModelError(f"shard {shard!r} is not a .safetensors file of this folder", where=str(index))
        held = read_file(folder / shard)
        entries.update({name: held[name] for name, file in shards.items() if file == shard and name in held})
    lost = sorted(set(shards) - set(entries))
    if lost:
        raise ModelError(f"tensor {lost[0]!r} is not in its shard {shards[lost[0]]!r}", where=str(index))
    return Tensors(str(folder), entries)


def read_file(path: Path) -> dict[str, tuple[NDArray[np.uint8], Entry]]:
    """Every tensor of one file, mapped.

    Raises:
        ModelError: not such a file, or a damaged one.
    """
    raw, where = mapped(path), str(path)
    size = int.from_bytes(raw[:8].tobytes(), "little")
    if raw.size < 8 or size > min(limit("json_bytes"), raw.size - 8):
        raise ModelError(f"a header of {size} bytes does not fit the file's {raw.size}", where=where)
    header = _parse(raw[8 : 8 + size].tobytes(), where)
    out: dict[str, tuple[NDArray[np.uint8], Entry]] = {}
    for name, held in header.items():
        if name == "__metadata__":
            continue
        here = f"{where}: tensor {name!r}"
        kind, shape, offsets = (
            (held.get("dtype"), _whole(held.get("shape")), _whole(held.get("data_offsets")))
            if isinstance(held, dict)
            else (None, None, None)
        )
        if not isinstance(kind, str) or kind not in DECODERS or shape is None or offsets is None or len(offsets) != 2:
            raise ModelError(f"expected a known dtype, a shape and two offsets, found {held!r:.100}", where=here)
        found = entry(kind, shape, 8 + size + offsets[0], raw.size, here)
        if offsets[1] - offsets[0] != found.size:
            raise ModelError(f"needs {found.size} bytes, its offsets hold {offsets[1] - offsets[0]}", where=here)
        out[name] = (raw, found)
    ends = sorted((held.start, held.start + held.size, name) for name, (_, held) in out.items())
    for (_, end, first), (start, _, second) in pairwise(ends):
        if start < end:
            raise ModelError(f"tensors {first!r} and {second!r} share bytes", where=where)
    return out


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ModelError: missing, too large, or not a JSON object.
    """
    raw = mapped(path)
    if raw.size > (most := limit("json_bytes")):
        raise ModelError(f"{raw.size} bytes are over the limit of {most}", where=str(path))
    return _parse(raw.tobytes(), str(path))


def _parse(raw: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise ModelError("not JSON where JSON is expected", where=where) from None
    if not isinstance(found, dict):
        raise ModelError("expected a JSON object", where=where)
    return found


def _whole(value: object) -> tuple[int, ...] | None:
    """A list of whole numbers of at least 0, else None."""
    fits = isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)
    return tuple(value) if fits and isinstance(value, list) else None
