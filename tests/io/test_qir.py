"""Files of quantized graphs: small ones whole, large ones with their constants beside them; damage is one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwsim.errors import ModelError
from hwsim.io import load_model, qir
from hwsim.io.model import save_model
from hwsim.ir import Graph, dumps
from hwsim.numerics import quantize_tensor
from tests.ir.graphs import small_cnn


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Graph:
    """A graph that counts as large, with weights of 3, 4 and 8 bits."""
    monkeypatch.setattr(qir, "INLINE_BYTES", 100)
    graph = small_cnn()
    weights = {"w1": ("int4", None), "w2": ("mx4", 1), "w3": ("fp8_e4m3fn", 0)}
    stored = {key: quantize_tensor(graph.float_constant(key), fmt, axis=axis) for key, (fmt, axis) in weights.items()}
    return replace(graph, constants={**graph.constants, **stored})


@pytest.mark.parametrize("name", ["net.qir", "net.qir.json"])
def test_files_are_exact_with_and_without_a_file_beside(name: str, large: Graph, tmp_path: Path) -> None:
    for graph in (large, small_cnn()):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        save_model(graph, folder / name)
        back = load_model(folder / name)
        assert dumps(back) == dumps(graph)
    assert sorted(p.name for p in (tmp_path / "0").iterdir()) == [name, f"{name}.bin"]


def test_small_constants_stay_in_the_text(tmp_path: Path) -> None:
    save_model(small_cnn(), tmp_path / "net.qir")
    assert [p.name for p in tmp_path.iterdir()] == ["net.qir"]


def test_low_bits_are_packed_beside_the_text(large: Graph, tmp_path: Path) -> None:
    save_model(large, tmp_path / "net.qir")
    lines = (tmp_path / "net.qir").read_text().split("\n")
    (codes,) = (line for line in lines if line.startswith("w1 codes "))
    assert f"+{6 * 3 * 9 // 2}:" in codes
    assert (tmp_path / "net.qir").stat().st_size < 4000


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:-200], "holds? .*bytes"),
        (lambda raw: bytes([raw[0] ^ 1]) + raw[1:], "other bytes than were written"),
        (lambda raw: b"", "empty"),
        (None, "in 'net.qir.bin' beside it, found nothing"),
    ],
)
def test_damaged_constants_are_one_line(
    large: Graph, tmp_path: Path, damage: Callable[[bytes], bytes] | None, message: str
) -> None:
    save_model(large, tmp_path / "net.qir")
    side = tmp_path / "net.qir.bin"
    if damage is None:
        side.unlink()
    else:
        side.write_bytes(damage(side.read_bytes()))
    with pytest.raises(ModelError, match=message) as caught:
        load_model(tmp_path / "net.qir")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "place", ["@0+9999999999:00000000", "@99999+24:00000000", "@../x", "@0+24:0", "@-1+24:00000000"]
)
def test_places_stay_inside_the_file_beside(large: Graph, tmp_path: Path, place: str) -> None:
    save_model(large, tmp_path / "net.qir")
    lines = (tmp_path / "net.qir").read_text().split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith("b1 value "))
    lines[at] = f"b1 value {place}"
    (tmp_path / "net.qir").write_text("\n".join(lines))
    with pytest.raises(ModelError):
        load_model(tmp_path / "net.qir")


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"ends in \.qir, \.qir\.json"):
        save_model(small_cnn(), tmp_path / "net.txt")
    (tmp_path / "bytes.qir").write_bytes(np.arange(256, dtype=np.uint8).tobytes())
    with pytest.raises(ModelError, match="expected text"):
        load_model(tmp_path / "bytes.qir")
