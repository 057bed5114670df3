"""Every shipped target on ten workloads, timed: ``python bench/fleet.py``.

The bars: a language model's token on any target in under a second, and the whole table in under twenty.
"""

from __future__ import annotations

import time

from hwsim.api import estimate
from hwsim.target import load_target, names

WORKLOADS: tuple[tuple[str, dict[str, int]], ...] = (
    ("resnet50", {}),
    ("resnet50", {"batch": 8}),
    ("mobilenet_v2", {}),
    ("vit_b_16", {}),
    ("bert_base", {"context": 128}),
    ("gpt2", {}),
    ("llama2-7b", {}),
    ("llama2-7b", {"new_tokens": 512, "context": 512}),
    ("llama3-8b", {"batch": 8}),
    ("mixtral-8x7b", {}),
)


def main() -> None:
    total, slowest, token = 0.0, (0.0, ""), (0.0, "")
    for chip in names():
        start = time.perf_counter()
        target = load_target(chip)
        for name, sizes in WORKLOADS:
            before = time.perf_counter()
            new_tokens, context = sizes.get("new_tokens", 1), sizes.get("context", 512)
            estimate(name, target, batch=sizes.get("batch", 1), new_tokens=new_tokens, context=context)
            took = time.perf_counter() - before
            slowest = max(slowest, (took, f"{name} {sizes} on {chip}"))
            if name == "llama2-7b" and not sizes:
                token = max(token, (took, chip))
        total += time.perf_counter() - start
    print(f"{len(names())} targets x {len(WORKLOADS)} workloads: {total:.1f} s")
    print(f"a token of llama2-7b: at most {token[0]:.3f} s ({token[1]})")
    print(f"slowest: {slowest[0]:.3f} s ({slowest[1]})")


if __name__ == "__main__":
    main()
