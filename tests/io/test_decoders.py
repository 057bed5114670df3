"""Decoders and encoders from GGUF and safetensors, held against torch; storage types against ggml's own code."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim.errors import HwsimError, ModelError
from hwsim.io import gguf, load_model, safetensors
from hwsim.ir import dumps, loads
from hwsim.ir.reference import run
from tests.io import decoders
from tests.io.models import close
from tests.oracles import need_heavy_module, need_module

IDS = np.random.default_rng(3).integers(0, 64, (2, 12))


def test_a_folder_of_safetensors_equals_torch(tmp_path: Path) -> None:
    held = decoders.weights()
    graph = safetensors.load(decoders.folder(tmp_path / "m", held), length=12)
    close(run(graph, {"tokens": IDS})["logits"], decoders.judge(held, IDS))
    assert load_model(tmp_path / "m").shape_of("tokens") == ("N", 512)
    again = loads(dumps(graph))
    np.testing.assert_array_equal(run(again, {"tokens": IDS})["logits"], run(graph, {"tokens": IDS})["logits"])


def test_a_gguf_file_equals_torch_with_its_permuted_rows(tmp_path: Path) -> None:
    held = decoders.weights()
    graph = gguf.load(decoders.gguf(tmp_path / "m.gguf", held), length=12)
    close(run(graph, {"tokens": IDS})["logits"], decoders.judge(held, IDS))


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0", "F16", "BF16"])
def test_storage_types_decode_as_ggml_does(tmp_path: Path, kind: str) -> None:
    package = need_module("gguf")
    path = decoders.gguf(tmp_path / "m.gguf", decoders.weights(), kind)
    file = gguf.read(path)
    for tensor in package.GGUFReader(path).tensors:
        want = package.dequantize(tensor.data, tensor.tensor_type)
        np.testing.assert_array_equal(file.tensors.load(tensor.name), want)
    assert file.tensors.kind("blk.0.attn_q.weight") == kind


def test_sharded_folders(tmp_path: Path) -> None:
    need_module("safetensors")
    from safetensors.numpy import save_file

    held, path = decoders.weights(), decoders.folder(tmp_path / "m", decoders.weights())
    (path / "model.safetensors").unlink()
    files = {name: f"part{at % 2}.safetensors" for at, name in enumerate(held)}
    for part in set(files.values()):
        save_file({name: held[name] for name in held if files[name] == part}, path / part)
    (path / safetensors.INDEX).write_text(json.dumps({"weight_map": files}))
    graph = safetensors.load(path, length=12)
    close(run(graph, {"tokens": IDS})["logits"], decoders.judge(held, IDS))
    outside = {**files, "model.norm.weight": "../part0.safetensors"}
    (path / safetensors.INDEX).write_text(json.dumps({"weight_map": outside}))
    with pytest.raises(ModelError, match=r"not a \.safetensors file of this folder"):
        safetensors.load(path)


def test_an_encoder_equals_torch(tmp_path: Path) -> None:
    torch: Any = need_heavy_module("torch")
    from safetensors.numpy import save_file

    torch.manual_seed(0)
    width, heads, hidden, length = 16, 2, 32, 7
    layer = torch.nn.TransformerEncoderLayer(width, heads, hidden, 0.0, "gelu", 1e-12, batch_first=True).eval()
    first = torch.nn.LayerNorm(width, 1e-12)
    draw = {k: torch.randn(n, width) for k, n in (("word", 20), ("position", 9), ("token_type", 2))}
    held = {f"embeddings.{k}_embeddings.weight": v for k, v in draw.items()}
    held |= {"embeddings.LayerNorm.weight": first.weight, "embeddings.LayerNorm.bias": first.bias}
    at, own = "encoder.layer.0", dict(layer.named_parameters())
    for i, key in enumerate(("query", "key", "value")):
        for part in ("weight", "bias"):
            held[f"{at}.attention.self.{key}.{part}"] = own[f"self_attn.in_proj_{part}"].chunk(3)[i]
    for ours, theirs in (
        ("attention.output.dense", "self_attn.out_proj"), ("attention.output.LayerNorm", "norm1"),
        ("intermediate.dense", "linear1"), ("output.dense", "linear2"), ("output.LayerNorm", "norm2"),
    ):  # fmt: skip
        for part in ("weight", "bias"):
            held[f"{at}.{ours}.{part}"] = own[f"{theirs}.{part}"]
    save_file({k: v.detach().contiguous().numpy() for k, v in held.items()}, tmp_path / "model.safetensors")
    config = {
        "model_type": "bert", "num_hidden_layers": 1, "hidden_size": width, "intermediate_size": hidden,
        "num_attention_heads": heads, "vocab_size": 20, "max_position_embeddings": 9, "type_vocab_size": 2,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    ids = torch.tensor([[3, 9, 4, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7]])
    with torch.no_grad():
        x = first(draw["word"][ids] + draw["position"][:length] + draw["token_type"][0])
        y = layer(x, src_key_padding_mask=ids == 0)
        keep = (ids != 0).float()[..., None]
        want = ((y * keep).sum(1) / keep.sum(1)).numpy()
    graph = safetensors.load(tmp_path, length=length)
    close(run(graph, {"tokens": ids.numpy()})["sentence"], want)


def mutated(raw: bytes, count: int, seed: int) -> list[bytes]:
    """Files with bytes changed near the front, sizes blown up, or the end cut off."""
    rng, out = np.random.default_rng(seed), []
    for at in range(count):
        data = bytearray(raw)
        if at % 3 == 0:
            del data[int(rng.integers(0, len(data))) :]
        else:
            for _ in range(int(rng.integers(1, 6))):
                place = int(rng.integers(0, min(len(data), 2000)))
                data[place : place + 8] = (
                    rng.bytes(8) if at % 3 == 1 else int(rng.choice([0, 1 << 31, 1 << 62])).to_bytes(8, "little")
                )
        out.append(bytes(data))
    return out


@pytest.mark.parametrize("form", ["gguf", "safetensors"])
def test_damaged_files_are_one_clear_error_or_load(tmp_path: Path, form: str) -> None:
    if form == "gguf":
        path = decoders.gguf(tmp_path / "m.gguf", decoders.weights(), "Q8_0")
    else:
        path = decoders.folder(tmp_path / "m", decoders.weights()) / "model.safetensors"
    lines: list[str] = []
    for data in mutated(path.read_bytes(), 120, 5):
        path.write_bytes(data)
        try:
            gguf.load(path, length=4) if form == "gguf" else safetensors.load(path.parent, length=4)
        except HwsimError as err:
            lines.append(str(err))
    assert len(lines) > 60
    assert not any("\n" in line for line in lines)


def test_absurd_counts_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    for tensors, pairs in ((1 << 60, 0), (0, 1 << 60)):
        path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs))
        with pytest.raises(ModelError, match="more than the file can hold"):
            gguf.read(path)
    (tmp_path / "config.json").write_text(json.dumps(decoders.CONFIG))
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"0000")
    with pytest.raises(ModelError, match="over"):
        safetensors.load(tmp_path)


def test_other_architectures_are_named(tmp_path: Path) -> None:
    path = decoders.folder(tmp_path / "m", decoders.weights())
    (path / "config.json").write_text(json.dumps({**decoders.CONFIG, "model_type": "lama"}))
    with pytest.raises(ModelError, match="did you mean 'llama'"):
        load_model(path)
    (path / "config.json").write_text(json.dumps({**decoders.CONFIG, "rope_scaling": {"factor": 2}}))
    with pytest.raises(ModelError, match="rope_scaling"):
        load_model(path)
