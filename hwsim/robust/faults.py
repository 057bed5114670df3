"""Bit flips in what a chip stores: weights, activations, accumulators.

Each bit of the place flips independently with one probability, as soft errors do (Reagen et al., Ares, DAC 2018, use
the same model). Weights flip once for a whole run, as a memory that is loaded once; activations and accumulators flip
anew for every input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate import MatrixStep, Run, bind, emulate
from hwsim.emulate.stored import Stored
from hwsim.errors import DataError, ModelError, unknown
from hwsim.ir import Graph
from hwsim.numerics import QTensor, mma
from hwsim.numerics.codec import element_format

if TYPE_CHECKING:
    from hwsim.emulate.matrix import Product
    from hwsim.target import Target

Place = Literal["weights", "activations", "accumulators"]
PLACES: tuple[str, ...] = get_args(Place)


@dataclass(frozen=True, slots=True)
class Faults:
    """Where bits flip, and how often.

    Attributes:
        place: ``weights``, ``activations`` (every stored value, the input's among them) or ``accumulators`` (each sum
            once, when it is complete).
        rate: probability that a bit flips, 0 to 1.
        bits: positions that may flip, 0 the lowest; empty is all.
        layers: names of matrix products that faults are confined to; empty is all. Activations are the product's
            result.
        seed: of the flips.

    Raises:
        DataError: an unknown place, or a rate outside 0..1.
    """

    place: Place
    rate: float
    bits: tuple[int, ...] = ()
    layers: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.place not in PLACES:
            raise unknown(DataError, "place", self.place, PLACES)
        if not 0 <= self.rate <= 1:
            raise DataError(f"expected a rate in 0..1, found {self.rate}", where="faults")
        if any(bit < 0 for bit in self.bits):
            raise DataError(f"expected bit positions of at least 0, found {min(self.bits)}", where="faults")


def flip(
    codes: NDArray[Any], width: int, rate: float, rng: np.random.Generator, bits: tuple[int, ...] = ()
) -> tuple[NDArray[Any], int]:
    """Flip each of the low ``width`` bits (or those in ``bits``) of each code with probability ``rate``.

    Args:
        codes: unsigned integers of any shape.

    Returns:
        New codes in the same memory order, and how many bits flipped. Time goes with the flips, not with the bits.

    Raises:
        DataError: a bit position beyond the width.
    """
    where = np.array(bits or range(width), np.uint64)
    if where.size and int(where.max()) >= width:
        raise DataError(f"expected bit positions below {width}, found {int(where.max())}", where="faults")
    out = codes.copy(order="K")
    flat = out.reshape(-1, order="A") if out.flags.forc else np.ascontiguousarray(out).reshape(-1)
    chosen = _bernoulli(flat.size * where.size, rate, rng)
    masks = (np.uint64(1) << where[chosen % where.size]).astype(flat.dtype)
    np.bitwise_xor.at(flat, chosen // where.size, masks)
    if not np.shares_memory(flat, out):
        out = flat.reshape(codes.shape)
    return out, len(chosen)


def _bernoulli(trials: int, rate: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of the successes among independent trials, by the gaps between them."""
    if rate <= 0 or trials == 0:
        return np.empty(0, np.int64)
    if rate >= 1:
        return np.arange(trials)
    found: list[NDArray[np.int64]] = []
    at = -1
    while at < trials:
        more = int((trials - at) * rate * 1.05) + 16
        steps = at + np.cumsum(rng.geometric(rate, more))
        found.append(steps)
        at = int(steps[-1])
    every = np.concatenate(found)
    return every[every < trials]


def emulate_with_faults(
    graph: Graph,
    target: Target,
    data: NDArray[Any],
    faults: Faults,
    *,
    precision: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Run, int]:
    """Run a quantized graph on a target while bits flip.

    Returns:
        The run, and how many bits flipped.

    Raises:
        ModelError: a layer is not a matrix product of the graph.
        DataError: a bit position beyond the width; faults in accumulators where values are stored in blocks.
        HwsimError: as :func:`hwsim.emulate.emulate`.
    """
    program = bind(graph, target, precision)
    steps = {step.node.name: step for step in program.steps if isinstance(step, MatrixStep)}
    for name in faults.layers:
        if name not in steps:
            raise unknown(ModelError, "matrix product", name, steps, where=graph.name)
    chosen = {name: step for name, step in steps.items() if not faults.layers or name in faults.layers}
    rng = np.random.default_rng(faults.seed)
    count = _Count()
    if faults.place == "weights":
        graph = _weights(graph, chosen, faults, rng, count)
        return emulate(graph, target, data, precision=precision, progress=progress), count.flips
    if faults.place == "accumulators":
        if not sums_may_flip(graph):
            raise DataError(
                "block scales follow from the sums, and none is defined for one that flips to NaN or infinity",
                where=target.name,
            )
        products = {name: _product(faults, rng, count) for name in chosen}
        run = emulate(graph, target, data, precision=precision, progress=progress, matmul=products)
        return run, count.flips
    outputs = {step.output for step in chosen.values()} if faults.layers else None

    def tamper(name: str, held: Stored) -> Stored:
        if outputs is not None and name not in outputs:
            return held
        codes, flips = flip(held.codes, element_format(held.quant.format).bits, faults.rate, rng, faults.bits)
        count.flips += flips
        return held.with_codes(codes)

    run = emulate(graph, target, data, precision=precision, progress=progress, tamper=tamper)
    return run, count.flips


def sums_may_flip(graph: Graph) -> bool:
    """Whether faults in accumulators are defined: no value's block scales follow from the sums."""
    return not any(value.quant is not None and value.quant.block_format for value in graph.values.values())


@dataclass(slots=True)
class _Count:
    flips: int = 0


def _weights(
    graph: Graph, steps: Mapping[str, MatrixStep], faults: Faults, rng: np.random.Generator, count: _Count
) -> Graph:
    constants = dict(graph.constants)
    for name in dict.fromkeys(step.node.inputs[1] for step in steps.values()):
        held = constants.get(name)
        if not isinstance(held, QTensor):
            continue
        codes, flips = flip(held.codes, element_format(held.format).bits, faults.rate, rng, faults.bits)
        constants[name] = replace(held, codes=codes)
        count.flips += flips
    return graph.rebuilt(constants=constants)


def _product(faults: Faults, rng: np.random.Generator, count: _Count) -> Product:
    def product(a: NDArray[Any], b: NDArray[Any], c: NDArray[Any] | None, unit: str) -> NDArray[Any]:
        sums = np.ascontiguousarray(mma(a, b, c, unit))
        width = 8 * sums.dtype.itemsize
        patterns = sums.view(np.dtype(f"u{sums.dtype.itemsize}"))
        codes, flips = flip(patterns, width, faults.rate, rng, faults.bits)
        count.flips += flips
        return codes.view(sums.dtype)

    return product
