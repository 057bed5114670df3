"""A made-up result of ``hwsim robust`` for tests of its page."""

from __future__ import annotations

from hwsim.report.stress import AttackRow, Column, CorruptionRow, StrangerRow, Stress
from hwsim.robust import CORRUPTIONS, STRANGERS, FaultRow, FlipRow

N = 400


def stressed(chips: int = 2, *, long_names: bool = False) -> Stress:
    """``chips`` targets beside the float network; worse by the target and by strength."""
    tail = "-with-a-name-that-nobody-would-like-to-read-twice" if long_names else ""
    names = ["float32", *(f"chip-{index}{tail}" for index in range(chips))]
    places = range(len(names))
    columns = tuple(
        Column(name, name.upper() if at else name, "int4", "int4", N - 4 * at) for at, name in enumerate(names)
    )
    attacks = [
        AttackRow(kind, size, 40, made, tested, max(0, N - round(1900 * size) - 9 * at + (60 if made != tested else 0)))
        for kind in ("fgsm", "pgd", "square")
        for size in (0.05, 0.1, 0.2)
        for made in names
        for at, tested in enumerate(names)
    ]
    light = [
        CorruptionRow(kind, level + 1, held.strengths[level], held.unit, names[at], max(0, N - 60 * level - 5 * at))
        for kind, held in CORRUPTIONS.items()
        for level in range(5)
        for at in places
    ]
    others = [
        StrangerRow(kind, score, names[at], 0.9 - 0.2 * order - 0.01 * at, 0.05, 0.95)
        for order, kind in enumerate(STRANGERS)
        for score in ("msp", "energy")
        for at in places
    ]
    faults = [
        FaultRow(name, "int4", "int4", place, rate, (), 1234567, 0.9 - 40 * rate, 0.4, 1.02, 0.97, 5, N)
        for name in names[1:]
        for place in ("weights", "activations", "accumulators")
        for rate in (1e-3, 3e-3, 1e-2)
    ]
    flips = [
        FlipRow(name, place, "fp8_e4m3fn", bit, 12345678, 1.25, 1.2, 1.3, 17.5, 0.004)
        for name in names[1:]
        for place in ("weights", "activations")
        for bit in (0, 1, 2, 3, 4, 5, 6, 7, None)
    ]
    return Stress(
        model="small<net>",
        title="A <small> network: what it withstands",
        data="made-up:test",
        n=N,
        columns=columns,
        attacks=tuple(attacks),
        corruptions=tuple(light),
        strangers=tuple(others),
        faults=tuple(faults),
        flips=tuple(flips),
        made_of={name: f"Made of <{name}>." for name in STRANGERS},
        seed=3,
        created="2026-01-02T03:04:05Z",
        command="hwsim robust small --target chip-0",
        versions={"hwsim": "0.1.0"},
        hashes={"model": "sha256:00"},
        notes=("A note.",),
    )
