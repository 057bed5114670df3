"""Formats of one's own in a file: what a graph uses beyond hwsim's catalog travels with it, as plain numbers.

A learned or piecewise table is a `Format` like any other (``formats.add`` makes it known); its definition is written
beside the graph and is made known again when the graph is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from math import isfinite
from typing import Any

from hwsim.errors import HwsimError, ModelError
from hwsim.numerics import BlockFormat, Format, formats
from hwsim.numerics.format import Field, FloatLayout, IntegerLayout, Profile, Source, TableLayout

_LAYOUTS: dict[str, type[FloatLayout] | type[IntegerLayout] | type[TableLayout]] = {
    "float": FloatLayout,
    "integer": IntegerLayout,
    "table": TableLayout,
}
_WORDS = {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}


def definitions(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Definitions of those formats in ``names`` that are not hwsim's own, with the elements of block formats."""
    out: dict[str, dict[str, Any]] = {}
    for name in sorted(set(names)):
        entry = formats[name]
        if isinstance(entry, BlockFormat):
            out.update(definitions([entry.element, entry.scale_format]))
        if name in formats.added:
            out[name] = define(entry)
    return out


def define(entry: Format | BlockFormat) -> dict[str, Any]:
    """A format as JSON-able numbers and words; infinities and NaN are words."""
    if isinstance(entry, BlockFormat):
        return {"kind": "block", **_plain({k: v for k, v in asdict(entry).items() if k != "name"})}
    kind = next(word for word, layout in _LAYOUTS.items() if isinstance(entry.layout, layout))
    fields = {k: v for k, v in vars(entry).items() if k not in ("name", "layout", "profiles", "source")}
    profiles = [asdict(profile) for profile in entry.profiles.values()]
    parts = {"layout": asdict(entry.layout), "source": asdict(entry.source), "profiles": profiles}
    return {"kind": kind, **_plain({**fields, **parts})}


def learn(name: str, found: Mapping[str, Any], at: str) -> None:
    """Make a definition known by ``name``; one that is known already must be the same.

    Raises:
        ModelError: no definition, or another format has this name.
    """
    try:
        entry = _entry(name, _numbers(dict(found)))
        same = name in formats and define(formats[name]) == define(entry)
        if name in formats and not same:
            raise ModelError(f"format {name!r} is another one here", where=at, hint="rename the file's")
        if not same:
            formats.add(name, entry)
    except ModelError:
        raise
    except HwsimError as e:
        raise ModelError(e.message, where=at, hint=e.hint) from None
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, IndexError) as e:
        raise ModelError(f"format {name!r} is not a definition: {e}", where=at) from None


def _entry(name: str, found: dict[str, Any]) -> Format | BlockFormat:
    kind = found.pop("kind")
    found["source"] = Source(**found["source"])
    if kind == "block":
        found["fields"] = tuple(Field(**field) for field in found["fields"])
        block = BlockFormat(name, **found)
        for part in (block.element, block.scale_format):
            formats[part]
        if not 1 <= block.block_size <= 1 << 20 or block.rule not in ("power_of_two", "two_level", "amax"):
            raise ValueError("blocks of one's own hold 1 to 2^20 elements and one scale each")
        return block
    profiles = [Profile(**{**p, "nan": _pair(p["nan"])}) for p in found.pop("profiles")]
    layout = found.pop("layout")
    for key in ("exponent_bits", "mantissa_bits", "padding", "bias", "minimum", "maximum", "fraction_bits"):
        if type(layout.get(key, 0)) is not int or not -(1 << 32) <= layout.get(key, 0) <= 1 << 32:
            raise ValueError(f"{key} must be a whole number of up to 32 bits")
        if key.endswith(("bits", "padding")) and not 0 <= layout.get(key, 0) <= 32:
            raise ValueError(f"{key} must be in 0..32")
    if abs(layout.get("bias", 0)) > 1023:
        raise ValueError("bias must be in -1023..1023")
    if any(type(v) not in (int, float) for key in ("values", "thresholds") for v in layout.get(key, ())):
        raise ValueError("a table holds numbers")
    entry = Format(name=name, layout=_LAYOUTS[kind](**layout), profiles={p.name: p for p in profiles}, **found)
    if not entry.max_value >= entry.min_value:
        raise ValueError("a format needs numbers")
    return entry


def _pair(nan: Any) -> Any:
    return tuple(nan) if isinstance(nan, tuple | list) else nan


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_numbers(item) for item in value)
    return _WORDS.get(value, value) if isinstance(value, str) else value
