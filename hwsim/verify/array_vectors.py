"""Products of one's own for an array: a .npz file with operands, maybe sums to start from, maybe sums to expect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError, UnitError
from hwsim.io.data import read_arrays
from hwsim.verify.compare import Outcome, difference, fold_cycles, golden
from hwsim.verify.drive import Array
from hwsim.verify.matmul import matmul_on
from hwsim.verify.result import Point

KEYS = {
    "a": "codes [m, k] or [tiles, m, k]",
    "b": "codes [n, k] or [tiles, n, k]",
    "c": "sums to start from [m, n] or [tiles, m, n]",
    "d": "sums that you expect, of the shape of c",
}


def array_vectors(array: Array, path: Path) -> Outcome:
    """Every product of a file on the array, against the golden model and against the file's own ``d``.

    Raises:
        DataError: an unreadable file, arrays that do not multiply, codes that do not fit.
        UnitError: a unit with block scales.
    """
    if array.unit.scaled:
        raise UnitError("a unit with block scales takes no file of vectors", where=array.unit.name)
    held = read_arrays(path, KEYS)
    if not {"a", "b"} <= set(held):
        raise DataError(f"expected arrays a ({KEYS['a']}) and b ({KEYS['b']})", where=str(path))
    whole = {name: _tiles(values, f"{path}: {name}") for name, values in held.items()}
    a, b = whole["a"], whole["b"]
    tiles, (m, k), (n, k_b) = len(a), a.shape[1:], b.shape[1:]
    shape = (tiles, m, n)
    if len(b) != tiles or k != k_b or any(whole[name].shape != shape for name in ("c", "d") if name in whole):
        shapes = {name: values.shape for name, values in whole.items()}
        raise DataError(f"shapes do not multiply: {shapes}", where=str(path))
    dtype = np.int32 if array.width("ACC_W") <= 32 else np.int64
    c = whole.get("c", np.zeros(shape, dtype)).astype(dtype)
    compared = mismatches = late = cycles = 0
    first = None
    for tile in range(tiles):
        got, took = matmul_on(array, a[tile], b[tile], c[tile])
        want = golden(array.unit, a[tile].astype(np.uint8), b[tile].astype(np.uint8).T, c[tile])
        due = -(-k // array.rows) * -(-n // array.cols) * fold_cycles(array.rows, array.cols, m)
        cycles, late, compared = cycles + took, late + (took != due), compared + want.size
        wrong = np.argwhere(got != want)
        mismatches += len(wrong)
        said = whole["d"][tile] if "d" in whole else want
        other = np.argwhere(said != want)
        compared, mismatches = compared + said.size * ("d" in whole), mismatches + len(other)
        if first is None and (len(wrong) or len(other)):
            row, col = (int(i) for i in (wrong if len(wrong) else other)[0])
            operands = (a[tile, row].astype(np.uint8), b[tile, col].astype(np.uint8), int(c[tile, row, col]))
            place = f"tile {tile}, row {row}, column {col}"
            if len(wrong):
                first = difference(array.unit, place, *operands, int(want[row, col]), int(got[row, col]))
            else:
                place += ": array and golden model agree, but not the file"
                first = difference(array.unit, place, *operands, int(said[row, col]), int(want[row, col]))
    points = (Point("products of the file", tiles, tiles),)
    return Outcome(compared, mismatches, tiles, late, cycles, first, points=points)


def _tiles(values: NDArray[Any], where: str) -> NDArray[Any]:
    if values.ndim not in (2, 3) or values.size == 0 or values.dtype.kind == "f":
        raise DataError(
            f"expected whole numbers [rows, columns] or [tiles, ..], found {values.dtype} {values.shape}", where=where
        )
    return values if values.ndim == 3 else values[None]
