"""A quantized graph as a torch module: the same nodes, with weights, biases and scales that learn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwsim.errors import ModelError, RecipeError, unknown
from hwsim.ir import OPS, Graph, Node, QuantParams, check
from hwsim.ir.ops import KEEPS_STORAGE
from hwsim.ir.passes import fold_batchnorm
from hwsim.numerics import QTensor, quantize_tensor
from hwsim.quant.qat.fake import FakeQuant, Learning, Through
from hwsim.quant.qat.log_scale import LogScale
from hwsim.quant.qat.operators import TORCH_OPS
from hwsim.quant.quantize import store_biases
from hwsim.quant.recipe import Recipe

_LEARNED = {"Conv": (1, 2), "Gemm": (1, 2), "LayerNormalization": (1, 2), "RMSNormalization": (1,), "Gather": (0,)}
"""Places of the constants that learn, by operator."""
Chip = Callable[[Graph, NDArray[np.float32]], Mapping[str, NDArray[np.float32]]]


class QatNetwork(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """A graph quantized after training, ready to learn.

    Args:
        quantized: from ``hwsim.quant.quantize``; it says what is stored, and how.
        graph: the float graph that it was made from, whose weights are where learning starts.
        recipe: the recipe that it was made with (without ``equalize``, which changes the weights).
        weights, activations: how their storage is learned.
        chip: (exported graph, inputs [n, ...]) -> what each stored value and each output reads as on a chip, by name
            (``hwsim.training.chip_values``). Forward takes those in place of its own, so that what learns is what the
            chip computes, with its accumulators and its rounding; gradients pass as before. None: torch's own sums.
        full: store nothing, so that the float network itself runs and learns (a teacher, a baseline).
        seed: of stochastic rounding.
        log_scales: constants of factors a head that learn in the exponent, and how many numbers each has
            (``hwsim.quant.attention.log_scaled``, which also made ``graph``).

    Attributes:
        keeps: names of values that each forward pass leaves in ``kept``, for a penalty that looks at them.

    Raises:
        ModelError: an operator that does not learn here.
        RecipeError: stochastic rounding with a chip.
    """

    def __init__(
        self,
        quantized: Graph,
        graph: Graph,
        recipe: Recipe,
        *,
        weights: Learning | None = None,
        activations: Learning | None = None,
        chip: Chip | None = None,
        full: bool = False,
        seed: int = 0,
        log_scales: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.keeps: tuple[str, ...] = ()
        self.kept: dict[str, Tensor] = {}
        self.graph, self.recipe, self.full, self.chip = quantized, recipe, full, chip
        if chip is not None and any(how is not None and how.stochastic for how in (weights, activations)):
            raise RecipeError("a chip rounds to nearest; stochastic rounding trains without one")
        for node in quantized.nodes:
            if node.op != "Quantize" and node.op not in TORCH_OPS:
                raise unknown(ModelError, "operator for training", node.op, TORCH_OPS, where=node.name)
        floats = fold_batchnorm(graph)
        origin = {node.name: node for node in floats.nodes}
        self.numbers = nn.ParameterDict()
        self.stores = nn.ModuleDict()
        self.factors = nn.ModuleDict()
        self._constant: dict[str, Tensor] = {}
        for at, node in enumerate(quantized.nodes):
            for place, name in enumerate(node.inputs):
                if name not in quantized.constants or self._known(name):
                    continue
                held = quantized.constants[name]
                source = origin[node.name].inputs[place] if node.name in origin else name
                start = floats if source in floats.constants else quantized
                number = torch.from_numpy(np.array(start.float_constant(source), np.float32))
                if name in (log_scales or {}):
                    self.factors[key_of(name)] = LogScale(number, (log_scales or {})[name])
                elif place in _LEARNED.get(node.op, ()):
                    self.numbers[key_of(name)] = nn.Parameter(number)
                else:
                    self._constant[name] = number
                if isinstance(held, QTensor) and place == 1 and OPS[node.op].kind == "matrix":
                    self.stores[key_of(name)] = FakeQuant(_params(held), weights or Learning(), seed=seed + 7919 * at)
            quant = quantized.value(node.output).quant
            if node.op == "Quantize" and quant is not None:
                self.stores[key_of(node.output)] = FakeQuant(
                    quant, activations or Learning(), seed=seed + 7919 * at + 1
                )

        self._joins = self._integer_sums()

    def _known(self, name: str) -> bool:
        return name in self._constant or key_of(name) in self.numbers or key_of(name) in self.factors

    def _integer_sums(self) -> dict[str, str]:
        """Products whose biases join an integer accumulator -> the stored value that they multiply."""
        stored: dict[str, str] = {}
        found: dict[str, str] = {}
        for node in self.graph.nodes:
            if node.op == "Quantize":
                stored[node.output] = node.output
            elif node.op in KEEPS_STORAGE and node.inputs[0] in stored:
                stored[node.output] = stored[node.inputs[0]]
            elif len(node.inputs) > 2 and OPS[node.op].kind == "matrix" and node.inputs[0] in stored:
                bias = self.graph.constants.get(node.inputs[2])
                if isinstance(bias, QTensor) and bias.format == "int32":
                    found[node.name] = stored[node.inputs[0]]
        return found

    def _joined(self, node: Node, bias: Tensor) -> Tensor:
        """The bias as the accumulator holds it: whole numbers of the product of both scales."""
        with torch.no_grad():
            left = self.stores[key_of(self._joins[node.name])].scale_of(None)
            weight = self.stores[key_of(node.inputs[1])]
            if weight.table is not None:
                return bias  # sums of a table's numbers take their bias in float
            scale = (left * weight.scale_of(self.weight(node))).expand(bias.shape).contiguous()
            held = quantize_tensor(bias.detach().numpy(), "int32", axis=0, scale=scale.numpy())
            read = torch.from_numpy(held.dequantize().astype(np.float32))
        return Through.apply(bias, read)

    def forward(self, x: Tensor, keep: Collection[str] = ()) -> Tensor | dict[str, Tensor]:
        """The first output; with ``keep``, every value named there and every output, by name."""
        env: dict[str, Tensor] = {self.graph.inputs[0]: x}
        read = self._on_chip(x)
        for node in self.graph.nodes:
            if node.op == "Quantize":
                first = env[node.inputs[0]]
                held = read.get(node.output)
                env[node.output] = first if self.full else self.stores[key_of(node.output)](first, held)
            else:
                ins = [self._value(name, env) for name in node.inputs]
                if node.name in self._joins and not self.full:
                    ins[2] = self._joined(node, ins[2])
                made = TORCH_OPS[node.op](ins, node.attrs)
                env[node.output] = Through.apply(made, read[node.output]) if node.output in read else made
        self.kept = {name: env[name] for name in self.keeps}
        if not keep:
            return env[self.graph.outputs[0]]
        return {name: env[name] for name in (*keep, *self.graph.outputs)}

    def _on_chip(self, x: Tensor) -> dict[str, Tensor]:
        """What the chip reads, by name; nothing without a chip."""
        if self.chip is None or self.full:
            return {}
        found = self.chip(self.export(), x.detach().numpy())
        return {name: torch.from_numpy(np.ascontiguousarray(held, np.float32)) for name, held in found.items()}

    def weight(self, node: Node) -> Tensor:
        """The float weights that a matrix product learns."""
        found: Tensor = self.numbers[key_of(node.inputs[1])]
        return found

    def scales(self) -> list[Tensor]:
        """What is learned of storage: scales and offsets."""
        return [p for store in self.stores.values() for p in (store.scale, store.offset) if p is not None]

    def logs(self) -> list[Tensor]:
        """What is learned of the factors of attention."""
        return [factor.logs for factor in self.factors.values()]

    def learn_only(self, parameters: Collection[Tensor]) -> None:
        """Leave everything but ``parameters`` (``logs()``, ``scales()``, ...) as it is from here on."""
        wanted = {id(p) for p in parameters}
        for parameter in self.parameters():
            parameter.requires_grad_(id(parameter) in wanted)

    def tables(self) -> list[Tensor]:
        """What is learned of the numbers that codes stand for."""
        return [store.table.numbers for store in self.stores.values() if store.table is not None]

    def export(self) -> Graph:
        """The Quantized IR with everything as it is learned now; it runs on the chip as any other quantized graph.

        Raises:
            ModelError: the graph does not check.
        """
        values = dict(self.graph.values)
        constants: dict[str, Any] = dict(self.graph.constants)
        for node in self.graph.nodes:
            for name in node.inputs:
                if key_of(name) not in self.numbers or name not in constants:
                    continue
                number = self.numbers[key_of(name)]
                if key_of(name) in self.stores:
                    constants[name] = self._nearest(self.stores[key_of(name)], number)
                else:
                    constants[name] = number.detach().numpy().copy()
            for name in node.inputs:
                if key_of(name) in self.factors:
                    constants[name] = self.factors[key_of(name)]().detach().numpy().copy()
            held = values[node.output]
            if node.op == "Quantize" and key_of(node.output) in self.stores:
                values[node.output] = replace(held, quant=self.stores[key_of(node.output)].learned())
            elif node.op in KEEPS_STORAGE and held.quant is not None:
                values[node.output] = replace(held, quant=values[node.inputs[0]].quant)
        graph = self.graph.rebuilt(values=values, constants=constants)
        return check(store_biases(graph, self.recipe))

    @staticmethod
    def _nearest(store: FakeQuant, number: Tensor) -> QTensor:
        training, store.training = store.training, False  # what is shipped is rounded to nearest
        found = store.stored(number)
        store.training = training
        return found

    def _value(self, name: str, env: Mapping[str, Tensor]) -> Tensor:
        if name in env:
            return env[name]
        if key_of(name) in self.factors:
            factor: Tensor = self.factors[key_of(name)]()
            return factor
        if key_of(name) not in self.numbers:
            return self._constant[name]
        number: Tensor = self.numbers[key_of(name)]
        if self.full or key_of(name) not in self.stores:
            return number
        read: Tensor = self.stores[key_of(name)](number)
        return read


def key_of(name: str) -> str:
    """A name that torch takes for a submodule: without dots."""
    return name.replace(".", "/")


def _params(held: QTensor) -> QuantParams:
    """Storage of a constant."""
    if held.block_format is not None:
        return QuantParams(held.format, axis=held.axis, block_format=held.block_format)
    return QuantParams(
        held.format,
        held.scale,
        held.zero_point,
        held.axis,
        held.block_size,
        scale_format=held.scale_format,
    )
