"""Rounding that makes up for its own errors: each column of a weight is rounded in turn, and the columns that are still
free move so that the layer's outputs change least.

Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ: accurate post-training quantization for generative pre-trained
transformers", arXiv 2210.17323, equations 2 and 3 and algorithm 1, with columns in the order of falling curvature.

`refined` goes on from there, one code at a time: a code moves to where the error of its row is least while the others
stay (coordinate descent), and a row's scale to where it is least for the row's codes (least squares). Neither step can
make the error larger.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.numerics import Format, QTensor, decode, encode, quantize_tensor
from hwsim.numerics.codec import element_format
from hwsim.numerics.threads import split

Matrix = NDArray[np.float64]

DAMPING = 0.01
"""Share of the mean of the Hessian's diagonal that is added to it (the paper's choice)."""

MULTIPLES = (0.7, 0.8, 0.9, 1.1, 1.2)
"""Multiples of a row's scale that are tried beside the scale itself."""

ROWS = 4096
"""Rows of a weight that are rounded at a time."""

SWEEPS = 3
"""Rounds of coordinate descent and new scales."""

COLUMNS = 128
"""Columns whose errors reach the rest of the matrix in one product (the paper's lazy batches)."""


def damped(hessian: Matrix, damping: float = DAMPING, variance: Matrix | None = None) -> Matrix:
    """``hessian`` [groups, K, K] with ``damping`` times the mean of each group's diagonal added to the diagonal; groups
    that saw nothing become the identity, in which rounding is to nearest.

    With ``variance`` [groups, K], what the inputs are known to vary by, nine tenths of what is added go by that.
    """
    k = hessian.shape[-1]
    mean = np.einsum("gkk->g", hessian) / k
    extra = np.where(mean > 0, damping * mean, 1.0)[:, None]
    if variance is not None:
        extra = 0.1 * extra + 0.9 * damping * variance
    return hessian + np.broadcast_to(extra, hessian.shape[:2])[:, :, None] * np.eye(k)


def round_with_scales(weight: NDArray[Any], hessian: Matrix, stored: QTensor) -> QTensor:
    """As `round_compensated`, each row with the best of ``MULTIPLES`` of its scales.

    Rows do not know of each other, so each takes the multiple with the least error in the Hessian's norm. Scales that
    all rows share, those of groups (one multiple for all groups of a row gains nothing), and those that a block
    format's rule makes, stay.
    """
    if stored.axis is None or stored.block_size is not None or stored.scale_format != "fp32":
        return round_compensated(weight, hessian, stored)
    factor = factored(hessian)
    best = round_compensated(weight, hessian, stored, factor)
    least = row_errors(weight, hessian, best)
    for multiple in MULTIPLES:
        scaled = replace(stored, scale=(stored.scale * np.float32(multiple)).astype(np.float32))
        trial = round_compensated(weight, hessian, scaled, factor)
        error = row_errors(weight, hessian, trial)
        better = error < least
        rows = better.reshape(-1, *[1] * (trial.codes.ndim - 1))
        best = replace(
            best,
            codes=np.where(rows, trial.codes, best.codes),
            scale=np.where(better if trial.scale.ndim == 1 else rows, trial.scale, best.scale),
        )
        least = np.minimum(error, least)
    return best


def refined(weight: NDArray[Any], hessian: Matrix, stored: QTensor) -> QTensor:
    """``stored`` with codes and scales moved, one after the other, to where (w - q) H (w - q)' is less.

    Args:
        weight: real numbers [out, in, ...]; where ``hessian`` has G groups, each serves out / G rows in turn.
        hessian: [G, K, K], positive definite.
        stored: a first rounding; only storage with one scale a row changes, anything else is returned as it is.
    """
    if stored.axis != 0 or stored.block_size is not None or stored.zero_point is not None:
        return stored
    groups, k = hessian.shape[0], hessian.shape[-1]
    wanted = np.asarray(weight, dtype=np.float64).reshape(groups, -1, k)
    for _ in range(SWEEPS):
        codes = _descend(wanted, hessian, stored)
        levels = decode(codes, stored.format).astype(np.float64).reshape(wanted.shape)
        turned = levels @ hessian
        power = np.einsum("gok,gok->go", turned, levels)
        fit = np.einsum("gok,gok->go", turned, wanted) / np.where(power > 0, power, 1)
        scale = np.where((power > 0) & (fit > 0), fit, stored.scale.reshape(groups, -1)).reshape(-1)
        stored = replace(stored, codes=codes.reshape(stored.codes.shape), scale=scale.astype(np.float32))
    return stored


