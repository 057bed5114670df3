"""The acts of the tile engine's bench on the compiled engine: what ``hwsim.verify.bench.axis`` does under cocotb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.verify.compiled import Compiled
from hwsim.verify.drive import unpack_lanes
from hwsim.verify.simulator import Design

GAP_SHARE = 0.4
PATIENCE = 40
"""Cycles for each beat that goes in, after which an engine that hangs is given up."""
STREAMS = ("w", "a", "m")


def run_acts(design: Design, job: dict[str, Any], seed: int, wave: Path | None = None) -> dict[str, Any]:
    """Drive the acts of ``job``: result beats, cycles and ``error`` of each, and the points that were reached.

    Raises:
        ToolError: the Verilog is not accepted, or lacks a port of the engine.
    """
    rng = np.random.default_rng([seed, len(job["acts"])])
    seen = _Seen(job["points"])
    acts, cycles = [], 0
    signed = job["points"]["nan_scale"] is None  # else the bits of FP32 numbers
    with Compiled(design, seed=seed, wave=wave) as model:
        model.axis_reset(3)
        for act in job["acts"]:
            folds = [fold for tile in act["packets"] for fold in tile]
            for fold in folds:
                seen.fold(fold)
            wanted = [row for tile in act["sums"] for row in tile]
            cut, beats_in = act["reset_after"], sum(len(fold["w"]) + len(fold["a"]) for fold in folds)
            limit = max(PATIENCE * (20 + beats_in), (cut or 0) + 1)
            pauses = (rng.random((3, limit)) < (GAP_SHARE if act["gaps"] else 0)).astype(np.uint8)
            if act["slow"]:
                runs = np.stack([rng.integers(1, 201, limit), rng.integers(1, 21, limit)], axis=1).ravel()
                pauses[2] = np.repeat(np.arange(2 * limit) % 2 == 0, runs)[:limit]
            w, a = (_beats(folds, key, model.bytes_of(f"s_axis_{key}_tdata")) for key in ("w", "a"))
            user = np.repeat([fold["user"] for fold in folds], [len(fold["a"]) for fold in folds])
            out, when, trace, began, error = model.axis(w, (*a, user), pauses, cut=cut, wanted=len(wanted))
            seen.trace(trace, [value for row in wanted[: len(out)] for value in row])
            last = trace[when, 2] >> 2 & 1
            rows = unpack_lanes(out, job["lanes"], job["bits"]).astype(np.int64)
            rows = rows if signed else rows & ((1 << job["bits"]) - 1)
            beats = [
                {"cycle": int(at), "row": row, "last": bool(end)}
                for at, row, end in zip(when, rows.tolist(), last, strict=True)
            ]
            if cut is not None:
                seen.reset(began >= 0, len(out) > 0)
                model.axis_reset(int(rng.integers(1, 4)))
            acts.append({"beats": beats, "cycles": int(when[-1]) - began if len(when) else 0, "error": error})
            cycles += len(trace)
    return {"acts": acts, "cycles": cycles, "points": seen.points()}


def _beats(folds: list[dict[str, Any]], key: str, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    words = [word for fold in folds for word in fold[key]]
    raw = np.frombuffer(b"".join(word.to_bytes(size, "little") for word in words), np.uint8).reshape(-1, size)
    last = np.concatenate([np.arange(len(fold[key])) == len(fold[key]) - 1 for fold in folds])
    return raw, last.astype(np.uint8)


class _Seen:
    """The points that the bench under cocotb has, by the same names."""

    def __init__(self, named: dict[str, Any]) -> None:
        self._named = named
        self._pairs: set[tuple[int, int]] = set()
        self._lengths: set[int] = set()
        self._scales: set[int] = set()
        self._sums: set[int] = set()
        self._stalls: set[tuple[str, bool, bool]] = set()
        self._resets: set[tuple[bool, bool]] = set()

    def fold(self, fold: dict[str, Any]) -> None:
        """The two packets of a fold."""
        a, w = np.array(fold["a_codes"]), np.array(fold["w_codes"])
        for row in range(len(w)):
            self._pairs |= {(int(x), int(y)) for x in np.unique(a[:, row]) for y in np.unique(w[row])}
        self._lengths.add(len(fold["a"]))
        self._scales |= {code for side in fold["scales"] for code in side}

    def trace(self, trace: NDArray[np.uint8], sums: list[int]) -> None:
        """What moved in each cycle and whether it had waited; the sums that came."""
        for stream, column in zip(STREAMS, trace.T, strict=True):
            waited = False
            for beat in column.tolist():
                if beat & 3 == 3:
                    self._stalls.add((stream, waited, bool(beat & 4)))
                    waited = False
                elif beat & 1:
                    waited = True
        self._sums |= set(sums)

    def reset(self, weights: bool, results: bool) -> None:
        """A reset, and what had moved before it."""
        self._resets.add((weights, results))

    def points(self) -> list[dict[str, Any]]:
        """Name, how many were reached, of how many."""
        named = self._named
        a = {x for x, _ in self._pairs}
        found = [
            ("operand cross", len(self._pairs), len(named["a"]) * len(named["w"])),
            ("least x least", int(tuple(named["least"]) in self._pairs), 1),
            ("zeros", len(a & set(named["zeros"])), len(named["zeros"])),
            ("packet length", len(self._lengths & set(named["lengths"])), len(named["lengths"])),
            # once it takes weights the engine takes all rows, so only the first can wait
            ("stall x last", len(self._stalls - {("w", True, True)}), 4 * len(STREAMS) - 1),
            ("reset", len(self._resets & {(False, False), (True, False), (True, True)}), 3),
        ]
        if named["ends"]:
            found.append(("saturation", len(self._sums & set(named["ends"])), len(named["ends"])))
        if named["nan_scale"] is not None:
            found.append(("nan scale", int(named["nan_scale"] in self._scales), 1))
        return [{"name": name, "hits": hits, "of": of} for name, hits, of in found]
