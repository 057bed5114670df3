"""A small Llama decoder in torch, for training: its parameters carry the names of Hugging Face's files.

Touvron et al., LLaMA (arXiv 2302.13971); grouped queries: Ainslie et al. (arXiv 2305.13245). Needs torch
(``pip install 'hwsim[qat]'``); what it writes runs without.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Hook = Callable[[int, str, Tensor], Tensor]
"""(layer, "q" | "k" | "v", heads [N, heads, length, head]) -> what takes their place; q and k after the rotary
embedding, as the matrix unit sees them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes of a decoder. ``dropout`` applies to embeddings and to what each block adds; only while training."""

    vocabulary: int = 1024
    width: int = 128
    hidden: int = 352
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    epsilon: float = 1e-5
    theta: float = 10000.0
    dropout: float = 0.0

    @property
    def head(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    def config(self, length: int) -> dict[str, Any]:
        """The ``config.json`` that ``hwsim.io.safetensors`` and transformers' LlamaForCausalLM read."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocabulary,
            "hidden_size": self.width,
            "intermediate_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "rms_norm_eps": self.epsilon,
            "rope_theta": self.theta,
            "hidden_act": "silu",
            "max_position_embeddings": length,
            "tie_word_embeddings": True,
            "torch_dtype": "float32",
        }


class _Norm(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """x / sqrt(mean(x^2) + epsilon) * weight."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(settings.width))
        self.epsilon = settings.epsilon

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


class _Attention(nn.Module):  # type: ignore[misc]  # torch is untyped here
    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.settings = s
        self.q_proj = nn.Linear(s.width, s.heads * s.head, bias=False)
        self.k_proj = nn.Linear(s.width, s.kv_heads * s.head, bias=False)
        self.v_proj = nn.Linear(s.width, s.kv_heads * s.head, bias=False)
        self.o_proj = nn.Linear(s.heads * s.head, s.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, layer: int, hook: Hook | None) -> Tensor:
        s, (n, length, _) = self.settings, x.shape

        def heads(y: Tensor, count: int) -> Tensor:
            return y.view(n, length, count, s.head).transpose(1, 2)

        q, k = (turned(heads(p(x), c), cos, sin) for p, c in ((self.q_proj, s.heads), (self.k_proj, s.kv_heads)))
        v = heads(self.v_proj(x), s.kv_heads)
        if hook is not None:
            q, k, v = hook(layer, "q", q), hook(layer, "k", k), hook(layer, "v", v)
        k, v = (y.repeat_interleave(s.heads // s.kv_heads, dim=1) for y in (k, v))
        scores = q @ k.transpose(2, 3) * s.head**-0.5
        later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        y = scores.masked_fill(later, float("-inf")).softmax(-1) @ v
        out: Tensor = self.o_proj(y.transpose(1, 2).reshape(n, length, -1))
        return out


class _Gated(nn.Module):  # type: ignore[misc]  # torch is untyped here
    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(s.width, s.hidden, bias=False)
        self.up_proj = nn.Linear(s.width, s.hidden, bias=False)
        self.down_proj = nn.Linear(s.hidden, s.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class _Layer(nn.Module):  # type: ignore[misc]  # torch is untyped here
    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.input_layernorm = _Norm(s)
        self.self_attn = _Attention(s)
        self.post_attention_layernorm = _Norm(s)
        self.mlp = _Gated(s)
        self.dropout = nn.Dropout(s.dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, layer: int, hook: Hook | None) -> Tensor:
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), cos, sin, layer, hook))
        out: Tensor = x + self.dropout(self.mlp(self.post_attention_layernorm(x)))
        return out


class _Stack(nn.Module):  # type: ignore[misc]  # torch is untyped here
    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(s.vocabulary, s.width)
        self.layers = nn.ModuleList(_Layer(s) for _ in range(s.layers))
        self.norm = _Norm(s)


class Decoder(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Token ids [N, length] -> logits [N, length, vocabulary]; the output layer is the embedding itself.

    Attributes:
        hook: called on q, k and v of every layer when set; quantizers and attention compensation go here.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.hook: Hook | None = None
        self.model = _Stack(settings)
        self.dropout = nn.Dropout(settings.dropout)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                deep = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * settings.layers) ** 0.5 if deep else 0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of every next token."""
        cos, sin = rotary(ids.shape[1], self.settings, ids.device)
        x = self.dropout(self.model.embed_tokens(ids))
        for at, layer in enumerate(self.model.layers):
            x = layer(x, cos, sin, at, self.hook)
        return functional.linear(self.model.norm(x), self.model.embed_tokens.weight)


def rotary(length: int, settings: Settings, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """cos and sin [length, head / 2] of the rotary embedding, angles in float64."""
    steps = torch.arange(0, settings.head, 2, dtype=torch.float64) / settings.head
    angles = torch.arange(length, dtype=torch.float64)[:, None] * settings.theta ** -steps[None, :]
    return angles.cos().float().to(device), angles.sin().float().to(device)


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [..., length, head] turned by its positions; a pair is (i, i + head / 2)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def load(folder: str | os.PathLike[str]) -> Decoder:
    """The decoder of a folder that :mod:`hwsim.zoo.train_llama` wrote (``hwsim.zoo.get("tiny-llama")["model"]``).

    Raises:
        ModelError: settings or tensors missing, or malformed.
    """
    from hwsim.io.safetensors import read, read_json

    held = read_json(Path(folder) / "config.json")
    settings = Settings(
        vocabulary=held["vocab_size"],
        width=held["hidden_size"],
        hidden=held["intermediate_size"],
        layers=held["num_hidden_layers"],
        heads=held["num_attention_heads"],
        kv_heads=held["num_key_value_heads"],
        epsilon=held["rms_norm_eps"],
        theta=held["rope_theta"],
    )
    decoder = Decoder(settings)
    tensors = read(Path(folder))
    state = {
        name: torch.from_numpy(tensors.load(name, tuple(p.shape)).copy()) for name, p in decoder.state_dict().items()
    }
    decoder.load_state_dict(state)
    return decoder
