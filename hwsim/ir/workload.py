"""What a network asks of a chip, without its numbers: products and vector operations, their sizes and formats.

The cycle and energy models read only this. A graph lowers to a workload; so does a bare matrix product, or a network
known only by its shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.errors import DataError

SPARSE_GROUP = 4
"""Weights along k of which 2:4 keeps two."""

SPARSE_SUFFIX = "_2to4"


def split_sparse(weights: str) -> tuple[str, bool]:
    """Element format of a weight format's name, and whether it is stored 2:4: ``int8_2to4`` is int8, 2:4."""
    return weights.removesuffix(SPARSE_SUFFIX), weights.endswith(SPARSE_SUFFIX)


@dataclass(frozen=True, slots=True)
class MatrixWork:
    """``groups`` independent products [m, k] x [k, n], all of one size (a convolution after im2col; a batch of heads).

    Attributes:
        name: the node's name.
        op: ``Conv``, ``Gemm`` or ``MatMul``.
        m, n, k: size of each product; ``m`` includes the batch.
        groups: how many products (convolution groups, attention heads x batch).
        input_elements: distinct input activations read, before im2col repeats them.
        weight_elements: elements of the second operand, all groups.
        output_elements: results, all groups.
        input_format, weight_format: storage formats of the operands (names in ``hwsim.formats``).
        accumulator_format: ``int32``, ``fp32`` or ``fp16``.
        output_format: how results are stored after requantization.
        weight_scale_bytes: bytes of scales and zero points that travel with the weights.
        unit: matrix unit that computes it; empty when the target's default does.
        weights_static: False when the second operand is computed at run time (attention).
        sparse: weights are stored 2:4, two of every four along k each with its place; sizes and MACs count the zeros.
    """

    name: str
    op: str
    m: int
    n: int
    k: int
    groups: int
    input_elements: int
    weight_elements: int
    output_elements: int
    input_format: str
    weight_format: str
    accumulator_format: str
    output_format: str
    weight_scale_bytes: int = 0
    unit: str = ""
    weights_static: bool = True
    sparse: bool = False

    def __post_init__(self) -> None:
        for name in ("m", "n", "k", "groups"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} must be at least 1, found {getattr(self, name)}", where=self.name)
        if self.sparse and self.k % SPARSE_GROUP:
            raise DataError(f"2:4 weights need a k that is a multiple of 4, found {self.k}", where=self.name)

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those with zeros of 2:4 weights included."""
        return self.m * self.n * self.k * self.groups


@dataclass(frozen=True, slots=True)
class VectorWork:
    """An operation of the vector unit (pooling, addition, softmax, requantization, ...).

    Attributes:
        name: the node's name (``conv1.requantize`` for an epilogue).
        op: its kind, e.g. ``MaxPool``, ``Softmax``, ``Requantize``.
        input_elements, output_elements: elements read and written.
        operations: scalar operations in all (a 2x2 max of one output is 3).
        input_format, output_format: storage formats; ``compute_format`` is what it computes in.
        fused: True when it works on the matrix unit's results as they leave, with no memory round trip.
        row: elements that are reduced together (a normalization's width); 0 where there is no such thing.
    """

    name: str
    op: str
    input_elements: int
    output_elements: int
    operations: int
    input_format: str
    output_format: str
    compute_format: str = "fp32"
    fused: bool = False
    row: int = 0


Work = MatrixWork | VectorWork


@dataclass(frozen=True, slots=True)
class Workload:
    """Operations in execution order, for one batch.

    Attributes:
        name: of the network.
        batch: inferences that the sizes cover.
        ops: in execution order.
        precision: the target's precision mode it was bound to; empty when not bound.
        eager: the operations run one by one, as a framework runs them, and not as a compiler would fuse them; only
            machines with a launch for each kernel tell the difference.
        chips: chips that share the network (tensor parallelism); the operations are those of one of them, with
            ``AllReduce`` and ``AllGather`` among the vector operations.
    """

    name: str
    batch: int
    ops: tuple[Work, ...]
    precision: str = ""
    eager: bool = False
    chips: int = 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole batch, on all chips."""
        return self.chips * sum(op.macs for op in self.ops if isinstance(op, MatrixWork))

    @property
    def weight_elements(self) -> int:
        """Stored weights, on all chips."""
        return self.chips * sum(
            op.weight_elements for op in self.ops if isinstance(op, MatrixWork) and op.weights_static
        )


def gemm(
    m: int,
    n: int,
    k: int,
    *,
    weights: str = "int8",
    activations: str | None = None,
    accumulator: str | None = None,
    output: str | None = None,
    groups: int = 1,
    name: str = "gemm",
) -> Workload:
    """One matrix product [m, k] x [k, n] as a workload (``weights`` and ``activations`` are format names; ``int8_2to4``
    and the like are weights stored 2:4).

    ``activations`` default to int8 for integer weights and to the weights' format otherwise; ``accumulator`` to int32
    for integer operands and fp32 otherwise; ``output`` to int32 or, for floats, fp16 (bf16 where the activations are;
    fp32 for tf32).

    Raises:
        DataError: a size below 1, or 2:4 weights whose k is not a multiple of 4.
        FormatError: an unknown format.

    Example:
        >>> work = gemm(64, 32, 128, weights="int4")
        >>> work.macs
        262144
        >>> gemm(64, 32, 128, weights="fp8_e4m3fn").ops[0].input_format
        'fp8_e4m3fn'
    """
    from hwsim.numerics import formats

    weights, sparse = split_sparse(weights)
    activations = activations or ("int8" if "int" in weights else weights)
    for fmt in (weights, activations):
        formats[fmt]
    integer = "int" in weights and "int" in activations
    accumulator = accumulator or ("int32" if integer else "fp32")
    output = output or ("int32" if integer else {"bf16": "bf16", "tf32": "fp32"}.get(activations, "fp16"))
    work = MatrixWork(
        name=name,
        op="Gemm",
        m=m,
        n=n,
        k=k,
        groups=groups,
        input_elements=m * k * groups,
        weight_elements=n * k * groups,
        output_elements=m * n * groups,
        input_format=activations,
        weight_format=weights,
        accumulator_format=accumulator,
        output_format=output,
        sparse=sparse,
    )
    return Workload(name=f"{name}_{m}x{n}x{k}{SPARSE_SUFFIX * sparse}", batch=1, ops=(work,))
