"""The simulated array as a function: operands in, sums and cycle counts out. What is right is not decided here."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError
from hwsim.verify.catalog import RtlUnit, array_parameters, pe_parameters
from hwsim.verify.simulator import SIMULATORS, Design, build, simulate

T = TypeVar("T")
Codes = NDArray[np.uint8]
Sums = NDArray[Any]
"""int32, or int64 where a sum is wider than 32 bits."""
LONG_JOB = 512
"""Rows presented to the array from which a job is worth cutting into parts."""
_WHOLE = {8: "<u1", 16: "<u2", 32: "<u4"}


@dataclass(frozen=True)
class Array:
    """One simulated array: its unit, shape, simulator and sources."""

    unit: RtlUnit
    rows: int
    cols: int
    sources: tuple[Path, ...]
    sim: str = "icarus"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rows", "cols"):
            if getattr(self, name) < 1:
                raise DataError(f"an array needs 1 or more {name}, not {getattr(self, name)}")

    def pe_design(self) -> Design:
        """A single processing element."""
        return Design.of(self.unit.pe, self.sources, pe_parameters(self.unit))

    def array_design(self) -> Design:
        """The bare array."""
        return Design.of(self.unit.array, self.sources, array_parameters(self.unit, self.rows, self.cols))

    def harness_design(self, m: int) -> Design:
        """The array inside its streaming harness, with room for ``m`` partial rows (a power of two: few builds)."""
        depth = max(1024, 1 << (m - 1).bit_length())
        parameters = {**array_parameters(self.unit, self.rows, self.cols), "DEPTH": depth}
        return Design.of(self.unit.harness, self.sources, parameters)

    def width(self, parameter: str) -> int:
        """Value of a width parameter (A_W, W_W, ACC_W)."""
        return int(pe_parameters(self.unit)[parameter])


@dataclass(frozen=True)
class StreamRun:
    """What a streamed job gave.

    Attributes:
        sums: int32 or int64 [chains, m, cols]; rows that never came are zero.
        good: bool [chains, m]: the row came, and holds no unknown bit.
        came: rows that came, in order; the rest never did.
        began, ended: int64 [folds done]: cycle that presents a fold's first weight row, that shows its last result row.
        stray: result rows that came when none was due.
        done: the harness finished within its limit of cycles.
    """

    sums: Sums
    good: NDArray[np.bool_]
    came: int
    began: NDArray[np.int64]
    ended: NDArray[np.int64]
    stray: int
    done: bool

    @property
    def cycles(self) -> int:
        """From the first weight row of the job to its last result row."""
        return int(self.ended[-1] - self.began[0]) if self.ended.size else 0


@dataclass(frozen=True)
class ReplayRun:
    """Every valid result of a script: cycle int64 [n], lanes [n, lanes], known bool [n] (no unknown bit)."""

    cycles: NDArray[np.int64]
    lanes: Sums
    known: NDArray[np.bool_]


def pack_lanes(values: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Rows of lanes as little-endian bit vectors of whole bytes: [n, lanes] -> uint8 [n, ceil(lanes * bits / 8)]."""
    lanes = np.asarray(values)
    if bits in _WHOLE:
        return np.ascontiguousarray(lanes.astype(_WHOLE[bits])).view(np.uint8).reshape(len(lanes), -1)
    if bits == 4 and lanes.shape[1] % 2 == 0:
        nibbles = lanes.astype(np.uint8) & 15
        return (nibbles[:, ::2] | nibbles[:, 1::2] << 4).astype(np.uint8)
    flat = (lanes.astype(np.int64)[..., None] >> np.arange(bits)).astype(np.uint8) & 1
    return np.packbits(flat.reshape(len(lanes), -1), axis=1, bitorder="little")


