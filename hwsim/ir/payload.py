"""The numbers of constants as bytes, and where a file keeps them: inside its text, or in a file beside it."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ModelError
from hwsim.limits import limit
from hwsim.numerics import pack, unpack
from hwsim.numerics.codec import element_format

_PLACE = re.compile(r"^@(\d{1,15})\+(\d{1,15}):([0-9a-f]{8})$")


class Store(Protocol):
    """Where payloads go and come from."""

    def put(self, raw: bytes) -> str:
        """Keep ``raw``; the word that the text says instead."""
        ...

    def get(self, word: str, size: int, at: str) -> bytes:
        """The ``size`` bytes that a word stands for.

        Raises:
            ModelError: it stands for none, or for another number of bytes.
        """
        ...


class Inline:
    """Payloads in the text itself, as deflated base64."""

    def put(self, raw: bytes) -> str:
        return base64.b64encode(zlib.compress(raw, 6)).decode("ascii")

    def get(self, word: str, size: int, at: str) -> bytes:
        if size > limit("unpack_free_bytes") and size > (ratio := limit("unpack_ratio")) * len(word):
            raise ModelError(f"{len(word)} letters that unpack to {size} bytes: over {ratio} to 1", where=at)
        try:
            inflate = zlib.decompressobj()
            raw = inflate.decompress(base64.b64decode(word, validate=True), size + 1)
        except (zlib.error, binascii.Error, ValueError):
            raise ModelError("payload is not deflated base64", where=at) from None
        if len(raw) != size:
            raise ModelError(f"payload must hold {size} bytes, found {len(raw)}", where=at)
        return raw


class Beside:
    """Payloads in one flat file beside the text; the text says ``@offset+size:crc32``.

    Args:
        held: the file's bytes (a mapped array), to read from; None to write.
    """

    ALIGN = 64

    def __init__(self, held: NDArray[np.uint8] | None = None) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self._held = held

    def put(self, raw: bytes) -> str:
        word = f"@{self.size}+{len(raw)}:{zlib.crc32(raw):08x}"
        fill = -len(raw) % self.ALIGN
        self.parts += [raw, bytes(fill)]
        self.size += len(raw) + fill
        return word

    def get(self, word: str, size: int, at: str) -> bytes:
        match = _PLACE.match(word)
        if match is None or self._held is None:
            raise ModelError("expected a place in the file beside, '@offset+size:crc32'", where=at)
        start, found = int(match[1]), int(match[2])
        if found != size or start + size > len(self._held):
            raise ModelError(
                f"payload must hold {size} bytes, found bytes {start} to {start + found} of {len(self._held)}", where=at
            )
        raw = self._held[start : start + size].tobytes()
        if f"{zlib.crc32(raw):08x}" != match[3]:
            raise ModelError("the file beside holds other bytes than were written with this text", where=at)
        return raw


def to_bytes(array: NDArray[Any], fmt: str | None = None) -> bytes:
    """Little-endian bytes; codes of ``fmt`` narrower than a byte as a bit stream, the first code lowest."""
    if fmt is not None and element_format(fmt).bits < 8:
        return pack(np.ascontiguousarray(array).reshape(-1), fmt).tobytes()
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()


def from_bytes(store: Store, word: str, dtype: str, shape: tuple[int, ...], fmt: str | None, at: str) -> NDArray[Any]:
    """The array that ``word`` stands for; its size is checked before memory is taken.

    Raises:
        ModelError: too large, or not such an array.
    """
    bits = np.dtype(dtype).itemsize * 8
    if fmt is not None and element_format(fmt).bits < 8:
        bits = element_format(fmt).bits
    count = prod(shape)
    if count * np.dtype(dtype).itemsize > (most := limit("model_bytes")):
        problem = f"a constant of {count * np.dtype(dtype).itemsize} bytes is over the limit of {most}"
        raise ModelError(problem, where=at)
    raw = store.get(word, -(-count * bits // 8), at)
    if fmt is not None and bits < 8:
        return unpack(np.frombuffer(raw, np.uint8), fmt, shape).astype(dtype, copy=False)
    return np.frombuffer(raw, np.dtype(dtype).newbyteorder("<")).reshape(shape).astype(dtype)
