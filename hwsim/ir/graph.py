"""The graph: values, nodes, constants. Frozen; a pass returns a new graph.

A value always *means* a real tensor. Its ``quant`` says how that tensor is stored; a constant that is stored in low
bits is a :class:`~hwsim.numerics.QTensor`. Dimension 0 of activations is the batch and is written ``"N"``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ModelError, unknown
from hwsim.numerics import QTensor, quantize_tensor

Dim = int | str
Shape = tuple[Dim, ...]
Attr = int | float | str | tuple[int, ...] | tuple[float, ...]
Constant = NDArray[Any] | QTensor

BATCH = "N"


@dataclass(frozen=True, slots=True, eq=False)
class QuantParams:
    """How a tensor is stored: real = (decode(code) - zero_point) * scale [* tensor_scale].

    Attributes:
        format: element format, a name in ``hwsim.formats``.
        scale: float32; shape () per tensor, (C,) per channel along ``axis``. None where blocks take their own scale at
            run time (``block_format`` set) or where the format needs none (``fp16``, ``bf16``, ``fp32``).
        zero_point: int32, shape of ``scale``; None means zero.
        axis: dimension that ``scale`` runs along; None per tensor.
        block_size: elements that share one scale along ``axis``; None for no blocks.
        block_format: ``"mxfp4"``, ``"nvfp4"``, ... where the block format's own rule makes the scales.
        rounding, overflow: of the conversion, names of ``hwsim.numerics``.
        negative_zero: what the conversion makes of -0 (``keep``, ``canonicalise``, ``trap``); None is the format's own.
        profile: vendor's or library's way with ties, NaN and zeros (``Format.profiles``); None is the format's first.
        mode: of block formats, how scales follow from data (``BlockFormat.modes``); None is the first.
        scale_format: format that stores the scales; ``scale`` holds what is left of them there.
    """

    format: str
    scale: NDArray[np.float32] | None = None
    zero_point: NDArray[np.int32] | None = None
    axis: int | None = None
    block_size: int | None = None
    block_format: str | None = None
    rounding: str = "nearest_even"
    overflow: str = "saturate"
    negative_zero: str | None = None
    profile: str | None = None
    mode: str | None = None
    scale_format: str = "fp32"

    @property
    def plain(self) -> bool:
        """Ties go to even, overflow saturates, and zeros are as the format has them: what requantizers do."""
        special = (self.negative_zero, self.profile)
        return self.rounding == "nearest_even" and self.overflow == "saturate" and special == (None, None)

    def quantize(self, x: NDArray[np.floating[Any]]) -> QTensor:
        """Store ``x`` this way."""
        if self.block_format is not None:
            return quantize_tensor(x, self.block_format, axis=-1 if self.axis is None else self.axis, mode=self.mode)
        scale = np.float32(1.0) if self.scale is None else self.scale
        return quantize_tensor(
            x,
            self.format,
            axis=self.axis,
            block_size=self.block_size,
            scale=np.asarray(scale, dtype=np.float32),
            zero_point=self.zero_point,
            rounding=self.rounding,
            overflow=self.overflow,
            negative_zero=self.negative_zero,
            profile=self.profile,
            scale_format=self.scale_format,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor that flows: its shape (batch ``"N"`` first) and how it is stored (None: float32)."""

    name: str
    shape: Shape
    quant: QuantParams | None = None

    @property
    def format(self) -> str:
        """Name of the storage format."""
        if self.quant is None:
            return "fp32"
        return self.quant.block_format or self.quant.format


ACCUMULATORS = ("int32", "fp32", "fp16")
ACCUMULATOR_OVERFLOWS = ("wrap", "saturate", "inf")
REQUANTIZERS = ("fp32", "fixed_point", "tflite_reference", "tflite_xnnpack")


@dataclass(frozen=True, slots=True, eq=False)
class Arithmetic:
    """How a matrix product sums and how its sums leave, where a target has fixed it.

    Attributes:
        accumulator: ``int32``, ``fp32`` or ``fp16``.
        overflow: what the accumulator does beyond its range: ``wrap``, ``saturate`` or (floats) ``inf``.
        requantize: ``fp32`` multiplies integer sums by a float32 ratio, ties to even; ``fixed_point`` by an integer and
            a right shift, ties up; ``tflite_reference`` and ``tflite_xnnpack`` as TensorFlow Lite's kernels do.
        multiplier, shift: of ``fixed_point``, int64, one each an output channel: code = (sum * multiplier) >> shift
            [+ zero point]. None leaves them to follow from the scales.
    """

    accumulator: str
    overflow: str
    requantize: str = "fp32"
    multiplier: NDArray[np.int64] | None = None
    shift: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: ONNX's vocabulary, attributes already normalised (see ``hwsim.ir.ops``).

    ``arithmetic`` belongs to matrix products; None leaves it to whatever target runs the graph.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    attrs: Mapping[str, Any] = field(default_factory=dict)
    arithmetic: Arithmetic | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A network: nodes in execution order, single assignment.

    Attributes:
        name: the model's name.
        inputs, outputs: value names.
        nodes: in an order that defines every value before its use.
        values: every input and node output by name.
        constants: weights and tables by name; float32 (int32 for integer biases) arrays or QTensors.
        cached: names of values that a decoder keeps from step to step (keys and values); how they are stored is their
            ``quant``.
        notes: where the graph comes from, words by name (``target``, ``precision``); they have no meaning.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    constants: Mapping[str, Constant]
    cached: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def value(self, name: str) -> Value:
        """The value called ``name``.

        Raises:
            ModelError: there is none; names the nearest.
        """
        try:
            return self.values[name]
        except KeyError:
            raise unknown(ModelError, "value", name, self.values, where=self.name) from None

    def shape_of(self, name: str) -> Shape:
        """Shape of a value or a constant."""
        if name in self.constants:
            return tuple(int(d) for d in self.constants[name].shape)
        return self.value(name).shape

    def node(self, name: str) -> Node:
        """The node called ``name``.

        Raises:
            ModelError: there is none; names the nearest.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise unknown(ModelError, "node", name, [n.name for n in self.nodes], where=self.name)

    def producer(self, value: str) -> Node | None:
        """The node that makes ``value``; None for inputs and constants."""
        return next((n for n in self.nodes if n.output == value), None)

    def consumers(self, value: str) -> tuple[Node, ...]:
        """The nodes that read ``value``, in order."""
        return tuple(n for n in self.nodes if value in n.inputs)

    def float_constant(self, name: str) -> NDArray[np.float32]:
        """A constant as real float32 numbers, whatever its storage."""
        held = self.constants[name]
        return held.dequantize() if isinstance(held, QTensor) else np.asarray(held, dtype=np.float32)

    def rebuilt(
        self,
        *,
        nodes: Iterable[Node] | None = None,
        values: Mapping[str, Value] | None = None,
        constants: Mapping[str, Constant] | None = None,
        outputs: tuple[str, ...] | None = None,
    ) -> Graph:
        """A copy with parts replaced, and with the values and constants that nothing uses any more left out."""
        nodes = self.nodes if nodes is None else tuple(nodes)
        values = self.values if values is None else values
        constants = self.constants if constants is None else constants
        outputs = self.outputs if outputs is None else outputs
        used = {i for n in nodes for i in n.inputs} | {n.output for n in nodes} | set(self.inputs) | set(outputs)
        return replace(
            self,
            cached=tuple(name for name in self.cached if name in used),
            nodes=nodes,
            outputs=outputs,
            values={k: v for k, v in values.items() if k in used},
            constants={k: c for k, c in constants.items() if k in used},
        )
