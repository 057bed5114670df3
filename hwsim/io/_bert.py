"""A BERT encoder with mean pooling as a graph: token ids [N, length] in, one vector [N, width] out.

Devlin et al. (arXiv 1810.04805). Padding is told from the ids themselves: a table gives each id its mask, so the graph
has one input. Pooling as sentence-transformers does it: the mean over tokens that are not padding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.errors import ModelError
from hwsim.io._builder import Builder, positive, whole
from hwsim.io._llama import MASKED, MAX_LAYERS
from hwsim.io.tensors import Tensors
from hwsim.ir import Graph


def from_config(config: dict[str, Any], tensors: Tensors, name: str, length: int) -> Graph:
    """The encoder of a folder with config.json and safetensors.

    Raises:
        ModelError: settings that are not supported, settings or tensors missing.
    """
    where = tensors.where
    kind = (config.get("hidden_act", "gelu"), config.get("position_embedding_type", "absolute"))
    if kind != ("gelu", "absolute"):
        raise ModelError(f"expected gelu and absolute positions, found {kind[0]} and {kind[1]}", where=where)
    layers, width, hidden, heads, vocabulary, positions, types = (
        whole(config, key, None, where)
        for key in ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "vocab_size",
                    "max_position_embeddings", "type_vocab_size")
    )  # fmt: skip
    epsilon, pad = float(positive(config, "layer_norm_eps", 1e-12, where)), config.get("pad_token_id", 0)
    if isinstance(pad, bool) or not isinstance(pad, int):
        raise ModelError(f"'pad_token_id' must be a whole number, found {pad!r}", where=where)
    if width % heads or layers > MAX_LAYERS or not 1 <= length <= positions or not 0 <= pad < vocabulary:
        raise ModelError(f"sizes that do not fit together: {heads} heads of {width}, length {length}", where=where)
    build, head = Builder(name), width // heads

    def weight(key: str, *shape: int) -> str:
        return build.constant(key, tensors.weight(key, shape), tensors.order(key))

    def dense(at: str, x: str, key: str, out: int, into: int) -> str:
        return build.add("Gemm", at, x, weight(f"{key}.weight", out, into), weight(f"{key}.bias", out))

    def norm(at: str, x: str, key: str) -> str:
        parts = (weight(f"{key}.weight", width), weight(f"{key}.bias", width))
        return build.add("LayerNormalization", at, x, *parts, axis=-1, epsilon=epsilon)

    ids = build.input("tokens", length)
    words = weight("embeddings.word_embeddings.weight", vocabulary, width)
    x = build.add("Gather", "words", words, ids, axis=0)
    place = tensors.load("embeddings.position_embeddings.weight", (positions, width))[:length]
    kinds = tensors.load("embeddings.token_type_embeddings.weight", (types, width))[0]
    x = build.add("Add", "placed", x, build.constant("embeddings.positions", place + kinds))
    x = norm("embedded", x, "embeddings.LayerNorm")
    keep = np.ones(vocabulary)
    keep[pad] = 0
    kept = build.add("Gather", "kept", build.constant("mask.keep", keep), ids, axis=0)
    hide = build.add("Gather", "hidden", build.constant("mask.hide", (1 - keep) * MASKED), ids, axis=0)
    hide = build.add("Reshape", "hidden.rows", hide, shape=(-1, 1, 1, length))
    build.constant("scale", np.array(head**-0.5))
    for layer in range(layers):
        at, key = f"layer.{layer}", f"encoder.layer.{layer}"

        def split(part: str, x: str, perm: tuple[int, ...], at: str = at, key: str = key) -> str:
            y = dense(f"{at}.{part}", x, f"{key}.attention.self.{part}", width, width)
            y = build.add("Reshape", f"{at}.{part}.split", y, shape=(-1, length, heads, head))
            return build.add("Transpose", f"{at}.{part}.heads", y, perm=perm)

        q, k = split("query", x, (0, 2, 1, 3)), split("key", x, (0, 2, 3, 1))
        v = split("value", x, (0, 2, 1, 3))
        scores = build.add("Mul", f"{at}.scores", build.add("MatMul", f"{at}.qk", q, k), "scale")
        p = build.add("Softmax", f"{at}.softmax", build.add("Add", f"{at}.masked", scores, hide), axis=-1)
        y = build.add("Transpose", f"{at}.rows", build.add("MatMul", f"{at}.pv", p, v), perm=(0, 2, 1, 3))
        y = build.add("Reshape", f"{at}.joined", y, shape=(-1, length, width))
        y = dense(f"{at}.output", y, f"{key}.attention.output.dense", width, width)
        x = norm(f"{at}.attended", build.add("Add", f"{at}.residual", x, y), f"{key}.attention.output.LayerNorm")
        y = dense(f"{at}.up", x, f"{key}.intermediate.dense", hidden, width)
        y = build.add("Gelu", f"{at}.gelu", y, approximate="none")
        y = dense(f"{at}.down", y, f"{key}.output.dense", width, hidden)
        x = norm(f"{at}.out", build.add("Add", f"{at}.sum", x, y), f"{key}.output.LayerNorm")
    total = build.add("ReduceSum", "count", kept, axes=(1,), keepdims=1)
    x = build.add("Mul", "counted", x, build.add("Reshape", "kept.rows", kept, shape=(-1, length, 1)))
    pooled = build.add("ReduceSum", "pooled", x, axes=(1,), keepdims=0)
    return build.finish([build.add("Div", "sentence", pooled, total)])