def _descend(wanted: Matrix, hessian: Matrix, stored: QTensor) -> NDArray[Any]:
    """Codes [rows, K] after every column in turn took the best codes for what the other columns hold."""
    (groups, each, k), entry = wanted.shape, element_format(stored.format)
    error = wanted - stored.dequantize().reshape(wanted.shape)
    whole = np.empty((groups * each, k), np.int32)
    codes = stored.codes.reshape(-1, k).copy()
    for start in range(0, k, COLUMNS):
        block = start, min(start + COLUMNS, k)
        slope = error @ hessian[:, :, slice(*block)]
        if _has_kernel(entry):
            from hwsim.quant._kernels_gptq import descend

            args = (wanted.reshape(-1, k), error.reshape(-1, k), slope.reshape(-1, slope.shape[-1]), hessian)
            scale = stored.scale.astype(np.float64).reshape(-1)
            split(partial(descend, *args, scale, _limits(entry), block, whole), len(whole), slope.size * COLUMNS)
        else:
            _descend_block(wanted, error, slope, hessian, stored, block, codes)
    return encode(whole.astype(np.float32), stored.format) if _has_kernel(entry) else codes


def _descend_block(
    wanted: Matrix,
    error: Matrix,
    slope: Matrix,
    hessian: Matrix,
    stored: QTensor,
    block: tuple[int, int],
    codes: NDArray[Any],
) -> None:
    """The columns of a block, for any format."""
    start, end = block
    for at in range(start, end):
        best = wanted[:, :, at] - error[:, :, at] + slope[:, :, at - start] / hessian[:, at, at, None]
        column = quantize_tensor(best.reshape(-1).astype(np.float32), stored.format, axis=0, scale=stored.scale)
        left = wanted[:, :, at] - column.dequantize().reshape(wanted.shape[:2])
        slope += (left - error[:, :, at])[:, :, None] * hessian[:, None, at, start:end]
        error[:, :, at] = left
        codes[:, at] = column.codes


def row_errors(weight: NDArray[Any], hessian: Matrix, stored: QTensor) -> Matrix:
    """(w - q) H (w - q)' of every row of ``weight``, float64 [out]."""
    groups, k = hessian.shape[0], hessian.shape[-1]
    wide = np.asarray(weight, np.float64).reshape(groups, -1, k)
    off = wide - stored.dequantize().reshape(wide.shape)
    return np.asarray(np.einsum("gok,gok->go", off @ hessian, off).reshape(-1), np.float64)


