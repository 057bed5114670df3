"""A tiny Llama, as a GGUF file and as a folder of safetensors with the same weights; and the same network in torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.oracles import need_heavy_module, need_module

SIZES = {"layers": 2, "width": 32, "hidden": 64, "heads": 4, "kv": 2, "head": 8, "vocabulary": 64}
Weights = dict[str, np.ndarray[Any, Any]]


def weights(seed: int = 0) -> Weights:
    """By Hugging Face's names; the head is the embedding."""
    rng, s = np.random.default_rng(seed), SIZES

    def draw(*shape: int) -> np.ndarray[Any, Any]:
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    out = {"model.embed_tokens.weight": draw(s["vocabulary"], s["width"]), "model.norm.weight": 1 + draw(s["width"])}
    for layer in range(s["layers"]):
        at = f"model.layers.{layer}"
        out[f"{at}.input_layernorm.weight"] = 1 + draw(s["width"])
        out[f"{at}.post_attention_layernorm.weight"] = 1 + draw(s["width"])
        for key, rows in (("q", s["heads"]), ("k", s["kv"]), ("v", s["kv"])):
            out[f"{at}.self_attn.{key}_proj.weight"] = draw(rows * s["head"], s["width"])
        out[f"{at}.self_attn.o_proj.weight"] = draw(s["width"], s["heads"] * s["head"])
        out[f"{at}.mlp.gate_proj.weight"] = draw(s["hidden"], s["width"])
        out[f"{at}.mlp.up_proj.weight"] = draw(s["hidden"], s["width"])
        out[f"{at}.mlp.down_proj.weight"] = draw(s["width"], s["hidden"])
    return out


CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}


def folder(path: Path, held: Weights) -> Path:
    """Write config.json and model.safetensors."""
    need_module("safetensors")
    from safetensors.numpy import save_file

    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(CONFIG))
    save_file(held, path / "model.safetensors")
    return path


def gguf(path: Path, held: Weights, kind: str = "F32") -> Path:
    """Write a GGUF file with ggml's own writer: rows of q and k are permuted so that rotary pairs are neighbours."""
    package = need_module("gguf")
    quantization = package.GGMLQuantizationType[kind]
    writer = package.GGUFWriter(str(path), "llama")
    writer.add_block_count(SIZES["layers"])
    writer.add_embedding_length(SIZES["width"])
    writer.add_feed_forward_length(SIZES["hidden"])
    writer.add_head_count(SIZES["heads"])
    writer.add_head_count_kv(SIZES["kv"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_token_list(["a", "b"])
    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
        "model.layers": "blk", "model.embed_tokens": "token_embd", "model.norm": "output_norm",
    }  # fmt: skip
    for name, value in held.items():
        stored = name
        for old, new in names.items():
            stored = stored.replace(old, new)
        if "q_proj" in name or "k_proj" in name:
            value = value.reshape(-1, 2, SIZES["head"] // 2, SIZES["width"]).swapaxes(1, 2).reshape(value.shape)
        value = np.ascontiguousarray(value)
        if value.ndim == 2 and kind != "F32":
            writer.add_tensor(stored, package.quantize(value, quantization), raw_dtype=quantization)
        else:
            writer.add_tensor(stored, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def judge(held: Weights, ids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Logits by torch's own attention, norms and activations."""
    torch: Any = need_heavy_module("torch")
    fn, s = torch.nn.functional, SIZES
    w = {k: torch.tensor(v) for k, v in held.items()}
    x = w["model.embed_tokens.weight"][torch.tensor(ids)]
    n, length = ids.shape
    angle = torch.outer(torch.arange(length), 10000.0 ** (-torch.arange(0, s["head"], 2) / s["head"]))
    turn = torch.polar(torch.ones_like(angle), angle)

    def rotate(y: Any) -> Any:
        pairs = torch.complex(*y.chunk(2, dim=-1)) * turn
        return torch.cat([pairs.real, pairs.imag], dim=-1)

    for layer in range(s["layers"]):
        at = f"model.layers.{layer}"
        h = fn.rms_norm(x, (s["width"],), w[f"{at}.input_layernorm.weight"], 1e-5)
        q, k, v = (
            fn.linear(h, w[f"{at}.self_attn.{key}_proj.weight"]).view(n, length, -1, s["head"]).transpose(1, 2)
            for key in "qkv"
        )
        y = fn.scaled_dot_product_attention(rotate(q), rotate(k), v, is_causal=True, enable_gqa=True)
        x = x + fn.linear(y.transpose(1, 2).reshape(n, length, -1), w[f"{at}.self_attn.o_proj.weight"])
        h = fn.rms_norm(x, (s["width"],), w[f"{at}.post_attention_layernorm.weight"], 1e-5)
        gate, up = (fn.linear(h, w[f"{at}.mlp.{key}_proj.weight"]) for key in ("gate", "up"))
        x = x + fn.linear(fn.silu(gate) * up, w[f"{at}.mlp.down_proj.weight"])
    x = fn.rms_norm(x, (s["width"],), w["model.norm.weight"], 1e-5)
    result: np.ndarray[Any, Any] = fn.linear(x, w["model.embed_tokens.weight"]).numpy()
    return result
