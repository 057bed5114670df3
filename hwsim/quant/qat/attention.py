"""A term of the loss that holds attention to the float network's, for ``train(..., penalty=...)``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from hwsim.quant.attention import attentions
from hwsim.quant.qat.network import QatNetwork

_NEVER = -1e4
"""Log of a weight that a mask makes zero: small enough to be none, and finite."""


def attention_distance(
    network: QatNetwork, teacher: QatNetwork, weight: float = 1.0
) -> Callable[[QatNetwork, Tensor, torch.Generator], Tensor]:
    """``weight`` times the mean divergence of ``network``'s softmaxes from ``teacher``'s, nats a row.

    The divergence is Kullback and Leibler's, sum p ln(p / q), p the float network's, as attention is distilled in Jiao
    et al., TinyBERT (arXiv 1909.10351), there with squared differences of scores.

    Args:
        network: what learns; from here on it keeps what its softmaxes are made from.
        teacher: the float network (``QatNetwork(..., full=True)``).
    """
    names = tuple(a.softmax.inputs[0] for a in attentions(network.graph))
    network.keeps = names

    def penalty(learner: QatNetwork, x: Tensor, dice: torch.Generator) -> Tensor:
        with torch.no_grad():
            wanted = teacher(x, keep=names)
        parts = []
        for name in names:
            p = functional.log_softmax(wanted[name], -1).clamp_min(_NEVER)
            q = functional.log_softmax(learner.kept[name], -1).clamp_min(_NEVER)
            parts.append((p.exp() * (p - q)).sum(-1).mean())
        return weight * torch.stack(parts).mean()

    return penalty
