"""How networks known by their shapes are written down: products with what follows them, operation by operation."""

from __future__ import annotations

from hwsim.ir.workload import SPARSE_GROUP, MatrixWork, VectorWork, Work
from hwsim.perf.sizes import bits_per_element


class Builder:
    """Collects operations; every product writes ``activations``."""

    def __init__(self, weights: str, activations: str, cache: str | None = None, sparse: bool = False) -> None:
        self.weights, self.activations = weights, activations
        # Queries stay wide before a cache of its own format.
        self.cache = cache or activations
        self.queries = activations if cache is None or bits_per_element(activations) >= 16 else "bf16"
        self.sparse = sparse
        self.ops: list[Work] = []
        # Checkpoints with narrow weights under wide activations keep their output product wide.
        self.head_weights = activations if bits_per_element(activations) >= 16 else weights
        self.accumulator = "int32" if "int" in weights and "int" in activations else "fp32"

    def product(
        self, name: str, m: int, n: int, k: int, groups: int = 1, inputs: int = 0, op: str = "Gemm", weights: str = ""
    ) -> None:
        """A product with static weights and its fused scale and bias."""
        size = n * k * groups
        self._matrix(name, op, m, n, k, groups, inputs or m * k * groups, size, weights or self.weights, True)
        self.vector(f"{name}.epilogue", "Requantize", m * n * groups, 2, fused=True)

    def attend(self, name: str, m: int, n: int, k: int, groups: int, second: int) -> None:
        """A product of two run-time values; ``second`` elements are read of the second."""
        self._matrix(name, "MatMul", m, n, k, groups, m * k * groups, second, self.cache, False)

    def vector(
        self, name: str, op: str, elements: int, each: int, *, inputs: int = 0, fused: bool = False, row: int = 0
    ) -> None:
        """``each`` operations for every one of ``elements`` results."""
        fmt, operations = self.accumulator if fused else self.activations, elements * each
        self.ops.append(
            VectorWork(name, op, inputs or elements, elements, operations, fmt, self.activations, fused=fused, row=row)
        )

    def _matrix(
        self, name: str, op: str, m: int, n: int, k: int, groups: int, inputs: int, second: int, fmt: str, static: bool
    ) -> None:
        self.ops.append(
            MatrixWork(
                name=name,
                op=op,
                m=m,
                n=n,
                k=k,
                groups=groups,
                input_elements=inputs,
                weight_elements=second,
                output_elements=m * n * groups,
                input_format=self.activations if static else self.queries,
                weight_format=fmt,
                accumulator_format=self.accumulator,
                output_format=self.activations,
                weights_static=static,
                # Products that do not divide in groups of four (first convolutions, depthwise ones) stay dense.
                sparse=self.sparse and static and fmt == self.weights and k % SPARSE_GROUP == 0,
            )
        )
