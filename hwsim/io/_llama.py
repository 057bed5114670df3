"""A Llama decoder as a graph: RMS norms, grouped-query attention with rotary embedding, gated SiLU, over one window.

Touvron et al., LLaMA (arXiv 2302.13971); grouped queries: Ainslie et al. (arXiv 2305.13245). Token ids [N, length] in,
logits [N, length, vocabulary] out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.errors import ModelError
from hwsim.io._builder import Builder, positive, whole
from hwsim.io.tensors import Tensors
from hwsim.ir import Graph

if TYPE_CHECKING:
    from hwsim.io.gguf import GgufFile

MASKED = -1e9
"""Added to the scores of later tokens: exp of it is 0 in every vector format."""
MAX_LAYERS, MAX_HEAD = 1024, 1 << 16


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a decoder; ``interleaved`` says that a rotary pair is two neighbours, not two halves."""

    layers: int
    width: int
    hidden: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    epsilon: float
    theta: float
    interleaved: bool


_GGUF = {
    "embedding": "token_embd.weight",
    "norm": "output_norm.weight",
    "head": "output.weight",
    **{
        key: f"blk.{{}}.{name}.weight"
        for key, name in {
            "attn_norm": "attn_norm", "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output",
            "ffn_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down",
        }.items()
    },
}  # fmt: skip
_HF = {
    "embedding": "model.embed_tokens.weight",
    "norm": "model.norm.weight",
    "head": "lm_head.weight",
    "attn_norm": "model.layers.{}.input_layernorm.weight",
    "ffn_norm": "model.layers.{}.post_attention_layernorm.weight",
    **{key: f"model.layers.{{}}.self_attn.{key}_proj.weight" for key in "qkvo"},
    **{key: f"model.layers.{{}}.mlp.{key}_proj.weight" for key in ("gate", "up", "down")},
}


def from_gguf(file: GgufFile, name: str, length: int) -> Graph:
    """The decoder of a GGUF file; ggml permutes rows of q and k so that rotary pairs are neighbours.

    Raises:
        ModelError: another architecture, metadata or tensors missing.
    """
    meta, where = file.meta, file.tensors.where
    if meta.get("general.architecture") != "llama":
        raise ModelError(
            f"architecture {meta.get('general.architecture')!r} is not supported, only 'llama'", where=where
        )
    embedding = file.tensors.shape(_GGUF["embedding"])
    if len(embedding) != 2:
        raise ModelError(f"the embedding must be a matrix, found shape {list(embedding)}", where=where)

    def number(key: str, default: float | None = None) -> float:
        return positive(meta, f"llama.{key}", default, where)

    def count(key: str, default: float | None = None) -> int:
        return whole(meta, f"llama.{key}", default, where)

    heads, width = count("attention.head_count"), count("embedding_length")
    shape = Shape(
        layers=count("block_count"),
        width=width,
        hidden=count("feed_forward_length"),
        heads=heads,
        kv_heads=count("attention.head_count_kv", heads),
        head=count("attention.key_length", width / heads),
        vocabulary=embedding[0],
        epsilon=number("attention.layer_norm_rms_epsilon"),
        theta=number("rope.freq_base", 10000.0),
        interleaved=True,
    )
    return _build(shape, file.tensors, _GGUF, name, length)


def from_config(config: dict[str, Any], tensors: Tensors, name: str, length: int) -> Graph:
    """The decoder of a folder with config.json and safetensors.

    Raises:
        ModelError: settings that are not supported, settings or tensors missing.
    """
    where = tensors.where
    if config.get("rope_scaling") or config.get("attention_bias") or config.get("hidden_act", "silu") != "silu":
        raise ModelError("rope_scaling, attention_bias and activations other than silu are not supported", where=where)

    def number(key: str, default: float | None = None) -> float:
        return positive(config, key, default, where)

    def count(key: str, default: float | None = None) -> int:
        return whole(config, key, default, where)

    heads, width = count("num_attention_heads"), count("hidden_size")
    shape = Shape(
        layers=count("num_hidden_layers"),
        width=width,
        hidden=count("intermediate_size"),
        heads=heads,
        kv_heads=count("num_key_value_heads", heads),
        head=count("head_dim", width / heads),
        vocabulary=count("vocab_size"),
        epsilon=number("rms_norm_eps", 1e-6),
        theta=number("rope_theta", 10000.0),
        interleaved=False,
    )
    return _build(shape, tensors, _HF, name, length)


