"""Where torch alone would differ from a chip, code by code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate.stored import Stored, real
from hwsim.emulate.values import chip_values, stored_values
from hwsim.errors import RecipeError
from hwsim.numerics import QTensor
from hwsim.quant.qat.network import QatNetwork, key_of

if TYPE_CHECKING:
    from hwsim.target import Target

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Differing:
    """Codes of one stored value, torch's against the emulator's.

    Attributes:
        value: its name; a weight's too.
        codes: how many.
        exact: that differ where the chip's values stand in (``chip_values``).
        layer: that differ where torch sums this layer alone, on what the chip stored before it (of an output: as
            ``whole``).
        whole: that differ where torch computes everything.
    """

    value: str
    codes: int
    exact: int
    layer: int
    whole: int


def differing(
    network: QatNetwork, target: Target, inputs: Array, precision: str | None = None
) -> tuple[Differing, ...]:
    """Compare code by code what a network holds in torch with what its export holds in the emulator.

    In every mode a code of torch's is what ``FakeQuant`` makes of the number that reached it; the modes differ in that
    number only. The last layer, which stores nothing, is compared by the bits of its float32 outputs.

    Raises:
        RecipeError: the network's storage is not the graph's that it exports.
    """
    import torch

    network.eval()
    graph = network.export()
    parts, outputs = stored_values(graph, inputs, target, precision)
    stored = [node.output for node in graph.nodes if node.op == "Quantize"]
    chip = chip_values(target, precision)
    x = torch.from_numpy(np.ascontiguousarray(inputs, np.float32))
    before = {node.output: node.inputs[0] for node in graph.nodes if node.op == "Quantize"}
    keep = (*stored, *before.values())
    held, network.chip = network.chip, None
    try:
        with torch.no_grad():
            whole = network(x, keep=keep)
            network.chip = chip
            exact = network(x, keep=keep)
    finally:
        network.chip = held
    rows = []
    for name in stored:
        want = np.concatenate([part.codes for part in parts[name]])
        store = network.stores[key_of(name)]
        read = np.concatenate([real(part) for part in parts[name]])
        alone = _codes(store, exact[before[name]], parts[name])
        rows.append(
            Differing(
                name,
                want.size,
                _unlike(exact[name].numpy(), read),
                int((alone != want).sum()),
                int((_codes(store, whole[before[name]], parts[name]) != want).sum()),
            )
        )
    for name, constant in graph.constants.items():
        if isinstance(constant, QTensor) and key_of(name) in network.stores:
            mine = network.stores[key_of(name)].stored(network.numbers[key_of(name)])
            if mine.format != constant.format:
                raise RecipeError(f"{name} is stored as {constant.format}, and learns as {mine.format}")
            wrong = int((mine.codes != constant.codes).sum())
            rows.append(Differing(name, mine.codes.size, wrong, wrong, wrong))
    for name in graph.outputs:
        if name not in stored:
            read, own = outputs[name], _unlike(whole[name].numpy(), outputs[name])
            rows.append(Differing(name, read.size, _unlike(exact[name].numpy(), read), own, own))
    return tuple(rows)


def _codes(store: Any, x: Any, parts: list[Stored]) -> NDArray[Any]:
    """Codes of ``x``, stored in the chunks that the emulator stored (block formats may scale by the chunk)."""
    found, at = [], 0
    for part in parts:
        found.append(store.stored(x[at : at + len(part.codes)]).codes)
        at += len(part.codes)
    return np.concatenate(found)


def _unlike(a: Array, b: Array) -> int:
    """Numbers whose bits differ."""
    mine, theirs = (np.ascontiguousarray(x, np.float32).view(np.uint32) for x in (a, b))
    return int((mine != theirs).sum())
