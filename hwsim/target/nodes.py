"""A chip's energies at another technology node."""

from __future__ import annotations

import math
import warnings
from typing import Any

from hwsim.errors import DataError
from hwsim.target.quantities import Source
from hwsim.target.schema import Target

NODES_NM = 7.0, 45.0
"""Nodes between which energies are known (Jouppi et al., Ten Lessons From Three Generations, ISCA 2021, Table 2)."""

LOGIC, SRAM = 0.35, 0.355
"""Energy at 7 nm over that at 45 nm there: geometric means of additions and multiplications (0.23 to 0.48), and of
memories of 8 kB to 1 MB (0.14 to 0.75)."""

SPREAD = 2.0
"""Factor by which a scaled energy may be off either way."""

KEY = "nodes"


def at_node(target: Target, node_nm: float) -> Target:
    """The target with its switched energies as they would be at ``node_nm``: multipliers, vector lanes and memories on
    the chip follow a straight line in the logarithms of energy and node. Memory chips, power that flows anyway, clocks
    and rates stay. Scaled numbers are ``derived`` at best, within a factor of two.

    A warning is given where either node lies outside 7 to 45 nm: the line is then extrapolated.

    Raises:
        DataError: a node that is not a positive number.

    Example:
        >>> from hwsim.target import load_target
        >>> at_node(load_target("gemmini"), 28).energy.node_nm.value
        28.0
    """
    if not (math.isfinite(node_nm) and node_nm > 0):
        raise DataError(f"expected a node above 0 nm, found {node_nm}", where=target.name)
    here = target.energy.node_nm.value
    for node in (here, node_nm):
        if not NODES_NM[0] <= node <= NODES_NM[1]:
            warnings.warn(
                f"{target.name}: energies are known from {NODES_NM[0]:g} to {NODES_NM[1]:g} nm; at {node:g} nm they "
                "are extrapolated",
                stacklevel=2,
            )
    steps = math.log(here / node_nm) / math.log(NODES_NM[1] / NODES_NM[0])
    data = target.model_dump()

    def scale(entry: dict[str, Any] | None, ratio: float) -> None:
        if entry:
            value = entry["value_pj"] * ratio**steps
            low, high = ((entry[end] or entry["value_pj"]) * ratio**steps for end in ("low_pj", "high_pj"))
            kind = "assumed" if entry["kind"] == "assumed" else "derived"
            entry.update(value_pj=value, low_pj=min(low, value / SPREAD), high_pj=max(high, value * SPREAD))
            entry.update(kind=kind, source=KEY, note=f"scaled from {here:g} nm")

    table = data["energy"]
    for mode in data["precisions"].values():
        scale(mode["mac_pj"], LOGIC)
    for name, ratio in (
        *(("accumulate_pj", SRAM), ("scratchpad_pj_per_byte", SRAM)),
        *(("shared_pj_per_byte", SRAM), ("vector_pj", LOGIC)),
    ):
        scale(table[name], ratio)
    table["node_nm"] = {"value": float(node_nm), "kind": "assumed", "source": KEY}
    source = Source(title="Jouppi et al., Ten Lessons From Three Generations, ISCA 2021, Table 2", read="2026-11-23")
    data["sources"] = {**data["sources"], KEY: source.model_dump()}
    return Target.model_validate(data)
