"""Designs compiled by Verilator, run through ctypes: the jobs of the cocotb benches, a thousand times faster."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ToolError
from hwsim.verify.simulator import Design
from hwsim.verify.verilator import build

Bytes = NDArray[np.uint8]


AXIS_PORTS = (
    *("aclk", "aresetn", "error", "s_axis_a_tuser"),
    *(
        f"{stream}_{part}"
        for stream in ("s_axis_w", "s_axis_a", "m_axis")
        for part in ("tdata", "tvalid", "tready", "tlast")
    ),
)


@lru_cache(maxsize=64)
def _library(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    library.hwsim_open.restype = ctypes.c_void_p
    library.hwsim_open.argtypes = [ctypes.c_int, ctypes.c_char_p]
    library.hwsim_port_bytes.restype = ctypes.c_int64
    library.hwsim_port_bytes.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.hwsim_close.argtypes = [ctypes.c_void_p]
    return library


class Compiled:
    """One simulated instance of a design; a context manager. Ports hold little-endian bytes, uint8 [.., bytes].

    Raises:
        ToolError: Verilator or a compiler is missing, or the Verilog is not accepted.
    """

    def __init__(self, design: Design, *, seed: int = 0, wave: Path | None = None) -> None:
        self._top = design.top
        self._lib = _library(str(build(design, waves=wave is not None)))
        if wave is not None:
            wave.parent.mkdir(parents=True, exist_ok=True)
        self._model = ctypes.c_void_p(
            self._lib.hwsim_open(seed & 0x3FFFFFFF, None if wave is None else str(wave).encode())
        )

    def __enter__(self) -> Compiled:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lib.hwsim_close(self._model)

    def bytes_of(self, port: str) -> int:
        """Bytes of a port's value.

        Raises:
            ToolError: the top module has no such port.
        """
        size = int(self._lib.hwsim_port_bytes(self._model, port.encode()))
        if size < 0:
            raise ToolError(f"the module has no port {port!r}", where=f"module {self._top}")
        return size

    def fitted(self, port: str, values: Bytes) -> Bytes:
        """Rows of bytes as long as the port keeps them."""
        short = self.bytes_of(port) - values.shape[-1]
        if short < 0:
            raise ToolError(f"port {port!r} is narrower than {8 * values.shape[-1]} bits", where=f"module {self._top}")
        return np.ascontiguousarray(np.pad(values, ((0, 0), (0, short))) if short else values)

    def replay(self, inputs: Mapping[str, Bytes], outputs: Sequence[str]) -> dict[str, Bytes]:
        """Drive one value a port and cycle; what the outputs show in each cycle, before its inputs are set."""
        return self._driven(self._lib.hwsim_replay, inputs, outputs)

    def evaluate(self, inputs: Mapping[str, Bytes], outputs: Sequence[str]) -> dict[str, Bytes]:
        """A design without a clock: one case a row, and what the outputs settle to."""
        return self._driven(self._lib.hwsim_evaluate, inputs, outputs)

    def _driven(self, loop: Any, inputs: Mapping[str, Bytes], outputs: Sequence[str]) -> dict[str, Bytes]:
        held = {name: self.fitted(name, values) for name, values in inputs.items()}
        cycles = len(next(iter(held.values())))
        seen = {name: np.zeros((cycles, self.bytes_of(name)), np.uint8) for name in outputs}
        loop(
            self._model,
            ctypes.c_int64(cycles),
            *(part for ports in (held, seen) for part in (ctypes.c_int64(len(ports)), _names(ports), _rows(ports))),
        )
        return seen

    def stream_ws(
        self,
        w: Bytes,
        a: Bytes,
        c: Bytes,
        scales: tuple[Bytes, Bytes] | None = None,
        *,
        load_rows: int,
        chains: int,
        folds: int,
        m: int,
        limit: int,
    ) -> tuple[Bytes, NDArray[np.int64], NDArray[np.int64], int, bool]:
        """Chains of folds through ``array_ws``, as ``rtl/tb/tb_array_ws.v`` runs them.

        Args:
            w, a, c: rows in the order in which they are presented; of c, those of each chain's first fold.
            scales: what goes in beside each row of w and of a, for an array with block scales.

        Returns:
            Result rows that came, of each chain's last fold; began and ended of each fold done; rows that came when
            none was due; whether the job ended within ``limit`` cycles.
        """
        w, a, c = (self.fitted(port, rows) for port, rows in (("w_row", w), ("a_row", a), ("psum_in", c)))
        beside = (
            None if scales is None else [self.fitted(n, s) for n, s in zip(("w_scale", "a_scale"), scales, strict=True)]
        )
        out = np.zeros((chains * m, self.bytes_of("psum_out")), np.uint8)
        began, ended = np.zeros((2, chains * folds), np.int64)
        counts = np.zeros(4, np.int64)
        for port in ("w_valid", "a_valid", "valid_out"):
            self.bytes_of(port)
        sizes = (load_rows, chains, folds, m, limit)
        self._lib.hwsim_stream_ws(
            self._model,
            *(_pointer(rows) for rows in (w, a, c)),
            *((None, None) if beside is None else (_pointer(rows) for rows in beside)),
            *(ctypes.c_int64(size) for size in sizes),
            *(_pointer(rows) for rows in (out, began, ended, counts)),
        )
        came, done, stray, ok = (int(count) for count in counts)
        return out[:came], began[:done], ended[:done], stray, bool(ok)

    def axis_reset(self, cycles: int) -> None:
        """``aresetn`` of a tile engine low for so many cycles.

        Raises:
            ToolError: the top module lacks a port of the engine.
        """
        for port in AXIS_PORTS:
            self.bytes_of(port)
        self._lib.hwsim_axis_reset(self._model, ctypes.c_int64(cycles))

    def axis(
        self,
        w: tuple[Bytes, Bytes],
        a: tuple[Bytes, Bytes, Bytes],
        pauses: Bytes,
        *,
        cut: int | None,
        wanted: int,
    ) -> tuple[Bytes, NDArray[np.int64], Bytes, int, bool]:
        """Beats into a tile engine behind AXI4-Stream, until ``wanted`` came out or ``cut`` cycles are over.

        Args:
            w: weight beats [n, bytes] and their tlast [n]; a: activation beats, tlast and tuser.
            pauses: [3, cycles], of w, a and the results: cycles in which nothing new is offered, nothing taken.

        Returns:
            Result beats [came, bytes]; the cycle of each; trace [cycles, 3] of w, a and results, valid + 2 ready + 4
            last; the cycle of the first weight beat, -1 if none; ``error`` at the end.
        """
        beats = [self.fitted(port, held) for port, held in (("s_axis_w_tdata", w[0]), ("s_axis_a_tdata", a[0]))]
        limit = pauses.shape[1]
        out = np.zeros((wanted + 8, self.bytes_of("m_axis_tdata")), np.uint8)
        when, trace, counts = np.zeros(wanted + 8, np.int64), np.zeros((limit, 3), np.uint8), np.zeros(4, np.int64)
        flags = [np.ascontiguousarray(held, np.uint8) for held in (w[1], *a[1:], pauses)]
        self._lib.hwsim_axis(
            self._model,
            *(_pointer(beats[0]), _pointer(flags[0]), ctypes.c_int64(len(beats[0]))),
            *(_pointer(beats[1]), _pointer(flags[1]), _pointer(flags[2]), ctypes.c_int64(len(beats[1]))),
            *(_pointer(flags[3]), ctypes.c_int64(limit), ctypes.c_int64(limit if cut is None else cut)),
            ctypes.c_int64(wanted),
            *(_pointer(held) for held in (out, when, trace, counts)),
        )
        came, cycles, began, error = (int(count) for count in counts)
        return out[:came], when[:came], trace[:cycles], began, bool(error)


def _pointer(rows: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(rows.ctypes.data)


def _names(ports: Mapping[str, Bytes]) -> Any:
    return (ctypes.c_char_p * len(ports))(*(name.encode() for name in ports))


def _rows(ports: Mapping[str, Bytes]) -> Any:
    return (ctypes.c_void_p * len(ports))(*(rows.ctypes.data for rows in ports.values()))
