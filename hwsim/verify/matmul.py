"""``rtl_matmul``: a matrix product computed by the simulated array."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import DataError, ToolError, UnitError
from hwsim.verify.catalog import rtl_unit
from hwsim.verify.compare import fold_cycles
from hwsim.verify.drive import Array, Sums, run_stream, sum_dtype
from hwsim.verify.multipliers import MULTIPLIERS, fixed_point
from hwsim.verify.sources import rtl_sources


def rtl_matmul(
    a_codes: ArrayLike,
    b_codes: ArrayLike,
    c: ArrayLike | None = None,
    *,
    unit: str = "hwsim.rtl.int4",
    rows: int = 16,
    cols: int = 16,
    sim: str = "icarus",
    sources: Sequence[str | Path] = (),
    a_scale: NDArray[np.uint8] | None = None,
    b_scale: NDArray[np.uint8] | None = None,
) -> tuple[Sums, int]:
    """c + a b^T computed by the simulated array, split into folds along K and N; K chains through psum_in.

    Args:
        a_codes: operand codes [M, K] of the unit's A format.
        b_codes: operand codes [N, K] of its B format.
        c: sums to start from [M, N], int32 (int64 where a sum is wider, float32 with block scales), entering through
            psum_in; None is zero.
        a_scale, b_scale: scale codes [M, blocks] and [N, blocks] of a unit with block scales.
        rows, cols: shape of the array. sim: simulator. sources: as in ``verify_rtl``.

    Returns:
        The sums [M, N], typed like c, and the cycles that the array took, counted in simulation:
        ceil(K / rows) * ceil(N / cols) folds of 2 * rows + cols + M - 2.

    Raises:
        UnitError: no Verilog realises ``unit``, a code does not fit its format, or scales are missing or too many.
        DataError: shapes that do not multiply, or an empty operand.
        ToolError: the simulator is missing or failed, or the array gave an incomplete answer.
    """
    return matmul_on(
        Array(rtl_unit(unit), rows, cols, rtl_sources(sources), sim), a_codes, b_codes, c, a_scale, b_scale
    )


def matmul_on(
    array: Array,
    a_codes: ArrayLike,
    b_codes: ArrayLike,
    c: ArrayLike | None = None,
    a_scale: NDArray[np.uint8] | None = None,
    b_scale: NDArray[np.uint8] | None = None,
) -> tuple[Sums, int]:
    """``rtl_matmul`` on an array that is already described."""
    unit, rows, cols = array.unit.name, array.rows, array.cols
    scaled = array.unit.scaled
    if scaled != (a_scale is not None) or scaled != (b_scale is not None):
        raise UnitError(f"{unit} takes {'' if scaled else 'no '}block scales", where="rtl_matmul")
    a = _operand("a_codes", a_codes, array.width("A_W"))
    b = _operand("b_codes", b_codes, array.width("W_W"))
    if a.shape[1] != b.shape[1]:
        raise DataError(
            f"a_codes {a.shape} and b_codes {b.shape} must share K, their last dimension", where="rtl_matmul"
        )
    (m, k), n = a.shape, b.shape[0]
    multiplier = MULTIPLIERS[array.unit.multiplier]
    folds, chains = -(-k // rows), -(-n // cols)
    if k % rows and any(fixed_point(f)[0][0] for f in (multiplier.a_format, multiplier.b_format)):
        raise UnitError(f"{unit} has no zero to fill K = {k} with: expected a multiple of {rows}", where="rtl_matmul")
    # code 0 is zero in every other format the array multiplies, so what is added at the edges adds nothing
    a_padded = np.pad(a, ((0, 0), (0, folds * rows - k)))
    b_padded = np.pad(b, ((0, chains * cols - n), (0, folds * rows - k)))
    a_folds = a_padded.reshape(m, folds, rows).transpose(1, 0, 2)
    w = b_padded.reshape(chains, cols, folds, rows).transpose(0, 2, 3, 1)
    limit = 2 * chains * folds * fold_cycles(rows, cols, m) + 1000
    dtype = sum_dtype(array.width("ACC_W"))
    start = np.zeros((m, chains * cols), dtype=dtype)
    if c is not None:
        given = np.asarray(c)
        wanted = np.dtype(np.float32) if scaled else dtype
        if given.shape != (m, n) or given.dtype != wanted:
            raise DataError(f"c must be {wanted} {(m, n)}, found {given.dtype} {given.shape}", where="rtl_matmul")
        start[:, :n] = np.ascontiguousarray(given).view(np.int32) if scaled else given
    start = np.ascontiguousarray(start.reshape(m, chains, cols).transpose(1, 0, 2))
    scales = None
    if a_scale is not None and b_scale is not None:
        of_w = np.pad(_beside("b_scale", b_scale, (n, folds)), ((0, chains * cols - n), (0, 0)))
        of_a = _beside("a_scale", a_scale, (m, folds)).T
        scales = (
            np.ascontiguousarray(of_w.reshape(chains, cols, folds).transpose(0, 2, 1)),
            np.broadcast_to(of_a, (chains, folds, m)),
        )
    got = run_stream(array, w, np.broadcast_to(a_folds, (chains, *a_folds.shape)), start, scales, limit_cycles=limit)
    if not got.done or got.stray or not got.good.all():
        came = f"{got.came} of {chains * m} result rows, {got.stray} unasked"
        hint = "verify_rtl says what is wrong with it"
        raise ToolError(f"the array gave {came}", where="rtl_matmul", hint=hint)
    sums = np.ascontiguousarray(got.sums.transpose(1, 0, 2).reshape(m, chains * cols)[:, :n])
    return sums.view(np.float32) if scaled else sums, got.cycles


def _beside(name: str, codes: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    array = np.asarray(codes)
    if array.shape != shape or array.dtype != np.uint8:
        raise DataError(f"{name} must be uint8 {shape}, found {array.dtype} {array.shape}", where="rtl_matmul")
    return array


def _operand(name: str, codes: ArrayLike, bits: int) -> NDArray[np.uint8]:
    array = np.asarray(codes)
    if array.ndim != 2 or array.size == 0:
        raise DataError(f"{name} must be a non-empty matrix, not of shape {array.shape}", where="rtl_matmul")
    if array.dtype.kind not in "iu" or int(array.min()) < 0 or int(array.max()) >= 1 << bits:
        raise UnitError(
            f"{name} must hold codes 0..{(1 << bits) - 1}", where="rtl_matmul", hint="encode the values first"
        )
    return array.astype(np.uint8)
