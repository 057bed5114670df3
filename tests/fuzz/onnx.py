"""One thing that a protobuf can say and should not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper

from tests.fuzz.change import ABSURD, pick

OPERATORS = (
    "Conv", "Gemm", "QuantizeLinear", "DequantizeLinear", "Quant", "Loop", "", "Slice", "Resize", "Gather", "Concat",
    "Split", "Pad", "Expand", "Tile", "ConstantOfShape", "Range", "LSTM", "Einsum", "Reshape", "Unsqueeze", "TopK",
)  # fmt: skip


def fields_changed(rng: np.random.Generator, model: ModelProto) -> tuple[str, ModelProto]:
    """A copy of the model with one field changed."""
    copy = ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    tensor, node, way = pick(rng, graph.initializer), pick(rng, graph.node), int(rng.integers(15))
    if way == 0:
        tensor.dims[:] = [int(pick(rng, ABSURD)) for _ in range(int(rng.integers(0, 5)))]
    elif way == 1:
        tensor.data_type = int(rng.integers(0, 30))
    elif way == 2:
        tensor.raw_data = bytes(rng.integers(0, 256, int(rng.integers(0, 80)), dtype=np.uint8))
    elif way == 3 and node.input:
        node.input[int(rng.integers(len(node.input)))] = pick(rng, graph.node).output[0]  # cycles, among others
    elif way == 4:
        node.op_type = pick(rng, OPERATORS)
    elif way == 5 and node.attribute:
        held = pick(rng, node.attribute)
        held.i, held.ints[:], held.f = int(pick(rng, ABSURD)), [int(pick(rng, ABSURD)) for _ in held.ints], float("nan")
    elif way == 6:
        name, value = pick(rng, ("axis", "block_size", "group", "strides", "pads", "perm")), int(pick(rng, ABSURD))
        one = name in ("axis", "block_size", "group")
        node.attribute.append(helper.make_attribute(name, value if one else [value] * 2))
    elif way == 7 and node.input:
        del node.input[int(rng.integers(len(node.input))) :]
    elif way == 8:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        where = pick(rng, ("../outside.bin", "/etc/passwd", "link.bin", "nothing.bin", "a/../../outside.bin", "\0", ""))
        said = (("location", where), ("offset", str(pick(rng, ABSURD))), ("length", str(pick(rng, ABSURD))))
        for key, text in said:
            entry = tensor.external_data.add()
            entry.key, entry.value = key, text
    elif way == 9:
        dims = graph.input[0].type.tensor_type.shape.dim
        dims[int(rng.integers(len(dims)))].dim_value = int(pick(rng, ABSURD))
    elif way == 10:
        graph.output[0].name = pick(rng, graph.input).name if rng.random() < 0.5 else "nowhere"
    elif way == 11 and (reals := [t for t in graph.initializer if t.data_type == TensorProto.FLOAT and t.raw_data]):
        value = pick(rng, (np.nan, np.inf, 0, -1, 1e-45, 3e38))
        chosen = pick(rng, reals)
        chosen.raw_data = np.full(len(chosen.raw_data) // 4, value, np.float32).tobytes()
    elif way == 12 and (whole := [t for t in graph.initializer if t.data_type == TensorProto.INT64 and t.raw_data]):
        chosen = pick(rng, whole)
        numbers = np.array([pick(rng, ABSURD) for _ in range(len(chosen.raw_data) // 8)], np.int64)
        chosen.raw_data = numbers.tobytes()
    elif way == 13:
        node.output[0] = pick(rng, graph.node).output[0]
    else:
        entry = node.metadata_props.add()
        entry.key = "hwsim.storage"
        texts = ("{", "[]", '{"format": "int3"}', '{"format": "nvfp4"}', '{"block_format": "int4"}', "[" * 4000)
        entry.value = pick(rng, texts)
    return f"field, way {way}", copy


def write_beside(folder: Path) -> None:
    """What a path in a model may try to reach: a file outside its folder, and a link to it."""
    (folder.parent / "outside.bin").write_bytes(bytes(4096))
    (folder / "link.bin").symlink_to(folder.parent / "outside.bin")
