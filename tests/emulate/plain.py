"""The emulator's arithmetic again, written the slow and obvious way, sharing no code with it."""

from __future__ import annotations

from typing import Any

import numpy as np


def conv_columns(x: np.ndarray, kh: int, kw: int, attrs: Any, fill: Any) -> np.ndarray:
    """[n, c, h, w] -> [n, oh, ow, kh * kw * c], channel fastest."""
    top, left, bottom, right = attrs["pads"]
    n, c, h, w = x.shape
    big = np.full((n, c, h + top + bottom, w + left + right), fill, x.dtype)
    big[:, :, top : top + h, left : left + w] = x
    (sh, sw), (dh, dw) = attrs["strides"], attrs["dilations"]
    oh = (big.shape[2] - dh * (kh - 1) - 1) // sh + 1
    ow = (big.shape[3] - dw * (kw - 1) - 1) // sw + 1
    out = np.empty((n, oh, ow, kh, kw, c), x.dtype)
    for i in range(kh):
        for j in range(kw):
            part = big[:, :, i * dh : i * dh + sh * oh : sh, j * dw : j * dw + sw * ow : sw]
            out[:, :, :, i, j] = part.transpose(0, 2, 3, 1)
    return out.reshape(n, oh, ow, kh * kw * c)


def signed(codes: np.ndarray, bits: int) -> np.ndarray:
    """Two's complement codes as integers."""
    wide = codes.astype(np.int64)
    return np.where(wide >= 1 << (bits - 1), wide - (1 << bits), wide)
