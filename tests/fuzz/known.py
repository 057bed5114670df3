"""Hostile files made by hand: bombs, lies about sizes, ways out of the folder. Each is what was done, and a writer."""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.seeds import CONFIG, decoder, framed, gguf, laid_out

Write = Callable[[Path], Path]
"""Writes a file (or folder) into a folder and says what to load."""
Case = tuple[str, Write]


def held(raw: bytes, name: str) -> Write:
    """Writes one file."""

    def write(folder: Path) -> Path:
        (folder / name).write_bytes(raw)
        return folder / name

    return write


def zipped(name: str, size: int, claim: bytes = b"") -> bytes:
    """A zip file whose one member unpacks to ``size`` zeros behind ``claim``."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w", force_zip64=True) as file:
        file.write(claim)
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return out.getvalue()


def npy_header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def arrays(name: str) -> list[Case]:
    """For readers of .npz files; ``name`` of an array that they take."""

    def claim(shape: tuple[int, ...], dtype: str = "<f4", at: str = f"{name}.npy") -> Write:
        return held(zipped(at, 1 << 20, npy_header(shape, dtype)), "bad.npz")

    def bomb(folder: Path) -> Path:
        return held(zipped(f"{name}.npy", 1 << 28, npy_header((1 << 13, 1 << 13))), "bomb.npz")(folder)

    return [
        ("claims more than it holds", claim((1 << 20, 1 << 20))),
        ("overflow", claim((1 << 62, 4))),
        ("negative", claim((-4, -4))),
        ("objects", claim((4, 4), "|O")),
        ("a path", claim((4, 4), at=f"../../{name}.npy")),
        ("zip bomb", bomb),
    ]


def checkpoints() -> list[Case]:
    return [("zip bomb", lambda folder: held(zipped("archive/data.pkl", 1 << 28), "bomb.pth")(folder))]


def qir(good: str) -> list[Case]:
    def bomb(folder: Path) -> Path:
        packed = base64.b64encode(zlib.compress(bytes(1 << 29), 9)).decode()
        lines = [good.split("\n")[0], "graph g", "input x : fp32[N,4]", f"const w : fp32[{1 << 27}]", "data"]
        return held("\n".join([*lines, f"w value {packed}"]).encode(), "bomb.qir")(folder)

    return [("deflate bomb", bomb)]


def folder_of(config: Any, raw: bytes) -> Write:
    """Writes a decoder's folder."""

    def write(folder: Path) -> Path:
        (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
        (folder / "model.safetensors").write_bytes(raw)
        return folder

    return write


def safetensors() -> list[Case]:
    header, body = laid_out(decoder(False))
    good = framed(header, body)
    out: list[Case] = [
        (f"header of {length}", folder_of(CONFIG, framed(header, body, length)))
        for length in (0, 1, len(good), 1 << 30, 1 << 62, (1 << 64) - 1)
    ]
    for text in ("", "{", "[]", "[" * 100_000, '{"model_type": "llama"}', '{"model_type": []}', "null"):
        out.append(("config", folder_of(text, good)))
        out.append(("header text", folder_of(CONFIG, struct.pack("<Q", len(text)) + text.encode() + body)))
    for key, value in (
        ("hidden_size", 1 << 40),
        ("num_hidden_layers", 1 << 30),
        ("vocab_size", -1),
        ("rms_norm_eps", "x"),
    ):
        out.append((f"config {key}", folder_of({**CONFIG, key: value}, good)))
    return out


def ggufs() -> list[Case]:
    good = gguf()
    return [
        (f"count at {at} of {value}", held(good[:at] + struct.pack("<Q", value) + good[at + 8 :], "count.gguf"))
        for at in (8, 16)
        for value in (0, 255, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1)
    ]


def yaml(opening: str) -> list[Case]:
    """For readers of YAML; ``opening``: a first line that they take."""
    bomb = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 8)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    return [
        ("anchors that grow", held(bomb.encode(), "bomb.yaml")),
        ("deep", held((f"{opening}\n" + "x: " + "[" * 50_000).encode(), "deep.yaml")),
        ("long", held((f"{opening}\n" + "x: y\n" * 400_000).encode(), "long.yaml")),
        ("a long number", held(f"{opening}\nx: {'9' * 100_000}\n".encode(), "number.yaml")),
        ("a tag", held(b"!!python/object/apply:os.system [echo]\n", "tag.yaml")),
        ("not text", held(bytes(range(256)), "bytes.yaml")),
        ("UTF-16", held(opening.encode("utf-16"), "wide.yaml")),
        ("nothing", held(b"", "nothing.yaml")),
    ]
