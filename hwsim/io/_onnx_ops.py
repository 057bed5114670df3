"""One importer for each ONNX operator: its attributes made explicit, its old forms turned into today's.

Semantics: ONNX operator specification, opsets 7 to the newest that the onnx package knows. Where the IR has no such
operator, it is written with those that it has (a 1-D convolution becomes a 2-D one of height 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from hwsim.io._onnx_file import FLOATS, type_name
from hwsim.io._onnx_graph import Op
from hwsim.io._quant_layout import lifted, transposed
from hwsim.ir import Node, QuantParams
from hwsim.ir.graph import Attr

LARGEST = float(np.finfo(np.float32).max)


def _pads(
    op: Op, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """Explicit pads (all begins, then all ends) from ``pads`` or ``auto_pad``."""
    mode = op.attrs.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = list(op.attrs.get("pads", (0,) * (2 * len(size))))
        if len(pads) != 2 * len(size) or min(pads) < 0:
            raise op.error(f"attribute 'pads' must be {2 * len(size)} numbers of at least 0, found {pads}")
        return pads
    if mode == "VALID":
        return [0] * (2 * len(size))
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise op.error(f"attribute 'auto_pad' must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, found {mode!r}")
    begins, ends = [], []
    for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        small, large = total // 2, total - total // 2
        begins.append(small if mode == "SAME_UPPER" else large)
        ends.append(large if mode == "SAME_UPPER" else small)
    return begins + ends


def _spatial(op: Op, name: str, length: int) -> tuple[int, ...]:
    """A window attribute of ``length`` numbers, 1 where it is not given."""
    value = tuple(int(v) for v in op.attrs.get(name, (1,) * length))
    if len(value) != length:
        raise op.error(f"attribute {name!r} must have {length} numbers, found {list(value)}")
    return value


def _lift(values: Sequence[int], fill: int) -> tuple[int, ...]:
    """A 1-D window attribute as a 2-D one of height 1."""
    half = len(values) // 2
    return (fill, *values) if half == 0 else (fill, *values[:half], fill, *values[half:])


def _windowed(op: Op, our_op: str, inputs: list[str], attrs: dict[str, Attr]) -> str:
    """Emit an operator of sliding windows; over 3-D inputs between two Reshapes."""
    shape = op.live().shape
    if len(shape) == 4:
        return op.emit(our_op, inputs, attrs)
    lifted = op.emit("Reshape", inputs[:1], {"shape": (-1, int(shape[1]), 1, int(shape[2]))}, tag="lifted")
    flat: dict[str, Attr] = {}
    for key, value in attrs.items():
        whole = [int(v) for v in value] if isinstance(value, tuple) else None
        flat[key] = value if whole is None else _lift(whole, 0 if key == "pads" else 1)
    y = op.emit(our_op, [lifted, *inputs[1:]], flat, tag="2d")
    _, channels, _, length = op.shape(y)
    return op.emit("Reshape", [y], {"shape": (-1, int(channels), int(length))})


def _size(op: Op) -> tuple[int, ...]:
    """Height and width (or length) of the input."""
    shape = op.live().shape
    if len(shape) not in (3, 4):
        raise op.error(f"only 1-D and 2-D windows are supported, found an input of shape {list(shape)}")
    return tuple(int(d) for d in shape[2:])


def conv(op: Op) -> str:
    """Conv with constant weights; 1-D and 2-D."""
    size, w = _size(op), op.floats(1, "weight")
    if w.ndim != len(size) + 2:
        raise op.error(f"weight of shape {list(w.shape)} does not fit an input of shape {list(op.live().shape)}")
    kernel = tuple(op.attrs.get("kernel_shape", w.shape[2:]))
    if kernel != w.shape[2:]:
        raise op.error(f"attribute 'kernel_shape' {list(kernel)} differs from the weight's {list(w.shape[2:])}")
    strides, dilations = _spatial(op, "strides", len(size)), _spatial(op, "dilations", len(size))
    attrs: dict[str, Attr] = {
        "strides": strides,
        "pads": tuple(_pads(op, size, kernel, strides, dilations)),
        "dilations": dilations,
        "group": int(op.attrs.get("group", 1)),
    }
    lift: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
    if len(size) == 1:
        lift = lambda v: v[:, :, None, :]  # noqa: E731
    inputs = [op.live().name, op.constant(1, "weight", lift, lifted)]
    if op.has(2):
        inputs.append(op.constant(2, "bias"))
    return _windowed(op, "Conv", inputs, attrs)


def _pool_attrs(op: Op) -> tuple[dict[str, Attr], bool]:
    """Pooling attributes, and whether rounding up had to add padding."""
    size = _size(op)
    kernel = _spatial(op, "kernel_shape", len(size))
    strides, dilations = _spatial(op, "strides", len(size)), _spatial(op, "dilations", len(size))
    if set(dilations) != {1}:
        raise op.error(f"pooling with dilations {list(dilations)} is not supported")
    pads = _pads(op, size, kernel, strides, dilations)
    grown = False
    if op.attrs.get("ceil_mode", 0) and op.attrs.get("auto_pad", "NOTSET") == "NOTSET":
        for i, (n, k, s) in enumerate(zip(size, kernel, strides, strict=True)):
            room = n + pads[i] + pads[len(size) + i] - k
            last = -(-room // s)
            if last * s >= n + pads[i]:
                last -= 1
            extra = last * s - room
            if extra > 0:
                pads[len(size) + i] += extra
                grown = True
    return {"kernel_shape": kernel, "strides": strides, "pads": tuple(pads)}, grown


def max_pool(op: Op) -> str:
    """MaxPool; ``ceil_mode`` becomes padding, which never wins."""
    attrs, _ = _pool_attrs(op)
    return _windowed(op, "MaxPool", [op.live().name], attrs)


def average_pool(op: Op) -> str:
    """AveragePool."""
    attrs, grown = _pool_attrs(op)
    include = int(op.attrs.get("count_include_pad", 0))
    if grown and include:
        raise op.error("ceil_mode with count_include_pad is not supported where the last window leaves the padding")
    return _windowed(op, "AveragePool", [op.live().name], {**attrs, "count_include_pad": include})


def _global(op: Op, keep: bool = True) -> str:
    """Mean over all that follows the channels."""
    x = op.live()
    size = _size(op)
    name, channels = x.name, int(x.shape[1])
    if len(size) == 1:
        name = op.emit("Reshape", [name], {"shape": (-1, channels, 1, size[0])}, tag="lifted")
    if keep and len(size) == 2:
        return op.emit("GlobalAveragePool", [name])
    name = op.emit("GlobalAveragePool", [name], tag="mean")
    return op.emit("Reshape", [name], {"shape": (-1, channels, 1) if keep else (-1, channels)})


def global_average_pool(op: Op) -> str:
    """GlobalAveragePool."""
    return _global(op)


def reduce(op: Op) -> str:
    """ReduceMean, ReduceSum, ReduceMax; the mean over all spatial dimensions is a GlobalAveragePool."""
    x = op.live()
    found = op.attrs.get("axes")
    if op.has(1):
        found = tuple(int(a) for a in op.known(1, "axes").reshape(-1))
    axes = sorted({int(a) % len(x.shape) for a in found or range(len(x.shape))})
    keep = int(op.attrs.get("keepdims", 1))
    if op.op == "ReduceMean" and len(x.shape) in (3, 4) and axes == list(range(2, len(x.shape))):
        return _global(op, keep=bool(keep))
    return op.emit(op.op, [x.name], {"axes": tuple(axes), "keepdims": keep})


def gemm(op: Op) -> str:
    """Gemm: transB and alpha go into the weight, beta into the bias. (With transA no shape fits.)"""
    alpha, beta = (float(op.attrs.get(k, 1.0)) for k in ("alpha", "beta"))
    w = op.floats(1, "weight")
    weight = w if op.attrs.get("transB", 0) else w.T
    same = bool(op.attrs.get("transB", 0)) and alpha == 1.0
    turn = None if alpha != 1.0 else (lambda held: transposed(held, (1, 0)))
    inputs = [op.live().name, op.constant(1, "weight", None if same else lambda _: _scaled(weight, alpha), turn)]
    if not op.has(2) or beta == 0.0:
        return op.emit("Gemm", inputs)
    if op.is_live(2):
        y = op.emit("Gemm", inputs, tag="product")
        c = op.live(2).name
        if beta != 1.0:
            c = op.emit("Mul", [c, op.new_constant(np.array(beta), "beta")], tag="addend")
        return op.emit("Add", [y, c])
    bias = op.floats(2, "bias")
    if bias.size not in (1, weight.shape[0]) or (bias.ndim and bias.shape[-1] != bias.size):
        raise op.error(f"bias must have one number an output ({weight.shape[0]}), found shape {list(bias.shape)}")
    row = np.broadcast_to(bias.reshape(-1), (weight.shape[0],))
    plain = beta == 1.0 and bias.shape == row.shape
    return op.emit("Gemm", [*inputs, op.constant(2, "bias") if plain else op.new_constant(_scaled(row, beta), "bias")])


def _scaled(value: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    if factor == 1.0:
        return value
    with np.errstate(over="ignore"):
        return (value.astype(np.float64) * factor).astype(np.float32)


def matmul(op: Op) -> str:
    """MatMul: by a constant it is our Gemm."""
    if op.is_live(0) and op.is_live(1):
        return op.emit("MatMul", [op.live(0).name, op.live(1).name])
    w = op.floats(1, "weight")
    if w.ndim < 2 or prod(w.shape[:-2]) != 1 or w.ndim > len(op.live().shape):
        raise op.error(f"a constant second operand must be one matrix [K, N], found shape {list(w.shape)}")
    turn = (lambda held: transposed(held, (1, 0))) if w.ndim == 2 else None
    return op.emit("Gemm", [op.live().name, op.constant(1, "weight", lambda v: v.reshape(v.shape[-2:]).T, turn)])


def binary(op: Op) -> str:
    """Add, Sub, Mul, Div and their like; a constant per channel added to a product without bias becomes its bias."""
    names: list[str] = []
    if op.op == "Div" and op.elem not in FLOATS:
        raise op.error("a division of whole numbers at run time is not supported")
    for index in (0, 1):
        if op.is_live(index):
            names.append(op.live(index).name)
            continue
        if op.op == "Div" and index == 1 and not op.floats(1, "divisor").all():
            raise op.error(f"divisor {op.node.input[1]!r} holds zeros")
        if op.op == "Add" and _fuse_bias(op, 1 - index, index):
            return op.out
        names.append(op.operand(index, "operand"))
    return op.emit(op.op, names)


def total(op: Op) -> str:
    """Sum, Max or Min of any number of inputs, taken in pairs from the left; run-time values first."""
    pairwise = "Add" if op.op == "Sum" else op.op
    order = sorted(range(len(op.inputs)), key=lambda i: not op.is_live(i))
    idle = {"Max": -np.inf, "Min": np.inf}.get(op.op)
    order = [i for i in order if op.is_live(i) or idle is None or not np.all(op.known(i, "operand") == idle)]
    if len(order) == 1 and len(op.inputs) > 1:
        return op.live(order[0]).name
    names = [op.operand(i, "operand") for i in order]
    for at, name in enumerate(names[1:], start=2):
        names[0] = op.emit(pairwise, [names[0], name], tag="" if at == len(names) else f"part{at - 1}")
    return names[0]


def _fuse_bias(op: Op, live: int, known: int) -> bool:
    """Make the constant operand the bias of the Conv or Gemm that computes the other; False where that does not fit."""
    importer, x, bias = op.importer, op.live(live), op.floats(known, "operand")
    at = next((i for i, n in enumerate(importer.nodes) if n.output == x.name), None)
    alone = importer.uses[op.node.input[live]] == 1 and x.name == importer.clean(op.node.input[live])
    if at is None or not alone or bias.ndim > len(x.shape):
        return False
    node = importer.nodes[at]
    channels = int(x.shape[1] if node.op == "Conv" else x.shape[-1])
    trailing = len(x.shape) - 2 if node.op == "Conv" else 0
    along = (1,) * (bias.ndim - trailing - 1) + (channels,) + (1,) * trailing
    if node.op not in ("Conv", "Gemm") or len(node.inputs) != 2 or bias.shape != along:
        return False
    name = op.constant(known, "bias", None if bias.ndim == 1 else lambda v: v.reshape(-1))
    value = importer.values.pop(node.output)
    importer.nodes[at] = replace(node, inputs=(*node.inputs, name), output=op.out)
    importer.values[op.out] = replace(value, name=op.out)
    return True


def unary(op: Op) -> str:
    """Relu, Sigmoid."""
    return op.emit(op.op, [op.live().name])


def clip(op: Op) -> str:
    """Clip; limits are attributes before opset 11, inputs since."""
    limits = []
    for index, (key, default) in enumerate((("min", -LARGEST), ("max", LARGEST)), start=1):
        value = float(op.attrs.get(key, default))
        if op.has(index):
            found = op.known(index, key)
            if found.size != 1:
                raise op.error(f"{key} must be one number, found shape {list(found.shape)}")
            value = float(found.reshape(()))
        if value != value:
            raise op.error(f"{key} is NaN")
        limits.append(min(max(value, -LARGEST), LARGEST))
    return op.emit("Clip", [op.live().name], {"min": limits[0], "max": limits[1]})


def batchnorm(op: Op) -> str:
    """BatchNormalization in its inference form."""
    if op.attrs.get("training_mode", 0) or not op.attrs.get("spatial", 1):
        raise op.error("training_mode=1 and spatial=0 are not supported; export the model for inference")
    epsilon = float(op.attrs.get("epsilon", 1e-5))
    if not (op.floats(4, "variance") + np.float32(epsilon) > 0).all():
        raise op.error("variance + epsilon must be positive")
    parts = [op.constant(i, what) for i, what in enumerate(("scale", "bias", "mean", "variance"), start=1)]
    return op.emit("BatchNormalization", [op.live().name, *parts], {"epsilon": epsilon})


def softmax(op: Op) -> str:
    """Softmax; before opset 13 over all dimensions from ``axis`` on, taken as one."""
    x = op.live()
    rank = len(x.shape)
    axis = int(op.attrs.get("axis", -1 if op.opset >= 13 else 1))
    if not -rank <= axis < rank or axis % rank == 0:
        raise op.error(f"axis {axis} of {list(x.shape)}: it must be a dimension, and not the batch")
    axis %= rank
    if op.opset >= 13 or axis == rank - 1:
        return op.emit("Softmax", [x.name], {"axis": axis})
    sizes = [int(d) for d in x.shape[1:]]
    merged = (-1, *sizes[: axis - 1], prod(sizes[axis - 1 :]))
    y = op.emit("Reshape", [x.name], {"shape": merged}, tag="merged")
    y = op.emit("Softmax", [y], {"axis": axis}, tag="merged_softmax")
    return op.emit("Reshape", [y], {"shape": (-1, *sizes)})


def flatten(op: Op) -> str:
    """Flatten."""
    axis, rank = int(op.attrs.get("axis", 1)), len(op.live().shape)
    return op.emit("Flatten", [op.live().name], {"axis": axis + rank if axis < 0 else axis})


def reshape(op: Op) -> str:
    """Reshape, Squeeze and Unsqueeze: onnx has inferred the new shape, the batch stays first."""
    return op.emit("Reshape", [op.live().name], {"shape": (-1, *(int(d) for d in op.declared[1:]))})


def transpose(op: Op) -> str:
    """Transpose."""
    rank = len(op.live().shape)
    return op.emit("Transpose", [op.live().name], {"perm": tuple(op.attrs.get("perm", range(rank - 1, -1, -1)))})


def pad(op: Op) -> str:
    """Pad with a constant; amounts are attributes before opset 11, inputs since."""
    x = op.live()
    rank = len(x.shape)
    mode = op.attrs.get("mode", "constant")
    if mode != "constant":
        raise op.error(f"mode {mode!r} is not supported, only 'constant'")
    pads = [int(v) for v in (op.known(1, "pads").reshape(-1) if op.has(1) else op.attrs.get("pads", ()))]
    axes = [int(a) % rank for a in op.known(3, "axes").reshape(-1)] if op.has(3) else list(range(rank))
    if len(pads) != 2 * len(axes):
        raise op.error(f"pads must be {2 * len(axes)} numbers, found {len(pads)}")
    full = [0] * (2 * rank)
    for i, axis in enumerate(axes):
        full[axis], full[rank + axis] = pads[i], pads[len(axes) + i]
    value = float(op.floats(2, "value").reshape(-1)[0]) if op.has(2) else float(op.attrs.get("value", 0.0))
    if not np.isfinite(value):
        raise op.error(f"value must be finite, found {value}")
    return op.emit("Pad", [x.name], {"pads": tuple(full), "value": value}) if any(full) else x.name


def concat(op: Op) -> str:
    """Concat of run-time values."""
    names = [op.live(i).name for i in range(len(op.inputs))]
    axis, rank = int(op.attrs["axis"]), len(op.live().shape)
    return op.emit("Concat", names, {"axis": axis + rank if axis < 0 else axis})


def identity(op: Op) -> str:
    """Identity, and Dropout at inference: the value itself."""
    if op.has(2) and op.known(2, "training_mode").any():
        raise op.error("training_mode=1 is not supported; export the model for inference")
    return op.live().name


def cast(op: Op) -> str:
    """Cast to a type that holds the same numbers: values are real here. One to 16 bits and straight back rounds."""
    to, held = op.attrs.get("to"), op.live().elem
    short = "fp16" if to == TensorProto.FLOAT16 else "bf16" if to == TensorProto.BFLOAT16 else None
    readers = [n for n in op.importer.model.graph.node if op.node.output[0] in n.input]
    back = all(n.op_type == "Cast" and [a.i for a in n.attribute if a.name == "to"] == [1] for n in readers)
    if short is not None and held == TensorProto.FLOAT and op.importer.uses[op.node.output[0]] == len(readers) and back:
        out = op.importer.clean(readers[0].output[0]) if len(readers) == 1 else op.out
        node = Node(op.importer.fresh_node(op.name), "Quantize", (op.live().name,), out)
        op.importer.add(node, op.where, QuantParams(short))
        return out
    if to not in FLOATS and (held in FLOATS or to == TensorProto.BOOL != held):
        raise op.error(f"a run-time Cast to {type_name(op.attrs.get('to', 0))} is not supported")
    return op.live().name