def unpack_lanes(raw: NDArray[np.uint8], lanes: int, bits: int) -> Sums:
    """Inverse of ``pack_lanes`` for signed lanes: uint8 [n, bytes] -> int32 [n, lanes], int64 above 32 bits."""
    if bits in _WHOLE:
        signed = np.dtype(_WHOLE[bits].replace("u", "i"))
        return np.ascontiguousarray(raw[:, : lanes * bits // 8]).view(signed).astype(np.int32)
    flat = np.unpackbits(raw, axis=1, count=lanes * bits, bitorder="little").reshape(len(raw), lanes, bits)
    weights = np.left_shift(np.int64(1), np.arange(bits))
    weights[-1] = -weights[-1]
    return (flat.astype(np.int64) @ weights).astype(sum_dtype(bits))


def sum_dtype(bits: int) -> np.dtype[Any]:
    """Type that holds a sum of so many bits (64 at most)."""
    return np.dtype(np.int32 if bits <= 32 else np.int64)


Scales = tuple[Codes, Codes]
"""Scale codes of weights [chains, folds, cols] and of activations [chains, folds, m]."""


def run_stream(
    array: Array,
    w: Codes,
    a: Codes,
    c: Sums,
    scales: Scales | None = None,
    *,
    limit_cycles: int,
    wave: Path | None = None,
) -> StreamRun:
    """Run chains of folds through the array: sums[i] = c[i] + a[i, 0] w[i, 0] + a[i, 1] w[i, 1] + ...

    Args:
        scales: for a unit with block scales; c and the sums are then the bits of FP32 numbers.
        w: codes [chains, folds, rows, cols]. a: codes [chains, folds, m, rows]. c: int32 [chains, m, cols].
        limit_cycles: give up after so many.
        wave: record the signals into that file.

    Raises:
        ToolError: the simulation could not be run.
    """
    chains, folds, m, _ = a.shape
    w_rows = pack_lanes(w[:, :, ::-1].reshape(-1, array.cols), array.width("W_W"))
    a_rows = pack_lanes(a.reshape(-1, array.rows), array.width("A_W"))
    c_rows = pack_lanes(c.reshape(-1, array.cols), array.width("ACC_W"))
    if scales is not None and not SIMULATORS[array.sim].compiled:
        from hwsim.verify.script import stream_by_script

        return stream_by_script(array, w, a, c, scales, wave=wave)
    if SIMULATORS[array.sim].compiled:
        rows, began, ended, stray, done = _compiled(
            array, (w_rows, a_rows, c_rows), scales, (chains, folds, m), limit_cycles, wave
        )
        known = np.ones(len(rows), dtype=np.bool_)
    else:
        with tempfile.TemporaryDirectory(prefix="hwsim-") as temporary:
            job = Path(temporary)
            for name, packed in (("w", w_rows), ("a", a_rows), ("c", c_rows)):
                (job / f"{name}.bin").write_bytes(packed[:, ::-1].tobytes())
            settings = {"chains": chains, "folds": folds, "m": m, "limit_cycles": limit_cycles}
            (job / "job.json").write_text(json.dumps(settings), encoding="utf-8")
            simulate(array.sim, array.harness_design(m), "stream", job, seed=array.seed, wave=wave)
            end = json.loads((job / "result.json").read_text(encoding="utf-8"))
            words = (array.cols * array.width("ACC_W") + 31) // 32
            records = _records(job / "out.bin", 1 + words)
            times = _records(job / "folds.bin", 2).astype(np.int64)
        rows = np.ascontiguousarray(records[:, 1:]).view(np.uint8).reshape(len(records), 4 * words)
        known = records[:, 0] == 0
        began, ended, stray, done = times[:, 0], times[:, 1], int(end["stray"]), bool(end["done"])
    sums = np.zeros((chains * m, array.cols), dtype=sum_dtype(array.width("ACC_W")))
    good = np.zeros(chains * m, dtype=np.bool_)
    sums[: len(rows)] = unpack_lanes(rows, array.cols, array.width("ACC_W"))
    good[: len(rows)] = known
    return StreamRun(
        sums=sums.reshape(chains, m, array.cols),
        good=good.reshape(chains, m),
        came=len(rows),
        began=began,
        ended=ended,
        stray=stray,
        done=done,
    )


def _compiled(
    array: Array,
    packed: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]],
    scales: Scales | None,
    job: tuple[int, int, int],
    limit: int,
    wave: Path | None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], int, bool]:
    """A job on the compiled array; a long one in parts, chains apart, each on an array of its own at the same time.

    Chains follow one another on the array, so the times of the parts are put end to end. A part that fails is not
    looked into: the whole job is run again, in one.
    """
    from hwsim.verify.compiled import Compiled

    chains, folds, m = job
    beside: list[NDArray[np.uint8]] | None = None
    if scales is not None:
        held = np.repeat(scales[0].reshape(-1, 1, array.cols), array.rows, axis=1)
        beside = [held.reshape(-1, array.cols), np.ascontiguousarray(scales[1].reshape(-1, 1))]
    spans = [len(rows) // chains for rows in packed]

    def run(part: slice) -> Any:
        w, a, c = (rows[part.start * span : part.stop * span] for rows, span in zip(packed, spans, strict=True))
        other = None
        if beside is not None:
            of_w, of_a = (rows[part.start * n : part.stop * n] for rows, n in zip(beside, spans, strict=False))
            other = (of_w, of_a)
        with Compiled(array.array_design(), seed=array.seed, wave=wave) as model:
            count = part.stop - part.start
            sizes = {"load_rows": array.rows, "chains": count, "folds": folds, "m": m, "limit": limit}
            return model.stream_ws(w, a, c, other, **sizes)

    parts = min(chains, os.cpu_count() or 1) if wave is None and chains * folds * m >= LONG_JOB else 1
    if parts > 1:
        build(array.sim, array.array_design())  # once, before the parts want it
        found = in_parts(run, chains, parts)
        if all(done and not stray and len(ended) for _, _, ended, stray, done in found):
            begins, ends, now = [], [], found[0][1][0]
            for _, began, ended, _, _ in found:
                begins.append(began - began[0] + now)
                ends.append(ended - began[0] + now)
                now = ends[-1][-1]
            return np.concatenate([part[0] for part in found]), np.concatenate(begins), np.concatenate(ends), 0, True
    whole: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], int, bool] = run(slice(0, chains))
    return whole


