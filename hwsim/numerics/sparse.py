"""2:4 structured sparsity: of every four codes along K at most two are kept, each with its 2-bit place.

Source: NVIDIA PTX ISA, 9.7.14 ``mma.sp``, sparse operand and metadata of 8- and 16-bit elements (two 2-bit indices a
group of four, the lower first).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import FormatError


def compress_2to4(codes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Kept codes [.., K / 2] and their places 0..3, uint8 [.., K / 2], of codes [.., K] with code 0 for a zero.

    A group with fewer than two codes that are not 0 keeps zeros at its lowest free places.

    Raises:
        FormatError: K is not a multiple of 4, or a group has more than two codes that are not 0.
    """
    dense = np.asarray(codes)
    if dense.ndim == 0 or dense.shape[-1] % 4:
        raise FormatError(f"2:4 needs a last axis that is a multiple of 4, found {dense.shape}")
    groups = dense.reshape(*dense.shape[:-1], -1, 4)
    counts = np.count_nonzero(groups, axis=-1)
    if counts.size and int(counts.max()) > 2:
        at = tuple(int(i) for i in np.argwhere(counts > 2)[0])
        raise FormatError(f"a group of four has {counts[at]} codes that are not 0; 2:4 keeps two", where=f"group {at}")
    # those that are not 0 first, then zeros from the lowest place; the two chosen back in order of place
    place = np.sort(np.argsort(groups == 0, axis=-1, kind="stable")[..., :2], axis=-1)
    kept = np.take_along_axis(groups, place, axis=-1)
    half = (*dense.shape[:-1], dense.shape[-1] // 2)
    return np.ascontiguousarray(kept.reshape(half)), place.astype(np.uint8).reshape(half)


def expand_2to4(kept: NDArray[Any], place: NDArray[np.uint8]) -> NDArray[Any]:
    """Codes [.., K] of kept codes [.., K / 2] and their places; what was not kept is code 0.

    Raises:
        FormatError: shapes that differ or are odd, or places that do not ascend within their group.
    """
    codes, places = np.asarray(kept), np.asarray(place)
    if codes.shape != places.shape or codes.ndim == 0 or codes.shape[-1] % 2:
        raise FormatError(f"kept codes and places must be pairs of one shape, found {codes.shape} and {places.shape}")
    pairs = places.reshape(*places.shape[:-1], -1, 2)
    if pairs.size and (bool((pairs[..., 0] >= pairs[..., 1]).any()) or int(pairs.max()) > 3):
        raise FormatError("the two places of a group of four must ascend and be 0..3")
    dense = np.zeros((*pairs.shape[:-1], 4), codes.dtype)
    np.put_along_axis(dense, pairs.astype(np.int64), codes.reshape(pairs.shape), axis=-1)
    return dense.reshape(*codes.shape[:-1], -1)
