"""Lines of text drawn with DejaVu's fonts, as PP-OCR's recognizer reads them; and what it should have read.

The lines are synthetic: clean letters on plain ground, no photograph. Texts follow from their number alone.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ToolError

COUNT, HEIGHT, WIDTH, SIZE = 60, 48, 320, 30
_WORDS = (
    "adder array bias bit block carry chip clip clock code column core cycle decode depth drain encode energy exact "
    "fold format gate group layer lane latch limit load mask matrix memory metal model move narrow order pack packet "
    "point power product range rate read register round row scale shift signal stage store stream sum table tensor "
    "tile time trace unit value vector wave weight width wire word write zero"
)
WORDS = tuple(_WORDS.split(" "))
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ "
CLASSES = (
    "26 93 25 94 632 631 933 29 27 1109 4544 3463 4902 5171 3332 4389 4548 3539 3538 5493 4849 2710 5233 4547 "
    "4245 4545 2156 1958 1033 3333 1034 4922 3537 2993 4546 3316 1221 3588 4244 1220 4381 1219 5128 425 3587 2697 "
    "5193 3506 3639 3589 4741 1310 4731 5127 1217 1381 4497 5405 5033 5200 1218 4136 "
    "6624"
)
ALPHABET: Mapping[str, int] = dict(zip(LETTERS, map(int, CLASSES.split(" ")), strict=True))
"""The network's class of each letter that lines hold (its dictionary's place plus 1, for 0 is no letter)."""


def text(number: int) -> str:
    """Line ``number``: two or three words and a number, some capitals."""
    rng = np.random.default_rng([7, number])
    words = [WORDS[i] for i in rng.integers(0, len(WORDS), 2)]
    words = [w.capitalize() if rng.random() < 0.4 else w for w in words]
    return " ".join([*words, str(rng.integers(10, 10000))])


def arrays(members: Mapping[str, bytes], split: str = "test") -> dict[str, NDArray[Any]]:
    """``x`` [n, 3, 48, 320], pixel / 127.5 - 1, and ``y`` [n], each line's number.

    Raises:
        ToolError: pillow is missing.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise ToolError("needs pillow to draw text", where="zoo", hint="pip install 'hwsim[zoo]'") from None
    fonts = [members[name] for name in sorted(members)]
    out = np.empty((COUNT, 3, HEIGHT, WIDTH), np.uint8)
    first = COUNT if split == "calib" else 0
    for number in range(first, first + COUNT):
        font = ImageFont.truetype(io.BytesIO(fonts[number % len(fonts)]), SIZE, layout_engine=ImageFont.Layout.BASIC)
        line = text(number)
        wide = max(int(font.getlength(line)) + 16, 1)
        picture = Image.new("RGB", (wide, HEIGHT), (255, 255, 255))
        ImageDraw.Draw(picture).text((8, 6), line, font=font, fill=(20, 20, 40))
        if wide > WIDTH:
            picture = picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        held = np.full((HEIGHT, WIDTH, 3), 127, np.uint8)
        held[:, : picture.width] = np.asarray(picture)
        out[number - first] = held.transpose(2, 0, 1)
    return {
        "x": (out / np.float32(127.5) - 1).astype(np.float16),
        "y": np.arange(first, first + COUNT, dtype=np.uint16),
    }


def truth(number: int) -> NDArray[np.int64]:
    """Classes of the letters of line ``number``."""
    return np.array([ALPHABET[letter] for letter in text(number)], np.int64)


def read(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Classes of letters from the class of each place along the line: repeats and nothing (0) go (CTC)."""
    fresh = np.concatenate([[True], classes[1:] != classes[:-1]])
    found: NDArray[np.int64] = classes[fresh & (classes != 0)]
    return found


def distance(a: NDArray[np.int64], b: NDArray[np.int64]) -> int:
    """Least insertions, deletions and replacements that turn ``a`` into ``b`` (Levenshtein)."""
    row = np.arange(len(b) + 1)
    for at, letter in enumerate(a, start=1):
        above, row = row, np.empty_like(row)
        row[0] = at
        for j, other in enumerate(b, start=1):
            row[j] = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != other))
    return int(row[-1])
