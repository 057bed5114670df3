"""Matrix products where the weights are held: crossbars of memory cells and meshes of light, with their errors.

A product is what :mod:`hwsim.perf.analog` times: k cut into tiles of ``rows`` inputs, a weight into slices of
``cell_bits``, an input into steps of ``input_bits``. Every tile, slice and step is one analog sum a column: it meets
the cells' errors, picks up read noise, and passes a converter that clips and rounds; what comes out is shifted and
added digitally. Inputs and weights are integer codes; sums are rounded to integers once, at the end.

Errors (``AnalogErrors`` of the target): programming noise and drift, drawn once for each cell; read noise, drawn for
each conversion; loss on the way of light, which a receiver makes up for and noise does not. Every draw comes from the
target's seed, the layer's name and a counter, so a run repeats. Without errors declared the arithmetic is exact.

Differential cells hold a weight's sign (a pair of cells, or light's phase); offset cells hold weight + 2 ** (bits - 1)
in slices, and the offset times the sum of the inputs is taken off digitally (ISAAC). Zero points are digital, in the
accumulator's start.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import TargetError
from hwsim.numerics import int_table, units
from hwsim.numerics.threads import product

if TYPE_CHECKING:
    from hwsim.target import AnalogErrors, AnalogMachine

Floats = NDArray[np.float32]


class AnalogProduct:
    """The products of one layer; takes and returns what ``hwsim.mma`` does."""

    def __init__(self, machine: AnalogMachine, layer: str) -> None:
        if machine.errors is None:
            raise TargetError("expected machine.errors for analog arithmetic, found none", where=layer)
        self.machine, self.errors = machine, machine.errors
        self.seed = [self.errors.seed, zlib.crc32(layer.encode())]
        self.held: dict[bytes, list[tuple[int, float, Floats]]] = {}
        self.reads = 0

    def __call__(
        self, a: NDArray[Any], b: NDArray[Any], start: NDArray[Any] | None, unit: str, **_: object
    ) -> NDArray[np.int32]:
        """``a`` [m, k], ``b`` [n, k] codes of an integer unit, ``start`` [m or 1, n] or None -> [m, n] INT32.

        Raises:
            TargetError: the unit is not an integer unit of at most 8 bits an operand.
        """
        spec = units[unit]
        if spec.accumulator != "int32":
            raise TargetError(f"analog arrays take integer codes, found {spec.a_format}", where=unit)
        inputs, weights = int_table(spec.a_format), int_table(spec.b_format)
        total = self.sums(
            inputs[a], weights[b], (int(np.abs(inputs).max()), int(np.abs(weights).max())), bits=_bits(weights)
        )
        if start is not None:
            total = total + start
        return np.clip(np.rint(total), -(2**31), 2**31 - 1).astype(np.int64).astype(np.int32)

    def sums(
        self, a: NDArray[np.integer[Any]], b: NDArray[np.integer[Any]], largest: tuple[int, int], *, bits: int
    ) -> NDArray[np.float64]:
        """Integer matrices [m, k] and [n, k] -> the sums as the converters tell them, [m, n]."""
        random = self._random(1, self.reads)
        self.reads += 1
        total = np.zeros((len(a), len(b)))
        for rows, weight, cells in self._cells(b, bits):
            for value, part, peak in _steps(a[:, rows : rows + self.machine.rows.value], self.machine, largest[0]):
                level = float(self._cell_peak(largest[1]))
                total += weight * value * self._convert(product(part, cells.T), peak * level, random)
        if self.errors.encoding == "offset":
            total -= 2.0 ** (bits - 1) * a.sum(axis=1, keepdims=True, dtype=np.float64)
        return total

    def _convert(self, sums: Floats, unit: float, random: np.random.Generator) -> Floats:
        """Read noise, then a converter of ``adc_bits`` over plus and minus ``adc_range`` times ``unit``, the product of
        the largest input and the largest cell; from zero where nothing is negative."""
        errors = self.errors
        if errors.read_noise is not None:
            loss = 10 ** (errors.loss_db.value / 10) if errors.loss_db else 1.0
            noise = errors.read_noise.value * loss * unit
            sums = sums + np.float32(noise) * random.standard_normal(sums.shape, np.float32)
        levels = 2**self.machine.adc_bits.value - 1
        full = errors.adc_range.value * unit
        low = 0.0 if errors.encoding == "offset" and self.machine.input_bits.value == 1 else -full
        step = max(1.0, (full - low) / levels)  # a converter as fine as that tells every integer in its range
        codes: Floats = np.rint(sums / np.float32(step), dtype=np.float32)
        np.clip(codes, np.ceil(low / step), np.floor(full / step), out=codes)
        codes *= np.float32(step)
        return codes

    def _cell_peak(self, largest: int) -> int:
        """What the fullest cell holds."""
        return largest if self.errors.encoding == "differential" else 2**self.machine.cell_bits.value - 1

    def _cells(self, b: NDArray[np.integer[Any]], bits: int) -> Iterator[tuple[int, float, Floats]]:
        """(first row, weight of the slice, cells [n, rows]) of every tile; errors of stored weights are drawn once."""
        key = b.shape[0].to_bytes(4, "little") + zlib.crc32(b.tobytes()).to_bytes(4, "little")
        if key not in self.held:
            random = self._random(0, zlib.crc32(key))
            self.held[key] = [
                (row, weight, self._written(part, peak, random))
                for row in range(0, b.shape[1], self.machine.rows.value)
                for weight, part, peak in self._slices(b[:, row : row + self.machine.rows.value], bits)
            ]
        yield from self.held[key]

    def _slices(self, b: NDArray[np.integer[Any]], bits: int) -> Iterator[tuple[float, Floats, float]]:
        """(weight, cells, fullest cell) of each column that a weight takes."""
        if self.errors.encoding == "differential":
            if self.machine.cell_bits.value < bits:
                raise TargetError(f"differential cells must hold a whole weight of {bits} bits, found cell_bits less")
            yield 1.0, b.astype(np.float32), float(2 ** (bits - 1) - 1)
            return
        unsigned = (b + 2 ** (bits - 1)).astype(np.int64)
        width = self.machine.cell_bits.value
        for at in range(0, bits, width):
            yield 2.0**at, ((unsigned >> at) & (2**width - 1)).astype(np.float32), float(2**width - 1)

    def _written(self, cells: Floats, peak: float, random: np.random.Generator) -> Floats:
        """Cells with programming noise and drift."""
        errors = self.errors
        if errors.programming_noise is not None:
            cells = cells + np.float32(errors.programming_noise.value * peak) * random.standard_normal(
                cells.shape, np.float32
            )
        if errors.drift is not None:
            cells = cells * _drifted(errors, cells.shape, random)
        return cells

    def _random(self, *more: int) -> np.random.Generator:
        return np.random.default_rng([*self.seed, *more])


def _drifted(errors: AnalogErrors, shape: tuple[int, ...], random: np.random.Generator) -> Floats:
    """(t / t0) ** -nu for each cell, over its mean where a global gain makes up for it."""
    drift = errors.drift
    assert drift is not None
    exponents = drift.exponent.value + drift.spread.value * random.standard_normal(shape)
    kept = (drift.seconds.value / drift.first_s.value) ** -np.maximum(exponents, 0.0)
    return (kept / kept.mean() if drift.compensated else kept).astype(np.float32)


def _steps(a: NDArray[np.integer[Any]], machine: AnalogMachine, largest: int) -> Iterator[tuple[float, Floats, float]]:
    """(weight, inputs, largest input) of each step. Signed inputs keep their sign when one step takes them whole; else
    they are two's complement, whose top bit counts negative."""
    width, bits = machine.input_bits.value, int(largest).bit_length()
    signed = bool((a < 0).any()) or largest == 2 ** (bits - 1)
    if width >= bits:
        yield 1.0, a.astype(np.float32), float(largest)
        return
    if width > 1 and signed:
        magnitude, sign = np.abs(a), np.sign(a)
        for at in range(0, bits, width):
            part = ((magnitude >> at) & (2**width - 1)) * sign
            yield 2.0**at, part.astype(np.float32), float(2**width - 1)
        return
    for at in range(0, bits, width):
        part = (a >> at) & (2**width - 1)
        top = signed and at + width >= bits
        yield (-1.0 if top else 1.0) * 2.0**at, part.astype(np.float32), float(2**width - 1)


def _bits(table: NDArray[np.int32]) -> int:
    return int(len(table) - 1).bit_length()


def analog_products(machine: AnalogMachine, layers: list[str]) -> dict[str, AnalogProduct]:
    """A product for each layer of a network on an analog target; none where the target declares no errors."""
    return {} if machine.errors is None else {layer: AnalogProduct(machine, layer) for layer in layers}
