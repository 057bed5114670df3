"""The shipped decoder against transformers' answers, and its data as the zoo makes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hwsim
from hwsim import zoo
from hwsim.ir import reference
from hwsim.zoo import _texts
from tests.oracles import need_heavy_module, need_module, need_network

RECORDED = Path(__file__).parents[1] / "data" / "tiny_llama_logits.npz"


def test_the_float_network_answers_as_transformers_does() -> None:
    graph = hwsim.load_model("tiny-llama")
    with np.load(RECORDED, allow_pickle=False) as held:
        ids, positions, want, greatest = (held[key] for key in ("ids", "positions", "logits", "greatest"))
    found = reference.run(graph, {graph.inputs[0]: ids.astype(np.float32)})[graph.outputs[0]]
    np.testing.assert_allclose(found[:, positions], want, rtol=1e-4, atol=1e-4)
    assert np.mean(found.argmax(-1) == greatest) > 0.998


def test_the_entry_states_the_sizes_of_the_file() -> None:
    entry, graph = zoo.entry("tiny-llama"), zoo.model("tiny-llama")
    tables = ("rotary.cos", "rotary.sin", "causal", "scale")
    stored = sum(np.size(value) for name, value in graph.constants.items() if name not in tables)
    assert stored == entry.params
    assert graph.shape_of(graph.inputs[0])[1:] == entry.input_shape


def test_the_folder_loads_by_path_as_any_model_does() -> None:
    need_network("tiny-llama")
    folder = zoo.get("tiny-llama")["model"]
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "llama"
    assert hwsim.load_model(folder).outputs == ("logits",)


def test_pages_are_split_by_number_and_cut_into_whole_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_texts, "pages", lambda dump: iter(f"page {i}" for i in range(23)))
    found = _texts.split_pages(b"")
    assert (len(found["test"]), len(found["valid"]), len(found["train"])) == (3, 2, 18)
    ids = [np.arange(10, dtype=np.int32), np.arange(3, dtype=np.int32), np.arange(9, dtype=np.int32)]
    rows = _texts.page_windows(ids, 4, 1)
    np.testing.assert_array_equal(rows, [[0, 1, 2, 3], [0, 1, 2, 3]])
    assert len(_texts.page_windows(ids, 4, 6)) == 4


def test_training_text_is_of_no_test_page(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizers = need_module("tokenizers")
    need_network("tiny-llama")  # or the pages below would be kept as its text
    monkeypatch.setattr(
        _texts,
        "pages",
        lambda dump: iter(
            f"{chr(97 + i)}{chr(97 + i)}{chr(97 + i)} is said of it by someone. " * 300 for i in range(20)
        ),
    )
    raw = (zoo.get("tiny-llama")["model"] / "tokenizer.json").read_bytes()
    tokenizer = tokenizers.Tokenizer.from_str(raw.decode())
    words = {}
    for split in ("train", "test"):
        rows = _texts.llama_windows(b"", raw, split)
        words[split] = {
            word
            for row in rows
            for word in tokenizer.decode(list(row)).split()
            if len(word) == 3 and len(set(word)) == 1
        }
    assert {"aaa", "kkk"} <= words["test"]
    assert {"bbb", "jjj", "ttt"} <= words["train"]
    assert not words["test"] & words["train"]
    rows = _texts.lines(b"", raw)
    assert rows.shape[1] == _texts.PAIR_LENGTH
    assert len(rows) % 2 == 0
    read = {tokenizer.decode([int(i) for i in row if i]) for row in rows}
    assert "bbb" in read
    assert not any("aaa" in line for line in read)


def test_a_hook_sees_what_the_matrix_unit_sees() -> None:
    torch = need_heavy_module("torch")
    from hwsim.zoo.llama_torch import load

    decoder = load(Path(str(zoo.store.files("hwsim.zoo") / "data" / "tiny-llama"))).eval()
    seen = {}

    def hook(layer, name, x):
        seen[layer, name] = x.detach().numpy()
        return x * 0 if (layer, name) == (3, "v") else x

    with np.load(RECORDED, allow_pickle=False) as held:
        ids, positions, want = held["ids"][:1], held["positions"], held["logits"][:1]
    with torch.no_grad():
        plain = decoder(torch.from_numpy(ids.astype(np.int64))).numpy()
        decoder.hook = hook
        changed = decoder(torch.from_numpy(ids.astype(np.int64))).numpy()
    np.testing.assert_allclose(plain[:, positions], want, rtol=1e-4, atol=1e-4)
    assert not np.allclose(changed, plain)
    graph = zoo.model("tiny-llama")
    kept = reference.run(
        graph, {graph.inputs[0]: ids.astype(np.float32)}, keep=["blk.2.q.rotary", "blk.2.k.rotary", "blk.2.v.heads"]
    )
    for name, value in (("q", "q.rotary"), ("k", "k.rotary"), ("v", "v.heads")):
        np.testing.assert_allclose(seen[2, name], kept[f"blk.2.{value}"], rtol=1e-3, atol=1e-4)


def test_training_again_with_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    torch = need_heavy_module("torch")
    from hwsim.io import safetensors
    from hwsim.zoo import train_llama

    stream = np.random.default_rng(0).integers(0, 1024, 2000).astype(np.int32)
    first, second = (train_llama.train(stream, steps=2, length=8, log=0) for _ in range(2))
    for (name, one), other in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    train_llama.write(first, tmp_path)
    graph = safetensors.load(tmp_path, length=8)
    ids = stream[:8][None]
    with torch.no_grad():
        want = first(torch.from_numpy(ids.astype(np.int64))).numpy()
    found = reference.run(graph, {graph.inputs[0]: ids.astype(np.float32)})[graph.outputs[0]]
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)
