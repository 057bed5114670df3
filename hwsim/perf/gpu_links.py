"""Collectives between the chips of one host: what tensor parallelism adds to a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hwsim.errors import DataError, TargetError

if TYPE_CHECKING:
    from hwsim.target import Target

COLLECTIVES: dict[str, Literal["all_reduce", "all_gather"]] = {"AllReduce": "all_reduce", "AllGather": "all_gather"}
"""Operations of a workload that are collectives."""


def sent_bytes(operation: Literal["all_reduce", "all_gather"], size_bytes: int, ranks: int) -> float:
    """Bytes that each chip sends in a ring collective: every other chip's part once for a gather, twice for a
    reduction."""
    return (2 if operation == "all_reduce" else 1) * (ranks - 1) / ranks * size_bytes


def collective_s(operation: Literal["all_reduce", "all_gather"], size_bytes: int, ranks: int, target: Target) -> float:
    """Seconds of a ring collective: a launch, and what each chip sends.

    Args:
        operation: ``all_reduce`` or ``all_gather``.
        size_bytes: of the tensor that every chip holds afterwards.
        ranks: chips; 1 costs nothing.
        target: a chip with links.

    Raises:
        TargetError: the target says nothing of links. DataError: a negative size, or fewer than 1 rank.
    """
    link = target.machine.link if target.machine.kind == "gpu" else None
    if link is None:
        raise TargetError("expected machine.link for a collective, found none", where=target.name)
    if size_bytes < 0 or ranks < 1:
        raise DataError(f"expected bytes of at least 0 and at least 1 rank, found {size_bytes} and {ranks}")
    if ranks == 1:
        return 0.0
    share = link.reduce_share if operation == "all_reduce" else link.gather_share
    return link.launch_s.value + sent_bytes(operation, size_bytes, ranks) / (link.bytes_per_s.value * share.value)
