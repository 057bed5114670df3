"""Data sets from .npz files: what is read, and what is refused before it costs memory."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim.errors import DataError, ModelError
from hwsim.io import Dataset, load_data


def npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "d.npz"
    np.savez_compressed(path, **arrays)
    return path


def test_bytes_are_scaled_and_labels_read(tmp_path: Path) -> None:
    x = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    held = load_data(npz(tmp_path, x=x, y=np.array([3, 0], np.uint8), scale=np.float32(0.5)))
    assert held.inputs.dtype == np.float32
    assert held.labels is not None
    assert held.labels.dtype == np.int64
    np.testing.assert_array_equal(held.inputs, x.astype(np.float32) / 2)
    np.testing.assert_array_equal(held.labels, [3, 0])
    assert (len(held), held.name) == (2, "d")
    assert len(held.head(1)) == 1
    with pytest.raises(DataError):
        held.head(0)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_of_any_order_become_float32(tmp_path: Path, kind: Any, order: Any) -> None:
    x = np.random.default_rng(0).standard_normal((3, 5, 2)).astype(kind)
    held = load_data(npz(tmp_path, x=np.asarray(x, order=order)))
    np.testing.assert_array_equal(held.inputs, x.astype(np.float32))
    assert held.labels is None
    assert held.inputs.flags["C_CONTIGUOUS"]


X = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"images": X}, "unknown array 'images'"),
        ({"y": np.zeros(2, int)}, "expected an array 'x'"),
        ({"x": np.ones((0, 3))}, "at least one sample"),
        ({"x": np.ones(3)}, r"x must be \[n, ...\]"),
        ({"x": X.astype(np.uint8)}, "with a 'scale'"),
        ({"x": X.astype(int) + (1 << 25)}, r"beyond 2\^24"),
        ({"x": X.astype(int), "scale": np.float32(1)}, "found int64"),
        ({"x": X > 0}, "expected numbers, found bool"),
        ({"x": X.astype(complex)}, "expected numbers"),
        ({"x": np.array([["a"]])}, "expected numbers"),
        ({"x": np.array([[None]])}, "expected numbers, found object"),
        ({"x": X * np.nan}, "6 of 6 numbers are NaN"),
        ({"x": np.full((2, 3), 1e300)}, "are NaN or infinite"),
        ({"x": X, "scale": np.float32(0)}, "one positive number"),
        ({"x": X, "scale": np.ones(2)}, "one positive number"),
        ({"x": X, "y": np.zeros(3, int)}, "y must be 2 whole numbers"),
        ({"x": X, "y": np.zeros(2)}, "y must be 2 whole numbers"),
        ({"x": X, "y": np.array([0, -1])}, "of at least 0"),
    ],
)
def test_refused(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    path = npz(tmp_path, **arrays)
    with pytest.raises(DataError, match=says) as err:
        load_data(path)
    assert str(path) in str(err.value)


def test_missing_empty_damaged(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found nothing"):
        load_data(tmp_path / "none.npz")
    path = tmp_path / "e.npz"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        load_data(path)
    path.write_bytes(b"no zip at all")
    with pytest.raises(DataError, match="damaged"):
        load_data(path)
    good = npz(tmp_path, x=X).read_bytes()
    rng = np.random.default_rng(3)
    named = refused = 0
    for _ in range(100):
        data = bytearray(good)
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data[: int(rng.integers(1, len(data) + 1))] if rng.random() < 0.3 else data))
        try:
            assert load_data(path).inputs.shape == (2, 3)
        except DataError as err:
            named += str(path) in str(err)
            refused += 1
    assert named == refused > 20


def test_a_shape_beyond_the_file_or_the_limit_is_refused_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    np.lib.format.write_array_header_1_0(raw, {"descr": "<f4", "fortran_order": False, "shape": (1 << 20, 1 << 20)})
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", raw.getvalue())
    with pytest.raises(DataError, match="over the limit"):
        load_data(path)
    monkeypatch.setenv("HWSIM_MAX_DATA_BYTES", "20")
    with pytest.raises(DataError, match="over the limit"):
        load_data(npz(tmp_path, x=X))


def test_neither_file_nor_zoo_name() -> None:
    with pytest.raises(ModelError, match="did you mean 'mnist-cnn'"):
        load_data("mnist-cnm")
    with pytest.raises(DataError, match=r"expected a \.npz file"):
        load_data("digits.csv")


def test_a_part_keeps_every_class_and_whole_pairs() -> None:
    data = Dataset(np.arange(20, dtype=np.float32)[:, None], np.repeat(np.arange(10), 2), "d")
    assert data.spread(10).labels.tolist() == list(range(10))
    assert data.spread(None) is data.spread(20) is data
    assert len(data.spread(1)) == 1
    pairs = data.spread(7, together=2)
    assert pairs.inputs[:, 0].tolist() == [0, 1, 8, 9, 18, 19]
    assert pairs.labels.tolist() == [0, 0, 4, 4, 9, 9]
    assert len(data.spread(1, together=2)) == 2
    with pytest.raises(DataError, match="at least 1 sample, found 0"):
        data.spread(0)
