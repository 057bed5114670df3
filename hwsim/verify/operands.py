"""What the multipliers of a weight-stationary array see when a real network runs: streams of codes, cycle by cycle.

A network of the zoo runs in bfloat16 and the operands of its matrix products are caught; weights are then quantized per
output channel and activations per tensor into the formats of the unit, each to its largest value. Elements (k, n) of
the products are drawn at random, a product by its share of the MACs; each sees the weights of its column go by, keeps
its own, then a stretch of rows of activations, and the sums of the elements above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.verify.catalog import RtlUnit, pe_parameters
from hwsim.verify.multipliers import MULTIPLIERS, fixed_point

HOST, HOST_PRECISION = "nvidia-h100", "bf16"
ARRAY_ROWS = 16


@dataclass(frozen=True)
class Operands:
    """One matrix product's real operands: activations a [M, K], weights w [N, K]."""

    layer: str
    a: NDArray[np.float32]
    w: NDArray[np.float32]


@dataclass(frozen=True)
class Stream:
    """Port -> one value a cycle, int64 [cycles]; how many of the cycles multiply."""

    ports: dict[str, NDArray[np.int64]]
    macs: int


def network_operands(network: str, images: int = 8) -> tuple[Operands, ...]:
    """Operands of every matrix product of a zoo network over so many inputs of its test set.

    Raises:
        ModelError, DataError: no such network, or it cannot be fetched.
    """
    from hwsim.emulate import MatrixStep, bind, emulate
    from hwsim.io import load_data, load_model
    from hwsim.numerics import decode
    from hwsim.quant import quantize, recipe_for
    from hwsim.target import load_target

    target, data = load_target(HOST), load_data(network).head(images).inputs
    graph = quantize(load_model(network), recipe_for(target, HOST_PRECISION), data)
    caught: list[Operands] = []

    def catch(layer: str) -> Any:
        def product(a: NDArray[Any], b: NDArray[Any], c: NDArray[Any] | None, unit: str) -> NDArray[Any]:
            from hwsim.numerics import mma

            caught.append(Operands(layer, decode(a, "bf16"), decode(b, "bf16")))
            return mma(a, b, c, unit)

        return product

    steps = bind(graph, target, HOST_PRECISION).steps
    names = [step.node.name for step in steps if isinstance(step, MatrixStep)]
    emulate(graph, target, data, precision=HOST_PRECISION, matmul={name: catch(name) for name in names})
    return tuple(caught)


def element_stream(unit: RtlUnit, operands: tuple[Operands, ...], *, elements: int, rows: int, seed: int) -> Stream:
    """What ``elements`` elements of the array see one after the other, each through ``rows`` rows at most."""
    from hwsim.numerics import quantize_tensor

    multiplier = MULTIPLIERS[unit.multiplier]
    rng = np.random.default_rng(seed)
    values_a, values_w = fixed_point(multiplier.a_format)[0], fixed_point(multiplier.b_format)[0]
    codes = [
        (
            _codes(quantize_tensor(one.a, multiplier.a_format, symmetric=_signed(values_a))),
            _codes(quantize_tensor(one.w, multiplier.b_format, axis=0, symmetric=_signed(values_w))),
        )
        for one in operands
    ]
    share = np.array([a.shape[0] * a.shape[1] * w.shape[0] for a, w in codes], dtype=np.float64)
    acc_bits = int(pe_parameters(unit)["ACC_W"])
    parts: list[dict[str, NDArray[np.int64]]] = []
    macs = 0
    for pick in rng.choice(len(codes), elements, p=share / share.sum()):
        a, w = codes[pick]
        k, n = int(rng.integers(a.shape[1])), int(rng.integers(w.shape[0]))
        first = int(rng.integers(max(1, len(a) - rows + 1)))
        seen = a[first : first + rows]
        above = values_a[seen[:, :k]] @ values_w[w[n, :k]]
        # the column's weights go by: this element's is the last of the load
        fold = k - k % ARRAY_ROWS
        column = w[n, fold : fold + ARRAY_ROWS]
        load = np.roll(column[::-1], -(len(column) - 1 - (k - fold)) - 1)
        parts.append(_part(load, seen[:, k], _wrapped(above, acc_bits)))
        macs += len(seen)
    return Stream({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, macs)


def _signed(values: NDArray[np.int64]) -> bool:
    return bool((values < 0).any())


def _codes(tensor: Any) -> NDArray[np.int64]:
    return np.asarray(tensor.codes).astype(np.int64)


def _wrapped(sums: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    return (sums + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def _part(load: NDArray[np.int64], a: NDArray[np.int64], psum: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    loading, streaming = np.zeros(len(load), np.int64), np.zeros(len(a), np.int64)
    return {
        "w_load": np.concatenate([loading + 1, streaming]),
        "w_in": np.concatenate([load, streaming + load[-1]]),
        "valid_in": np.concatenate([loading, streaming + 1]),
        "a_in": np.concatenate([loading + a[0], a]),
        "psum_in": np.concatenate([loading + psum[0], psum]),
    }
