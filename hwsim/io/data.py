"""Data sets: a .npz file with ``x``, and maybe ``y`` and ``scale``. No pickled arrays; sizes are checked first."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hwsim.errors import DataError, unknown
from hwsim.limits import limit

KEYS = {
    "x": "inputs [n, ...], float, uint8 or int8 with a scale, or token ids of 16 bits and more",
    "y": "labels [n], whole numbers",
    "scale": "one number that x is multiplied by",
}


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Inputs and, where known, labels.

    Attributes:
        inputs: float32 [n, ...], images as NCHW.
        labels: int64 [n] class numbers, or None.
        name: of the data set.
        note: what a reader of a result must know of it (how few there are, where they come from); may be empty.
    """

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64] | None
    name: str
    note: str = ""

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def head(self, count: int) -> Dataset:
        """The first ``count`` of them.

        Raises:
            DataError: fewer than one is asked for.
        """
        if count < 1:
            raise DataError(f"expected at least 1 sample, found {count}", where=self.name)
        return self.pick(slice(count))

    def spread(self, count: int | None, together: int = 1) -> Dataset:
        """``count`` of them, evenly spread, as many data are sorted by class; None is all.

        Args:
            count: inputs; rounded down to whole groups, but one group at least.
            together: inputs one after the other that make one sample, such as the two sentences of a pair.

        Raises:
            DataError: fewer than one is asked for.

        Example:
            >>> load_data("mnist-cnn").spread(10).labels.tolist()
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        """
        if count is not None and count < 1:
            raise DataError(f"expected at least 1 sample, found {count}", where=self.name)
        groups = len(self) // together
        if count is None or count >= len(self) or groups < 1:
            return self
        first = np.linspace(0, groups - 1, max(1, count // together)).round().astype(np.int64) * together
        return self.pick((first[:, None] + np.arange(together)).reshape(-1))

    def pick(self, which: slice | NDArray[np.int64]) -> Dataset:
        """Those at the places ``which``, in that order."""
        return replace(self, inputs=self.inputs[which], labels=None if self.labels is None else self.labels[which])


def load_data(source: str | os.PathLike[str]) -> Dataset:
    """A .npz file, or the test data of a zoo model by its name.

    Raises:
        DataError: missing, empty, malformed, not finite, or too large.
        ModelError: neither a .npz file nor a zoo name.

    Example:
        >>> digits = load_data("mnist-cnn")
        >>> len(digits), digits.inputs.shape[1:]
        (2000, (1, 28, 28))
    """
    path = Path(source)
    if path.suffix == ".npz":
        return read_npz(path)
    if path.suffix or path.exists() or len(path.parts) != 1:
        found = (
            "nothing" if not path.exists() else "a folder" if path.is_dir() else f"a {path.suffix or 'nameless'} file"
        )
        raise DataError(f"expected a .npz file or the name of a zoo model, found {found}", where=str(path))
    from hwsim.zoo import data

    return data(str(source))


def read_npz(path: Path, *, name: str | None = None, note: str = "") -> Dataset:
    """Read ``x`` [n, ...] (float, uint8 or int8 with ``scale``, or token ids) and ``y`` [n] from a .npz file.

    Raises:
        DataError: as :func:`load_data`.
    """
    arrays = read_arrays(path, KEYS)
    if "x" not in arrays:
        raise DataError(f"expected an array 'x' ({KEYS['x']}), found {', '.join(arrays) or 'none'}", where=str(path))
    return Dataset(_inputs(arrays, str(path)), _labels(arrays, str(path)), name or path.stem, note)


DAMAGED_ZIP = (
    OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError,
)  # fmt: skip
"""What zipfile raises on a damaged archive, a locked one, or one packed in a way it does not know."""


def read_arrays(path: Path, keys: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """The arrays of numbers of a .npz file, each named in ``keys`` (name -> what it is).

    Raises:
        DataError: missing, empty, damaged or too large, or an array of another name.
    """
    where = str(path)
    try:
        if not path.is_file():
            raise DataError("expected a .npz file, found " + ("a folder" if path.is_dir() else "nothing"), where=where)
        if path.stat().st_size == 0:
            raise DataError("expected a .npz file, found an empty one", where=where)
        with zipfile.ZipFile(path) as archive:
            out: dict[str, NDArray[Any]] = {}
            for info in archive.infolist():
                key = info.filename.removesuffix(".npy")
                if key not in keys or key in out:
                    raise unknown(DataError, "array", key, keys, where=where)
                out[key] = _array(archive, info, f"{where}: {key}")
            return out
    except DAMAGED_ZIP as err:
        raise DataError(f"not a .npz file, or a damaged one: {err}", where=where) from None


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> NDArray[Any]:
    with archive.open(info) as file:
        try:
            version = npy.read_magic(file)
            reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = reader(file)
        except (ValueError, TypeError, SyntaxError, RecursionError, TokenError, SystemError) as err:
            raise DataError(f"not a numpy array: {err}", where=where) from None
        if dtype.kind not in "uif":
            raise DataError(f"expected numbers, found {dtype}", where=where)
        size = prod(shape) * dtype.itemsize
        most = limit("data_bytes")
        if min(shape, default=1) < 0 or prod(shape) * max(dtype.itemsize, 4) > most or size > info.file_size:
            raise DataError(
                f"shape {list(shape)} of {dtype} is over the limit or over what the file holds", where=where
            )
        if size > limit("unpack_free_bytes") and size > (ratio := limit("unpack_ratio")) * info.compress_size:
            raise DataError(f"{info.compress_size} bytes that unpack to {size}: over {ratio} to 1", where=where)
        raw = file.read(size)
        if len(raw) != size or file.read(1):
            raise DataError(f"shape {list(shape)} of {dtype} needs {size} bytes, the file holds others", where=where)
    return np.frombuffer(raw, dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _inputs(arrays: dict[str, NDArray[Any]], where: str) -> NDArray[np.float32]:
    x = arrays["x"]
    if x.ndim < 2 or x.size == 0:
        raise DataError(f"x must be [n, ...] with at least one sample, found shape {list(x.shape)}", where=where)
    if x.dtype.kind != "f" and (x.dtype.itemsize == 1) != ("scale" in arrays):
        wanted = "float, uint8 or int8 with a 'scale', or whole numbers of 16 bits and more without"
        raise DataError(f"x must be {wanted}, found {x.dtype}", where=where)
    if x.dtype.kind != "f" and max(abs(int(x.min())), abs(int(x.max()))) > 1 << 24:
        raise DataError(f"x holds whole numbers beyond 2^24 ({x.min()} to {x.max()})", where=where)
    with np.errstate(over="ignore"):
        inputs = np.ascontiguousarray(x, dtype=np.float32)
    if "scale" in arrays:
        scale = arrays["scale"]
        if scale.size != 1 or not np.isfinite(scale).all() or not scale.reshape(-1)[0] > 0:
            raise DataError(f"scale must be one positive number, found {scale.tolist()!r:.60}", where=where)
        inputs = inputs * np.float32(scale.reshape(-1)[0])
    bad = int(np.count_nonzero(~np.isfinite(inputs)))
    if bad:
        raise DataError(f"x: {bad} of {inputs.size} numbers are NaN or infinite", where=where)
    return inputs


def _labels(arrays: dict[str, NDArray[Any]], where: str) -> NDArray[np.int64] | None:
    y = arrays.get("y")
    if y is None:
        return None
    if y.shape != arrays["x"].shape[:1] or y.dtype.kind not in "ui" or y.astype(np.int64).min() < 0:
        wanted = f"y must be {arrays['x'].shape[0]} whole numbers of at least 0"
        raise DataError(f"{wanted}, found {y.dtype} of shape {list(y.shape)}", where=where)
    return y.astype(np.int64)
