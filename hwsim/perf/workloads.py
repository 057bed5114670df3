"""Networks known by their published shapes: what they ask of a chip, without weights.

Convolutional networks cover ``batch`` images; language models ``new_tokens`` more tokens of each of ``batch``
sequences, that attend to ``context`` tokens (the new ones included; a causal mask is not exploited). ``new_tokens`` =
``context`` is prefill.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwsim.errors import DataError, ModelError, unknown
from hwsim.ir.workload import SPARSE_SUFFIX, Workload, split_sparse
from hwsim.perf.builder import Builder
from hwsim.perf.convolutional import CONVOLUTIONAL


@dataclass(frozen=True, slots=True)
class Decoder:
    """A transformer's configuration; ``gated`` feed-forward has two input products, ``experts`` of which ``active``
    serve a token; ``vocabulary`` 0 means no output product; ``head_width`` 0 means width / heads."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    hidden: int
    vocabulary: int
    gated: bool = False
    experts: int = 1
    active: int = 1
    causal: bool = True
    head_width: int = 0

    def __post_init__(self) -> None:
        if not self.head_width:
            object.__setattr__(self, "head_width", self.width // self.heads)


TRANSFORMERS = {
    # Devlin et al. 2019, section 3; Liu et al. 2019, section 4; Sanh et al. 2019, section 3
    "bert_base": Decoder(12, 768, 12, 12, 3072, 0, causal=False),
    "bert_large": Decoder(24, 1024, 16, 16, 4096, 0, causal=False),
    "roberta_base": Decoder(12, 768, 12, 12, 3072, 0, causal=False),
    "roberta_large": Decoder(24, 1024, 16, 16, 4096, 0, causal=False),
    "distilbert": Decoder(6, 768, 12, 12, 3072, 0, causal=False),
    # Radford et al. 2019, table 2; Zhang et al. 2022 (OPT), table 1, with the vocabulary as its checkpoints pad it
    "gpt2": Decoder(12, 768, 12, 12, 3072, 50257),
    "gpt2-medium": Decoder(24, 1024, 16, 16, 4096, 50257),
    "gpt2-large": Decoder(36, 1280, 20, 20, 5120, 50257),
    "gpt2-xl": Decoder(48, 1600, 25, 25, 6400, 50257),
    "opt-125m": Decoder(12, 768, 12, 12, 3072, 50272),
    "opt-1.3b": Decoder(24, 2048, 32, 32, 8192, 50272),
    "opt-6.7b": Decoder(32, 4096, 32, 32, 16384, 50272),
    # Touvron et al. 2023, appendix A.2; Dubey et al. 2024, table 3; Meta's model cards of Llama 3.2; Zhang et al. 2024
    "llama2-7b": Decoder(32, 4096, 32, 32, 11008, 32000, gated=True),
    "llama2-13b": Decoder(40, 5120, 40, 40, 13824, 32000, gated=True),
    "llama2-70b": Decoder(80, 8192, 64, 8, 28672, 32000, gated=True),
    "llama3-8b": Decoder(32, 4096, 32, 8, 14336, 128256, gated=True),
    "llama3-70b": Decoder(80, 8192, 64, 8, 28672, 128256, gated=True),
    "llama3.2-1b": Decoder(16, 2048, 32, 8, 8192, 128256, gated=True),
    "llama3.2-3b": Decoder(28, 3072, 24, 8, 8192, 128256, gated=True),
    "tinyllama-1.1b": Decoder(22, 2048, 32, 4, 5632, 32000, gated=True),
    # Yang et al. 2024 (Qwen2), table 1, and 2025 (Qwen2.5), table 1, with vocabularies as the checkpoints pad them
    "qwen2-7b": Decoder(28, 3584, 28, 4, 18944, 152064, gated=True),
    "qwen2.5-0.5b": Decoder(24, 896, 14, 2, 4864, 151936, gated=True),
    "qwen2.5-1.5b": Decoder(28, 1536, 12, 2, 8960, 151936, gated=True),
    "qwen2.5-3b": Decoder(36, 2048, 16, 2, 11008, 151936, gated=True),
    "qwen2.5-7b": Decoder(28, 3584, 28, 4, 18944, 152064, gated=True),
    "qwen2.5-14b": Decoder(48, 5120, 40, 8, 13824, 152064, gated=True),
    "qwen2.5-32b": Decoder(64, 5120, 40, 8, 27648, 152064, gated=True),
    # Jiang et al. 2023, table 1; Jiang et al. 2024, table 1; Abdin et al. 2024, section 2; Gemma Team 2024, table 1
    "mistral-7b": Decoder(32, 4096, 32, 8, 14336, 32000, gated=True),
    "mixtral-8x7b": Decoder(32, 4096, 32, 8, 14336, 32000, gated=True, experts=8, active=2),
    "phi3-mini": Decoder(32, 3072, 32, 32, 8192, 32064, gated=True),
    "gemma-2b": Decoder(18, 2048, 8, 1, 16384, 256000, gated=True, head_width=256),
    "gemma-7b": Decoder(28, 3072, 16, 16, 24576, 256000, gated=True, head_width=256),
}
VISION = {
    # Dosovitskiy et al. 2021, table 1
    "vit_b_16": Decoder(12, 768, 12, 12, 3072, 0, causal=False),
    "vit_l_16": Decoder(24, 1024, 16, 16, 4096, 0, causal=False),
}
NAMES = (*CONVOLUTIONAL, *VISION, *TRANSFORMERS)


def spelled(name: str) -> str:
    """``name`` as ``NAMES`` spell it, for one that differs in case, ``-`` and ``_`` alone; any other as it is."""
    return {_folded(known): known for known in NAMES}.get(_folded(name), name)


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")


def workload(
    name: str,
    *,
    batch: int = 1,
    new_tokens: int = 1,
    context: int = 512,
    weights: str = "fp16",
    activations: str | None = None,
    kv_cache: str | None = None,
    chips: int = 1,
) -> Workload:
    """A network by name (``NAMES``), its tensors stored in the given formats.

    Args:
        batch: images, or sequences.
        new_tokens, context: of language models; see the module. Transformers without a vocabulary (``bert_base``) take
            ``context`` tokens at once.
        weights, activations: format names; ``activations`` defaults to ``weights``. ``int8_2to4`` and the like are
            weights stored 2:4, wherever k is a multiple of 4.
        kv_cache: format of the keys and values of transformers, where it is not the activations'.
        chips: that share a transformer by tensor parallelism: each holds an equal part of the heads, of the
            feed-forward's hidden elements and of the vocabulary; two all-reduces a layer join them, and an all-gather
            the logits. The operations are one chip's.

    Raises:
        ModelError: unknown name. FormatError: unknown format. DataError: a size below 1, more new tokens than
            context, or a network that so many chips cannot share.
    """
    from hwsim.numerics import formats

    name = spelled(name)
    if name not in NAMES:
        raise unknown(ModelError, "workload", name, NAMES)
    weights, sparse = split_sparse(weights)
    activations = activations or weights
    for fmt in (weights, activations, kv_cache or activations):
        formats[fmt]
    for label, size in (("batch", batch), ("new_tokens", new_tokens), ("context", context), ("chips", chips)):
        if size < 1:
            raise DataError(f"{label} must be at least 1, found {size}", where=name)
    build = Builder(weights, activations, kv_cache, sparse)
    if name in TRANSFORMERS:
        if new_tokens > context:
            raise DataError(f"expected new_tokens of at most context = {context}, found {new_tokens}", where=name)
        spec = TRANSFORMERS[name]
        _transformer(build, _part(spec, chips, name), batch, new_tokens if spec.vocabulary else context, context, chips)
    elif chips > 1 or kv_cache is not None:
        raise DataError("chips and kv_cache are for transformers", where=name)
    elif name in VISION:
        _vision(build, VISION[name], batch)
    else:
        CONVOLUTIONAL[name](build, batch)
    return Workload(name + SPARSE_SUFFIX * sparse, batch, tuple(build.ops), eager=True, chips=chips)


def _part(spec: Decoder, chips: int, name: str) -> Decoder:
    """What one of ``chips`` computes. Keys and values are copied where there are fewer heads of them than chips."""
    if chips == 1:
        return spec
    for label, size in (("heads", spec.heads), ("hidden elements", spec.hidden)):
        if size % chips:
            raise DataError(f"expected chips that divide {size} {label}, found {chips}", where=name)
    return replace(
        spec,
        heads=spec.heads // chips,
        kv_heads=max(1, spec.kv_heads // chips),
        hidden=spec.hidden // chips,
        vocabulary=-(-spec.vocabulary // chips),
        head_width=spec.head_width,
    )


def _transformer(build: Builder, spec: Decoder, batch: int, tokens: int, context: int, chips: int = 1) -> None:
    rows, width, head = batch * tokens, spec.width, spec.head_width
    inner = spec.heads * head

    def join(name: str, op: str, elements: int) -> None:
        if chips > 1:
            build.vector(name, op, elements, 0)

    cached = batch * spec.kv_heads * context * head
    softmax = "CausalSoftmax" if spec.causal and tokens > 1 else "Softmax"
    for index in range(spec.layers):
        at = f"layer{index}"
        build.vector(f"{at}.norm1", "Normalization", rows * width, 5, row=width)
        build.product(f"{at}.qkv", rows, (spec.heads + 2 * spec.kv_heads) * head, width)
        if spec.vocabulary:
            build.vector(f"{at}.append", "Copy", 2 * rows * spec.kv_heads * head, 0, fused=True)
        build.attend(f"{at}.scores", tokens, context, head, batch * spec.heads, cached)
        build.vector(f"{at}.softmax", softmax, batch * spec.heads * tokens * context, 5, fused=True)
        build.attend(f"{at}.values", tokens, head, context, batch * spec.heads, cached)
        build.product(f"{at}.out", rows, width, inner)
        join(f"{at}.join1", "AllReduce", rows * width)
        build.vector(f"{at}.add1", "Add", rows * width, 1, inputs=2 * rows * width)
        build.vector(f"{at}.norm2", "Normalization", rows * width, 5, row=width)
        # Tokens spread evenly over the experts that any of them picks.
        busy = min(spec.experts, rows * spec.active)
        each = -(-rows * spec.active // busy)
        build.product(f"{at}.up", each, spec.hidden * (2 if spec.gated else 1), width, busy)
        hidden = busy * each * spec.hidden
        build.vector(f"{at}.act", "GatedActivation" if spec.gated else "Activation", hidden, 8, fused=True)
        if spec.gated:
            build.vector(f"{at}.gate", "GatedMul", hidden, 1, inputs=2 * hidden, fused=True)
        build.product(f"{at}.down", each, width, spec.hidden, busy)
        join(f"{at}.join2", "AllReduce", rows * width)
        build.vector(f"{at}.add2", "Add", rows * width, 1, inputs=2 * rows * width)
    if spec.vocabulary:
        build.product("head", batch, spec.vocabulary, width, weights=build.head_weights)
        join("head.join", "AllGather", batch * spec.vocabulary * chips)


def _vision(build: Builder, spec: Decoder, batch: int) -> None:
    """A vision transformer of 16 x 16 patches at 224 x 224: 196 patches and a class token."""
    tokens, width = 197, spec.width
    build.product("patches", batch * 196, width, 16 * 16 * 3, inputs=batch * 3 * 224 * 224, op="Conv")
    build.vector("token", "Copy", batch * tokens * width, 0, fused=True)
    build.vector("position", "Add", batch * tokens * width, 1, inputs=2 * batch * tokens * width)
    _transformer(build, spec, batch, tokens, tokens)
    build.product("head", batch, 1000, width)
