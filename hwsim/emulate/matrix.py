"""Matrix products on the target's unit: operands from storage, sums as declared, results into storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.emulate.epilogue import Sums, reals, store
from hwsim.emulate.grouped import Grouped
from hwsim.emulate.operands import Operand, block_operand, k_order, plain_operand, weight_operand
from hwsim.emulate.program import MatrixStep, Program
from hwsim.emulate.scaled import Scaled, product, side
from hwsim.emulate.stored import Held, Stored
from hwsim.errors import RecipeError
from hwsim.ir import Node
from hwsim.numerics import QTensor, decode, encode, int_table, mma, units
from hwsim.numerics.codec import element_format
from hwsim.numerics.threads import split
from hwsim.numerics.unit import ScaledFusedUnit

Ints = tuple[int, ...]
Product = Callable[..., NDArray[Any]]
"""(a codes [M, K], b codes [N, K], c [M, N] or None, unit name) -> d [M, N]; for units with block scales also keywords
a_scale and b_scale, scale codes [M, blocks] and [N, blocks]."""


class MatrixEngine:
    """Computes those matrix steps of one program that run on ``unit``; stored weights are laid out once."""

    def __init__(self, program: Program, matmul: dict[str, Product], unit: str) -> None:
        self.graph = program.graph
        self.mode = program.precision
        self.unit = units[unit]
        self.matmul = matmul
        self.weights: dict[tuple[str, int], Operand] = {}
        self.scaled: dict[tuple[str, int], Scaled] = {}
        self.grouped: dict[str, Grouped | None] = {}
        for step in program.steps:
            if isinstance(step, MatrixStep) and step.work.unit == unit:
                self._lay_out(step)

    def _lay_out(self, step: MatrixStep) -> None:
        held = self.graph.constants.get(step.node.inputs[1])
        if not isinstance(held, QTensor):
            return
        each = held.shape[0] // step.work.groups
        try:
            for g in range(step.work.groups):
                rows = slice(g * each, (g + 1) * each)
                if isinstance(self.unit, ScaledFusedUnit):
                    codes, scales = k_order(held.codes[rows]), k_order(held.scale[rows])
                    self.scaled[step.node.name, g] = side(codes, scales, held, self.unit, held.shape[1])
                    continue
                self.weights[step.node.name, g] = weight_operand(held, self.unit.b_format, rows)
        except RecipeError as e:
            raise RecipeError(e.message, where=f"{self.graph.name}:{step.node.name}") from None
        if step.work.groups > 1 and not isinstance(self.unit, ScaledFusedUnit) and step.node.name not in self.matmul:
            parts = [self.weights[step.node.name, g] for g in range(step.work.groups)]
            self.grouped[step.node.name] = Grouped.of(parts, self.unit, held.shape[2] * held.shape[3])

    def run(self, step: MatrixStep, env: dict[str, Held]) -> tuple[Held, float, int]:
        """The step's result, the largest sum, and how many sums left the accumulator."""
        node = step.node
        if node.op == "MatMul":
            products = self._dynamic(step, env)
        elif node.op == "Conv":
            products = self._convolution(step, env)
        else:
            products = self._dense(step, env)
        quant = self.graph.value(step.output).quant
        parts: list[NDArray[Any]] = []
        peak, overflowed = 0.0, 0
        for sums, lost in products:
            if sums.acc.size:
                peak = max(peak, float(np.max(sums.acc)), -float(np.min(sums.acc)))
            overflowed += lost
            if quant is not None and quant.block_format is None:
                parts.append(store(sums, step.clamps, quant, self.mode.requantize, node.arithmetic, node.op))
            else:
                parts.append(reals(sums, step.clamps, "fp32" if quant is not None else self.mode.vector_format))
        y = self._assemble(step, parts, env)
        if quant is None:
            return y, peak, overflowed
        if quant.block_format is not None:
            return Stored.of(y, quant), peak, overflowed
        return Stored(y, quant), peak, overflowed

    def _assemble(self, step: MatrixStep, parts: list[NDArray[Any]], env: dict[str, Held]) -> NDArray[Any]:
        if step.node.op == "Conv":
            n, _, oh, ow = self._conv_shape(step, env)
            return parts[0].reshape(n, oh, ow, -1).transpose(0, 3, 1, 2)
        x = _shape(env[step.node.inputs[0]])
        if step.node.op == "Gemm":
            return parts[0].reshape(*x[:-1], -1)
        b = _shape(env[step.node.inputs[1]])
        lead = np.broadcast_shapes(x[:-2], b[:-2])
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return whole.reshape(*lead, x[-2], b[-1])

    def _conv_shape(self, step: MatrixStep, env: dict[str, Held]) -> tuple[int, int, int, int]:
        declared = self.graph.shape_of(step.node.output)
        n = _shape(env[step.node.inputs[0]])[0]
        return n, int(declared[1]), int(declared[2]), int(declared[3])

    def _dense(self, step: MatrixStep, env: dict[str, Held]) -> Iterator[tuple[Sums, int]]:
        held = env[step.node.inputs[0]]
        assert isinstance(held, Stored)
        rows = held.codes.reshape(-1, held.codes.shape[-1])
        if held.scales is not None:
            scales = np.asarray(held.scales.scale, np.float32).reshape(len(rows), -1)
            if isinstance(self.unit, ScaledFusedUnit):
                left = side(rows, scales, held.scales, self.unit, rows.shape[1])
                compute = self.matmul.get(step.node.name)
                bias = self._bias(step.node, slice(None))
                yield product(left, self.scaled[step.node.name, 0], bias, self.unit, compute), 0
                return
            a = self._blocks(np.ascontiguousarray(rows), scales, held)
        else:
            a = plain_operand(np.ascontiguousarray(rows), held.quant, self.unit.a_format)
        yield self._product(step.node, a, self._second(step, env, 0), self._bias(step.node, slice(None)))

    def _second(self, step: MatrixStep, env: dict[str, Held], group: int) -> Operand:
        laid = self.weights.get((step.node.name, group))
        if laid is not None:
            return laid
        held = env[step.node.inputs[1]]
        assert isinstance(held, Stored)
        return plain_operand(np.ascontiguousarray(held.codes), held.quant, self.unit.b_format)

    def _blocks(self, codes: NDArray[Any], scales: NDArray[np.float32], held: Stored, channels: int = 0) -> Operand:
        tensor = held.scales
        assert tensor is not None
        assert tensor.block_size is not None
        if tensor.tensor_scale is not None:
            scales = scales * tensor.tensor_scale
        return block_operand(
            codes,
            np.ascontiguousarray(scales, np.float32),
            tensor.format,
            self.unit.a_format,
            channels or codes.shape[-1],
            tensor.block_size,
        )

    def _convolution(self, step: MatrixStep, env: dict[str, Held]) -> Iterator[tuple[Sums, int]]:
        held = env[step.node.inputs[0]]
        assert isinstance(held, Stored)
        if step.work.groups == 1:
            yield self._group(step, env, held, 0)
            return
        if held.scales is not None:
            raise RecipeError(
                "block-scaled activations of grouped convolutions are not computed",
                where=f"{self.graph.name}:{step.node.name}",
            )
        yield self._at_once(step, env, held) or _beside(
            [self._group(step, env, held, g) for g in range(step.work.groups)]
        )

    def _at_once(self, step: MatrixStep, env: dict[str, Held], held: Stored) -> tuple[Sums, int] | None:
        """The sums of all groups in one pass; groups in which a sum might leave the accumulator go through the unit."""
        weight = self.grouped.get(step.node.name)
        if weight is None:
            return None
        a = plain_operand(held.codes, held.quant, self.unit.a_format)
        bias = self._bias(step.node, slice(None))
        kernel, geometry, size = self._geometry(step)
        integers = int_table(self.unit.a_format)
        acc, certain = weight.sums(Stored(a.codes, held.quant), integers, kernel, geometry, size, bias)
        lost = 0
        for g in np.flatnonzero(~certain.reshape(step.work.groups, -1).all(axis=1)):
            part, more = self._group(step, env, held, int(g))
            acc[:, g * step.work.n : (g + 1) * step.work.n] = part.acc
            lost += more
        left = None if bias is None or bias.dtype == np.int32 else np.asarray(bias, np.float32)
        return Sums(acc, (a.scales[0] * weight.scales).astype(np.float32), left), lost

    def _group(self, step: MatrixStep, env: dict[str, Held], held: Stored, g: int) -> tuple[Sums, int]:
        """The sums [rows, n] of one group, through the unit."""
        channels, out = held.codes.shape[1] // step.work.groups, step.work.n
        codes = self._columns(held.codes[:, g * channels : (g + 1) * channels], step, _zero_code(held))
        bias = self._bias(step.node, slice(g * out, (g + 1) * out))
        if held.scales is None:
            a = plain_operand(codes, held.quant, self.unit.a_format)
            return self._product(step.node, a, self._second(step, env, g), bias)
        scales = self._columns(np.asarray(held.scales.scale, np.float32), step, np.float32(1))
        if isinstance(self.unit, ScaledFusedUnit):
            left = side(codes, scales, held.scales, self.unit, channels)
            compute = self.matmul.get(step.node.name)
            return product(left, self.scaled[step.node.name, g], bias, self.unit, compute), 0
        return self._product(step.node, self._blocks(codes, scales, held, channels), self._second(step, env, g), bias)

    def _geometry(self, step: MatrixStep) -> tuple[Ints, tuple[Ints, Ints, Ints], Ints]:
        """(kh, kw), (strides, pads, dilations) and (oh, ow) of a convolution."""
        attrs: Any = step.node.attrs
        kh, kw = (int(d) for d in self.graph.shape_of(step.node.inputs[1])[2:])
        oh, ow = (int(d) for d in self.graph.shape_of(step.node.output)[2:])
        return (kh, kw), (tuple(attrs["strides"]), tuple(attrs["pads"]), tuple(attrs["dilations"])), (oh, ow)

    def _columns(self, x: NDArray[Any], step: MatrixStep, fill: Any) -> NDArray[Any]:
        """[n, c, h, w] -> [n * oh * ow, kh * kw * c]."""
        from hwsim.emulate._kernels import im2col

        (kh, kw), geometry, (oh, ow) = self._geometry(step)
        if kh == kw == 1 and geometry[0] == (1, 1) and not any(geometry[1]):
            return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(-1, x.shape[1])
        out = np.empty((x.shape[0] * oh * ow, kh * kw * x.shape[1]), x.dtype)
        nhwc = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        split(partial(im2col, nhwc, kh, kw, *geometry, x.dtype.type(fill), (oh, ow), out), len(x) * oh, out.size)
        return out

    def _dynamic(self, step: MatrixStep, env: dict[str, Held]) -> Iterator[tuple[Sums, int]]:
        left, right = env[step.node.inputs[0]], env[step.node.inputs[1]]
        assert isinstance(left, Stored)
        assert isinstance(right, Stored)
        if left.scales is not None or right.scales is not None:
            raise RecipeError(
                "a product of two block-scaled activations is not computed",
                where=f"{self.graph.name}:{step.node.name}",
            )
        x, y = left.codes, right.codes
        lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        if y.ndim > 2 and y.shape[-3] == 1 and x.ndim == y.ndim:
            # Queries that share keys and values are rows of one product; no row knows of another.
            x, lead = x.reshape(*x.shape[:-3], -1, x.shape[-1]), lead[:-1]
            y = y[..., 0, :, :]
        x = np.broadcast_to(x, (*lead, *x.shape[-2:])).reshape(-1, *x.shape[-2:])
        y = np.broadcast_to(y, (*lead, *y.shape[-2:])).reshape(-1, *y.shape[-2:])
        for a, b in zip(x, y, strict=True):
            first = plain_operand(np.ascontiguousarray(a), left.quant, self.unit.a_format)
            second = plain_operand(np.ascontiguousarray(b.T), right.quant, self.unit.b_format)
            yield self._product(step.node, first, second, None)

    def _bias(self, node: Node, part: slice) -> NDArray[np.float32] | NDArray[np.int32] | None:
        if len(node.inputs) < 3:
            return None
        held = self.graph.constants[node.inputs[2]]
        if isinstance(held, QTensor):
            return decode(held.codes, held.format).astype(np.int32)[part]
        return np.asarray(held, np.float32)[part]

    def _product(
        self, node: Node, a: Operand, b: Operand, bias: NDArray[np.float32] | NDArray[np.int32] | None
    ) -> tuple[Sums, int]:
        """Sums of one product, and how many left the accumulator.

        Integer biases and zero points enter through the accumulator's start. Where scales change along K, or from row
        to row of ``a``, each segment's sums are scaled and added in float32.
        """
        compute = self.matmul.get(node.name, mma)
        m, n = len(a.codes), len(b.codes)
        whole = a.scales.ndim == 1 and len(a.bounds) == len(b.bounds) == 1
        left = None if bias is None or bias.dtype == np.int32 else np.asarray(bias, np.float32)
        if whole:
            start = self._start(a.codes, a.zero_at(0), b.codes, b.zero_at(0), bias)
            lost = self._overflows(a.codes, b.codes, start)
            acc = compute(a.codes, b.codes, start, self.unit.name)
            scale = np.asarray(a.scales[0], np.float64) * b.scales[0]
            return Sums(acc, np.broadcast_to(scale, (n,)), left), lost
        total = np.zeros((m, n), np.float32)
        lost, begin = 0, 0
        for end in sorted({*a.bounds, *b.bounds}):
            part_a, part_b = (np.ascontiguousarray(o.codes[:, begin:end]) for o in (a, b))
            start = self._start(part_a, a.zero_at(begin), part_b, b.zero_at(begin), None)
            lost += self._overflows(part_a, part_b, start)
            acc = compute(part_a, part_b, start, self.unit.name)
            scale = np.atleast_1d(a.scale_at(begin))[:, None] * np.atleast_1d(b.scale_at(begin))[None, :]
            total += acc.astype(np.float32) * scale
            begin = end
        return Sums(total, np.ones(n, np.float32), left), lost

    def _start(
        self,
        a: NDArray[Any],
        zero_a: NDArray[np.int32] | None,
        b: NDArray[Any],
        zero_b: NDArray[np.int32] | None,
        bias: NDArray[Any] | None,
    ) -> NDArray[np.int32] | None:
        """Accumulator start: bias + K za zb - za sum(b) - zb sum(a), from (qa - za)(qb - zb); wraps as int32 does."""
        start = np.zeros((1, len(b)), np.int64)
        if bias is not None and bias.dtype == np.int32:
            start = start + bias.astype(np.int64)
        if zero_a is not None:
            start = start - int(zero_a) * _row_sums(b, self.unit.b_format)[None, :]
        if zero_b is not None:
            wide_b = np.broadcast_to(zero_b, (len(b),)).astype(np.int64)
            start = start - _row_sums(a, self.unit.a_format)[:, None] * wide_b[None, :]
            if zero_a is not None:
                start = start + a.shape[1] * int(zero_a) * wide_b[None, :]
        if not start.any():
            return None
        return np.ascontiguousarray(np.broadcast_to(start, (len(a), len(b)))).astype(np.int32)

    def _overflows(self, a: NDArray[Any], b: NDArray[Any], start: NDArray[np.int32] | None) -> int:
        """How many sums do not fit into int32 (exact sums, not partial ones); float accumulators have none."""
        if self.unit.accumulator != "int32":
            return 0
        table_a, table_b = int_table(self.unit.a_format), int_table(self.unit.b_format)
        limit = a.shape[1] * int(np.abs(table_a).max()) * int(np.abs(table_b).max())
        if limit + (0 if start is None else int(np.abs(start.astype(np.int64)).max())) < 1 << 31:
            return 0
        exact = table_a[a].astype(np.float64) @ table_b[b].astype(np.float64).T
        exact += 0 if start is None else start
        return int(np.count_nonzero((exact >= 2.0**31) | (exact < -(2.0**31))))


def _beside(groups: list[tuple[Sums, int]]) -> tuple[Sums, int]:
    """The sums of groups as those of one product, and how many left the accumulator."""
    parts = [sums for sums, _ in groups]
    biases = [sums.bias for sums in parts if sums.bias is not None]
    acc, scale = np.concatenate([sums.acc for sums in parts], axis=1), np.concatenate([sums.scale for sums in parts])
    return Sums(acc, scale, np.concatenate(biases) if biases else None), sum(lost for _, lost in groups)


def _row_sums(codes: NDArray[Any], fmt: str) -> NDArray[np.int64]:
    sums: NDArray[np.int64] = int_table(fmt)[codes].sum(axis=1, dtype=np.int64)
    return sums


def _zero_code(held: Stored) -> int:
    """Code that padding holds: real zero."""
    quant = held.quant
    if not element_format(quant.format).is_integer:
        return 0
    zero = 0 if quant.zero_point is None else int(quant.zero_point)
    return int(encode(np.asarray([zero], np.float32), quant.format)[0])


def _shape(held: Held) -> tuple[int, ...]:
    return held.codes.shape if isinstance(held, Stored) else held.shape
