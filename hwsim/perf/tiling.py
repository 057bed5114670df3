"""How often a matrix product reads its operands from the next memory up, given what fits below.

A scheduler is free to keep either operand and stream the other, in panels as wide as memory allows; the machine takes
the choice that is fastest. More capacity only makes choices better, so it never adds traffic.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.perf.systolic import ceil_div


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes read of each operand."""

    activations: int
    weights: int


def operand_traffic(
    m: int,
    n: int,
    activation_bytes: int,
    weight_bytes: int,
    *,
    activation_capacity: int,
    weight_capacity: int,
    tile: tuple[int, int],
) -> tuple[Traffic, ...]:
    """The ways to read the operands of one product [m, k] x [k, n].

    Args:
        m, n: result size; panels are cut along them.
        activation_bytes, weight_bytes: each operand, once.
        activation_capacity, weight_capacity: what the memory below can hold of each, bytes (already halved for double
            buffering).
        tile: the (m, n) part whose sums are finished before the next starts; the fallback when not even a panel of
            one operand fits.

    The choices: an operand that fits whole is read once, and so is the other; else one operand is cut in panels of
        whole k that fit, and the other is read again for each; else both are read again for each result tile.
    """
    if activation_bytes <= activation_capacity or weight_bytes <= weight_capacity:
        return (Traffic(activation_bytes, weight_bytes),)
    choices = [Traffic(activation_bytes * ceil_div(n, tile[1]), weight_bytes * ceil_div(m, tile[0]))]
    if (width := weight_capacity * n // weight_bytes) >= 1:
        choices.append(Traffic(activation_bytes * ceil_div(n, width), weight_bytes))
    if (height := activation_capacity * m // activation_bytes) >= 1:
        choices.append(Traffic(activation_bytes, weight_bytes * ceil_div(m, height)))
    return tuple(choices)