def _build(s: Shape, tensors: Tensors, names: dict[str, str], name: str, length: int) -> Graph:
    large = s.layers > MAX_LAYERS or s.head > MAX_HEAD or not 1 <= length <= 1 << 16
    if large or s.heads % s.kv_heads or s.head % 2:
        raise ModelError(f"sizes that do not fit together: {s}, length {length}", where=tensors.where)
    build = Builder(name)

    def weight(key: str, *shape: int, layer: int = 0) -> str:
        stored = names[key].format(layer)
        return (
            stored
            if stored in build.constants
            else build.constant(stored, tensors.weight(stored, shape), tensors.order(stored))
        )

    ids = build.input("tokens", length)
    x = build.add("Gather", "embedding", weight("embedding", s.vocabulary, s.width), ids, axis=0)
    angles = np.arange(length)[:, None] * s.theta ** (-np.arange(0, s.head, 2) / s.head)[None, :]
    build.constant("rotary.cos", np.cos(angles))
    build.constant("rotary.sin", np.sin(angles))
    build.constant("causal", np.triu(np.full((length, length), MASKED), 1))
    build.constant("scale", np.array(s.head**-0.5))
    for layer in range(s.layers):
        x = _layer(
            build, s, length, x, lambda key, *shape, layer=layer: weight(key, *shape, layer=layer), f"blk.{layer}"
        )
    x = build.add("RMSNormalization", "norm", x, weight("norm", s.width), axis=-1, epsilon=s.epsilon)
    head = "head" if names["head"] in tensors else "embedding"
    return build.finish([build.add("Gemm", "logits", x, weight(head, s.vocabulary, s.width))])


def _layer(build: Builder, s: Shape, length: int, x: str, weight: Any, at: str) -> str:
    def norm(key: str, x: str) -> str:
        return build.add("RMSNormalization", f"{at}.{key}", x, weight(key, s.width), axis=-1, epsilon=s.epsilon)

    def heads(key: str, x: str, count: int, turned: bool) -> str:
        y = build.add("Gemm", f"{at}.{key}", x, weight(key, count * s.head, s.width))
        y = build.add("Reshape", f"{at}.{key}.split", y, shape=(-1, length, count, s.head))
        y = build.add("Transpose", f"{at}.{key}.heads", y, perm=(0, 2, 1, 3))
        if turned:
            tables = ("rotary.cos", "rotary.sin")
            y = build.add("RotaryEmbedding", f"{at}.{key}.rotary", y, *tables, interleaved=int(s.interleaved))
        shape = (-1, s.kv_heads, count // s.kv_heads, length, s.head)
        return build.add("Reshape", f"{at}.{key}.groups", y, shape=shape)

    n = norm("attn_norm", x)
    q, k = heads("q", n, s.heads, True), heads("k", n, s.kv_heads, True)
    v = heads("v", n, s.kv_heads, False)
    k = build.add("Transpose", f"{at}.k.turned", k, perm=(0, 1, 2, 4, 3))
    scores = build.add("Mul", f"{at}.scores", build.add("MatMul", f"{at}.qk", q, k), "scale")
    p = build.add("Softmax", f"{at}.softmax", build.add("Add", f"{at}.masked", scores, "causal"), axis=-1)
    y = build.add("MatMul", f"{at}.pv", p, v)
    y = build.add("Reshape", f"{at}.pv.heads", y, shape=(-1, s.heads, length, s.head))
    y = build.add("Transpose", f"{at}.pv.rows", y, perm=(0, 2, 1, 3))
    y = build.add("Reshape", f"{at}.pv.joined", y, shape=(-1, length, s.heads * s.head))
    y = build.add("Gemm", f"{at}.o", y, weight("o", s.width, s.heads * s.head))
    x = build.add("Add", f"{at}.attended", x, y)
    n = norm("ffn_norm", x)
    gate = build.add("Gemm", f"{at}.gate", n, weight("gate", s.hidden, s.width))
    up = build.add("Gemm", f"{at}.up", n, weight("up", s.hidden, s.width))
    y = build.add("Mul", f"{at}.gated", build.add("Swish", f"{at}.silu", gate, alpha=1.0), up)
    return build.add("Add", f"{at}.out", x, build.add("Gemm", f"{at}.down", y, weight("down", s.width, s.hidden)))
