"""Networks with random weights for :mod:`measure_gpu`: torchvision's, transformers', and transformers by shape.

The decoders have fused products for q, k, v and for gate and up, PyTorch's attention, and a filled cache of keys and
values; no rotary embedding. 8-bit products cast their input; 4-bit ones are PyTorch's int4 kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812

Made = tuple[str, str, Callable[[], Any]]


@dataclass(frozen=True)
class Shape:
    """A transformer; ``post`` puts norms behind additions."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    hidden: int
    vocabulary: int
    gated: bool = False
    rms: bool = False
    causal: bool = True
    post: bool = False


SHAPES = {
    "llama2_7b": Shape(32, 4096, 32, 32, 11008, 32000, gated=True, rms=True),
    "llama3_8b": Shape(32, 4096, 32, 8, 14336, 128256, gated=True, rms=True),
    "llama32_1b": Shape(16, 2048, 32, 8, 8192, 128256, gated=True, rms=True),
    "gpt2": Shape(12, 768, 12, 12, 3072, 50257),
    "qwen2_7b": Shape(28, 3584, 28, 4, 18944, 152064, gated=True, rms=True),
    "gpt2_medium": Shape(24, 1024, 16, 16, 4096, 50257),
    "bert_large": Shape(24, 1024, 16, 16, 4096, 0, causal=False, post=True),
    "bert_base_shape": Shape(12, 768, 12, 12, 3072, 0, causal=False, post=True),
}
SUITES = {
    "held": [
        ("llama2_7b", "bf16", "1x1x512"),
        ("llama2_7b", "e4m3", "1x512x512"),
        ("llama3_8b", "bf16", "1x1x512 16x1x2048 64x1x512 1x512x512 1x2048x2048"),
        ("llama3_8b", "e4m3", "16x1x512 1x2048x2048"),
        ("llama3_8b", "w4a16", "1x1x512"),
        ("llama32_1b", "bf16", "1x1x1024 8x512x512"),
        ("gpt2", "f16", "1x1x512 32x1x512 8x512x512"),
        ("bert_base_shape", "f16", "1x128x128 8x128x128 8x512x512 64x128x128"),
    ],
    "short": [
        ("llama2_7b", "bf16", "1x1x512 16x1x2048 1x512x512 4x1024x1024"),
        ("llama2_7b", "e4m3", "16x1x512 1x2048x2048"),
        ("llama2_7b", "w4a16", "1x1x512"),
        ("llama3_8b", "bf16", "16x1x2048"),
        ("gpt2", "f16", "8x512x512"),
        ("bert_base_shape", "f16", "8x128x128"),
    ],
    "other": [
        ("llama32_1b", "bf16", "1x1x1024 8x512x512"),
        ("qwen2_7b", "bf16", "1x1x512 16x1x4096 1x1024x1024"),
        ("gpt2_medium", "f16", "1x1x512 8x512x512"),
        ("bert_large", "f16", "1x384x384 16x128x128"),
        ("llama2_7b", "bf16", "1x1x512 16x1x2048 32x1x4096 1x2048x2048"),
        ("llama2_7b", "e4m3", "16x1x512"),
    ],
    "wide": [
        ("bert_large", "f16", "1x384x384 16x128x128 32x512x512"),
        ("gpt2_medium", "f16", "1x1x512 8x512x512"),
        ("llama32_1b", "bf16", "8x512x512"),
        ("qwen2_7b", "bf16", "1x1x512 16x1x4096 1x1024x1024"),
    ],
}
"""Network, format, and its runs: batch x new tokens x context."""
IMAGES = {
    "held": [
        ("mobilenet_v2", (1, 8, 64)),
        ("efficientnet_b0", (8, 64)),
        ("resnet50", (1, 8, 64)),
        ("vit_b_16", (1, 8)),
    ],
    "other": [
        ("efficientnet_b0", (1, 8, 64)),
        ("mobilenet_v2", (1, 8, 64)),
        ("resnet18", (8, 64)),
        ("resnet50", (1, 8, 64)),
        ("vit_b_16", (1, 8, 64)),
        ("vit_l_16", (8,)),
    ],
    "wide": [("efficientnet_b0", (1, 8, 64)), ("resnet18", (8, 64)), ("vit_l_16", (8,))],
    "short": [("resnet50", (8, 64)), ("vit_b_16", (8, 64)), ("mobilenet_v2", (8, 64))],
}
FORMS = ("eager", "folded", "channels_last", "folded_channels_last")
"""How a convolutional network runs: as torchvision has it; batch norms folded into convolutions; NHWC tensors; both."""


