"""The modules that answer case by case: multipliers, dot products, requantizers, 2:4, zero points; by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.verify.cases import CaseUnit, Port, Values, columns
from hwsim.verify.dot_cases import dot_unit, forms_dot
from hwsim.verify.multipliers import MULTIPLIERS, Multiplier, fixed_point, is_finite
from hwsim.verify.result import Point
from hwsim.verify.round_cases import rounding

REQUANTIZED = {"int4": 0, "uint4": 0, "int4_sm": 1, "int8": 0, "uint8": 0}
"""Formats that the requantizer is proven for, and whether they are a sign above a magnitude."""
SPARSE_GROUPS = 4
ZERO_POINT_ROWS, ZERO_POINT_COLS = 8, 4


def case_names() -> tuple[str, ...]:
    """Every name that ``case_unit`` takes."""
    from hwsim.numerics import units

    return (*_own(), *(name for name, unit in units.items() if forms_dot(unit)))


@cache
def case_unit(name: str) -> CaseUnit | None:
    """The module of that name, or the dot product of that matrix unit; None where there is none."""
    from hwsim.numerics import units

    own = _own()
    if name in own:
        return own[name]
    return dot_unit(units[name]) if name in units and forms_dot(units[name]) else None


@cache
def _own() -> Mapping[str, CaseUnit]:
    made = [
        *(_multiplier(entry) for entry in MULTIPLIERS.values()),
        *(_requantizer(fmt, sign) for fmt, sign in REQUANTIZED.items()),
        _sparse(),
        _zero_point(),
        rounding(),
    ]
    return {unit.name: unit for unit in made}


def _multiplier(entry: Multiplier) -> CaseUnit:
    a_values, b_values = (fixed_point(fmt)[0] for fmt in (entry.a_format, entry.b_format))
    finite = is_finite(entry.a_format), is_finite(entry.b_format)

    def every_pair(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        a, b = np.meshgrid(np.arange(len(a_values)), np.arange(len(b_values)), indexing="ij")
        return {"a": a.reshape(-1, 1), "b": b.reshape(-1, 1)}

    def golden(values: Values) -> dict[str, NDArray[Any]]:
        a, b = values["a"][:, 0].astype(np.int64), values["b"][:, 0].astype(np.int64)
        special = ~(finite[0][a] & finite[1][b])
        wide = entry.product_bits > 62
        products = a_values[a].astype(object) * b_values[b].astype(object) if wide else a_values[a] * b_values[b]
        answers = {"p": np.where(special, 0, products).reshape(-1, 1)}
        return {**answers, "special": special.astype(np.int64).reshape(-1, 1)} if entry.special else answers

    def points(values: Values, answers: Values) -> tuple[Point, ...]:
        a, b = values["a"][:, 0].astype(np.int64), values["b"][:, 0].astype(np.int64)
        zero = (a_values[a] == 0) & finite[0][a] | (b_values[b] == 0) & finite[1][b]
        least = (a_values[a] == a_values.min()) & (b_values[b] == b_values.min())
        found = [
            Point("operand pairs", np.unique(a * len(b_values) + b).size, len(a_values) * len(b_values)),
            Point("least x least", int(least.any())),
        ]
        if (a_values == 0).any():
            found.append(Point("zero operand", int(zero.any())))
        if ((a_values == 0) & finite[0]).sum() > 1:
            found.append(Point("zeros of both signs", int(np.unique(a[(a_values[a] == 0) & finite[0][a]]).size), 2))
        if entry.special:
            found.append(Point("infinity or NaN", int((~finite[0][a]).any())))
        return tuple(found)

    outputs = [Port("p", entry.product_bits, signed=True), *([Port("special", 1)] if entry.special else [])]
    return CaseUnit(
        name=f"mul_{entry.name}",
        top=f"mul_{entry.name}",
        parameters={},
        inputs=(Port("a", entry.a_bits, fmt=entry.a_format), Port("b", entry.b_bits, fmt=entry.b_format)),
        outputs=tuple(outputs),
        checks={"exhaustive": every_pair},
        golden=golden,
        points=points,
        rows={},
    )


def _requantizer(fmt: str, sign_magnitude: int) -> CaseUnit:
    from hwsim.numerics import formats
    from hwsim.numerics.format import Format

    entry = formats[fmt]
    assert isinstance(entry, Format)
    least, most, bits = int(entry.min_value), int(entry.max_value), entry.bits
    ends = np.iinfo(np.int32)
    zeros = [0] if sign_magnitude else [0, (least + most) // 3, least, most]

    def draw(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        size = np.exp2(rng.uniform(0, 31, count))
        acc = np.clip(np.where(rng.random(count) < 0.5, size, -size), ends.min, ends.max)
        acc = np.where(rng.random(count) < 0.1, rng.choice([ends.min, ends.max, 0, 1, -1], count), acc)
        wide = rng.random(count) < 0.6
        shift = np.where(rng.random(count) < 0.5, rng.integers(31, 63, count), rng.integers(1, 63, count))
        return columns(
            acc=acc,
            low=np.where(wide, ends.min, rng.integers(-4096, 1, count)),
            high=np.where(wide, ends.max, rng.integers(1, 4096, count)),
            multiplier=rng.integers(1 << 30, 1 << 31, count),
            shift=shift,
            zero=rng.choice(zeros, count),
        )

    def ties(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """Halves of both signs on every code, and sums past both ends."""
        acc, zero = (
            axis.ravel() for axis in np.meshgrid(np.arange(-6 * most - 20, 6 * most + 21), zeros, indexing="ij")
        )
        ones = np.ones_like(acc)
        return columns(
            acc=acc, low=ones * ends.min, high=ones * ends.max, multiplier=ones * (1 << 30), shift=ones * 31, zero=zero
        )

    def powers(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """Every power of two as a sum and as what it becomes: one bit alone at each place, of both signs."""
        grid = np.meshgrid(np.arange(31), np.arange(1, 63), [1, -1], indexing="ij")
        place, shift, sign = (axis.ravel() for axis in grid)
        ones = np.ones_like(place)
        return columns(
            acc=sign << place,
            low=ones * ends.min,
            high=ones * ends.max,
            multiplier=ones << 30,
            shift=shift,
            zero=np.resize(zeros, place.size),
        )

    def edges(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """Products just below and just above a tie, so that their last bit decides; clamps one bit from the sum."""
        size = np.floor(np.exp2(rng.uniform(0, 31, count))).astype(np.int64)
        odd = 2 * rng.integers(0, most + 2, count) + 1
        # odd * 2**(shift - 1) is the tie; the multiplier that brings the sum to it has 31 bits, or any number of them
        reach = np.where(rng.random(count) < 0.5, 31, rng.integers(1, 32, count))
        shift = np.clip(np.floor(np.log2(size) - np.log2(odd)).astype(np.int64) + reach + 1, 1, 62)
        multiplier = (odd << (shift - 1)) // size + rng.integers(0, 2, count)
        acc = np.where(rng.random(count) < 0.5, size, -size)
        near, kind = acc ^ (np.int64(1) << rng.integers(0, 31, count)), rng.random(count)
        return columns(
            acc=acc,
            low=np.where(kind < 0.3, near, ends.min),
            high=np.where(kind > 0.7, near, ends.max),
            multiplier=np.clip(multiplier, 1, (1 << 31) - 1),
            shift=shift,
            zero=rng.choice(zeros, count),
        )

    def close(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """Products 1, 2 or 4 below a tie or 1 above it, at every shift: factors of 2**n - 1 and of 2**n + 1."""
        power, odd = 1 << np.arange(1, 31, dtype=np.int64), 1 << np.arange(1, 31, 2, dtype=np.int64)
        twice = 1 << np.arange(1, 16, dtype=np.int64)
        acc = np.concatenate([*[power + 1] * 3, odd + twice + 1])
        multiplier = np.concatenate([*((power - 1) * times for times in (1, 2, 4)), odd - twice + 1])
        fits = multiplier < 1 << 31
        acc, multiplier = (
            np.concatenate([held[fits], sign * held[fits]]) for held, sign in ((acc, -1), (multiplier, 1))
        )
        shift = np.round(np.log2(np.abs(acc).astype(np.float64) * multiplier)).astype(np.int64) + 1
        return columns(
            acc=acc,
            low=np.full_like(acc, ends.min),
            high=np.full_like(acc, ends.max),
            multiplier=multiplier,
            shift=shift,
            zero=np.resize(zeros, acc.size),
        )

    def golden(values: Values) -> dict[str, NDArray[Any]]:
        from hwsim.emulate import _kernels as kernels
        from hwsim.numerics import encode

        flat = {name: held[:, 0].astype(np.int64) for name, held in values.items()}
        code_of = encode(np.arange(least, most + 1, dtype=np.float32), fmt)
        codes = np.zeros(len(flat["acc"]), np.int64)
        for zero in np.unique(flat["zero"]):
            part = np.flatnonzero(flat["zero"] == zero)
            acc, low, high = (flat[name][part].astype(np.int32) for name in ("acc", "low", "high"))
            out = np.empty((1, len(part)), code_of.dtype)
            ratio = (flat["multiplier"][part], flat["shift"][part])
            requantize: Any = kernels.requantize_fixed
            requantize(acc[None], low, high, *ratio, int(zero), least, code_of, out, 0, 1)
            codes[part] = out[0]
        return {"code": codes.reshape(-1, 1)}

    def points(values: Values, answers: Values) -> tuple[Point, ...]:
        code = answers["code"][:, 0]
        flat = {name: held[:, 0].astype(np.int64) for name, held in values.items()}
        held = np.clip(flat["acc"], flat["low"], flat["high"])
        wide = held.astype(object) * flat["multiplier"]
        half = (wide % (1 << flat["shift"].astype(object))) * 2 == (1 << flat["shift"].astype(object))
        rounded = (wide + (1 << flat["shift"].astype(object)) // 2) // (1 << flat["shift"].astype(object)) + flat[
            "zero"
        ]
        made = sorted(set(code.tolist()))
        return (
            Point("codes", len(made), most - least + 1),
            Point("saturated at the top", int((rounded > most).any())),
            Point("saturated at the bottom", int((rounded < least).any())),
            Point("tie above zero", int((half & (held > 0)).any())),
            Point("tie below zero", int((half & (held < 0)).any())),
            Point("clamped low", int((flat["acc"] < flat["low"]).any())),
            Point("clamped high", int((flat["acc"] > flat["high"]).any())),
            *((Point("negative sum to zero", int(((held < 0) & (rounded == 0)).any())),) if sign_magnitude else ()),
        )

    return CaseUnit(
        name=f"requantizer_{fmt}",
        top="requantizer",
        parameters={"OUT_W": bits, "LEAST": least, "MOST": most, "SIGN_MAGNITUDE": sign_magnitude},
        inputs=(
            *(Port(name, 32, signed=True) for name in ("acc", "low", "high")),
            Port("multiplier", 31),
            Port("shift", 6),
            Port("zero", bits + 1, signed=True),
        ),
        outputs=(Port("code", bits, fmt=fmt),),
        checks={"ties": ties, "powers": powers, "edges": edges, "close": close, "random": draw},
        golden=golden,
        points=points,
        rows={},
    )


def _sparse() -> CaseUnit:
    from hwsim.numerics.sparse import expand_2to4

    half = 2 * SPARSE_GROUPS

    def every_place(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """Each of the 16 pairs of places in each group, under codes that all differ."""
        place = rng.integers(0, 4, (16 * SPARSE_GROUPS, half))
        for case in range(len(place)):
            group, pair = divmod(case, 16)
            place[case, 2 * group : 2 * group + 2] = pair & 3, pair >> 2
        kept = np.stack([1 + rng.permutation(15)[:half] for _ in place])
        return {"kept": kept, "place": place}

    def draw(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        first = rng.integers(0, 3, (count, SPARSE_GROUPS))
        second = first + 1 + rng.integers(0, 3, first.shape) % (3 - first)
        place = np.stack([first, second], axis=-1).reshape(count, half)
        return {"kept": rng.integers(0, 16, (count, half)), "place": place}

    def golden(values: Values) -> dict[str, NDArray[Any]]:
        pairs = values["place"].reshape(-1, SPARSE_GROUPS, 2)
        malformed = pairs[..., 0] >= pairs[..., 1]
        # what stands in for a malformed group in the golden's input does not show: the group is zeros
        kept = np.where(malformed[..., None], 0, values["kept"].reshape(pairs.shape))
        place = np.where(malformed[..., None], [0, 1], pairs)
        dense = expand_2to4(kept.reshape(-1, half), place.reshape(-1, half).astype(np.uint8))
        return {"dense": dense.astype(np.int64), "malformed": malformed.astype(np.int64)}

    def points(values: Values, answers: Values) -> tuple[Point, ...]:
        pairs = values["place"].reshape(-1, SPARSE_GROUPS, 2)
        bad = answers["malformed"].astype(bool)
        coded = np.arange(SPARSE_GROUPS) * 16 + pairs[..., 0] * 4 + pairs[..., 1]
        return (
            Point("places of a well-formed group", np.unique(coded[~bad]).size, 6 * SPARSE_GROUPS),
            Point("places of a malformed group", np.unique(coded[bad]).size, 10 * SPARSE_GROUPS),
        )

    return CaseUnit(
        name="sparse_2to4",
        top="sparse_2to4",
        parameters={"GROUPS": SPARSE_GROUPS, "W": 4},
        inputs=(Port("kept", 4, half), Port("place", 2, half)),
        outputs=(Port("dense", 4, 4 * SPARSE_GROUPS), Port("malformed", 1, SPARSE_GROUPS)),
        checks={"places": every_place, "random": draw},
        golden=golden,
        points=points,
        rows={},
    )


def _zero_point() -> CaseUnit:
    rows, cols = ZERO_POINT_ROWS, ZERO_POINT_COLS
    ends = np.iinfo(np.int32)

    def draw(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        depth = rng.integers(1, rows, count, endpoint=True)
        inside = np.arange(rows) < depth[:, None]
        bias = rng.integers(ends.min, ends.max, (count, cols), endpoint=True)
        return {
            "w_row": np.where(inside[..., None], rng.integers(-8, 8, (count, rows, cols)), 0),
            "a_row": np.where(inside, rng.integers(0, 16, (count, rows)), 0),
            "za": rng.integers(-16, 16, (count, 1)),
            "zw": rng.integers(-16, 16, (count, cols)),
            "depth": depth.reshape(-1, 1),
            "bias": bias,
        }

    def corners(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """Every extreme of codes and zero points, and sums at both ends."""
        grid = np.meshgrid([0, 15], [-8, 7], [-16, 0, 15], [-16, 15], [1, rows], [ends.min, 0, ends.max], indexing="ij")
        a, w, za, zw, depth, bias = (axis.ravel() for axis in grid)
        inside = np.arange(rows) < depth[:, None]
        return {
            "w_row": np.where(inside, w[:, None], 0)[..., None] * np.ones(cols, np.int64),
            "a_row": np.where(inside, a[:, None], 0),
            "za": za.reshape(-1, 1),
            "zw": np.repeat(zw[:, None], cols, axis=1),
            "depth": depth.reshape(-1, 1),
            "bias": np.repeat(bias[:, None], cols, axis=1),
        }

    def golden(values: Values) -> dict[str, NDArray[Any]]:
        """From the definition: bias + sum of (a - za)(w - zw) over the depth, less the sum of a w."""
        inside = np.arange(rows) < values["depth"]
        a, w = values["a_row"], values["w_row"]
        less = np.where(inside[..., None], (a - values["za"])[..., None] * (w - values["zw"][:, None]), 0).sum(1)
        start = values["bias"] + less - (a[..., None] * w).sum(1)
        return {"start": (start + (1 << 31)) % (1 << 32) - (1 << 31)}

    def points(values: Values, answers: Values) -> tuple[Point, ...]:
        wrapped = np.abs(answers["start"] - values["bias"]) > 1 << 31
        return (
            Point("depths", np.unique(values["depth"]).size, rows),
            Point("activation zero points", np.unique(values["za"]).size, 32),
            Point("weight zero points", np.unique(values["zw"]).size, 32),
            Point("start past an end", int(wrapped.any())),
        )

    return CaseUnit(
        name="zero_point",
        top="zero_point",
        parameters={"ROWS": rows, "COLS": cols, "A_SIGNED": 0, "W_SIGNED": 1},
        inputs=(
            Port("w_row", 4, cols, signed=True),
            Port("a_row", 4, rows),
            Port("za", 5, signed=True),
            Port("zw", 5, cols, signed=True),
            Port("depth", rows.bit_length()),
            Port("bias", 32, cols, signed=True),
        ),
        outputs=(Port("start", 32, cols, signed=True),),
        checks={"corners": corners, "random": draw},
        golden=golden,
        points=points,
        rows={"w_row": rows},
    )
