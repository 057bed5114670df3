"""Shapes of every operator's output, from those of its inputs and its attributes; ModelError where they do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from hwsim.errors import ModelError
from hwsim.ir.graph import BATCH, Dim, Shape


def elements(shape: Shape, batch: int = 1) -> int:
    """Number of elements, the batch dimension counted as ``batch``."""
    return prod(batch if d == BATCH else int(d) for d in shape)


def _rank(shape: Shape, rank: int, what: str) -> None:
    if len(shape) != rank:
        raise ModelError(f"{what} must have {rank} dimensions, found shape {list(shape)}")


def _window(size: Dim, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    if isinstance(size, str):
        raise ModelError("a spatial dimension must be a number, found the batch")
    out = (size + before + after - dilation * (kernel - 1) - 1) // stride + 1
    if out < 1:
        raise ModelError(f"window {kernel} (dilation {dilation}) does not fit into {size} + padding {before + after}")
    return out


def conv(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """[n, c, h, w] by [out, c / group, kh, kw]."""
    x, w = shapes[0], shapes[1]
    _rank(x, 4, "Conv input")
    _rank(w, 4, "Conv weight")
    if BATCH in w:
        raise ModelError(f"a Conv weight has no batch, found shape {list(w)}")
    group = attrs["group"]
    if x[1] != int(w[1]) * group:
        raise ModelError(f"Conv weight {list(w)} with group {group} takes {int(w[1]) * group} channels, found {x[1]}")
    if int(w[0]) % group:
        raise ModelError(f"Conv output channels {w[0]} are not a multiple of group {group}")
    if len(shapes) > 2 and shapes[2] != (w[0],):
        raise ModelError(f"Conv bias must have shape [{w[0]}], found {list(shapes[2])}")
    (top, left, bottom, right), strides, dil = attrs["pads"], attrs["strides"], attrs["dilations"]
    return (
        x[0],
        w[0],
        _window(x[2], int(w[2]), strides[0], top, bottom, dil[0]),
        _window(x[3], int(w[3]), strides[1], left, right, dil[1]),
    )


def gemm(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """[..., K] by [N, K]."""
    x, w = shapes[0], shapes[1]
    _rank(w, 2, "Gemm weight")
    if len(x) < 2 or x[-1] != w[1]:
        raise ModelError(f"Gemm weight {list(w)} takes inputs [..., {w[1]}], found {list(x)}")
    if len(shapes) > 2 and shapes[2] != (w[0],):
        raise ModelError(f"Gemm bias must have shape [{w[0]}], found {list(shapes[2])}")
    return (*x[:-1], w[0])


def matmul(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """[..., M, K] by [..., K, N], leading dimensions broadcast."""
    a, b = shapes
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        raise ModelError(f"MatMul takes [..., M, K] x [..., K, N], found {list(a)} x {list(b)}")
    return (*broadcast([a[:-2], b[:-2]], attrs), a[-2], b[-1])


def broadcast(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """numpy's broadcasting."""
    rank = max(len(s) for s in shapes)
    out: list[Dim] = []
    for dims in zip(*[(1,) * (rank - len(s)) + s for s in shapes], strict=True):
        wide = {d for d in dims if d != 1}
        if len(wide) > 1:
            raise ModelError(f"shapes do not broadcast: {' and '.join(str(list(s)) for s in shapes)}")
        out.append(wide.pop() if wide else 1)
    return tuple(out)


