"""How a network on a chip stands up to what is not clean: bit flips, bad light, attacks, unknown inputs.

Everything is run through the bit-exact emulator, float beside chip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.robust.attacks import ATTACKS, Attack, Victim, attack, victim, whole_victim
    from hwsim.robust.corruptions import CORRUPTIONS, corrupt
    from hwsim.robust.faults import Faults, emulate_with_faults
    from hwsim.robust.ood import SCORES, STRANGERS, auroc, strangers
    from hwsim.robust.storage import FlipRow, flip_study
    from hwsim.robust.study import FaultRow, fault_study

_HOMES = {
    **dict.fromkeys(("ATTACKS", "Attack", "Victim", "attack", "victim", "whole_victim"), "attacks"),
    **dict.fromkeys(("SCORES", "STRANGERS", "auroc", "strangers"), "ood"),
    **dict.fromkeys(("CORRUPTIONS", "corrupt"), "corruptions"),
    **dict.fromkeys(("Faults", "emulate_with_faults"), "faults"),
    **dict.fromkeys(("FlipRow", "flip_study"), "storage"),
    **dict.fromkeys(("FaultRow", "fault_study"), "study"),
}

__all__ = [
    "ATTACKS",
    "CORRUPTIONS",
    "SCORES",
    "STRANGERS",
    "Attack",
    "FaultRow",
    "Faults",
    "FlipRow",
    "Victim",
    "attack",
    "auroc",
    "corrupt",
    "emulate_with_faults",
    "fault_study",
    "flip_study",
    "strangers",
    "victim",
    "whole_victim",
]


def __getattr__(name: str) -> Any:
    """Load a name when it is first used (PEP 562)."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"hwsim.robust.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'hwsim.robust' has no attribute {name!r}")