def round_compensated(
    weight: NDArray[Any], hessian: Matrix, stored: QTensor, factor: tuple[NDArray[np.intp], Matrix] | None = None
) -> QTensor:
    """New codes for ``stored``, with its scales, that keep the outputs of ``weight``.

    Args:
        weight: real numbers [out, in, ...]; where ``hessian`` has G groups, each serves out / G rows in turn.
        hessian: [G, K, K], positive definite: inputs' second moments, K in the order of ``weight``'s own elements.
        stored: ``weight`` rounded to nearest; its scales and zero points are kept.
        factor: `factored` of ``hessian``, where it is known already.

    Returns:
        The same storage with codes for which tr((w - q) H (w - q)') is small.
    """
    groups, k = hessian.shape[0], hessian.shape[-1]
    order, upper = factored(hessian) if factor is None else factor
    back = np.argsort(order)
    rows = np.asarray(weight).reshape(groups, -1, k)
    scale = spread(stored, stored.scale).reshape(rows.shape)
    zero = None if stored.zero_point is None else spread(stored, stored.zero_point).reshape(rows.shape)
    if stored.tensor_scale is not None:
        scale = scale * stored.tensor_scale
    columns = _integers if _has_kernel(element_format(stored.format)) else _columns
    codes = np.empty(rows.shape, stored.codes.dtype)
    together = max(1, ROWS // max(rows.shape[1], 1))
    for first in range(0, groups, together):
        for start in range(0, rows.shape[1], ROWS):
            part = slice(first, first + together), slice(start, start + ROWS)
            made = columns(
                rows[part][..., order].astype(np.float64),
                upper[part[0]],
                scale[part][..., order],
                None if zero is None else zero[part][..., order],
                stored.format,
            )
            codes[part] = made[..., back]
    return replace(stored, codes=codes.reshape(stored.codes.shape))


def spread(stored: QTensor, field: NDArray[Any]) -> NDArray[Any]:
    """A scale or zero point for every element."""
    shape = stored.codes.shape
    if stored.axis is None:
        return np.broadcast_to(field, shape)
    if stored.block_size is None:
        return np.broadcast_to(field.reshape([-1 if d == stored.axis else 1 for d in range(len(shape))]), shape)
    return np.take(np.repeat(field, stored.block_size, axis=stored.axis), np.arange(shape[stored.axis]), stored.axis)


def factored(hessian: Matrix) -> tuple[NDArray[np.intp], Matrix]:
    """The columns in the order of falling curvature, and for each group, in that order, the upper triangular U with
    H^-1 = U' U."""
    order = np.argsort(-np.einsum("gkk->gk", hessian).mean(axis=0), kind="stable")
    lower = np.linalg.cholesky(np.linalg.inv(hessian[:, order][:, :, order]))
    return order, np.ascontiguousarray(np.swapaxes(lower, 1, 2))


def _has_kernel(entry: Format) -> bool:
    return entry.is_integer and entry.bits <= 16


def _limits(entry: Format) -> tuple[int, int]:
    return int(entry.min_value), int(entry.max_value)


def _integers(rows: Matrix, upper: Matrix, scale: NDArray[Any], zero: NDArray[Any] | None, fmt: str) -> NDArray[Any]:
    """Codes [groups, rows, K] of an integer format, in compiled code."""
    from hwsim.quant._kernels_gptq import compensate

    entry, k = element_format(fmt), rows.shape[-1]
    flat = rows.reshape(-1, k)
    wide = np.ascontiguousarray(scale, np.float64).reshape(flat.shape)
    points = np.zeros_like(wide) if zero is None else np.ascontiguousarray(zero, np.float64).reshape(flat.shape)
    whole = np.empty(flat.shape, np.int32)
    for start in range(0, k, COLUMNS):
        end = min(start + COLUMNS, k)
        errors = np.empty((*rows.shape[:2], end - start))
        args = (flat, upper, wide, points, _limits(entry), (start, end), whole, errors.reshape(len(flat), -1))
        split(partial(compensate, *args), len(flat), errors.size * COLUMNS)
        if end < k:
            rows[:, :, end:] -= errors @ upper[:, start:end, end:]
    return encode(whole.astype(np.float32), fmt).reshape(rows.shape)


def _columns(rows: Matrix, upper: Matrix, scale: NDArray[Any], zero: NDArray[Any] | None, fmt: str) -> NDArray[Any]:
    """Codes [groups, rows, K] of any format, column by column."""
    k = rows.shape[-1]
    codes: list[NDArray[Any]] = []
    for start in range(0, k, COLUMNS):
        end = min(start + COLUMNS, k)
        errors = np.empty((*rows.shape[:2], end - start))
        for at in range(start, end):
            column = quantize_tensor(
                rows[..., at].astype(np.float32).reshape(-1),
                fmt,
                axis=0,
                scale=scale[..., at].reshape(-1),
                zero_point=None if zero is None else zero[..., at].reshape(-1),
            )
            codes.append(column.codes.reshape(rows.shape[:2]))
            error = (rows[..., at] - column.dequantize().reshape(rows.shape[:2])) / upper[:, at, at, None]
            rows[..., at:end] -= error[..., None] * upper[:, None, at, at:end]
            errors[..., at - start] = error
        rows[..., end:] -= errors @ upper[:, start:end, end:]
    return np.stack(codes, axis=-1)
