"""Zoo entries as graphs and data sets: shipped files, or fetched once and kept in the cache folder."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError, ModelError, ToolError, unknown
from hwsim.io import atomic
from hwsim.io.data import Dataset, read_npz
from hwsim.ir import Graph
from hwsim.zoo import fetch
from hwsim.zoo.catalog import ENTRIES, Wheel, ZooEntry

CONVERTED = "1"
"""Raised whenever the conversion of fetched files changes, so that old cache entries are not read."""
_SHIPPED = {"model": "mnist_cnn.onnx", "test": "mnist_test.npz", "calib": "mnist_calib.npz"}


def names() -> tuple[str, ...]:
    """Names of the zoo's entries."""
    return tuple(ENTRIES)


def entry(name: str) -> ZooEntry:
    """The entry called ``name``.

    Raises:
        ModelError: there is none; names the nearest.
    """
    try:
        return ENTRIES[name]
    except KeyError:
        raise unknown(ModelError, "zoo model", name, ENTRIES) from None


def get(name: str, progress: fetch.Progress | None = None) -> dict[str, Path]:
    """Files of an entry, ``{"model": ..., "test": ...}``; fetched and converted where they are not here yet.

    Raises:
        ModelError: no such entry.
        ToolError: it cannot be fetched, or what came is not what is pinned.
    """
    held = entry(name)
    if held.shipped:
        folder = files("hwsim.zoo") / "data"
        return {key: Path(str(folder / _SHIPPED[key])) for key in ("model", *held.splits)}
    return {"model": _model_file(held, progress), "test": _data_file(held, progress)}


def cached(name: str) -> bool:
    """Whether every file of an entry is here, so that :func:`get` needs no network."""
    held = entry(name)
    return held.shipped or all(_place(held, wheel, kind).is_file() for wheel, kind in _parts(held))


def model(name: str, progress: fetch.Progress | None = None) -> Graph:
    """The network as a float graph, through the ONNX importer.

    Raises:
        ModelError, ToolError: as :func:`get`.
    """
    from hwsim.io.onnx import load

    held = entry(name)
    path = get(name)["model"] if held.shipped else _model_file(held, progress)
    return replace(load(path), name=name)


def data(name: str, split: str = "test", progress: fetch.Progress | None = None) -> Dataset:
    """Labelled inputs of an entry.

    Raises:
        DataError: the entry has no such split.
        ModelError, ToolError: as :func:`get`.
    """
    held = entry(name)
    if split not in held.splits:
        raise unknown(DataError, "split", split, held.splits, where=name)
    path = get(name)[split] if held.shipped else _data_file(held, progress)
    note = held.note if split == "test" else "drawn from the training data"
    return read_npz(path, name=f"{name}:{split}", note=note)


def _parts(held: ZooEntry) -> list[tuple[Wheel, str]]:
    parts = ((held.model_wheel, "model.onnx"), (held.data_wheel, "test.npz"))
    return [(wheel, kind) for wheel, kind in parts if wheel is not None]


def _place(held: ZooEntry, wheel: Wheel, kind: str) -> Path:
    return fetch.cache_dir() / "zoo" / f"{held.name}-{wheel.version}-{CONVERTED}" / kind


def _model_file(held: ZooEntry, progress: fetch.Progress | None) -> Path:
    wheel = held.model_wheel
    assert wheel is not None
    path = _place(held, wheel, "model.onnx")
    if not path.is_file():
        from hwsim.zoo._keras import convert

        (content,) = fetch.members(wheel, progress).values()
        atomic.write(path, convert(content, held.name).SerializeToString(deterministic=True), ToolError)
        _say(progress, path)
    return path


def _data_file(held: ZooEntry, progress: fetch.Progress | None) -> Path:
    wheel = held.data_wheel
    assert wheel is not None
    path = _place(held, wheel, "test.npz")
    if not path.is_file():
        images, labels = _pictures(fetch.members(wheel, progress), held)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, x=images, y=labels, scale=np.float32(1 / 128))
        atomic.write(path, buffer.getvalue(), ToolError)
        _say(progress, path)
    return path


def _say(progress: fetch.Progress | None, path: Path) -> None:
    if progress is not None:
        progress(f"wrote {path} (sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}...)")


def _pictures(members: dict[str, bytes], held: ZooEntry) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    """Images [n, 3, h, w] as pixel - 128 and labels, from files named ``<set>_<number>_<label>.png``."""
    try:
        from PIL import Image
    except ImportError:
        raise ToolError("needs pillow to read images", where=held.name, hint="pip install 'hwsim[zoo]'") from None
    images, labels = [], []
    for name in sorted(members):
        match = re.search(r"_\d+_(\d+)\.png$", name)
        if match is None:
            raise ToolError(f"expected <set>_<number>_<label>.png, found {name!r}", where=held.name)
        with Image.open(io.BytesIO(members[name]), formats=["PNG"]) as picture:
            pixels = np.asarray(picture.convert("RGB"), dtype=np.int16).transpose(2, 0, 1)
        images.append((pixels - 128).astype(np.int8))
        labels.append(int(match[1]))
    return np.stack(images), np.array(labels, dtype=np.uint8)
