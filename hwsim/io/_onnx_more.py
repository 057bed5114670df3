"""Importers of what picks, repeats, resamples and normalizes; see ``_onnx_ops`` for the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from hwsim.io._onnx_graph import Op
from hwsim.io._onnx_shapes import Live
from hwsim.ir.float_layout import COORDINATES, NEAREST
from hwsim.ir.graph import BATCH, Attr, Node

WHOLE_BATCH = 10**9
"""An end of a Slice that no batch reaches: exporters write 10^9 or more for "all of it"."""
_DEFAULTS = {"LeakyRelu": {"alpha": 0.01}, "HardSigmoid": {"alpha": 0.2, "beta": 0.5}, "Swish": {"alpha": 1.0}}


def scaled(op: Op) -> str:
    """LeakyRelu, HardSigmoid, Swish: one input and real attributes."""
    attrs: dict[str, Attr] = {k: float(op.attrs.get(k, v)) for k, v in _DEFAULTS[op.op].items()}
    return op.emit(op.op, [op.live().name], attrs)


def gelu(op: Op) -> str:
    """Gelu, exact or by tanh."""
    kind = str(op.attrs.get("approximate", "none"))
    if kind not in ("none", "tanh"):
        raise op.error(f"attribute 'approximate' must be none or tanh, found {kind!r}")
    return op.emit("Gelu", [op.live().name], {"approximate": kind})


def norm(op: Op) -> str:
    """LayerNormalization and RMSNormalization with constant scale and bias."""
    x = op.live()
    axis = int(op.attrs.get("axis", -1))
    if not -len(x.shape) <= axis < len(x.shape) or axis % len(x.shape) == 0:
        raise op.error(f"axis {axis} of {list(x.shape)}: it must be a dimension, and not the batch")
    own = tuple(int(d) for d in x.shape[axis % len(x.shape) :])

    def spread(value: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            return np.broadcast_to(value, own)
        except ValueError:
            raise op.error(f"scale and bias must broadcast to {list(own)}, found {list(value.shape)}") from None

    names = [x.name]
    for index, what in ((1, "scale"), (2, "bias")):
        if op.has(index):
            names.append(op.constant(index, what, None if op.floats(index, what).shape == own else spread))
    epsilon = float(op.attrs.get("epsilon", 1e-5))
    return op.emit(op.op, names, {"axis": axis - len(x.shape) if axis >= 0 else axis, "epsilon": epsilon})


def gather(op: Op) -> str:
    """Gather: entries of a constant table, or fixed entries of a run-time value."""
    axis = int(op.attrs.get("axis", 0))
    if op.is_live(0) and op.is_live(1):
        raise op.error("a Gather by run-time indices takes a constant table")
    return op.emit("Gather", [op.operand(0, "table"), op.operand(1, "indices")], {"axis": axis})


def global_max_pool(op: Op) -> str:
    """GlobalMaxPool: the maximum over all that follows the channels."""
    x = op.live()
    return op.emit("ReduceMax", [x.name], {"axes": tuple(range(2, len(x.shape))), "keepdims": 1})


def depth_to_space(op: Op) -> str:
    """DepthToSpace: channels become pixels of a block, by two Reshapes and a Transpose."""
    n, (channels, height, width) = int(op.attrs["blocksize"]), (int(d) for d in op.live().shape[1:])
    deep = channels // n**2
    columns_first = op.attrs.get("mode", "DCR") == "CRD"
    split = (-1, deep, n, n, height, width) if columns_first else (-1, n, n, deep, height, width)
    perm = (0, 1, 4, 2, 5, 3) if columns_first else (0, 3, 4, 1, 5, 2)
    y = op.emit("Reshape", [op.live().name], {"shape": split}, tag="split")
    y = op.emit("Transpose", [y], {"perm": perm}, tag="pixels")
    return op.emit("Reshape", [y], {"shape": (-1, deep, height * n, width * n)})


def _whole(op: Op, key: str, index: int) -> list[int] | None:
    """Whole numbers from an attribute (old opsets) or a constant input; None where not given."""
    if op.has(index):
        return [int(v) for v in op.known(index, key).reshape(-1)]
    return [int(v) for v in op.attrs[key]] if key in op.attrs else None


def slice_(op: Op) -> str:
    """Slice; attributes before opset 10, inputs since."""
    x = op.live()
    starts, ends = _whole(op, "starts", 1), _whole(op, "ends", 2)
    if starts is None or ends is None:
        raise op.error("starts and ends are missing")
    axes = _whole(op, "axes", 3)
    axes = list(range(len(starts))) if axes is None else axes
    steps = _whole(op, "steps", 4) or [1] * len(starts)
    if len({len(starts), len(ends), len(axes), len(steps)}) != 1:
        raise op.error("starts, ends, axes and steps must have one length")
    cuts = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        dim = x.shape[axis % len(x.shape)]
        if dim == BATCH and start == 0 and end >= WHOLE_BATCH and step == 1:
            continue
        if isinstance(dim, str) or step == 0:
            raise op.error(f"a Slice of axis {axis} of {list(x.shape)} with step {step} is not supported")
        # Clamped as ONNX does: a backward slice that runs past the front ends before element 0.
        low = -dim - 1 if step < 0 else -dim
        cuts.append((max(min(start, dim), low), max(min(end, dim), low), axis % len(x.shape), step))
    if not cuts:
        return x.name
    begin, stop, along, by = (tuple(part) for part in zip(*cuts, strict=True))
    return op.emit("Slice", [x.name], {"starts": begin, "ends": stop, "axes": along, "steps": by})


def split(op: Op) -> str:
    """Split: one Slice an output."""
    x = op.live()
    axis = int(op.attrs.get("axis", 0)) % len(x.shape)
    dim, count = x.shape[axis], len(op.node.output)
    if isinstance(dim, str):
        raise op.error("the batch cannot be split")
    sizes = _whole(op, "split", 1)
    if sizes is None:
        each = -(-dim // count)
        sizes = [each] * (count - 1) + [dim - each * (count - 1)]
    if len(sizes) != count or sum(sizes) != dim or min(sizes) < 1:
        raise op.error(f"sizes {sizes} do not split {dim} into {count} parts")
    start, importer = 0, op.importer
    for at, (name, size) in enumerate(zip(op.node.output, sizes, strict=True)):
        if name:
            cut: dict[str, Attr] = {"starts": (start,), "ends": (start + size,), "axes": (axis,), "steps": (1,)}
            out = importer.clean(name)
            importer.add(Node(importer.fresh_node(f"{op.name}.{at}"), "Slice", (x.name,), out, cut), op.where)
            importer.env[name] = Live(out, importer.values[out].shape, x.elem)
        start += size
    return op.out


def expand(op: Op) -> str:
    """Expand: onnx has inferred the shape, the batch stays first."""
    return op.emit("Expand", [op.live().name], {"shape": tuple(-1 if d == BATCH else int(d) for d in op.declared)})


def where(op: Op) -> str:
    """Where; the condition is 0 or 1."""
    return op.emit("Where", [op.operand(i, what) for i, what in enumerate(("condition", "first", "second"))])


def not_(op: Op) -> str:
    """Not: 1 - x."""
    return op.emit("Sub", [op.new_constant(np.ones((), np.float32), "one"), op.live().name])


def _sizes(op: Op, size: Sequence[int]) -> tuple[tuple[int, int], tuple[float, float]]:
    """The new height and width, and the scales that coordinates go by."""
    new = (int(op.declared[2]), int(op.declared[3]))
    at = 1 if op.opset < 11 else 2
    if op.has(at) and op.known(at, "scales").size:
        scales = op.floats(at, "scales").reshape(-1)
        if len(scales) != 4 or scales[0] != 1 or scales[1] != 1:
            raise op.error(f"scales must be [1, 1, height, width], found {scales.tolist()}")
        return new, (float(scales[2]), float(scales[3]))
    return new, (new[0] / size[0], new[1] / size[1])


def resize(op: Op) -> str:
    """Resize of height and width, nearest or linear."""
    x = op.live()
    old = op.opset < 11
    mode = str(op.attrs.get("mode", "nearest"))
    coordinates = str(op.attrs.get("coordinate_transformation_mode", "asymmetric" if old else "half_pixel"))
    nearest = str(op.attrs.get("nearest_mode", "floor" if old else "round_prefer_floor"))
    for name, value, choices in (
        ("mode", mode, ("nearest", "linear")),
        ("coordinate_transformation_mode", coordinates, COORDINATES),
        ("nearest_mode", nearest, NEAREST),
        ("keep_aspect_ratio_policy", op.attrs.get("keep_aspect_ratio_policy", "stretch"), ("stretch",)),
        ("antialias", op.attrs.get("antialias", 0), (0,)),
    ):
        if value not in choices:
            raise op.error(f"attribute {name!r} {value!r} is not supported, only {', '.join(map(str, choices))}")
    if len(x.shape) != 4 or "axes" in op.attrs or op.declared[1] != x.shape[1] or x.elem != TensorProto.FLOAT:
        raise op.error(f"only height and width of [N, C, H, W] are resized, found {list(x.shape)}")
    size, scales = _sizes(op, [int(d) for d in x.shape[2:]])
    attrs: dict[str, Attr] = {"mode": mode, "coordinates": coordinates, "nearest": nearest}
    return op.emit("Resize", [x.name], {**attrs, "size": size, "scales": scales})