def in_parts(run: Callable[[slice], T], count: int, parts: int) -> list[T]:
    """``run`` of equal parts of ``count`` things at the same time, in order; compiled arrays let go of Python."""
    cuts = pairwise(count * at // parts for at in range(parts + 1))
    with ThreadPoolExecutor(parts) as pool:
        return list(pool.map(run, (slice(*cut) for cut in cuts)))


def run_replay(
    design: Design,
    inputs: Mapping[str, NDArray[np.uint8]],
    *,
    lanes: int,
    bits: int,
    sim: str,
    seed: int = 0,
    wave: Path | None = None,
) -> ReplayRun:
    """Drive ``inputs`` (port -> uint8 [cycles, bytes], little-endian); record psum_out where valid_out is high.

    Raises:
        ToolError: the simulation could not be run.
    """
    cycles = len(next(iter(inputs.values())))
    if SIMULATORS[sim].compiled:
        from hwsim.verify.compiled import Compiled

        with Compiled(design, seed=seed, wave=wave) as model:
            seen = model.replay(inputs, ("valid_out", "psum_out"))
        when = np.flatnonzero(seen["valid_out"][:, 0])
        sums = unpack_lanes(seen["psum_out"][when], lanes, bits)
        return ReplayRun(cycles=when, lanes=sums, known=np.ones(len(when), dtype=np.bool_))
    with tempfile.TemporaryDirectory(prefix="hwsim-") as temporary:
        job = Path(temporary)
        for name, values in inputs.items():
            (job / f"{name}.bin").write_bytes(values.tobytes())
        sizes = {name: values.shape[1] for name, values in inputs.items()}
        settings = {"cycles": cycles, "bytes": sizes, "valid": "valid_out", "result": "psum_out"}
        (job / "job.json").write_text(json.dumps(settings), encoding="utf-8")
        simulate(sim, design, "replay", job, seed=seed, wave=wave)
        end = json.loads((job / "result.json").read_text(encoding="utf-8"))
        rows = np.fromfile(job / "rows.bin", dtype=np.uint8).reshape(-1, end["bytes"])
    return ReplayRun(
        cycles=np.array(end["cycles"], dtype=np.int64),
        lanes=unpack_lanes(rows, lanes, bits),
        known=np.array(end["known"], dtype=np.bool_),
    )


def _records(path: Path, words: int) -> NDArray[np.uint32]:
    """Whole records of a file of little-endian 32-bit words; a record cut short at the end does not count."""
    flat = np.fromfile(path, dtype="<u4")
    return flat[: flat.size // words * words].reshape(-1, words)
