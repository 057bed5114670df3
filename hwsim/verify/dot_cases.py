"""Fused dot products of matrix units as cases: ``dot_fused``, or ``dot_scaled`` for those with block scales."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import UnitError
from hwsim.numerics.codec import element_format
from hwsim.numerics.unit import FusedUnit, MatrixUnit, ScaledFusedUnit
from hwsim.verify.cases import CaseUnit, Port, Values
from hwsim.verify.catalog import scale_parameters
from hwsim.verify.dot import dot_parameters
from hwsim.verify.float_sums import EXTREMES, INFINITY, float_codes, sums_against
from hwsim.verify.multipliers import fixed_point
from hwsim.verify.result import Point

PAIRED_BITS = 8
"""Up to so many bits every pair of operands is driven."""
PAIRED_CASES = 1 << 14
"""In so many cases, or in each lane once, where pairs are fewer."""


def forms_dot(unit: MatrixUnit) -> bool:
    """True where one of the two modules forms the unit's sums."""
    if isinstance(unit, ScaledFusedUnit):
        return unit.group > 1 and unit.products % unit.block_size == 0
    try:
        dot_parameters(unit)
    except UnitError:
        return False
    return True


def dot_unit(unit: MatrixUnit) -> CaseUnit:
    """The dot product of ``products`` terms that a unit forms in one step."""
    assert isinstance(unit, FusedUnit)
    scaled = unit if isinstance(unit, ScaledFusedUnit) else None
    size = unit.accumulator_dtype.itemsize * 8
    bits = {fmt: _bits(fmt) for fmt in (unit.a_format, unit.b_format)}
    blocks = 0 if scaled is None else scaled.products // scaled.block_size
    inputs = [Port(name, bits[fmt], unit.products, fmt) for name, fmt in (("a", unit.a_format), ("b", unit.b_format))]
    if scaled is not None:
        inputs += [Port(name, 8, blocks, scaled.scale_format) for name in ("sa", "sb")]
    inputs.append(Port("c", size, fmt=unit.accumulator))
    output = Port("d", size, fmt=unit.accumulator)

    def golden(values: Values) -> dict[str, NDArray[Any]]:
        from hwsim.numerics import mma

        a, b = (
            np.ascontiguousarray(values[port.name][:, None], element_format(port.fmt or "").code_dtype)
            for port in inputs[:2]
        )
        c = values["c"].astype(f"<u{size // 8}").view(unit.accumulator_dtype)[:, None]
        scales = {}
        if scaled is not None:
            scales = {f"{n}_scale": np.ascontiguousarray(values[f"s{n}"][:, None], np.uint8) for n in ("a", "b")}
        d = mma(a, b, np.ascontiguousarray(c), unit, **scales)
        return {"d": np.ascontiguousarray(d).view(f"<u{size // 8}").astype(np.int64).reshape(-1, 1)}

    def finish(values: dict[str, NDArray[Any]], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        if scaled is not None and "sa" not in values:
            shape = (len(values["a"]), blocks)
            values |= {name: _scales(rng, scaled.scale_format, shape) for name in ("sa", "sb")}
        return {port.name: values[port.name] for port in inputs}

    def pairs(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """Every pair of operands, each in one lane in turn with zeros in the others, onto extreme sums in turn."""
        a, b = (axis.ravel() for axis in np.meshgrid(*(np.arange(1 << bits[p.fmt or ""]) for p in inputs[:2])))
        turns = min(unit.products, max(1, PAIRED_CASES // a.size))
        lane = (np.arange(a.size) + np.arange(turns)[:, None]).ravel()[:, None] % unit.products
        here = lane == np.arange(unit.products)
        a, b = np.tile(a, turns), np.tile(b, turns)
        c = np.where(np.arange(a.size) % 2, 0, np.resize(_sums(unit), a.size))
        return finish({"a": here * a[:, None], "b": here * b[:, None], "c": c.reshape(-1, 1)}, rng)

    def corners(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """Each pair of extreme operands in all lanes, with one sign and with signs that cancel, onto extreme sums."""
        a, b, c = (
            axis.ravel()
            for axis in np.meshgrid(_extremes(unit.a_format), _extremes(unit.b_format), _sums(unit), indexing="ij")
        )
        sign = np.int64(1) << (bits[unit.a_format] - 1)
        flips = np.arange(unit.products) % 2 * sign
        same = np.repeat(a[:, None], unit.products, axis=1)
        other = np.repeat(b[:, None], unit.products, axis=1)
        both = {
            "a": np.concatenate([same, same ^ flips]),
            "b": np.concatenate([other, other]),
            "c": np.tile(c, 2).reshape(-1, 1),
        }
        return finish(both, rng)

    def draw(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """Operands anywhere, infinities and NaN in a few; sums of the size of products, and of any."""
        from hwsim.numerics import encode

        made = {}
        for name, fmt in (("a", unit.a_format), ("b", unit.b_format)):
            codes = rng.integers(0, 1 << bits[fmt], (count, unit.products))
            tame = rng.random((count, 1)) < 0.98
            codes = np.where(tame & ~_finite(fmt)[codes], 0, codes)
            if bits[fmt] > PAIRED_BITS:  # wide formats: most near 1, or every sum overflows or drowns
                near = encode(rng.normal(0, 2, codes.shape).astype(np.float32), fmt).astype(np.int64)
                codes = np.where(rng.random((count, 1)) < 0.6, near, codes)
            made[name] = np.where(rng.random(codes.shape) < 0.1, 0, codes)
        c = float_codes(rng.normal(0, 8, count), unit.accumulator)
        c = np.where(rng.random(count) < 0.2, rng.choice(_sums(unit), count), c)
        made["c"] = np.where(rng.random(count) < 0.2, rng.integers(0, 1 << size, count), c).reshape(-1, 1)
        return finish(made, rng)

    def special(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """In one lane, two, or three among ordinary ones: zeros, infinities, NaN, and codes of a single bit."""
        count *= 2
        made, rows = draw(rng, count), np.arange(count)
        alone = rng.random((count, 1)) < 0.3
        for name in ("a", "b"):
            made[name] = np.where(alone, 0, made[name])
        for lane in (rng.integers(0, unit.products, count) for _ in range(3)):
            here = rng.random(count) < 0.6
            for name, fmt in (("a", unit.a_format), ("b", unit.b_format)):
                apart = np.concatenate([_extremes(fmt), *[np.flatnonzero(~_finite(fmt))[:1]] * 4])
                code = np.where(
                    rng.random(count) < 0.5, rng.choice(apart, count), 1 << rng.integers(0, bits[fmt], count)
                )
                code ^= rng.integers(0, 2, count) << (bits[fmt] - 1)
                made[name][rows, lane] = np.where(here, code, made[name][rows, lane])
        return made

    def cancel(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
        """Products of any size that cancel but for one; c cancels that too, or is subnormal, or next to infinity."""
        made, half, piled = {}, unit.products // 2, rng.random((count, 1)) < 0.1
        for name, fmt in (("a", unit.a_format), ("b", unit.b_format)):
            sign = 1 << (bits[fmt] - 1)
            codes = rng.integers(0, sign, (count, unit.products)) >> rng.integers(0, bits[fmt] - 1, (count, 1))
            power = rng.random((count, 1)) < 0.5  # without mantissas, ties are common
            codes = np.where(power, codes >> _mantissa(fmt) << _mantissa(fmt), codes)
            codes = np.where(_finite(fmt)[codes], codes, 0) | rng.integers(0, 2, codes.shape) * sign
            flip = sign if name == "b" else 0
            codes[:, half : 2 * half] = codes[:, :half] ^ flip
            # or all of one sign and of one size: the longest sum
            made[name] = np.where(piled, codes[:, :1] & (sign - 1), codes)
        case, lane = np.arange(count), rng.integers(0, unit.products, count)
        made["a"][case, lane] = np.where(rng.random(count) < 0.3, 0, made["a"][case, rng.permuted(lane)])
        if scaled is not None:
            for name in ("sa", "sb"):
                made[name] = _scales(rng, scaled.scale_format, (count, blocks))
                made[name][:, blocks - blocks // 2 :] = made[name][:, : blocks // 2]
        products = _values(unit.a_format)[made["a"]] * _values(unit.b_format)[made["b"]]
        if scaled is not None:
            with np.errstate(invalid="ignore"):
                stored = _values(scaled.scale_format)[made["sa"]] * _values(scaled.scale_format)[made["sb"]]
            products = products * np.repeat(np.nan_to_num(stored), scaled.block_size, axis=1)
        made["c"] = sums_against(rng, products.sum(axis=1), unit.accumulator)[:, None]
        return finish(made, rng)

    def points(values: Values, answers: Values) -> tuple[Point, ...]:
        return _points(unit, values, answers["d"][:, 0])

    checks = {"pairs": pairs} if max(bits.values()) <= PAIRED_BITS else {}
    return CaseUnit(
        name=unit.name,
        top="dot_fused" if scaled is None else "dot_scaled",
        parameters=dot_parameters(unit) if scaled is None else _scaled_parameters(scaled),
        inputs=tuple(inputs),
        outputs=(output,),
        checks={**checks, "corners": corners, "special": special, "cancel": cancel, "random": draw},
        golden=golden,
        points=points,
        rows={},
    )


def _scaled_parameters(unit: ScaledFusedUnit) -> dict[str, int | str]:
    from hwsim.numerics import formats
    from hwsim.numerics.format import FloatLayout, Format

    element = formats[unit.a_format]
    assert isinstance(element, Format)
    assert isinstance(element.layout, FloatLayout)
    most = int(np.abs(fixed_point(unit.a_format)[0]).max())
    return {
        "L": unit.products,
        "GROUP": unit.group,
        "BLOCK": unit.block_size,
        "E": element.layout.exponent_bits,
        "M": element.layout.mantissa_bits,
        "P_W": (most * most).bit_length() + 1,
        **scale_parameters(unit.name),
    }


def _points(unit: FusedUnit, values: Values, d: NDArray[np.int64]) -> tuple[Point, ...]:
    a, b, c = (values[name].astype(np.int64) for name in ("a", "b", "c"))
    top = unit.accumulator_dtype.itemsize * 8 - 1
    low = (1 << top) - 1
    field = INFINITY[unit.accumulator]
    with np.errstate(invalid="ignore"):  # 0 times infinity
        products = _values(unit.a_format)[a] * _values(unit.b_format)[b]
        zero = np.nansum(products, axis=1) == 0
    special = ~np.isfinite(products).all(axis=1)
    start = c[:, 0]
    found = [
        Point("c = +0", int((start == 0).any())),
        Point("c = -0", int((start == 1 << top).any())),
        Point("c infinite", int(((start & low) == field).any())),
        Point("c NaN", int(((start & low) > field).any())),
        Point("products cancel", int((zero & (products != 0).any(axis=1) & ~special).any())),
        Point("all products zero", int((products == 0).all(axis=1).any())),
        Point("d subnormal", int(((d & field == 0) & (d & low != 0)).any())),
        Point("d NaN", int(((d & low) > field).any())),
    ]
    if _overflows(unit):
        infinite = (d & low == field) & ~special & (start & field != field)
        found.append(Point("d infinite from finite operands", int(infinite.any())))
    if special.any() or not _finite(unit.a_format).all():
        found.append(Point("special operand", int(special.any())))
    if isinstance(unit, ScaledFusedUnit):
        scale = _values(unit.scale_format)[values["sa"].astype(np.int64)]
        found.append(Point("NaN scale", int(np.isnan(scale).any())))
        if (_values(unit.scale_format) == 0).any():
            found.append(Point("zero scale", int((scale == 0).any())))
    if max(_bits(unit.a_format), _bits(unit.b_format)) <= PAIRED_BITS:
        pairs = np.unique((a << _bits(unit.b_format)) + b).size
        found.insert(0, Point("operand pairs", pairs, 1 << (_bits(unit.a_format) + _bits(unit.b_format))))
    return tuple(found)


def _overflows(unit: FusedUnit) -> bool:
    """Products are large enough to push a finite c past the largest number: they show in its last bits."""
    most = [np.nanmax(np.where(_finite(fmt), np.abs(_values(fmt)), 0)) for fmt in (unit.a_format, unit.b_format)]
    if isinstance(unit, ScaledFusedUnit):
        most += [np.nanmax(_values(unit.scale_format))] * 2
    reach = float(np.log2(most).sum()) + float(np.log2(unit.products))
    top = 127 if unit.accumulator == "fp32" else 15
    return reach > top - min(unit.fraction_bits, unit.accumulator_dtype.itemsize * 8)


@cache
def _values(fmt: str) -> NDArray[np.float64]:
    from hwsim.numerics import decode

    bits = _bits(fmt)
    codes = np.arange(1 << bits).astype(element_format(fmt).code_dtype)
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes quiet as it widens
        return np.asarray(decode(codes, fmt), np.float64)


def _finite(fmt: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.isfinite(_values(fmt))
    return found


def _bits(fmt: str) -> int:
    return element_format(fmt).bits


def _mantissa(fmt: str) -> int:
    """Bits below the exponent."""
    from hwsim.numerics.format import FloatLayout

    layout = element_format(fmt).layout
    assert isinstance(layout, FloatLayout)
    return layout.mantissa_bits


def _extremes(fmt: str) -> NDArray[np.int64]:
    """Codes of both zeros, the least and largest subnormal and normal numbers of both signs, 1, infinity, NaN."""
    values, half = _values(fmt), 1 << (_bits(fmt) - 1)
    finite = np.flatnonzero(np.isfinite(values[:half]))
    one = int(np.flatnonzero(values[:half] == 1)[0])
    step = 1 << _mantissa(fmt)
    positive = {0, 1, step - 1, step, one, int(finite[-1]), *np.flatnonzero(~np.isfinite(values[:half]))[:2].tolist()}
    return np.array(sorted({*positive, *(code | half for code in positive)}), np.int64)


def _sums(unit: FusedUnit) -> NDArray[np.int64]:
    return np.array(EXTREMES[unit.accumulator], np.int64)


def _scales(rng: np.random.Generator, fmt: str, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Half near 1, half anywhere; one of ten extreme."""
    values = _values(fmt)
    one = int(np.flatnonzero(values == 1)[0])
    found = np.where(rng.random(shape) < 0.5, one + rng.integers(-8, 9, shape), rng.integers(0, 256, shape))
    nan = int(np.flatnonzero(np.isnan(values))[0])
    return np.where(rng.random(shape) < 0.1, rng.choice([0, 1, 7, 8, nan - 1, nan], shape), found).astype(np.int64)
