"""``rtl/dot_fused.v``, the truncated fused dot product: its parameters from the catalog, and running it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import UnitError
from hwsim.numerics import formats, units
from hwsim.numerics.format import FloatLayout
from hwsim.numerics.unit import FusedUnit, MatrixUnit, ScaledFusedUnit
from hwsim.verify.drive import pack_lanes
from hwsim.verify.simulator import Design
from hwsim.verify.sources import rtl_sources

_NAN = {"none": 0, "all_ones": 1, "ieee": 2}
_RESULT = {"rz_fp32": (23, 0), "rz_e8m13": (13, 0), "rne_fp16": (10, 1)}  # mantissa bits kept, NEAREST


def dot_parameters(unit: str | MatrixUnit) -> dict[str, int | str]:
    """Parameters of ``dot_fused`` for a unit.

    Raises:
        UnitError: the module does not form that unit's sums (it is no fused unit, or one with block scales, with
            operands converted first, or with c added apart).
    """
    entry = unit if isinstance(unit, MatrixUnit) else units[unit]
    plain = isinstance(entry, FusedUnit) and not isinstance(entry, ScaledFusedUnit)
    if not isinstance(entry, FusedUnit) or not plain or entry.addend_apart or entry.operands_become:
        raise UnitError("dot_fused does not form its sums", where=f"unit {entry.name!r}")
    a, b, c = (_layout(name) for name in (entry.a_format, entry.b_format, entry.accumulator))
    kept, nearest = _RESULT[entry.rounding]
    return {
        "L": entry.products,
        "F": entry.fraction_bits,
        "FLOOR": entry.floor_exponent,
        **{"EA": a.exponent_bits, "MA": a.mantissa_bits, "NAN_A": _NAN[a.nan]},
        **{"EB": b.exponent_bits, "MB": b.mantissa_bits, "NAN_B": _NAN[b.nan]},
        **{"CE": c.exponent_bits, "CM": c.mantissa_bits},
        **{"DM": kept, "NEAREST": nearest},
    }


def rtl_dot(
    a_codes: ArrayLike, b_codes: ArrayLike, c: ArrayLike, unit: str, *, sources: Sequence[str | Path] = ()
) -> NDArray[Any]:
    """c + sum over k of a b, for each case by itself, computed by ``dot_fused`` compiled with Verilator.

    Args:
        a_codes, b_codes: codes [cases, K], K a multiple of the unit's ``products``; further products are chained.
        c: [cases] of the accumulator's type.

    Returns:
        d [cases], typed like c; a NaN has all bits below the sign set.

    Raises:
        UnitError: the module does not form that unit's sums, or the operands do not fit.
        ToolError: Verilator or a compiler is missing, or the Verilog is not accepted.
    """
    from hwsim.verify.compiled import Compiled

    design = Design.of("dot_fused", rtl_sources(sources), dot_parameters(unit))
    entry = units[unit]
    assert isinstance(entry, FusedUnit)
    a, b, total = np.asarray(a_codes), np.asarray(b_codes), np.asarray(c)
    fits = a.ndim == 2 and a.shape == b.shape and total.shape == a.shape[:1]
    if not fits or a.shape[1] % entry.products or total.dtype != entry.accumulator_dtype:
        raise UnitError(
            f"expected codes [cases, K], K a multiple of {entry.products}, and {entry.accumulator_dtype} [cases], "
            f"found {a.shape}, {b.shape} and {total.dtype} {total.shape}",
            where=f"unit {unit!r}",
        )
    layouts = [_layout(name) for name in (entry.a_format, entry.b_format)]
    bits = [1 + layout.exponent_bits + layout.mantissa_bits for layout in layouts]
    width = total.dtype.itemsize
    with Compiled(design) as model:
        for k in range(0, a.shape[1], entry.products):
            step = slice(k, k + entry.products)
            lanes = [pack_lanes(codes[:, step], n) for codes, n in zip((a, b), bits, strict=True)]
            start = np.ascontiguousarray(total).view(np.uint8).reshape(-1, width)
            d = model.evaluate({"a": lanes[0], "b": lanes[1], "c": start}, ["d"])["d"]
            total = np.ascontiguousarray(d[:, :width]).view(total.dtype).reshape(-1)
    return total


def _layout(name: str) -> FloatLayout:
    layout = getattr(formats[name], "layout", None)
    if not isinstance(layout, FloatLayout) or layout.bias != (1 << (layout.exponent_bits - 1)) - 1:
        raise UnitError(f"dot_fused takes floating-point formats with the usual bias, found {name!r}")
    return layout
