"""Ways to damage a file: its bytes, its lines and words, or one place of its tree. All follow from a seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

ABSURD = (-1, 0, 1, 3, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63))
"""Whole numbers that sizes should not be."""
WORDS = (
    "", "-1", "0", "1", "7", "99999999999", "1e999", "-1e-999", "NaN", ".inf", "true", "null", '"x"', "[]", "{}", "{",
    "]", "N", "x", "int4", "int5", "nvfp4", "fp8_e4m3fn", "nvidia-h100", "resnet8", "../x", "/etc/passwd", "\x00", "%s",
    "\u202e", "0x" + "f" * 400, "9" * 5000, "[" * 5000, "{a: " * 200, "x" * 10_000, "&a", "*a", "!!x", "---",
)  # fmt: skip
"""Words that a text should not have where they land."""
LEAVES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 3, 1 << 31, 10**9, 1 << 63, 10**30, 10**400, -(10**400), 0.5, -0.0, 1e-320, 1e308,
    float("inf"), float("nan"), "", "x", "int4", "int5", "nvfp4", "../x", "a b", "x" * 10_000, "\u202e", [], [[]], {},
    {"x": {}}, [1, "a", None], [0] * 5000,
)  # fmt: skip
"""Values that a tree should not have where they land."""


def pick(rng: np.random.Generator, things: Sequence[Any]) -> Any:
    """One of them."""
    return things[int(rng.integers(len(things)))]


def bytes_changed(rng: np.random.Generator, good: bytes) -> tuple[str, bytes]:
    """Bits flipped, bytes or words replaced, a cut, a part doubled, moved or blanked."""
    held = bytearray(good)
    if not held:
        return "grown", bytes(rng.integers(0, 256, 9, dtype=np.uint8))
    at, end = sorted(int(v) for v in rng.integers(0, len(held), 2))
    way = pick(rng, ("flip", "replace", "word", "cut", "double", "swap", "blank", "ones"))
    if way == "flip":
        for place in rng.integers(0, len(held), int(rng.integers(1, 8))):
            held[place] ^= 1 << int(rng.integers(8))
    elif way == "replace":
        for place in rng.integers(0, len(held), int(rng.integers(1, 8))):
            held[place] = int(rng.integers(256))
    elif way == "word":
        size = pick(rng, (1, 2, 4, 8))
        value = pick(rng, ABSURD) & ((1 << 8 * size) - 1)
        held[at : at + size] = value.to_bytes(size, "little")
    elif way == "cut":
        held = held[:at]
    elif way == "double":
        held = held[:end] + held[at:]
    elif way == "swap":
        held = held[:at] + held[end:] + held[at:end]
    else:
        size = min(int(rng.integers(1, 64)), len(held) - at)
        held[at : at + size] = (b"\0" if way == "blank" else b"\xff") * size
    return f"{way} at {at}", bytes(held)


def text_changed(rng: np.random.Generator, good: str, others: Sequence[str] = ()) -> tuple[str, str]:
    """A line dropped, doubled, moved, indented or taken from another file; a word replaced; a mark put in."""
    lines = good.split("\n")
    at = int(rng.integers(len(lines)))
    way = pick(rng, ("drop", "double", "move", "indent", "word", "word", "word", "mark", "other"))
    if way == "drop":
        del lines[at]
    elif way == "double":
        lines.insert(int(rng.integers(len(lines))), lines[at])
    elif way == "move":
        lines.insert(int(rng.integers(len(lines))), lines.pop(at))
    elif way == "indent":
        lines[at] = lines[at][1:] if rng.random() < 0.5 else pick(rng, ("  ", "\t", " ")) + lines[at]
    elif way == "word":
        parts = lines[at].split(" ")
        parts[int(rng.integers(len(parts)))] = pick(rng, WORDS)
        lines[at] = " ".join(parts)
    elif way == "mark":
        place = int(rng.integers(len(lines[at]) + 1))
        lines[at] = lines[at][:place] + pick(rng, tuple(":,[]{}'\"#|>-&*!%@`\\\t=()")) + lines[at][place:]
    else:
        lines.insert(at, pick(rng, pick(rng, (good, *others)).split("\n")))
    return f"{way}, line {at + 1}", "\n".join(lines)


def tree_changed(rng: np.random.Generator, tree: Any) -> tuple[str, Any]:
    """One place of plain data replaced, dropped, doubled, renamed, or given what another place holds."""
    copy = json.loads(json.dumps(tree))
    places = list(_places(copy))
    if not places:
        return "root", pick(rng, LEAVES)
    holder, key = pick(rng, places)
    way = pick(rng, ("leaf", "leaf", "leaf", "near", "drop", "rename", "graft", "wrap"))
    value = holder[key]
    if way == "near" and isinstance(value, int | float) and not isinstance(value, bool):
        large = float("inf") if abs(value) > 1e300 else value * 1e30
        holder[key] = pick(rng, (-value, value + 1, value * 2, large, value // 3, str(value), [value]))
    elif way == "drop":
        del holder[key]
    elif way == "rename" and isinstance(holder, dict):
        holder[pick(rng, (f"{key}s", key[:-1], "x", "", pick(rng, places)[1]))] = holder.pop(key)
    elif way == "graft":
        other, name = pick(rng, places)
        holder[key] = json.loads(json.dumps(other[name]))
    elif way == "wrap":
        holder[key] = {str(key): value} if rng.random() < 0.5 else [value, value]
    else:
        holder[key] = pick(rng, LEAVES)
    return f"{way} at {key}", copy


def _places(tree: Any) -> Any:
    """(container, key) of every value below the root."""
    for key in range(len(tree)) if isinstance(tree, list) else list(tree) if isinstance(tree, dict) else ():
        yield tree, key
        yield from _places(tree[key])
