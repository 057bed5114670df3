"""Train the shipped Llama decoder from scratch, and write its folder: config.json, model.safetensors, tokenizer.json.

    python -m hwsim.zoo.train_llama --out hwsim/zoo/data/tiny-llama

Needs torch and tokenizers (``pip install 'hwsim[qat,zoo]'``); what it writes runs without torch. The text is the
Wikipedia pages in the tests of gensim 4.4.0, split by page (:func:`hwsim.zoo._texts.split_pages`): the tokenizer and
the weights see training pages only, dropout and steps were chosen on the validation pages, and the test pages were
looked at once. ``--device cuda`` trains in half a minute on one H200; the seed fixes the draws, and the order of float
sums, so the last bits, depends on the device.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.zoo._texts import LLAMA_LENGTH, WINDOWS_A_PAGE, page_windows, split_pages

if TYPE_CHECKING:
    from hwsim.zoo.llama_torch import Decoder

SEED = 2026
VOCABULARY = 1024
BATCH = 64
STEPS = 1300
PEAK_RATE = 4e-3
WEIGHT_DECAY = 0.1
DROPOUT = 0.2
WARM = 200
AVERAGE_DECAY = 0.998

Ids = NDArray[np.int32]


def train_tokenizer(texts: Sequence[str], vocabulary: int = VOCABULARY) -> Any:
    """A byte-level BPE tokenizer of ``vocabulary`` tokens; the same texts give the same merges."""
    from tokenizers import (
        Tokenizer,
        decoders,
        models,
        pre_tokenizers,
        trainers,
    )

    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=sorted(alphabet), show_progress=False)
    found.train_from_iterator(texts, trainer)
    return found


def batch_of(stream: Ids, length: int, count: int, rng: np.random.Generator) -> Ids:
    """``count`` windows [count, length + 1] from random places of a token stream."""
    starts = rng.integers(0, len(stream) - length - 1, count)
    picked: Ids = stream[starts[:, None] + np.arange(length + 1)[None, :]]
    return picked


def train(
    stream: Ids, *, steps: int = STEPS, dropout: float = DROPOUT, rate: float = PEAK_RATE, device: str = "cpu",
    seed: int = SEED, length: int = LLAMA_LENGTH, log: int = 200,
) -> Decoder:  # fmt: skip
    """Train a decoder on next tokens of ``stream``; the averaged weights, on the CPU."""
    import torch
    from torch.nn import functional

    from hwsim.zoo.llama_torch import Decoder, Settings

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Decoder(Settings(dropout=dropout)).to(device)
    averaged = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE_DECAY)
    )
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim != 2]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share(step, steps))
    for step in range(steps):
        picked = torch.from_numpy(batch_of(stream, length, BATCH, rng).astype(np.int64)).to(device)
        logits = model(picked[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1), picked[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        averaged.update_parameters(model)
        if log and (step + 1) % log == 0:
            print(f"step {step + 1}/{steps}: loss {float(loss):.4f}", flush=True)
    kept: Decoder = averaged.module.cpu().eval()
    return kept


def _share(step: int, steps: int) -> float:
    """Of the peak rate: a linear start, then half a cosine down to a hundredth."""
    if step < WARM:
        return (step + 1) / WARM
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - WARM) / max(steps - WARM, 1)))


def perplexity(decoder: Decoder, windows: Ids) -> float:
    """exp of the mean negative log-likelihood of the tokens after the first of each window [n, length]."""
    import torch
    from torch.nn import functional

    total = 0.0
    with torch.no_grad():
        for row in torch.from_numpy(windows.astype(np.int64)).split(16):
            logits = decoder(row)[:, :-1].double()
            total += float(functional.cross_entropy(logits.flatten(0, 1), row[:, 1:].flatten(), reduction="sum"))
    return math.exp(total / (windows.shape[0] * (windows.shape[1] - 1)))


def safetensors(tensors: Mapping[str, NDArray[np.float32]]) -> bytes:
    """The bytes of a .safetensors file: header length, JSON header, little-endian float32."""
    header: dict[str, Any] = {}
    at, parts = 0, []
    for name in sorted(tensors):
        raw = np.ascontiguousarray(tensors[name], "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [at, at + len(raw)]}
        parts.append(raw)
        at += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def main(argv: list[str] | None = None) -> int:
    """Train, test once, write the folder."""
    parser = argparse.ArgumentParser(prog="python -m hwsim.zoo.train_llama", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--dropout", type=float, default=DROPOUT)
    parser.add_argument("--rate", type=float, default=PEAK_RATE)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--validate", action="store_true", help="score the validation pages, not the test pages")
    parser.add_argument("--corpus", type=Path, help="token ids of an earlier --tokens-only run, instead of the text")
    parser.add_argument("--tokens-only", action="store_true", help="write tokenizer.json and corpus.npz, do not train")
    args = parser.parse_args(argv)

    args.out.mkdir(parents=True, exist_ok=True)
    if args.corpus is None:
        held = corpus(args.out / "tokenizer.json")
    else:
        with np.load(args.corpus, allow_pickle=False) as file:
            held = {key: file[key] for key in file.files}
    if args.tokens_only:
        np.savez_compressed(args.out / "corpus.npz", allow_pickle=False, **held)
        return 0
    decoder = train(held["train"], steps=args.steps, dropout=args.dropout, rate=args.rate, device=args.device)
    scored = "valid" if args.validate else "test"
    print(f"{scored} perplexity {perplexity(decoder, held[scored]):.3f} (n={len(held[scored])} windows)")
    write(decoder, args.out)
    return 0


def write(decoder: Decoder, folder: Path) -> None:
    """A decoder as config.json and model.safetensors, float32."""
    config = json.dumps(decoder.settings.config(LLAMA_LENGTH), indent=1) + "\n"
    (folder / "config.json").write_text(config)
    data = safetensors({name: value.numpy() for name, value in decoder.state_dict().items()})
    (folder / "model.safetensors").write_bytes(data)
    print(f"{hashlib.sha256(data).hexdigest()}  model.safetensors  {len(data)} bytes")


def corpus(tokenizer: Path) -> dict[str, Ids]:
    """Token ids of the Wikipedia pages: ``train`` as one stream, ``valid`` and ``test`` as windows [n, length].

    The tokenizer is trained on the training pages and written to ``tokenizer``.
    """
    from hwsim.zoo import fetch
    from hwsim.zoo.catalog import WIKIPEDIA

    (dump,) = fetch.members(WIKIPEDIA).values()
    pages = split_pages(dump)
    encode = train_tokenizer(pages["train"])
    encode.save(str(tokenizer))
    ids = {split: [np.array(e.ids, np.int32) for e in encode.encode_batch(texts)] for split, texts in pages.items()}
    windows = {s: page_windows(ids[s], LLAMA_LENGTH, WINDOWS_A_PAGE) for s in ("valid", "test")}
    return {"train": np.concatenate(ids["train"]), **windows}


if __name__ == "__main__":
    raise SystemExit(main())
