"""Networks known by their published shapes: what they ask of a chip, without weights.

Convolutional networks cover ``batch`` images; language models ``new_tokens`` more tokens of each of ``batch``
sequences, that attend to ``context`` tokens (the new ones included; a causal mask is not exploited). ``new_tokens`` =
``context`` is prefill.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hwsim.errors import DataError, ModelError, unknown
from hwsim.ir.workload import SPARSE_GROUP, SPARSE_SUFFIX, MatrixWork, VectorWork, Work, Workload, split_sparse
from hwsim.perf.sizes import bits_per_element


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
    # Devlin et al. 2019, section 3; Radford et al. 2019, table 2
    "bert_base": Decoder(12, 768, 12, 12, 3072, 0, causal=False),
    "gpt2": Decoder(12, 768, 12, 12, 3072, 50257),
    # Touvron et al. 2023, appendix A.2; Dubey et al. 2024, table 3
    "llama2-7b": Decoder(32, 4096, 32, 32, 11008, 32000, gated=True),
    "llama3-8b": Decoder(32, 4096, 32, 8, 14336, 128256, gated=True),
    # Jiang et al. 2024, table 1
    "mixtral-8x7b": Decoder(32, 4096, 32, 8, 14336, 32000, gated=True, experts=8, active=2),
}
NAMES = ("resnet50", "mobilenet_v2", "vit_b_16", *TRANSFORMERS)


class _Builder:
    """Collects operations; every product writes ``activations``."""

    def __init__(self, weights: str, activations: str, cache: str | None = None, sparse: bool = False) -> None:
        self.weights, self.activations = weights, activations
        # Queries stay wide before a cache of its own format.
        self.cache = cache or activations
        self.queries = activations if cache is None or bits_per_element(activations) >= 16 else "bf16"
        self.sparse = sparse
        self.ops: list[Work] = []
        # Checkpoints with narrow weights under wide activations keep their output product wide.
        self.head_weights = activations if bits_per_element(activations) >= 16 else weights
        self.accumulator = "int32" if "int" in weights and "int" in activations else "fp32"

    def product(
        self, name: str, m: int, n: int, k: int, groups: int = 1, inputs: int = 0, op: str = "Gemm", weights: str = ""
    ) -> None:
        """A product with static weights and its fused scale and bias."""
        size = n * k * groups
        self._matrix(name, op, m, n, k, groups, inputs or m * k * groups, size, weights or self.weights, True)
        self.vector(f"{name}.epilogue", "Requantize", m * n * groups, 2, fused=True)

    def attend(self, name: str, m: int, n: int, k: int, groups: int, second: int) -> None:
        """A product of two run-time values; ``second`` elements are read of the second."""
        self._matrix(name, "MatMul", m, n, k, groups, m * k * groups, second, self.cache, False)

    def vector(
        self, name: str, op: str, elements: int, each: int, *, inputs: int = 0, fused: bool = False, row: int = 0
    ) -> None:
        """``each`` operations for every one of ``elements`` results."""
        fmt, operations = self.accumulator if fused else self.activations, elements * each
        self.ops.append(
            VectorWork(name, op, inputs or elements, elements, operations, fmt, self.activations, fused=fused, row=row)
        )

    def _matrix(
        self, name: str, op: str, m: int, n: int, k: int, groups: int, inputs: int, second: int, fmt: str, static: bool
    ) -> None:
        self.ops.append(
            MatrixWork(
                name=name,
                op=op,
                m=m,
                n=n,
                k=k,
                groups=groups,
                input_elements=inputs,
                weight_elements=second,
                output_elements=m * n * groups,
                input_format=self.activations if static else self.queries,
                weight_format=fmt,
                accumulator_format=self.accumulator,
                output_format=self.activations,
                weights_static=static,
                # Products that do not divide in groups of four (first convolutions, depthwise ones) stay dense.
                sparse=self.sparse and static and fmt == self.weights and k % SPARSE_GROUP == 0,
            )
        )


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
        new_tokens, context: of language models; see the module. ``bert_base`` always takes ``context`` tokens at once.
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

    if name not in NAMES:
        raise unknown(ModelError, "workload", name, NAMES)
    weights, sparse = split_sparse(weights)
    activations = activations or weights
    for fmt in (weights, activations, kv_cache or activations):
        formats[fmt]
    for label, size in (("batch", batch), ("new_tokens", new_tokens), ("context", context), ("chips", chips)):
        if size < 1:
            raise DataError(f"{label} must be at least 1, found {size}", where=name)
    build = _Builder(weights, activations, kv_cache, sparse)
    if name in TRANSFORMERS:
        if new_tokens > context:
            raise DataError(f"expected new_tokens of at most context = {context}, found {new_tokens}", where=name)
        spec = TRANSFORMERS[name]
        _transformer(build, _part(spec, chips, name), batch, new_tokens if spec.vocabulary else context, context, chips)
    elif chips > 1 or kv_cache is not None:
        raise DataError("chips and kv_cache are for transformers", where=name)
    else:
        _IMAGE_NETWORKS[name](build, batch)
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


def _transformer(build: _Builder, spec: Decoder, batch: int, tokens: int, context: int, chips: int = 1) -> None:
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


def _vit(build: _Builder, batch: int) -> None:
    """ViT-B/16 at 224 x 224 (Dosovitskiy et al. 2021, table 1): 196 patches and a class token."""
    build.product("patches", batch * 196, 768, 16 * 16 * 3, inputs=batch * 3 * 224 * 224, op="Conv")
    build.vector("token", "Copy", batch * 197 * 768, 0, fused=True)
    build.vector("position", "Add", batch * 197 * 768, 1, inputs=2 * batch * 197 * 768)
    _transformer(build, Decoder(12, 768, 12, 12, 3072, 0, causal=False), batch, 197, 197)
    build.product("head", batch, 1000, 768)


def _conv(
    build: _Builder,
    name: str,
    batch: int,
    side: int,
    into: int,
    out: int,
    kernel: int,
    stride: int,
    groups: int = 1,
    relu: bool = True,
) -> int:
    """A square convolution with same padding; returns the output's side."""
    after = -(-side // stride)
    inputs = batch * into * side * side
    build.product(name, batch * after * after, out // groups, into // groups * kernel * kernel, groups, inputs, "Conv")
    build.vector(f"{name}.norm", "BatchNormalization", batch * out * after * after, 0, fused=True)
    if relu:
        build.vector(f"{name}.relu", "Relu", batch * out * after * after, 1, fused=True)
    return after


def _resnet50(build: _Builder, batch: int) -> None:
    """He et al. 2016, table 1, with the stride in the 3 x 3 convolution (torchvision)."""
    side = _conv(build, "conv1", batch, 224, 3, 64, 7, 2)
    build.vector("maxpool", "MaxPool", batch * 64 * 56 * 56, 8, inputs=batch * 64 * side * side)
    side, channels = 56, 64
    for stage, (blocks, inner) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        for block in range(blocks):
            at, stride = f"stage{stage}.{block}", 2 if stage and not block else 1
            _conv(build, f"{at}.a", batch, side, channels, inner, 1, 1)
            after = _conv(build, f"{at}.b", batch, side, inner, inner, 3, stride)
            _conv(build, f"{at}.c", batch, after, inner, 4 * inner, 1, 1, relu=False)
            if not block:
                _conv(build, f"{at}.skip", batch, side, channels, 4 * inner, 1, stride, relu=False)
            side, channels = after, 4 * inner
            size = batch * channels * side * side
            build.vector(f"{at}.add", "Add", size, 1, inputs=2 * size)
            build.vector(f"{at}.relu", "Relu", size, 1, fused=True)
    build.vector("avgpool", "GlobalAveragePool", batch * 2048, 49, inputs=batch * 2048 * 49)
    build.product("fc", batch, 1000, 2048)


def _mobilenet_v2(build: _Builder, batch: int) -> None:
    """Sandler et al. 2018, table 2."""
    side, channels = _conv(build, "conv1", batch, 224, 3, 32, 3, 2), 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for stage, (expand, out, blocks, first) in enumerate(stages):
        for block in range(blocks):
            at, inner = f"stage{stage}.{block}", channels * expand
            if expand > 1:
                _conv(build, f"{at}.expand", batch, side, channels, inner, 1, 1)
            side = _conv(build, f"{at}.depthwise", batch, side, inner, inner, 3, 1 if block else first, inner)
            _conv(build, f"{at}.project", batch, side, inner, out, 1, 1, relu=False)
            if block:
                size = batch * out * side * side
                build.vector(f"{at}.add", "Add", size, 1, inputs=2 * size)
            channels = out
    side = _conv(build, "conv2", batch, side, channels, 1280, 1, 1)
    build.vector("avgpool", "GlobalAveragePool", batch * 1280, 49, inputs=batch * 1280 * 49)
    build.product("fc", batch, 1000, 1280)


_IMAGE_NETWORKS: dict[str, Callable[[_Builder, int], None]] = {
    "resnet50": _resnet50,
    "mobilenet_v2": _mobilenet_v2,
    "vit_b_16": _vit,
}
