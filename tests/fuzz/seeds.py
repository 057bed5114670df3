"""Good files, small, one or more for each reader: what damage starts from."""

from __future__ import annotations

import io
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from hwsim.io import save_model
from hwsim.io.onnx import from_model
from hwsim.ir import Graph
from hwsim.quant import Recipe, quantize
from hwsim.quant.recipe import Scheme
from hwsim.zoo import _torch

Array = np.ndarray[Any, Any]
Tensors = dict[str, tuple[str, Array]]
"""Name -> (storage type, numbers)."""


def f32(*shape: int) -> Array:
    """Random numbers, the same for the same number of dimensions."""
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


# Networks -----------------------------------------------------------------------------------------------------------
def network() -> ModelProto:
    """Convolution, pooling and a matrix product."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], name="c", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["c"], ["r"], name="r"),
        node("MaxPool", ["r"], ["p"], name="p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Reshape", ["p", "shape"], ["f"], name="f"),
        node("Gemm", ["f", "g", "h"], ["y"], name="y", transB=1),
    ]
    held = {"w": f32(4, 1, 3, 3), "b": f32(4), "g": f32(3, 16), "h": f32(3), "shape": np.array([-1, 16])}
    return _model(nodes, ("N", 1, 8, 8), held)


def shapes() -> ModelProto:
    """Operators that move and cut: most of them fold, or ask for sizes."""
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["s"], name="s"),
        node("Gather", ["s", "zero"], ["n"], name="n", axis=0),
        node("Unsqueeze", ["n", "zeros"], ["u"], name="u"),
        node("Concat", ["u", "rest"], ["to"], name="to", axis=0),
        node("Transpose", ["x"], ["t"], name="t", perm=[0, 2, 3, 1]),
        node("Slice", ["t", "zeros", "two", "one"], ["cut"], name="cut"),
        node("Reshape", ["cut", "to"], ["flat"], name="flat"),
        node("Softmax", ["flat"], ["soft"], name="soft", axis=-1),
        node("MatMul", ["soft", "w"], ["m"], name="m"),
        node("Clip", ["m", "low", "high"], ["y"], name="y"),
    ]
    held = {
        "zero": np.array(0), "zeros": np.array([0]), "one": np.array([1]), "two": np.array([2]), "rest": np.array([-1]),
        "w": f32(32, 5), "low": np.array(0, np.float32), "high": np.array(6, np.float32),
    }  # fmt: skip
    return _model(nodes, ("N", 2, 4, 8), held)


def _model(nodes: list[Any], shape: tuple[Any, ...], held: dict[str, Array]) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    graph.output[0].type.tensor_type.shape.SetInParent()
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def stored(weight: str, activation: str) -> Graph:
    """The first network, quantized."""
    recipe = Recipe(Scheme(weight, "per_channel"), Scheme(activation)).with_calibrator("minmax")
    return quantize(from_model(network(), name="g"), recipe, f32(4, 1, 8, 8))


def saved(folder: Path, suffix: str) -> str:
    """A quantized network as text."""
    save_model(stored("int4", "int8"), folder / f"good{suffix}")
    return (folder / f"good{suffix}").read_text()


# Decoders -----------------------------------------------------------------------------------------------------------
CONFIG = {
    "model_type": "llama", "num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
}  # fmt: skip
GPTQ = {**CONFIG, "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 16}}


BERT = {
    "model_type": "bert", "num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2,
    "vocab_size": 40, "max_position_embeddings": 64, "type_vocab_size": 2, "pad_token_id": 0, "layer_norm_eps": 1e-12,
}  # fmt: skip


def encoder() -> Tensors:
    """A BERT of one layer by Hugging Face's names."""
    at, width, hidden = "encoder.layer.0", 16, 32
    tables = {"word": 40, "position": 64, "token_type": 2}
    out: Tensors = {f"embeddings.{name}_embeddings.weight": ("F32", f32(rows, width)) for name, rows in tables.items()}
    dense = {f"attention.self.{part}": (width, width) for part in ("query", "key", "value")}
    dense |= {"attention.output.dense": (width, width), "intermediate.dense": (hidden, width)}
    dense |= {"output.dense": (width, hidden)}
    for name, shape in dense.items():
        out |= {f"{at}.{name}.weight": ("F32", f32(*shape)), f"{at}.{name}.bias": ("F32", f32(shape[0]))}
    for name in ("embeddings.LayerNorm", f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"):
        out |= {f"{name}.weight": ("F32", f32(width)), f"{name}.bias": ("F32", f32(width))}
    return out


def decoder(packed: bool) -> Tensors:
    """A Llama of one layer by Hugging Face's names, float or as GPTQ packs it."""
    at, width, hidden, kv = "model.layers.0", 32, 64, 16
    sizes = {"q": (width, width), "k": (kv, width), "v": (kv, width), "o": (width, width)}
    out: Tensors = {"model.embed_tokens.weight": ("F32", f32(64, width)), "model.norm.weight": ("F32", f32(width))}
    out |= {f"{at}.{name}_layernorm.weight": ("F32", f32(width)) for name in ("input", "post_attention")}
    mlp = {"gate": (hidden, width), "up": (hidden, width), "down": (width, hidden)}
    weights = {f"{at}.self_attn.{key}_proj": shape for key, shape in sizes.items()}
    weights |= {f"{at}.mlp.{key}_proj": shape for key, shape in mlp.items()}
    for name, (rows, columns) in weights.items():
        if not packed:
            out[f"{name}.weight"] = ("F32", f32(rows, columns))
            continue
        groups = columns // 16
        out[f"{name}.qweight"] = ("I32", np.arange(columns // 8 * rows, dtype=np.int32).reshape(-1, rows))
        out[f"{name}.qzeros"] = ("I32", np.zeros((groups, rows // 8), np.int32))
        out[f"{name}.scales"] = ("F16", np.ones((groups, rows), np.float16))
        out[f"{name}.g_idx"] = ("I32", np.arange(columns, dtype=np.int32) // 16)
    return out


def laid_out(held: Tensors) -> tuple[dict[str, Any], bytes]:
    """Header and body of a safetensors file."""
    header: dict[str, Any] = {}
    body = b""
    for name, (kind, value) in held.items():
        raw = value.tobytes()
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    return header, body


def framed(header: Any, body: bytes, length: int | None = None) -> bytes:
    """A safetensors file; ``length``: what it says of its header, where that is a lie."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def gguf() -> bytes:
    """The same decoder, by the description of GGUF."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    meta = {
        "general.architecture": "llama", "llama.block_count": 1, "llama.embedding_length": 32,
        "llama.feed_forward_length": 64, "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
    }  # fmt: skip
    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
        "model.layers": "blk", "model.embed_tokens": "token_embd", "model.norm": "output_norm",
    }  # fmt: skip
    pairs = b""
    for key, value in meta.items():
        kind, packed = (8, text(str(value))) if isinstance(value, str) else (6, struct.pack("<f", value))
        if isinstance(value, int):
            kind, packed = 4, struct.pack("<I", value)
        pairs += text(key) + struct.pack("<I", kind) + packed
    pairs += text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    infos, body = b"", b""
    held = {name: value for name, (_, value) in decoder(False).items()}
    for name, value in held.items():
        for old, new in names.items():
            name = name.replace(old, new)
        dims = struct.pack(f"<{value.ndim}Q", *value.shape[::-1])
        infos += text(name) + struct.pack("<I", value.ndim) + dims + struct.pack("<IQ", 0, len(body))
        body += value.tobytes() + bytes(-len(value.tobytes()) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(held), len(meta) + 1) + pairs + infos
    return head + bytes(-len(head) % 32) + body


# Checkpoints, arrays ------------------------------------------------------------------------------------------------
def checkpoint() -> bytes:
    """A checkpoint of the old form with two tensors, by the pickles that torch writes."""

    def tensor(key: str, count: int, rows: int) -> bytes:
        storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX" + struct.pack("<I", len(key)) + key.encode()
        storage += b"X\x03\x00\x00\x00cpuK" + bytes([count]) + b"NtQ"
        shape = b"K" + bytes([rows]) + b"K" + bytes([count // rows]) + b"\x86"
        strides = b"K" + bytes([count // rows]) + b"K\x01\x86"
        head = b"ctorch._utils\n_rebuild_tensor_v2\n("
        return head + storage + b"K\x00" + shape + strides + b"\x89ccollections\nOrderedDict\n)RtR"

    state = b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00a" + tensor("0", 12, 3)
    state += b"X\x01\x00\x00\x00b" + tensor("1", 6, 2) + b"u."
    parts = [pickle.dumps(part, 2) for part in (_torch.MAGIC, _torch.PROTOCOL, {"little_endian": True})]
    parts += [state, pickle.dumps(["0", "1"], 2)]
    parts += [struct.pack("<Q", n) + np.arange(n, dtype="<f4").tobytes() for n in (12, 6)]
    return b"".join(parts)


def npz(compressed: bool, **arrays: Array) -> bytes:
    """Arrays as numpy packs them."""
    out = io.BytesIO()
    write: Callable[..., None] = np.savez_compressed if compressed else np.savez
    write(out, **arrays)
    return out.getvalue()
