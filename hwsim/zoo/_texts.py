"""Text data as token ids: Wikipedia pages in windows, word pairs with human scores.

Needs the tokenizers package (``pip install 'hwsim[llm]'``); a tokenizer is data, nothing of a model file is executed.
"""

from __future__ import annotations

import bz2
import html
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ToolError

MAX_TEXT_BYTES = 64 << 20
WINDOW = 512
PAIR_LENGTH = 32
LLAMA_LENGTH = 256
"""Tokens of one window of the decoder that is trained here; its test takes up to WINDOWS_A_PAGE of a page."""
WINDOWS_A_PAGE = 6
LINES = 4000
_NESTED = (re.compile(r"\{\{[^{}]*\}\}"), re.compile(r"\{\|[^{}]*\|\}"))
_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_DROPPED = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"<!--.*?-->", r"<ref[^<>]*/>", r"<ref.*?</ref>", r"<(math|gallery|table|timeline).*?</\1>", r"</?[a-z][^<>]*>",
        r"\[\[(?:File|Image|Category)[^\[\]]*(?:\[\[[^\[\]]*\]\][^\[\]]*)*\]\]", r"'{2,}", r"__[A-Z]+__",
    )
)  # fmt: skip


def windows(dump: bytes, gguf: Path, count: int, first: int) -> NDArray[np.int32]:
    """Token ids [count, 512] of Wikipedia pages: the head of each long page from number ``first`` on, one a page."""
    from hwsim.io.gguf import read

    encode = _decoder_tokenizer(read(gguf).meta)
    found: list[list[int]] = []
    for page in pages(dump):
        ids = encode.encode(page).ids if len(page) > 3 * WINDOW else []
        if len(ids) >= WINDOW:
            found.append(ids[:WINDOW])
        if len(found) == first + count:
            return np.array(found[first:], dtype=np.int32)
    raise ToolError(f"holds {len(found)} pages of {WINDOW} tokens, {first + count} are needed", where="wikipedia")


def pages(dump: bytes) -> Iterator[str]:
    """Plain text of the articles of a compressed dump, in order; redirects are left out."""
    text = bz2.BZ2Decompressor().decompress(dump, MAX_TEXT_BYTES).decode("utf-8")
    for match in re.finditer(r"<text[^<>]*>(.*?)</text>", text, re.DOTALL):
        body = html.unescape(match[1])
        if not body.lstrip().lower().startswith("#redirect"):
            yield plain(body)


def split_pages(dump: bytes) -> dict[str, list[str]]:
    """The pages of a dump for training, by their number: 0 of 10 tests, 5 of 10 validates, the rest trains."""
    found: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for at, page in enumerate(pages(dump)):
        found[{0: "test", 5: "valid"}.get(at % 10, "train")].append(page)
    return found


def page_windows(pages: Sequence[NDArray[np.int32]], length: int, each: int) -> NDArray[np.int32]:
    """The first ``each`` whole windows of every page's token ids, [n, length]."""
    rows = [ids[: min(len(ids) // length, each) * length].reshape(-1, length) for ids in pages]
    return np.concatenate(rows)


def plain(markup: str) -> str:
    """Wiki markup as the sentences a reader sees, one paragraph a line."""
    for pattern in _DROPPED[:5]:
        markup = pattern.sub("", markup)
    for pattern in _NESTED:
        before = None
        while before != markup:
            before, markup = markup, pattern.sub("", markup)
    markup = _DROPPED[5].sub("", markup)
    markup = _LINK.sub(r"\1", re.sub(r"\[https?://\S+ ?([^\]]*)\]", r"\1", markup))
    for pattern in _DROPPED[6:]:
        markup = pattern.sub("", markup)
    lines = (re.sub(r"\s+", " ", line).strip() for line in html.unescape(markup).splitlines())
    return "\n".join(line for line in lines if line and line[0] not in "=*#:;|!{}")


def llama_windows(dump: bytes, tokenizer: bytes, split: str) -> NDArray[np.int32]:
    """Token ids [n, 256] for the decoder trained here: ``test``, up to six windows of every page held out of its
    training; ``calib``, the head of its first 32 training pages that are long enough; ``train``, every whole window of
    the training pages."""
    encode = _tokenizers().Tokenizer.from_str(tokenizer.decode("utf-8"))
    texts = split_pages(dump)["test" if split == "test" else "train"]
    ids = [np.array(encode.encode(text).ids, np.int32) for text in texts]
    if split == "test":
        return page_windows(ids, LLAMA_LENGTH, WINDOWS_A_PAGE)
    if split == "train":
        return page_windows(ids, LLAMA_LENGTH, max(map(len, ids)))
    return page_windows(ids, LLAMA_LENGTH, 1)[:32]


def lines(dump: bytes, tokenizer: bytes) -> NDArray[np.int32]:
    """Token ids [2 n, 32], padded with 0, of text without labels: a word, then a sentence, and so on.

    Words are the first n that occur, sentences the first n of at least 20 letters, on the training pages; n is 4,000.
    """
    encode = _tokenizers().Tokenizer.from_str(tokenizer.decode("utf-8"))
    encode.no_padding()
    encode.enable_truncation(PAIR_LENGTH)
    text = "\n".join(split_pages(dump)["train"])
    words = list(dict.fromkeys(re.findall(r"\b[a-z]{3,}\b", text)))[:LINES]
    sentences = [s for s in re.split(r"(?<=[.!?])\s+", text) if len(s) >= 20][: len(words)]
    mixed = [line for both in zip(words, sentences, strict=False) for line in both]
    return np.array([e.ids + [0] * (PAIR_LENGTH - len(e.ids)) for e in encode.encode_batch(mixed)], np.int32)


def pairs(table: bytes, tokenizer: bytes) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Token ids [2 n, 32], padded with 0, of word pairs one after the other, and their human scores times 100."""
    encode = _tokenizers().Tokenizer.from_str(tokenizer.decode("utf-8"))
    encode.no_padding()
    rows, scores = [], []
    for line in table.decode("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        first, second, score = line.split("\t")
        for word in (first, second):
            ids = encode.encode(word).ids[:PAIR_LENGTH]
            rows.append(ids + [0] * (PAIR_LENGTH - len(ids)))
            scores.append(round(100 * float(score)))
    return np.array(rows, np.int32), np.array(scores, np.int32)


def _decoder_tokenizer(meta: dict[str, Any]) -> Any:
    """Byte-level BPE with single digits, from GGUF metadata (``tokenizer.ggml.pre`` smollm)."""
    kind = (meta.get("tokenizer.ggml.model"), meta.get("tokenizer.ggml.pre"))
    if kind != ("gpt2", "smollm"):
        raise ToolError(f"tokenizer {kind} is not known here", where="gguf")
    package = _tokenizers()
    vocabulary = {token: at for at, token in enumerate(meta["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
    found = package.Tokenizer(package.models.BPE(vocab=vocabulary, merges=merges))
    parts = (package.pre_tokenizers.Digits(individual_digits=True), package.pre_tokenizers.ByteLevel(False))
    found.pre_tokenizer = package.pre_tokenizers.Sequence(list(parts))
    return found


def _tokenizers() -> Any:
    from importlib import import_module

    try:
        for part in ("models", "pre_tokenizers"):
            import_module(f"tokenizers.{part}")
        return import_module("tokenizers")
    except ImportError:
        raise ToolError("needs tokenizers to read text", where="hwsim.zoo", hint="pip install 'hwsim[llm]'") from None