def same(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """The first input's shape."""
    return shapes[0]


def pool(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """Windows over [n, c, h, w]."""
    x = shapes[0]
    _rank(x, 4, "pooling input")
    (top, left, bottom, right), strides, kernel = attrs["pads"], attrs["strides"], attrs["kernel_shape"]
    if max(top, bottom) >= kernel[0] or max(left, right) >= kernel[1]:
        raise ModelError(f"pooling pads {attrs['pads']} must be smaller than the kernel {kernel}")
    return (
        x[0],
        x[1],
        _window(x[2], kernel[0], strides[0], top, bottom, 1),
        _window(x[3], kernel[1], strides[1], left, right, 1),
    )


def global_pool(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """[n, c, 1, 1]."""
    _rank(shapes[0], 4, "GlobalAveragePool input")
    return (shapes[0][0], shapes[0][1], 1, 1)


def flatten(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """Two dimensions."""
    x, axis = shapes[0], attrs["axis"]
    if not 1 <= axis <= len(x):
        raise ModelError(f"Flatten axis must be 1..{len(x)} (the batch stays), found {axis}")
    head = x[:axis]
    return (head[0] if len(head) == 1 else _merge(head), elements(x[axis:]))


def _merge(dims: Shape) -> Dim:
    if BATCH in dims and elements(dims) != 1:
        raise ModelError(f"the batch cannot be merged with other dimensions: {list(dims)}")
    return BATCH if BATCH in dims else elements(dims)


def reshape(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """The attribute; the batch stays first."""
    x, shape = shapes[0], tuple(attrs["shape"])
    if BATCH in x:
        if shape[:1] != (-1,) or any(d < 1 for d in shape[1:]):
            raise ModelError(f"Reshape must keep the batch first: shape (-1, ...), found {list(shape)}")
        if elements(x) != prod(shape[1:]):
            raise ModelError(f"Reshape of {list(x)} to {list(shape)} changes the number of elements")
        return (BATCH, *shape[1:])
    if elements(x) != prod(shape):
        raise ModelError(f"Reshape of {list(x)} to {list(shape)} changes the number of elements")
    return shape


def transpose(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """Dimensions permuted."""
    x, perm = shapes[0], attrs["perm"]
    if sorted(perm) != list(range(len(x))):
        raise ModelError(f"Transpose perm {list(perm)} is not a permutation of {len(x)} dimensions")
    return tuple(x[p] for p in perm)


def softmax(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """The input's shape, the axis checked."""
    axis_of(shapes[0], attrs["axis"])
    return shapes[0]


def axis_of(x: Shape, axis: int) -> int:
    """``axis`` counted from the front; ModelError where there is none."""
    if not -len(x) <= axis < len(x):
        raise ModelError(f"axis {axis} is outside shape {list(x)}")
    return axis % len(x)


def batchnorm(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """The input's shape, the parameters checked."""
    if len(shapes[0]) < 2:
        raise ModelError(f"BatchNormalization takes [N, C, ...], found {list(shapes[0])}")
    for s in shapes[1:]:
        if s != (shapes[0][1],):
            raise ModelError(f"BatchNormalization parameters must have shape [{shapes[0][1]}], found {list(s)}")
    return shapes[0]


def pad(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """Each dimension grown or cropped; not the batch."""
    x, pads = shapes[0], attrs["pads"]
    if len(pads) != 2 * len(x):
        raise ModelError(f"Pad needs {2 * len(x)} amounts for shape {list(x)}, found {len(pads)}")
    out: list[Dim] = []
    for dim, before, after in zip(x, pads[: len(x)], pads[len(x) :], strict=True):
        if dim == BATCH and (before or after):
            raise ModelError("the batch cannot be padded")
        out.append(dim if isinstance(dim, str) else dim + before + after)
        if out[-1] != BATCH and int(out[-1]) < 1:
            raise ModelError(f"Pad of {list(x)} by {list(pads)} leaves nothing")
    return tuple(out)


def concat(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """The sum along ``axis``."""
    axis = axis_of(shapes[0], attrs["axis"])
    rest = {(*s[:axis], 0, *s[axis + 1 :]) for s in shapes}
    if len(rest) != 1 or any(s[axis] == BATCH for s in shapes):
        raise ModelError(f"Concat along {axis} of shapes that differ elsewhere: {[list(s) for s in shapes]}")
    return (*shapes[0][:axis], sum(int(s[axis]) for s in shapes), *shapes[0][axis + 1 :])


def reduce(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """Dimensions ``axes`` gone, or 1 with ``keepdims``; never the batch."""
    x = shapes[0]
    axes = {axis_of(x, a) for a in attrs["axes"]}
    if not axes or any(x[a] == BATCH for a in axes):
        raise ModelError(f"a reduction takes some axes, and not the batch; found axes {sorted(axes)} of {list(x)}")
    if attrs["keepdims"]:
        return tuple(1 if i in axes else d for i, d in enumerate(x))
    return tuple(d for i, d in enumerate(x) if i not in axes)


def slices(x: Shape, attrs: Mapping[str, Any]) -> tuple[slice, ...]:
    """A numpy slice a dimension of ``x`` from attributes ``starts``, ``ends``, ``axes`` and ``steps``."""
    parts = [attrs[key] for key in ("starts", "ends", "axes", "steps")]
    if len({len(part) for part in parts}) != 1:
        raise ModelError("Slice needs starts, ends, axes and steps of one length")
    out = [slice(None)] * len(x)
    for start, end, axis, step in zip(*parts, strict=True):
        at = axis_of(x, axis)
        dim = x[at]
        if isinstance(dim, str) or step == 0:
            raise ModelError(f"Slice cannot cut the batch or step by 0; found axis {axis} of {list(x)}, step {step}")
        begin, stop, stride = slice(start, end, step).indices(dim)
        out[at] = slice(begin, stop if stop >= 0 else None, stride)
    return tuple(out)


def slice_(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """Each dimension as its slice leaves it."""
    x = shapes[0]
    cuts = slices(x, attrs)
    out: Shape = tuple(d if isinstance(d, str) else len(range(d)[c]) for d, c in zip(x, cuts, strict=True))
    if 0 in out:
        raise ModelError(f"Slice of {list(x)} leaves nothing: {list(out)}")
    return out


def expand(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """Broadcast to the attribute; -1 there is the batch."""
    wanted: Shape = tuple(BATCH if d == -1 else d for d in attrs["shape"])
    out = broadcast([shapes[0], wanted], attrs)
    if out != wanted:
        raise ModelError(f"Expand of {list(shapes[0])} to {list(wanted)} gives {list(out)}")
    return out


def gather(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """Dimension ``axis`` of the table replaced by the indices' shape."""
    table, indices = shapes
    axis = axis_of(table, attrs["axis"])
    if table[axis] == BATCH or (BATCH in indices and (axis or BATCH in table)):
        raise ModelError(f"Gather cannot pick along the batch: {list(table)} by {list(indices)} along {axis}")
    return (*table[:axis], *indices, *table[axis + 1 :])


def norm(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """The input's shape; scale and bias have its last dimensions, from ``axis`` on."""
    x = shapes[0]
    axis = axis_of(x, attrs["axis"])
    if x[axis] == BATCH:
        raise ModelError("a normalization cannot run over the batch")
    for s in shapes[1:]:
        if s != x[axis:]:
            raise ModelError(f"normalization parameters must have shape {list(x[axis:])}, found {list(s)}")
    return x


def rotary(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """[n, heads, length, size] with tables [length, size / 2]."""
    x = shapes[0]
    _rank(x, 4, "RotaryEmbedding input")
    if isinstance(x[2], str) or isinstance(x[3], str) or x[3] % 2:
        raise ModelError(f"RotaryEmbedding takes [N, heads, length, even size], found {list(x)}")
    for s in shapes[1:]:
        if s != (x[2], x[3] // 2):
            raise ModelError(f"RotaryEmbedding tables must have shape {[x[2], x[3] // 2]}, found {list(s)}")
    return x


def resize(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> Shape:
    """Height and width replaced by ``size``."""
    x = shapes[0]
    _rank(x, 4, "Resize input")
    if min(attrs["size"]) < 1 or min(attrs["scales"]) <= 0:
        raise ModelError(f"Resize needs a size and scales above 0, found {attrs['size']} and {attrs['scales']}")
    return (x[0], x[1], *attrs["size"])