def linear(n: int, k: int, kind: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """A product with weights [n, k]."""
    if kind == "w4a16":
        codes = torch.randint(0, 256, (n, k // 2), device="cuda", dtype=torch.uint8)
        packed = torch._convert_weight_to_int4pack(codes, 8)
        scales = torch.rand(k // 128, n, 2, device="cuda", dtype=torch.bfloat16) * 1e-3
        return lambda x: torch._weight_int4pack_mm(x, packed, 128, scales)
    wide = torch.half if kind == "f16" else torch.bfloat16
    weights = torch.randn(n, k, device="cuda", dtype=wide) * k**-0.5
    if kind == "e4m3":
        narrow, one = weights.to(torch.float8_e4m3fn).t(), torch.ones((), device="cuda")
        return lambda x: torch._scaled_mm(
            x.to(torch.float8_e4m3fn), narrow, one, one, out_dtype=torch.bfloat16, use_fast_accum=True
        )
    return lambda x: F.linear(x, weights)


class Transformer:
    """Layers on the GPU; ``run`` takes tokens through all of them."""

    def __init__(self, shape: Shape, kind: str) -> None:
        self.shape, self.kind = shape, kind
        self.dtype = torch.half if kind == "f16" else torch.bfloat16
        width = shape.width
        both = (shape.heads + 2 * shape.kv_heads) * (width // shape.heads)
        self.layers = [
            (
                linear(both, width, kind),
                linear(width, width, kind),
                linear(shape.hidden * (2 if shape.gated else 1), width, kind),
                linear(width, shape.hidden, kind),
            )
            for _ in range(shape.layers)
        ]
        head = kind if kind != "w4a16" else "bf16"
        if shape.vocabulary % 16:
            head = "f16" if kind == "f16" else "bf16"
        self.head = linear(shape.vocabulary, width, head) if shape.vocabulary else None
        self.gain = torch.ones(width, device="cuda", dtype=self.dtype)

    def norm(self, x: torch.Tensor) -> torch.Tensor:
        if self.shape.rms:
            return F.rms_norm(x, (self.shape.width,), self.gain)
        return F.layer_norm(x, (self.shape.width,), self.gain, self.gain)

    def runner(self, batch: int, new_tokens: int, context: int) -> Callable[[], Any]:
        """A pass of ``new_tokens`` of each of ``batch`` sequences."""
        shape = self.shape
        side = shape.width // shape.heads
        x = torch.randn(batch * new_tokens, shape.width, device="cuda", dtype=self.dtype)
        cache = [
            torch.randn(2, batch, shape.kv_heads, context, side, device="cuda", dtype=self.dtype)
            for _ in range(shape.layers if shape.vocabulary else 0)
        ]
        counts = shape.heads * side, shape.kv_heads * side, shape.kv_heads * side

        def attend(index: int, x: torch.Tensor, qkv: Any, out: Any) -> torch.Tensor:
            parts = qkv(x).split(counts, dim=-1)
            q, k, v = (part.view(batch, new_tokens, -1, side).transpose(1, 2) for part in parts)
            if shape.vocabulary:
                cache[index][0, :, :, context - new_tokens :] = k
                cache[index][1, :, :, context - new_tokens :] = v
                k, v = cache[index][0], cache[index][1]
            causal = shape.causal and new_tokens > 1
            y = F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=shape.kv_heads != shape.heads)
            return out(y.transpose(1, 2).reshape(batch * new_tokens, shape.width))

        def feed(x: torch.Tensor, up: Any, down: Any) -> torch.Tensor:
            wide = up(x)
            if not shape.gated:
                return down(F.gelu(wide))
            gate, value = wide.chunk(2, dim=-1)
            return down(F.silu(gate) * value)

        def run() -> Any:
            y = x
            for index, (qkv, out, up, down) in enumerate(self.layers):
                if shape.post:
                    y = self.norm(y + attend(index, y, qkv, out))
                    y = self.norm(y + feed(y, up, down))
                else:
                    y = y + attend(index, self.norm(y), qkv, out)
                    y = y + feed(self.norm(y), up, down)
            if self.head is None:
                return y
            last = y.view(batch, new_tokens, -1)[:, -1].contiguous()
            return self.head(self.norm(last))

        return run


def networks(suite: str) -> Iterator[Made]:
    """Name, detail and run of each network."""
    import torchvision
    from torch.fx.experimental.optimization import fuse

    for name, batches in IMAGES[suite]:
        forms = FORMS[2:3] if suite in ("other", "wide") else FORMS
        for form in forms if not name.startswith("vit") else FORMS[:1]:
            net = torchvision.models.get_model(name).eval()
            net = fuse(net) if "folded" in form else net
            layout = torch.channels_last if "channels" in form else torch.contiguous_format
            net = net.cuda().half().to(memory_format=layout)
            for batch in batches:
                x = torch.randn(batch, 3, 224, 224, device="cuda", dtype=torch.half).to(memory_format=layout)
                yield name, f"batch={batch};dtype=f16;image=224;form={form}", lambda net=net, x=x: net(x)
    for name, kind, sizes in SUITES[suite]:
        made = Transformer(SHAPES[name], kind)
        for size in sizes.split():
            batch, new_tokens, context = map(int, size.split("x"))
            detail = f"batch={batch};new_tokens={new_tokens};context={context};weights={kind}"
            yield name, detail, made.runner(batch, new_tokens, context)
        del made
        torch.cuda.empty_cache()
    if suite == "held":
        yield from _bert()


def _bert() -> Iterator[Made]:
    """BERT-base as torch.nn's encoder (its fused fast path), and transformers', with products for q, k and v each."""
    from transformers import BertConfig, BertModel

    layer = torch.nn.TransformerEncoderLayer(768, 12, 3072, activation="gelu", batch_first=True)
    encoder = torch.nn.TransformerEncoder(layer, 12).cuda().half().eval()
    net = BertModel(BertConfig(), add_pooling_layer=False).cuda().half().eval()
    for batch, tokens in ((1, 128), (8, 128), (8, 512), (64, 128)):
        x = torch.randn(batch, tokens, 768, device="cuda", dtype=torch.half)
        yield "bert_base_nn", f"batch={batch};context={tokens};weights=f16", lambda x=x: encoder(x)
    for batch, tokens in ((8, 128), (64, 128)):
        ids = torch.randint(0, 30000, (batch, tokens), device="cuda")
        yield "bert_base", f"batch={batch};context={tokens};weights=f16", lambda ids=ids: net(ids)
