"""Random bits for stochastic rounding: a function of seed and position alone, so that no order of work changes them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import FormatError
from hwsim.numerics.threads import split


def random_bits(shape: int | tuple[int, ...], seed: int, *, start: int = 0) -> NDArray[np.uint32]:
    """Uniform uint32 of ``shape`` for ``encode(..., rounding="stochastic", random_bits=...)``.

    Philox4x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3; SC 2011), the generator of cuRAND, with
    the seed as its key: element i, counted from ``start`` in C order, is word i % 4 of counter i // 4. So a tensor made
    in pieces gets the bits that it would get whole.

    Raises:
        FormatError: a seed outside 0 .. 2**64 - 1, or a negative start.
    """
    if not 0 <= seed < 1 << 64:
        raise FormatError(f"seed must be in 0..2**64 - 1, found {seed}", where="random_bits")
    if start < 0:
        raise FormatError(f"start must not be negative, found {start}", where="random_bits")
    from hwsim.numerics import _kernels_chance as kernels

    dims = (shape,) if isinstance(shape, int) else tuple(shape)
    size = math.prod(dims)
    out = np.empty(size, np.uint32)
    key = (np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32))
    counters = range(start // 4, -(-(start + size) // 4))
    split(
        lambda first, last: kernels.philox(out, *key, counters[0] + first, counters[0] + last, start),
        len(counters),
        size,
    )
    return out.reshape(dims)
